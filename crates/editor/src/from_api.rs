//! Converts a prompt to UI format.

use std::collections::HashMap;

use comfy_runner_protocol::graph::{Graph, Link, Node, NodeId};
use comfy_runner_protocol::object_info::{InputKind, NodeSchema, ObjectInfo};
use serde_json::{Map, Value, json};

use crate::annotations::Annotations;
use crate::frontend::FrontendVersion;
use crate::graph::{LinkSpelling, UiGraph, UiInput, UiLink, UiNode, UiNodeId, UiOutput};
use crate::layout::{self, Frame, Item};
use crate::node_builder::NodeTypes;
use crate::rules::Sent;
use crate::size;
use crate::text::{escape_dynamic_prompt, resolve_dynamic_prompt};
use crate::to_api::CAMERA;
use crate::widgets::{EditorNode, Widget, WidgetValues, flag};

/// A graph in UI format, and warnings about what UI format cannot represent.
#[derive(Debug, Clone, PartialEq)]
pub struct UiConversion {
    /// The graph.
    pub graph: UiGraph,
    /// What differs from the prompt, in the graph's order. The graph has the same list, as strings, under
    /// `extra.comfy_runner.remarks`.
    pub warnings: Vec<ConversionWarning>,
}

/// A part of a prompt that UI format cannot represent exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConversionWarning {
    /// The type has no schema: its widgets and the names of its outputs are guesses.
    #[error(
        "node {node}: type \"{kind}\" has no schema; its links and values are converted as far as they are known"
    )]
    UnknownType {
        /// The node's id.
        node: NodeId,
        /// Its type.
        kind: String,
    },
    /// The input has no widget for its value.
    #[error("node {node}: input \"{input}\" has no widget in the editor; its value is left out")]
    NoWidget {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
    },
    /// The editor changes the string when it sends it.
    #[error("node {node}: the editor changes the text of \"{input}\" when it sends it")]
    TextChanges {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
    },
}

/// Why a prompt cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromApiError {
    /// A link names a node that does not exist.
    #[error("node {node}: input \"{input}\" is linked to node {missing}, which does not exist")]
    MissingNode {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
        /// The id that the link names.
        missing: NodeId,
    },
    /// A link names an output that the node's type does not have.
    #[error("node {node}: input \"{input}\" is linked to output {output} of node {from}, which has {count}")]
    MissingOutput {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
        /// The node that the link names.
        from: NodeId,
        /// The output that the link names.
        output: usize,
        /// How many outputs that node has.
        count: usize,
    },
}

/// The number of outputs that a node of an unknown type may have.
const MAX_OUTPUTS: usize = 1_000;
/// The colors of frames, in turn.
const FRAME_COLORS: [&str; 6] = ["#3f789e", "#8a6d3b", "#4b7a4b", "#7a4b6e", "#4b6e7a", "#6e4b4b"];

/// Converts a prompt to UI format: nodes keep their ids, values and links, and are laid out in columns by depth.
///
/// # Errors
/// See [`FromApiError`]. What UI format cannot represent is listed in [`UiConversion::warnings`].
pub fn from_api(
    graph: &Graph,
    schemas: &ObjectInfo,
    annotations: &Annotations,
) -> Result<UiConversion, FromApiError> {
    let mut types = NodeTypes::new(FrontendVersion::detect(schemas).rules());
    let mut warnings = Vec::new();
    let places: HashMap<&str, usize> =
        graph.nodes.keys().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    let mut shapes: Vec<Shape<'_>> = Vec::with_capacity(graph.len());
    for (id, node) in &graph.nodes {
        shapes.push(Shape::new(&mut types, id, node, schemas.get(&node.class_type), &mut warnings));
    }
    let mut links = Vec::new();
    for (at, (id, node)) in graph.nodes.iter().enumerate() {
        for (input, link) in node.links() {
            let Some(&from) = places.get(link.node) else {
                let (node, input, missing) = (id.clone(), input.to_owned(), link.node.to_owned());
                return Err(FromApiError::MissingNode { node, input, missing });
            };
            if !shapes[from].reaches(link.output) {
                return Err(FromApiError::MissingOutput {
                    node: id.clone(),
                    input: input.to_owned(),
                    from: link.node.to_owned(),
                    output: link.output,
                    count: shapes[from].outputs.len(),
                });
            }
            links.push((from, link.output, at, shapes[at].slot(input)));
        }
    }
    let mut converted = compose(graph, &shapes, &links, annotations);
    if !warnings.is_empty() {
        let messages: Vec<String> = warnings.iter().map(ConversionWarning::to_string).collect();
        converted.extra = Some(json!({"comfy_runner": {"remarks": messages}}));
    }
    Ok(UiConversion { graph: converted, warnings })
}

