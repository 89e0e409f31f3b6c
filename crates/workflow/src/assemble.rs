//! Assembles a graph that ComfyUI can run from a workflow and a request's values.

use comfy_runner_manifest::{DiagnosticKind, FirstTen, Params};
use comfy_runner_protocol::{Graph, NodeId};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::dynamic::{Limits, StageError};
use crate::output_folder::OutputFolder;
use crate::workflow::{Plan, Workflow};

/// A graph that is ready for `POST /prompt`, with data about the job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Assembled {
    /// The graph.
    pub graph: Graph,
    /// The seeds that were used, by input; of instances that differ, by `batch_1`, ... or `scene_1`, ...
    pub seeds: IndexMap<String, u64>,
    /// The folder that takes the job's files.
    pub output_folder: OutputFolder,
    /// The files in ComfyUI's input directory that the params name, each once.
    pub input_files: Vec<String>,
    /// The nodes whose files are the result; empty when the manifest names none.
    pub result_nodes: Vec<NodeId>,
    /// File names of the models that must be installed.
    pub required_models: Vec<String>,
    /// The nodes of each block, by the block's name and number; empty for a static workflow.
    pub blocks: Vec<BlockNodes>,
}

/// The nodes of a graph that come from one instance of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockNodes {
    /// The block's name and number: `scene_0`.
    pub name: String,
    /// The ids of the nodes, in the graph's order.
    pub nodes: Vec<NodeId>,
}

/// Why values do not fit the graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// ComfyUI reads a list of a string and a number as a link to another node. A caller may not make links.
    #[error(
        "`{field}` of node {node} cannot take a list of a string and a number: ComfyUI reads that as a link to a node"
    )]
    LooksLikeLink {
        /// The node, with its title.
        node: String,
        /// Its field.
        field: String,
    },
    /// Several LoRAs for a graph that loads one.
    #[error("input \"{input}\": this workflow loads one LoRA, {count} are given")]
    OneLora {
        /// The input's id.
        input: String,
        /// How many there are.
        count: usize,
    },
    /// A LoRA entry without a file, such as a pair for a dynamic workflow.
    #[error("input \"{input}\": this workflow takes a LoRA as a file name or as {{file, strength}}")]
    LoraFile {
        /// The input's id.
        input: String,
    },
    /// The caller selects no LoRA, but the loader cannot be left out because its own `model` or `clip` is not linked.
    #[error(
        "node {node} cannot be left out although input \"{input}\" is \"none\": its output {output} has no input to replace it"
    )]
    LoraCannotGo {
        /// The input's id.
        input: String,
        /// The node, with its title.
        node: String,
        /// The index of the output that others use.
        output: usize,
    },
    /// An expression in the graph has no value for these values.
    #[error("node {node}: {reason}")]
    Expression {
        /// The node, with its title.
        node: String,
        /// Which expression, and why.
        reason: String,
    },
    /// No graph can be assembled from the blocks for these values.
    #[error("{}", FirstTen(.problems.iter()))]
    Stages {
        /// Each reason; never empty.
        problems: Vec<StageError>,
    },
}

impl AssembleError {
    /// Returns whether this is an error of the workflow, not of a value: the values selected blocks that do not fit
    /// together. The contract answers "workflow assembly failed" with 500.
    #[must_use]
    pub fn is_of_the_workflow(&self) -> bool {
        let Self::Stages { problems } = self else { return false };
        problems.iter().any(|problem| {
            matches!(
                problem.kind,
                DiagnosticKind::Import | DiagnosticKind::Block | DiagnosticKind::Placeholder
            )
        })
    }
}

impl Workflow {
    /// Assembles the graph for these values and sets the job's output folder. The same params and
    /// the same folder make the same graph, byte for byte.
    ///
    /// # Errors
    /// Values that a graph cannot take although their inputs allow them; see [`AssembleError`].
    pub fn assemble(&self, params: &Params, folder: &OutputFolder) -> Result<Assembled, AssembleError> {
        self.assemble_within(params, folder, &Limits::default())
    }

    /// Assembles like [`Workflow::assemble`], with other limits for graphs that are assembled from blocks.
    ///
    /// # Errors
    /// Those of [`Workflow::assemble`].
    pub fn assemble_within(
        &self,
        params: &Params,
        folder: &OutputFolder,
        limits: &Limits,
    ) -> Result<Assembled, AssembleError> {
        match &self.plan {
            Plan::Static(workflow) => workflow.assemble(params, folder),
            Plan::Dynamic(workflow) => workflow.assemble(params, folder, limits),
        }
    }
}

/// Makes every node that saves write to the job's folder.
pub(crate) fn direct_outputs(graph: &mut Graph, folder: &OutputFolder) {
    for node in graph.nodes.values_mut() {
        if !node.inputs.get("filename_prefix").is_some_and(Value::is_string) {
            continue;
        }
        let unsaved =
            node.class_type == "VHS_VideoCombine" && node.inputs.get("save_output") == Some(&json!(false));
        let prefix = if unsaved { folder.intermediate_prefix() } else { folder.final_prefix() };
        node.inputs.insert("filename_prefix".to_owned(), prefix.into());
        if unsaved {
            node.inputs.insert("save_output".to_owned(), true.into());
        }
    }
}
