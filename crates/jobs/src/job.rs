//! One job: its progress, how far its submission is, and how it is recorded.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::{Event, EventKind, Status};
use comfy_runner_progress::Progress;
use comfy_runner_protocol::NodeErrors;
use comfy_runner_scheduler::{Priority, WaitingJob};
use comfy_runner_store::{Outcome, Record};
use serde_json::Value;

use crate::models::models_of;
use crate::partner_key::PartnerKey;
use crate::refusal::left_out;
use crate::settle::Unreadable;
use crate::watch::{JobSnapshot, Preview, Serialized, client_id_of};

/// One job. Times since the Unix epoch are in milliseconds.
pub(crate) struct Job {
    /// How far it is.
    pub progress: Progress,
    /// How far its submission to ComfyUI is.
    pub submission: SubmissionState,
    /// The ComfyUI that has it or is to get it; `None` while it waits for one, and if it is unknown.
    pub comfyui: Option<Arc<str>>,
    /// Whether it was reported to the caller as accepted before a ComfyUI had it.
    pub answered: bool,
    /// How often ComfyUIs lost it, and the jobs that it repeats without a request.
    pub losses: u32,
    /// The ComfyUIs that stopped while they ran it, or a job that it repeats without a request.
    pub stopped: Vec<String>,
    /// What its place in the queue and its ComfyUI depend on.
    pub needs: Needs,
    /// Its key for partner nodes, if it waits. It is not recorded.
    pub partner_key: Option<PartnerKey>,
    /// Whether messages about it may have been missed: then its end is compared with the history.
    pub missed_messages: bool,
    /// Whether ComfyUI has closed it and only the history knows how it ended.
    pub needs_history: bool,
    /// The unreadable answers about it since the last readable one.
    pub unreadable: Option<Unreadable>,
    /// Whether a caller asked to cancel it.
    pub cancel_asked: bool,
    /// When the last message about it came.
    pub last_message: Duration,
    /// Whether the store has a record of it.
    pub recorded: bool,
    /// When it was accepted from the caller.
    pub queued_at: i64,
    /// When it was first seen running.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// What the caller attached to it.
    pub metadata: Option<Arc<Value>>,
    /// A sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own errors about those parts.
    pub node_errors: NodeErrors,
    /// The id by which callers follow it.
    pub client_id: Box<str>,
    /// Its workflow; `None` for a job that only ComfyUI knows.
    pub workflow_id: Option<Box<str>>,
    /// The last event that was reported, also before this process.
    pub last_event: Option<EventKind>,
    /// The events of this process.
    pub events: Vec<Serialized<Event>>,
    /// The position of its last change in the order of all changes; 0 before the first.
    pub change_position: u64,
    /// The messages of the present state, once they were asked for.
    pub messages: MessageCache,
}

/// What the place of a job in the queue and its ComfyUI depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// The caller who takes turns with others.
    pub caller: Arc<str>,
    /// Its priority.
    pub priority: Priority,
    /// The models that it uses.
    pub models: Arc<[String]>,
    /// The tags that its ComfyUI must have.
    pub tags: Vec<String>,
    /// The ComfyUIs that can run it. Jobs that the same ones can run share the list.
    pub eligible: Arc<[Arc<str>]>,
    /// The state of all schemas, [`Pool::schemas`](crate::pool::Pool::schemas), by which `eligible` was found out; 0 before.
    pub eligible_as_of: u64,
    /// Whether its models had to be loaded when it was given to its ComfyUI; `None` if an earlier process gave it.
    pub is_cold: Option<bool>,
}

impl Needs {
    /// Returns the needs of a recorded job. Which ComfyUIs can run it is not known yet.
    pub fn of(record: &Record) -> Self {
        Self {
            caller: record.caller.as_str().into(),
            priority: i64::from(record.summary.priority).try_into().unwrap_or_default(),
            models: models_of(&record.graph).into(),
            tags: record.required_tags.clone(),
            ..Self::default()
        }
    }

    /// Returns the job of these needs as the queue sees it.
    pub fn in_queue(&self, prompt_id: &str, queued_at: i64) -> WaitingJob {
        WaitingJob::new(prompt_id, Arc::clone(&self.caller), self.priority, queued_at)
    }
}

/// A job's messages for subscribers, kept while the job does not change.
#[derive(Default)]
pub(crate) struct MessageCache {
    snapshot: Option<Arc<JobSnapshot>>,
    preview: Option<(u64, Arc<Preview>)>,
}

