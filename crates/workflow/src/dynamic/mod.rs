//! Dynamic workflows: a graph put together from blocks for each request.
//!
//! `compile` reads the pipeline and its blocks once; `assemble` walks it for a request; `alternatives` makes requests up,
//! so that what can go wrong is known before somebody asks.

mod alternatives;
mod assemble;
mod block;
mod compile;
mod condition;
mod content;
mod expression;
mod imports;
mod inject;
mod loras;
mod names;
mod repetition;
mod request;
mod seeds;
mod stage_error;
mod variables;
mod weighed;
mod weight;

use comfy_runner_manifest::{Manifest, Repeat, Stage};
use indexmap::IndexMap;

pub(crate) use alternatives::{Alternative, alternatives};
pub(crate) use assemble::{Built, Origin};
pub(crate) use block::{Block, Source};
pub(crate) use compile::compile_computed;
pub(crate) use expression::{Expression, ExpressionError, Missing};
pub(crate) use names::Names;
pub(crate) use request::Scope;
pub use stage_error::StageError;
pub(crate) use variables::Variables;

use condition::Condition;

/// A dynamic workflow, compiled once.
#[derive(Debug)]
pub(crate) struct DynamicWorkflow {
    pub manifest: Manifest,
    /// The blocks by file, relative to the workflow's folder.
    pub blocks: IndexMap<String, Block>,
    stages: Vec<CompiledStage>,
    steps: Vec<Step>,
    /// The manifest's `computed`, parsed.
    computed: Vec<(String, Expression)>,
}

/// A stage whose expressions are parsed.
#[derive(Debug)]
struct CompiledStage {
    spec: Stage,
    condition: Option<Condition>,
}

/// A part of the pipeline: one stage, or those that are repeated together. Stages by their positions.
#[derive(Debug)]
enum Step {
    Single(usize),
    Repetition { repeat: Repeat, stages: Vec<usize> },
}

/// How large a request's graph may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instances of one repetition.
    pub instances: usize,
    /// Nodes in the graph.
    pub nodes: usize,
    /// Bytes of text in the graph's values.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { instances: 100, nodes: 10_000, text: 16 << 20 }
    }
}
