//! Every command for comfy-runner and curl that README.md, docs/ and `--help` print runs as it is printed.
//!
//! A command is a line of an `sh` block or of an indented block that begins with `comfy-runner` or `curl`, or a code span
//! that begins so and has arguments. Commands of a page run in their order, in a folder of the page's own, with a simulator
//! as the ComfyUI. Other programs (`cargo`, `just`, `sqlite3` ...) are not run: `.ci/run` runs those that build and test
//! this repository.

#![cfg(unix)]

mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use comfy_runner::cli::Cli;
use serde_json::Value;
use support::process::{Process, without_configuration};
use support::{fixtures, png, simulator};
use tempfile::TempDir;

const PROGRAMS: [&str; 2] = ["comfy-runner", "curl"];

/// Commands that are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "comfy-runner build lighthouse",
        "the folder that the tutorial makes is built by crates/workflow/tests/documented_dynamic.rs",
    ),
    ("comfy-runner validate --comfyui", "it names an option and is no complete command"),
    (
        "comfy-runner jobs list --all --json | jq '.jobs[] | select(.status == \"error\")'",
        "jq is not on every machine",
    ),
    ("comfy-runner demo", "it runs until it is stopped"),
    (
        "comfy-runner serve --files s3://my-bucket/comfy --keep-outputs --redirect-downloads",
        "it needs a bucket; tests/s3.rs has one",
    ),
    (
        "comfy-runner serve --listen 127.0.0.1:18240 --comfyui URL --state-dir DIR --max-connections 5000 \
         --max-connections-per-address 5000",
        "a measurement, beside a real ComfyUI and the official front",
    ),
    (
        "curl -i http://127.0.0.1:8080/api/workflows/plate/manifest",
        "it needs --allow-edit; tests/add_workflow.rs reads and replaces manifests",
    ),
    (
        "curl -T manifest.yaml -H 'If-Match: \"5f1c...\"' http://127.0.0.1:8080/api/workflows/plate/manifest",
        "it needs --allow-edit; tests/add_workflow.rs reads and replaces manifests",
    ),
    ("comfy-runner demo --once --output images", "tests/command_line.rs runs the demo"),
    (
        "comfy-runner samples ./workflows",
        "README.md has it for the default folder; here the folder is there already",
    ),
];

/// What stands for a reader's own value, and the value in the test.
const PLACEHOLDERS: [(&str, &str); 6] = [
    (" ID ", " text-to-image "),
    (" FILE ", " saved.json "),
    (" PATH", " workflows"),
    ("api|workflow", "api"),
    (" 0.0.0.0:8080", " 127.0.0.1:0"),
    ("/opt/ComfyUI/", "comfyui/"),
];

/// What stands for the id of a job.
const JOB_IDS: [&str; 2] = ["PROMPT_ID", "0f8fad5b-d9cb-469f-a165-70867728950e"];

/// Commands that run until they are stopped, and what they print when they are ready.
const SERVERS: [(&str, &str); 2] =
    [("comfy-runner serve", "\"message\":\"listening\""), ("comfy-runner simulate", "http://")];

/// A printed command, and its line from 1.
#[derive(Debug, PartialEq)]
struct Printed {
    line: usize,
    command: String,
}

/// Returns the commands of a page.
fn commands(page: &str) -> Vec<Printed> {
    let mut found = Vec::new();
    let mut add = |line: usize, command: String| {
        if PROGRAMS.contains(&command.split(' ').next().unwrap_or_default()) {
            found.push(Printed { line, command });
        }
    };
    let mut fence = None;
    // A span may go on in the next line.
    let mut span: Option<(usize, String)> = None;
    let mut lines = page.lines().enumerate();
    while let Some((index, text)) = lines.next() {
        let trimmed = text.trim();
        if let Some(language) = trimmed.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        if fence == Some("sh") || (fence.is_none() && text.starts_with("    ")) {
            let mut command = trimmed.strip_prefix("$ ").unwrap_or(trimmed).to_owned();
            while command.ends_with('\\') {
                command.pop();
                command += lines.next().expect("a line after a backslash").1.trim();
            }
            add(index + 1, command);
            continue;
        }
        if fence.is_some() {
            continue;
        }
        if trimmed.is_empty() {
            span = None;
        }
        for (number, piece) in trimmed.split('`').enumerate() {
            if number > 0 {
                match span.take() {
                    None => span = Some((index + 1, String::new())),
                    Some((line, words)) if words.split(' ').count() > 2 => add(line, words),
                    Some(_) => {}
                }
            }
            if let Some((_, words)) = &mut span {
                let separator = if number == 0 { " " } else { "" };
                *words += &format!("{separator}{piece}");
            }
        }
    }
    found
}

