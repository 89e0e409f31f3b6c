//! Subgraphs that hold values of inputs without widgets, in a graph that is converted from API format.
//!
//! In the editor, a promoted widget of a subgraph may also be linked to inputs inside that have no widget. A prompt then has
//! a value that no node of a flat graph can have. The ids of such nodes begin with the id of the subgraph's instance. These
//! nodes, and all others with the same prefix, are enclosed in a subgraph again, so that they keep their ids.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use comfy_runner_protocol::graph::{Graph, Link, Node};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::annotations::Annotations;
use crate::compose::{Part, Wire, compose, ui_id};
use crate::graph::{
    Definitions, LinkSpelling, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Subgraph, SubgraphSlot, UiGraph, UiLink,
    UiNodeId,
};
use crate::node_shape::{InputShape, Shape, unwrapped};
use crate::size;
use crate::widgets::EditorNode;

/// Nodes that are enclosed in a subgraph. Nodes are indices into the prompt.
pub(crate) struct Enclosure<'g> {
    /// The id of the instance.
    prefix: &'g str,
    nodes: Vec<usize>,
    promoted: Vec<PromotedInput>,
}

/// A promoted widget: an input of the subgraph with a value.
struct PromotedInput {
    value: Value,
    /// The inputs that get the value. The first has the widget.
    targets: Vec<(usize, String)>,
}

