//! Nodes that work on pixels.

use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma, Rgb, RgbImage};

use super::{Call, Failure, NodeResult, bounded};
use crate::value::Value;

pub fn empty(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (width, height, count) =
        (call.size("width")?, call.size("height")?, call.size("batch_size")? as usize);
    bounded(width, height, count)?;
    let [_, red, green, blue] = call.size("color")?.to_be_bytes();
    Ok(NodeResult::images(vec![RgbImage::from_pixel(width, height, Rgb([red, green, blue])); count]))
}

pub fn scale(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (width, height) = images[0].dimensions();
    let (to_width, to_height) = keep_ratio((width, height), (call.size("width")?, call.size("height")?));
    bounded(to_width, to_height, images.len())?;
    let filter = filter(call.text("upscale_method")?);
    let crop = call.text("crop")? == "center";
    let mut scaled = Vec::with_capacity(images.len());
    for image in images.iter() {
        call.steps.check()?;
        scaled.push(fit(image, to_width, to_height, filter, crop));
    }
    Ok(NodeResult::images(scaled))
}

pub fn scale_by(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let by = call.float("scale_by")?;
    let (width, height) = images[0].dimensions();
    let scaled = |side: u32| ((f64::from(side) * by).round() as u32).max(1);
    bounded(scaled(width), scaled(height), images.len())?;
    let filter = filter(call.text("upscale_method")?);
    let resize = |image| fit(image, scaled(width), scaled(height), filter, false);
    Ok(NodeResult::images(images.iter().map(resize).collect()))
}

/// The size that has this many megapixels in the same ratio.
pub fn scale_to_pixels(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (width, height) = images[0].dimensions();
    let steps = if call.inputs.contains_key("resolution_steps") { call.size("resolution_steps")? } else { 1 };
    let steps = f64::from(steps.max(1));
    let pixels = call.float("megapixels")? * 1024.0 * 1024.0;
    let by = (pixels / (f64::from(width) * f64::from(height))).sqrt();
    let scaled = |side: u32| (((f64::from(side) * by / steps).round_ties_even() * steps) as u32).max(1);
    scaled_to(call, &images, scaled(width), scaled(height))
}

/// The longer side gets this length.
pub fn scale_to_longest(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (width, height) = images[0].dimensions();
    let longest = call.size("largest_size")?.max(1);
    let other =
        |side: u32, of: u32| ((f64::from(side) * f64::from(longest) / f64::from(of)).round() as u32).max(1);
    let (width, height) =
        if width > height { (longest, other(height, width)) } else { (other(width, height), longest) };
    scaled_to(call, &images, width, height)
}

fn scaled_to(
    call: &mut Call<'_>,
    images: &[RgbImage],
    width: u32,
    height: u32,
) -> Result<NodeResult, Failure> {
    bounded(width, height, images.len())?;
    let filter = filter(call.text("upscale_method")?);
    Ok(NodeResult::images(images.iter().map(|image| fit(image, width, height, filter, false)).collect()))
}

/// The sizes that a Kontext model was trained on, by their shorter sides.
const KONTEXT_SIZES: [(u32, u32); 9] = [
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
];

/// The trained size whose ratio is nearest.
pub fn scale_for_kontext(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let ratio = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
    let wanted = ratio(images[0].dimensions());
    let sizes = KONTEXT_SIZES.into_iter().flat_map(|(short, long)| [(short, long), (long, short)]);
    let distance = |size: &(u32, u32)| (ratio(*size) - wanted).abs();
    let nearest = sizes.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let (width, height) = nearest.unwrap_or((1024, 1024));
    bounded(width, height, images.len())?;
    let scaled = images.iter().map(|image| fit(image, width, height, FilterType::Lanczos3, true));
    Ok(NodeResult::images(scaled.collect()))
}

pub fn size(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (width, height) = images[0].dimensions();
    let numbers = [width as usize, height as usize, images.len()];
    Ok(NodeResult {
        outputs: numbers.map(|number| Value::Plain(number.into())).to_vec(),
        ..NodeResult::default()
    })
}

/// One channel as a mask. Images have no alpha here, so that this channel is empty.
pub fn to_mask(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let channel = match call.text("channel")? {
        "red" => Some(0),
        "green" => Some(1),
        "blue" => Some(2),
        _ => None,
    };
    let mask = |image: &RgbImage| {
        GrayImage::from_fn(image.width(), image.height(), |x, y| {
            Luma([channel.map_or(0, |channel| image.get_pixel(x, y)[channel])])
        })
    };
    Ok(NodeResult::one(Value::Masks(Arc::new(images.iter().map(mask).collect()))))
}

