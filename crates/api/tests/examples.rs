//! Every JSON example of the contract and of docs/api.md is read as its type, and written again as the same value.

use std::collections::BTreeMap;

use comfy_runner_api::{
    BrokenWorkflows, Cancellation, CollectedFiles, ComfyUis, DeletedFile, DeletedJob, DrainedComfyUi,
    EditedManifest, ErrorBody, FinishedJob, FlatStatus, Health, Inspection, IssuedToken, JobFiles, JobList,
    JobRecord, JobStatus, Manifest, ManifestEdit, ModelList, ModelLists, NewWorkflow, Queue, Readiness,
    Session, Submitted, SubmittedJobs, TokenRequest, UnsavedRun, Update, Uploaded, UploadedFiles,
    WorkflowCheck, WorkflowList,
};
use comfy_runner_protocol::Graph;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const CONTRACT: &str = include_str!("../../../fixtures/contract/runner-api.txt");
const PAGE: &str = include_str!("../../../docs/api.md");

/// Reads an example as a type and writes it again.
type RoundTrip = fn(&Value) -> Result<Value, serde_json::Error>;

fn round_trip<T: Serialize + DeserializeOwned>(example: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(example)?)
}

/// The types of the examples under a heading, in the order of the page.
type Headings = BTreeMap<&'static str, Vec<RoundTrip>>;

fn assert_round_trips(mut headings: Headings, examples: Vec<(&str, Value)>) {
    assert!(!examples.is_empty());
    for (heading, example) in examples {
        let types = headings.get_mut(heading).filter(|types| !types.is_empty());
        let types = types.unwrap_or_else(|| panic!("no type for the example under \"{heading}\": {example}"));
        match types.remove(0)(&example) {
            Ok(written) => assert_eq!(written, example, "under \"{heading}\""),
            Err(error) => panic!("under \"{heading}\": {error}: {example}"),
        }
    }
    let left: Vec<_> = headings.iter().filter(|(_, types)| !types.is_empty()).map(|(name, _)| name).collect();
    assert!(left.is_empty(), "types without an example: {left:?}");
}

/// The JSON objects of the contract, each from a line `{` to the next line `}`, with the route above them.
fn contract_examples() -> Vec<(&'static str, Value)> {
    let mut examples = Vec::new();
    let (mut route, mut text) = ("", None);
    for line in CONTRACT.lines() {
        if ["GET ", "POST "].iter().any(|method| line.starts_with(method)) {
            route = line;
        }
        if line == "{" {
            text = Some(String::new());
        }
        if let Some(text) = &mut text {
            text.push_str(line);
        }
        if line == "}" {
            let text = text.take().unwrap();
            examples.push((route, serde_json::from_str(&text).unwrap()));
        }
    }
    examples
}

/// The fenced JSON of the page, each value with the heading above it. A block may hold several values.
fn page_examples() -> Vec<(&'static str, Value)> {
    let mut examples = Vec::new();
    let mut heading = "";
    let mut rest = PAGE;
    while let Some((before, block)) = rest.split_once("```") {
        heading = before
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
            .unwrap_or(heading);
        let (block, after) = block.split_once("```").unwrap();
        rest = after;
        let Some(json) = block.strip_prefix("json\n") else { continue };
        for value in serde_json::Deserializer::from_str(json).into_iter() {
            examples.push((
                heading,
                value.unwrap_or_else(|error| panic!("under \"{heading}\": {error}: {json}")),
            ));
        }
    }
    examples
}

#[test]
fn the_contracts_examples_are_read_and_written_as_their_types() {
    let headings: Headings = BTreeMap::from([
        ("GET /api/run/{workflow_id}", vec![round_trip::<Manifest> as RoundTrip]),
        ("POST /api/run/upload-image", vec![round_trip::<Uploaded>, round_trip::<ErrorBody>]),
        ("POST /api/run/{workflow_id}/build", vec![round_trip::<Graph>]),
        ("POST /api/run/{workflow_id}/execute", vec![round_trip::<Submitted>]),
        ("GET /api/run/status/{prompt_id}", vec![round_trip::<JobStatus>; 4]),
    ]);
    assert_round_trips(headings, contract_examples());
}

