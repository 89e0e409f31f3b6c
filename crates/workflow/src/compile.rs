//! From a folder to a workflow: the manifest and the graph, checked against each other.

use std::sync::Arc;

use comfy_runner_editor::diagnostics::{invalid_values, unrendered_views};
use comfy_runner_editor::saved::{NoPrompt, Saved, SavedError};
use comfy_runner_editor::to_api::ToApiError;
use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{
    Compile, Compiled, Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics, Input, InputKind, Lines,
    MANIFEST_FILE, Manifest, NodeField, WorkflowDir, WorkflowKind,
};
use comfy_runner_protocol::{Graph, GraphError, Node, ObjectInfo};
use serde_json::Value;

use crate::dynamic::{DynamicWorkflow, Expression, Names, compile_computed};
use crate::placeholder::{Name, Template};
use crate::workflow::{Binding, LoraSwitch, Place, Plan, Slot, StaticWorkflow, Workflow};

/// Names that placeholders may use beside inputs and `defaults`.
pub(crate) const OWN_NAMES: [&str; 4] = ["output_dir", "output_prefix", "input_image", "has_input_image"];

/// ComfyUI's own LoRA loaders: what they give is what they take, changed, so that they can be left out.
const LORA_LOADERS: [&str; 2] = ["LoraLoader", "LoraLoaderModelOnly"];

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
        match Saved::from_json(&text) {
            Ok(Saved::Api(graph)) => {
                let lines = Lines::parse(&text);
                let mut report = FileDiagnostics::new(&manifest.workflow_file, &lines);
                check_graph(&graph, &mut report);
                report.finish()
            }
            // What is in it can only be said with node schemas.
            Ok(Saved::Ui(_)) => Diagnostics::new(),
            Err(error) => graph_problem(&manifest.workflow_file, &text, &error).into(),
        }
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

    /// Compiles a dynamic manifest and its blocks. `read` gives the text of a file in the workflow's folder.
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

impl StaticWorkflow {
    fn new(
        manifest: Manifest,
        graph: &str,
        schemas: Option<&ObjectInfo>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        let file = manifest.workflow_file.clone();
        let text = graph;
        let saved = Saved::from_json(text).map_err(|error| graph_problem(&file, text, &error))?;
        // The lines of a file in UI format are not those of the graph that it stands for.
        let is_ui = matches!(saved, Saved::Ui(_));
        let lines = if is_ui { Lines::default() } else { Lines::parse(text) };
        let graph = saved.into_prompt(schemas).map_err(|error| no_prompt(&file, &error))?;
        let mut problems = FileDiagnostics::new(&file, &lines);
        check_graph(&graph, &mut problems);
        for invalid in
            schemas.filter(|_| is_ui).map(|schemas| invalid_values(&graph, schemas)).unwrap_or_default()
        {
            problems.warning(DiagnosticKind::BadValue, "", invalid.to_string());
        }
        for view in
            schemas.filter(|_| is_ui).map(|schemas| unrendered_views(&graph, schemas)).unwrap_or_default()
        {
            problems.warning(DiagnosticKind::BadValue, "", view.to_string());
        }
        let slots = find_slots(&graph, &mut problems);
        check_names(&manifest, &graph, &slots, &mut problems);
        let mut report = manifest.diagnostics();
        let computed = compile_computed(&manifest, &mut report);
        let bindings = bind(&manifest, &graph, &file, &mut report);
        check_outputs(&manifest, &graph, &file, &mut report);
        check_unbound(&manifest, &slots, &computed, &mut report);
        let failed = problems.has_errors() || report.has_errors();
        let mut problems = problems.finish();
        problems.prepend(report.finish());
        if failed {
            return Err(problems);
        }
        let loras = lora_switches(&manifest, &graph, &bindings, &slots);
        let workflow = Self { manifest, graph, lines, bindings, slots, computed, loras };
        Ok(Compiled { workflow, warnings: problems })
    }
}

fn no_prompt(file: &str, error: &NoPrompt) -> Diagnostic {
    let kind = match error {
        NoPrompt::NeedsSchemas | NoPrompt::Convert(ToApiError::UnknownType { .. }) => {
            DiagnosticKind::NeedsSchemas
        }
        NoPrompt::Convert(_) => DiagnosticKind::Graph,
    };
    Diagnostic::error(kind, file, error.to_string())
}

