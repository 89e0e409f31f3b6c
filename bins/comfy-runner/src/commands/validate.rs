//! `comfy-runner validate`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use comfy_runner_manifest::{Problem, Severity};
use comfy_runner_workflow::validate as against;

use super::{request, schemas};
use crate::cli::Validate;
use crate::terminal::outln;

pub fn validate(options: Validate) -> anyhow::Result<ExitCode> {
    let schemas = schemas::to_check_against(&options)?.map(Arc::new);
    let workflows = request::open(&options.dir)?;
    workflows.set_context(schemas.clone());
    let listing = workflows.list()?;
    let mut tally = Tally::default();
    for listed in &listing.workflows {
        let folder = options.dir.join(&listed.id);
        match &listed.workflow {
            Ok(workflow) => {
                tally.print(&folder, &listed.warnings);
                let schemas = schemas.iter();
                tally.print(
                    &folder,
                    &schemas.flat_map(|schemas| against(workflow, schemas)).collect::<Vec<_>>(),
                );
            }
            Err(problems) => tally.print(&folder, problems),
        }
    }
    tally.print(&options.dir, &listing.notes);
    tally.print_summary(listing.workflows.len(), schemas.is_some());
    Ok(if tally.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Tally {
    errors: usize,
    warnings: usize,
}

impl Tally {
    fn print(&mut self, folder: &Path, problems: &[Problem]) {
        for problem in problems {
            match problem.severity {
                Severity::Error => self.errors += 1,
                Severity::Warning => self.warnings += 1,
            }
            outln!("{}/{problem}", folder.display());
        }
    }

    fn print_summary(&self, workflows: usize, with_schemas: bool) {
        let plural = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        let (errors, warnings) = (plural(self.errors, "error"), plural(self.warnings, "warning"));
        let how =
            if with_schemas { "" } else { " (without node schemas: --object-info or --comfyui checks more)" };
        outln!("{}: {errors}, {warnings}{how}", plural(workflows, "workflow"));
    }
}
