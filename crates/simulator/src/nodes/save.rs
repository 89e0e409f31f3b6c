//! Nodes that write files and report them.

use image::RgbImage;
use serde_json::{Map, Value as Json, json};

use super::encode::{self, EncodeError};
use super::{Call, Failure, NodeResult};
use crate::files::{Counting, FileError, Folder};
use crate::value::Value;

/// The value of the text chunk `Software` in every image.
const SOFTWARE: &str = concat!("comfy-runner simulator ", env!("CARGO_PKG_VERSION"));

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::raised("OSError", error.to_string())
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let kind = if matches!(error, FileError::Outside(_)) { "Exception" } else { "OSError" };
        Self::raised(kind, error.to_string())
    }
}

pub fn image(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let prefix = call.text("filename_prefix")?.to_owned();
    save_images(call, Folder::Output, &prefix)
}

pub fn preview(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let random = uuid::Uuid::new_v4().into_bytes();
    let letters: String = random[..5].iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    save_images(call, Folder::Temp, &format!("ComfyUI_temp_{letters}"))
}

fn save_images(call: &mut Call<'_>, folder: Folder, prefix: &str) -> Result<NodeResult, Failure> {
    let images = call.images("images")?;
    let place = call.files.next(folder, prefix, images[0].dimensions(), Counting::Underscored)?;
    let texts = texts(call);
    let mut reported = Vec::with_capacity(images.len());
    for (number, image) in images.iter().enumerate() {
        call.steps.check()?;
        let stem = place.stem.replace("%batch_num%", &number.to_string());
        let filename = format!("{stem}_{:05}_.png", place.counter as usize + number);
        encode::png(&place.path.join(&filename), image, &texts)?;
        reported.push(json!({"filename": filename, "subfolder": place.subfolder, "type": folder.name()}));
    }
    Ok(NodeResult::reported(Map::from_iter([("images".to_owned(), Json::Array(reported))])))
}

pub fn animated_png(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (fps, texts) = (call.float("fps")?, texts(call));
    animation(call, "png", |path, frames| encode::animated_png(path, frames, fps, &texts))
}

/// Saves a lossless WebP; `lossless` and `quality` are ignored, because there is no lossy encoder.
pub fn animated_webp(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let fps = call.float("fps")?;
    animation(call, "webp", |path, frames| encode::animated_webp(path, frames, fps, 0))
}

fn animation(
    call: &mut Call<'_>,
    extension: &str,
    write: impl Fn(&std::path::Path, &[RgbImage]) -> Result<(), EncodeError>,
) -> Result<NodeResult, Failure> {
    let images = call.images("images")?;
    let prefix = call.text("filename_prefix")?;
    let place = call.files.next(Folder::Output, prefix, images[0].dimensions(), Counting::Underscored)?;
    let filename = format!("{}_{:05}_.{extension}", place.stem, place.counter);
    write(&place.path.join(&filename), &images)?;
    let file = json!({"filename": filename, "subfolder": place.subfolder, "type": Folder::Output.name()});
    Ok(NodeResult::reported(Map::from_iter([
        ("images".to_owned(), json!([file])),
        ("animated".to_owned(), json!([true])),
    ])))
}

/// Saves a video and its first frame as an image with the prompt, as the Video Helper Suite does.
pub fn video_combine(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let images = call.images("images")?;
    let rate = call.float("frame_rate")?;
    let format = call.text("format")?.to_owned();
    let loops = call.size("loop_count")?.min(u32::from(u16::MAX)) as u16;
    let saved = call.flag("save_output")?;
    let folder = if saved { Folder::Output } else { Folder::Temp };
    let prefix = call.text("filename_prefix")?;
    let place = call.files.next(folder, prefix, images[0].dimensions(), Counting::Plain)?;
    let name = |extension: &str| format!("{}_{:05}.{extension}", place.stem, place.counter);
    let still = name("png");
    encode::png(&place.path.join(&still), &images[0], &texts(call))?;
    let mut frames = images.to_vec();
    if call.flag("pingpong")? && frames.len() > 2 {
        frames.extend(images[1..images.len() - 1].iter().rev().cloned());
    }
    call.steps.check()?;
    let filename = name(if format == "image/webp" { "webp" } else { "gif" });
    let path = place.path.join(&filename);
    if format == "image/webp" {
        encode::animated_webp(&path, &frames, rate, loops)?;
    } else {
        encode::gif(&path, &frames, rate, loops)?;
    }
    let video = json!({
        "filename": filename,
        "subfolder": place.subfolder,
        "type": folder.name(),
        "format": format,
        "frame_rate": rate,
        "workflow": still,
        "fullpath": path,
    });
    let written = json!([saved, [place.path.join(&still), path]]);
    Ok(NodeResult {
        outputs: vec![Value::Plain(written)],
        report: Map::from_iter([("gifs".to_owned(), json!([video]))]),
    })
}

/// Returns the text chunks of a PNG: the prompt, the caller's `extra_pnginfo`, and the software.
fn texts(call: &Call<'_>) -> Vec<(String, String)> {
    let mut texts = vec![("prompt".to_owned(), ascii_json(&Json::Object(call.prompt.clone())))];
    for (key, value) in call.extra_pnginfo.into_iter().flatten() {
        // A PNG allows keywords of 1 to 79 characters of Latin-1.
        if (1..80).contains(&key.len()) && key.is_ascii() {
            texts.push((key.clone(), ascii_json(value)));
        }
    }
    texts.push(("Software".to_owned(), SOFTWARE.to_owned()));
    texts
}

/// JSON text with every character outside ASCII escaped, as Python writes it.
fn ascii_json(value: &Json) -> String {
    let mut ascii = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_an_image_is_ascii() {
        assert_eq!(ascii_json(&json!({"t": "ü😀"})), r#"{"t":"\u00fc\ud83d\ude00"}"#);
    }
}
