//! A job's progress: its state, and what callers can ask and tell it. `follow` applies messages.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comfy_runner_api::{
    CompletedStatus, FailedStatus, JobStatus, NodeFiles, PendingStatus, ReportedNode, RunningStatus, Status,
};
use comfy_runner_protocol::message::ExecutionError;
use comfy_runner_protocol::{
    Graph, HistoryEntry, ImageFormat, Media, Message, NodeId, OutputFile, PreviewMetadata,
};
use indexmap::IndexMap;

use crate::durations::{Durations, NodeDuration};
use crate::expected::Expected;
use crate::failure::failure_text;
use crate::outline::{Outline, Position};
use crate::outputs::Outputs;
use crate::running::RunningNode;

/// The latest preview of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewImage {
    /// The format of the image.
    pub format: ImageFormat,
    /// The encoded image.
    pub image: Bytes,
    /// The node of the graph that it belongs to, if that is known.
    pub node_id: Option<NodeId>,
}

/// The progress of one job.
///
/// It takes ComfyUI's messages with the times at which they came, and returns the job's status. Messages may be missing,
/// repeated or out of order. Percent never falls, and a job that is over stays over, unless the history
/// ([`Progress::finish`]) says otherwise.
#[derive(Debug, Clone)]
pub struct Progress {
    pub(crate) prompt_id: Box<str>,
    pub(crate) results: Vec<NodeId>,
    pub(crate) outline: Outline,
    pub(crate) status: Status,
    pub(crate) error: Option<String>,
    /// The node that failed.
    pub(crate) failed_node: Option<NodeId>,
    /// How far each node is, by position.
    pub(crate) nodes: Box<[NodeMark]>,
    /// Whether ComfyUI reported the node as cached, by position.
    pub(crate) cached: Box<[bool]>,
    /// Whether the node is expected to run, by position. See [`Outline::will_run`].
    pub(crate) will_run: Box<[bool]>,
    /// The running nodes, the one with the latest message last.
    pub(crate) running: Vec<RunningNode>,
    /// The node that finished last, while none runs: its steps are shown until the next one starts.
    pub(crate) resting: Option<RunningNode>,
    /// The node that `node_title` shows.
    pub(crate) current: Option<Position>,
    /// Nodes that nodes expanded into, with the node of the graph that they belong to.
    pub(crate) children: HashMap<NodeId, Position>,
    /// Whether this ComfyUI sends `progress_state`. Older versions run one node at a time and only report which one starts.
    pub(crate) tells_states: bool,
    pub(crate) percent: u8,
    /// The durations of earlier jobs.
    pub(crate) history: Option<Arc<Durations>>,
    /// The expected durations of this job's nodes; known once it runs.
    pub(crate) expected: Option<Expected>,
    pub(crate) durations: Vec<(Position, Duration)>,
    pub(crate) outputs: Outputs,
    pub(crate) preview_image: Option<PreviewImage>,
    pub(crate) revision: u64,
    pub(crate) preview_revision: u64,
    pub(crate) now: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeMark {
    Waiting,
    Running,
    Finished,
}

/// The visible part of the status, compared before and after a message.
#[derive(PartialEq)]
pub(crate) struct Visible {
    status: Status,
    current: Option<Position>,
    step: u64,
    total_steps: u64,
    percent: u8,
    nodes_done: usize,
    effective_total: usize,
    cached_count: usize,
}

impl Progress {
    /// Creates the progress of a prompt that waits in the queue. `outputs` are the output nodes that ComfyUI will run; if they
    /// are unknown, the nodes without a link to them count as outputs.
    pub fn new(prompt_id: &str, graph: &Graph, outputs: Option<&[NodeId]>) -> Self {
        let outline = Outline::new(graph, outputs);
        Self {
            prompt_id: prompt_id.into(),
            results: Vec::new(),
            status: Status::Pending,
            error: None,
            failed_node: None,
            nodes: vec![NodeMark::Waiting; outline.len()].into(),
            cached: vec![false; outline.len()].into(),
            will_run: outline.will_run(|_| false),
            outline,
            running: Vec::new(),
            resting: None,
            current: None,
            children: HashMap::new(),
            tells_states: false,
            percent: 0,
            history: None,
            expected: None,
            durations: Vec::new(),
            outputs: Outputs::default(),
            preview_image: None,
            revision: 0,
            preview_revision: 0,
            now: Duration::ZERO,
        }
    }

