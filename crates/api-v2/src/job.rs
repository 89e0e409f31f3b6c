//! A job.

use comfy_runner_api::{JobDetails, ProgressDetails, Status, Timestamp};
use comfy_runner_protocol::Graph;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::links::Links;
use crate::output::Output;

/// A time later than any job: the contract wants an end of retention, and jobs may be kept for ever. Not the last time that
/// a calendar has, so that a reader can convert it to another time zone.
const NEVER: &str = "9999-01-01T00:00:00.000Z";

/// The phase of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobStatus"))]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits.
    Queued,
    /// It runs.
    Running,
    /// It ended, and every output was made.
    Succeeded,
    /// It is to be cancelled, and has not stopped yet.
    Canceling,
    /// It was cancelled.
    Canceled,
    /// It failed.
    Failed,
    /// It is no longer kept. This server never says so: such a job is unknown.
    Expired,
}

impl JobStatus {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Canceling,
        Self::Canceled,
        Self::Failed,
        Self::Expired,
    ];

    /// Returns the status of a job with a status of our own API that a caller did or did not ask to cancel.
    pub fn new(status: Status, cancel_asked: bool) -> Self {
        match status {
            Status::Pending | Status::Running if cancel_asked => Self::Canceling,
            Status::Pending => Self::Queued,
            Status::Running => Self::Running,
            Status::Completed => Self::Succeeded,
            Status::Error => Self::Failed,
            Status::Cancelled => Self::Canceled,
        }
    }

    /// Returns the word that JSON and query strings use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Returns whether no other status follows.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled | Self::Failed | Self::Expired)
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Job"))]
pub struct Job {
    /// Its id, the `prompt_id` of our own API.
    pub id: String,
    /// Its status.
    pub status: JobStatus,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When its record may be deleted.
    pub expires_at: Timestamp,
    /// The place of a waiting job, from 1.
    pub queue_position: Option<u64>,
    /// How far it is; None while it waits.
    pub progress: Option<Progress>,
    /// What it made so far, in the order of the graph's nodes.
    pub outputs: Vec<Output>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// How long it took.
    pub metrics: Metrics,
    /// What the caller attached to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// A sentence for each part of the graph that ComfyUI does not run. Our addition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether ComfyUI took the results of any node from its cache.
    pub outputs_reused: bool,
    /// Where to go on.
    pub urls: JobUrls,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Progress"))]
pub struct Progress {
    /// From 0 to 1. It never falls.
    pub value: f64,
    /// The number of nodes that have started.
    pub nodes_done: u64,
    /// The number of nodes that run.
    pub nodes_total: u64,
    /// The id of the node that most recently started or made a step.
    pub current_node: Option<String>,
    /// Its type.
    pub current_node_class: Option<String>,
    /// The steps that it has made; None if it does not count steps.
    pub step: Option<u64>,
    /// The steps that it will make.
    pub steps: Option<u64>,
    /// The current node and its steps as a phrase.
    pub message: Option<String>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobError"))]
pub struct JobError {
    /// `node_execution_error` if a node failed, else `job_failed`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The node that failed.
    pub node_id: Option<String>,
    /// Its type.
    pub class_type: Option<String>,
    /// Always None: a traceback holds the server's paths.
    pub traceback: Option<String>,
}

/// How long a job took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Metrics"))]
pub struct Metrics {
    /// From its acceptance to its start.
    pub queue_ms: Option<i64>,
    /// From its start to its end.
    pub execution_ms: Option<i64>,
}

/// Absolute URLs of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobUrls"))]
pub struct JobUrls {
    /// The job.
    #[serde(rename = "self")]
    pub itself: String,
    /// Its events.
    pub events: String,
    /// Where to cancel it.
    pub cancel: String,
    /// Its log, if there is something to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
}

/// The response of `GET /jobs/{id}/workflow`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobWorkflow"))]
pub struct JobWorkflow<'a> {
    /// The graph that ran.
    pub workflow: &'a Graph,
    /// Always `api`.
    pub format: &'static str,
}

/// The response of `GET /jobs/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2JobLogs"))]
pub struct JobLogs {
    /// The lines.
    pub text: String,
    /// Whether lines are missing at the beginning.
    pub truncated: bool,
    /// When the text was made.
    pub captured_at: Timestamp,
    /// Whether no lines will follow.
    pub complete: bool,
}

impl Job {
    /// Creates the body of a job. `kept_for` is how long its record is kept after its end, in milliseconds; `None` for ever.
    pub fn new(details: &JobDetails, outputs: Vec<Output>, links: &Links, kept_for: Option<i64>) -> Self {
        let status = JobStatus::new(details.status, details.cancel_asked);
        let id = &details.prompt_id;
        let has_logs = log_lines(details).next().is_some();
        Self {
            id: id.clone(),
            status,
            created_at: timestamp(details.queued_at),
            started_at: details.started_at.map(timestamp),
            completed_at: details.finished_at.map(timestamp),
            expires_at: expires_at(details, kept_for),
            queue_position: details.queue_position.map(|place| place as u64),
            progress: progress(details),
            outputs,
            error: job_error(details),
            metrics: Metrics {
                queue_ms: details.started_at.map(|at| (at - details.queued_at).max(0)),
                execution_ms: details
                    .started_at
                    .zip(details.finished_at)
                    .map(|(from, to)| (to - from).max(0)),
            },
            metadata: details.metadata.as_deref().cloned(),
            warnings: details.warnings.clone(),
            outputs_reused: details.used_cache,
            urls: JobUrls::new(id, links, has_logs),
        }
    }
}

impl JobUrls {
    /// Creates the URLs of a job; `has_logs` says whether there is something to read.
    pub fn new(id: &str, links: &Links, has_logs: bool) -> Self {
        Self {
            itself: links.job(id, ""),
            events: links.job(id, "/events"),
            cancel: links.job(id, "/cancel"),
            logs: has_logs.then(|| links.job(id, "/logs")),
        }
    }
}

impl JobLogs {
    /// Creates the log of a job at the time `now`, in milliseconds since the Unix epoch. `None` if there is nothing to read.
    pub fn new(details: &JobDetails, now: i64) -> Option<Self> {
        let text: String = log_lines(details).flat_map(|line| [line, "\n".to_owned()]).collect();
        let complete = details.status.is_over();
        (!text.is_empty()).then(|| Self { text, truncated: false, captured_at: timestamp(now), complete })
    }
}

/// Returns what there is to read about a job: the parts of the graph that ComfyUI does not run, and why the job failed.
fn log_lines(details: &JobDetails) -> impl Iterator<Item = String> {
    let warnings = details.warnings.iter().map(|warning| format!("warning: {warning}"));
    warnings.chain(details.error.iter().map(|error| format!("error: {error}")))
}

/// Returns when the record of a job may be deleted. `kept_for` is as in [`Job::new`].
pub fn expires_at(details: &JobDetails, kept_for: Option<i64>) -> Timestamp {
    let kept_from = details.finished_at.unwrap_or(details.queued_at);
    let end = kept_for.and_then(|kept| Timestamp::from_unix_millis(kept_from.checked_add(kept)?));
    end.unwrap_or_else(|| Timestamp::new(NEVER))
}

/// Returns a time in milliseconds since the Unix epoch; one that no calendar has is the beginning of time as computers count it.
pub fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis).unwrap_or_else(|| Timestamp::new("1970-01-01T00:00:00.000Z"))
}

