//! The files that a job made.

use actix_web::{Responder, web};
use comfy_runner_client::FileQuery;
use comfy_runner_protocol::{Media, OutputFile};
use comfy_runner_store::Record;
use serde::Serialize;

use super::answer;
use crate::server::State;
use crate::server::error::ApiError;
use crate::server::media_type::media_type;

/// One file of a job.
#[derive(Debug, Serialize)]
struct File<'a> {
    node_id: &'a str,
    node_title: &'a str,
    node_type: &'a str,
    #[serde(flatten)]
    file: &'a OutputFile,
    media: Media,
    media_type: &'static str,
    url: String,
}

/// `GET /api/jobs/{prompt_id}/files`
pub async fn files(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    #[derive(Serialize)]
    struct Listed<'a> {
        files: Vec<File<'a>>,
    }
    let record = state.jobs.record(&prompt_id).await?;
    answer(&Listed { files: of_record(&record) })
}

fn of_record(record: &Record) -> Vec<File<'_>> {
    let nodes = record.summary.outcome.outputs.iter();
    let files = nodes.flat_map(|(id, files)| files.iter().map(move |file| (id.as_str(), file)));
    files
        .map(|(node_id, file)| {
            let node = record.graph.node(node_id);
            File {
                node_id,
                node_title: node.map_or(node_id, |node| node.title()),
                node_type: node.map_or("", |node| &node.class_type),
                file,
                media: file.media(),
                media_type: media_type(&file.filename),
                url: link(file),
            }
        })
        .collect()
}

/// The path under which we deliver a file.
fn link(file: &OutputFile) -> String {
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
