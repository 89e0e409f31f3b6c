//! Compiles a static workflow: the manifest and the graph, checked against each other.

use comfy_runner_editor::diagnostics::{invalid_values, unrendered_views};
use comfy_runner_editor::saved::{NoPrompt, Saved, SavedError};
use comfy_runner_editor::to_api::ToApiError;
use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{
    Compiled, Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics, Input, InputKind, Lines,
    MANIFEST_FILE, Manifest, NodeField,
};
use comfy_runner_protocol::{Graph, GraphError, Link, Node, ObjectInfo};
use serde_json::Value;

use super::{Binding, LoraSwitch, Slot, SlotPlace, StaticWorkflow};
use crate::message::{called, pointer};
use crate::template::{Expression, Names, OPENING, ValueTemplate, compile_computed};

/// ComfyUI's own LoRA loaders. Their outputs have the types of their inputs, so they can be left out.
const LORA_LOADERS: [&str; 2] = ["LoraLoader", "LoraLoaderModelOnly"];

impl StaticWorkflow {
    /// Compiles a manifest and its graph file's content. A graph in UI format needs node schemas.
    pub fn new(
        manifest: Manifest,
        graph: &str,
        schemas: Option<&ObjectInfo>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        let file = manifest.workflow_file.clone();
        let text = graph;
        let saved = Saved::from_json(text).map_err(|error| graph_problem(&file, text, &error))?;
        // The lines of a file in UI format are not those of the converted graph.
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
        let names = Names::from_manifest(&manifest);
        let slots = find_slots(&graph, &names, &mut problems);
        check_names(&names, &graph, &slots, &mut problems);
        let mut report = manifest.diagnostics();
        let computed = compile_computed(&manifest, &names, &mut report);
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

    /// Returns the errors in the graph itself, independent of the manifest.
    pub fn inspect(file: &str, text: &str) -> Diagnostics {
        match Saved::from_json(text) {
            Ok(Saved::Api(graph)) => {
                let lines = Lines::parse(text);
                let mut report = FileDiagnostics::new(file, &lines);
                check_graph(&graph, &mut report);
                report.finish()
            }
            // Its content can only be read with node schemas.
            Ok(Saved::Ui(_)) => Diagnostics::new(),
            Err(error) => graph_problem(file, text, &error).into(),
        }
    }
}

fn no_prompt(file: &str, error: &NoPrompt) -> Diagnostic {
    let kind = match error {
        NoPrompt::NeedsSchemas | NoPrompt::Convert(ToApiError::UnknownType { .. }) => {
            DiagnosticKind::NeedsSchemas
        }
        _ => DiagnosticKind::Graph,
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
            "node {} (`{input}`) links to node \"{missing}\", which does not exist",
            called(graph, node)
        );
        report.error(DiagnosticKind::Graph, &pointer(&[node, "inputs", input]), message);
    }
    for (id, node) in &graph.nodes {
        let keys = node.inputs.keys().map(String::as_str);
        for text in keys.chain([node.class_type.as_str()]).filter(|text| text.contains(OPENING)) {
            let message = format!(
                "node {}: a placeholder is allowed in a value or a title, not in a name such as \"{text}\"",
                called(graph, id)
            );
            report.error(DiagnosticKind::Placeholder, &pointer(&[id]), message);
        }
    }
}

/// Finds every value of the graph that contains expressions.
fn find_slots(graph: &Graph, names: &Names, report: &mut FileDiagnostics<'_>) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (node, (id, content)) in graph.nodes.iter().enumerate() {
        let inputs =
            content.inputs.iter().map(|(field, value)| (SlotPlace::Input(field.clone()), value.clone()));
        let meta = content.meta.iter().map(|meta| (SlotPlace::Meta, Value::Object(meta.clone())));
        for (place, value) in inputs.chain(meta) {
            match ValueTemplate::parse(&value, names) {
                Ok(template) if template.is_literal() => {}
                Ok(template) => slots.push(Slot { node, place, template }),
                Err(error) => {
                    let message = format!(
                        "node {}: {error}. Between the braces is the id of an input or an expression; for two braces as \
                         text, write {{{{ \"{{{{\" }}}}",
                        called(graph, id)
                    );
                    report.error(DiagnosticKind::Placeholder, &place.pointer(id), message);
                }
            }
        }
    }
    slots
}

