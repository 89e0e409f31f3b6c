//! How messages change a job's progress.

use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_protocol::{Message, NodeId, NodeOutput, NodeProgress, NodeState};

use crate::outline::Position;
use crate::progress::{NodeMark, Progress, failed_node};
use crate::running::RunningNode;

impl Progress {
    pub(crate) fn take(&mut self, message: &Message, now: Duration) -> bool {
        if self.status.is_over() {
            return false;
        }
        self.now = self.now.max(now);
        let before = self.visible();
        let files_changed = self.follow(message);
        self.move_percent();
        let changed = files_changed || self.visible() != before;
        self.revision += u64::from(changed);
        changed
    }

    /// Applies a message, and returns whether files changed.
    fn follow(&mut self, message: &Message) -> bool {
        match message {
            Message::ExecutionStart(_) => {}
            Message::ExecutionCached { nodes, .. } => self.set_cached(nodes),
            Message::Executing { node: Some(node), display_node, .. } => {
                self.node_starts(node, display_node.as_deref());
            }
            // It closes a prompt. Versions that do not send `execution_success` close a prompt that succeeded without any other
            // message before.
            Message::Executing { node: None, .. } | Message::ExecutionSuccess(_) => {
                self.end(Status::Completed, None);
            }
            Message::Progress { node, value, max, .. } => self.node_steps(node.as_deref(), *value, *max),
            Message::ProgressState { nodes, .. } => {
                self.tells_states = true;
                nodes.values().for_each(|state| self.node_state(state));
            }
            Message::Executed { node, display_node, output, .. } => {
                self.status = Status::Running;
                return self.node_reports(node, display_node.as_deref(), output.as_ref());
            }
            Message::ExecutionError(error) => {
                let reason = self.failure(error);
                self.failed_node = failed_node(error);
                self.end(Status::Error, Some(reason));
            }
            Message::ExecutionInterrupted(_) => self.end(Status::Cancelled, None),
            // `status`, `feature_flags` and unknown messages say nothing about a job.
            _ => return false,
        }
        if !self.status.is_over() {
            self.status = Status::Running;
        }
        false
    }

    pub(crate) fn set_cached(&mut self, nodes: &[NodeId]) {
        for at in nodes.iter().filter_map(|node| self.outline.position(node)) {
            // A node that has run was not cached.
            self.cached[at] = self.nodes[at] == NodeMark::Waiting;
        }
        self.will_run = self.outline.will_run(|at| self.cached[at]);
    }

    fn node_starts(&mut self, node: &str, display: Option<&str>) {
        let Some(at) = self.locate(node, display) else { return };
        if !self.tells_states {
            self.finish_all_but(at);
        }
        self.start(at);
        self.note_child(node, at);
    }

    fn node_steps(&mut self, node: Option<&str>, value: f64, total: f64) {
        let at = match node {
            Some(node) => self.locate(node, None),
            None => self.current,
        };
        if let Some(at) = at {
            self.step(at, value, total);
        }
    }

    fn node_state(&mut self, state: &NodeProgress) {
        let Some(at) = self.locate(&state.node_id, state.display_node_id.as_deref()) else { return };
        let is_child = self.outline.id(at) != state.node_id;
        match state.state {
            NodeState::Running => {
                self.start(at);
                self.note_child(&state.node_id, at);
                // Nodes that report no steps send 0 of 1.
                if state.max > 1.0 {
                    self.step(at, state.value, state.max);
                }
            }
            NodeState::Finished | NodeState::Error if is_child => {
                self.start(at);
                self.note_child(&state.node_id, at);
            }
            NodeState::Finished | NodeState::Error if !self.cached[at] => self.finish_node(at),
            // Pending, cached, or a state that is unknown here.
            _ => {}
        }
    }

    fn node_reports(&mut self, node: &str, display: Option<&str>, output: Option<&NodeOutput>) -> bool {
        let at = self.locate(node, display);
        if let Some(at) = at
            && self.outline.id(at) == node
            && !self.cached[at]
        {
            self.finish_node(at);
        }
        output.is_some_and(|output| self.outputs.report(node, at, output))
    }

    /// Returns the node of the graph that this node is, or that it was expanded from.
    pub(crate) fn locate(&self, node: &str, display: Option<&str>) -> Option<Position> {
        let itself = self.outline.position(node);
        itself.or_else(|| self.outline.position(display?)).or_else(|| self.children.get(node).copied())
    }

    fn start(&mut self, at: Position) {
        if self.nodes[at] == NodeMark::Waiting {
            self.nodes[at] = NodeMark::Running;
            self.running.push(RunningNode::new(at, self.now));
            self.resting = None;
            self.current = Some(at);
        }
        if std::mem::take(&mut self.cached[at]) {
            self.will_run = self.outline.will_run(|at| self.cached[at]);
        }
    }

    /// Stores a node that the one at `at` expanded into.
    fn note_child(&mut self, node: &str, at: Position) {
        if self.outline.id(at) == node || self.children.contains_key(node) {
            return;
        }
        self.children.insert(node.to_owned(), at);
        if let Some(run) = self.running.iter_mut().find(|run| run.node == at) {
            run.children += 1;
            run.steps = Default::default();
        }
    }

    fn step(&mut self, at: Position, value: f64, total: f64) {
        self.start(at);
        let now = self.now;
        if let Some(run) = self.running.iter_mut().find(|run| run.node == at) {
            let before = (run.steps.value, run.steps.total);
            run.steps.reach(value, total, now);
            if before != (run.steps.value, run.steps.total) {
                self.current = Some(at);
            }
        }
    }

    fn finish_node(&mut self, at: Position) {
        self.start(at);
        self.nodes[at] = NodeMark::Finished;
        if let Some(index) = self.running.iter().position(|run| run.node == at) {
            let run = self.running.remove(index);
            let took = self.now.saturating_sub(run.since);
            self.resting = self.running.is_empty().then_some(run);
            self.durations.push((at, took));
        }
        if self.current == Some(at)
            && let Some(other) = self.running.last()
        {
            self.current = Some(other.node);
        }
    }

    pub(crate) fn finish_all_but(&mut self, at: Position) {
        let done: Vec<_> = self.running.iter().map(|run| run.node).filter(|&node| node != at).collect();
        done.into_iter().for_each(|node| self.finish_node(node));
    }
}
