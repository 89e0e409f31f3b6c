//! The versions of ComfyUI that can be simulated, and their differences.

use std::fmt;
use std::str::FromStr;

use comfy_runner_protocol::Expansion;
use comfy_runner_workflow::Release;
use serde_json::{Value, json};

/// A version of ComfyUI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// 0.3.64, of October 2025.
    V0_3_64,
    /// 0.33.0, of August 2026.
    #[default]
    V0_33_0,
}

/// The error for a version that cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulator cannot speak as ComfyUI {0:?}; it can as 0.33.0 or 0.3.64")]
pub struct UnknownVersion(String);

impl Version {
    /// All versions, the oldest first.
    pub const ALL: [Self; 2] = [Self::V0_3_64, Self::V0_33_0];

    /// Returns the version as ComfyUI writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_64 => "0.3.64",
            Self::V0_33_0 => "0.33.0",
        }
    }

    /// The node schemas, in the shape of `/object_info`.
    pub(crate) fn object_info(self) -> &'static str {
        match self {
            Self::V0_3_64 => include_str!("object_info/0.3.64.json"),
            Self::V0_33_0 => include_str!("object_info/0.33.0.json"),
        }
    }

    /// The release whose rules validation follows.
    pub(crate) fn release(self) -> Release {
        match self {
            Self::V0_3_64 => Release(0, 3, 64),
            Self::V0_33_0 => Release(0, 33, 0),
        }
    }

    /// Returns the rules for resolving dynamic inputs.
    pub(crate) fn expansion(self) -> Expansion {
        match self {
            Self::V0_3_64 => Expansion::None,
            Self::V0_33_0 => Expansion::All,
        }
    }

    /// Returns whether a prompt id must be a UUID in canonical form.
    pub(crate) fn requires_uuids(self) -> bool {
        self >= Self::V0_33_0
    }

    /// Returns whether `/api/jobs` exists.
    pub(crate) fn has_jobs(self) -> bool {
        self >= Self::V0_33_0
    }

    /// Whether the time of submission and no secret is in a prompt's `extra_data`.
    pub(crate) fn cleans_extra_data(self) -> bool {
        self >= Self::V0_33_0
    }

    /// Whether the history has the outputs of nodes that the prompt came by, rather than of all that are cached.
    pub(crate) fn reports_visited_only(self) -> bool {
        self >= Self::V0_33_0
    }

    /// Returns the server's features, for `/features` and the WebSocket.
    pub(crate) fn feature_flags(self, max_upload_size: usize) -> Value {
        match self {
            Self::V0_3_64 => json!({"supports_preview_metadata": true, "max_upload_size": max_upload_size}),
            Self::V0_33_0 => json!({
                "supports_preview_metadata": true,
                "supports_model_type_tags": true,
                "max_upload_size": max_upload_size,
                "extension": {"manager": {"supports_v4": true}},
                "node_replacements": true,
                "assets": false,
            }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let found = Self::ALL.into_iter().find(|version| version.as_str() == text);
        found.ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_written_and_others_are_refused() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        let refused = "0.8.0".parse::<Version>().unwrap_err().to_string();
        assert!(refused.contains("0.8.0") && refused.contains("0.33.0"), "{refused}");
    }
}
