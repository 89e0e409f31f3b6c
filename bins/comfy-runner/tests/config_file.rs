//! The configuration file of `serve`, with the real binary.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use support::process::{Caller, Served, comfy_runner};
use support::{fixtures, simulator};

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("comfy-runner.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn check(path: &Path, environment: &[(&str, &str)]) -> Output {
    comfy_runner().args(["config", "check"]).arg(path).envs(environment.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[actix_rt::test]
async fn serve_takes_options_from_the_file_and_the_environment_takes_precedence() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    // `listen` is also on the command line of `Served`.
    let path = write(folder.path(), "api-key = ['of-the-file']\nlisten = '0.0.0.0:1'\nlog = 'info'\n");
    let options = ["--config", path.to_str().unwrap()];
    let status = async |base: &str, key: &str| {
        let http = awc::Client::default();
        let request = http.get(format!("{base}/api/workflows")).insert_header(("X-API-Key", key));
        request.send().await.unwrap().status().as_u16()
    };

    let served = Served::start(&simulator.url(), &folder.path().join("first"), &options);
    assert_eq!(Caller::new().get(&format!("{}/api/workflows", served.base)).await.status, 401);
    assert_eq!(status(&served.base, "of-the-file").await, 200);
    drop(served);

    let mut command = comfy_runner();
    command.env("COMFY_RUNNER_API_KEY", "of-the-environment");
    let state = folder.path().join("second");
    let served = Served::try_start(command, &simulator.url(), &state, &options).unwrap();
    assert_eq!(status(&served.base, "of-the-file").await, 401);
    assert_eq!(status(&served.base, "of-the-environment").await, 200);
}

#[test]
fn config_check_accepts_a_file_that_serve_would_start_with() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flows")).unwrap();
    let text = "workflows = 'flows'\nlisten = '0.0.0.0:8080'\napi-key = 'secret'\nmax-upload = '1GiB'\n";
    let output = check(&write(folder.path(), text), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("comfy-runner.toml: no mistakes\n"));
}

#[test]
fn config_check_names_each_mistake_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "# A comment\nlisten = 8080\nstate_dir = 'x'\n");
    let output = check(&path, &[]);
    let (text, path) = (stderr(&output), path.display());
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("error: {path}:2: ")) && text.contains("write ADDRESS:PORT"), "{text}");
    assert!(
        text.contains(&format!("{path}:3: `state_dir` is no option of `serve`; did you mean `state-dir`?")),
        "{text}"
    );
}

#[test]
fn config_check_refuses_what_serve_would_refuse_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flows")).unwrap();
    let path = write(folder.path(), "workflows = 'flows'\nlisten = '0.0.0.0:8080'\n");
    let output = check(&path, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("refusing to listen on 0.0.0.0:8080 without an API key"),
        "{}",
        stderr(&output)
    );
    assert!(check(&path, &[("COMFY_RUNNER_API_KEY", "secret")]).status.success());

    let path = write(folder.path(), "workflows = 'elsewhere'\n");
    let output = check(&path, &[]);
    assert!(!output.status.success() && stderr(&output).contains("elsewhere"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let output = check(&missing, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot read the configuration file {}", missing.display())));
    let served = comfy_runner().args(["serve", "--config"]).arg(&missing).output().unwrap();
    assert_eq!(served.status.code(), Some(2));
}

#[test]
fn the_documented_file_has_no_mistakes() {
    let docs = std::fs::read_to_string(fixtures().join("../docs/operations.md")).unwrap();
    let (_, rest) = docs.split_once("```toml\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("workflows")).unwrap();
    let output = check(&write(folder.path(), rest.split_once("```").unwrap().0), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}
