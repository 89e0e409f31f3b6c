//! An error in a stage, found while a request's graph is assembled.

use std::fmt;

use comfy_runner_manifest::DiagnosticKind;

/// A reason why no graph can be assembled: the stage, the location in its block, and the error there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StageError {
    /// The file with the error, relative to the workflow's folder: the manifest or a block.
    pub file: String,
    /// The stage's block name.
    pub stage: String,
    /// The local id of the node.
    pub node: Option<String>,
    /// The node's input, as the block writes it.
    pub input: Option<String>,
    /// The error.
    pub reason: String,
    pub(crate) kind: DiagnosticKind,
    /// The location in the file, as a JSON pointer.
    pub(crate) pointer: String,
}

impl std::error::Error for StageError {}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage \"{}\" ({})", self.stage, self.file)?;
        if let Some(node) = &self.node {
            write!(f, ", node \"{node}\"")?;
        }
        if let Some(input) = &self.input {
            write!(f, ", input `{input}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}
