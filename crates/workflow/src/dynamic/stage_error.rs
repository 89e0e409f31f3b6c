//! What is wrong with a stage when a request's graph is put together.

use std::fmt;

use comfy_runner_manifest::DiagnosticKind;

/// One reason why no graph can be put together: the stage, the place in its block, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StageError {
    /// The file that it is about, relative to the workflow's folder: the manifest or a block.
    pub file: String,
    /// The stage's block name.
    pub stage: String,
    /// The local id of the node.
    pub node: Option<String>,
    /// The node's input, as the block writes it.
    pub input: Option<String>,
    /// What is wrong.
    pub reason: String,
    pub(crate) kind: DiagnosticKind,
    /// The place in the file, as a JSON pointer.
    pub(crate) pointer: String,
}

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
