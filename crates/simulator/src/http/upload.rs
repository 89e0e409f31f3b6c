//! `/upload/image` and `/upload/mask`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use actix_multipart::Multipart;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::multipart::{self, Form};
use crate::decode;
use crate::files::{Folder, annotation};
use crate::state::State;

/// Stores the part `image` under its name, or another name if a different image has that name and `overwrite` is not
/// set.
pub async fn image(state: web::Data<State>, parts: Multipart) -> HttpResponse {
    receive(state, parts, |_, _| Ok(())).await
}

/// Stores a mask like [`image`]: the image that `original_ref` names, with the mask as its alpha channel.
pub async fn mask(state: web::Data<State>, parts: Multipart) -> HttpResponse {
    receive(state, parts, apply_mask).await
}

/// The answer to a refused upload: only a status, as from ComfyUI.
struct Refused(u16);

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        tracing::warn!(%error, "an upload could not be kept");
        Self(500)
    }
}

async fn receive(
    state: web::Data<State>,
    parts: Multipart,
    change: fn(&State, &mut Form) -> Result<(), Refused>,
) -> HttpResponse {
    let limit = state.max_upload_size;
    let mut form = match multipart::read(parts, &state.files.path(Folder::Temp), limit).await {
        Ok(form) => form,
        Err(error) => return error.response(),
    };
    let kept = web::block(move || {
        change(&state, &mut form)?;
        keep(&state, form)
    });
    match kept.await {
        Ok(Ok(answer)) => HttpResponse::Ok().json(answer),
        Ok(Err(Refused(status))) => {
            let status = actix_web::http::StatusCode::from_u16(status);
            HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::BAD_REQUEST)).finish()
        }
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

fn keep(state: &State, form: Form) -> Result<Value, Refused> {
    let value = |key: &str| form.values.get(key).map_or("", String::as_str);
    let (filename, file) = form.image.as_ref().ok_or(Refused(400))?;
    let folder = match value("type") {
        "" => Folder::Input,
        name => Folder::from_name(name).ok_or(Refused(400))?,
    };
    let subfolder = value("subfolder");
    if filename.is_empty() || filename.ends_with('/') {
        return Err(Refused(400));
    }
    let mut path = state.files.inside(folder, subfolder, filename).ok_or(Refused(400))?;
    let parent = path.parent().ok_or(Refused(400))?.to_owned();
    std::fs::create_dir_all(&parent)?;
    let mut name = filename.clone();
    let overwrite = matches!(value("overwrite"), "true" | "1");
    let mut number = 1;
    while !overwrite && path.exists() {
        if same_content(&path, file.path())? {
            return Ok(json!({"name": name, "subfolder": subfolder, "type": folder.name()}));
        }
        name = numbered(filename, number);
        path = state.files.inside(folder, subfolder, &name).ok_or(Refused(400))?;
        number += 1;
    }
    let Some((_, file)) = form.image else { return Err(Refused(400)) };
    file.persist(&path).map_err(|error| error.error)?;
    Ok(
        json!({"name": name, "subfolder": form.values.get("subfolder").map_or("", String::as_str), "type": folder.name()}),
    )
}

/// `name (1).png`
fn numbered(filename: &str, number: u32) -> String {
    match filename.rfind('.').filter(|dot| *dot > 0) {
        Some(dot) => format!("{} ({number}){}", &filename[..dot], &filename[dot..]),
        None => format!("{filename} ({number})"),
    }
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut from_a, mut from_b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let read = a.read(&mut from_a)?;
        if read == 0 {
            return Ok(true);
        }
        b.read_exact(&mut from_b[..read])?;
        if from_a[..read] != from_b[..read] {
            return Ok(false);
        }
    }
}

fn apply_mask(state: &State, form: &mut Form) -> Result<(), Refused> {
    let original: Value = form
        .values
        .get("original_ref")
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(Refused(400))?;
    let text = |key: &str| original.get(key).and_then(Value::as_str);
    let (filename, folder) = annotation(text("filename").ok_or(Refused(400))?);
    let folder =
        folder.or_else(|| Folder::from_name(text("type").unwrap_or("output"))).ok_or(Refused(400))?;
    let path = state.files.inside(folder, text("subfolder").unwrap_or(""), filename).ok_or(Refused(400))?;
    let (_, upload) = form.image.as_mut().ok_or(Refused(400))?;
    let rgba =
        |path: &Path| decode::first_frame(path).map(|image| image.to_rgba8()).map_err(|_| Refused(400));
    let (mut image, mask) = (rgba(&path)?, rgba(upload.path())?);
    if mask.dimensions() != image.dimensions() {
        return Err(Refused(400));
    }
    for (pixel, mask) in image.pixels_mut().zip(mask.pixels()) {
        pixel[3] = mask[3];
    }
    image.save_with_format(upload.path(), image::ImageFormat::Png).map_err(|_| Refused(500))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_before_the_extension() {
        assert_eq!(numbered("a.b.png", 2), "a.b (2).png");
        assert_eq!(numbered("plain", 1), "plain (1)");
        assert_eq!(numbered(".hidden", 1), ".hidden (1)");
    }
}
