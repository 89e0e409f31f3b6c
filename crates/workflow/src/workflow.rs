//! A workflow, compiled once: a graph and where each value goes, or blocks.

use std::sync::Arc;

use comfy_runner_manifest::{
    Compile, Compiled, Diagnostic, Diagnostics, Library, Manifest, WorkflowDir, WorkflowKind,
};
use comfy_runner_protocol::{Graph, NodeId, ObjectInfo};

use crate::dynamic::DynamicWorkflow;
use crate::static_workflow::StaticWorkflow;

/// A folder of workflows.
pub type Workflows = Library<Workflow>;

/// A workflow: its manifest and its graph or blocks, checked against each other.
#[derive(Debug)]
pub struct Workflow {
    pub(crate) plan: Plan,
}

/// The source of a workflow's graph.
#[derive(Debug)]
pub(crate) enum Plan {
    Static(StaticWorkflow),
    Dynamic(DynamicWorkflow),
}

impl Workflow {
    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        match &self.plan {
            Plan::Static(workflow) => &workflow.manifest,
            Plan::Dynamic(workflow) => &workflow.manifest,
        }
    }

    /// Returns the graph as its file contains it, or `None` for a dynamic workflow.
    pub fn graph(&self) -> Option<&Graph> {
        match &self.plan {
            Plan::Static(workflow) => Some(&workflow.graph),
            Plan::Dynamic(_) => None,
        }
    }

    /// Returns the nodes whose files are the result, by the manifest's `outputs[].node_id`. Empty if it names none.
    pub fn result_nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.manifest().outputs.iter().filter_map(|output| output.node.as_ref())
    }
}

impl Compile for Workflow {
    /// Node schemas, for graphs in UI format.
    type Context = Option<Arc<ObjectInfo>>;

    fn compile(
        manifest: Manifest,
        folder: &mut WorkflowDir,
        schemas: &Self::Context,
    ) -> Result<Compiled<Self>, Diagnostics> {
        if manifest.kind == WorkflowKind::Dynamic {
            return Self::from_blocks(manifest, &mut |file| folder.read(file));
        }
        let text = read_graph(&manifest, folder)?;
        Self::new(manifest, &text, schemas.as_deref())
    }

    fn inspect(manifest: &Manifest, folder: &mut WorkflowDir) -> Diagnostics {
        if manifest.kind == WorkflowKind::Dynamic {
            return DynamicWorkflow::inspect(manifest, &mut |file| folder.read(file));
        }
        let text = match read_graph(manifest, folder) {
            Ok(text) => text,
            Err(problem) => return problem.into(),
        };
        StaticWorkflow::inspect(&manifest.workflow_file, &text)
    }
}

fn read_graph(manifest: &Manifest, folder: &mut WorkflowDir) -> Result<String, Diagnostic> {
    folder.read(&manifest.workflow_file).map_err(|mut problem| {
        problem.message = format!("the graph of this workflow (`workflow_file`): {}", problem.message);
        problem
    })
}

impl Workflow {
    /// Compiles a manifest and the text of its graph. A graph in UI format needs node schemas; the manifest names its
    /// nodes by the ids that the conversion gives them.
    ///
    /// # Errors
    /// Every problem that could be found, warnings included.
    pub fn new(
        manifest: Manifest,
        graph: &str,
        schemas: Option<&ObjectInfo>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        let Compiled { workflow, warnings } = StaticWorkflow::new(manifest, graph, schemas)?;
        Ok(Compiled { workflow: Self { plan: Plan::Static(workflow) }, warnings })
    }

    /// Compiles a dynamic manifest and its blocks. `read` returns the content of a file in the workflow's folder.
    ///
    /// # Errors
    /// Every problem that could be found, also by trying the alternatives of its stages; warnings included.
    pub fn from_blocks(
        manifest: Manifest,
        read: &mut dyn FnMut(&str) -> Result<String, Diagnostic>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        let Compiled { workflow, warnings } = DynamicWorkflow::new(manifest, read)?;
        Ok(Compiled { workflow: Self { plan: Plan::Dynamic(workflow) }, warnings })
    }
}
