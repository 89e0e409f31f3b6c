//! Deleting the record of a job, and its files.

use actix_web::{HttpResponse, web};
use comfy_runner_api::{DeleteJobQuery, DeletedJob};
use comfy_runner_jobs::RecordError;
use comfy_runner_protocol::OutputFile;
use comfy_runner_workflow::OutputFolder;

use crate::server::State;
use crate::server::comfyui_folders::delete_job_folder;
use crate::server::error::ApiError;

/// Why no files are deleted.
const NO_ACCESS: &str = "the files of jobs cannot be deleted here: ComfyUI cannot delete files over HTTP, and the server does \
                         not know its output folder; start it with --comfyui-output-dir DIR on ComfyUI's machine, or \
                         delete the record alone, without `files`";

/// `DELETE /api/jobs/{prompt_id}`
pub async fn delete(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
    query: web::Query<DeleteJobQuery>,
) -> Result<HttpResponse, ApiError> {
    match query.files.as_deref() {
        None | Some("false" | "0") => {
            state.jobs.forget(&prompt_id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        Some("true" | "1") => Ok(HttpResponse::Ok().json(delete_with_files(&state, &prompt_id).await?)),
        Some(other) => Err(ApiError::BadRequest(format!("`files` is `true` or `false`, not \"{other}\""))),
    }
}

/// Deletes the job's own folder, and then its record. When the files cannot be deleted, the record stays.
async fn delete_with_files(state: &State, prompt_id: &str) -> Result<DeletedJob, ApiError> {
    let Some(output) = state.folders.output.clone() else {
        return Err(ApiError::NotImplemented(NO_ACCESS));
    };
    let job = state.jobs.record(prompt_id).await?.summary;
    if !job.status.is_over() {
        return Err(RecordError::Active(prompt_id.to_owned()).into());
    }
    let mut deleted_files = 0;
    // Only a name that this server made is deleted.
    let folder = OutputFolder::parse(&job.output_folder);
    if let Some(folder) = folder.clone() {
        let deleted = web::block(move || delete_job_folder(&output, &folder)).await;
        let deleted = deleted.map_err(|error| ApiError::Unavailable(error.to_string()))?;
        deleted_files = deleted.map_err(|error| {
            ApiError::Files(format!(
                "the files of job \"{prompt_id}\" cannot be deleted, and its record stays: {error}"
            ))
        })?;
    }
    state.jobs.forget(prompt_id).await?;
    let reported = job.outputs.into_values().flatten();
    let kept = reported.filter(|file| file.kind == "output" && !is_in(file, folder.as_ref()));
    Ok(DeletedJob { prompt_id: prompt_id.to_owned(), deleted_files, kept: kept.collect() })
}

/// Returns whether a file is in a job's folder.
fn is_in(file: &OutputFile, folder: Option<&OutputFolder>) -> bool {
    let first = file.subfolder.split(['/', '\\']).next();
    folder.is_some_and(|folder| first == Some(folder.as_str()))
}
