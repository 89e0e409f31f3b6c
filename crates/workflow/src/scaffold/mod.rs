//! A first manifest for a graph: the inputs that its author chose in the editor, or else inputs detected by names,
//! types and links.

mod authored;
mod detect;
mod detected_input;
mod escape;
mod literal;
mod locator;
mod meaning;
mod merge;
mod names;
mod negative;
mod note;
mod outputs;
mod roles;
mod spec;
mod usage;
mod write;

use std::collections::HashMap;

use comfy_runner_editor::UiGraph;
use comfy_runner_editor::file::SavedFile;
use comfy_runner_editor::to_api::{ToApiError, to_api};
use comfy_runner_manifest::{Diagnostics, Manifest};
use comfy_runner_protocol::graph::{Graph, NodeId};
use comfy_runner_protocol::object_info::ObjectInfo;
use indexmap::{IndexMap, IndexSet};

use crate::validate::validate;
use crate::workflow::Workflow;
use authored::Authored;
use comfy_runner_protocol::is_model_file;
use detect::Detector;
use detected_input::DetectedInput;
use write::Page;

/// A first manifest and its graph.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scaffold {
    /// The content of `manifest.yaml`.
    pub manifest: String,
    /// A manifest whose inputs are the other values of the graph, which `manifest` has as comments.
    pub others: String,
    /// The graph in API format. Braces that would be placeholders are escaped.
    pub graph: Graph,
    /// The number of the manifest's inputs.
    pub inputs: usize,
    /// Nodes whose types have no schema, with their types: they may have more inputs than were found.
    pub unknown: Vec<(NodeId, String)>,
    /// Entries of App mode that name a node or a widget that does not exist, as in the file.
    pub missing: Vec<String>,
}

impl Scaffold {
    /// Compiles the workflow and validates it against the schemas. The warnings do not prevent its use: models, for
    /// example, may be installed later.
    ///
    /// # Errors
    /// Every diagnostic, if no workflow can be made of the graph.
    pub fn check(&self, schemas: &ObjectInfo, id: &str) -> Result<(Workflow, Diagnostics), Diagnostics> {
        let (manifest, mut warnings) = Manifest::parse(&self.manifest, id)?;
        let compiled = Workflow::new(manifest, &self.graph.to_string(), None)?;
        warnings.extend(compiled.warnings);
        warnings.extend(validate(&compiled.workflow, schemas));
        Ok((compiled.workflow, warnings))
    }

    /// Returns a sentence for each node and each entry of App mode that the manifest leaves out.
    pub fn left_out(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.iter().map(|(node, class)| {
            format!("node {node}: type \"{class}\" has no schema; no inputs were looked for in it")
        });
        let missing = self
            .missing
            .iter()
            .map(|entry| format!("App mode names {entry}, which is not in the graph; it was left out"));
        unknown.chain(missing)
    }
}

/// Why no workflow can be made of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScaffoldError {
    /// The graph in UI format cannot be converted.
    #[error(transparent)]
    Convert(#[from] ToApiError),
    /// The graph has no nodes that run.
    #[error("the graph has no nodes that run; save a graph that runs")]
    Empty,
}

/// Makes a workflow from a saved file; see [`scaffold`]. If the file has the graph in both formats, the one
/// in API format is the graph, and the one in UI format shows its author's choices.
///
/// # Errors
/// See [`ScaffoldError`].
pub fn scaffold_file(file: SavedFile, schemas: &ObjectInfo, id: &str) -> Result<Scaffold, ScaffoldError> {
    let SavedFile { prompt, workflow, .. } = file;
    let graph = match (prompt, &workflow) {
        (Some(prompt), _) => prompt,
        (None, Some(workflow)) => to_api(workflow, schemas)?,
        (None, None) => Graph::default(),
    };
    if graph.is_empty() {
        return Err(ScaffoldError::Empty);
    }
    Ok(scaffold(&graph, workflow.as_deref(), schemas, id))
}

/// Inputs beyond this number are listed in groups.
const UNGROUPED: usize = 8;

/// Writes the manifest of a graph in API format, for the workflow of this id. `saved` is the same graph in UI format,
/// if it was converted from that: it shows the author's choices.
///
/// Without parameters, the workflow assembles the same graph, except for its seeds.
pub fn scaffold(graph: &Graph, saved: Option<&UiGraph>, schemas: &ObjectInfo, id: &str) -> Scaffold {
    let authored = saved.map_or_else(Authored::default, authored::authored);
    let app = authored.app.as_ref();
    let outputs = outputs::outputs(graph, schemas, app.map(|app| app.outputs.as_slice()).unwrap_or_default());
    let detector = Detector::new(graph, schemas, &authored);
    let inputs = detector.inputs();
    let left_out = detector.left_out(&inputs);
    let description = saved.and_then(note::description);
    let inputs = named(inputs);
    let page = Page {
        id,
        description: description.as_deref(),
        category: outputs::category(&outputs),
        grouped: inputs.len() > UNGROUPED && app.is_none_or(|app| app.inputs.is_empty()),
        left_out: free_ids(left_out, &inputs),
        inputs,
        outputs: &outputs,
        models: models(graph),
        packages: packages(graph, schemas),
    };
    let unknown = graph.nodes.iter().filter(|(_, node)| !schemas.contains_key(&node.class_type));
    Scaffold {
        inputs: page.inputs.len(),
        manifest: page.write(),
        others: page.write_others(),
        graph: escape::escaped(graph),
        unknown: unknown.map(|(id, node)| (id.clone(), node.class_type.clone())).collect(),
        missing: app.map(|app| app.missing.clone()).unwrap_or_default(),
    }
}

