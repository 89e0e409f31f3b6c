//! Runs the example.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_convert_graph")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fixture(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path).display().to_string()
}

#[test]
fn without_arguments_a_fixture_becomes_the_editors_prompt() {
    let expected = std::fs::read_to_string(fixture("ui/nested_subgraphs.0.33.0.api.json")).unwrap();
    assert_eq!(run(&[]), serde_json::from_str::<Value>(&expected).unwrap());
}

#[test]
fn the_graph_embedded_in_an_image_is_converted() {
    let prompt = run(&[&fixture("embedded/image.png"), &fixture("object_info/0.33.0.json")]);
    assert_eq!(prompt["1"]["class_type"], "EmptyImage");
}
