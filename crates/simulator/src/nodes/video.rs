//! Video nodes: latents, and files.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use serde_json::{Map, json};

use super::encode::EncodeError;
use super::h264::Encoder;
use super::mp4::Writer;
use super::{Call, Failure, NodeResult, bounded};
use crate::files::{Counting, Folder};
use crate::paint::{Background, Latent};
use crate::value::{Value, Video};

/// The side of a latent's pixel in pixels of the image.
const WAN_CELL: u32 = 8;

pub fn image_to_video(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    conditioned(call, &["start_image"])
}

/// Ignores the last image if there is a first one: the video starts from the first, or else from the last.
pub fn first_and_last_to_video(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    conditioned(call, &["start_image", "end_image"])
}

pub fn image_to_video_latent(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.model("vae")?;
    let background = background(call, &["start_image"])?;
    frames(call, background).map(NodeResult::latent)
}

pub fn empty(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    frames(call, Background::Empty).map(NodeResult::latent)
}

fn conditioned(call: &mut Call<'_>, images: &[&str]) -> Result<NodeResult, Failure> {
    let (positive, negative) = (call.conditioning("positive")?, call.conditioning("negative")?);
    let background = background(call, images)?;
    let latent = frames(call, background)?;
    let outputs =
        vec![Value::Conditioning(positive), Value::Conditioning(negative), Value::Latent(Arc::new(latent))];
    Ok(NodeResult { outputs, ..NodeResult::default() })
}

/// Returns the image of the first of these inputs that is present, from which the video starts.
fn background(call: &Call<'_>, images: &[&str]) -> Result<Background, Failure> {
    match images.iter().find(|name| call.inputs.contains_key(**name)) {
        Some(name) => Ok(Background::Images(Arc::new(vec![call.images(name)?[0].clone()]))),
        None => Ok(Background::Empty),
    }
}

fn frames(call: &Call<'_>, background: Background) -> Result<Latent, Failure> {
    let (width, height, length) = (call.size("width")?, call.size("height")?, call.size("length")?);
    if call.size("batch_size")? != 1 {
        let message = "the simulator makes one video at a time: set batch_size to 1";
        return Err(Failure::raised("ValueError", message));
    }
    // The model packs four frames into one and keeps the first for itself.
    let frames = (length.max(1) - 1) / 4 * 4 + 1;
    bounded(width, height, frames as usize)?;
    let side = |side: u32| (side / WAN_CELL * WAN_CELL).max(WAN_CELL);
    Ok(Latent { is_video: true, background, ..Latent::empty(side(width), side(height), frames) })
}

pub fn create(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    if call.inputs.contains_key("audio") {
        return Err(Failure::raised("ValueError", "the simulator makes videos without sound: unlink audio"));
    }
    let video = Video { images: call.images("images")?, fps: call.float("fps")? };
    Ok(NodeResult::one(Value::Video(Arc::new(video))))
}

/// Saves H.264 in MP4, for any requested quality: ComfyUI's `auto`, which every browser plays.
pub fn save(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let Value::Video(video) = call.input("video")?.clone() else { return call.wrong("video", "a video") };
    let codec = if call.inputs.contains_key("codec") { "codec" } else { "format.codec" };
    let codec = if call.inputs.contains_key(codec) { call.text(codec)? } else { "auto" };
    let format = call.text("format")?;
    if !matches!(format, "auto" | "mp4") || !matches!(codec, "auto" | "h264") {
        let message = format!("the simulator writes H.264 in MP4 only, not {codec} in {format}");
        return Err(Failure::raised("ValueError", message));
    }
    let prefix = call.text("filename_prefix")?;
    let size = video.images.first().map_or((0, 0), RgbImage::dimensions);
    let place = call.files.next(Folder::Output, prefix, size, Counting::Underscored)?;
    let filename = format!("{}_{:05}_.mp4", place.stem, place.counter);
    write(call, &place.path.join(&filename), &video)?;
    let file = json!({"filename": filename, "subfolder": place.subfolder, "type": Folder::Output.name()});
    let report =
        Map::from_iter([("images".to_owned(), json!([file])), ("animated".to_owned(), json!([true]))]);
    // The node returns its video; in ComfyUI 0.3.64 the node has no output.
    Ok(NodeResult { outputs: vec![Value::Video(video)], report })
}

fn write(call: &mut Call<'_>, path: &Path, video: &Video) -> Result<(), Failure> {
    let (width, height) = video.images.first().map_or((0, 0), RgbImage::dimensions);
    let mut encoder = Encoder::new(width, height);
    let mut file = Writer::create(path).map_err(EncodeError::from)?;
    for image in video.images.iter() {
        call.steps.check()?;
        file.add(&encoder.encode(image)).map_err(EncodeError::from)?;
    }
    Ok(file.finish(&encoder, video.fps).map_err(EncodeError::from)?)
}
