//! The files of a job.

use actix_web::{Responder, web};
use comfy_runner_api::{JobDetails, JobFile, JobFiles, JobRecord, JobText};
use comfy_runner_client::FileQuery;
use comfy_runner_protocol::OutputFile;

use super::answer;
use crate::server::State;
use crate::server::error::ApiError;
use crate::server::media_type::media_type;

/// `GET /api/jobs/{prompt_id}/files`
pub async fn files(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    answer(&files_and_texts(&state, &prompt_id).await?)
}

/// Returns the files and texts of a recorded job.
pub async fn files_and_texts(state: &State, prompt_id: &str) -> Result<JobFiles, ApiError> {
    let record = state.jobs.record(prompt_id).await?;
    let details = state.jobs.details(prompt_id).await?;
    Ok(JobFiles { files: from_record(&record), texts: texts(&record, &details) })
}

/// The files of a recorded job, with links.
fn from_record(record: &JobRecord) -> Vec<JobFile> {
    let nodes = record.summary.outputs.iter();
    let files = nodes.flat_map(|(id, files)| files.iter().map(move |file| (id.as_str(), file)));
    files
        .map(|(node_id, file)| {
            let node = record.graph.node(node_id);
            JobFile {
                node_id: node_id.to_owned(),
                node_title: node.map_or(node_id, |node| node.title()).to_owned(),
                node_type: node.map_or("", |node| &node.class_type).to_owned(),
                file: file.clone(),
                media: file.media(),
                media_type: media_type(&file.filename).to_owned(),
                url: link(file),
            }
        })
        .collect()
}

/// The texts of a recorded job.
fn texts(record: &JobRecord, details: &JobDetails) -> Vec<JobText> {
    let texts =
        details.outputs.iter().flat_map(|node| node.texts.iter().map(|text| (node.node_id.as_str(), text)));
    texts
        .map(|(node_id, text)| {
            let node = record.graph.node(node_id);
            JobText {
                node_id: node_id.to_owned(),
                node_title: node.map_or(node_id, |node| node.title()).to_owned(),
                node_type: node.map_or("", |node| &node.class_type).to_owned(),
                text: text.clone(),
            }
        })
        .collect()
}

/// Returns the path and query string of a file on this server.
pub fn link(file: &OutputFile) -> String {
    format!("/api/comfyui{}", FileQuery::from(file).path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_whatever_a_file_is_called() {
        let file =
            OutputFile {
                filename: "a b&c=ü.png".into(), subfolder: "x/final".into(), kind: "output".into()
            };
        assert_eq!(
            link(&file),
            "/api/comfyui/view?filename=a%20b%26c%3D%C3%BC.png&subfolder=x%2Ffinal&type=output"
        );
    }
}
