//! Dynamic workflows: a graph assembled from blocks for each request.
//!
//! `compile` reads the pipeline and its blocks once. `assemble` walks it for a request. `alternatives` synthesizes requests,
//! so that errors are found before the first real request.

mod alternatives;
mod assemble;
mod block;
mod compile;
mod imports;
mod inject;
mod loras;
mod repetition;
mod stage_error;

use comfy_runner_manifest::{Manifest, Params, Repeat, Stage};
use indexmap::IndexMap;

pub(crate) use alternatives::{Alternative, alternatives};
pub(crate) use assemble::{Built, Origin};
pub(crate) use block::{Block, BlockSource};
pub use stage_error::StageError;

use crate::assemble::{AssembleError, Assembled, direct_outputs};
use crate::output_folder::OutputFolder;
use crate::template::{Condition, Expression, Scope};

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
    /// What nothing provides to the blocks of each stage.
    unknown_names: Vec<compile::UnknownNames>,
}

/// A stage whose expressions are parsed.
#[derive(Debug)]
struct CompiledStage {
    spec: Stage,
    condition: Option<Condition>,
}

/// A part of the pipeline: one stage, or several that are repeated together, by their positions.
#[derive(Debug)]
enum Step {
    Single(usize),
    Repetition { repeat: Repeat, stages: Vec<usize> },
}

/// Limits on the size of a request's graph.
///
/// ```
/// use comfy_runner_workflow::Limits;
///
/// let limits = Limits::default().nodes(500);
/// assert_eq!(limits.nodes, 500);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

impl Limits {
    /// Sets the largest number of instances of one repetition.
    #[must_use]
    pub fn instances(self, instances: usize) -> Self {
        Self { instances, ..self }
    }

    /// Sets the largest number of nodes in the graph.
    #[must_use]
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// Sets the largest number of bytes of text in the graph's values.
    #[must_use]
    pub fn text(self, text: usize) -> Self {
        Self { text, ..self }
    }
}

impl DynamicWorkflow {
    /// Assembles a request's graph.
    pub fn assemble(
        &self,
        params: &Params,
        folder: &OutputFolder,
        limits: &Limits,
    ) -> Result<Assembled, AssembleError> {
        let Built { mut graph, seeds: of_instances, required_models, blocks, problems, .. } =
            self.build(params, folder, limits);
        if !problems.is_empty() {
            return Err(AssembleError::Stages { problems });
        }
        direct_outputs(&mut graph, folder);
        let named = self.manifest.outputs.iter().filter_map(|output| output.node.as_ref());
        // A stage that names a result may be absent from this request.
        let result_nodes = named.filter(|id| graph.nodes.contains_key(*id)).cloned().collect();
        let mut seeds = params.seeds().clone();
        seeds.extend(of_instances);
        Ok(Assembled {
            graph,
            seeds,
            output_folder: folder.clone(),
            input_files: params.input_files(&self.manifest),
            result_nodes,
            required_models,
            blocks,
        })
    }

    fn scope(&self) -> Scope<'_> {
        Scope { manifest: &self.manifest, computed: &self.computed }
    }
}
