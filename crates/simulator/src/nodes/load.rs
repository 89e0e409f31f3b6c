//! Nodes that read images from disk.

use std::sync::Arc;

use image::{DynamicImage, GrayImage, Luma, RgbImage};

use super::{Call, Failure, NodeResult};
use crate::decode;
use crate::value::Value;

/// The mask of an image without an alpha channel: nothing, in the size that ComfyUI gives it.
const NO_MASK: u32 = 64;

pub fn image(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let frames = read(call)?;
    let images: Vec<RgbImage> = frames.iter().map(DynamicImage::to_rgb8).collect();
    let masks: Vec<GrayImage> = frames.iter().map(alpha_mask).collect();
    Ok(NodeResult {
        outputs: vec![Value::Images(Arc::new(images)), Value::Masks(Arc::new(masks))],
        ..NodeResult::default()
    })
}

pub fn mask(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let channel = match call.text("channel")? {
        "red" => Some(0),
        "green" => Some(1),
        "blue" => Some(2),
        _ => None,
    };
    let frames = read(call)?;
    let masks = frames.iter().take(1).map(|frame| match channel {
        None => alpha_mask(frame),
        Some(channel) => {
            let image = frame.to_rgb8();
            GrayImage::from_fn(image.width(), image.height(), |x, y| Luma([image.get_pixel(x, y)[channel]]))
        }
    });
    Ok(NodeResult::one(Value::Masks(Arc::new(masks.collect()))))
}

fn read(call: &mut Call<'_>) -> Result<Vec<DynamicImage>, Failure> {
    let name = call.text("image")?;
    let gone =
        || Failure::raised("FileNotFoundError", format!("[Errno 2] No such file or directory: '{name}'"));
    let path = call.files.annotated(name).ok_or_else(gone)?;
    decode::frames(&path).map_err(|error| {
        // As Pillow names these two.
        let (exception, what) = match error.is_too_large() {
            true => ("PIL.Image.DecompressionBombError", "cannot load image file"),
            false => ("PIL.UnidentifiedImageError", "cannot identify image file"),
        };
        Failure::raised(exception, format!("{what} '{name}' ({error})"))
    })
}

/// White where the image is transparent.
fn alpha_mask(image: &DynamicImage) -> GrayImage {
    if !image.color().has_alpha() {
        return GrayImage::new(NO_MASK, NO_MASK);
    }
    let pixels = image.to_rgba8();
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| Luma([255 - pixels.get_pixel(x, y)[3]]))
}
