//! `convert` and `init`: from files that people have to graphs and folders that work.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::fixtures;
use tempfile::TempDir;

fn comfy_runner(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comfy-runner"));
    command.args(arguments).env_remove("COMFYUI_URL").env_remove("COMFY_RUNNER_OBJECT_INFO");
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn fixture(path: &str) -> String {
    fixtures().join(path).to_str().unwrap().to_owned()
}

fn schemas() -> String {
    fixture("object_info/0.3.64.json")
}

/// Graphs that the real editor saved, for which these schemas hold.
const SAVED: [&str; 5] = [
    "default.0.3.64",
    "flux1_dev_uso_reference_image_gen.0.3.64",
    "hidream_e1_1.0.3.64",
    "hunyuan_video_text_to_video.0.3.64",
    "image_qwen_image_instantx_controlnet.0.3.64",
];

#[test]
fn a_saved_graph_is_converted_to_the_editors_prompt_and_drawn_again() {
    let folder = TempDir::new().unwrap();
    for name in SAVED {
        let saved = fixture(&format!("ui/{name}.workflow.json"));
        let converted = comfy_runner(&["convert", &saved, "--to", "api", "--object-info", &schemas()]);
        assert!(converted.status.success(), "{}", stderr(&converted));
        let prompt = json(&converted.stdout);
        assert_eq!(prompt, json(&std::fs::read(fixture(&format!("ui/{name}.api.json"))).unwrap()), "{name}");

        let graph = folder.path().join("graph.json");
        std::fs::write(&graph, &converted.stdout).unwrap();
        let ui_graph = folder.path().join("ui_graph.json");
        let (graph, ui_graph) = (graph.to_str().unwrap(), ui_graph.to_str().unwrap());
        let converted = comfy_runner(&[
            "convert",
            graph,
            "--to",
            "workflow",
            "--object-info",
            &schemas(),
            "-o",
            ui_graph,
        ]);
        assert!(converted.status.success() && converted.stdout.is_empty(), "{}", stderr(&converted));
        let back = comfy_runner(&["convert", ui_graph, "--to", "api", "--object-info", &schemas()]);
        assert_eq!(json(&back.stdout), prompt, "{name}");
    }
}

#[test]
fn what_cannot_be_converted_is_told_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let out = folder.path().join("out.json");
    let saved = fixture("ui/default.0.3.64.workflow.json");
    let cases = [
        (vec![file("a.json", "[1, 2]")], "a list"),
        (vec![file("b.json", "{\"nodes\": [{\"id\": 3}]}")], "node 3: missing field `type`"),
        (vec![file("c.json", "no json")], "not valid JSON"),
        (vec![saved], "--object-info FILE"),
        (
            vec![
                file("d.json", "{\"nodes\": [{\"id\": 3, \"type\": \"Nowhere\"}]}"),
                "--object-info".into(),
                schemas(),
            ],
            "type \"Nowhere\" has no schema",
        ),
        (vec![folder.path().join("gone.json").to_str().unwrap().to_owned()], "gone.json"),
        (
            vec![fixture("ui/default.0.3.64.workflow.json"), "--object-info".into(), file("e.json", "[]")],
            "e.json",
        ),
    ];
    for (arguments, reported) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let refused = comfy_runner(
            &[&["convert", "--to", "api", "-o", out.to_str().unwrap()], &arguments[..]].concat(),
        );
        assert_eq!(refused.status.code(), Some(1), "{reported}");
        assert!(stderr(&refused).contains(reported), "{reported} is not in: {}", stderr(&refused));
        assert!(!out.exists());
    }
}

fn init(id: &str, file: &str, library: &Path) -> Output {
    comfy_runner(&["init", id, file, "--workflows", library.to_str().unwrap(), "--object-info", &schemas()])
}

/// The graph without what every build has for itself, and with numbers that are alike whether they are written 8 or 8.0.
fn without_seeds_and_folders(mut graph: Value) -> Value {
    for node in graph.as_object_mut().unwrap().values_mut() {
        let inputs = node["inputs"].as_object_mut().unwrap();
        inputs.retain(|name, _| !["seed", "noise_seed", "filename_prefix"].contains(&name.as_str()));
        for value in inputs.values_mut().filter(|value| value.is_number()) {
            *value = value.as_f64().into();
        }
    }
    graph
}