pub fn invert(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let inverted = images.iter().map(|image| {
        let mut image = image.clone();
        imageops::invert(&mut image);
        image
    });
    Ok(NodeResult::images(inverted.collect()))
}

pub fn batch(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (first, second) = (call.images("image1")?, call.images("image2")?);
    let (width, height) = first[0].dimensions();
    bounded(width, height, first.len() + second.len())?;
    let fitted = second.iter().map(|image| fit(image, width, height, FilterType::Triangle, true));
    Ok(NodeResult::images(first.iter().cloned().chain(fitted).collect()))
}

pub fn from_batch(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let first = (call.size("batch_index")? as usize).min(images.len() - 1);
    let length = (call.size("length")? as usize).min(images.len() - first);
    Ok(NodeResult::images(images[first..first + length].to_vec()))
}

pub fn repeat(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let amount = call.size("amount")? as usize;
    let (width, height) = images[0].dimensions();
    bounded(width, height, images.len().saturating_mul(amount))?;
    Ok(NodeResult::images(images.iter().cycle().take(images.len() * amount).cloned().collect()))
}

pub fn crop(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (width, height) = images[0].dimensions();
    let (x, y) = (call.size("x")?.min(width - 1), call.size("y")?.min(height - 1));
    let (to_width, to_height) = (call.size("width")?.min(width - x), call.size("height")?.min(height - y));
    let cropped = images.iter().map(|image| imageops::crop_imm(image, x, y, to_width, to_height).to_image());
    Ok(NodeResult::images(cropped.collect()))
}

pub fn mask_to_image(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let masks = call.masks("mask")?;
    let image = |mask: &GrayImage| {
        RgbImage::from_fn(mask.width(), mask.height(), |x, y| Rgb([mask.get_pixel(x, y)[0]; 3]))
    };
    Ok(NodeResult::images(masks.iter().map(image).collect()))
}

pub fn invert_mask(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let masks = call.masks("mask")?;
    let inverted = masks.iter().map(|mask| {
        let mut mask = mask.clone();
        imageops::invert(&mut mask);
        mask
    });
    Ok(NodeResult::one(Value::Masks(Arc::new(inverted.collect()))))
}

/// A side of 0 follows the other one; two of them leave the size alone.
pub fn keep_ratio((width, height): (u32, u32), wanted: (u32, u32)) -> (u32, u32) {
    let follow = |side: u32, by: u32, of: u32| {
        ((f64::from(side) * f64::from(by) / f64::from(of.max(1))).round() as u32).max(1)
    };
    match wanted {
        (0, 0) => (width, height),
        (0, to_height) => (follow(width, to_height, height), to_height),
        (to_width, 0) => (to_width, follow(height, to_width, width)),
        wanted => wanted,
    }
}

fn filter(method: &str) -> FilterType {
    match method {
        "nearest-exact" => FilterType::Nearest,
        "bicubic" | "bislerp" => FilterType::CatmullRom,
        "lanczos" => FilterType::Lanczos3,
        _ => FilterType::Triangle,
    }
}

/// The image at this size; with `crop`, what sticks out at the sides is cut rather than squeezed in.
fn fit(image: &RgbImage, width: u32, height: u32, filter: FilterType, crop: bool) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    if !crop {
        return imageops::resize(image, width, height, filter);
    }
    let (from_width, from_height) = (f64::from(image.width()), f64::from(image.height()));
    let ratio = f64::from(width) / f64::from(height);
    let (part_width, part_height) = if from_width / from_height > ratio {
        (from_height * ratio, from_height)
    } else {
        (from_width, from_width / ratio)
    };
    let side = |part: f64, of: u32| (part.round() as u32).clamp(1, of);
    let (part_width, part_height) = (side(part_width, image.width()), side(part_height, image.height()));
    let left = (image.width() - part_width) / 2;
    let top = (image.height() - part_height) / 2;
    let part = imageops::crop_imm(image, left, top, part_width, part_height).to_image();
    imageops::resize(&part, width, height, filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_of_nought_follows_the_other() {
        assert_eq!(keep_ratio((100, 50), (0, 0)), (100, 50));
        assert_eq!(keep_ratio((100, 50), (0, 25)), (50, 25));
        assert_eq!(keep_ratio((100, 50), (10, 0)), (10, 5));
        assert_eq!(keep_ratio((100, 50), (7, 9)), (7, 9));
    }

    #[test]
    fn cropping_keeps_the_middle_unsqueezed() {
        let image = RgbImage::from_fn(9, 3, |x, _| Rgb([if (3..6).contains(&x) { 255 } else { 0 }; 3]));
        let fitted = fit(&image, 3, 3, FilterType::Nearest, true);
        assert!(fitted.pixels().all(|pixel| pixel[0] == 255));
    }
}