/// A node with the slots, values and size that it will have in UI format.
struct Shape<'g> {
    node: &'g Node,
    schema: Option<&'g NodeSchema>,
    /// Name, type, whether it is optional, and whether it belongs to a widget, for each input slot.
    inputs: Vec<(String, String, bool, bool)>,
    outputs: Vec<(String, String)>,
    values: Vec<Value>,
    /// The camera of a 3D view.
    camera: Option<Value>,
    size: [u32; 2],
}

impl<'g> Shape<'g> {
    fn new(
        types: &mut NodeTypes<'g>,
        id: &str,
        node: &'g Node,
        schema: Option<&'g NodeSchema>,
        warnings: &mut Vec<ConversionWarning>,
    ) -> Self {
        let unknown = NodeSchema::default();
        if schema.is_none() {
            warnings
                .push(ConversionWarning::UnknownType { node: id.to_owned(), kind: node.class_type.clone() });
        }
        let value = |name: &str| {
            let value = node.inputs.get(name)?;
            if Link::of(value).is_some() { None } else { Some(unwrapped(value)) }
        };
        let linked: Vec<&str> = node.links().map(|(name, _)| name).collect();
        let mut editor_node = match schema {
            Some(schema) => types.create(&node.class_type, schema, WidgetValues::Named(&value), &linked),
            None => EditorNode::default(),
        };
        let mut values = Vec::new();
        let mut camera = None;
        for widget in &mut editor_node.widgets {
            if widget.sent == Sent::View {
                camera = widget.value.replace(json!("")).and_then(|view| view.get("camera_info").cloned());
            }
            if widget.spec.is_none() && widget.name == "control_after_generate" {
                // Keeps the seed of the prompt.
                widget.value = Some(json!("fixed"));
            }
            if has_choices(widget)
                && let Some(text) = widget.value.as_ref().and_then(Value::as_str)
            {
                widget.value = Some(json!(escape_dynamic_prompt(text)));
            }
        }
        for widget in editor_node.widgets.iter().filter(|widget| widget.saved) {
            values.push(widget.value.clone().unwrap_or(Value::Null));
        }
        for (name, given) in node.inputs.iter().filter(|(_, given)| Link::of(given).is_none()) {
            match editor_node.widget(name) {
                None if schema.is_some() => {
                    warnings.push(ConversionWarning::NoWidget { node: id.to_owned(), input: name.clone() });
                }
                None => values.push(unwrapped(given)),
                Some(widget) if widget.sent != Sent::No && changes(given, widget) => {
                    warnings
                        .push(ConversionWarning::TextChanges { node: id.to_owned(), input: name.clone() });
                }
                Some(_) => {}
            }
        }
        let mut inputs: Vec<_> = editor_node
            .slots
            .iter()
            .filter(|slot| {
                !slot.widget || node.inputs.get(&*slot.name).is_some_and(|v| Link::of(v).is_some())
            })
            .map(|slot| (slot.name.to_string(), slot.kind.to_string(), slot.optional, slot.widget))
            .collect();
        for (name, _) in node.links().filter(|(name, _)| editor_node.slot(name).is_none()) {
            inputs.push((name.to_owned(), "*".to_owned(), true, false));
        }
        let outputs = outputs(schema.unwrap_or(&unknown));
        let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
        let size = size::size(node.title(), &editor_node, &names, schema);
        Self { node, schema, inputs, outputs, values, camera, size }
    }

    /// Returns whether the output exists. A node of an unknown type gets the outputs that links name.
    fn reaches(&mut self, output: usize) -> bool {
        if self.schema.is_none() && output < MAX_OUTPUTS {
            while self.outputs.len() <= output {
                self.outputs.push((format!("output_{}", self.outputs.len()), "*".to_owned()));
            }
        }
        output < self.outputs.len()
    }

    /// The index of the input slot of this name.
    fn slot(&self, input: &str) -> usize {
        self.inputs.iter().position(|(name, ..)| name == input).unwrap_or(0)
    }
}

/// Returns whether the editor would send another string for a widget than the prompt has.
fn changes(given: &Value, widget: &Widget<'_>) -> bool {
    match (given.as_str(), widget.value.as_ref().and_then(Value::as_str)) {
        (Some(given), Some(held)) if has_choices(widget) => given != resolve_dynamic_prompt(held),
        (Some(given), Some(held)) => given != held,
        _ => false,
    }
}

fn has_choices(widget: &Widget<'_>) -> bool {
    widget.spec.as_deref().is_some_and(|spec| spec.kind == InputKind::String && flag(spec, "dynamicPrompts"))
}