#[test]
fn commands_are_found_in_blocks_and_spans() {
    let page = "Use `curl`, `x` or `comfy-runner validate\nPATH` with `curl`.\n\n    $ comfy-runner serve\n    {\"a\": 1}\n\n   ```sh\n   \
                curl a \\\n     -F b\n   # {}\n   cargo run\n   ```\n```json\n    curl x\n```\n";
    let found: Vec<_> = commands(page).into_iter().map(|found| (found.line, found.command)).collect();
    let expected = [(1, "comfy-runner validate PATH"), (4, "comfy-runner serve"), (8, "curl a -F b")];
    assert_eq!(found, expected.map(|(line, command)| (line, command.to_owned())));
}

#[test]
fn every_printed_command_runs_as_it_is_printed() {
    let root = fixtures().join("..");
    let mut paths = vec![root.join("README.md")];
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let pages = paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()));
    let pages = pages.chain([("--help".to_owned(), examples_of_help(&Cli::command()))]);
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let readers: Vec<_> = pages.map(|(name, page)| scope.spawn(move || read(&name, &page))).collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader ends")).collect()
    });
    let failures: Vec<_> = ran.iter().flat_map(|ran| ran.failures.as_slice()).map(String::as_str).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let commands: usize = ran.iter().map(|ran| ran.commands).sum();
    assert!(commands > 50, "only {commands} commands were found");
    let skipped: HashSet<_> = ran.into_iter().flat_map(|ran| ran.skipped).collect();
    let listed = NOT_RUN.iter().map(|(command, _)| *command).collect();
    assert_eq!(skipped, listed, "the list has commands that no page prints");
}

#[test]
fn every_option_of_serve_is_in_the_table_of_operations() {
    let page = std::fs::read_to_string(fixtures().join("../docs/operations.md")).unwrap();
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let options = serve.get_arguments().chain(cli.get_arguments().filter(|option| option.is_global_set()));
    for option in options.filter(|option| option.get_env().is_some()) {
        let (name, env) = (option.get_long().unwrap(), option.get_env().unwrap().to_str().unwrap());
        let row = page.lines().find(|line| line.starts_with(&format!("| `--{name}")));
        assert!(row.is_some_and(|row| row.contains(&format!("`{env}`"))), "--{name} ({env}): {row:?}");
    }
}

/// What came of the commands of a page.
#[derive(Default)]
struct Ran {
    commands: usize,
    skipped: Vec<&'static str>,
    failures: Vec<String>,
}

/// Runs the commands of a page, one after the other.
fn read(name: &str, page: &str) -> Ran {
    let (printed, mut ran) = (commands(page), Ran::default());
    if printed.is_empty() {
        return ran;
    }
    let mut reader = Reader::new(page, &printed);
    for Printed { line, command } in printed {
        if let Some((skipped, _)) = NOT_RUN.iter().find(|(skipped, _)| *skipped == command) {
            ran.skipped.push(skipped);
            continue;
        }
        ran.commands += 1;
        if let Err(error) = reader.run(&command) {
            ran.failures.push(format!("{name}:{line}: {command}\n{error}"));
        }
    }
    reader.check_images();
    ran
}

/// Returns the examples of a command and of those below it, as a page.
fn examples_of_help(command: &clap::Command) -> String {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let own = help.lines().filter(|line| line.starts_with("  ")).map(|line| format!("  {line}\n"));
    own.chain(command.get_subcommands().map(examples_of_help)).collect()
}

/// A reader of one page, with a folder and a ComfyUI of their own.
struct Reader {
    folder: TempDir,
    simulator: comfy_runner_simulator::Simulator,
    server: Option<Server>,
}

/// A running `comfy-runner serve`, and a job of it that has completed.
struct Server {
    _process: Process,
    base: String,
    job: String,
}