/// How far the submission of a prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubmissionState {
    /// It waits in our queue.
    Waiting,
    /// It is being submitted; ComfyUI may not know it yet.
    InFlight,
    /// It was sent at this time, and the answer was lost: the queue and the history decide.
    Unconfirmed(Duration),
    /// A previous process recorded it and may have sent it; this process first looked at this time.
    Recovered(Duration),
    /// ComfyUI accepted it.
    Accepted,
}

/// The part of a job that the store keeps up to date: a difference makes it worth writing.
#[derive(PartialEq)]
pub(crate) struct Stamp {
    pub status: Status,
    accepted: bool,
    cancel_asked: bool,
    pub comfyui: Option<Arc<str>>,
    answered: bool,
    losses: u32,
    /// Of a job that is over, which only the history changes.
    revision: Option<u64>,
}

impl Stamp {
    /// Returns whether the job takes room on its ComfyUI.
    pub fn occupies(&self) -> bool {
        self.comfyui.is_some() && !self.status.is_over()
    }
}

/// The part of a job that subscribers see.
#[derive(PartialEq)]
pub(crate) struct Visible {
    accepted: bool,
    cancel_asked: bool,
    revision: u64,
    preview_revision: u64,
}

impl Job {
    fn new(progress: Progress, submission: SubmissionState, client_id: &str, now: Duration) -> Self {
        Self {
            progress,
            submission,
            comfyui: None,
            answered: false,
            losses: 0,
            stopped: Vec::new(),
            needs: Needs::default(),
            partner_key: None,
            missed_messages: false,
            needs_history: false,
            unreadable: None,
            cancel_asked: false,
            last_message: now,
            recorded: false,
            queued_at: 0,
            started_at: None,
            finished_at: None,
            metadata: None,
            warnings: Vec::new(),
            node_errors: NodeErrors::new(),
            client_id: client_id.into(),
            workflow_id: None,
            last_event: None,
            events: Vec::new(),
            change_position: 0,
            messages: MessageCache::default(),
        }
    }

    /// Creates the job of a record.
    pub fn from_record(record: &Record, submission: SubmissionState, now: Duration) -> Self {
        Self::with_needs(record, Needs::of(record), submission, now)
    }

    /// As [`Job::from_record`], with the job's needs.
    pub fn with_needs(record: &Record, needs: Needs, submission: SubmissionState, now: Duration) -> Self {
        let summary = &record.summary;
        let outcome = &summary.outcome;
        let mut progress = Progress::new(&summary.prompt_id, &record.graph, None)
            .with_result_nodes(record.result_nodes.clone());
        progress.leave_out(left_out(&outcome.node_errors));
        match outcome.status {
            Status::Pending => {}
            Status::Running => {
                progress.started();
            }
            over => {
                let files = outcome.outputs.iter().map(|(node, files)| (&**node, &**files));
                progress.restore(over, outcome.error.clone(), files);
                let texts = outcome.texts.iter().map(|(node, texts)| (&**node, &**texts));
                progress.restore_details(outcome.failed_node.clone(), texts);
            }
        }
        Self {
            comfyui: outcome.comfyui.as_deref().map(Into::into),
            answered: outcome.answered,
            losses: outcome.losses,
            stopped: outcome.stopped.clone(),
            needs,
            cancel_asked: outcome.cancel_asked,
            recorded: true,
            queued_at: summary.queued_at,
            started_at: outcome.started_at,
            finished_at: outcome.finished_at,
            metadata: summary.metadata.clone().map(Arc::new),
            warnings: outcome.warnings.clone(),
            node_errors: outcome.node_errors.clone(),
            workflow_id: Some(summary.workflow_id.as_str().into()),
            ..Self::new(progress, submission, &summary.client_id, now)
        }
    }

    /// Creates a job that only ComfyUI's queue or history knows. Its present status is not reported as an event.
    pub fn from_comfyui(progress: Progress, now: Duration) -> Self {
        let client_id = client_id_of(progress.prompt_id());
        let last_event = Some(progress.status().into());
        Self { last_event, ..Self::new(progress, SubmissionState::Accepted, &client_id, now) }
    }