/// Gives each input an id of its own: where several have the same, the title of the node or the name of the file tells
/// them apart, and otherwise their order.
fn named(found: Vec<DetectedInput<'_>>) -> IndexMap<String, DetectedInput<'_>> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, input) in found.iter().enumerate() {
        groups.entry(&input.base).or_default().push(at);
    }
    let mut ids: Vec<String> = found.iter().map(|input| input.base.clone()).collect();
    for (base, mut group) in groups.into_iter().filter(|(_, group)| group.len() > 1) {
        group.sort_by_key(|at| (found[*at].order, *at));
        let own = |at: &usize| {
            let named = qualified(&found[*at]).or_else(|| by_medium(&found[*at]));
            named.or_else(|| by_file(*at, &group, &found))
        };
        let own: Vec<Option<String>> = group.iter().map(own).collect();
        for (place, at) in group.iter().enumerate() {
            let single = own[place]
                .as_ref()
                .filter(|id| own.iter().flatten().filter(|other| other == id).count() == 1);
            ids[*at] = match single {
                Some(id) => id.clone(),
                None if place == 0 => base.to_owned(),
                None => names::ordinal(place, base),
            };
        }
    }
    let mut named: IndexMap<String, DetectedInput<'_>> = IndexMap::with_capacity(found.len());
    for (id, mut input) in ids.into_iter().zip(found) {
        let id = unused(id, &named);
        // People could not distinguish two inputs with the same label.
        let taken = |label: &String| named.values().any(|other| other.label.as_ref() == Some(label));
        if id != input.base && input.label.as_ref().is_some_and(taken) {
            input.label = Some(names::humanised(&id));
        }
        named.insert(id, input);
    }
    named
}

/// Returns the id of an input with the title of its node.
fn qualified(input: &DetectedInput<'_>) -> Option<String> {
    let title = input.qualifier.as_ref()?;
    let value = matches!(input.kind, "text" | "image" | "video" | "audio" | "mask" | "3d");
    Some(if value || title.contains(input.base.as_str()) {
        title.clone()
    } else {
        format!("{title}_{}", input.base)
    })
}

/// Returns the id of an input with what its node makes: `video_resolution`.
fn by_medium(input: &DetectedInput<'_>) -> Option<String> {
    let medium = input.medium.filter(|medium| !input.base.contains(medium))?;
    Some(format!("{medium}_{}", input.base))
}

/// The id of a model with the words of its file's name that no other of the group has: `high` and `low`.
fn by_file(at: usize, group: &[usize], found: &[DetectedInput<'_>]) -> Option<String> {
    let words = |at: usize| {
        let name = found[at].value.as_str().filter(|name| is_model_file(name)).unwrap_or_default();
        let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
        words
            .filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_alphabetic()))
            .collect::<Vec<_>>()
    };
    let others: Vec<String> =
        group.iter().filter(|other| **other != at).flat_map(|other| words(*other)).collect();
    let own = words(at).into_iter().find(|word| !others.contains(word))?;
    Some(format!("{own}_{}", found[at].base))
}

fn unused(id: String, taken: &IndexMap<String, DetectedInput<'_>>) -> String {
    let id = if id.starts_with('_') || id.is_empty() { format!("value{id}") } else { id };
    if !taken.contains_key(&id) {
        return id;
    }
    (1..).map(|at| names::ordinal(at, &id)).find(|other| !taken.contains_key(other)).unwrap_or(id)
}

/// Sets ids for inputs that are written as comments: unlike those of the inputs, so that a line can be moved there.
fn free_ids<'g>(
    left_out: Vec<DetectedInput<'g>>,
    inputs: &IndexMap<String, DetectedInput<'g>>,
) -> IndexMap<String, DetectedInput<'g>> {
    let mut free: IndexMap<String, DetectedInput<'g>> = IndexMap::with_capacity(left_out.len());
    for input in left_out {
        let mut id = input.base.clone();
        if inputs.contains_key(&id) || free.contains_key(&id) || id.is_empty() || id.starts_with('_') {
            let node = names::identifier(&format!("node {} {id}", input.targets[0].node));
            id = if inputs.contains_key(&node) || free.contains_key(&node) {
                format!("{node}_{}", free.len())
            } else {
                node
            };
        }
        free.insert(id, input);
    }
    free
}

/// Returns the model files that the graph names.
fn models(graph: &Graph) -> IndexSet<&str> {
    let values = graph.nodes.values().flat_map(|node| node.inputs.values());
    values.filter_map(|value| value.as_str()).filter(|name| is_model_file(name)).collect()
}

/// Returns the packages of custom nodes that provide the graph's types.
fn packages<'s>(graph: &Graph, schemas: &'s ObjectInfo) -> IndexSet<&'s str> {
    let modules = graph
        .nodes
        .values()
        .filter_map(|node| schemas.get(&node.class_type)?.other.get("python_module")?.as_str());
    let packages = modules
        .filter_map(|module| module.strip_prefix("custom_nodes."))
        .map(|package| package.split('.').next().unwrap_or(package));
    packages.collect()
}
