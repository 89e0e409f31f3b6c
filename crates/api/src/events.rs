//! Following jobs: `GET /api/run/ws`, `GET /api/run/events/{prompt_id}` and `GET /api/run/preview/{prompt_id}`.
//!
//! | route | query | status | body |
//! | --- | --- | --- | --- |
//! | `ws` | [`FollowQuery`] | 101 | a WebSocket; each text frame is an [`Update`] |
//! | `events` | | 200 | `text/event-stream`; the data of each event is an [`Update`] |
//! | `events` | | 204 | none: the client has seen the end (its `Last-Event-ID` says so) |
//! | `preview` | | 200 | the bytes of the latest preview, as `image/jpeg` or `image/png` |
//! | all | | 403 | [`ErrorBody`](crate::ErrorBody): the request comes from a page of another site |
//! | all | | 404 | [`ErrorBody`](crate::ErrorBody): there is no such job, or no preview |
//!
//! On the WebSocket of one job, binary frames are previews: the bytes of a JPEG or PNG file. It has no `output` and no
//! `preview` messages. The names of server-sent events are those of [`Update::event_name`]; the last event is named
//! [`END_EVENT`].
//!
//! Readers skip messages of a `type` that they do not know.
//!
//! With `format=flat`, each text frame of the WebSocket is a [`FlatStatus`], and there are no events.

use serde::{Deserialize, Serialize};

use crate::status::{CompletedStatus, FailedStatus, JobStatus, NodeFiles, Status};

/// The name of the server-sent event after which the stream ends. Its data is the [`Event`] that ended the job.
pub const END_EVENT: &str = "end";

/// The query string of `ws`: which job to follow; all jobs when both are absent. Giving both is an error (400). Unknown
/// keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FollowQuery {
    /// The id of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The client id of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `messages` for frames that are an [`Update`], as when it is absent; `flat` for a [`FlatStatus`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["messages", "flat"])))]
    pub format: Option<String>,
}

/// A text frame of the WebSocket with `format=flat`: a job's status beside its ids, without `type` and `data`.
///
/// `S` is the status: a [`JobStatus`], or a reference to one where it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlatStatus<S = JobStatus> {
    /// The job's id.
    pub prompt_id: String,
    /// The id by which callers follow the job.
    pub client_id: String,
    /// What `GET /api/run/status/{prompt_id}` answers.
    #[serde(flatten)]
    pub status: S,
}

/// A message about a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum Update {
    /// Something happened: a `type` that begins with `job.`.
    Event(Box<Event>),
    /// The present state: `progress`, `output` or `preview`.
    Message(JobMessage),
}

impl Update {
    /// Returns the name of the server-sent event that carries this message.
    pub fn event_name(&self) -> &'static str {
        match self {
            Self::Event(event) => event.kind.event_name(),
            Self::Message(message) => message.event_name(),
        }
    }
}

/// The present state of a job, or of a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobMessage {
    /// The job's status. `type` is `progress`.
    Progress(JobUpdate<JobStatus>),
    /// The files of one node. `type` is `output`.
    Output(JobUpdate<OutputUpdate>),
    /// The latest preview. `type` is `preview`.
    Preview(JobUpdate<PreviewUpdate>),
}

impl JobMessage {
    /// Returns the message's `type`, which is also the name of the server-sent event.
    pub fn event_name(&self) -> &'static str {
        match self {
            Self::Progress(_) => "progress",
            Self::Output(_) => "output",
            Self::Preview(_) => "preview",
        }
    }
}

/// Data about a job, with the job's ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobUpdate<D> {
    /// The job's id.
    pub prompt_id: String,
    /// The id by which callers follow the job.
    pub client_id: String,
    /// The data.
    pub data: D,
}

/// The data of an `output` message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputUpdate {
    /// The id of the node that made the files.
    pub node_id: String,
    /// The files, and what the node is called.
    #[serde(flatten)]
    pub files: NodeFiles,
}

/// The data of a `preview` message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviewUpdate {
    /// The id of the node whose work the preview shows, where ComfyUI says it.
    pub node_id: Option<String>,
    /// `image/jpeg` or `image/png`.
    pub media_type: String,
    /// The image file in base64.
    pub image: String,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// A number that grows from event to event, also over restarts of the server. It does not count events.
    pub id: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When it happened, to the millisecond in UTC.
    pub timestamp: crate::timestamp::Timestamp,
    /// How to show it.
    pub severity: Severity,
    /// A sentence for people.
    pub message: String,
    /// Which job, and what became of it.
    pub data: EventData,
}

/// The kind of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum EventKind {
    /// ComfyUI accepted the job.
    #[serde(rename = "job.queued")]
    Queued,
    /// The job began to run.
    #[serde(rename = "job.started")]
    Started,
    /// The job completed.
    #[serde(rename = "job.completed")]
    Completed,
    /// The job failed.
    #[serde(rename = "job.failed")]
    Failed,
    /// The job was cancelled.
    #[serde(rename = "job.cancelled")]
    Cancelled,
}

impl EventKind {
    /// Returns the event's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "job.queued",
            Self::Started => "job.started",
            Self::Completed => "job.completed",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
        }
    }

    /// Returns whether no event follows this one.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Returns the severity of events of this kind.
    pub fn severity(self) -> Severity {
        match self {
            Self::Queued | Self::Started => Severity::Info,
            Self::Completed => Severity::Success,
            Self::Failed => Severity::Error,
            Self::Cancelled => Severity::Warning,
        }
    }

    /// Returns the name of the server-sent event: the `type`, or [`END_EVENT`] for the last one.
    pub fn event_name(self) -> &'static str {
        if self.is_end() { END_EVENT } else { self.as_str() }
    }
}

impl From<Status> for EventKind {
    /// Returns the event by which a job reaches this status.
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Queued,
            Status::Running => Self::Started,
            Status::Completed => Self::Completed,
            Status::Error => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// How an [`Event`] is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The job goes on.
    Info,
    /// The job completed.
    Success,
    /// The job was cancelled.
    Warning,
    /// The job failed.
    Error,
}

/// The data of an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventData {
    /// The job's id.
    pub prompt_id: String,
    /// The id by which callers follow the job.
    pub client_id: String,
    /// The workflow's id; None for a job that only ComfyUI knows.
    pub workflow_id: Option<String>,
    /// The status, and the result of a job that is over.
    #[serde(flatten)]
    pub outcome: EventOutcome,
}

/// The status in an [`Event`], with the result of a job that is over. The field `status` says which variant it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum EventOutcome {
    /// See [`Status::Pending`].
    Pending,
    /// See [`Status::Running`].
    Running,
    /// See [`Status::Completed`].
    Completed(CompletedStatus),
    /// See [`Status::Error`].
    Error(FailedStatus),
    /// See [`Status::Cancelled`].
    Cancelled(FailedStatus),
}