fn graph_problem(file: &str, text: &str, error: &SavedError) -> Diagnostic {
    let place = match error {
        SavedError::Api(GraphError::Json(error)) => (Some(error.line()), Some(error.column())),
        SavedError::Api(GraphError::Node { node, .. }) => (Lines::parse(text).line(&pointer(&[node])), None),
        _ => (None, None),
    };
    let syntax = matches!(error, SavedError::Api(GraphError::Json(_)));
    let kind = if syntax { DiagnosticKind::Syntax } else { DiagnosticKind::Graph };
    let mut problem = Diagnostic::error(kind, file, error.to_string());
    (problem.line, problem.column) = place;
    problem
}

fn check_graph(graph: &Graph, report: &mut FileDiagnostics<'_>) {
    if graph.is_empty() {
        report.error(DiagnosticKind::Graph, "", "the graph has no nodes");
    }
    for (node, input, missing) in graph.dangling_links() {
        let message = format!(
            "node {} (`{input}`) links to node \"{missing}\", which is not there",
            called(graph, node)
        );
        report.error(DiagnosticKind::Graph, &pointer(&[node, "inputs", input]), message);
    }
    for (id, node) in &graph.nodes {
        let keys = node.inputs.keys().map(String::as_str);
        for text in
            keys.chain([node.class_type.as_str()]).filter(|text| !matches!(Template::parse(text), Ok(None)))
        {
            let message = format!(
                "node {}: a placeholder may stand in a value or a title, not in a name such as \"{text}\"",
                called(graph, id)
            );
            report.error(DiagnosticKind::Placeholder, &pointer(&[id]), message);
        }
    }
}

/// Every text of the graph that holds placeholders.
fn find_slots(graph: &Graph, report: &mut FileDiagnostics<'_>) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (index, (id, node)) in graph.nodes.iter().enumerate() {
        let mut take = |text: &str, place: Place, at: &str| match Template::parse(text) {
            Ok(Some(template)) => slots.push(Slot { node: index, place, template }),
            Ok(None) => {}
            Err(error) => {
                let message = format!(
                    "node {}: {error}. Between the braces stands the id of an input or an expression; braces that are \
                     meant as text can stand in an input's default",
                    called(graph, id)
                );
                report.error(DiagnosticKind::Placeholder, at, message);
            }
        };
        for (field, value) in &node.inputs {
            let at = pointer(&[id, "inputs", field]);
            each_text(value, "", &mut |text, inside| {
                let place = match inside {
                    "" => Place::Input(field.clone()),
                    inside => Place::Inside(field.clone(), inside.to_owned()),
                };
                take(text, place, &at);
            });
        }
        if let Some(title) = node.meta.as_ref().and_then(|meta| meta.get("title")).and_then(Value::as_str) {
            take(title, Place::Title, &pointer(&[id, "_meta", "title"]));
        }
    }
    slots
}

/// Calls `take` with every text in a value and its JSON pointer.
fn each_text(value: &Value, at: &str, take: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => take(text, at),
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| each_text(value, &format!("{at}/{index}"), take));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| each_text(value, &format!("{at}{}", pointer(&[key])), take));
        }
        _ => {}
    }
}

/// Reports placeholders that nothing fills.
fn check_names(manifest: &Manifest, graph: &Graph, slots: &[Slot], report: &mut FileDiagnostics<'_>) {
    let names = Names::of(manifest);
    for slot in slots {
        let Some((id, _)) = graph.nodes.get_index(slot.node) else { continue };
        let plain =
            slot.template.names().filter(|name| !is_filled(manifest, name)).map(|name| name.id.as_str());
        let used = slot.template.expressions().flat_map(Expression::names).filter(|name| !names.knows(name));
        for name in plain.chain(used) {
            let known = manifest.inputs.iter().map(|input| input.id.as_str());
            let hint = did_you_mean(name, known.chain(manifest.defaults.keys().map(String::as_str)));
            let message = format!(
                "node {}: nothing fills the placeholder `{{{{{}}}}}`; add an input of this id, or a key of \
                 `defaults`, to {MANIFEST_FILE}.{hint}",
                called(graph, id),
                name
            );
            let at = match &slot.place {
                Place::Input(field) | Place::Inside(field, _) => pointer(&[id, "inputs", field]),
                Place::Title => pointer(&[id, "_meta", "title"]),
            };
            report.error(DiagnosticKind::Placeholder, &at, message);
        }
    }
}