    /// Sets the nodes whose files are the result (a manifest's `outputs[].node_id`), for [`Progress::results`].
    pub fn with_result_nodes(mut self, nodes: Vec<NodeId>) -> Self {
        self.results = nodes;
        self
    }

    /// Notes that ComfyUI leaves out these output nodes because of errors. Nodes that only they need do not run.
    pub fn leave_out<'a>(&mut self, outputs: impl IntoIterator<Item = &'a str>) {
        let outputs: HashSet<&str> = outputs.into_iter().collect();
        if !outputs.is_empty() {
            self.outline.leave_out(|id| outputs.contains(id));
            self.will_run = self.outline.will_run(|at| self.cached[at]);
        }
    }

    /// Returns the prompt's id.
    pub fn prompt_id(&self) -> &str {
        &self.prompt_id
    }

    /// Returns the status without details.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns why the job failed, as a sentence for callers. See [`failure_text`].
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Returns the id of the node that failed, as ComfyUI names it: a node of the graph, or one that it expanded into.
    pub fn failed_node(&self) -> Option<&str> {
        self.failed_node.as_deref()
    }

    /// Returns the id and the type of the current node, see [`RunningStatus::node_title`].
    pub fn current_node(&self) -> Option<(&str, &str)> {
        self.current.map(|at| (self.outline.id(at), self.outline.class_type(at)))
    }

    /// Returns the type of a node of the graph.
    pub fn class_type(&self, node: &str) -> Option<&str> {
        self.locate(node, None).map(|at| self.outline.class_type(at))
    }

    /// Returns the number of nodes that have started and the number of those that run, as [`RunningStatus`] has them.
    pub fn nodes(&self) -> (usize, usize) {
        (self.nodes_done(), self.effective_total())
    }

    /// Returns whether ComfyUI took the results of any node from its cache.
    pub fn used_cache(&self) -> bool {
        self.cached.contains(&true)
    }

    /// Returns the percent that is done: 0 to 99, and 100 once the job completed.
    pub fn percent(&self) -> u8 {
        if self.status == Status::Completed { 100 } else { self.percent }
    }

    /// Returns a number that grows with every change of [`Progress::snapshot`]. Estimates, which change with the clock, do not
    /// count.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns a number that grows with every preview.
    pub fn preview_revision(&self) -> u64 {
        self.preview_revision
    }

    /// Returns the latest preview.
    pub fn preview_image(&self) -> Option<&PreviewImage> {
        self.preview_image.as_ref()
    }

    /// Removes the latest preview and returns it, to save the memory of jobs that are over.
    pub fn take_preview_image(&mut self) -> Option<PreviewImage> {
        self.preview_image.take()
    }

    /// Returns the files reported so far, by node, in the graph's order.
    pub fn node_outputs(&self) -> IndexMap<NodeId, NodeFiles> {
        self.outputs.by_node(&self.outline)
    }

    /// Returns the steps of the current node, made and asked for; 0 of 0 if it does not count steps.
    pub fn steps(&self) -> (u64, u64) {
        let visible = self.visible();
        (visible.step, visible.total_steps)
    }

    /// Returns what each node reported so far, in the graph's order.
    pub fn reported(&self) -> Vec<ReportedNode> {
        self.outputs.reported(&self.outline)
    }

    /// Returns the texts reported so far, by node, in the graph's order. A text of more than a megabyte is cut.
    pub fn texts(&self) -> IndexMap<NodeId, Vec<String>> {
        self.outputs.texts_by_node(&self.outline)
    }

    /// Returns the result of each kind of media: a file of a result node, if any were named, before those of other nodes,
    /// a final file before an intermediate or temporary one, and the first of equals.
    pub fn results(&self) -> BTreeMap<Media, &OutputFile> {
        self.outputs.chosen(&self.outline, &self.results)
    }

    /// Returns the one file that is the result: a file of a result node before those of other nodes, a final file before an
    /// intermediate or temporary one, and among equals one of the `preferred` media.
    pub fn result(&self, preferred: Media) -> Option<&OutputFile> {
        self.outputs.result(&self.outline, &self.results, preferred)
    }

    /// Returns every file that is meant to stay, in the graph's order. If nodes made no such file, the intermediate ones, else
    /// the temporary ones.
    pub fn final_files(&self) -> Vec<&OutputFile> {
        self.outputs.finals()
    }

    /// See [`Progress::with_result_nodes`].
    pub fn result_nodes(&self) -> &[NodeId] {
        &self.results
    }

