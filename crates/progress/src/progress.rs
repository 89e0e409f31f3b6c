//! A job's progress: what it is told, what it is asked, and how it counts. How messages move it stands in `follow`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comfy_runner_api::{
    CompletedStatus, FailedStatus, JobStatus, NodeFiles, PendingStatus, RunningStatus, Status,
};
use comfy_runner_protocol::message::ExecutionError;
use comfy_runner_protocol::{
    Graph, HistoryEntry, ImageFormat, Media, Message, NodeId, OutputFile, PreviewMetadata,
};
use indexmap::IndexMap;

use crate::durations::{Durations, NodeDuration};
use crate::estimate::Expected;
use crate::failure::failure_text;
use crate::outline::{Outline, Position};
use crate::outputs::Outputs;
use crate::running::RunningNode;

/// The latest preview of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewImage {
    /// What the bytes are.
    pub format: ImageFormat,
    /// The encoded picture.
    pub image: Bytes,
    /// The node of the graph that paints it, where that is known.
    pub node_id: Option<NodeId>,
}

/// The progress of one job.
///
/// It is fed ComfyUI's messages, in whatever order, number and completeness they come, together with the time at which
/// each came, and asked for the job's state. Percent never falls, and what is over stays over: only the history, by
/// [`Progress::finish`], may say otherwise.
#[derive(Debug, Clone)]
pub struct Progress {
    pub(crate) prompt_id: Box<str>,
    pub(crate) results: Vec<NodeId>,
    pub(crate) outline: Outline,
    pub(crate) status: Status,
    pub(crate) error: Option<String>,
    /// By position: how far each node is.
    pub(crate) nodes: Box<[NodeMark]>,
    /// By position: whether ComfyUI said that the node is cached.
    pub(crate) cached: Box<[bool]>,
    /// By position: whether the node is expected to run. See [`Outline::will_run`].
    pub(crate) will_run: Box<[bool]>,
    /// The nodes at work, the latest news last.
    pub(crate) running: Vec<RunningNode>,
    /// The node that finished last, while none is at work: its steps are shown until the next one starts.
    pub(crate) resting: Option<RunningNode>,
    /// The node that `node_title` shows.
    pub(crate) current: Option<Position>,
    /// Nodes that nodes expanded into, and which node of the graph stands for them.
    pub(crate) children: HashMap<NodeId, Position>,
    /// Whether this ComfyUI sends `progress_state`. Older ones run one node after the other and only say which starts.
    pub(crate) tells_states: bool,
    pub(crate) percent: u8,
    /// What earlier jobs tell of how long nodes take.
    pub(crate) history: Option<Arc<Durations>>,
    /// What that means for the nodes of this job; known once it runs.
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

/// What a watcher would see change. Equal before and after: no news.
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
    /// The progress of a prompt that waits in the queue. `outputs` are the output nodes that ComfyUI will run; where
    /// they are not known, nodes that nobody links to are taken for them.
    pub fn new(prompt_id: &str, graph: &Graph, outputs: Option<&[NodeId]>) -> Self {
        let outline = Outline::new(graph, outputs);
        Self {
            prompt_id: prompt_id.into(),
            results: Vec::new(),
            status: Status::Pending,
            error: None,
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

    /// Names the nodes whose files are the result (a manifest's `outputs[].node_id`), for [`Progress::results`].
    pub fn with_result_nodes(mut self, nodes: Vec<NodeId>) -> Self {
        self.results = nodes;
        self
    }

    /// Says that ComfyUI leaves out these output nodes, as something is wrong with them or before them: what only they need
    /// does not run.
    pub fn leave_out<'a>(&mut self, outputs: impl IntoIterator<Item = &'a str>) {
        let outputs: HashSet<&str> = outputs.into_iter().collect();
        if !outputs.is_empty() {
            self.outline.leave_out(|id| outputs.contains(id));
            self.will_run = self.outline.will_run(|at| self.cached[at]);
        }
    }

    /// The prompt's id.
    pub fn prompt_id(&self) -> &str {
        &self.prompt_id
    }

    /// Where the job stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why the job failed, in a sentence for callers. See [`failure_text`].
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// How much is done: 0 to 99, and 100 once the job completed.
    pub fn percent(&self) -> u8 {
        if self.status == Status::Completed { 100 } else { self.percent }
    }

    /// A number that grows with every change of what [`Progress::snapshot`] shows, so that a watcher can tell news
    /// from none and skip what it was too slow for. Estimates alone, which drift with the clock, do not count.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A number that grows with every new picture.
    pub fn preview_revision(&self) -> u64 {
        self.preview_revision
    }

    /// The latest preview.
    pub fn preview_image(&self) -> Option<&PreviewImage> {
        self.preview_image.as_ref()
    }

    /// Takes the latest preview away, for whoever keeps many jobs that are over and none of their pictures.
    pub fn take_preview_image(&mut self) -> Option<PreviewImage> {
        self.preview_image.take()
    }

    /// The files reported so far, by node, in the graph's order.
    pub fn node_outputs(&self) -> IndexMap<NodeId, NodeFiles> {
        self.outputs.by_node(&self.outline)
    }

    /// Returns the result of each kind of media: a file of a result node, if any were named, before those of other nodes,
    /// a final file before an intermediate or temporary one, and the first of equals.
    pub fn results(&self) -> BTreeMap<Media, &OutputFile> {
        self.outputs.chosen(&self.outline, &self.results)
    }

    /// The one file that is the result: of the result nodes before all others, a final file before an intermediate or
    /// temporary one, and among equals one of the kind `preferred`.
    pub fn result(&self, preferred: Media) -> Option<&OutputFile> {
        self.outputs.result(&self.outline, &self.results, preferred)
    }

    /// Every file that is meant to stay, in the graph's order; where nodes made no such file, the intermediate ones,
    /// or else the temporary ones.
    pub fn final_files(&self) -> Vec<&OutputFile> {
        self.outputs.finals()
    }

    /// See [`Progress::with_result_nodes`].
    pub fn result_nodes(&self) -> &[NodeId] {
        &self.results
    }

    /// How long each node took that ran and is done; nothing once the history has told how the job ended. What [`Durations`] learn from.
    pub fn durations(&self) -> impl Iterator<Item = NodeDuration<'_>> {
        self.durations.iter().map(|&(at, took)| NodeDuration {
            node_id: self.outline.id(at),
            class_type: self.outline.class_type(at),
            took,
            steps: self.outline.steps(at),
        })
    }

