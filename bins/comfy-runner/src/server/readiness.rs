//! Whether workflows can run now, by the node schemas of ComfyUI.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use comfy_runner_api::{Missing, WorkflowReadiness};
use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Diagnostics};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Workflow, validate};

/// How many names a reason lists.
const NAMED: usize = 5;

/// The findings about each workflow, kept for as long as neither its files nor the schemas change.
#[derive(Debug, Default)]
pub struct FindingsCache {
    /// By the workflow's id and the ComfyUI's name.
    known: Mutex<HashMap<(String, Arc<str>), Known>>,
}

#[derive(Debug)]
struct Known {
    workflow: Weak<Workflow>,
    schemas: Weak<ObjectInfo>,
    findings: Arc<Diagnostics>,
}

impl FindingsCache {
    /// Returns everything in the workflow that the ComfyUI refuses or lacks which suits it best. This may take a while.
    pub fn best(
        &self,
        workflow: &Arc<Workflow>,
        comfyuis: &[(Arc<str>, Arc<ObjectInfo>)],
    ) -> Arc<Diagnostics> {
        let errors = |findings: &Diagnostics| findings.iter().filter(|finding| finding.is_error()).count();
        let findings = comfyuis.iter().map(|(name, schemas)| self.findings(workflow, name, schemas));
        findings.min_by_key(|findings| errors(findings)).unwrap_or_default()
    }

    fn findings(
        &self,
        workflow: &Arc<Workflow>,
        comfyui: &Arc<str>,
        schemas: &Arc<ObjectInfo>,
    ) -> Arc<Diagnostics> {
        let id = (workflow.manifest().id.clone(), Arc::clone(comfyui));
        if let Some(known) = self.lock().get(&id).filter(|known| known.is_of(workflow, schemas)) {
            return Arc::clone(&known.findings);
        }
        let findings = Arc::new(validate(workflow, schemas));
        let known = Known {
            workflow: Arc::downgrade(workflow),
            schemas: Arc::downgrade(schemas),
            findings: Arc::clone(&findings),
        };
        self.lock().insert(id, known);
        findings
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Arc<str>), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_of(&self, workflow: &Arc<Workflow>, schemas: &Arc<ObjectInfo>) -> bool {
        std::ptr::eq(self.workflow.as_ptr(), Arc::as_ptr(workflow))
            && std::ptr::eq(self.schemas.as_ptr(), Arc::as_ptr(schemas))
    }
}

/// Returns the readiness of a workflow with these findings.
pub fn from_findings(findings: &[Diagnostic]) -> WorkflowReadiness {
    let errors: Vec<&Diagnostic> = findings.iter().filter(|finding| finding.is_error()).collect();
    let missing = Missing {
        node_types: missing(&errors, DiagnosticKind::UnknownNodeType),
        models: missing(&errors, DiagnosticKind::MissingModel),
        packages: missing(&errors, DiagnosticKind::MissingNodes),
    };
    WorkflowReadiness { ready: Some(errors.is_empty()), reason: reason(&errors, &missing), missing }
}

/// Returns the readiness of a workflow when ComfyUI's schemas cannot be fetched.
pub fn unknown(reason: String) -> WorkflowReadiness {
    WorkflowReadiness { ready: None, reason: Some(reason), missing: Missing::default() }
}

/// Returns the names of what is missing of this kind, without duplicates.
fn missing(errors: &[&Diagnostic], kind: DiagnosticKind) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in errors.iter().filter(|error| error.kind == kind).filter_map(|error| error.missing.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Returns why a workflow with these errors cannot run: what is missing, or else the first error.
fn reason(errors: &[&Diagnostic], missing: &Missing) -> Option<String> {
    let first = errors.first()?;
    let mut parts = Vec::new();
    for (one, several, names) in
        [("node type", "node types", &missing.node_types), ("model", "models", &missing.models)]
    {
        if !names.is_empty() {
            parts.push(format!("the {} {}", if names.len() == 1 { one } else { several }, listed(names)));
        }
    }
    Some(match parts.is_empty() {
        false => format!("this ComfyUI lacks {}", parts.join(" and ")),
        true => match errors.len() - 1 {
            0 => first.to_string(),
            more => format!("{first}; and {more} more"),
        },
    })
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: DiagnosticKind, missing: Option<&str>) -> Diagnostic {
        let mut error = Diagnostic::error(kind, "workflow.json", "it is wrong");
        error.missing = missing.map(str::to_owned);
        error
    }

    #[test]
    fn what_is_missing_is_named_once_and_is_the_reason() {
        let model = error(DiagnosticKind::MissingModel, Some("a.ckpt"));
        let found = from_findings(&[
            error(DiagnosticKind::UnknownNodeType, Some("X")),
            model.clone(),
            model,
            error(DiagnosticKind::MissingNodes, Some("Pack")),
        ]);
        assert_eq!(found.ready, Some(false));
        assert_eq!(found.missing.node_types, ["X"]);
        assert_eq!(found.missing.models, ["a.ckpt"]);
        assert_eq!(found.missing.packages, ["Pack"]);
        assert_eq!(
            found.reason.as_deref(),
            Some("this ComfyUI lacks the node type \"X\" and the model \"a.ckpt\"")
        );
    }

    #[test]
    fn another_error_is_the_reason_where_nothing_is_missing() {
        let found =
            from_findings(&[error(DiagnosticKind::BadLink, None), error(DiagnosticKind::BadValue, None)]);
        assert_eq!(found.reason.as_deref(), Some("workflow.json: it is wrong; and 1 more"));
    }

    #[test]
    fn warnings_do_not_keep_a_workflow_from_running() {
        let warning = Diagnostic::warning(DiagnosticKind::BadValue, "workflow.json", "it is odd");
        let found = from_findings(&[warning]);
        assert_eq!((found.ready, found.reason), (Some(true), None));
    }
}
