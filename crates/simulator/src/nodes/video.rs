//! Video nodes: latents, and files.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use serde_json::{Map, json};

use super::encode::EncodeError;
use super::h264::Encoder;
use super::mp4::Writer;
use super::{Call, Failure, Made, bounded};
use crate::files::{Counting, Folder};
use crate::paint::{Ground, Latent};
use crate::value::{Value, Video};

/// A side of a latent's pixel in pixels of the image.
const WAN_CELL: u32 = 8;

pub fn image_to_video(call: &mut Call<'_>) -> Result<Made, Failure> {
    conditioned(call, &["start_image"])
}

/// The last image is not painted towards: the video starts from the first, or else from the last.
pub fn first_and_last_to_video(call: &mut Call<'_>) -> Result<Made, Failure> {
    conditioned(call, &["start_image", "end_image"])
}

pub fn image_to_video_latent(call: &mut Call<'_>) -> Result<Made, Failure> {
    call.model("vae")?;
    let ground = ground(call, &["start_image"])?;
    frames(call, ground).map(Made::latent)
}

pub fn empty(call: &mut Call<'_>) -> Result<Made, Failure> {
    frames(call, Ground::Empty).map(Made::latent)
}

fn conditioned(call: &mut Call<'_>, pictures: &[&str]) -> Result<Made, Failure> {
    let (positive, negative) = (call.conditioning("positive")?, call.conditioning("negative")?);
    let ground = ground(call, pictures)?;
    let latent = frames(call, ground)?;
    let outputs =
        vec![Value::Conditioning(positive), Value::Conditioning(negative), Value::Latent(Arc::new(latent))];
    Ok(Made { outputs, ..Made::default() })
}

/// The first of these inputs that there is, as what the video starts from.
fn ground(call: &Call<'_>, pictures: &[&str]) -> Result<Ground, Failure> {
    match pictures.iter().find(|name| call.inputs.contains_key(**name)) {
        Some(name) => Ok(Ground::Pictures(Arc::new(vec![call.images(name)?[0].clone()]))),
        None => Ok(Ground::Empty),
    }
}

fn frames(call: &Call<'_>, ground: Ground) -> Result<Latent, Failure> {
    let (width, height, length) = (call.size("width")?, call.size("height")?, call.size("length")?);
    if call.size("batch_size")? != 1 {
        let message = "the simulator makes one video at a time: set batch_size to 1";
        return Err(Failure::raised("ValueError", message));
    }
    // The model packs four frames into one and keeps the first for itself.
    let frames = (length.max(1) - 1) / 4 * 4 + 1;
    bounded(width, height, frames as usize)?;
    let side = |side: u32| (side / WAN_CELL * WAN_CELL).max(WAN_CELL);
    Ok(Latent { film: true, ground, ..Latent::empty(side(width), side(height), frames) })
}

pub fn create(call: &mut Call<'_>) -> Result<Made, Failure> {
    if call.inputs.contains_key("audio") {
        return Err(Failure::raised("ValueError", "the simulator makes videos without sound: unlink audio"));
    }
    let video = Video { images: call.images("images")?, fps: call.float("fps")? };
    Ok(Made::one(Value::Video(Arc::new(video))))
}

/// Saves H.264 in MP4, for any requested quality: ComfyUI's `auto`, which every browser plays.
pub fn save(call: &mut Call<'_>) -> Result<Made, Failure> {
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
    Ok(Made { outputs: vec![Value::Video(video)], report })
}

fn write(call: &mut Call<'_>, path: &Path, video: &Video) -> Result<(), Failure> {
    let (width, height) = video.images.first().map_or((0, 0), RgbImage::dimensions);
    let mut encoder = Encoder::new(width, height);
    let mut file = Writer::create(path).map_err(EncodeError::from)?;
    for picture in video.images.iter() {
        call.steps.check()?;
        file.add(&encoder.encode(picture)).map_err(EncodeError::from)?;
    }
    Ok(file.finish(&encoder, video.fps).map_err(EncodeError::from)?)
}