/// Finds the nodes to enclose. A value keeps its place if no widget of a node with the same prefix has it, or if a node
/// would not keep its id.
pub(crate) fn plan<'g>(graph: &'g Graph, shapes: &[Shape<'_>]) -> Vec<Enclosure<'g>> {
    let mut by_prefix: IndexMap<&str, Vec<usize>> = IndexMap::new();
    for (at, id) in graph.nodes.keys().enumerate() {
        if let Some((prefix, _)) = id.rsplit_once(':') {
            by_prefix.entry(prefix).or_default().push(at);
        }
    }
    let mut enclosures = Vec::new();
    for (prefix, nodes) in by_prefix {
        let promoted = promoted(&nodes, shapes);
        if !promoted.is_empty() && !graph.nodes.contains_key(prefix) {
            enclosures.push(Enclosure { prefix, nodes, promoted });
        }
    }
    keep_unique(graph, &mut enclosures);
    enclosures
}

/// Returns the values of inputs without widgets for which another node has a widget with the same value.
fn promoted(nodes: &[usize], shapes: &[Shape<'_>]) -> Vec<PromotedInput> {
    let mut promoted: Vec<PromotedInput> = Vec::new();
    for &node in nodes {
        for (input, value) in &shapes[node].without_widget {
            if let Some(known) = promoted.iter_mut().find(|known| known.value == *value) {
                known.targets.push((node, input.clone()));
            } else if let Some(holder) = holder(nodes, shapes, value) {
                promoted.push(PromotedInput {
                    value: value.clone(),
                    targets: vec![holder, (node, input.clone())],
                });
            }
        }
    }
    promoted
}

/// Finds a widget with a slot and this value.
fn holder(nodes: &[usize], shapes: &[Shape<'_>], value: &Value) -> Option<(usize, String)> {
    nodes.iter().find_map(|&node| {
        let given = &shapes[node].node.inputs;
        let has_value = |input: &&InputShape| {
            let given = given.get(&input.name).filter(|given| Link::from_value(given).is_none());
            input.widget && given.is_some_and(|given| unwrapped(given) == *value)
        };
        shapes[node].inputs.iter().find(has_value).map(|input| (node, input.name.clone()))
    })
}

/// Drops enclosures in which a number is the id of another node as well: the editor would assign a new one.
fn keep_unique(graph: &Graph, enclosures: &mut Vec<Enclosure<'_>>) {
    loop {
        let enclosed: HashSet<usize> =
            enclosures.iter().flat_map(|enclosure| enclosure.nodes.iter().copied()).collect();
        let roots = graph.nodes.keys().enumerate().filter(|(at, _)| !enclosed.contains(at));
        let mut used: HashSet<UiNodeId> = roots.map(|(_, id)| ui_id(id)).collect();
        used.extend(enclosures.iter().map(|enclosure| ui_id(enclosure.prefix)));
        let clash = enclosures.iter().position(|enclosure| {
            let mut ids = enclosure.nodes.iter().map(|&node| local_id(graph, node));
            !ids.all(|id| used.insert(id))
        });
        match clash {
            Some(at) => drop(enclosures.remove(at)),
            None => return,
        }
    }
}

/// Returns the id of a node within its subgraph.
fn local_id(graph: &Graph, node: usize) -> UiNodeId {
    let id = graph.nodes.get_index(node).map_or("", |(id, _)| id.as_str());
    ui_id(id.rsplit_once(':').map_or(id, |(_, local)| local))
}

/// Returns the inputs of a node that promoted widgets are linked to.
pub(crate) fn promoted_inputs(enclosures: &[Enclosure<'_>], node: usize) -> HashSet<String> {
    let targets =
        enclosures.iter().flat_map(|enclosure| &enclosure.promoted).flat_map(|input| &input.targets);
    targets.filter(|(target, _)| *target == node).map(|(_, input)| input.clone()).collect()
}

/// An end of a link in the graph that contains it: a part and one of its slots.
type End = (usize, usize);

/// The border of a subgraph while its links are collected.
#[derive(Default)]
struct Border {
    /// For each output of a node outside, the inputs inside that it is linked to.
    inputs: IndexMap<(usize, usize), Vec<End>>,
    /// The outputs of nodes inside that nodes outside are linked to.
    outputs: IndexMap<End, ()>,
    /// The links between nodes inside.
    wires: Vec<Wire>,
}

/// Composes the graph with its enclosures as subgraphs.
pub(crate) fn compose_all(
    graph: &Graph,
    shapes: &[Shape<'_>],
    wires: &[Wire],
    enclosures: &[Enclosure<'_>],
    annotations: &Annotations,
) -> UiGraph {
    // For each node: the enclosure that contains it, and its index there or among the nodes of the root graph.
    let mut homes: Vec<(Option<usize>, usize)> = vec![(None, 0); shapes.len()];
    for (at, enclosure) in enclosures.iter().enumerate() {
        for (local, &node) in enclosure.nodes.iter().enumerate() {
            homes[node] = (Some(at), local);
        }
    }
    let mut roots = Vec::new();
    for (node, home) in homes.iter_mut().enumerate().filter(|(_, home)| home.0.is_none()) {
        home.1 = roots.len();
        roots.push(node);
    }
    let borders = borders(wires, &homes, enclosures.len());
    let root_wires = root_wires(wires, &homes, &borders, enclosures, roots.len());
    let instances: Vec<Shape<'_>> =
        enclosures.iter().enumerate().map(|(at, one)| instance(at, one, shapes, &borders[at])).collect();
    let last_id = last_id(graph, enclosures);

    let mut groups: HashMap<&str, usize> = HashMap::new();
    for (at, group) in annotations.groups.iter().enumerate() {
        for node in &group.nodes {
            groups.entry(node.as_str()).or_insert(at);
        }
    }
    let group =
        |node: usize| graph.nodes.get_index(node).and_then(|(id, _)| groups.get(id.as_str()).copied());
    let id = |node: usize| ui_id(graph.nodes.get_index(node).map_or("", |(id, _)| id.as_str()));
    let mut parts: Vec<Part<'_, '_>> =
        roots.iter().map(|&node| Part { id: id(node), shape: &shapes[node], group: group(node) }).collect();
    for (enclosure, shape) in enclosures.iter().zip(&instances) {
        let group = enclosure.nodes.iter().find_map(|&node| group(node));
        parts.push(Part { id: ui_id(enclosure.prefix), shape, group });
    }
    let mut composed = compose(&parts, &root_wires, annotations, last_id, 0);
    if !enclosures.is_empty() {
        let mut subgraphs = Vec::with_capacity(enclosures.len());
        for (at, enclosure) in enclosures.iter().enumerate() {
            let numbered = (at, &instances[at]);
            // A later editor warns about links of a subgraph with the ids of others.
            let last_link = &mut composed.last_link_id;
            subgraphs.push(subgraph(graph, shapes, enclosure, &borders[at], numbered, last_link));
        }
        composed.definitions = Some(Definitions { subgraphs, other: Map::new() });
    }
    composed
}

/// Returns the highest number that is the id of a node.
fn last_id(graph: &Graph, enclosures: &[Enclosure<'_>]) -> i64 {
    let locals = enclosures.iter().flat_map(|enclosure| &enclosure.nodes).map(|&node| local_id(graph, node));
    let instances = enclosures.iter().map(|enclosure| ui_id(enclosure.prefix));
    let ids = graph.nodes.keys().map(|id| ui_id(id)).chain(instances).chain(locals);
    ids.filter_map(|id| if let UiNodeId::Number(id) = id { Some(id) } else { None }).max().unwrap_or(0)
}

fn borders(wires: &[Wire], homes: &[(Option<usize>, usize)], count: usize) -> Vec<Border> {
    let mut borders: Vec<Border> = std::iter::repeat_with(Border::default).take(count).collect();
    for &(from, output, to, input) in wires {
        let ((origin, local_from), (target, local_to)) = (homes[from], homes[to]);
        if origin == target {
            if let Some(at) = origin {
                borders[at].wires.push((local_from, output, local_to, input));
            }
            continue;
        }
        if let Some(at) = origin {
            borders[at].outputs.insert((local_from, output), ());
        }
        if let Some(at) = target {
            borders[at].inputs.entry((from, output)).or_default().push((local_to, input));
        }
    }
    borders
}

/// Returns the links of the root graph. The instances of the enclosures come after the other nodes.
fn root_wires(
    wires: &[Wire],
    homes: &[(Option<usize>, usize)],
    borders: &[Border],
    enclosures: &[Enclosure<'_>],
    roots: usize,
) -> Vec<Wire> {
    let mut result: BTreeSet<Wire> = BTreeSet::new();
    let mut ordered = Vec::new();
    for &(from, output, to, input) in wires {
        let ((origin, local_from), (target, local_to)) = (homes[from], homes[to]);
        if origin == target && origin.is_some() {
            continue;
        }
        let (from_part, from_slot) = match origin {
            None => (local_from, output),
            Some(at) => {
                (roots + at, borders[at].outputs.get_index_of(&(local_from, output)).unwrap_or_default())
            }
        };
        let (to_part, to_slot) = match target {
            None => (local_to, input),
            Some(at) => {
                let slot = borders[at].inputs.get_index_of(&(from, output)).unwrap_or_default();
                (roots + at, enclosures[at].promoted.len() + slot)
            }
        };
        let wire = (from_part, from_slot, to_part, to_slot);
        if result.insert(wire) {
            ordered.push(wire);
        }
    }
    ordered
}

/// Creates the instance of an enclosure's subgraph, a node of the root graph.
fn instance<'g>(at: usize, enclosure: &Enclosure<'_>, shapes: &[Shape<'_>], border: &Border) -> Shape<'g> {
    let shape = |local: usize| &shapes[enclosure.nodes[local]];
    let kind = |node: &Shape<'_>, input: &str| {
        node.inputs.iter().find(|slot| slot.name == input).map_or("*", |slot| slot.kind.as_str()).to_owned()
    };
    let mut inputs: Vec<InputShape> = Vec::new();
    for promoted in &enclosure.promoted {
        let (holder, input) = &promoted.targets[0];
        let name = unique(input, &inputs);
        inputs.push(InputShape { name, kind: kind(&shapes[*holder], input), optional: false, widget: true });
    }
    for targets in border.inputs.values() {
        let (local, slot) = targets[0];
        let target = &shape(local).inputs[slot];
        let (name, kind) = (unique(&target.name, &inputs), target.kind.clone());
        inputs.push(InputShape { name, kind, optional: false, widget: false });
    }
    let mut outputs: Vec<(String, String)> = Vec::new();
    for (local, output) in border.outputs.keys() {
        let (name, kind) = &shape(*local).outputs[*output];
        let taken = |name: &str| outputs.iter().any(|(taken, _)| taken == name);
        outputs.push((numbered(name, taken), kind.clone()));
    }
    let node = Node { class_type: uuid(0, at, 0), inputs: Map::new(), meta: None, other: Map::new() };
    let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
    let [width, height] = size::size("", &EditorNode::default(), &names, None);
    let rows = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
    Shape {
        node: Cow::Owned(node),
        schema: None,
        inputs,
        outputs,
        value_names: None,
        values: enclosure.promoted.iter().map(|promoted| promoted.value.clone()).collect(),
        without_widget: Vec::new(),
        camera: None,
        size: [width.max(400), height.saturating_add(rows.saturating_mul(50))],
        warnings: Vec::new(),
    }
}

/// Returns the id of a definition (kind 0), or of one of its inputs (1) or outputs (2), in the form of a UUID.
fn uuid(kind: u8, enclosure: usize, slot: usize) -> String {
    format!("00000000-0000-400{kind}-8000-{:06x}{slot:06x}", enclosure + 1)
}

fn unique(name: &str, inputs: &[InputShape]) -> String {
    numbered(name, |name| inputs.iter().any(|input| input.name == name))
}

/// Returns the name, with a number if it is taken.
fn numbered(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    (1..).map(|number| format!("{name}_{number}")).find(|name| !taken(name)).unwrap_or_default()
}

/// Creates the definition of an enclosure's subgraph.
fn subgraph(
    graph: &Graph,
    shapes: &[Shape<'_>],
    enclosure: &Enclosure<'_>,
    border: &Border,
    (number, instance): (usize, &Shape<'_>),
    last_link: &mut Option<i64>,
) -> Subgraph {
    let parts: Vec<Part<'_, '_>> = enclosure
        .nodes
        .iter()
        .map(|&node| Part { id: local_id(graph, node), shape: &shapes[node], group: None })
        .collect();
    let mut inner = compose(&parts, &border.wires, &Annotations::default(), 0, last_link.unwrap_or(0));
    let mut ids = vec![Vec::new(); instance.inputs.len()];
    let local = |node: usize| enclosure.nodes.iter().position(|&member| member == node);
    let promoted = enclosure.promoted.iter().map(|promoted| {
        let targets = promoted.targets.iter();
        targets.filter_map(|(node, input)| Some((local(*node)?, shapes[*node].slot(input)))).collect()
    });
    let targets: Vec<Vec<End>> = promoted.chain(border.inputs.values().cloned()).collect();
    for (slot, ends) in targets.iter().enumerate() {
        for &(node, input) in ends {
            let link = next_link(&mut inner, (SUBGRAPH_INPUT, slot), (parts[node].id.clone(), input));
            inner.nodes[node].inputs[input].link = Some(link);
            ids[slot].push(link);
        }
    }
    let slot = |id: String, name: &str, kind: &str, ids: &[i64]| SubgraphSlot {
        name: name.to_owned(),
        other: Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("type".to_owned(), json!(kind)),
            ("linkIds".to_owned(), json!(ids)),
        ]),
    };
    let inputs = instance.inputs.iter().zip(&ids).enumerate();
    let inputs =
        inputs.map(|(at, (input, ids))| slot(uuid(1, number, at), &input.name, &input.kind, ids)).collect();
    let mut outputs = Vec::new();
    for (at, (&(node, output), (name, kind))) in border.outputs.keys().zip(&instance.outputs).enumerate() {
        let link = next_link(&mut inner, (parts[node].id.clone(), output), (SUBGRAPH_OUTPUT, at));
        inner.nodes[node].outputs[output].links.get_or_insert_with(Vec::new).push(link);
        outputs.push(slot(uuid(2, number, at), name, kind, &[link]));
    }
    *last_link = inner.last_link_id;
    for link in &mut inner.links {
        link.spelling = LinkSpelling::Object(Map::new());
    }
    let (left, right) = columns(&inner);
    let frame = |id: &UiNodeId, x: i64| json!({"id": id, "bounding": [x, 0, 120, 60]});
    let state =
        json!({"lastGroupId": 0, "lastNodeId": 0, "lastLinkId": inner.last_link_id, "lastRerouteId": 0});
    let other = [
        ("version", json!(1)),
        ("state", state),
        ("revision", json!(0)),
        ("config", json!({})),
        ("inputNode", frame(&SUBGRAPH_INPUT, left - 200)),
        ("outputNode", frame(&SUBGRAPH_OUTPUT, right + 80)),
        ("widgets", json!([])),
        ("groups", json!([])),
        ("extra", json!({})),
    ];
    Subgraph {
        id: instance.node.class_type.clone(),
        name: format!("Nodes {}", enclosure.prefix),
        inputs,
        outputs,
        nodes: inner.nodes,
        links: inner.links,
        other: other.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
    }
}

/// Adds a link and returns its id.
fn next_link(graph: &mut UiGraph, from: (UiNodeId, usize), to: (UiNodeId, usize)) -> i64 {
    let id = graph.last_link_id.unwrap_or(0) + 1;
    graph.last_link_id = Some(id);
    graph.links.push(UiLink {
        id,
        origin_id: from.0,
        origin_slot: from.1 as i64,
        target_id: to.0,
        target_slot: to.1 as i64,
        kind: json!("*"),
        spelling: LinkSpelling::List,
    });
    id
}

/// Returns the left edge of the leftmost node and the right edge of the rightmost.
fn columns(graph: &UiGraph) -> (i64, i64) {
    let number = |value: &Value, at: usize| value.get(at).and_then(Value::as_i64).unwrap_or(0);
    let nodes = graph.nodes.iter().map(|node| {
        let left = node.other.get("pos").map_or(0, |pos| number(pos, 0));
        (left, left + node.other.get("size").map_or(0, |size| number(size, 0)))
    });
    nodes.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))).unwrap_or((0, 0))
}
