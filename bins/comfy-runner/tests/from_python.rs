//! The scripts of `docs/from-python.md`, with a real Python.
//!
//! They need Python 3 with `requests` and `websockets`. Without these the test says that it was skipped, unless
//! `COMFY_RUNNER_TEST_PYTHON` names an interpreter: then it fails.

mod support;

use std::process::Command;
use std::time::Duration;

use comfy_runner_simulator::Simulator;
use support::python::{python_with, run_watched};
use support::{Api, fixtures, png, simulator};

/// Returns the scripts of the page.
fn scripts() -> Vec<String> {
    let page = std::fs::read_to_string(fixtures().join("../docs/from-python.md")).unwrap();
    page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn the_documented_scripts_run() {
    let Some(python) = python_with("requests, websockets.sync.client") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("photo.png"), png()).unwrap();
    let mut printed = Vec::new();
    for script in scripts() {
        let follows = script.contains("/api/run/events/") || script.contains("/api/run/ws");
        // A job that is followed runs until the script has seen it run.
        let simulator = if follows { stopped_simulator() } else { simulator() };
        let api = Api::start(&simulator.url());
        let script = script.replace("http://127.0.0.1:8080", &api.base);
        let watch = |printed: &str| {
            if printed.contains("running ") {
                simulator.skip_pauses();
            }
        };
        let mut command = Command::new(&python);
        printed.push(run_watched(command.args(["-c", &script]), folder.path(), watch).await);
        api.stop().await;
    }
    let [saved, polled, sent, uploaded, events, socket] = &printed[..] else { panic!("{printed:?}") };
    assert_eq!((saved.as_str(), sent.as_str()), ("", ""));
    for name in ["fox.png", "watercolour.png", "final_00001_.png"] {
        image::open(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(polled.contains("completed 100\nsaved final_00001_.png\n"), "{polled}");
    assert_eq!(
        uploaded.matches("completed {'image': {'filename': 'final_00001_.png'").count(),
        2,
        "{uploaded}"
    );
    for followed in [events, socket] {
        assert!(followed.ends_with("text-to-image completed\n"), "{followed}");
        assert!(followed.contains("running "), "{followed}");
    }
}

/// A simulator whose samplers stop at their first step until pauses are skipped.
fn stopped_simulator() -> Simulator {
    Simulator::builder().step_delay(Duration::from_secs(3600)).start().unwrap()
}