#[test]
fn a_folder_made_from_a_saved_graph_works_as_it_is() {
    let library = TempDir::new().unwrap();
    let folder = library.path().to_str().unwrap();
    for (number, name) in SAVED.iter().enumerate() {
        let id = format!("workflow-{number}");
        let made = init(&id, &fixture(&format!("ui/{name}.workflow.json")), library.path());
        assert!(made.status.success(), "{name}: {}", stderr(&made));
        // A file that callers must bring stays out of this: the graph keeps its own.
        let built = comfy_runner(&["build", &id, "--workflows", folder]);
        assert!(built.status.success(), "{name}: {}", stderr(&built));
        let expected = json(&std::fs::read(fixture(&format!("ui/{name}.api.json"))).unwrap());
        assert_eq!(
            without_seeds_and_folders(json(&built.stdout)),
            without_seeds_and_folders(expected),
            "{name}"
        );
    }
    let validated = comfy_runner(&["validate", folder]);
    let reported = String::from_utf8_lossy(&validated.stdout).into_owned();
    assert!(validated.status.success() && reported.contains("0 errors"), "{reported}");
}

#[test]
fn the_inputs_that_people_want_are_found() {
    let library = TempDir::new().unwrap();
    let made = init("mine", &fixture("ui/default.0.3.64.workflow.json"), library.path());
    assert!(made.status.success(), "{}", stderr(&made));
    let folder = library.path().to_str().unwrap();
    let given = [
        "-p",
        "prompt=a hut",
        "-p",
        "negative_prompt=fog",
        "-p",
        "width=640",
        "-p",
        "seed=7",
        "-p",
        "steps=3",
    ];
    let built = comfy_runner(&[&["build", "mine", "--workflows", folder], &given[..]].concat());
    assert!(built.status.success(), "{}", stderr(&built));
    let graph = json(&built.stdout);
    assert_eq!(graph["6"]["inputs"]["text"], "a hut");
    assert_eq!(graph["7"]["inputs"]["text"], "fog");
    assert_eq!(graph["5"]["inputs"]["width"], 640);
    assert_eq!((&graph["3"]["inputs"]["seed"], &graph["3"]["inputs"]["steps"]), (&7.into(), &3.into()));
    let wrong = comfy_runner(&["build", "mine", "--workflows", folder, "-p", "denoise=7"]);
    assert!(stderr(&wrong).contains("denoise"), "{}", stderr(&wrong));
}

