//! The version of the frontend that belongs to a ComfyUI, as far as versions convert differently.

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};

use crate::rules::{self, Rules};

/// A version of `comfyui-frontend-package` from which conversion follows other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontendVersion {
    /// 1.27, as shipped with ComfyUI 0.3.64.
    V1_27,
    /// 1.35, as shipped with ComfyUI 0.8.0.
    V1_35,
    /// 1.49, as shipped with ComfyUI 0.33.0.
    V1_49,
}

impl FrontendVersion {
    /// Detects the version from the keys of node schemas, which ComfyUI sends once its frontend reads them.
    pub fn detect(schemas: &ObjectInfo) -> Self {
        let sends = |key: &str| schemas.values().any(|schema| schema.other.contains_key(key));
        if sends("has_intermediate_output") {
            Self::V1_49
        } else if sends("output_matchtypes") {
            Self::V1_35
        } else {
            Self::V1_27
        }
    }

    /// The rules of this version.
    pub fn rules(self) -> &'static Rules {
        match self {
            Self::V1_27 => &rules::V1_27,
            Self::V1_35 => &rules::V1_35,
            Self::V1_49 => &rules::V1_49,
        }
    }
}

impl Rules {
    /// Returns the title that the editor gives a node type. It has names of its own where ComfyUI sends none, or an older
    /// one.
    pub fn title<'a>(&self, class_type: &'a str, schema: &'a NodeSchema) -> &'a str {
        let declared = schema.display_name.as_deref().filter(|name| !name.is_empty());
        match self.titles.iter().find(|title| title.node == class_type) {
            Some(title) if !title.is_fallback || declared.is_none() => title.title.unwrap_or(class_type),
            _ => declared.unwrap_or(class_type),
        }
    }
}