fn progress(details: &JobDetails) -> Option<Progress> {
    let ProgressDetails { percent, nodes_done, nodes_total, current_node, step, total_steps } =
        &details.progress;
    let (value, nodes_done) = match details.status {
        Status::Pending => return None,
        Status::Running => (f64::from(*percent) / 100.0, *nodes_done),
        Status::Completed => (1.0, *nodes_total),
        // How far it was is known only to the process that followed it.
        Status::Error | Status::Cancelled if *nodes_done == 0 => return None,
        Status::Error | Status::Cancelled => (f64::from(*percent) / 100.0, *nodes_done),
    };
    let counts = *total_steps > 0 && details.status == Status::Running;
    let current = current_node.as_ref().filter(|_| !details.status.is_over());
    let class = current.and_then(|node| node.class_type.clone());
    let message = class.as_deref().map(|class| match counts {
        true => format!("{class} {step}/{total_steps}"),
        false => class.to_owned(),
    });
    Some(Progress {
        value: value.clamp(0.0, 1.0),
        nodes_done: nodes_done as u64,
        nodes_total: (*nodes_total).max(nodes_done) as u64,
        current_node: current.map(|node| node.id.clone()),
        current_node_class: class,
        step: counts.then_some(*step),
        steps: counts.then_some(*total_steps),
        message,
    })
}

