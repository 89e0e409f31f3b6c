//! Findings about files: lines for people, or JSON for programs.

use std::fmt;
use std::path::Path;

use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Severity};
use serde::Serialize;

use crate::terminal::errln;

/// A remark about a file.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// The kind of a finding in a workflow's files; conversions have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DiagnosticKind>,
    /// The path of the file.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column, from 1, where it is known.
    pub column: Option<usize>,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    /// Creates a finding in a workflow's folder.
    pub fn new(folder: &Path, diagnostic: &Diagnostic) -> Self {
        let Diagnostic { severity, kind, file, line, column, message, .. } = diagnostic.clone();
        let file = format!("{}/{file}", folder.display());
        Self { severity, kind: Some(kind), file, line, column, message }
    }

    /// Returns the finding as a warning.
    pub fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Creates a warning about a file as a whole.
    pub fn warning(file: &Path, message: impl fmt::Display) -> Self {
        Self {
            severity: Severity::Warning,
            kind: None,
            file: file.display().to_string(),
            line: None,
            column: None,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Finding {
    /// Writes `manifest.yaml:12: warning: ...`, as compilers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in self.line.iter().chain(self.line.and(self.column.as_ref())) {
            write!(f, ":{number}")?;
        }
        let mark = if self.severity == Severity::Warning { "warning" } else { "error" };
        write!(f, ": {mark}: {}", self.message)
    }
}

/// Prints warnings to stderr, one per line.
pub fn print_warnings(warnings: &[Finding]) {
    for warning in warnings {
        errln!("warning: {}", warning.message);
    }
}
