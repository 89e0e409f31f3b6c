//! Programs that read the OpenAPI document: schemathesis, which sends generated requests, and a generator of Python clients.
//!
//! They need Python 3 with `schemathesis` and `openapi-python-client`. Without these the tests say that they were skipped,
//! unless `COMFY_RUNNER_TEST_PYTHON` names an interpreter: then they fail.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use comfy_runner::server::{ComfyUiFolders, Limits, Settings};
use comfy_runner_simulator::Simulator;
use support::python::{python_with, run_to_its_end};
use support::{Api, fixtures, settings, simulator};

/// The operations in which one of two checks cannot hold: that a request which breaks its schema is refused, and that one which
/// keeps to it is accepted. All other operations are checked for both.
const NOT_CHECKED: &[(&str, &[&str], &str)] = &[
    (
        "negative_data_rejection",
        &["POST /api/run/{workflow_id}/execute"],
        "a header that no operation has counts as wrong, and no server refuses those",
    ),
    (
        "positive_data_acceptance",
        &["GET /api/files", "GET /api/jobs", "GET /api/v2/jobs"],
        "only a cursor of another page is one",
    ),
    ("positive_data_acceptance", &["GET /api/run/ws"], "it wants a WebSocket, which OpenAPI cannot say"),
    (
        "positive_data_acceptance",
        &[
            "POST /api/run/{workflow_id}/execute",
            "POST /api/run/no-model/execute",
            "POST /api/run/text-to-image/execute",
            "POST /api/run/image-to-image/execute",
        ],
        "`result` goes with `wait` and without `_count`, and `params` in a form is JSON: a parameter cannot depend on another",
    ),
    (
        "positive_data_acceptance",
        &["POST /api/run/{workflow_id}/build"],
        "the params are those of the workflow in the path",
    ),
    (
        "positive_data_acceptance",
        &["POST /api/run/upload-image", "POST /api/workflows/inspect", "POST /api/v2/assets"],
        "the content of a file decides, or the order of the fields",
    ),
    ("positive_data_acceptance", &["POST /api/v2/jobs"], "ComfyUI decides whether a graph can run"),
    ("positive_data_acceptance", &["GET /api/comfyui/view"], "`preview` is for names of images"),
    (
        "positive_data_acceptance",
        &["POST /api/manifest/edit", "POST /api/manifest/execute"],
        "a text in the body is a manifest",
    ),
    (
        "positive_data_acceptance",
        &["POST /api/token", "POST /api/v2/assets/from-hash"],
        "a whole number written as 60.0 is none here, and the length of a name counts in bytes",
    ),
];

/// Returns the configuration of schemathesis.
fn configuration() -> String {
    let sections = NOT_CHECKED.iter().flat_map(|(check, operations, reason)| {
        operations.iter().map(move |operation| {
            format!(
                "# {reason}\n[[operations]]\ninclude-name = \"{operation}\"\nchecks.{check}.enabled = false\n"
            )
        })
    });
    sections.collect()
}

/// Returns the folder of the programs, or `None` if there are none.
fn programs() -> Option<PathBuf> {
    let python = python_with("openapi_python_client, schemathesis")?;
    let prefix = Command::new(&python).args(["-c", "import sys; print(sys.prefix)"]).output().unwrap();
    let prefix = String::from_utf8(prefix.stdout).unwrap();
    Some(Path::new(prefix.trim()).join("bin"))
}

/// Copies the sample workflows that end soon whatever their params are.
fn library(folder: &Path) -> PathBuf {
    let library = folder.join("workflows");
    for id in ["no-model", "text-to-image", "image-to-image"] {
        let (from, to) = (fixtures().join("workflows").join(id), library.join(id));
        std::fs::create_dir_all(&to).unwrap();
        for file in ["manifest.yaml", "workflow.json"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
    library
}

fn with_folders(simulator: &Simulator, api_keys: &[&str]) -> Settings {
    Settings {
        api_keys: api_keys.iter().map(|&key| key.into()).collect(),
        folders: ComfyUiFolders {
            input: Some(simulator.data_dir().join("input")),
            output: Some(simulator.data_dir().join("output")),
        },
        // Requests with a wrong key are a part of the run.
        limits: Limits { failed_keys_per_minute: u32::MAX, ..Limits::default() },
        ..settings(&simulator.url())
    }
}

async fn send_generated_requests(api_keys: &[&str]) {
    let Some(programs) = programs() else { return };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let api = Api::start_with(&with_folders(&simulator, api_keys), &library(folder.path()));
    std::fs::write(folder.path().join("schemathesis.toml"), configuration()).unwrap();
    let mut command = Command::new(programs.join("st"));
    command.args(["run", &format!("{}/openapi.json", api.base), "--max-examples", "4"]);
    command.args(["--generation-deterministic", "--request-timeout", "60", "--no-color"]);
    for key in api_keys {
        command.args(["-H", &format!("X-API-Key: {key}")]);
    }
    let printed = run_to_its_end(&mut command, folder.path()).await;
    assert!(printed.contains("Fuzzing") && printed.contains("selected"), "{printed}");
    println!("{printed}");
    api.stop().await;
}

#[actix_rt::test]
async fn generated_requests_find_no_answer_that_is_not_described() {
    send_generated_requests(&[]).await;
}

#[actix_rt::test]
async fn generated_requests_with_a_key_find_no_answer_that_is_not_described() {
    send_generated_requests(&["key"]).await;
}

/// Returns the first block in this language of `docs/openapi.md`.
fn block(language: &str) -> String {
    let page = std::fs::read_to_string(fixtures().join("../docs/openapi.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

#[actix_rt::test]
async fn a_generated_client_runs_a_job() {
    let Some(programs) = programs() else { return };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let (api, folder) = (Api::start(&simulator.url()), folder.path());
    std::fs::write(folder.join("openapi.json"), api.get("/openapi.json").await.body).unwrap();
    std::fs::write(folder.join("client.yaml"), block("yaml")).unwrap();
    let command = block("sh");
    let mut words = command.split_whitespace();
    let mut generator = Command::new(programs.join(words.next().unwrap()));
    // The generator formats what it wrote with a program that is beside it.
    let path = std::env::join_paths([&programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let printed = run_to_its_end(generator.args(words).env("PATH", path), folder).await;
    assert!(!printed.contains("WARNING") && !printed.contains("Unable"), "{printed}");

    let script = block("python").replace("http://127.0.0.1:8080", &api.base);
    let printed = run_to_its_end(Command::new(programs.join("python")).args(["-c", &script]), folder).await;
    assert_eq!(printed, "saved final_00001_.png\n");
    image::open(folder.join("final_00001_.png")).unwrap();
    api.stop().await;
}