fn job_error(details: &JobDetails) -> Option<JobError> {
    if details.status != Status::Error {
        return None;
    }
    let node = details.failed_node.as_ref();
    Some(JobError {
        code: if node.is_some() { "node_execution_error" } else { "job_failed" }.to_owned(),
        message: details.error.clone().unwrap_or_else(|| "the reason is unknown".to_owned()),
        node_id: node.map(|node| node.id.clone()),
        class_type: node.and_then(|node| node.class_type.clone()),
        traceback: None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use comfy_runner_api::NodeRef;
    use serde_json::json;

    use super::*;

    pub fn details(status: Status) -> JobDetails {
        JobDetails {
            comfyui: None,
            prompt_id: "j".into(),
            status,
            cancel_asked: false,
            queued_at: 1_774_362_652_000,
            started_at: None,
            finished_at: None,
            queue_position: None,
            progress: ProgressDetails { nodes_total: 4, ..ProgressDetails::default() },
            used_cache: false,
            error: None,
            failed_node: None,
            outputs: Vec::new(),
            warnings: Vec::new(),
            metadata: None,
        }
    }

    pub fn links() -> Links {
        Links::new("http://h")
    }

    fn body(details: &JobDetails, kept_for: Option<i64>) -> Value {
        serde_json::to_value(Job::new(details, Vec::new(), &links(), kept_for)).unwrap()
    }

    #[test]
    fn a_waiting_job_has_a_place_and_no_progress() {
        let waiting = JobDetails { queue_position: Some(3), ..details(Status::Pending) };
        assert_eq!(
            body(&waiting, None),
            json!({
                "id": "j", "status": "queued", "created_at": "2026-03-24T14:30:52.000Z", "started_at": null,
                "completed_at": null, "expires_at": "9999-01-01T00:00:00.000Z", "queue_position": 3,
                "progress": null, "outputs": [], "error": null,
                "metrics": {"queue_ms": null, "execution_ms": null}, "outputs_reused": false,
                "urls": {"self": "http://h/api/v2/jobs/j", "events": "http://h/api/v2/jobs/j/events",
                         "cancel": "http://h/api/v2/jobs/j/cancel"},
            })
        );
    }

    #[test]
    fn a_running_job_shows_its_node_and_step_and_a_value_of_at_most_one() {
        let mut running = details(Status::Running);
        running.started_at = Some(running.queued_at + 1500);
        running.progress = ProgressDetails {
            percent: 42,
            nodes_done: 2,
            nodes_total: 4,
            current_node: Some(NodeRef { id: "3".into(), class_type: Some("KSampler".into()) }),
            step: 7,
            total_steps: 12,
        };
        let shown = body(&running, None);
        assert_eq!(
            shown["progress"],
            json!({"value": 0.42, "nodes_done": 2, "nodes_total": 4, "current_node": "3",
                   "current_node_class": "KSampler", "step": 7, "steps": 12, "message": "KSampler 7/12"})
        );
        assert_eq!(shown["metrics"], json!({"queue_ms": 1500, "execution_ms": null}));
        running.progress.total_steps = 0;
        assert_eq!(body(&running, None)["progress"]["step"], Value::Null);
    }

    #[test]
    fn a_job_that_a_caller_cancels_is_canceling_until_it_is_over() {
        let status = |status, cancel_asked| {
            body(&JobDetails { cancel_asked, ..details(status) }, None)["status"].clone()
        };
        assert_eq!(status(Status::Running, true), "canceling");
        assert_eq!(status(Status::Pending, true), "canceling");
        assert_eq!(status(Status::Cancelled, true), "canceled");
        assert_eq!(status(Status::Completed, true), "succeeded");
    }

    #[test]
    fn a_job_that_succeeded_has_a_whole_progress_and_its_times() {
        let mut over = details(Status::Completed);
        (over.started_at, over.finished_at) = (Some(over.queued_at + 10), Some(over.queued_at + 35));
        let shown = body(&over, Some(1000));
        assert_eq!(shown["progress"]["value"], 1.0);
        assert_eq!(
            (&shown["progress"]["nodes_done"], &shown["progress"]["nodes_total"]),
            (&json!(4), &json!(4))
        );
        assert_eq!(shown["metrics"], json!({"queue_ms": 10, "execution_ms": 25}));
        assert_eq!(shown["completed_at"], "2026-03-24T14:30:52.035Z");
        assert_eq!(shown["expires_at"], "2026-03-24T14:30:53.035Z", "a second after its end");
    }

    #[test]
    fn a_failed_job_names_the_node_and_has_a_log() {
        let mut failed = details(Status::Error);
        failed.error = Some("node \"Breaks\" failed: ValueError: it broke".into());
        failed.failed_node = Some(NodeRef { id: "5".into(), class_type: Some("Breaks".into()) });
        failed.warnings = vec!["\"Preview\" does not run".into()];
        let shown = body(&failed, None);
        assert_eq!(
            shown["error"],
            json!({"code": "node_execution_error", "message": "node \"Breaks\" failed: ValueError: it broke",
                   "node_id": "5", "class_type": "Breaks", "traceback": null})
        );
        assert_eq!(shown["progress"], Value::Null, "this process has not followed it");
        assert_eq!(shown["urls"]["logs"], "http://h/api/v2/jobs/j/logs");
        let log = JobLogs::new(&failed, 0).unwrap();
        assert_eq!(
            log.text,
            "warning: \"Preview\" does not run\nerror: node \"Breaks\" failed: ValueError: it broke\n"
        );
        assert!(log.complete && !log.truncated);
        failed.failed_node = None;
        assert_eq!(body(&failed, None)["error"]["code"], "job_failed");
        assert_eq!(JobLogs::new(&details(Status::Completed), 0), None);
    }
}
