//! Findings about workflows, with their files and lines.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use comfy_runner_manifest::{Diagnostic, MANIFEST_FILE, Severity};
use comfy_runner_workflow::validate as against;

use super::super::findings::Finding;
use super::super::{request, schemas};
use crate::cli::Validate;
use crate::terminal::outln;

/// Validates the workflows of a library, or the one workflow whose folder it is.
pub fn validate(options: &Validate) -> anyhow::Result<ExitCode> {
    let schemas = schemas::to_check_against(options)?.map(Arc::new);
    let workflows = request::open(&options.path)?;
    workflows.set_context(schemas.clone());
    let listing = workflows.list()?;
    let mut findings = Findings::default();
    let is_one_workflow = options.path.join(MANIFEST_FILE).is_file();
    for listed in &listing.workflows {
        // As the path was given, so that an editor opens what is printed.
        let folder = if is_one_workflow { options.path.clone() } else { options.path.join(&listed.id) };
        match &listed.workflow {
            Ok(workflow) => {
                findings.add(&folder, &listed.warnings);
                if let Some(schemas) = &schemas {
                    findings.add(&folder, &against(workflow, schemas));
                }
            }
            Err(problems) => findings.add(&folder, problems),
        }
    }
    findings.add(&options.path, &listing.notes);
    let failed = findings.count(Severity::Error) > 0;
    if options.json {
        outln!("{}", serde_json::to_string_pretty(&findings.0)?);
    } else {
        findings.print(listing.workflows.len(), schemas.is_some());
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, folder: &Path, diagnostics: &[Diagnostic]) {
        self.0.extend(diagnostics.iter().map(|diagnostic| Finding::new(folder, diagnostic)));
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }

    fn print(&self, workflows: usize, with_schemas: bool) {
        for finding in &self.0 {
            outln!("{finding}");
        }
        let plural = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        let errors = plural(self.count(Severity::Error), "error");
        let warnings = plural(self.count(Severity::Warning), "warning");
        let how =
            if with_schemas { "" } else { " (without node schemas: --object-info or --comfyui checks more)" };
        outln!("{}: {errors}, {warnings}{how}", plural(workflows, "workflow"));
    }
}
