//! The moments of a job's life, as messages for whoever watches.

use std::time::Duration;

use bytestring::ByteString;
use comfy_runner_progress::{Progress, Snapshot, Status};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// ComfyUI took it.
    Queued,
    /// It began to run.
    Started,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// Something that happened to a job, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Events that happen later have larger ids, over restarts too (as long as the clock does not go back).
    pub id: u64,
    /// What happened.
    pub kind: EventKind,
    /// The message: `{"id", "type", "timestamp", "severity", "message", "data"}` as JSON.
    pub text: ByteString,
}

/// An event as it is sent.
#[derive(Serialize)]
struct Message<'a> {
    id: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    severity: &'static str,
    message: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    prompt_id: &'a str,
    #[serde(flatten)]
    of: JobNames<'a>,
    #[serde(flatten)]
    come_to: ComeTo<'a>,
}

/// What a job is called beside its id.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct JobNames<'a> {
    /// What a caller follows it by.
    pub client_id: &'a str,
    /// Its workflow, where that is known.
    pub workflow_id: Option<&'a str>,
}

/// What the job has come to. Of one that is not over only the status: it may be sent after a newer state, which says the
/// rest.
#[derive(Serialize)]
#[serde(untagged)]
enum ComeTo<'a> {
    Open { status: Status },
    Over(Snapshot<'a>),
}

impl EventKind {
    /// What a job of this status has come to.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Pending => Self::Queued,
            Status::Running => Self::Started,
            Status::Completed => Self::Completed,
            Status::Error => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }

    /// The event's `type`: `job.queued`, `job.started`, `job.completed`, `job.failed` or `job.cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "job.queued",
            Self::Started => "job.started",
            Self::Completed => "job.completed",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
        }
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    fn severity(self) -> &'static str {
        match self {
            Self::Queued | Self::Started => "info",
            Self::Completed => "success",
            Self::Failed => "error",
            Self::Cancelled => "warning",
        }
    }
}

impl Event {
    /// What happened to a job at a time.
    pub(crate) fn new(
        id: u64,
        kind: EventKind,
        at: OffsetDateTime,
        of: JobNames<'_>,
        progress: &Progress,
    ) -> Self {
        // Told of a job that has moved on since: the moment counts.
        let come_to = match kind {
            EventKind::Queued => ComeTo::Open { status: Status::Pending },
            EventKind::Started => ComeTo::Open { status: Status::Running },
            _ => ComeTo::Over(progress.snapshot(Duration::ZERO)),
        };
        // To the millisecond, as clocks of browsers go. A time that RFC 3339 cannot write is none.
        let at = at.replace_millisecond(at.millisecond()).unwrap_or(at);
        let message = Message {
            id,
            kind: kind.as_str(),
            timestamp: at.format(&Rfc3339).unwrap_or_default(),
            severity: kind.severity(),
            message: sentence(kind, of.workflow_id, progress.error()),
            data: Data { prompt_id: progress.prompt_id(), of, come_to },
        };
        let text =
            serde_json::to_string(&message).expect("strings, numbers and maps with string keys are JSON");
        Self { id, kind, text: text.into() }
    }
}

fn sentence(kind: EventKind, workflow_id: Option<&str>, error: Option<&str>) -> String {
    let what = workflow_id.unwrap_or("a job");
    match (kind, error) {
        (EventKind::Queued, _) => format!("{what} waits in the queue"),
        (EventKind::Started, _) => format!("{what} runs"),
        (EventKind::Completed, _) => format!("{what} is completed"),
        (EventKind::Failed, Some(error)) => format!("{what} failed: {error}"),
        (EventKind::Failed, None) => format!("{what} failed"),
        (EventKind::Cancelled, _) => format!("{what} was cancelled"),
    }
}

/// What is still to be told of a job of which `told` was the last: where it is now and, before that, that it was queued.
/// A job that ComfyUI has not taken yet is nobody's business.
pub(crate) fn untold(
    told: Option<EventKind>,
    accepted: bool,
    status: Status,
) -> impl Iterator<Item = EventKind> {
    let now = EventKind::of(status);
    let known = accepted || now != EventKind::Queued;
    let queued = (told.is_none() && now != EventKind::Queued).then_some(EventKind::Queued);
    let now = (known && told != Some(now)).then_some(now);
    queued.into_iter().chain(now)
}

#[cfg(test)]
mod tests {
    use comfy_runner_protocol::Graph;
    use serde_json::{Value, json};

    use super::*;

    fn told(told: Option<EventKind>, accepted: bool, status: Status) -> Vec<EventKind> {
        untold(told, accepted, status).collect()
    }

    #[test]
    fn each_moment_is_told_once_and_in_order() {
        use EventKind::{Completed, Failed, Queued, Started};
        assert_eq!(told(None, false, Status::Pending), []);
        assert_eq!(told(None, true, Status::Pending), [Queued]);
        assert_eq!(told(Some(Queued), true, Status::Pending), []);
        // It ran before ComfyUI's reply to the prompt was read.
        assert_eq!(told(None, false, Status::Running), [Queued, Started]);
        assert_eq!(told(Some(Started), true, Status::Running), []);
        assert_eq!(told(Some(Queued), true, Status::Completed), [Completed]);
        assert_eq!(told(Some(Completed), true, Status::Completed), []);
        assert_eq!(told(Some(Failed), true, Status::Completed), [Completed], "the history knew better");
    }

    #[test]
    fn an_event_says_what_when_and_of_which_job() {
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        let mut progress = Progress::new("0a1b2c3d-0000-4000-8000-00000000000f", &graph, None);
        progress.failed("it broke");
        let at = time::macros::datetime!(2026-11-24 03:04:05.678901 UTC);
        let event = Event::new(
            7,
            EventKind::Failed,
            at,
            JobNames { client_id: "c", workflow_id: Some("wan") },
            &progress,
        );
        assert_eq!(
            serde_json::from_str::<Value>(&event.text).unwrap(),
            json!({
                "id": 7, "type": "job.failed", "timestamp": "2026-11-24T03:04:05.678Z", "severity": "error",
                "message": "wan failed: it broke",
                "data": {
                    "prompt_id": "0a1b2c3d-0000-4000-8000-00000000000f",
                    "client_id": "c",
                    "workflow_id": "wan", "status": "error", "error": "it broke",
                },
            })
        );
    }

    #[test]
    fn of_a_job_that_goes_on_an_event_says_no_more_than_its_status() {
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        let mut progress = Progress::new("p", &graph, None);
        progress.started();
        let event = Event::new(
            7,
            EventKind::Queued,
            OffsetDateTime::UNIX_EPOCH,
            JobNames { client_id: "c", workflow_id: None },
            &progress,
        );
        let event: Value = serde_json::from_str(&event.text).unwrap();
        assert_eq!(event["message"], "a job waits in the queue");
        assert_eq!(
            event["data"],
            json!({"prompt_id": "p", "client_id": "c", "workflow_id": null, "status": "pending"})
        );
    }
}
