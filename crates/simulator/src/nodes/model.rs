//! Stand-ins for models: they carry names along.

use std::sync::Arc;

use super::{Call, Failure, Made};
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

pub fn encode_vision(call: &mut Call<'_>) -> Result<Made, Failure> {
    call.images("image")?;
    let model = call.model("clip_vision")?;
    Ok(Made::one(Value::Model(model)))
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