#[test]
fn init_ends_with_a_summary_and_fails_only_when_nothing_is_written() {
    let library = TempDir::new().unwrap();
    let made = init("mine", &fixture("ui/default.0.3.64.workflow.json"), library.path());
    // The model of the graph is missing: a warning, as it can be installed later.
    assert!(made.status.success(), "{}", stderr(&made));
    let manifest = library.path().join("mine/manifest.yaml");
    assert_eq!(String::from_utf8_lossy(&made.stdout), format!("{}\n", manifest.display()));
    let printed = stderr(&made);
    let lines: Vec<_> = printed.lines().collect();
    let [warning, summary] = lines[..] else { panic!("{printed}") };
    assert!(
        warning.starts_with(&manifest.display().to_string()) && warning.contains(": warning: "),
        "{warning}"
    );
    assert!(warning.contains("no model of this kind is installed"), "{warning}");
    assert!(summary.starts_with("created \"mine\" with ") && summary.contains("(prompt, "), "{summary}");
    assert!(summary.ends_with(", 1 warning; run it with `comfy-runner run mine`"), "{summary}");

    let refused = init("other", &fixture("no such file"), library.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(!library.path().join("other").exists());
}

#[test]
fn init_refuses_what_it_cannot_make_a_folder_of_and_leaves_nothing_behind() {
    let library = TempDir::new().unwrap();
    let saved = fixture("ui/default.0.3.64.workflow.json");
    let not_a_graph = library.path().join("notes.txt");
    std::fs::write(&not_a_graph, "hello").unwrap();
    let image = png_without_graph(library.path());
    let cases = [
        ("../up", saved.as_str(), "../up"),
        ("mine", not_a_graph.to_str().unwrap(), "notes.txt"),
        ("mine", image.as_str(), "no graph"),
    ];
    for (id, file, reported) in cases {
        let refused = init(id, file, library.path());
        assert_eq!(refused.status.code(), Some(1), "{reported}");
        assert!(stderr(&refused).contains(reported), "{reported} is not in: {}", stderr(&refused));
    }
    assert_eq!(std::fs::read_dir(library.path()).unwrap().count(), 2, "the two files and no folder");
    assert!(init("mine", &saved, library.path()).status.success());
    let again = init("mine", &saved, library.path());
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
}

/// A image without a graph.
fn png_without_graph(folder: &Path) -> String {
    let file = folder.join("plain.png");
    std::fs::write(&file, support::png()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn convert_and_init_print_their_findings_as_json() {
    let folder = TempDir::new().unwrap();
    let graph = folder.path().join("graph.json");
    std::fs::write(&graph, r#"{"1": {"class_type": "NoSuchNode", "inputs": {"x": 1}}}"#).unwrap();
    let graph = graph.to_str().unwrap();
    let convert = |more: &[&str]| {
        let arguments = ["convert", graph, "--to", "workflow", "--object-info", &schemas(), "--json"];
        let output = comfy_runner(&[&arguments, more].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
        json(&output.stdout)
    };
    let converted = convert(&[]);
    assert_eq!(converted["graph"]["nodes"][0]["type"], "NoSuchNode");
    let finding = &converted["findings"][0];
    assert_eq!((&finding["severity"], &finding["file"]), (&"warning".into(), &graph.into()));
    assert!(finding["message"].as_str().unwrap().contains("NoSuchNode"), "{finding}");
    let file = folder.path().join("ui_graph.json");
    let written = convert(&["-o", file.to_str().unwrap()]);
    assert_eq!(written["output"], file.to_str().unwrap());
    assert_eq!((&written["graph"], &written["findings"]), (&Value::Null, &converted["findings"]));
    assert_eq!(json(&std::fs::read(&file).unwrap()), converted["graph"]);

    let library = TempDir::new().unwrap();
    let saved = fixture("ui/default.0.3.64.workflow.json");
    let directory = library.path().to_str().unwrap();
    let made = ["init", "mine", &saved, "--workflows", directory, "--object-info", &schemas(), "--json"];
    let made = comfy_runner(&made);
    assert!(made.status.success() && made.stderr.is_empty(), "{}", stderr(&made));
    let made = json(&made.stdout);
    assert_eq!(made["manifest"], library.path().join("mine/manifest.yaml").to_str().unwrap());
    assert!(made["inputs"].as_u64().unwrap() > 3, "{made}");
    // The checkpoint of the default graph is not among the models that the schemas list.
    assert_eq!(made["findings"][0]["kind"], "missing_model", "{made}");
}

#[test]
fn a_graph_in_ui_format_and_one_in_an_image_are_validated() {
    let validate = |file: &str, schemas: &str| {
        comfy_runner(&["validate", &fixture(file), "--object-info", &fixture(schemas), "--json"])
    };
    // The schemas come from a ComfyUI without models: the one thing to refuse.
    let ui = validate("ui/default.0.3.64.workflow.json", "object_info/0.3.64.json");
    let verdict = json(&ui.stdout);
    assert_eq!(ui.status.code(), Some(1), "{}", stderr(&ui));
    let nodes: Vec<_> = verdict["node_errors"].as_object().unwrap().keys().collect();
    assert_eq!(nodes, ["4"], "{verdict}");
    assert_eq!(verdict["node_errors"]["4"]["errors"][0]["type"], "value_not_in_list");

    let image = validate("embedded/image.png", "object_info/0.33.0.json");
    assert!(image.status.success(), "{}{}", String::from_utf8_lossy(&image.stdout), stderr(&image));
    assert_eq!(json(&image.stdout), serde_json::json!({"error": null, "node_errors": {}}));
}
