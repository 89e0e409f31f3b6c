//! The events of a job.

use comfy_runner_api::{Event, EventData, EventKind, EventOutcome, JobStatus, Status, Timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::job::Job;

/// Creates an event of a job. `now` is the time in milliseconds since the Unix epoch: that of the event unless the job
/// knows a better one.
pub(crate) fn job_event(id: u64, kind: EventKind, job: &Job, now: i64) -> Event {
    let workflow_id = job.workflow_id.as_deref();
    let known_time = match kind {
        EventKind::Started => job.started_at,
        EventKind::Completed | EventKind::Failed | EventKind::Cancelled => job.finished_at,
        _ => None,
    };
    Event {
        id,
        kind,
        timestamp: timestamp(known_time.unwrap_or(now)),
        severity: kind.severity(),
        message: sentence(kind, workflow_id, job.progress.error()),
        data: EventData {
            prompt_id: job.progress.prompt_id().to_owned(),
            client_id: job.client_id.to_string(),
            workflow_id: workflow_id.map(str::to_owned),
            outcome: outcome(kind, job),
        },
    }
}

/// Returns the outcome of an event. An event that does not end a job has only a status: it may be sent after a newer
/// state, which has the rest.
fn outcome(kind: EventKind, job: &Job) -> EventOutcome {
    match (kind, job.progress.snapshot(std::time::Duration::ZERO)) {
        (EventKind::Queued, _) => EventOutcome::Pending,
        (EventKind::Started, _) => EventOutcome::Running,
        (_, JobStatus::Completed(completed)) => EventOutcome::Completed(completed),
        (_, JobStatus::Error(failed)) => EventOutcome::Error(failed),
        (_, JobStatus::Cancelled(failed)) => EventOutcome::Cancelled(failed),
        // An event that ends a job is made of a job that is over.
        (_, JobStatus::Pending(_)) => EventOutcome::Pending,
        (_, JobStatus::Running(_)) => EventOutcome::Running,
    }
}

/// Returns a time as events have it. A time that RFC 3339 cannot express is replaced by an empty string.
fn timestamp(millis: i64) -> Timestamp {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok();
    Timestamp::new(time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default())
}

fn sentence(kind: EventKind, workflow_id: Option<&str>, error: Option<&str>) -> String {
    let what = workflow_id.unwrap_or("a job");
    match (kind, error) {
        (EventKind::Queued, _) => format!("{what} waits in the queue"),
        (EventKind::Started, _) => format!("{what} runs"),
        (EventKind::Completed, _) => format!("{what} completed"),
        (EventKind::Failed, Some(error)) => format!("{what} failed: {error}"),
        (EventKind::Failed, None) => format!("{what} failed"),
        (EventKind::Cancelled, _) => format!("{what} was cancelled"),
        (other, _) => format!("{what}: {}", other.as_str()),
    }
}

/// Returns the events that are still to be reported of a job whose last reported event is `last`: the one of its present
/// status and, before that, that it was queued. A job that ComfyUI has not accepted yet is not reported.
pub(crate) fn unreported(
    last: Option<EventKind>,
    accepted: bool,
    status: Status,
) -> impl Iterator<Item = EventKind> {
    let now = EventKind::from(status);
    let known = accepted || now != EventKind::Queued;
    let queued = (last.is_none() && now != EventKind::Queued).then_some(EventKind::Queued);
    let now = (known && last != Some(now)).then_some(now);
    queued.into_iter().chain(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    fn kinds(last: Option<EventKind>, accepted: bool, status: Status) -> Vec<EventKind> {
        unreported(last, accepted, status).collect()
    }

    #[test]
    fn each_event_is_reported_once_and_in_order() {
        use EventKind::{Completed, Failed, Queued, Started};
        assert_eq!(kinds(None, false, Status::Pending), []);
        assert_eq!(kinds(None, true, Status::Pending), [Queued]);
        assert_eq!(kinds(Some(Queued), true, Status::Pending), []);
        // It ran before ComfyUI's reply to the prompt was read.
        assert_eq!(kinds(None, false, Status::Running), [Queued, Started]);
        assert_eq!(kinds(Some(Started), true, Status::Running), []);
        assert_eq!(kinds(Some(Queued), true, Status::Completed), [Completed]);
        assert_eq!(kinds(Some(Completed), true, Status::Completed), []);
        assert_eq!(kinds(Some(Failed), true, Status::Completed), [Completed], "the history corrected it");
    }

    #[test]
    fn an_event_says_what_happened_when_and_to_which_job() {
        let mut job = Job {
            client_id: "c".into(),
            workflow_id: Some("wan".into()),
            finished_at: Some(1_795_489_445_678),
            ..job("0a1b2c3d-0000-4000-8000-00000000000f")
        };
        job.progress.failed("it broke");
        let event = job_event(7, EventKind::Failed, &job, 0);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"id":7,"type":"job.failed","timestamp":"2026-11-24T03:04:05.678Z","severity":"error","#,
                r#""message":"wan failed: it broke","data":{"prompt_id":"0a1b2c3d-0000-4000-8000-00000000000f","#,
                r#""client_id":"c","workflow_id":"wan","status":"error","error":"it broke","percent":100}}"#
            )
        );
    }

    #[test]
    fn the_event_of_a_job_that_goes_on_has_only_a_status() {
        let mut job = Job { client_id: "c".into(), workflow_id: None, ..job("p") };
        job.progress.started();
        let event = job_event(7, EventKind::Queued, &job, 0);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            concat!(
                r#"{"id":7,"type":"job.queued","timestamp":"1970-01-01T00:00:00Z","severity":"info","#,
                r#""message":"a job waits in the queue","data":{"prompt_id":"p","client_id":"c","#,
                r#""workflow_id":null,"status":"pending"}}"#
            )
        );
    }
}
