//! Finds the test cases of a library, runs them, and updates their golden graphs.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use comfy_runner_manifest::{LibraryError, WorkflowDir};
use comfy_runner_workflow::case::{CASES_DIR, Case, CaseFailure};
use comfy_runner_workflow::{Workflow, Workflows};
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

/// The result of one case.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// The workflow's id.
    pub workflow: String,
    /// The case's file in the workflow's `tests` directory.
    pub file: String,
    /// What the case shows.
    pub name: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The reasons of a failure: a sentence each, or a diff of the graph.
    pub failures: Vec<String>,
}

/// The outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The graph is as expected.
    Passed,
    /// The graph is as expected now that its golden file is rewritten.
    Updated,
    /// The graph is not as expected, or the case cannot be run.
    Failed,
}

/// Runs every case of a library, in the order of workflows and file names. With `update`, golden graphs that differ are
/// rewritten.
pub fn run(workflows: &Workflows, update: bool) -> anyhow::Result<Vec<CaseResult>> {
    let mut results = Vec::new();
    for listed in workflows.list()?.workflows {
        let path = workflows.path().join(&listed.id).join(CASES_DIR);
        let files = case_files(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let workflow = listed
            .workflow
            .map_err(|diagnostics| LibraryError::Broken { id: listed.id.clone(), diagnostics });
        let mut directory = CaseDir { path: &path, files: WorkflowDir::new(&listed.id, &path), update };
        results.extend(files.into_iter().map(|file| directory.run(file, &listed.id, &workflow)));
    }
    Ok(results)
}

/// Returns the content of a golden file with this graph.
pub fn golden_text(graph: &Value) -> String {
    format!("{graph:#}\n")
}

/// Returns the names of the files with cases, sorted. There may be none.
fn case_files(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names: io::Result<Vec<_>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names?;
    names.retain(|name| !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml")));
    names.sort_unstable();
    Ok(names)
}

/// The directory with the cases of one workflow.
struct CaseDir<'a> {
    path: &'a Path,
    files: WorkflowDir,
    update: bool,
}

impl CaseDir<'_> {
    fn run(&mut self, file: String, id: &str, workflow: &Result<Arc<Workflow>, LibraryError>) -> CaseResult {
        let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem).to_owned();
        let case = self.files.read(&file).and_then(|text| Case::parse(&text, &file));
        let (name, result) = match (case, workflow) {
            (Err(problem), _) => (stem, Err(vec![problem.to_string()])),
            (Ok(case), Err(broken)) => (case.name.unwrap_or(stem), Err(vec![broken.to_string()])),
            (Ok(case), Ok(workflow)) => {
                let result = self.compare(&case, workflow);
                (case.name.unwrap_or(stem), result)
            }
        };
        let (outcome, failures) = match result {
            Ok(outcome) => (outcome, Vec::new()),
            Err(failures) => (Outcome::Failed, failures),
        };
        CaseResult { workflow: id.to_owned(), file, name, outcome, failures }
    }

    fn compare(&mut self, case: &Case, workflow: &Workflow) -> Result<Outcome, Vec<String>> {
        let one = |error: &dyn std::fmt::Display| vec![error.to_string()];
        let graph = match case.assemble(workflow) {
            Ok(assembled) => Ok(serde_json::to_value(&assembled.graph).map_err(|error| one(&error))?),
            Err(error) => Err(error),
        };
        let mut outcome = Outcome::Passed;
        let golden = match (&case.graph, &graph) {
            (Some(file), Ok(graph))
                if self.update && self.rewrite(file, graph).map_err(|error| one(&error))? =>
            {
                outcome = Outcome::Updated;
                Some(graph.clone())
            }
            (Some(file), _) => Some(self.golden(file).map_err(|error| vec![error])?),
            (None, _) => None,
        };
        let failures = case.check(graph.as_ref(), golden.as_ref());
        if failures.is_empty() { Ok(outcome) } else { Err(failures.iter().map(describe).collect()) }
    }

    fn golden(&mut self, file: &str) -> Result<Value, String> {
        let text = self.files.read(file).map_err(|problem| format!("{problem}; write it with --update"))?;
        serde_json::from_str(&text).map_err(|error| format!("{file} is not JSON: {error}"))
    }

    /// Writes a golden file unless it has this graph already. Returns whether it was written.
    fn rewrite(&mut self, file: &str, graph: &Value) -> io::Result<bool> {
        if self.golden(file).is_ok_and(|golden| golden == *graph) {
            return Ok(false);
        }
        fs::write(self.path.join(file), golden_text(graph)).map(|()| true)
    }
}

/// Describes a failure; for a golden graph with a diff.
fn describe(failure: &CaseFailure) -> String {
    let CaseFailure::OtherGraph { file, expected, found } = failure else { return failure.to_string() };
    let (expected, found) = (golden_text(expected), golden_text(found));
    let diff = TextDiff::from_lines(&expected, &found);
    let diff = diff.unified_diff().context_radius(2).header(file, "the request's graph").to_string();
    format!("{failure}; rewrite it with --update if this graph is right:\n{diff}")
}
