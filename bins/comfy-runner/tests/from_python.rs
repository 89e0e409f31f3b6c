//! The scripts of `docs/from-python.md`, with a real Python.
//!
//! They need Python 3 with `requests` and `websockets`. Without these the test says that it was skipped, unless
//! `COMFY_RUNNER_TEST_PYTHON` names an interpreter: then it fails.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Api, fixtures, png, simulator};

const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the interpreter, or `None` if there is none with the modules.
fn python() -> Option<String> {
    let named = std::env::var("COMFY_RUNNER_TEST_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let modules = Command::new(&python).args(["-c", "import requests, websockets.sync.client"]).output();
    let has_modules = modules.is_ok_and(|output| output.status.success());
    assert!(named.is_none() || has_modules, "{python} cannot import requests and websockets");
    has_modules.then_some(python)
}

/// Returns the scripts of the page.
fn scripts() -> Vec<String> {
    let page = std::fs::read_to_string(fixtures().join("../docs/from-python.md")).unwrap();
    page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a script to its end and returns what it printed.
async fn run(python: &str, script: &str, folder: &Path) -> String {
    let printed = folder.join("printed.txt");
    let output = std::fs::File::create(&printed).unwrap();
    let mut child = Command::new(python)
        .args(["-c", script])
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
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    };
    let printed = std::fs::read_to_string(printed).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{script}\n{printed}");
    printed
}

#[actix_rt::test]
async fn the_documented_scripts_run() {
    let Some(python) = python() else {
        return eprintln!("skipped: no python3 with the modules requests and websockets");
    };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let api = Api::start(&simulator.url());
    std::fs::write(folder.path().join("photo.png"), png()).unwrap();
    let mut printed = Vec::new();
    for script in scripts() {
        let script = script.replace("http://127.0.0.1:8080", &api.base);
        printed.push(run(&python, &script, folder.path()).await);
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
    api.stop().await;
}
