//! Programs that read the OpenAPI document: schemathesis, which sends generated requests, and a generator of Python clients.
//!
//! They need Python 3 with `schemathesis` and `openapi-python-client`. Without these the tests say that they were skipped,
//! unless `COMFY_RUNNER_TEST_PYTHON` names an interpreter: then they fail.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use comfy_runner::server::{ComfyUiFolders, Limits, Settings};
use comfy_runner_simulator::Simulator;
use support::{Api, fixtures, settings, simulator};

const PATIENCE: Duration = Duration::from_secs(900);

/// What schemathesis does not report: the server takes other spellings of values than the document has, and refuses
/// combinations for which OpenAPI has no words, such as `result` without `wait`.
const NOT_CHECKED: &str = "negative_data_rejection,positive_data_acceptance";

/// Returns the folder of the programs, or `None` if there are none.
fn programs() -> Option<PathBuf> {
    let named = std::env::var("COMFY_RUNNER_TEST_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let script = "import openapi_python_client, schemathesis, sys; print(sys.prefix)";
    let output = Command::new(&python).args(["-c", script]).output();
    let output = output.ok().filter(|output| output.status.success());
    assert!(
        named.is_none() || output.is_some(),
        "{python} cannot import schemathesis and openapi_python_client"
    );
    let prefix = String::from_utf8(output?.stdout).unwrap();
    Some(Path::new(prefix.trim()).join("bin"))
}

/// Runs a program to its end and returns what it printed.
async fn run(command: &mut Command, folder: &Path) -> String {
    let printed = folder.join("printed.txt");
    let output = std::fs::File::create(&printed).unwrap();
    let mut child = command
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            break None;
        }
        actix_rt::time::sleep(Duration::from_millis(20)).await;
    };
    let printed = std::fs::read_to_string(printed).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{command:?}\n{printed}");
    printed
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
    let Some(programs) = programs() else {
        return eprintln!("skipped: no python3 with the modules schemathesis and openapi_python_client");
    };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let api = Api::start_with(&with_folders(&simulator, api_keys), &library(folder.path()));
    let mut command = Command::new(programs.join("st"));
    command.args([
        "run",
        &format!("{}/openapi.json", api.base),
        "--exclude-checks",
        NOT_CHECKED,
        "--max-examples",
        "4",
    ]);
    command.args(["--generation-deterministic", "--request-timeout", "60", "--no-color"]);
    for key in api_keys {
        command.args(["-H", &format!("X-API-Key: {key}")]);
    }
    let printed = run(&mut command, folder.path()).await;
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
    let Some(programs) = programs() else {
        return eprintln!("skipped: no python3 with the modules schemathesis and openapi_python_client");
    };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let (api, folder) = (Api::start(&simulator.url()), folder.path());
    std::fs::write(folder.join("openapi.json"), api.get("/openapi.json").await.body).unwrap();
    std::fs::write(folder.join("client.yaml"), block("yaml")).unwrap();
    let command = block("sh");
    let mut words = command.split_whitespace();
    let mut generator = Command::new(programs.join(words.next().unwrap()));
    // The generator formats what it wrote with a program that is beside it.
    let path = std::env::join_paths([&programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let printed = run(generator.args(words).env("PATH", path), folder).await;
    assert!(!printed.contains("WARNING") && !printed.contains("Unable"), "{printed}");

    let script = block("python").replace("http://127.0.0.1:8080", &api.base);
    let printed = run(Command::new(programs.join("python")).args(["-c", &script]), folder).await;
    assert_eq!(printed, "saved final_00001_.png\n");
    image::open(folder.join("final_00001_.png")).unwrap();
    api.stop().await;
}
