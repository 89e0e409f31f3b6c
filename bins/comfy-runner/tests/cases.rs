//! `comfy-runner test`: the test cases of a workflow library.

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::process::comfy_runner;
use support::{Shelf, fixtures};

fn test(library: &Path, more: &[&str]) -> Output {
    comfy_runner().arg("test").arg(library).args(more).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A library with one workflow, `plate`, and this case for it.
fn library(case: &str) -> Shelf {
    let library = Shelf::new();
    let manifest =
        "id: plate\ninputs:\n  - {id: color, type: int, node_id: 1, field: color, default: 7, max: 255}\n";
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    });
    library.put("plate", manifest, &graph);
    write(&library, "color.yaml", case);
    library
}

fn write(library: &Shelf, name: &str, text: &str) {
    let tests = library.path().join("plate/tests");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::write(tests.join(name), text).unwrap();
}

#[test]
fn the_cases_of_the_sample_workflows_hold() {
    let output = test(&fixtures().join("workflows"), &[]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("0 failed\n"), "{}", stdout(&output));
}

#[test]
fn a_case_that_does_not_hold_names_the_value_and_fails_the_command() {
    let output = test(library("params: {color: 9}\nexpect: {/1/inputs/color: 8}").path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("/1/inputs/color is 9; it must be 8"), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("0 passed, 1 failed\n"));
}

#[test]
fn a_golden_graph_is_written_by_update_and_its_differences_are_shown() {
    let library = library("params: {color: 9}\ngraph: color.json");
    let missing = test(library.path(), &[]);
    assert!(stdout(&missing).contains("write it with --update"), "{}", stdout(&missing));
    assert!(stdout(&test(library.path(), &["--update"])).starts_with("updated plate/tests/color.yaml"));
    assert!(test(library.path(), &[]).status.success());

    write(&library, "color.yaml", "params: {color: 10}\ngraph: color.json");
    let differs = stdout(&test(library.path(), &[]));
    let lines = [r#"-      "color": 9"#, r#"+      "color": 10"#];
    assert!(lines.iter().all(|line| differs.contains(line)), "{differs}");
}

#[test]
fn json_and_junit_reports_have_every_case() {
    let library = library("params: {color: 300}\nerror: at most 255");
    write(&library, "wrong.yaml", "parms: {}");
    let junit = library.path().join("report.xml");
    let output = test(library.path(), &["--json", "--junit", junit.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["cases"][1]["file"], "wrong.yaml");
    assert!(report["cases"][1]["failures"][0].as_str().unwrap().contains("parms"), "{report}");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!([r#"tests="2""#, r#"failures="1""#].iter().all(|count| junit.contains(count)), "{junit}");
}

#[test]
fn the_cases_of_a_broken_workflow_fail_with_its_problem() {
    let library = library("params: {color: 9}\nexpect: {/1/inputs/color: 9}");
    std::fs::write(library.path().join("plate/manifest.yaml"), "id: other").unwrap();
    let output = test(library.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("workflow \"plate\" is broken"), "{}", stdout(&output));
}

#[test]
fn a_library_without_cases_is_an_error_that_says_where_to_put_one() {
    let output = test(Shelf::new().path(), &[]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("WORKFLOW/tests/NAME.yaml"), "{message}");
}
