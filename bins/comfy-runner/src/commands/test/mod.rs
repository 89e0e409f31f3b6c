//! `comfy-runner test`: runs the test cases of workflows, without a ComfyUI.

mod cases;
mod junit;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use comfy_runner_workflow::case::CASES_DIR;
use serde::Serialize;

use self::cases::{CaseResult, Outcome};
use super::{request, schemas};
use crate::cli::Test;
use crate::terminal::outln;

/// The output of `--json`.
#[derive(Serialize)]
struct Results<'a> {
    passed: usize,
    failed: usize,
    cases: &'a [CaseResult],
}

pub fn test(options: Test) -> anyhow::Result<ExitCode> {
    let workflows = request::open(&options.dir)?;
    if let Some(file) = &options.object_info {
        workflows.set_context(Some(Arc::new(schemas::read(file)?)));
    }
    let results = cases::run(&workflows, options.update)?;
    ensure!(
        !results.is_empty(),
        "no workflow in {} has a test case; write one as WORKFLOW/{CASES_DIR}/NAME.yaml",
        options.dir.display()
    );
    if let Some(file) = &options.junit {
        std::fs::write(file, junit::report(&results)?)
            .with_context(|| format!("cannot write --junit {}", file.display()))?;
    }
    let failed = results.iter().filter(|result| result.outcome == Outcome::Failed).count();
    let passed = results.len() - failed;
    if options.json {
        outln!("{}", serde_json::to_string_pretty(&Results { passed, failed, cases: &results })?);
    } else {
        results.iter().for_each(print);
        outln!("{passed} passed, {failed} failed");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(result: &CaseResult) {
    let outcome = match result.outcome {
        Outcome::Passed => "passed ",
        Outcome::Updated => "updated",
        Outcome::Failed => "FAILED ",
    };
    outln!("{outcome} {}/{CASES_DIR}/{}: {}", result.workflow, result.file, result.name);
    for line in result.failures.iter().flat_map(|failure| failure.lines()) {
        outln!("        {line}");
    }
}
