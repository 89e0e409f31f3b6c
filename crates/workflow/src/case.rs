//! Test cases of a workflow: params, and the expected graph or error.
//!
//! A case is a YAML file in the workflow's `tests` directory. Running it needs no ComfyUI: the graph is assembled and
//! compared, not run.

use std::path::Path;

use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Uploads, yaml};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::assemble::Assembled;
use crate::output_folder::OutputFolder;
use crate::request::RequestError;
use crate::workflow::Workflow;

/// The name of the directory, inside a workflow's own, that holds its cases.
pub const CASES_DIR: &str = "tests";

/// One case, parsed from its file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Case {
    /// The display name; the file's name if absent.
    #[serde(default)]
    pub name: Option<String>,
    /// The params of the request.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// The first seed to use where the params leave a seed open; further ones count up.
    #[serde(default)]
    pub seed: u64,
    /// Names of files that count as uploaded with the request, by input id or part name.
    #[serde(default)]
    pub uploads: Uploads,
    /// Values that the graph must have, by JSON pointer (`/3/inputs/steps`). Null also holds for a value that is
    /// absent.
    #[serde(default)]
    pub expect: IndexMap<String, Value>,
    /// A file in the same directory with the whole expected graph.
    #[serde(default)]
    pub graph: Option<String>,
    /// The request must be refused, and the message must contain this.
    #[serde(default)]
    pub error: Option<String>,
}

/// One reason why a case fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseFailure {
    /// The request was refused although the case expects a graph.
    #[error("the request is refused: {0}")]
    Refused(String),
    /// The request made a graph although the case expects an error.
    #[error("the request makes a graph; it must be refused with \"{expected}\"")]
    NotRefused {
        /// What the message must contain.
        expected: String,
    },
    /// The request was refused with another message.
    #[error("the request is refused with \"{message}\"; the message must contain \"{expected}\"")]
    OtherError {
        /// What the message must contain.
        expected: String,
        /// The message.
        message: String,
    },
    /// The graph has another value, or none, at a pointer.
    #[error("{pointer} is {}; it must be {expected}", .found.as_ref().map_or_else(|| "absent".to_owned(), Value::to_string))]
    OtherValue {
        /// The JSON pointer.
        pointer: String,
        /// The value that the case expects.
        expected: Value,
        /// The value in the graph.
        found: Option<Value>,
    },
    /// The graph is not the one in the file.
    #[error("the graph differs from {file}")]
    OtherGraph {
        /// The file's name.
        file: String,
        /// The graph in the file.
        expected: Value,
        /// The graph of the request.
        found: Value,
    },
}

impl Case {
    /// Parses a case. `file` is the file name for the diagnostic.
    ///
    /// # Errors
    /// Text that is not YAML, or not a case: unknown keys, values of the wrong type, a case that expects nothing, or an
    /// error together with a graph.
    pub fn parse(text: &str, file: &str) -> Result<Self, Diagnostic> {
        let wrong = |message: String| Diagnostic::error(DiagnosticKind::TestCase, file, message);
        let case: Self =
            serde_json::from_value(yaml::parse(text, file)?).map_err(|error| wrong(error.to_string()))?;
        if case.error.is_some() && (case.graph.is_some() || !case.expect.is_empty()) {
            return Err(wrong(
                "`error` excludes `expect` and `graph`: a refused request makes no graph".into(),
            ));
        }
        if case.error.is_none() && case.graph.is_none() && case.expect.is_empty() {
            return Err(wrong("the case expects nothing; add `expect`, `graph` or `error`".into()));
        }
        if let Some(pointer) = case.expect.keys().find(|pointer| !pointer.starts_with('/')) {
            return Err(wrong(format!(
                "`expect`: \"{pointer}\" is not a JSON pointer; write \"/{pointer}\""
            )));
        }
        // `--update` writes this file: it must not lead out of the directory.
        let plain = |graph: &String| Path::new(graph).file_name() == Some(graph.as_ref());
        if let Some(graph) = case.graph.as_ref().filter(|graph| !plain(graph)) {
            return Err(wrong(format!(
                "`graph`: \"{graph}\" is not the plain name of a file beside this one"
            )));
        }
        Ok(case)
    }