#[test]
fn the_examples_of_docs_api_md_are_read_and_written_as_their_types() {
    let headings: Headings = BTreeMap::from([
        ("Errors", vec![round_trip::<ErrorBody> as RoundTrip; 3]),
        ("`GET /api/workflows`", vec![round_trip::<WorkflowList>]),
        ("`GET /api/broken-workflows`", vec![round_trip::<BrokenWorkflows>]),
        ("`GET /api/workflows/{workflow_id}/check`", vec![round_trip::<WorkflowCheck>]),
        ("`POST /api/workflows/inspect?id=workflow`", vec![round_trip::<Inspection>]),
        (
            "`GET /api/models` and `GET /api/models/{kind}`",
            vec![round_trip::<ModelLists>, round_trip::<ModelList>, round_trip::<ModelList>],
        ),
        ("`GET /api/run/{workflow_id}?resolve=true`", vec![round_trip::<Manifest>]),
        ("`POST /api/run/upload-image`", vec![round_trip::<Uploaded>]),
        ("`POST /api/run/{workflow_id}/execute`", vec![round_trip::<Submitted>; 2]),
        ("Several jobs", vec![round_trip::<SubmittedJobs>, round_trip::<ErrorBody>]),
        ("Waiting for the result", vec![round_trip::<FinishedJob>]),
        ("`GET /api/run/status/{prompt_id}`", vec![round_trip::<JobStatus>; 5]),
        ("`POST /api/token`", vec![round_trip::<TokenRequest>, round_trip::<IssuedToken>]),
        ("Following a job", vec![round_trip::<Update>; 4]),
        ("`GET /api/run/ws`", vec![round_trip::<FlatStatus>; 2]),
        ("`POST /api/run/cancel/{prompt_id}`", vec![round_trip::<Cancellation>]),
        ("`GET /api/jobs`", vec![round_trip::<JobList>]),
        ("`GET /api/jobs/{prompt_id}`", vec![round_trip::<JobRecord>]),
        ("`GET /api/jobs/{prompt_id}/files`", vec![round_trip::<JobFiles>]),
        ("`DELETE /api/jobs/{prompt_id}`", vec![round_trip::<DeletedJob>]),
        (
            "`GET /api/files` and `DELETE /api/files/{filename}`",
            vec![round_trip::<UploadedFiles>, round_trip::<DeletedFile>],
        ),
        ("`PUT /api/workflows/{workflow_id}`", vec![round_trip::<NewWorkflow>]),
        ("`POST /api/manifest/edit`", vec![round_trip::<ManifestEdit>, round_trip::<EditedManifest>]),
        ("`POST /api/manifest/execute`", vec![round_trip::<UnsavedRun>]),
        ("`/api/session`", vec![round_trip::<Session>]),
        ("`POST /api/files/gc`", vec![round_trip::<CollectedFiles>]),
        ("`GET /api/queue`", vec![round_trip::<Queue>]),
        ("`GET /api/comfyui`", vec![round_trip::<ComfyUis>, round_trip::<DrainedComfyUi>]),
        ("`GET /health` and `GET /ready`", vec![round_trip::<Health>, round_trip::<Readiness>]),
    ]);
    assert_round_trips(headings, page_examples());
}

#[test]
fn unknown_fields_of_a_response_are_ignored() {
    let status = r#"{"status": "pending", "step": 0, "total_steps": 0, "later": 1}"#;
    let status: JobStatus = serde_json::from_str(status).unwrap();
    assert_eq!(serde_json::to_string(&status).unwrap(), r#"{"status":"pending","step":0,"total_steps":0}"#);
}