fn is_filled(manifest: &Manifest, name: &Name) -> bool {
    let side = matches!(name.id.as_str(), "width" | "height") && manifest.resolution_input().is_some();
    let own = OWN_NAMES.contains(&name.id.as_str());
    let computed = manifest.computed.contains_key(&name.id);
    manifest.input(&name.id).is_some() || manifest.defaults.contains_key(&name.id) || side || own || computed
}

/// Resolves each input's targets in the graph.
fn bind(manifest: &Manifest, graph: &Graph, file: &str, report: &mut FileDiagnostics<'_>) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for (index, input) in manifest.inputs.iter().enumerate() {
        let at = format!("/inputs/{index}");
        for target in &input.targets {
            let Some((node, node_id, found)) = graph.nodes.get_full(&target.node) else {
                report.error(DiagnosticKind::Binding, &at, no_node(input, &target.node, graph, file));
                continue;
            };
            match found.inputs.get(&target.field) {
                None => {
                    report.error(DiagnosticKind::Binding, &at, no_field(input, target, found, graph, file));
                    continue;
                }
                Some(value) if comfy_runner_protocol::Link::of(value).is_some() => {
                    let node = called(graph, node_id);
                    let message = format!(
                        "input \"{}\": `{}` of node {node} is linked to another node; the value takes the link's place",
                        input.id, target.field
                    );
                    report.warning(DiagnosticKind::Binding, &at, message);
                }
                Some(_) => {}
            }
            if let Some(other) = bindings.iter().find(|b| b.node == node && b.field == target.field) {
                let other = &manifest.inputs[other.input].id;
                let (field, node) = (&target.field, called(graph, node_id));
                let message = format!(
                    "input \"{}\": `{field}` of node {node} is bound to input \"{other}\" too",
                    input.id
                );
                report.error(DiagnosticKind::Binding, &at, message);
            }
            match part_of(input, target) {
                Ok(part) => bindings.push(Binding { input: index, node, field: target.field.clone(), part }),
                Err(message) => report.error(DiagnosticKind::Binding, &at, message),
            }
        }
        let sides =
            bindings.iter().filter(|binding| binding.input == index).map(|binding| binding.part.as_deref());
        if input.kind == InputKind::ResolutionPicker && !input.targets.is_empty() {
            let sides: Vec<_> = sides.collect();
            if sides.contains(&Some("w")) != sides.contains(&Some("h")) {
                let message = format!(
                    "input \"{}\": only one side of the resolution is bound; add `targets` for width and height",
                    input.id
                );
                report.warning(DiagnosticKind::Binding, &at, message);
            }
        }
    }
    bindings
}

/// The part of an input's value that this target takes: written, or clear from the field's name.
fn part_of(input: &Input, target: &NodeField) -> Result<Option<String>, String> {
    if let Some(part) = &target.part {
        return Ok(Some(canonical(&input.kind, part).to_owned()));
    }
    let field = target.field.as_str();
    match &input.kind {
        InputKind::ResolutionPicker => match canonical(&input.kind, field) {
            side @ ("w" | "h") => Ok(Some(side.to_owned())),
            _ => Err(format!(
                "input \"{}\": a resolution is two numbers, and `{field}` takes one; add `part: w` or `part: h` to the \
                 target",
                input.id
            )),
        },
        InputKind::LoraPicker if field.starts_with("strength") => Ok(Some("strength".to_owned())),
        InputKind::LoraPicker => Ok(Some("file".to_owned())),
        _ => Ok(None),
    }
}

/// The name under which a checked value holds this part.
pub(crate) fn canonical<'p>(kind: &InputKind, part: &'p str) -> &'p str {
    match (kind, part) {
        (InputKind::ResolutionPicker, "width") => "w",
        (InputKind::ResolutionPicker, "height") => "h",
        (_, part) => part,
    }
}