    /// Weighs nodes by how long they took in earlier jobs of the same workflow, for percent and time left. Without
    /// that, all nodes count the same. It is for jobs that have yet to start: what is done counts as it did.
    pub fn expect(&mut self, history: Arc<Durations>) {
        self.history = Some(history);
        if self.status == Status::Running {
            self.weigh();
        }
    }

    /// Takes a message about this prompt; messages about others, and those that name no prompt, are passed over.
    /// `now` is the time since any fixed moment. Says whether the snapshot changed.
    pub fn apply(&mut self, message: &Message, now: Duration) -> bool {
        message.prompt_id() == Some(&self.prompt_id) && self.take(message, now)
    }

    /// Lets time pass without a message: a node that does not count its steps moves on as far as earlier jobs let expect.
    /// Says whether the snapshot changed.
    pub fn tick(&mut self, now: Duration) -> bool {
        let before = self.percent;
        if self.status == Status::Running {
            self.now = self.now.max(now);
            self.move_percent();
        }
        self.revision += u64::from(self.percent != before);
        self.percent != before
    }

    /// Takes a preview picture in place of the one before. With metadata, one of another prompt is passed over;
    /// without, it is for the caller to know that this prompt runs. Says whether it was taken.
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

    /// Ends the job as ComfyUI's history says: status, error and files are the history's, whatever came before.
    pub fn finish(&mut self, entry: &HistoryEntry) {
        let error = entry.error();
        let (status, error) = if entry.succeeded() {
            (Status::Completed, None)
        } else if entry.interrupted() {
            (Status::Cancelled, None)
        } else if let Some(error) = error {
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
        // When its nodes ended, nobody has seen.
        self.durations.clear();
        self.revision += 1;
    }

    /// Ends the job as cancelled: a pending prompt that is deleted ends without any message or history. Says whether
    /// it did; a job that is over stays what it is.
    pub fn cancelled(&mut self) -> bool {
        self.end_if_open(Status::Cancelled, None)
    }

    /// Ends the job as failed, for a reason that ComfyUI does not know: it lost the job, or never got it. Says whether
    /// it did; a job that is over stays what it is.
    pub fn failed(&mut self, reason: impl Into<String>) -> bool {
        self.end_if_open(Status::Error, Some(reason.into()))
    }

    /// Puts a job that is over where a record says that it is: how it ended, why it failed, and the files it made, by
    /// node.
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

    /// Says that the job runs, as the queue does when no message has said so yet. Says whether that is news.
    pub fn started(&mut self) -> bool {
        let news = self.status == Status::Pending;
        if news {
            self.status = Status::Running;
            self.weigh();
            self.revision += 1;
        }
        news
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

    /// Nodes that count and have started.
    fn nodes_done(&self) -> usize {
        let counts = |at: &Position| self.nodes[*at] != NodeMark::Waiting && !self.outline.does_nothing(*at);
        (0..self.nodes.len()).filter(counts).count()
    }

    /// Nodes that run: those expected to, and those that did although nobody expected it.
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