    /// Returns the durations of the nodes that finished, for [`Durations`]. There are none after the history has decided how
    /// the job ended.
    pub fn durations(&self) -> impl Iterator<Item = NodeDuration<'_>> {
        self.durations.iter().map(|&(at, took)| NodeDuration {
            node_id: self.outline.id(at),
            class_type: self.outline.class_type(at),
            took,
            steps: self.outline.steps(at),
        })
    }

    /// Weights nodes by their durations in earlier jobs of the same workflow, for percent and the remaining time. Without that,
    /// all nodes count the same. It is for jobs that have not started: percent never falls.
    pub fn expect(&mut self, history: Arc<Durations>) {
        self.history = Some(history);
        if self.status == Status::Running {
            self.weigh();
        }
    }

    /// Applies a message about this prompt, and returns whether the snapshot changed. Other messages are ignored. `now` is the
    /// time since any fixed moment.
    pub fn apply(&mut self, message: &Message, now: Duration) -> bool {
        message.prompt_id() == Some(&self.prompt_id) && self.take(message, now)
    }

    /// Advances to the time `now` without a message, and returns whether the snapshot changed. A node that reports no steps
    /// advances by its expected duration.
    pub fn tick(&mut self, now: Duration) -> bool {
        let before = self.percent;
        if self.status == Status::Running {
            self.now = self.now.max(now);
            self.move_percent();
        }
        self.revision += u64::from(self.percent != before);
        self.percent != before
    }

    /// Replaces the preview, and returns whether it was accepted. A preview whose metadata names another prompt is ignored.
    /// Without metadata, the caller must know that this prompt is the running one.
    pub fn preview(&mut self, format: ImageFormat, image: Bytes, metadata: Option<&PreviewMetadata>) -> bool {
        if self.status.is_over() || metadata.is_some_and(|metadata| *metadata.prompt_id != *self.prompt_id) {
            return false;
        }
        let painter = match metadata {
            Some(metadata) => self.locate(&metadata.node_id, metadata.display_node_id.as_deref()),
            None => self.current,
        };
        let node_id = painter.map(|at| self.outline.id(at).to_owned());
        self.preview_image = Some(PreviewImage { format, image, node_id });
        self.preview_revision += 1;
        true
    }

    /// Ends the job as ComfyUI's history says. Status, error and files are replaced by those of the history.
    pub fn finish(&mut self, entry: &HistoryEntry) {
        let error = entry.error();
        let (status, error) = if entry.succeeded() {
            (Status::Completed, None)
        } else if entry.interrupted() {
            (Status::Cancelled, None)
        } else if let Some(error) = error {
            self.failed_node = failed_node(&error);
            (Status::Error, Some(self.failure(&error)))
        } else {
            (
                Status::Error,
                Some("ComfyUI recorded a failure without a reason; its log may hold one".to_owned()),
            )
        };
        let cached = entry.cached();
        if !cached.is_empty() {
            self.set_cached(&cached);
        }
        self.outputs = Outputs::default();
        for (node, output) in &entry.outputs {
            let display = entry.meta.get(node).and_then(|meta| meta.get("display_node")?.as_str());
            let at = self.locate(node, display);
            self.outputs.report(node, at, output);
        }
        self.end(status, error);
        // The times at which its nodes ended may have been missed.
        self.durations.clear();
        self.revision += 1;
    }

    /// Ends the job as cancelled, and returns whether it was open. A pending prompt that is deleted ends without a message or
    /// history. A job that is over stays as it is.
    pub fn cancelled(&mut self) -> bool {
        self.end_if_open(Status::Cancelled, None)
    }

    /// Ends the job as failed for a reason that does not come from ComfyUI, for example that ComfyUI lost it, and returns
    /// whether it was open. A job that is over stays as it is.
    pub fn failed(&mut self, reason: impl Into<String>) -> bool {
        self.end_if_open(Status::Error, Some(reason.into()))
    }

    /// Restores a job that is over from its record: its status, its error, and its files by node.
    pub fn restore<'a>(
        &mut self,
        status: Status,
        error: Option<String>,
        files: impl IntoIterator<Item = (&'a str, &'a [OutputFile])>,
    ) {
        self.outputs = Outputs::default();
        for (node, files) in files {
            let at = self.locate(node, None);
            self.outputs.put(node, at, files);
        }
        self.end(status, error);
        self.revision += 1;
    }

    /// Restores what [`Progress::restore`] leaves out: the node that failed, and texts by node.
    pub fn restore_details<'a>(
        &mut self,
        failed_node: Option<NodeId>,
        texts: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) {
        self.failed_node = failed_node;
        for (node, texts) in texts {
            let at = self.locate(node, None);
            self.outputs.put_texts(node, at, texts);
        }
    }

    /// Notes that the job runs, as ComfyUI's queue may say before a message does, and returns whether it was pending.
    pub fn started(&mut self) -> bool {
        let was_pending = self.status == Status::Pending;
        if was_pending {
            self.status = Status::Running;
            self.weigh();
            self.revision += 1;
        }
        was_pending
    }

    /// Returns the job's status at the time `now`, which is counted as in [`Progress::apply`].
    pub fn snapshot(&self, now: Duration) -> JobStatus {
        match self.status {
            Status::Pending => {
                JobStatus::Pending(PendingStatus { percent: Some(0), ..PendingStatus::default() })
            }
            Status::Running => JobStatus::Running(Box::new(self.running_status(now.max(self.now)))),
            Status::Completed => {
                let outputs = self.results().into_iter().map(|(media, file)| (media, file.clone()));
                JobStatus::Completed(CompletedStatus { outputs: outputs.collect(), percent: Some(100) })
            }
            Status::Error => JobStatus::Error(self.failed_status()),
            Status::Cancelled => JobStatus::Cancelled(self.failed_status()),
        }
    }

    fn running_status(&self, now: Duration) -> RunningStatus {
        let visible = self.visible();
        let rate = self.current_run().and_then(|run| run.steps.rate()).unwrap_or(0.0);
        let left = self.time_left(now);
        RunningStatus {
            node_title: visible.current.map(|at| self.outline.title(at).to_owned()),
            node_type: visible.current.map(|at| self.outline.class_type(at).to_owned()),
            step: visible.step,
            total_steps: visible.total_steps,
            percent: visible.percent,
            nodes_done: visible.nodes_done,
            total_nodes: self.outline.len(),
            effective_total: visible.effective_total,
            cached_count: visible.cached_count,
            eta_seconds: left.map(|left| left.as_secs_f64().round() as u64),
            step_rate: (rate * 100.0).round() / 100.0,
            node_outputs: self.node_outputs(),
        }
    }

    fn failed_status(&self) -> FailedStatus {
        FailedStatus { error: self.error.clone(), percent: Some(100) }
    }

    fn end_if_open(&mut self, status: Status, error: Option<String>) -> bool {
        let open = !self.status.is_over();
        if open {
            self.end(status, error);
            self.revision += 1;
        }
        open
    }

    pub(crate) fn end(&mut self, status: Status, error: Option<String>) {
        self.status = status;
        self.error = error;
        if status == Status::Completed {
            self.finish_all_but(Position::MAX);
        }
        self.running = Vec::new();
        self.resting = None;
        self.children = HashMap::new();
    }

    pub(crate) fn failure(&self, error: &ExecutionError) -> String {
        failure_text(error, self.locate(&error.node_id, None).map(|at| self.outline.title(at)))
    }

    fn current_run(&self) -> Option<&RunningNode> {
        self.running.iter().chain(&self.resting).find(|run| Some(run.node) == self.current)
    }

    /// Returns the number of nodes that count and have started.
    fn nodes_done(&self) -> usize {
        let counts = |at: &Position| self.nodes[*at] != NodeMark::Waiting && !self.outline.does_nothing(*at);
        (0..self.nodes.len()).filter(counts).count()
    }

    /// Returns the number of nodes that run: those expected to, and those that did so unexpectedly.
    fn effective_total(&self) -> usize {
        (0..self.nodes.len()).filter(|&at| self.runs(at)).count().max(1)
    }

    pub(crate) fn runs(&self, at: Position) -> bool {
        self.will_run[at] || (self.nodes[at] != NodeMark::Waiting && !self.outline.does_nothing(at))
    }

    pub(crate) fn visible(&self) -> Visible {
        let steps = self.current_run().map(|run| &run.steps);
        Visible {
            status: self.status,
            current: self.current,
            step: steps.map_or(0, |steps| steps.value as u64),
            total_steps: steps.map_or(0, |steps| steps.total as u64),
            percent: self.percent,
            nodes_done: self.nodes_done(),
            effective_total: self.effective_total(),
            cached_count: self.cached.iter().filter(|&&cached| cached).count(),
        }
    }
}

pub(crate) fn failed_node(error: &ExecutionError) -> Option<NodeId> {
    Some(error.node_id.clone()).filter(|node| !node.is_empty())
}