/// Takes a list out of the wrapper that distinguishes it from a link.
fn unwrapped(value: &Value) -> Value {
    match value.as_object() {
        Some(map) if map.keys().all(|key| matches!(key.as_str(), "__type__" | "__value__")) => {
            map.get("__value__").unwrap_or(value).clone()
        }
        _ => value.clone(),
    }
}

/// The names and types of the outputs.
fn outputs(schema: &NodeSchema) -> Vec<(String, String)> {
    let names = schema.other.get("output_name").and_then(Value::as_array);
    let kinds = schema.output.iter().enumerate().map(|(at, kind)| {
        let name = names.and_then(|names| names.get(at)?.as_str()).unwrap_or(kind);
        // The type of such an output follows from what is linked to the node.
        let kind = if kind == "COMFY_MATCHTYPE_V3" { "*" } else { kind };
        (name.to_owned(), kind.to_owned())
    });
    kinds.collect()
}

/// A link: origin node, output index, target node, input index.
type Wire = (usize, usize, usize, usize);

fn compose(graph: &Graph, shapes: &[Shape<'_>], wires: &[Wire], annotations: &Annotations) -> UiGraph {
    let ids: Vec<UiNodeId> = graph.nodes.keys().map(|id| ui_id(id)).collect();
    let mut group_of: HashMap<&str, usize> = HashMap::new();
    for (at, group) in annotations.groups.iter().enumerate() {
        for node in &group.nodes {
            group_of.entry(node.as_str()).or_insert(at);
        }
    }
    let items: Vec<Item> = graph
        .nodes
        .keys()
        .zip(shapes)
        .map(|(id, shape)| Item { size: shape.size, cluster: group_of.get(id.as_str()).copied() })
        .collect();
    let edges: Vec<(usize, usize)> = wires.iter().map(|(from, _, to, _)| (*from, *to)).collect();
    let layout = layout::arrange(&items, &edges, annotations.groups.len());

    let mut incoming: Vec<HashMap<usize, i64>> = vec![HashMap::new(); shapes.len()];
    let mut outgoing: Vec<Vec<Vec<i64>>> =
        shapes.iter().map(|shape| vec![Vec::new(); shape.outputs.len()]).collect();
    let mut links = Vec::with_capacity(wires.len());
    for (number, &(from, output, to, input)) in wires.iter().enumerate() {
        let id = number as i64 + 1;
        incoming[to].insert(input, id);
        outgoing[from][output].push(id);
        let given = &shapes[from].outputs[output].1;
        let kind = if given == "*" {
            shapes[to].inputs.get(input).map_or("*", |slot| slot.1.as_str())
        } else {
            given
        };
        links.push(UiLink {
            id,
            origin_id: ids[from].clone(),
            origin_slot: output as i64,
            target_id: ids[to].clone(),
            target_slot: input as i64,
            kind: json!(kind),
            spelling: LinkSpelling::List,
        });
    }
    let order = execution_order(shapes.len(), &edges);
    let mut nodes: Vec<UiNode> = Vec::with_capacity(shapes.len() + 1);
    for (at, shape) in shapes.iter().enumerate() {
        nodes.push(ui_node(&ids[at], shape, layout.positions[at], order[at], &incoming[at], &outgoing[at]));
    }
    let mut last =
        ids.iter().filter_map(|id| if let UiNodeId::Number(id) = id { Some(*id) } else { None }).max();
    last = Some(last.unwrap_or(0).max(0));
    if let (Some(text), Some(id)) = (&annotations.note, &mut last) {
        *id += 1;
        nodes.push(note(*id, text, &items, &layout.positions, &layout.frames, shapes.len()));
    }
    let frames = annotations.groups.iter().zip(&layout.frames).enumerate();
    let groups = frames.filter_map(|(at, (group, frame))| Some(ui_group(at, &group.title, (*frame)?)));
    UiGraph {
        last_node_id: last.map(UiNodeId::Number),
        last_link_id: Some(links.len() as i64),
        nodes,
        links,
        groups: groups.collect(),
        definitions: None,
        extra: Some(json!({})),
        version: Some(json!(0.4)),
        other: Map::from_iter([("config".to_owned(), json!({}))]),
    }
}

/// An id that is a whole number in its usual spelling becomes a number; every other stays a string.
fn ui_id(id: &str) -> UiNodeId {
    const EXACT: i64 = 9_007_199_254_740_991;
    match id.parse::<i64>() {
        Ok(number) if (0..=EXACT).contains(&number) && number.to_string() == id => UiNodeId::Number(number),
        _ => UiNodeId::Text(id.to_owned()),
    }
}

fn ui_node(
    id: &UiNodeId,
    shape: &Shape<'_>,
    position: [i64; 2],
    order: usize,
    incoming: &HashMap<usize, i64>,
    outgoing: &[Vec<i64>],
) -> UiNode {
    let inputs = shape.inputs.iter().enumerate().map(|(at, (name, kind, optional, widget))| UiInput {
        name: name.clone(),
        kind: json!(kind),
        link: incoming.get(&at).copied(),
        widget: widget.then(|| json!({"name": name})),
        other: if *optional { Map::from_iter([("shape".to_owned(), json!(7))]) } else { Map::new() },
    });
    let outputs = shape.outputs.iter().zip(outgoing).map(|((name, kind), links)| UiOutput {
        name: name.clone(),
        kind: json!(kind),
        links: (!links.is_empty()).then(|| links.clone()),
        other: Map::new(),
    });
    let title = shape.node.meta.as_ref().and_then(|meta| meta.get("title")?.as_str());
    let mut other = Map::new();
    other.insert("pos".to_owned(), json!(position));
    other.insert("size".to_owned(), json!(shape.size));
    other.insert("flags".to_owned(), json!({}));
    other.insert("order".to_owned(), json!(order));
    let mut properties = Map::from_iter([("Node name for S&R".to_owned(), json!(shape.node.class_type))]);
    if let Some(camera) = shape.camera.as_ref().filter(|camera| camera.is_object()) {
        let (kind, fov) = (camera.get("cameraType"), camera.get("fov"));
        properties.insert(CAMERA.to_owned(), json!({"cameraType": kind, "fov": fov, "state": camera}));
    }
    other.insert("properties".to_owned(), Value::Object(properties));
    UiNode {
        id: id.clone(),
        kind: shape.node.class_type.clone(),
        mode: 0,
        title: title.filter(|title| !title.is_empty()).map(str::to_owned),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        widgets_values: (!shape.values.is_empty()).then(|| Value::Array(shape.values.clone())),
        other,
    }
}

/// Returns a topological order of the nodes; those in a cycle come last.
fn execution_order(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut waiting = vec![0; count];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    for &(from, to) in edges {
        waiting[to] += 1;
        next[from].push(to);
    }
    let mut ready: std::collections::VecDeque<usize> = (0..count).filter(|at| waiting[*at] == 0).collect();
    let mut order = vec![usize::MAX; count];
    let mut loaded = 0;
    while let Some(at) = ready.pop_front() {
        order[at] = loaded;
        loaded += 1;
        for &to in &next[at] {
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push_back(to);
            }
        }
    }
    for place in order.iter_mut().filter(|place| **place == usize::MAX) {
        *place = loaded;
        loaded += 1;
    }
    order
}

