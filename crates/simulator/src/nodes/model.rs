//! Stand-ins for models: they carry names along.

use std::sync::Arc;

use image::imageops::{self, FilterType};

use super::{Call, Failure, Made, bounded};
use crate::value::Value;

pub fn checkpoint(call: &mut Call<'_>) -> Result<Made, Failure> {
    let name: Arc<str> = Arc::from(call.text("ckpt_name")?);
    call.steps.take_model_time(4);
    Ok(Made { outputs: vec![Value::Model(name); 3], ..Made::default() })
}

/// A model that comes from one file.
pub fn file(call: &mut Call<'_>, input: &str) -> Result<Made, Failure> {
    let name = Arc::from(call.text(input)?);
    call.steps.take_model_time(2);
    Ok(Made::one(Value::Model(name)))
}

pub fn dual_clip(call: &mut Call<'_>) -> Result<Made, Failure> {
    let names = format!("{} and {}", call.text("clip_name1")?, call.text("clip_name2")?);
    Ok(Made::one(Value::Model(Arc::from(names))))
}

pub fn lora(call: &mut Call<'_>) -> Result<Made, Failure> {
    let model = with_lora(call, "model", "strength_model")?;
    let clip = with_lora(call, "clip", "strength_clip")?;
    Ok(Made { outputs: vec![model, clip], ..Made::default() })
}

pub fn lora_model_only(call: &mut Call<'_>) -> Result<Made, Failure> {
    with_lora(call, "model", "strength_model").map(Made::one)
}

/// The input as it came.
pub fn pass(call: &mut Call<'_>, input: &str) -> Result<Made, Failure> {
    call.input(input).cloned().map(Made::one)
}

pub fn encode_text(call: &mut Call<'_>) -> Result<Made, Failure> {
    call.model("clip")?;
    let text = Arc::from(call.text("text")?);
    call.steps.take_model_time(1);
    Ok(Made::one(Value::Conditioning(text)))
}

/// The text alone: the images beside it change nothing.
pub fn encode_text_and_pictures(call: &mut Call<'_>) -> Result<Made, Failure> {
    call.model("clip")?;
    let text = Arc::from(call.text("prompt")?);
    call.steps.take_model_time(1);
    Ok(Made::one(Value::Conditioning(text)))
}

pub fn encode_vision(call: &mut Call<'_>) -> Result<Made, Failure> {
    call.images("image")?;
    let model = call.model("clip_vision")?;
    Ok(Made::one(Value::Model(model)))
}

/// An image in the size that the model makes of it, by its name: `4x-UltraSharp` makes four times as much of each side.
pub fn upscale_picture(call: &mut Call<'_>) -> Result<Made, Failure> {
    let model = call.model("upscale_model")?;
    let images = call.images("image")?;
    let factor = if model.contains("2x") || model.contains("x2") { 2 } else { 4 };
    let (width, height) = images[0].dimensions();
    let (width, height) = (width.saturating_mul(factor), height.saturating_mul(factor));
    bounded(width, height, images.len())?;
    let mut larger = Vec::with_capacity(images.len());
    for image in images.iter() {
        call.steps.check()?;
        call.steps.take_model_time(1);
        larger.push(imageops::resize(image, width, height, FilterType::CatmullRom));
    }
    Ok(Made::images(larger))
}

/// A LoRA of no strength changes nothing.
fn with_lora(call: &Call<'_>, input: &str, strength: &str) -> Result<Value, Failure> {
    let model = call.model(input)?;
    let strength = call.float(strength)?;
    if strength == 0.0 {
        return Ok(Value::Model(model));
    }
    Ok(Value::Model(Arc::from(format!("{model} + {} x {strength}", call.text("lora_name")?))))
}
