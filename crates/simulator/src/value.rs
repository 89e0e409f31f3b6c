//! The values that nodes pass along links.

use std::sync::Arc;

use image::{GrayImage, RgbImage};
use serde_json::Value as Json;

use crate::paint::Latent;

/// One output of a node. Pixels are shared, never copied from link to link.
#[derive(Debug, Clone)]
pub enum Value {
    /// `IMAGE`: images of one size.
    Images(Arc<Vec<RgbImage>>),
    /// `MASK`: white where a mask applies.
    Masks(Arc<Vec<GrayImage>>),
    /// `LATENT`
    Latent(Arc<Latent>),
    /// `CONDITIONING`: the prompt that it comes from.
    Conditioning(Arc<str>),
    /// `MODEL`, `CLIP`, `VAE`, `CLIP_VISION` and what comes of them: a description of what it would be, such as the
    /// names of files. It goes into the image, so that another model paints another.
    Model(Arc<str>),
    /// `SIGMAS`: how much noise there is before each step and after the last, from 1 to 0.
    Sigmas(Arc<[f32]>),
    /// `NOISE`: the seed of what is added, or nothing.
    Noise(Option<u64>),
    /// `GUIDER`
    Guider(Arc<Guider>),
    /// `VIDEO`
    Video(Arc<Video>),
    /// A plain value.
    Plain(Json),
}

/// The inputs of a guider.
#[derive(Debug)]
pub struct Guider {
    /// The model.
    pub model: Arc<str>,
    /// The positive prompt.
    pub positive: Arc<str>,
    /// The negative prompt.
    pub negative: Arc<str>,
}

/// Images in time.
#[derive(Debug)]
pub struct Video {
    /// The frames, of one size.
    pub images: Arc<Vec<RgbImage>>,
    /// Frames per second.
    pub fps: f64,
}

impl Value {
    /// Returns the memory of its pixels in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Images(images) => images.iter().map(|image| image.as_raw().len()).sum(),
            Self::Masks(masks) => masks.iter().map(|mask| mask.as_raw().len()).sum(),
            _ => 0,
        }
    }

    /// Returns a value for an error message: plain ones are shown, others described.
    pub fn describe(&self) -> Json {
        match self {
            Self::Plain(value) if value.is_object() || value.is_array() => Json::String(value.to_string()),
            Self::Plain(value) => value.clone(),
            Self::Images(images) => {
                let (width, height) = images.first().map_or((0, 0), RgbImage::dimensions);
                Json::String(format!("simulated tensor, {} images of {width}x{height}", images.len()))
            }
            Self::Masks(masks) => Json::String(format!("simulated tensor, {} masks", masks.len())),
            Self::Latent(latent) => {
                Json::String(format!("simulated latent of {}x{}", latent.width, latent.height))
            }
            Self::Conditioning(_) => Json::String("simulated conditioning".to_owned()),
            Self::Sigmas(sigmas) => Json::String(format!("simulated tensor, {} sigmas", sigmas.len())),
            Self::Noise(_) => Json::String("simulated noise".to_owned()),
            Self::Guider(_) => Json::String("simulated guider".to_owned()),
            Self::Video(video) => Json::String(format!("simulated video of {} frames", video.images.len())),
            Self::Model(name) => Json::String(format!("simulated model {name}")),
        }
    }
}