/// Places the note to the left of everything.
fn note(
    id: i64,
    text: &str,
    items: &[Item],
    positions: &[[i64; 2]],
    frames: &[Option<Frame>],
    order: usize,
) -> UiNode {
    let size = size::note_size(text);
    let covered = items
        .iter()
        .zip(positions)
        .map(|(item, at)| item.covers(*at))
        .chain(frames.iter().flatten().copied());
    let (left, top) = covered.fold((i64::MAX, i64::MAX), |(x, y), frame| (x.min(frame.x), y.min(frame.y)));
    let (left, top) = if left == i64::MAX { (0, 0) } else { (left, top) };
    let position = [left - i64::from(size[0]) - 60, top + i64::from(layout::TITLE_HEIGHT)];
    let mut other = Map::new();
    other.insert("pos".to_owned(), json!(position));
    other.insert("size".to_owned(), json!(size));
    other.insert("flags".to_owned(), json!({}));
    other.insert("order".to_owned(), json!(order));
    other.insert("properties".to_owned(), json!({}));
    other.insert("color".to_owned(), json!("#432"));
    other.insert("bgcolor".to_owned(), json!("#653"));
    UiNode {
        id: UiNodeId::Number(id),
        kind: "MarkdownNote".to_owned(),
        mode: 0,
        title: Some("About this workflow".to_owned()),
        inputs: Vec::new(),
        outputs: Vec::new(),
        widgets_values: Some(json!([text])),
        other,
    }
}

fn ui_group(at: usize, title: &str, frame: Frame) -> Value {
    json!({
        "id": at + 1,
        "title": title,
        "bounding": [frame.x, frame.y, frame.width, frame.height],
        "color": FRAME_COLORS[at % FRAME_COLORS.len()],
        "font_size": 24,
        "flags": {},
    })
}
