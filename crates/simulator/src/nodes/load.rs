//! Nodes that read pictures from disk.

use std::io::{BufReader, Seek};
use std::path::Path;
use std::sync::Arc;

use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Luma, RgbImage,
};

use super::{Call, Failure, Made, bounded};
use crate::value::Value;

/// The mask of a picture without an alpha channel: nothing, in the size that ComfyUI gives it.
const NO_MASK: u32 = 64;

pub fn image(call: &mut Call<'_>) -> Result<Made, Failure> {
    let frames = read(call)?;
    let images: Vec<RgbImage> = frames.iter().map(DynamicImage::to_rgb8).collect();
    let masks: Vec<GrayImage> = frames.iter().map(alpha_mask).collect();
    Ok(Made {
        outputs: vec![Value::Images(Arc::new(images)), Value::Masks(Arc::new(masks))],
        ..Made::default()
    })
}

pub fn mask(call: &mut Call<'_>) -> Result<Made, Failure> {
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
    Ok(Made::one(Value::Masks(Arc::new(masks.collect()))))
}

fn read(call: &mut Call<'_>) -> Result<Vec<DynamicImage>, Failure> {
    let name = call.text("image")?;
    let gone =
        || Failure::raised("FileNotFoundError", format!("[Errno 2] No such file or directory: '{name}'"));
    let path = call.files.annotated(name).ok_or_else(gone)?;
    let frames = decode(&path).map_err(|error| {
        let message = format!("cannot identify image file '{name}' ({error})");
        Failure::raised("PIL.UnidentifiedImageError", message)
    })?;
    let (width, height) = frames.first().map_or((0, 0), |frame| (frame.width(), frame.height()));
    bounded(width, height, frames.len())?;
    Ok(frames)
}

/// The frames of a GIF, or the one picture of anything else, turned the right way up.
fn decode(path: &Path) -> image::ImageResult<Vec<DynamicImage>> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Gif) {
        let mut file: BufReader<_> = reader.into_inner();
        file.rewind()?;
        let decoder = GifDecoder::new(file)?;
        let (width, height) = decoder.dimensions();
        let mut frames = Vec::new();
        for frame in decoder.into_frames() {
            frames.push(DynamicImage::from(frame?.into_buffer()));
            // What is too much is refused by the caller; here it is only not read to its end.
            if bounded(width, height, frames.len()).is_err() {
                break;
            }
        }
        return Ok(frames);
    }
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(16_384);
    limits.max_image_height = Some(16_384);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(vec![picture])
}

/// White where the picture is transparent.
fn alpha_mask(picture: &DynamicImage) -> GrayImage {
    if !picture.color().has_alpha() {
        return GrayImage::new(NO_MASK, NO_MASK);
    }
    let pixels = picture.to_rgba8();
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| Luma([255 - pixels.get_pixel(x, y)[3]]))
}
