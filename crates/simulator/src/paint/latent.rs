//! Latents: descriptions of images that can be painted at any size.

use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{GrayImage, Rgb, RgbImage};

use super::noise::{lerp, white};
use super::painting::{Colour, Painting, mix};

/// A batch of images, or the frames of a video, before they are painted.
#[derive(Debug, Clone)]
pub struct Latent {
    /// The width in pixels that it decodes to.
    pub width: u32,
    /// The height in pixels that it decodes to.
    pub height: u32,
    /// How many images it decodes to.
    pub frames: u32,
    /// Whether the images are the frames of a video.
    pub is_video: bool,
    /// What the paint covers.
    pub background: Background,
    /// The layers of paint, the latest last.
    pub layers: Vec<Layer>,
    /// Limits the paint to its white parts. Without a mask, paint goes everywhere.
    pub mask: Option<Arc<GrayImage>>,
    /// How much noise is left, from 0 to 1.
    pub noise: f32,
}

/// What the paint covers.
#[derive(Debug, Clone)]
pub enum Background {
    /// Grey.
    Empty,
    /// Encoded images; for a video, the image that it starts from.
    Images(Arc<Vec<RgbImage>>),
}

/// What a sampler painted: one painting for each image of a batch, one for a whole video.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The paintings.
    pub paintings: Arc<Vec<Painting>>,
    /// How much of the layers below it covers, from 0 to 1.
    pub strength: f32,
}

/// The most that paint covers in a video that starts from an image, so that the image stays visible.
const VIDEO_STRENGTH: f32 = 0.28;
/// An image wider or higher than this is painted at half its size and enlarged, because paint is smooth.
const FULL_DETAIL: u32 = 640;

impl Latent {
    /// Creates a latent without paint.
    pub fn empty(width: u32, height: u32, frames: u32) -> Self {
        Self {
            width,
            height,
            frames,
            is_video: false,
            background: Background::Empty,
            layers: Vec::new(),
            mask: None,
            noise: 0.0,
        }
    }

    /// Paints one image at its full size, with the simulator's mark in the corner.
    pub fn decode(&self, frame: u32) -> RgbImage {
        let mut image = if self.width.max(self.height) > FULL_DETAIL {
            let half = self.paint(frame, self.width.div_ceil(2), self.height.div_ceil(2));
            imageops::resize(&half, self.width, self.height, FilterType::Triangle)
        } else {
            self.paint(frame, self.width, self.height)
        };
        if !self.layers.is_empty() {
            sign(&mut image);
        }
        image
    }

    /// Paints one image no larger than `longest` on its longer side, for a preview.
    pub fn preview(&self, frame: u32, longest: u32) -> RgbImage {
        let scale = (f64::from(longest) / f64::from(self.width.max(self.height))).min(1.0);
        let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        self.paint(frame, scaled(self.width), scaled(self.height))
    }

    fn paint(&self, frame: u32, width: u32, height: u32) -> RgbImage {
        let time =
            if self.is_video && self.frames > 1 { frame as f32 / (self.frames - 1) as f32 } else { 0.0 };
        let background = self.background_at(frame, time, width, height);
        let mask =
            self.mask.as_deref().map(|mask| imageops::resize(mask, width, height, FilterType::Triangle));
        let aspect = width as f32 / height as f32;
        RgbImage::from_fn(width, height, |x, y| {
            let mut colour =
                background.as_ref().map_or([0.5; 3], |background| from_rgb(*background.get_pixel(x, y)));
            let (u, v) = ((x as f32 + 0.5) / height as f32, (y as f32 + 0.5) / height as f32);
            let here = mask.as_ref().map_or(1.0, |mask| f32::from(mask.get_pixel(x, y)[0]) / 255.0);
            for layer in &self.layers {
                let count = layer.paintings.len();
                let Some(painting) = layer.paintings.get(frame as usize % count.max(1)) else { continue };
                let strength = if self.is_video && background.is_some() {
                    layer.strength * VIDEO_STRENGTH * time.min(0.5) * 2.0
                } else {
                    layer.strength
                };
                colour = mix(colour, painting.at(u, v, aspect, time), strength * here);
            }
            if self.noise > 0.0 {
                colour = noisy(colour, x, y, frame, self.noise * here);
            }
            to_rgb(colour)
        })
    }

    /// Returns the background at this size. In a video, it is slowly enlarged.
    fn background_at(&self, frame: u32, time: f32, width: u32, height: u32) -> Option<RgbImage> {
        let Background::Images(images) = &self.background else { return None };
        let image = images.get(frame as usize % images.len().max(1))?;
        if !self.is_video {
            return Some(imageops::resize(image, width, height, FilterType::Triangle));
        }
        let zoom = 1.0 - 0.12 * time;
        let (full_width, full_height) = image.dimensions();
        let part = |side: u32| ((side as f32 * zoom).round() as u32).clamp(1, side);
        let (part_width, part_height) = (part(full_width), part(full_height));
        let left = (full_width - part_width) / 2;
        let top = (full_height - part_height) / 2;
        let view = imageops::crop_imm(image, left, top, part_width, part_height).to_image();
        Some(imageops::resize(&view, width, height, FilterType::Triangle))
    }
}

/// Mixes blocky coloured noise into a colour.
fn noisy(colour: Colour, x: u32, y: u32, frame: u32, amount: f32) -> Colour {
    let (x, y) = ((x / 4) as i32, (y / 4) as i32);
    let salts = [1, 2, 3].map(|part: u64| part << 32 | u64::from(frame));
    let noise = salts.map(|salt| white(x, y, salt));
    [0, 1, 2].map(|part| lerp(colour[part], noise[part], amount.clamp(0.0, 1.0)))
}

/// Draws a small checkered mark, which shows that no model generated the image.
fn sign(image: &mut RgbImage) {
    let (width, height) = image.dimensions();
    let square = (width.min(height) / 128).clamp(1, 6);
    let side = square * 4;
    if width < side * 3 || height < side * 3 {
        return;
    }
    let (left, top) = (width - side - square * 2, height - side - square * 2);
    for y in 0..side {
        for x in 0..side {
            let pixel = image.get_pixel_mut(left + x, top + y);
            let light = (x / square + y / square) % 2 == 0;
            *pixel = Rgb(pixel.0.map(|part| if light { part / 2 + 127 } else { part / 2 }));
        }
    }
}

fn from_rgb(pixel: Rgb<u8>) -> Colour {
    pixel.0.map(|part| f32::from(part) / 255.0)
}

fn to_rgb(colour: Colour) -> Rgb<u8> {
    Rgb(colour.map(|part| (part * 255.0).round().clamp(0.0, 255.0) as u8))
}
