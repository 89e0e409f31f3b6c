//! The files that callers uploaded.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{DeletedFile, FileFate, UploadedFile, UploadedFiles, UploadedFilesQuery};
use comfy_runner_protocol::OutputFile;

use super::State;
use super::comfyui_folders::delete_file;
use super::error::ApiError;
use super::jobs::{answer, link, query};
use super::media_type::media_type;

/// Why a file of ComfyUI stays.
const NO_ACCESS: &str = "ComfyUI cannot delete files over HTTP, and the server does not know its input folder: start it \
                         with --comfyui-input-dir DIR on ComfyUI's machine";

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
    let (file, reason) = match state.folders.input.clone() {
        None => (FileFate::Kept, Some(NO_ACCESS.to_owned())),
        Some(folder) => {
            let name = filename.clone();
            let deleted = web::block(move || delete_file(&folder, &name)).await;
            let deleted = deleted.map_err(|error| ApiError::Unavailable(error.to_string()))?;
            let deleted = deleted.map_err(|error| {
                ApiError::Files(format!("\"{filename}\" cannot be deleted, and its record stays: {error}"))
            })?;
            (if deleted { FileFate::Deleted } else { FileFate::Missing }, None)
        }
    };
    state.jobs.forget_upload(&filename).await?;
    Ok(HttpResponse::Ok().json(DeletedFile { filename, file, reason }))
}