    /// Returns the part of the record that changes.
    pub fn outcome(&self) -> Outcome {
        let nodes = self.progress.node_outputs().into_iter();
        let files =
            nodes.map(|(id, node)| (id, node.items.into_iter().map(|reported| reported.file).collect()));
        let accepted = self.submission == SubmissionState::Accepted;
        let mut outcome = Outcome::new(self.progress.status(), accepted);
        outcome.comfyui = self.comfyui.as_deref().map(str::to_owned);
        outcome.answered = self.answered;
        outcome.losses = self.losses;
        outcome.stopped.clone_from(&self.stopped);
        outcome.cancel_asked = self.cancel_asked;
        outcome.started_at = self.started_at;
        outcome.finished_at = self.finished_at;
        outcome.error = self.progress.error().map(str::to_owned);
        outcome.warnings = self.warnings.clone();
        outcome.node_errors = self.node_errors.clone();
        outcome.outputs = files.collect();
        outcome.failed_node = self.progress.failed_node().map(str::to_owned);
        outcome.texts = self.progress.texts();
        outcome
    }

    /// Returns whether the job has ended.
    pub fn is_over(&self) -> bool {
        self.progress.status().is_over()
    }

    /// Returns whether the job is accepted: ComfyUI has the prompt, or it was reported to the caller as accepted.
    pub fn is_accepted(&self) -> bool {
        self.answered || self.submission == SubmissionState::Accepted
    }

    /// Returns whether the job waits in our queue.
    pub fn is_waiting(&self) -> bool {
        self.submission == SubmissionState::Waiting && !self.is_over()
    }

    /// Returns the workflow's id; empty if it is unknown.
    pub fn workflow_id(&self) -> &str {
        self.workflow_id.as_deref().unwrap_or_default()
    }

    /// Has the job wait in our queue, which is reported to the caller.
    pub fn wait(&mut self) {
        self.submission = SubmissionState::Waiting;
        self.comfyui = None;
        self.answered = true;
        self.missed_messages = false;
        self.needs_history = false;
        self.unreadable = None;
    }

    /// Notes that the history has been consulted, or need not be.
    pub fn close_history(&mut self) {
        (self.missed_messages, self.needs_history) = (false, false);
    }

    pub fn stamp(&self) -> Stamp {
        let status = self.progress.status();
        Stamp {
            status,
            accepted: self.submission == SubmissionState::Accepted,
            cancel_asked: self.cancel_asked,
            comfyui: self.comfyui.clone(),
            answered: self.answered,
            losses: self.losses,
            revision: status.is_over().then(|| self.progress.revision()),
        }
    }

    pub fn visible(&self) -> Visible {
        Visible {
            accepted: self.is_accepted(),
            cancel_asked: self.cancel_asked,
            revision: self.progress.revision(),
            preview_revision: self.progress.preview_revision(),
        }
    }

    /// Returns the job's messages for subscribers. They are made once for each revision and shared.
    pub fn snapshot(&mut self, now: Duration) -> &Arc<JobSnapshot> {
        let snapshot = match self.messages.snapshot.take() {
            Some(snapshot) if snapshot.revision == self.progress.revision() => snapshot,
            before => Arc::new(JobSnapshot::new(&self.progress, &self.client_id, now, before.as_deref())),
        };
        self.messages.snapshot.insert(snapshot)
    }

    /// Returns the latest preview. It is made once for each preview and shared.
    pub fn preview(&mut self) -> Option<Arc<Preview>> {
        let revision = self.progress.preview_revision();
        if self.messages.preview.as_ref().is_none_or(|(of, _)| *of != revision) {
            let image = self.progress.preview_image()?.clone();
            let preview = Preview::new(self.progress.prompt_id(), &self.client_id, image);
            self.messages.preview = Some((revision, Arc::new(preview)));
        }
        self.messages.preview.as_ref().map(|(_, preview)| Arc::clone(preview))
    }

    /// Drops previews: kept for hundreds of ended jobs they would take most of the memory, and the result shows more.
    pub fn drop_previews(&mut self) {
        self.progress.take_preview_image();
        self.messages.preview = None;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use comfy_runner_protocol::Graph;
    use serde_json::json;

    use super::*;

    /// A job of one node that ComfyUI has accepted.
    pub fn job(prompt_id: &str) -> Job {
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        let progress = Progress::new(prompt_id, &graph, None);
        Job {
            recorded: true,
            comfyui: Some(crate::jobs::tests::COMFYUI.into()),
            workflow_id: Some("w".into()),
            ..Job::new(progress, SubmissionState::Accepted, prompt_id, Duration::ZERO)
        }
    }
}
