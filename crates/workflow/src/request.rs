//! A request for a graph: params, files and a seed in, an assembled graph out.

use std::borrow::Cow;

use comfy_runner_manifest::{Params, ParamsError, Uploads};
use comfy_runner_protocol::graph::json_kind;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::assemble::{AssembleError, Assembled};
use crate::dynamic::Limits;
use crate::output_folder::OutputFolder;
use crate::workflow::Workflow;

/// A request to a workflow, built step by step. [`Workflow::request`] starts one.
///
/// Without [`seed`](Request::seed) and [`folder`](Request::folder), seeds that the caller leaves open are random and
/// the output folder is a new one, as for a job.
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is assembled"]
pub struct Request<'w> {
    workflow: &'w Workflow,
    params: RequestParams<'w>,
    uploads: Uploads,
    seed: Option<u64>,
    folder: Option<OutputFolder>,
    limits: Limits,
}

/// The params of a request, from input ids to values. Made from a JSON object, borrowed or owned; null is an empty
/// one.
#[derive(Debug, Clone)]
pub struct RequestParams<'a>(Result<Cow<'a, Map<String, Value>>, RequestError>);

/// The error of a request that cannot be assembled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The params are not an object.
    #[error("the params must be a JSON object, from input ids to values, not {0}")]
    NotAnObject(&'static str),
    /// The params do not fit the workflow's inputs.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The params fit the inputs, but not the graph.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

impl Workflow {
    /// Starts a request with these params.
    pub fn request<'w>(&'w self, params: impl Into<RequestParams<'w>>) -> Request<'w> {
        Request {
            workflow: self,
            params: params.into(),
            uploads: Uploads::new(),
            seed: None,
            folder: None,
            limits: Limits::default(),
        }
    }
}

impl Request<'_> {
    /// Sets the names under which ComfyUI stored the request's files, by input id or part name.
    pub fn uploads(mut self, uploads: Uploads) -> Self {
        self.uploads = uploads;
        self
    }

    /// Sets the first seed to use where the params leave a seed open. Further open seeds count up from it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the output folder.
    pub fn folder(mut self, folder: OutputFolder) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Sets the limits for a graph that is assembled from blocks.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks the params and assembles the graph. With a seed and a folder, the same request makes the same graph, byte
    /// for byte.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn assemble(self) -> Result<Assembled, RequestError> {
        let params = self.params.0?;
        let mut next = self.seed;
        let mut random = || match &mut next {
            Some(seed) => std::mem::replace(seed, seed.wrapping_add(1)),
            None => rand::random(),
        };
        let params = Params::check(self.workflow.manifest(), &params, &self.uploads, &mut random)?;
        let folder =
            self.folder.unwrap_or_else(|| OutputFolder::new(OffsetDateTime::now_utc(), rand::random()));
        Ok(self.workflow.assemble_within(&params, &folder, &self.limits)?)
    }
}

impl<'a> From<&'a Map<String, Value>> for RequestParams<'a> {
    fn from(params: &'a Map<String, Value>) -> Self {
        Self(Ok(Cow::Borrowed(params)))
    }
}

impl From<Map<String, Value>> for RequestParams<'_> {
    fn from(params: Map<String, Value>) -> Self {
        Self(Ok(Cow::Owned(params)))
    }
}

impl From<Value> for RequestParams<'_> {
    fn from(params: Value) -> Self {
        Self(match params {
            Value::Object(params) => Ok(Cow::Owned(params)),
            Value::Null => Ok(Cow::Owned(Map::new())),
            other => Err(RequestError::NotAnObject(json_kind(&other))),
        })
    }
}
