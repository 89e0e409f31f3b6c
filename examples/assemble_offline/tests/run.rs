//! The example prints a graph, and says what is wrong with params.

use std::process::{Command, Output};

use serde_json::Value;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assemble_offline")).args(args).output().unwrap()
}

fn samples() -> String {
    format!("{}/../../fixtures/workflows", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_same_params_print_the_same_graph() {
    let graph = |output: Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let first = graph(run(&[&samples(), "text-to-image", r#"{"prompt": "a red fox", "steps": 12}"#]));
    let inputs: Vec<&Value> = first.as_object().unwrap().values().map(|node| &node["inputs"]).collect();
    assert!(
        inputs.iter().any(|inputs| inputs["text"].as_str().is_some_and(|text| text.contains("a red fox")))
    );
    assert!(inputs.iter().any(|inputs| inputs["steps"] == 12 && inputs["seed"] == 7));
}

#[test]
fn without_arguments_it_assembles_a_sample() {
    assert!(run(&[]).status.success());
}

#[test]
fn params_that_do_not_fit_are_an_error_that_names_the_input() {
    let output = run(&[&samples(), "text-to-image", r#"{"steps": "many"}"#]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("steps"));
}
