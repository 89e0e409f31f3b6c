//! Composes a graph in UI format from the shapes of its nodes and the links between them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::annotations::Annotations;
use crate::graph::{LinkSpelling, UiGraph, UiInput, UiLink, UiNode, UiNodeId, UiOutput};
use crate::layout::{self, Frame, Item};
use crate::node_shape::Shape;
use crate::size;
use crate::to_api::CAMERA;

/// The colors of frames, in turn.
const FRAME_COLORS: [&str; 6] = ["#3f789e", "#8a6d3b", "#4b7a4b", "#7a4b6e", "#4b6e7a", "#6e4b4b"];

/// A link: origin node, output index, target node, input index.
pub(crate) type Wire = (usize, usize, usize, usize);

/// A node of a graph that is composed.
pub(crate) struct Part<'a, 'g> {
    pub id: UiNodeId,
    pub shape: &'a Shape<'g>,
    /// The index of the group that frames it.
    pub group: Option<usize>,
}

/// Composes a graph: lays its nodes out and numbers its links. `last_id` is the highest node id in
/// use, and `last_link` the highest link id.
pub(crate) fn compose(
    parts: &[Part<'_, '_>],
    wires: &[Wire],
    annotations: &Annotations,
    last_id: i64,
    last_link: i64,
) -> UiGraph {
    let shapes: Vec<&Shape<'_>> = parts.iter().map(|part| part.shape).collect();
    let items: Vec<Item> =
        parts.iter().map(|part| Item { size: part.shape.size, cluster: part.group }).collect();
    let edges: Vec<(usize, usize)> = wires.iter().map(|(from, _, to, _)| (*from, *to)).collect();
    let layout = layout::arrange(&items, &edges, annotations.groups.len());

    let mut incoming: Vec<HashMap<usize, i64>> = vec![HashMap::new(); shapes.len()];
    let mut outgoing: Vec<Vec<Vec<i64>>> =
        shapes.iter().map(|shape| vec![Vec::new(); shape.outputs.len()]).collect();
    let mut links = Vec::with_capacity(wires.len());
    for (number, &(from, output, to, input)) in wires.iter().enumerate() {
        let id = last_link + number as i64 + 1;
        incoming[to].insert(input, id);
        outgoing[from][output].push(id);
        let given = &shapes[from].outputs[output].1;
        let kind = if given == "*" {
            shapes[to].inputs.get(input).map_or("*", |slot| slot.kind.as_str())
        } else {
            given
        };
        links.push(UiLink {
            id,
            origin_id: parts[from].id.clone(),
            origin_slot: output as i64,
            target_id: parts[to].id.clone(),
            target_slot: input as i64,
            kind: json!(kind),
            spelling: LinkSpelling::List,
        });
    }
    let order = execution_order(shapes.len(), &edges);
    let mut nodes: Vec<UiNode> = Vec::with_capacity(shapes.len() + 1);
    for (at, shape) in shapes.iter().enumerate() {
        nodes.push(ui_node(
            &parts[at].id,
            shape,
            layout.positions[at],
            order[at],
            &incoming[at],
            &outgoing[at],
        ));
    }
    let mut last_id = last_id;
    if let Some(text) = &annotations.note {
        last_id += 1;
        nodes.push(note(last_id, text, &items, &layout.positions, &layout.frames, shapes.len()));
    }
    let frames = annotations.groups.iter().zip(&layout.frames).enumerate();
    let groups = frames.filter_map(|(at, (group, frame))| Some(ui_group(at, &group.title, (*frame)?)));
    UiGraph {
        last_node_id: Some(UiNodeId::Number(last_id)),
        last_link_id: Some(last_link + links.len() as i64),
        nodes,
        links,
        groups: groups.collect(),
        definitions: None,
        extra: Some(json!({})),
        version: Some(json!(0.4)),
        other: Map::from_iter([("config".to_owned(), json!({}))]),
    }
}

/// Converts an id to a number if it is a whole number without leading zeros or a sign. Other ids stay strings.
pub(crate) fn ui_id(id: &str) -> UiNodeId {
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
    let inputs = shape.inputs.iter().enumerate().map(|(at, input)| UiInput {
        name: input.name.clone(),
        kind: json!(input.kind),
        link: incoming.get(&at).copied(),
        widget: input.widget.then(|| json!({"name": input.name})),
        other: if input.optional { Map::from_iter([("shape".to_owned(), json!(7))]) } else { Map::new() },
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
    for key in ["cnr_id", "aux_id", "ver"] {
        if let Some(value) = shape.node.meta.as_ref().and_then(|meta| meta.get(key)) {
            properties.insert(key.to_owned(), value.clone());
        }
    }
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
        widgets_values: shape.widgets_values(),
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

/// Places the note to the left of all nodes.
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
