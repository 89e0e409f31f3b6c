//! The answer of `POST /prompt` to a graph.

use comfy_runner_protocol::{InputError, NodeErrors, NodeId, PromptError};
use serde::Serialize;
use serde_json::{Map, Value};

/// The answer of ComfyUI to a graph. As JSON it is the body of that answer: `error` and `node_errors`, and besides
/// them `unknown` when there is any.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Why nothing would run; `None` if at least one output would run.
    pub error: Option<PromptError>,
    /// The errors of single nodes. If the prompt is accepted, they are the reasons for dropped outputs.
    pub node_errors: NodeErrors,
    /// The output nodes that would run, in the graph's order.
    #[serde(skip)]
    pub outputs: Vec<NodeId>,
    /// Facts that only ComfyUI knows, which are assumed to be valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
}

/// A fact that the node schemas do not contain and that may change the verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Unknown {
    /// The node.
    pub node: NodeId,
    /// Its input.
    pub input: String,
    /// The unknown fact.
    pub question: Question,
}

/// An unknown fact about an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Question {
    /// Whether this file exists.
    File(FileName),
    /// The result of the node's own validation. It is a node of an extension, and the error found is one that
    /// such a validation can replace.
    OwnValidation,
}

/// A file as inputs name it: `name.png`, `folder/name.png`, `name.png [output]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct FileName {
    /// The folder within its root, empty for none.
    pub subfolder: String,
    /// The file's name.
    pub filename: String,
    /// The root: `input`, `output` or `temp`.
    #[serde(rename = "type")]
    pub root: &'static str,
}

impl Verdict {
    /// Returns whether ComfyUI would refuse the prompt.
    pub fn is_refused(&self) -> bool {
        self.error.is_some()
    }

    /// Creates a refusal of the prompt as a whole.
    pub(super) fn refused(error: PromptError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

impl FileName {
    /// Reads a file's name by ComfyUI's rule for the root in brackets: nine characters are cut off for `[output]`,
    /// eight for `[input]`, seven for `[temp]`, which includes the space before the bracket. `None` when the name leads
    /// out of its root, or names a folder.
    pub fn parse(name: &str) -> Option<Self> {
        let (path, root) = [("[output]", "output"), ("[input]", "input"), ("[temp]", "temp")]
            .into_iter()
            .find_map(|(annotation, root)| {
                let path = name.strip_suffix(annotation)?;
                let mut characters = path.chars();
                characters.next_back();
                Some((characters.as_str(), root))
            })
            .unwrap_or((name, "input"));
        let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
        let leads_out = path.starts_with('/') || path.split('/').any(|part| part == ".." || part == ".");
        if filename.is_empty() || leads_out || path.contains('\0') {
            return None;
        }
        Some(Self { subfolder: subfolder.to_owned(), filename: filename.to_owned(), root })
    }
}

/// An error about the prompt as a whole.
pub(super) fn prompt_error(
    kind: &str,
    message: impl Into<String>,
    details: impl Into<String>,
) -> PromptError {
    PromptError {
        kind: kind.to_owned(),
        message: message.into(),
        details: details.into(),
        extra_info: Map::new(),
    }
}

/// An error about one input.
pub(super) fn input_error(
    kind: &str,
    message: impl Into<String>,
    details: impl Into<String>,
    extra_info: Value,
) -> InputError {
    let extra_info = match extra_info {
        Value::Object(extra_info) => extra_info,
        _ => Map::new(),
    };
    InputError { kind: kind.to_owned(), message: message.into(), details: details.into(), extra_info }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Option<(String, String, &'static str)> {
        FileName::parse(name).map(|file| (file.subfolder, file.filename, file.root))
    }

    #[test]
    fn a_file_name_has_a_folder_and_a_root() {
        let of =
            |subfolder: &str, filename: &str, root| Some((subfolder.to_owned(), filename.to_owned(), root));
        assert_eq!(parts("a.png"), of("", "a.png", "input"));
        assert_eq!(parts("clipspace/a b.png [input]"), of("clipspace", "a b.png", "input"));
        assert_eq!(parts("a.png [output]"), of("", "a.png", "output"));
        assert_eq!(parts("a.png[temp]"), of("", "a.pn", "temp"));
        for none in ["", "folder/", "../a.png", "/etc/passwd", "[output]"] {
            assert_eq!(parts(none), None, "{none}");
        }
    }
}
