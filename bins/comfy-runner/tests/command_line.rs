//! The real binary, as a person or a script runs it.

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use comfy_runner_simulator::Simulator;
use serde_json::Value;
use support::{caption, fixtures, png, simulator};

/// The command, with nothing of this environment's configuration.
fn comfy_runner(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comfy-runner"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMFY")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
        .env("COMFY_RUNNER_WORKFLOWS", fixtures().join("workflows"))
        .env("COMFY_RUNNER_STATE_DIR", ":memory:");
    command
}

fn run(args: &[&str]) -> Output {
    comfy_runner(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The files that a command printed the paths of.
fn saved(output: &Output) -> Vec<Vec<u8>> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(|path| std::fs::read(path).expect(path)).collect()
}

fn write_workflow(library: &Path, id: &str, manifest: &str, graph: &str) {
    let folder = library.join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("manifest.yaml"), manifest).unwrap();
    std::fs::write(folder.join("workflow.json"), graph).unwrap();
}

#[test]
fn the_demo_makes_real_images_from_a_graph_and_from_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        run(&["demo", "--once", "--listen", "127.0.0.1:0", "--output", folder.path().to_str().unwrap()]);
    let files = saved(&output);
    let sides = |file: &Vec<u8>| image::load_from_memory(file).unwrap().width();
    assert_eq!(files.iter().map(sides).collect::<Vec<_>>(), [512, 768]);
    let said = stderr(&output);
    assert!(said.starts_with("open the page:     http://127.0.0.1:"), "{said}");
    assert!(said.contains("simulator"));
}

