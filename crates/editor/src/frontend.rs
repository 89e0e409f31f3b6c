//! The version of the frontend that belongs to a ComfyUI, as far as versions convert differently.

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};

/// A version of `comfyui-frontend-package` from which conversion follows other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrontendVersion {
    /// 1.27, as shipped with ComfyUI 0.3.64.
    V1_27,
    /// 1.35, as shipped with ComfyUI 0.8.0.
    V1_35,
}

impl FrontendVersion {
    /// Detects the version from node schemas: ComfyUI has sent `output_matchtypes` since the frontend reads it.
    pub fn detect(schemas: &ObjectInfo) -> Self {
        let newer = schemas.values().any(|schema| schema.other.contains_key("output_matchtypes"));
        if newer { Self::V1_35 } else { Self::V1_27 }
    }

    /// Returns the title that the editor gives a node type. It has names of its own where ComfyUI sends none, or an older one.
    pub fn title<'a>(self, class_type: &'a str, schema: &'a NodeSchema) -> &'a str {
        let given = schema.display_name.as_deref().filter(|name| !name.is_empty());
        match (self, class_type) {
            (Self::V1_35, "ByteDanceSeedreamNode") => "ByteDance Seedream 4",
            (Self::V1_35, "FluxKontextMultiReferenceLatentMethod") => class_type,
            (Self::V1_27, "ImageBlend") => given.unwrap_or("Image Blend"),
            (Self::V1_27, "ImageBlur") => given.unwrap_or("Image Blur"),
            (Self::V1_27, "ImageQuantize") => given.unwrap_or("Image Quantize"),
            (Self::V1_27, "ImageSharpen") => given.unwrap_or("Image Sharpen"),
            (Self::V1_27, "ImageScaleToTotalPixels") => given.unwrap_or("Scale Image to Total Pixels"),
            _ => given.unwrap_or(class_type),
        }
    }
}
