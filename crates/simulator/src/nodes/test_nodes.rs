//! The three nodes for trying out a client without any model.

use image::RgbImage;
use image::imageops::{self, FilterType};
use serde_json::{Map, json};

use super::{Call, Failure, NodeResult};
use crate::value::Value;

/// The longer side of a preview in pixels; smaller images are enlarged, as ComfyUI does.
const PREVIEW: u32 = 512;

pub fn progress(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("image")?;
    let (steps, delay) = (call.whole("steps")?, call.whole("delay_ms")?);
    let preview = || contained(&images[0]);
    let preview: Option<&dyn Fn() -> RgbImage> = if call.flag("preview")? { Some(&preview) } else { None };
    for step in 1..=steps {
        call.steps.check()?;
        call.steps.take_time(delay);
        call.steps.done(step, steps, preview)?;
    }
    Ok(NodeResult::one(Value::Images(images.clone())))
}

pub fn fail(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    Err(Failure::raised("ValueError", call.text("message")?))
}

pub fn text(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let text = call.text("text")?;
    Ok(NodeResult::reported(Map::from_iter([("text".to_owned(), json!([text]))])))
}

fn contained(image: &RgbImage) -> RgbImage {
    let scale = f64::from(PREVIEW) / f64::from(image.width().max(image.height()));
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    imageops::resize(image, scaled(image.width()), scaled(image.height()), FilterType::Triangle)
}