#[test]
fn run_saves_every_final_file_and_prints_the_paths_alone() {
    let simulator = Simulator::builder().step_delay(Duration::from_secs(3600)).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (url, out) = (simulator.url(), folder.path().to_str().unwrap());
    let args = [
        "run",
        "text-to-image",
        "--comfyui",
        &url,
        "-p",
        "prompt=a red fox",
        "-p",
        "steps=3",
        "-p",
        "seed=7",
        "-o",
        out,
    ];
    // The first job goes on when its progress has been printed.
    let mut command = comfy_runner(&args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut errors, mut printed) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    while !printed.contains('%') {
        assert!(errors.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    simulator.skip_pauses();
    errors.read_to_string(&mut printed).unwrap();
    let first = Output { stderr: printed.into_bytes(), ..child.wait_with_output().unwrap() };
    let second = run(&args);
    assert_eq!(saved(&first).len(), 1);
    assert_ne!(stdout(&first), stdout(&second), "nothing is overwritten");
    assert!(stderr(&first).contains("seed: 7") && stderr(&first).contains('%'), "{}", stderr(&first));
    assert_eq!(
        image::load_from_memory(&saved(&first)[0]).unwrap().into_bytes(),
        image::load_from_memory(&saved(&second)[0]).unwrap().into_bytes()
    );
    assert!(
        std::fs::read_dir(out).unwrap().all(|entry| !entry
            .unwrap()
            .path()
            .to_string_lossy()
            .ends_with(".part"))
    );
}

#[test]
fn run_uploads_files_and_takes_params_from_a_file() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let photo = folder.path().join("photo.png");
    std::fs::write(&photo, png()).unwrap();
    let params = folder.path().join("params.json");
    std::fs::write(&params, r#"{"prompt": "a red fox", "steps": 2}"#).unwrap();
    let params = format!("@{}", params.display());
    let (url, out, photo) = (simulator.url(), folder.path().to_str().unwrap(), photo.to_str().unwrap());
    let output =
        run(&["run", "image-to-image", "--comfyui", &url, "--params", &params, "--image", photo, "-o", out]);
    assert_eq!(saved(&output).len(), 1);

    let missing = run(&["run", "image-to-image", "--comfyui", &url, "--image", "/no/such.png", "-o", out]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("/no/such.png"));
    let needless =
        run(&["run", "text-to-image", "--comfyui", &url, "-p", "prompt=x", "--image", photo, "-o", out]);
    assert!(stderr(&needless).contains("takes no files"), "{}", stderr(&needless));
}

#[test]
fn run_prints_the_texts_that_nodes_report() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    write_workflow(folder.path(), "caption", "id: caption\n", &caption("a fox\nin the snow").to_string());
    let (url, library) = (simulator.url(), folder.path().to_str().unwrap());
    let output = run(&["run", "caption", "--workflows", library, "--comfyui", &url, "-o", library]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("a fox\nin the snow\n", Some(0)));
}

#[test]
fn run_fails_with_the_reason() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    write_workflow(
        folder.path(),
        "failing",
        "id: failing\nname: Failing\n",
        r#"{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "it broke"}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}}}"#,
    );
    let (url, library) = (simulator.url(), folder.path().to_str().unwrap());
    let output = run(&["run", "failing", "--workflows", library, "--comfyui", &url, "-o", library]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(stderr(&output).contains("it broke"), "{}", stderr(&output));

    for (args, reason) in [
        (vec!["run", "text-to-image", "-p", "prompts=x"], "Did you mean \"prompt\"?"),
        (vec!["run", "text-to-image", "-p", "prompt"], "KEY=VALUE"),
        (vec!["run", "text-to-image", "--params", "[1]"], "JSON object"),
        (vec!["run", "text-to-imag"], "did you mean \"text-to-image\"?"),
        (vec!["run", "no-model", "--comfyui", "127.0.0.1:8188"], "http://"),
        (vec!["run", "no-model", "--comfyui", "http://127.0.0.1:9"], "127.0.0.1:9"),
        (vec!["run", "no-model", "--workflows", "/no/such/folder"], "/no/such/folder"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains(reason), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn run_prints_one_error_when_comfyui_is_down() {
    let output = run(&["run", "text-to-image", "--comfyui", "http://127.0.0.1:9", "-p", "prompt=x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: ComfyUI at 127.0.0.1:9 cannot be reached: connection refused (is ComfyUI running, and is this its \
         port?); give another URL with --comfyui\n"
    );
}

#[test]
fn the_error_of_every_command_begins_with_error() {
    let missing = "/no/such/file";
    for args in [
        &["serve", "--workflows", missing][..],
        &["serve", "--listen", "8081"],
        &["demo", "--once", "--listen", "192.0.2.1:1"],
        &["run", "text-to-image", "--comfyui", "localhost"],
        &["run", "none"],
        &["build", "none"],
        &["init", "mine", missing],
        &["init", "../up", missing],
        &["convert", missing, "--to", "api"],
        &["validate", missing],
        &["validate", "--object-info", missing],
        &["test", missing],
        &["samples", "/proc/nowhere"],
        &["jobs", "--server", "http://127.0.0.1:9", "list"],
        &["jobs", "--server", "http://127.0.0.1:9", "cancel", "x"],
        &["jobs", "--server", "http://127.0.0.1:9", "delete", "x"],
        &["simulate", "--listen", "192.0.2.1:1"],
        &["nonsense"],
    ] {
        let output = run(args);
        assert!(!output.status.success(), "{args:?}");
        assert!(stderr(&output).starts_with("error: "), "{args:?}: {}", stderr(&output));
        let errors = stderr(&output).lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!((errors, stdout(&output).as_str()), (1, ""), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_video_for_an_input_that_takes_an_image_is_refused() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let film = folder.path().join("film.png");
    let mut bytes = b"\0\0\0\x18ftypisom\0\0\0\0isommp41\0\0\0\x08free".to_vec();
    bytes.resize(1000, 0);
    std::fs::write(&film, bytes).unwrap();
    let (url, film) = (simulator.url(), film.to_str().unwrap());
    let args = ["run", "image-to-image", "--comfyui", &url, "-p", "prompt=x", "--image", film, "-o", "out"];
    let output = comfy_runner(&args).current_dir(folder.path()).output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (
            Some(1),
            "error: the file for the input \"image\": the file \"film.png\" is video/mp4, not an image\n"
        )
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_cancels_the_job_on_comfyui() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let (url, out) = (simulator.url(), folder.path().to_str().unwrap());
    let mut child = comfy_runner(&[
        "run",
        "test-progress",
        "--comfyui",
        &url,
        "-p",
        "steps=5000",
        "-p",
        "delay_ms=20",
        "-o",
        out,
    ])
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let running = || {
        actix_rt::System::new().block_on(async {
            let mut reply = awc::Client::default().get(format!("{url}/queue")).send().await.unwrap();
            let queue: Value = reply.json().limit(1 << 20).await.unwrap();
            queue["queue_running"].as_array().unwrap().len()
        })
    };
    while running() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The first line of progress is printed once it listens for Ctrl-C.
    let mut line = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    while !line.contains('%') {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0);
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    while running() > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn build_prints_a_graph_and_asks_nobody() {
    let output =
        run(&["build", "text-to-image", "-p", "prompt=a {{fox}} {", "-p", "seed=18446744073709551615"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let graph: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let text = graph.to_string();
    assert!(text.contains("a {{fox}} {") && text.contains("18446744073709551615"), "{text}");
    let args = ["build", "text-to-image", "-p", "prompt=x", "-p", "seed=7"];
    assert_eq!(stdout(&run(&args)), stdout(&run(&args)), "the same values and seeds give the same bytes");
    let refused = run(&["build", "text-to-image", "-p", "steps=many"]);
    assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(1), ""));
    assert!(stderr(&refused).contains("\"steps\""), "{}", stderr(&refused));
}

#[test]
fn validate_names_every_problem_with_its_place() {
    let good = run(&["validate", fixtures().join("workflows").to_str().unwrap()]);
    assert!(good.status.success(), "{}{}", stdout(&good), stderr(&good));
    assert!(stdout(&good).contains("0 errors"));

    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().to_str().unwrap();
    write_workflow(
        folder.path(),
        "broken",
        "id: broken\nname: Broken\ninputs:\n  - {id: steps, type: int, node_id: 9, field: steps, min: 5, max: 2}\n",
        "{}",
    );
    write_workflow(folder.path(), "worse", "- 1\n", "{}");
    let schemas = fixtures().join("object_info/0.3.64.json");
    write_workflow(
        folder.path(),
        "unknown",
        "id: unknown\nname: Unknown\n",
        r#"{"1": {"class_type": "NoSuchNode", "inputs": {}}, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}"#,
    );
    let output = run(&["validate", library, "--object-info", schemas.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let report = stdout(&output);
    assert!(report.lines().filter(|line| line.contains(": error: ")).count() > 2, "{report}");
    for expected in ["broken/manifest.yaml:4", "worse/manifest.yaml", "unknown/workflow.json", "NoSuchNode"] {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    let nothing = run(&["validate", "/no/such/folder"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("/no/such/folder"));
}

#[test]
fn validate_answers_for_a_graph_file_as_comfyui_does() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = fixtures().join("object_info/0.33.0.json");
    let validate = |name: &str, graph: &str, json: bool| {
        let file = folder.path().join(name);
        std::fs::write(&file, graph).unwrap();
        let mut args = vec!["validate", file.to_str().unwrap(), "--object-info", schemas.to_str().unwrap()];
        args.extend(json.then_some("--json"));
        run(&args)
    };
    let good = r#"{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}"#;
    let accepted = validate("good.json", good, true);
    assert!(accepted.status.success(), "{}", stderr(&accepted));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&accepted)).unwrap();
    assert_eq!(answer, serde_json::json!({"error": null, "node_errors": {}}));
    let body = validate("body.json", &format!(r#"{{"prompt": {good}}}"#), false);
    assert!(stdout(&body).ends_with("accepted\n"), "{}", stdout(&body));

    let refused = validate("bad.json", &good.replace("8, \"h", "0, \"h"), true);
    assert_eq!(refused.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&refused)).unwrap();
    assert_eq!(answer["error"]["type"], "prompt_outputs_failed_validation");
    assert_eq!(answer["node_errors"]["1"]["errors"][0]["type"], "value_smaller_than_min");
    assert_eq!(answer["node_errors"]["1"]["dependent_outputs"][0], "2");

    let shapeless = validate("shapeless.json", r#"{"1": {"inputs": {}}}"#, true);
    assert!(stdout(&shapeless).contains("missing_node_type"), "{}", stdout(&shapeless));
    let without_schemas = run(&["validate", folder.path().join("good.json").to_str().unwrap()]);
    assert!(stderr(&without_schemas).contains("--object-info"), "{}", stderr(&without_schemas));
}

#[test]
fn validate_asks_a_comfyui_for_the_files_that_a_graph_reads() {
    let simulator = support::simulator();
    std::fs::write(simulator.data_dir().join("input/there.png"), support::png()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let validate = |image: &str| {
        let graph = serde_json::json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": image}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        });
        let file = folder.path().join("graph.json");
        std::fs::write(&file, graph.to_string()).unwrap();
        run(&["validate", file.to_str().unwrap(), "--comfyui", &simulator.url(), "--json"])
    };
    let there = validate("there.png");
    assert!(there.status.success(), "{}{}", stdout(&there), stderr(&there));
    let missing = validate("missing.png");
    assert_eq!(missing.status.code(), Some(1), "{}{}", stdout(&missing), stderr(&missing));
    let verdict: serde_json::Value = serde_json::from_str(&stdout(&missing)).unwrap();
    assert_eq!(verdict["node_errors"]["1"]["errors"][0]["type"], "custom_validation_failed", "{verdict}");
}

#[test]
fn validate_takes_one_workflow_and_lists_findings_as_json() {
    let one = fixtures().join("workflows/text-to-image");
    let good = run(&["validate", one.to_str().unwrap()]);
    assert!(stdout(&good).starts_with("1 workflow: 0 errors"), "{}", stdout(&good));

    let library = tempfile::tempdir().unwrap();
    write_workflow(library.path(), "broken", "id: other\nname: Broken\n", "{}");
    write_workflow(library.path(), "worse", "- 1\n", "{}");
    let output = run(&["validate", library.path().join("broken").to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let finding = &findings[0];
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["kind"], "workflow_id");
    assert!(finding["file"].as_str().unwrap().ends_with("broken/manifest.yaml"), "{finding}");
    assert!(!stdout(&output).contains("worse"), "{}", stdout(&output));
}

#[test]
fn a_dynamic_workflow_is_built_run_and_checked_like_any_other() {
    let args = [
        "build",
        "text-to-image-studio",
        "-p",
        "prompt=x",
        "-p",
        "seed=7",
        "-p",
        "batch=3",
        "-p",
        "hires_enabled=true",
    ];
    let (first, second) = (stdout(&run(&args)), stdout(&run(&args)));
    assert!(first.contains("\"hires_2_sampler\"") && first.ends_with("}\n"), "{first}");
    assert_eq!(first, second, "the same values and seeds give the same bytes");

    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let (url, out) = (simulator.url(), folder.path().to_str().unwrap());
    let args = [
        "run",
        "text-to-image-studio",
        "--comfyui",
        &url,
        "-p",
        "steps=2",
        "-p",
        "seed=7",
        "-p",
        "batch=2",
        "-o",
        out,
    ];
    let made = run(&args);
    assert_eq!(saved(&made).len(), 2);
    assert!(stderr(&made).contains("batch_2: 8"), "{}", stderr(&made));

    let library = tempfile::tempdir().unwrap();
    let blocks = library.path().join("broken/blocks");
    std::fs::create_dir_all(&blocks).unwrap();
    std::fs::write(
        library.path().join("broken/manifest.yaml"),
        "id: broken\ntype: dynamic\npipeline:\n- {block: a, file: a.json}\n- {block: b, file: none.json}\n- {block: a, file: a.json}\n",
    )
    .unwrap();
    let block = r#"{"nodes": {"n": {"class_type": "T", "inputs": {"x": ["gone", 0], "y": "{{nobody}}"}}},
                    "exports": {"out": {"node": "missing", "output": 0}}}"#;
    std::fs::write(blocks.join("a.json"), block).unwrap();
    let output = run(&["validate", library.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let report = stdout(&output);
    for expected in
        ["none.json", "\"gone\"", "nobody", "\"missing\"", "broken/blocks/a.json:1", "broken/manifest.yaml:6"]
    {
        assert!(report.contains(expected), "{expected}: {report}");
    }
}

#[test]
fn a_server_without_keys_refuses_to_listen_for_the_world() {
    let output = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("COMFY_RUNNER_API_KEY"), "{}", stderr(&output));
}

#[test]
fn every_command_has_help_with_examples() {
    for command in ["serve", "demo", "run", "build", "validate", "simulate"] {
        let help = stdout(&run(&[command, "--help"]));
        assert!(help.contains("Example") && help.contains(&format!("comfy-runner {command}")), "{help}");
    }
}

#[test]
fn a_local_file_as_a_param_is_uploaded_and_a_missing_one_is_asked_for() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let photo = folder.path().join("photo.png");
    std::fs::write(&photo, png()).unwrap();
    let (url, out) = (simulator.url(), folder.path().to_str().unwrap());
    let image = format!("image={}", photo.display());
    let run_with = |more: &[&str]| {
        let args =
            ["run", "image-to-image", "--comfyui", &url, "-p", "prompt=a fox", "-p", "steps=2", "-o", out];
        run(&[&args[..], more].concat())
    };
    assert_eq!(saved(&run_with(&["-p", &image])).len(), 1);
    let missing = run_with(&[]);
    assert!(!missing.status.success());
    assert!(stderr(&missing).contains("give --image FILE"), "{}", stderr(&missing));
}

#[test]
fn the_folder_of_one_workflow_is_a_library_of_it_alone() {
    let one = fixtures().join("workflows/text-to-image");
    let one = one.to_str().unwrap();
    let built = run(&["build", "text-to-image", "--workflows", one, "-p", "prompt=a fox"]);
    assert!(built.status.success(), "{}", stderr(&built));
    let other = run(&["build", "no-model", "--workflows", one]);
    assert!(stderr(&other).contains("no workflow \"no-model\""), "{}", stderr(&other));
    let checked = run(&["validate", one]);
    assert!(stdout(&checked).contains("1 workflow:"), "{}", stdout(&checked));
}

#[test]
fn the_samples_are_written_once_and_work_without_naming_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_comfy-runner"))
            .args(args)
            .current_dir(folder.path())
            .env_remove("COMFY_RUNNER_WORKFLOWS")
            .output()
            .unwrap()
    };
    let written = in_folder(&["samples"]);
    assert!(stdout(&written).contains("workflows/text-to-image\n"), "{}", stderr(&written));
    let checked = in_folder(&["validate"]);
    assert!(checked.status.success(), "{}", stdout(&checked));
    let tested = in_folder(&["test"]);
    assert!(tested.status.success(), "{}", stdout(&tested));
    let built = in_folder(&["build", "text-to-image", "-p", "prompt=a fox"]);
    assert!(built.status.success(), "{}", stderr(&built));
    let again = in_folder(&["samples"]);
    assert!(!again.status.success() && stderr(&again).contains("is there already"), "{}", stderr(&again));
}