    /// Assembles the case's request. The output folder is [`OutputFolder::fixed`].
    ///
    /// # Errors
    /// A refused request, which a case may expect.
    pub fn assemble(&self, workflow: &Workflow) -> Result<Assembled, RequestError> {
        let request = workflow.request(&self.params).uploads(self.uploads.clone());
        request.seed(self.seed).folder(OutputFolder::fixed()).assemble()
    }

    /// Compares what [`Case::assemble`] returned with what the case expects. `golden` is the content of the file that
    /// [`Case::graph`] names. Returns an empty list if the case passes.
    pub fn check(&self, outcome: Result<&Value, &RequestError>, golden: Option<&Value>) -> Vec<CaseFailure> {
        match (outcome, &self.error) {
            (Err(error), Some(expected)) => {
                let message = error.to_string();
                let holds = message.contains(expected.as_str());
                let failure = CaseFailure::OtherError { expected: expected.clone(), message };
                if holds { Vec::new() } else { vec![failure] }
            }
            (Err(error), None) => vec![CaseFailure::Refused(error.to_string())],
            (Ok(_), Some(expected)) => vec![CaseFailure::NotRefused { expected: expected.clone() }],
            (Ok(graph), None) => self.check_graph(graph, golden),
        }
    }

    fn check_graph(&self, graph: &Value, golden: Option<&Value>) -> Vec<CaseFailure> {
        let other_values = self.expect.iter().filter_map(|(pointer, expected)| {
            let found = graph.pointer(pointer);
            let holds = found.unwrap_or(&Value::Null) == expected;
            (!holds).then(|| CaseFailure::OtherValue {
                pointer: pointer.clone(),
                expected: expected.clone(),
                found: found.cloned(),
            })
        });
        let other_graph = golden.filter(|golden| *golden != graph).map(|golden| CaseFailure::OtherGraph {
            file: self.graph.clone().unwrap_or_default(),
            expected: golden.clone(),
            found: graph.clone(),
        });
        other_values.chain(other_graph).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn case(text: &str) -> Case {
        Case::parse(text, "case.yaml").unwrap()
    }

    fn refused(text: &str) -> String {
        Case::parse(text, "case.yaml").unwrap_err().to_string()
    }

    #[test]
    fn a_case_is_compared_by_pointer_and_by_its_whole_graph() {
        let case = case("expect: {/1/inputs/steps: 30, /2: null}\ngraph: golden.json");
        let graph = json!({"1": {"inputs": {"steps": 30}}});
        assert_eq!(case.check(Ok(&graph), Some(&graph)), []);
        let other = json!({"1": {"inputs": {"steps": 31}}});
        let failures = case.check(Ok(&other), Some(&graph));
        assert_eq!(failures[0].to_string(), "/1/inputs/steps is 31; it must be 30");
        assert_eq!(failures[1].to_string(), "the graph differs from golden.json");
    }

    #[test]
    fn a_case_that_expects_an_error_holds_when_the_message_contains_it() {
        let case = case("params: {steps: 0}\nerror: at least 1");
        let error = RequestError::NotAnObject("at least 1 apple");
        assert_eq!(case.check(Err(&error), None), []);
        assert_eq!(case.check(Ok(&json!({})), None).len(), 1);
        assert_eq!(case.check(Err(&RequestError::NotAnObject("a list")), None).len(), 1);
    }

    #[test]
    fn a_refused_request_fails_a_case_that_expects_a_graph() {
        let failures = case("expect: {/1: null}").check(Err(&RequestError::NotAnObject("a list")), None);
        assert!(matches!(failures.as_slice(), [CaseFailure::Refused(_)]), "{failures:?}");
    }

    #[test]
    fn a_file_that_is_no_case_is_refused_with_what_is_wrong() {
        assert!(refused("parms: {}").contains("unknown field `parms`"));
        assert!(refused("params: {}").contains("expects nothing"));
        assert!(refused("expect: {steps: 1}").contains("write \"/steps\""));
        assert!(refused("error: x\ngraph: y.json").contains("excludes"));
        assert!(refused("graph: ../x.json").contains("plain name"));
        assert!(refused("- 1").contains("invalid type"));
    }
}
