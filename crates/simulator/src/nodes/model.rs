//! Stand-ins for models, which are only names.

use std::sync::Arc;

use image::imageops::{self, FilterType};

use super::{Call, Failure, NodeResult, bounded};
use crate::value::Value;

pub fn checkpoint(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let name: Arc<str> = Arc::from(call.text("ckpt_name")?);
    call.steps.take_model_time(4);
    Ok(NodeResult { outputs: vec![Value::Model(name); 3], ..NodeResult::default() })
}

/// Loads a model from one file.
pub fn file(call: &mut Call<'_>, input: &str) -> Result<NodeResult, Failure> {
    let name = Arc::from(call.text(input)?);
    call.steps.take_model_time(2);
    Ok(NodeResult::one(Value::Model(name)))
}

pub fn dual_clip(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let names = format!("{} and {}", call.text("clip_name1")?, call.text("clip_name2")?);
    Ok(NodeResult::one(Value::Model(Arc::from(names))))
}

pub fn lora(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let model = with_lora(call, "model", "strength_model")?;
    let clip = with_lora(call, "clip", "strength_clip")?;
    Ok(NodeResult { outputs: vec![model, clip], ..NodeResult::default() })
}

pub fn lora_model_only(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    with_lora(call, "model", "strength_model").map(NodeResult::one)
}

/// Returns the input unchanged.
pub fn pass(call: &mut Call<'_>, input: &str) -> Result<NodeResult, Failure> {
    call.input(input).cloned().map(NodeResult::one)
}

pub fn encode_text(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.model("clip")?;
    let text = Arc::from(call.text("text")?);
    call.steps.take_model_time(1);
    Ok(NodeResult::one(Value::Conditioning(text)))
}

/// Encodes the text and ignores the images.
pub fn encode_text_and_images(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.model("clip")?;
    let text = Arc::from(call.text("prompt")?);
    call.steps.take_model_time(1);
    Ok(NodeResult::one(Value::Conditioning(text)))
}

pub fn encode_vision(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.images("image")?;
    let model = call.model("clip_vision")?;
    Ok(NodeResult::one(Value::Model(model)))
}

/// Enlarges images by the factor in the model's name: `4x-UltraSharp` multiplies each side by four.
pub fn upscale_image(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let model = call.model("upscale_model")?;
    let images = call.images("image")?;
    call.steps.use_model(&model);
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
    Ok(NodeResult::images(larger))
}

/// Adds a LoRA to the name of a model; one of strength 0 changes nothing.
fn with_lora(call: &Call<'_>, input: &str, strength: &str) -> Result<Value, Failure> {
    let model = call.model(input)?;
    let strength = call.float(strength)?;
    if strength == 0.0 {
        return Ok(Value::Model(model));
    }
    Ok(Value::Model(Arc::from(format!("{model} + {} x {strength}", call.text("lora_name")?))))
}
