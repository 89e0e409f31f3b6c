//! Differences between releases of ComfyUI in the validation of prompts.

use comfy_runner_protocol::{Expansion, ObjectInfo};

/// A release of ComfyUI: major, minor and patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u16, pub u16, pub u16);

/// The rules of releases. Each one names the first release that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How dynamic inputs are resolved (0.8.0, and in full 0.10.0).
    pub expansion: Expansion,
    /// An input or output of type `COMFY_MATCHTYPE_V3` takes every link (0.3.77).
    pub match_types: bool,
    /// `*` is any type also among others (`INT,*`), and a list of choices goes into a `COMBO` input (0.8.0).
    pub any_among_others: bool,
    /// A `COMBO` in V3 notation is checked against its options (0.8.0).
    pub combo_options: bool,
    /// A node without a known type is a `missing_node_type`, not an `invalid_prompt` (0.12.0).
    pub missing_node_type: bool,
    /// Nodes of former types are replaced before validation (0.14.0).
    pub replacements: bool,
    /// A cycle is reported as such (0.20.0). Before, validation recursed until Python gave up.
    pub cycles: bool,
    /// A `multiselect` combo takes a list, and messages quote the value as `repr` writes it (0.21.0).
    pub multiselect: bool,
}

impl Release {
    /// The oldest release whose behaviour is known here.
    pub const OLDEST: Self = Self(0, 3, 64);
    /// The newest release whose behaviour is known here. Later ones are assumed to behave alike.
    pub const NEWEST: Self = Self(0, 33, 0);

    /// Reads a version as `GET /system_stats` gives it in `system.comfyui_version`.
    pub fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next().unwrap_or(0)))
    }

    /// Tells the release from the keys of its node schemas, as far as validation differs: the result validates like
    /// the release that wrote them.
    pub fn detect(info: &ObjectInfo) -> Self {
        let has = |key: &str| info.values().any(|schema| schema.other.contains_key(key));
        if has("has_intermediate_output") {
            Self::NEWEST
        } else if has("output_matchtypes") {
            Self(0, 8, 0)
        } else if info.is_empty() || !has("output_name") {
            // Schemas that were written by hand do not show a release.
            Self::NEWEST
        } else {
            Self::OLDEST
        }
    }

    pub(super) fn rules(self) -> Rules {
        let since = |major, minor, patch| self >= Self(major, minor, patch);
        Rules {
            expansion: match () {
                () if since(0, 10, 0) => Expansion::All,
                () if since(0, 8, 0) => Expansion::Given,
                () => Expansion::None,
            },
            match_types: since(0, 3, 77),
            any_among_others: since(0, 8, 0),
            combo_options: since(0, 8, 0),
            missing_node_type: since(0, 12, 0),
            replacements: since(0, 14, 0),
            cycles: since(0, 20, 0),
            multiselect: since(0, 21, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_detected_by_its_schemas() {
        for (file, release) in [
            (include_str!("../../../../fixtures/object_info/0.3.64.json"), Release(0, 3, 64)),
            (include_str!("../../../../fixtures/object_info/0.8.0.json"), Release(0, 8, 0)),
            (include_str!("../../../../fixtures/object_info/0.33.0.json"), Release(0, 33, 0)),
        ] {
            let info: ObjectInfo = serde_json::from_str(file).unwrap();
            assert_eq!(Release::detect(&info), release);
        }
    }

    #[test]
    fn versions_are_read_with_and_without_a_patch_number() {
        assert_eq!(Release::parse("0.33.0"), Some(Release(0, 33, 0)));
        assert_eq!(Release::parse("v0.8"), Some(Release(0, 8, 0)));
        assert_eq!(Release::parse("0.3.64-12-gabcdef"), Some(Release(0, 3, 64)));
        assert_eq!(Release::parse("unknown"), None);
        assert!(Release(0, 33, 0) > Release(0, 8, 0));
    }
}
