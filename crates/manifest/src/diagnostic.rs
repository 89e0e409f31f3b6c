//! Errors and warnings about a workflow's files.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::Serialize;

use crate::first_ten::FirstTen;
use crate::lines::Lines;

/// How many characters a message has at most; longer ones are cut.
pub const LONGEST_MESSAGE: usize = 1000;

/// An error or a warning about a file in a workflow's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether the workflow can still be used.
    pub severity: Severity,
    /// The kind, for programs.
    pub kind: DiagnosticKind,
    /// The file, relative to the workflow's folder and with `/` between its parts.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The column, counted from 1, where it is known.
    pub column: Option<usize>,
    /// A sentence for people: what is wrong, and how to fix it.
    pub message: String,
    /// The name of what is missing: of a node type ([`DiagnosticKind::UnknownNodeType`]), a model
    /// ([`DiagnosticKind::MissingModel`]) or a package of custom nodes ([`DiagnosticKind::MissingNodes`]).
    pub missing: Option<String>,
}

/// The severity of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The workflow works, but probably not as its author intends.
    Warning,
    /// The workflow cannot be used until this is fixed.
    Error,
}

/// The kind of a [`Diagnostic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiagnosticKind {
    /// A file is missing, cannot be read, or lies outside the workflow's folder.
    File,
    /// A file is not YAML or JSON, or uses YAML that JSON cannot express.
    Syntax,
    /// A file is too large, too deep, or grows too much when its aliases are expanded.
    Limit,
    /// A key has a value of the wrong type.
    WrongType,
    /// An unknown key that looks like a typo of a known one.
    UnknownKey,
    /// The workflow's id is missing, ill-formed, reserved, or not the folder's name.
    WorkflowId,
    /// An input has no id, or the same id as another input.
    InputId,
    /// An input's type is unknown.
    UnknownInputType,
    /// `min` is greater than `max`.
    Range,
    /// A default is not a value that the input itself would accept.
    Default,
    /// An input is bound to a node or field that the graph lacks, or in a way that cannot work.
    Binding,
    /// A placeholder in the graph that has no value.
    Placeholder,
    /// An input that changes nothing in the graph.
    Unbound,
    /// The graph file does not contain a graph in API format, or a link in it is broken.
    Graph,
    /// The graph is in UI format, and node schemas are missing for all or some of its nodes.
    NeedsSchemas,
    /// `outputs[].node_id` names no node of the graph.
    OutputNode,
    /// A preset that a request could not use.
    Preset,
    /// A stage of a dynamic workflow's pipeline that cannot work as it is written.
    Stage,
    /// A block file does not contain a block, or a reference or export in it is broken.
    Block,
    /// An import that no stage before it exports.
    Import,
    /// An expression that cannot be parsed, or that uses an unknown name.
    Expression,
    /// A node type that this ComfyUI does not have.
    UnknownNodeType,
    /// An input that a node type does not have.
    UnknownField,
    /// A required input that the graph leaves out.
    MissingField,
    /// A value that the node does not take.
    BadValue,
    /// A link to an output that does not exist or is of the wrong type.
    BadLink,
    /// A model file that this ComfyUI does not have.
    MissingModel,
    /// A package of custom nodes that this ComfyUI does not have.
    MissingNodes,
    /// A test case that cannot be run.
    TestCase,
}

impl std::error::Error for Diagnostic {}

impl fmt::Display for Diagnostic {
    /// `manifest.yaml:12: input "steps": ...`, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(self.file.as_str(), LONGEST_MESSAGE))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        let mark = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {mark}{}", self.message)
    }
}

impl Diagnostic {
    /// Creates an error about a file as a whole.
    pub fn error(kind: DiagnosticKind, file: impl Into<String>, message: impl Into<String>) -> Self {
        // A message may show a value or a name of any length.
        let (file, message) = (file.into(), cut(message.into(), LONGEST_MESSAGE));
        Self { severity: Severity::Error, kind, file, line: None, column: None, message, missing: None }
    }

    /// Creates a warning about a file as a whole.
    pub fn warning(kind: DiagnosticKind, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, file, message) }
    }

    /// Returns the diagnostic with this line, counted from 1.
    pub fn at_line(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }

    /// Returns whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Errors and warnings about a workflow's files. Also the error type of functions that compile them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Returns an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Inserts other diagnostics before these.
    pub fn prepend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        self.0.splice(0..0, others);
    }

    /// Returns whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.iter().any(Diagnostic::is_error)
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    /// Writes the first ten errors, or the first ten warnings where there are only warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only_errors = self.has_errors();
        let shown = self.iter().filter(|diagnostic| diagnostic.is_error() || !only_errors);
        write!(f, "{}", FirstTen(shown))
    }
}

impl Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Diagnostics {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self(diagnostics)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        Self(Vec::from_iter(diagnostics))
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Collects the diagnostics of one file, and finds the line of the key that each is about.
#[derive(Debug)]
pub struct FileDiagnostics<'a> {
    file: &'a str,
    lines: &'a Lines,
    found: Diagnostics,
}

impl<'a> FileDiagnostics<'a> {
    /// Creates an empty collection for this file.
    pub fn new(file: &'a str, lines: &'a Lines) -> Self {
        Self { file, lines, found: Diagnostics::new() }
    }

    /// Adds an error about the value at this JSON pointer (`/inputs/3/default`).
    pub fn error(&mut self, kind: DiagnosticKind, pointer: &str, message: impl Into<String>) {
        self.found.push(Diagnostic::error(kind, self.file, message).at_line(self.lines.line(pointer)));
    }

    /// Adds an error about what is missing, by its name, at this JSON pointer.
    pub fn missing(
        &mut self,
        kind: DiagnosticKind,
        pointer: &str,
        name: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.error(kind, pointer, message);
        if let Some(added) = self.found.last_mut() {
            added.missing = Some(name.into());
        }
    }

    /// Adds a warning about the value at this JSON pointer.
    pub fn warning(&mut self, kind: DiagnosticKind, pointer: &str, message: impl Into<String>) {
        self.found.push(Diagnostic::warning(kind, self.file, message).at_line(self.lines.line(pointer)));
    }

    /// Returns whether an error is among the diagnostics.
    pub fn has_errors(&self) -> bool {
        self.found.has_errors()
    }

    /// Returns the diagnostics in the order of their lines.
    pub fn finish(mut self) -> Diagnostics {
        self.found.sort_by_key(|diagnostic| diagnostic.line);
        self.found
    }
}

/// Returns the text, with `...` in place of everything after this many characters.
pub fn cut(text: impl Into<String>, most: usize) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}