impl Reader {
    /// Puts the files into the folder that the page takes for granted.
    fn new(page: &str, printed: &[Printed]) -> Self {
        let reader = Self { folder: tempfile::tempdir().unwrap(), simulator: simulator(), server: None };
        let ui = std::fs::read(fixtures().join("ui/default.0.3.64.workflow.json")).unwrap();
        let graph = r#"{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}"#;
        reader.write("saved.json", &ui);
        reader.write("graph.json", graph.as_bytes());
        reader.write("photo.png", &png());
        let embedded = std::fs::read(fixtures().join("embedded/image.png")).unwrap();
        reader.write("ComfyUI_00001_.png", &embedded);
        let schemas = std::fs::read(fixtures().join("object_info/0.33.0.json")).unwrap();
        reader.write("nodes.json", &schemas);
        for folder in ["comfyui/input", "comfyui/output"] {
            std::fs::create_dir_all(reader.path(folder)).unwrap();
        }
        reader.write("params.json", br#"{"prompt": "a red fox"}"#);
        reader.write("comfy-runner.toml", b"workflows = \"workflows\"\n");
        if let Some((_, toml)) = page.split_once("```toml\n") {
            reader.write("comfy-runner.toml", toml.split("```").next().unwrap().as_bytes());
        }
        if !printed.iter().any(|printed| printed.command == "comfy-runner samples") {
            reader.run_to_end("comfy-runner samples").unwrap();
            let sample = |file: &str| {
                std::fs::read_to_string(reader.path("workflows/text-to-image").join(file)).unwrap()
            };
            let manifest = sample("manifest.yaml").replace("id: text-to-image", "id: my-video");
            std::fs::create_dir(reader.path("workflows/my-video")).unwrap();
            reader.write("workflows/my-video/manifest.yaml", manifest.as_bytes());
            reader.write("workflows/my-video/workflow.json", sample("workflow.json").as_bytes());
        }
        reader
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs a command to its end, or until it is ready. The error is what it printed.
    fn run(&mut self, printed: &str) -> Result<(), String> {
        let mut command = printed.to_owned();
        for (placeholder, value) in PLACEHOLDERS {
            command = command.replace(placeholder, value);
        }
        if let Some((_, ready)) = SERVERS.iter().find(|(name, _)| printed.starts_with(name)) {
            return self.start(&command.replace("127.0.0.1:8188", "127.0.0.1:0"), ready).map(drop);
        }
        command = command.replace("127.0.0.1:8188", self.simulator.url().trim_start_matches("http://"));
        let of_server = ["curl", "comfy-runner jobs", "comfy-runner files"];
        if of_server.iter().any(|start| printed.starts_with(start)) {
            let server = self.server();
            command = command.replace("http://127.0.0.1:8080", &server.base);
            command = JOB_IDS.iter().fold(command, |command, id| command.replace(id, &server.job));
        }
        self.run_to_end(&command).map(drop)
    }

    /// Returns the server, which is started when it is first needed.
    fn server(&mut self) -> &Server {
        if self.server.is_none() {
            let (process, log) =
                self.start("comfy-runner serve --listen 127.0.0.1:0", "\"message\":\"listening\"").unwrap();
            let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
            let base = format!("http://{}", line["fields"]["address"].as_str().unwrap());
            let execute = format!("curl -X POST '{base}/api/run/no-model/execute?wait=60' --json '{{}}'");
            let answer = self.run_to_end(&execute).unwrap();
            let job: Value = serde_json::from_slice(&answer.stdout).unwrap();
            assert_eq!(job["status"], "completed", "{job}");
            let job = job["prompt_id"].as_str().unwrap().to_owned();
            self.server = Some(Server { _process: process, base, job });
        }
        self.server.as_ref().unwrap()
    }

    fn run_to_end(&self, command: &str) -> Result<Output, String> {
        let output = self.shell(command).output().unwrap();
        match output.status.success() {
            true => Ok(output),
            false => Err(format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    /// Starts a command that does not end by itself, and waits until it is ready. Returns what it has printed.
    fn start(&self, command: &str, ready: &str) -> Result<(Process, String), String> {
        let command = format!("exec {command} 2>&1");
        Process::start_until(self.shell(&command).stdout(Stdio::piped()), |line| line.contains(ready))
    }

    /// The shell of a reader whose ComfyUI and server are those of the test.
    fn shell(&self, command: &str) -> Command {
        let mut shell = without_configuration(Command::new("sh"));
        let binary = Path::new(env!("CARGO_BIN_EXE_comfy-runner")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        // A status of 400 or more is a failure, and no proxy is between.
        let curlrc = "silent\nshow-error\nfail-with-body\nnoproxy = \"*\"\n";
        self.write(".curlrc", curlrc.as_bytes());
        shell
            .args(["-c", command])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("CURL_HOME", self.folder.path())
            .env("KEY", "the-readers-key")
            .env("COMFYUI_URL", self.simulator.url())
            .env("COMFY_RUNNER_STATE_DIR", ":memory:")
            .env("COMFY_RUNNER_LISTEN", "127.0.0.1:0")
            .env("COMFY_RUNNER_LOG_FORMAT", "json");
        if let Some(server) = &self.server {
            shell.env("COMFY_RUNNER_SERVER", &server.base);
        }
        shell
    }

    /// Every image that the commands saved is one.
    fn check_images(&self) {
        for path in support::files_below(self.folder.path()) {
            if path.extension().is_some_and(|extension| extension == "png") {
                image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
}
