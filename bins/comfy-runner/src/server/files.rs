//! The files that callers uploaded.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{
    CollectFilesQuery, CollectedFiles, DeletedFile, FileFate, UploadedFile, UploadedFiles, UploadedFilesQuery,
};
use comfy_runner_protocol::OutputFile;

use super::State;
use super::comfyui_folders::delete_file;
use super::error::ApiError;
use super::jobs::{answer, link, query};
use super::media_type::media_type;

/// Why a file of ComfyUI stays.
const NO_ACCESS: &str = "ComfyUI cannot delete files over HTTP, and the server does not know its input folder: start it \
                         with --comfyui-input-dir DIR on ComfyUI's machine";

/// What may be left of a file that was in the file store.
const COPIES: &str = "it is deleted from the file store; if a job has read it, ComfyUI has a copy, which the server cannot \
                      delete without --comfyui-input-dir DIR";

/// `GET /api/files`
pub async fn list(
    state: web::Data<State>,
    query: web::Query<UploadedFilesQuery>,
) -> Result<impl Responder, ApiError> {
    let after = query.cursor.as_deref().map(query::read_cursor).transpose()?;
    let page = state.jobs.uploads(query::read_limit(query.limit.as_deref())?, after).await?;
    let files = page.uploads.into_iter().map(|upload| {
        let filename = upload.filename;
        let file =
            OutputFile { filename: filename.clone(), subfolder: String::new(), kind: "input".to_owned() };
        UploadedFile {
            media_type: media_type(&filename).to_owned(),
            url: link(&file),
            size: upload.size,
            uploaded_at: comfy_runner_jobs::timestamp(upload.uploaded_at),
            hash: upload.hash,
            filename,
        }
    });
    answer(&UploadedFiles { files: files.collect(), next_cursor: page.next.map(query::cursor) })
}

/// `DELETE /api/files/{filename}`
pub async fn delete(
    state: web::Data<State>,
    filename: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let filename = filename.into_inner();
    state.jobs.check_unused(&filename).await?;
    let is_stored = state.jobs.is_stored(&filename).await?;
    let (file, reason) = match state.folders.input.clone() {
        None if is_stored => (FileFate::Deleted, Some(COPIES.to_owned())),
        None => (FileFate::Kept, Some(NO_ACCESS.to_owned())),
        Some(folder) => {
            let name = filename.clone();
            let deleted = web::block(move || delete_file(&folder, &name)).await;
            let deleted = deleted.map_err(|error| ApiError::Unavailable(error.to_string()))?;
            let deleted = deleted.map_err(|error| {
                ApiError::Files(format!("\"{filename}\" cannot be deleted, and its record stays: {error}"))
            })?;
            (if deleted || is_stored { FileFate::Deleted } else { FileFate::Missing }, None)
        }
    };
    state.jobs.forget_upload(&filename).await?;
    Ok(HttpResponse::Ok().json(DeletedFile { filename, file, reason }))
}

/// `POST /api/files/gc`
pub async fn collect(
    state: web::Data<State>,
    query: web::Query<CollectFilesQuery>,
) -> Result<impl Responder, ApiError> {
    let dry_run = match query.dry_run.as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(other) => {
            let message = format!("`dry_run` is `true` or `false`, not \"{other}\"");
            return Err(ApiError::BadRequest(message));
        }
    };
    let collected = state.jobs.collect_files(dry_run).await?;
    answer(&CollectedFiles {
        dry_run,
        files: collected.files,
        bytes: collected.bytes,
        unfinished: collected.unfinished,
        kept_files: collected.kept,
        kept_bytes: collected.kept_bytes,
    })
}
