//! Programs of Python, which are run to their end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than any of them takes.
const PATIENCE: Duration = Duration::from_secs(900);

/// Returns the interpreter that `COMFY_RUNNER_TEST_PYTHON` names, which must have these modules. Without the variable it is
/// `python3`, or `None` if that has not all of them: then the test says so and ends.
pub fn python_with(modules: &str) -> Option<String> {
    let named = std::env::var("COMFY_RUNNER_TEST_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let imported = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    let has_modules = imported.is_ok_and(|output| output.status.success());
    assert!(named.is_none() || has_modules, "{python} cannot import {modules}");
    if !has_modules {
        eprintln!("skipped: no python3 with the modules {modules}");
    }
    has_modules.then_some(python)
}

/// Runs a program in a folder to its end, which must be a success, and returns what it printed.
pub async fn run_to_its_end(command: &mut Command, folder: &Path) -> String {
    run_watched(command, folder, |_| {}).await
}

/// As [`run_to_its_end`], and passes on again and again what has been printed so far.
pub async fn run_watched(command: &mut Command, folder: &Path, watch: impl Fn(&str)) -> String {
    let printed = folder.join("printed.txt");
    let output = std::fs::File::create(&printed).unwrap();
    let mut child = command
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONIOENCODING", "utf-8")
        .env("PYTHONUNBUFFERED", "1")
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
        watch(&std::fs::read_to_string(&printed).unwrap_or_default());
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    };
    let printed = std::fs::read_to_string(printed).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{command:?}\n{printed}");
    printed
}