/// Reports unknown names.
fn check_names(names: &Names, graph: &Graph, slots: &[Slot], report: &mut FileDiagnostics<'_>) {
    for slot in slots {
        let Some((id, _)) = graph.nodes.get_index(slot.node) else { continue };
        let used = slot.template.expressions().into_iter().flat_map(Expression::names);
        for name in used.filter(|name| !names.knows(name)) {
            let message = format!(
                "node {}: nothing fills the placeholder `{{{{{name}}}}}`; add an input of this id, or a key of \
                 `defaults`, to {MANIFEST_FILE}.{}",
                called(graph, id),
                names.hint(name)
            );
            report.error(DiagnosticKind::Placeholder, &slot.place.pointer(id), message);
        }
    }
}

/// Resolves each input's targets in the graph.
fn bind(manifest: &Manifest, graph: &Graph, file: &str, report: &mut FileDiagnostics<'_>) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for (index, input) in manifest.inputs.iter().enumerate() {
        let at = input.pointer();
        for target in &input.targets {
            let Some((node, node_id, found)) = graph.nodes.get_full(&target.node) else {
                report.error(DiagnosticKind::Binding, at, no_node(input, &target.node, graph, file));
                continue;
            };
            match found.inputs.get(&target.field) {
                None => {
                    report.error(DiagnosticKind::Binding, at, no_field(input, target, found, graph, file));
                    continue;
                }
                Some(value) if Link::from_value(value).is_some() => {
                    let node = called(graph, node_id);
                    let message = format!(
                        "input \"{}\": `{}` of node {node} is linked to another node; the value replaces the link",
                        input.id, target.field
                    );
                    report.warning(DiagnosticKind::Binding, at, message);
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
                report.error(DiagnosticKind::Binding, at, message);
            }
            match part_of(input, target) {
                Ok(part) => bindings.push(Binding { input: index, node, field: target.field.clone(), part }),
                Err(message) => report.error(DiagnosticKind::Binding, at, message),
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
                report.warning(DiagnosticKind::Binding, at, message);
            }
        }
    }
    bindings
}

/// Returns the part of an input's value that this target takes: explicit, or derived from the field's name.
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

/// Returns the key of this part in a checked value.
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

/// Warns about inputs that change nothing.
fn check_unbound(
    manifest: &Manifest,
    slots: &[Slot],
    computed: &[(String, Expression)],
    report: &mut FileDiagnostics<'_>,
) {
    let in_graph = slots.iter().flat_map(|slot| slot.template.expressions());
    let in_computed = computed.iter().map(|(_, expression)| expression);
    let used: Vec<&str> = in_graph.chain(in_computed).flat_map(Expression::names).collect();
    let named = |id: &str| used.contains(&id);
    for input in manifest.inputs.iter().filter(|input| input.targets.is_empty()) {
        let same = |other: Option<&Input>| other.is_some_and(|other| other.id == input.id);
        let by_side = same(manifest.resolution_input()) && (named("width") || named("height"));
        let by_file =
            same(manifest.file_input("input_image")) && (named("input_image") || named("has_input_image"));
        if !named(&input.id) && !by_side && !by_file {
            let message = format!(
                "input \"{0}\" changes nothing: give it `node_id` and `field`, or write \"{{{{{0}}}}}\" in the graph",
                input.id
            );
            report.warning(DiagnosticKind::Unbound, input.pointer(), message);
        }
    }
}

/// Returns the LoRA loaders whose file is set by an input.
fn lora_switches(
    manifest: &Manifest,
    graph: &Graph,
    bindings: &[Binding],
    slots: &[Slot],
) -> Vec<LoraSwitch> {
    let bound = bindings.iter().filter(|binding| binding.field == "lora_name");
    let bound = bound.map(|binding| (manifest.inputs[binding.input].id.as_str(), binding.node));
    let filled = slots.iter().filter_map(|slot| match (slot.template.placeholder(), &slot.place) {
        (Some((name, _)), SlotPlace::Input(field)) if field == "lora_name" => Some((name, slot.node)),
        _ => None,
    });
    let picks = |id: &str| manifest.input(id).is_some_and(|input| input.kind == InputKind::LoraPicker);
    let loads = |node: usize| LORA_LOADERS.contains(&graph.nodes[node].class_type.as_str());
    let switches = bound.chain(filled).filter(|(id, node)| picks(id) && loads(*node));
    switches.map(|(id, node)| LoraSwitch { input: id.to_owned(), node }).collect()
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

/// Lists the graph's nodes with their titles for an error message: the first thirty.
fn nodes_of(graph: &Graph) -> String {
    let nodes: Vec<String> = graph.nodes.keys().take(30).map(|id| called(graph, id)).collect();
    let more = if graph.len() > 30 { format!(" and {} more", graph.len() - 30) } else { String::new() };
    format!("it has {}{more}", nodes.join(", "))
}
