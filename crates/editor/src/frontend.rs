//! The versions of the frontend that convert differently.

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};

use crate::rules::{self, Rules};

/// A version of `comfyui-frontend-package` that introduced other rules of conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FrontendVersion {
    /// 1.27, as shipped with ComfyUI 0.3.64.
    V1_27,
    /// 1.35, as shipped with ComfyUI 0.8.0.
    V1_35,
    /// 1.49, as shipped with ComfyUI 0.33.0.
    V1_49,
    /// 1.58.
    V1_58,
}

/// Input types that ComfyUI sends only to frontends from 1.58 on.
const TYPES_SINCE_1_58: [&str; 5] = [
    "CAMERA_ANGLE_VIEW",
    "CAMERA_INFO_STATE",
    "COMFY_DYNAMICGROUP_V3",
    "LIGHT_INFO_PREVIEW",
    "RESOLUTION_PREVIEW",
];

impl FrontendVersion {
    /// Detects the version from node schemas: ComfyUI sends keys and input types that its frontend reads.
    pub fn detect(schemas: &ObjectInfo) -> Self {
        let sends = |key: &str| schemas.values().any(|schema| schema.other.contains_key(key));
        let has_new_type = |schema: &NodeSchema| {
            schema.inputs().any(|(_, spec, _)| TYPES_SINCE_1_58.contains(&spec.type_name()))
        };
        if !sends("has_intermediate_output") {
            return if sends("output_matchtypes") { Self::V1_35 } else { Self::V1_27 };
        }
        if schemas.values().any(has_new_type) { Self::V1_58 } else { Self::V1_49 }
    }

    /// Parses the version of an installed `comfyui-frontend-package`, like `1.49.6`: the newest version here that is not
    /// newer than that. None if it is not a version.
    pub fn from_package_version(version: &str) -> Option<Self> {
        let mut parts = version.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return None };
        Some(match (major, minor) {
            (0, _) | (1, ..35) => Self::V1_27,
            (1, 35..49) => Self::V1_35,
            (1, 49..58) => Self::V1_49,
            _ => Self::V1_58,
        })
    }

    /// Returns the rules of this version.
    pub(crate) fn rules(self) -> &'static Rules {
        match self {
            Self::V1_27 => &rules::V1_27,
            Self::V1_35 => &rules::V1_35,
            Self::V1_49 => &rules::V1_49,
            Self::V1_58 => &rules::V1_58,
        }
    }
}

impl Rules {
    /// Returns the title that the editor gives a node type.
    pub fn title<'a>(&self, class_type: &'a str, schema: &'a NodeSchema) -> &'a str {
        let declared = schema.display_name.as_deref().filter(|name| !name.is_empty());
        let own = self.titles.iter().find(|title| title.node == class_type && title.declared == declared);
        own.map(|own| own.title).or(declared).unwrap_or(class_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn schemas(value: Value) -> ObjectInfo {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn schemas_tell_the_version() {
        let detect = |schema: Value| FrontendVersion::detect(&schemas(json!({"A": schema, "B": {}})));
        assert_eq!(detect(json!({})), FrontendVersion::V1_27);
        assert_eq!(detect(json!({"output_matchtypes": null})), FrontendVersion::V1_35);
        let recent = |kind: &str| {
            json!({"output_matchtypes": null, "has_intermediate_output": false,
                "input": {"required": {"x": [kind, {}]}}})
        };
        assert_eq!(detect(recent("INT")), FrontendVersion::V1_49);
        assert_eq!(detect(recent("RESOLUTION_PREVIEW")), FrontendVersion::V1_58);
    }

    #[test]
    fn a_package_has_the_rules_of_the_newest_version_before_it() {
        for (package, version) in [
            ("1.27.10", FrontendVersion::V1_27),
            ("1.35.9", FrontendVersion::V1_35),
            ("1.49.6", FrontendVersion::V1_49),
            ("1.58.1", FrontendVersion::V1_58),
            ("2.0.0", FrontendVersion::V1_58),
        ] {
            assert_eq!(FrontendVersion::from_package_version(package), Some(version), "{package}");
        }
        assert_eq!(FrontendVersion::from_package_version("latest"), None);
    }

    #[test]
    fn a_title_of_the_frontend_replaces_only_the_name_that_it_was_made_for() {
        let rules = FrontendVersion::V1_49.rules();
        let declared =
            |name: &str| NodeSchema { display_name: Some(name.to_owned()), ..NodeSchema::default() };
        assert_eq!(rules.title("LTXVConcatAVLatent", &declared("Concat AV Latent")), "LTXVConcatAVLatent");
        assert_eq!(rules.title("LTXVConcatAVLatent", &declared("Concat")), "Concat");
        let rules = FrontendVersion::V1_58.rules();
        assert_eq!(rules.title("VAEDecodeHunyuan3D", &NodeSchema::default()), "Hunyuan 3D VAE Decode");
        assert_eq!(rules.title("VAEDecodeHunyuan3D", &declared("Decode")), "Decode");
    }
}