fn check_outputs(manifest: &Manifest, graph: &Graph, file: &str, report: &mut FileDiagnostics<'_>) {
    for (index, output) in manifest.outputs.iter().enumerate() {
        if let Some(node) = output.node.as_ref().filter(|node| !graph.nodes.contains_key(*node)) {
            let message = format!("output {}: {file} has no node \"{node}\"; {}", index + 1, nodes_of(graph));
            report.error(DiagnosticKind::OutputNode, &format!("/outputs/{index}/node_id"), message);
        }
    }
}

/// Warns of inputs that change nothing.
fn check_unbound(
    manifest: &Manifest,
    slots: &[Slot],
    computed: &[(String, Expression)],
    report: &mut FileDiagnostics<'_>,
) {
    let in_graph = slots.iter().flat_map(|slot| {
        let names = slot.template.names().map(|name| name.id.as_str());
        names.chain(slot.template.expressions().flat_map(Expression::names))
    });
    let in_computed = computed.iter().flat_map(|(_, expression)| expression.names());
    let used: Vec<&str> = in_graph.chain(in_computed).collect();
    let named = |id: &str| used.contains(&id);
    for (index, input) in manifest.inputs.iter().enumerate().filter(|(_, input)| input.targets.is_empty()) {
        let same = |other: Option<&Input>| other.is_some_and(|other| other.id == input.id);
        let by_side = same(manifest.resolution_input()) && (named("width") || named("height"));
        let by_file =
            same(manifest.file_input("input_image")) && (named("input_image") || named("has_input_image"));
        if !named(&input.id) && !by_side && !by_file {
            let message = format!(
                "input \"{0}\" changes nothing: give it `node_id` and `field`, or write \"{{{{{0}}}}}\" in the graph",
                input.id
            );
            report.warning(DiagnosticKind::Unbound, &format!("/inputs/{index}"), message);
        }
    }
}

/// The LoRA loaders whose file an input chooses.
fn lora_switches(
    manifest: &Manifest,
    graph: &Graph,
    bindings: &[Binding],
    slots: &[Slot],
) -> Vec<LoraSwitch> {
    let bound = bindings.iter().filter(|binding| binding.field == "lora_name");
    let bound = bound.map(|binding| (&manifest.inputs[binding.input].id, binding.node));
    let filled = slots.iter().filter_map(|slot| match (&slot.template, &slot.place) {
        (Template::Whole(name), Place::Input(field)) if field == "lora_name" => Some((&name.id, slot.node)),
        _ => None,
    });
    let picks = |id: &str| manifest.input(id).is_some_and(|input| input.kind == InputKind::LoraPicker);
    let loads = |node: usize| LORA_LOADERS.contains(&graph.nodes[node].class_type.as_str());
    let switches = bound.chain(filled).filter(|(id, node)| picks(id) && loads(*node));
    switches.map(|(id, node)| LoraSwitch { input: id.clone(), node }).collect()
}

fn no_node(input: &Input, node: &str, graph: &Graph, file: &str) -> String {
    format!("input \"{}\": {file} has no node \"{node}\"; {}", input.id, nodes_of(graph))
}

fn no_field(input: &Input, target: &NodeField, node: &Node, graph: &Graph, file: &str) -> String {
    let fields: Vec<&str> = node.inputs.keys().map(String::as_str).collect();
    let hint = did_you_mean(&target.field, fields.iter().copied());
    format!(
        "input \"{}\": node {} in {file} has no field `{}`; it has {}.{hint}",
        input.id,
        called(graph, &target.node),
        target.field,
        if fields.is_empty() { "none".to_owned() } else { fields.join(", ") },
    )
}

/// The graph's nodes with their titles, for an error message: the first thirty.
fn nodes_of(graph: &Graph) -> String {
    let nodes: Vec<String> = graph.nodes.keys().take(30).map(|id| called(graph, id)).collect();
    let more = if graph.len() > 30 { format!(" and {} more", graph.len() - 30) } else { String::new() };
    format!("it has {}{more}", nodes.join(", "))
}

/// A node in an error message: `3 "Sampler"`.
pub(crate) fn called(graph: &Graph, id: &str) -> String {
    graph.node(id).map_or_else(|| id.to_owned(), |node| format!("{id} \"{}\"", node.title()))
}

/// A JSON pointer of these keys.
pub(crate) fn pointer(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}
