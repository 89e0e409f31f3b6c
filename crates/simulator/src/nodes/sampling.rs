//! Latents, and the sampler that paints them.

use std::sync::Arc;

use super::image_nodes::keep_ratio;
use super::{Call, Failure, NodeResult, bounded};
use crate::paint::{Background, Latent, Layer, Painting};
use crate::value::{Guider, Value};

/// The longer side of a preview in pixels.
const PREVIEW: u32 = 256;

pub fn empty(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (width, height, count) = (call.size("width")?, call.size("height")?, call.size("batch_size")?);
    bounded(width, height, count as usize)?;
    Ok(NodeResult::latent(Latent::empty(grid(width), grid(height), count)))
}

pub fn sample(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let work = Sampling {
        seed: call.whole("seed")?,
        steps: call.size("steps")?,
        strength: call.float("denoise")? as f32,
        leftover: 0.0,
    };
    guided(call, &work)
}

pub fn sample_advanced(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let steps = call.size("steps")?;
    let start = call.size("start_at_step")?.min(steps);
    let end = call.size("end_at_step")?.min(steps);
    if start >= end {
        return Ok(NodeResult::one(Value::Latent(call.latent("latent_image")?)));
    }
    let part = |step: u32| step as f32 / steps.max(1) as f32;
    let keeps_noise = call.text("return_with_leftover_noise")? == "enable";
    let work = Sampling {
        seed: call.whole("noise_seed")?,
        steps: end - start,
        strength: 1.0 - part(start),
        leftover: if keeps_noise { 1.0 - part(end) } else { 0.0 },
    };
    guided(call, &work)
}

fn guided(call: &mut Call<'_>, work: &Sampling) -> Result<NodeResult, Failure> {
    let guider = Guider {
        model: call.model("model")?,
        positive: call.conditioning("positive")?,
        negative: call.conditioning("negative")?,
    };
    let latent = call.latent("latent_image")?;
    work.run(call, &latent, &guider).map(NodeResult::latent)
}

/// One run of a sampler.
pub struct Sampling {
    /// The seed of the noise.
    pub seed: u64,
    /// The number of steps.
    pub steps: u32,
    /// How much of the latent is painted over, from 0 to 1.
    pub strength: f32,
    /// How much noise is left at the end, from 0 to 1.
    pub leftover: f32,
}

impl Sampling {
    /// Adds a layer of paint to the latent, with less noise at each step.
    pub fn run(&self, call: &mut Call<'_>, latent: &Latent, guider: &Guider) -> Result<Latent, Failure> {
        let mut latent = latent.clone();
        let Guider { model, positive, negative } = guider;
        call.steps.use_model(model);
        let paintings = if latent.is_video { 1 } else { latent.frames };
        // Each image of a batch has noise of its own.
        let image_seed = |image: u32| self.seed.wrapping_add(u64::from(image) << 32);
        let paintings =
            (0..paintings).map(|image| Painting::new(positive, negative, model, image_seed(image)));
        let paintings = Arc::new(paintings.collect::<Vec<_>>());
        latent.layers.push(Layer { paintings, strength: self.strength.clamp(0.0, 1.0) });
        for step in 1..=self.steps {
            call.steps.check()?;
            call.steps.take_model_time(1);
            let left = 1.0 - step as f32 / self.steps as f32;
            latent.noise = self.leftover + (self.strength - self.leftover).max(0.0) * left.powf(1.4);
            let preview = || latent.preview(0, PREVIEW);
            call.steps.done(u64::from(step), u64::from(self.steps), Some(&preview))?;
        }
        Ok(latent)
    }
}

pub fn upscale(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let latent = call.latent("samples")?;
    let wanted = (call.size("width")?, call.size("height")?);
    let (width, height) = keep_ratio((latent.width, latent.height), wanted);
    resized(&latent, width, height)
}

pub fn upscale_by(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let latent = call.latent("samples")?;
    let by = call.float("scale_by")?;
    let scaled = |side: u32| (f64::from(side) * by).round() as u32;
    resized(&latent, scaled(latent.width), scaled(latent.height))
}

pub fn repeat(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let latent = call.latent("samples")?;
    let frames = latent.frames.saturating_mul(call.size("amount")?);
    bounded(latent.width, latent.height, frames as usize)?;
    Ok(NodeResult::latent(Latent { frames, ..Latent::clone(&latent) }))
}

pub fn set_mask(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let mask = Arc::new(call.masks("mask")?[0].clone());
    let latent = call.latent("samples")?;
    Ok(NodeResult::latent(Latent { mask: Some(mask), ..Latent::clone(&latent) }))
}

pub fn decode(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.model("vae")?;
    let latent = call.latent("samples")?;
    bounded(latent.width, latent.height, latent.frames as usize)?;
    let mut images = Vec::with_capacity(latent.frames as usize);
    for frame in 0..latent.frames {
        call.steps.check()?;
        images.push(latent.decode(frame));
    }
    Ok(NodeResult::images(images))
}

pub fn encode(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    encoded(call).map(NodeResult::latent)
}

pub fn encode_for_inpaint(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let mask = Arc::new(call.masks("mask")?[0].clone());
    Ok(NodeResult::latent(Latent { mask: Some(mask), ..encoded(call)? }))
}

fn encoded(call: &Call<'_>) -> Result<Latent, Failure> {
    call.model("vae")?;
    let images = call.images("pixels")?;
    let (width, height) = images[0].dimensions();
    let frames = u32::try_from(images.len()).unwrap_or(u32::MAX);
    Ok(Latent { background: Background::Images(images), ..Latent::empty(grid(width), grid(height), frames) })
}

fn resized(latent: &Latent, width: u32, height: u32) -> Result<NodeResult, Failure> {
    bounded(width, height, latent.frames as usize)?;
    Ok(NodeResult::latent(Latent { width: grid(width), height: grid(height), ..latent.clone() }))
}

/// Rounds a side down to whole latent pixels of eight image pixels.
fn grid(side: u32) -> u32 {
    (side / 8 * 8).max(8)
}
