//! Which editor a ComfyUI brings along, where editors differ.

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};

/// An age of the editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// As with ComfyUI 0.3 (1.27).
    Older,
    /// As with ComfyUI 0.8 (1.35).
    Newer,
}

impl Edition {
    /// The edition that goes with these schemas. ComfyUI writes `output_matchtypes` since the newer one can read it.
    pub fn of(schemas: &ObjectInfo) -> Self {
        let newer = schemas.values().any(|schema| schema.other.contains_key("output_matchtypes"));
        if newer { Self::Newer } else { Self::Older }
    }

    /// What the editor calls a type. Some names are its own: where ComfyUI gives none, or an older one.
    pub fn title<'a>(self, class_type: &'a str, schema: &'a NodeSchema) -> &'a str {
        let given = schema.display_name.as_deref().filter(|name| !name.is_empty());
        match (self, class_type) {
            (Self::Newer, "ByteDanceSeedreamNode") => "ByteDance Seedream 4",
            (Self::Newer, "FluxKontextMultiReferenceLatentMethod") => class_type,
            (Self::Older, "ImageBlend") => given.unwrap_or("Image Blend"),
            (Self::Older, "ImageBlur") => given.unwrap_or("Image Blur"),
            (Self::Older, "ImageQuantize") => given.unwrap_or("Image Quantize"),
            (Self::Older, "ImageSharpen") => given.unwrap_or("Image Sharpen"),
            (Self::Older, "ImageScaleToTotalPixels") => given.unwrap_or("Scale Image to Total Pixels"),
            _ => given.unwrap_or(class_type),
        }
    }
}
