//! Error bodies: what every route answers with a status of 400 or more.

use comfy_runner_protocol::NodeErrors;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::execute::Submitted;

/// The body of every error.
///
/// | status | meaning |
/// | --- | --- |
/// | 400 | the request is wrong, or ComfyUI refuses the graph (then with `node_errors`) |
/// | 401 | no API key, or a wrong one; or a token that is invalid or has expired |
/// | 403 | the request comes from a page of another site, or its token does not permit it |
/// | 404 | the workflow, job, file or path does not exist |
/// | 405 | the path has no such method; the header `Allow` names those that it has |
/// | 408 | the body of the request does not arrive |
/// | 409 | the state of the job, or the idempotency key, does not allow the request |
/// | 413 | a part of the request is too large |
/// | 415 | the body has a content type that the route does not take |
/// | 429 | too many wrong API keys; the header `Retry-After` gives the seconds to wait |
/// | 500 | ComfyUI cannot be reached, or the workflow's files are broken |
/// | 502 | ComfyUI gave an unusable answer while a file was fetched |
/// | 503 | the server is not ready, or cannot record the job |
/// | 504 | ComfyUI did not answer in time while a file was fetched |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// A sentence that says what is wrong and, where possible, what would be right.
    pub detail: String,
    /// What is wrong with each value of the params, by input id or unknown key: the first ten.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub param_errors: IndexMap<String, String>,
    /// ComfyUI's own errors by node, when it refused the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_errors: Option<NodeErrors>,
    /// The jobs that were submitted before the error, when a request asked for several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Submitted>,
}

impl ErrorBody {
    /// Creates a body without node errors.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), param_errors: IndexMap::new(), node_errors: None, jobs: Vec::new() }
    }
}

/// A word that is none of those that a field of the API takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// The words that the field takes.
    pub known: &'static [&'static str],
}

impl UnknownWord {
    pub(crate) fn new(word: &str, known: &'static [&'static str]) -> Self {
        Self { word: word.to_owned(), known }
    }
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\" is not one of {}", self.word, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}
