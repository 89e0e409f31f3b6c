//! From a graph as drawn to the prompt that the editor would send for it.

use std::collections::{HashMap, HashSet};

use comfy_runner_protocol::graph::{Graph, Node};
use comfy_runner_protocol::object_info::ObjectInfo;
use indexmap::IndexMap;
use serde_json::{Map, Number, Value, json};

use super::graph::{Mode, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Subgraph, UiGraph, UiLink, UiNode, UiNodeId};
use super::widgets::{is_widget, sent_values, widget_values};

/// How deep subgraphs may lie in each other.
const MAX_DEPTH: usize = 64;
/// How many nodes a graph may have once its subgraphs are opened.
const MAX_NODES: usize = 1_000_000;

/// Why a graph as drawn has no prompt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ToApiError {
    /// A node type without a schema.
    #[error(
        "node {node}: type \"{kind}\" has no schema; install the custom node that brings it, or fetch /object_info again"
    )]
    UnknownType {
        /// The node's id in the prompt.
        node: String,
        /// Its type.
        kind: String,
    },
    /// Two nodes of one id.
    #[error("node {node} is there twice; give one of them another id")]
    DuplicateNode {
        /// The id that both have.
        node: String,
    },
    /// An input that names a link which is not there.
    #[error(
        "node {node}: input \"{input}\" names link {link}, which is not there; connect it again in the editor"
    )]
    MissingLink {
        /// The node's id in the prompt.
        node: String,
        /// Its input.
        input: String,
        /// The link's id.
        link: i64,
    },
    /// A link from a node that is not there.
    #[error("link {link} comes from node {node}, which is not there; connect it again in the editor")]
    MissingNode {
        /// The link's id.
        link: i64,
        /// The missing node's id.
        node: String,
    },
    /// A link from a slot that is not there.
    #[error(
        "link {link} comes from slot {slot} of node {node}, which has no such slot; connect it again in the editor"
    )]
    MissingSlot {
        /// The link's id.
        link: i64,
        /// The node's id.
        node: String,
        /// The slot.
        slot: i64,
    },
    /// `widgets_values` that are neither a list nor a map.
    #[error("node {node}: `widgets_values` must be a list or an object")]
    WidgetValues {
        /// The node's id in the prompt.
        node: String,
    },
    /// Links through reroutes, bypassed nodes or subgraph borders that lead back to where they began.
    #[error("node {node}: input \"{input}\" is linked in a circle that no node breaks")]
    Cycle {
        /// The node's id in the prompt.
        node: String,
        /// Its input.
        input: String,
    },
    /// Subgraphs that contain themselves, or lie too deep in each other.
    #[error("node {node}: subgraphs lie more than {MAX_DEPTH} deep; does one contain itself?")]
    TooDeep {
        /// The id of the use of the subgraph that is too deep.
        node: String,
    },
    /// Subgraphs that multiply into too many nodes.
    #[error("the graph has more than {MAX_NODES} nodes once its subgraphs are opened")]
    TooLarge,
}

/// The prompt that the editor's "Export (API)" gives for this graph.
pub fn to_api(graph: &UiGraph, schemas: &ObjectInfo) -> Result<Graph, ToApiError> {
    let opened = Opened::new(graph, schemas)?;
    let mut nodes: IndexMap<String, Node> = IndexMap::new();
    for (at, scope) in opened.scopes.iter().enumerate() {
        for node in scope.nodes {
            if node.mode() == Mode::Active
                && !is_virtual(&node.kind)
                && !opened.subgraphs.contains_key(node.kind.as_str())
            {
                nodes.insert(scope.id_of(node), opened.api_node(at, node)?);
            }
        }
    }
    let ids: HashSet<String> = nodes.keys().cloned().collect();
    for node in nodes.values_mut() {
        node.inputs.retain(|_, value| match value.as_array().map(Vec::as_slice) {
            Some([Value::String(from), _]) => ids.contains(from),
            _ => true,
        });
        for value in node.inputs.values_mut() {
            // Lists that are values are wrapped, since a bare one would be read as a link.
            if let Some(list) = value.get_mut(LIST_MARK).map(Value::take) {
                *value = json!({"__value__": list});
            }
        }
    }
    // The editor's objects list numeric ids first, in order.
    nodes.sort_by_cached_key(|id, _| id.parse::<u32>().map_or((1, 0), |number| (0, number)));
    Ok(Graph { nodes })
}

/// Marks a list that is a widget's value until links to absent nodes are gone.
const LIST_MARK: &str = "__list__";

/// Node kinds that exist in the editor only.
fn is_virtual(kind: &str) -> bool {
    matches!(kind, "Reroute" | "PrimitiveNode" | "Note" | "MarkdownNote")
}

/// One graph, or one use of a subgraph.
struct Scope<'g> {
    /// What stands before the ids of its nodes: empty, or `12:`.
    prefix: String,
    depth: usize,
    /// The scope around it, and the node there that is its use.
    parent: Option<(usize, &'g UiNode)>,
    definition: Option<&'g Subgraph>,
    nodes: &'g [UiNode],
    by_id: HashMap<&'g UiNodeId, &'g UiNode>,
    links: HashMap<i64, &'g UiLink>,
    /// The link to each of a subgraph's outputs.
    results: HashMap<i64, &'g UiLink>,
    /// The scopes of the subgraph uses in it.
    inner: HashMap<&'g UiNodeId, usize>,
}

impl<'g> Scope<'g> {
    fn new(
        prefix: String,
        depth: usize,
        parent: Option<(usize, &'g UiNode)>,
        definition: Option<&'g Subgraph>,
        nodes: &'g [UiNode],
        links: &'g [UiLink],
    ) -> Result<Self, ToApiError> {
        let mut by_id = HashMap::with_capacity(nodes.len());
        for node in nodes {
            if by_id.insert(&node.id, node).is_some() {
                return Err(ToApiError::DuplicateNode { node: format!("{prefix}{}", node.id) });
            }
        }
        let results = links
            .iter()
            .filter(|link| link.target_id == SUBGRAPH_OUTPUT)
            .map(|l| (l.target_slot, l))
            .collect();
        let links = links.iter().map(|link| (link.id, link)).collect();
        Ok(Self { prefix, depth, parent, definition, nodes, by_id, links, results, inner: HashMap::new() })
    }

    fn id_of(&self, node: &UiNode) -> String {
        format!("{}{}", self.prefix, node.id)
    }
}

/// A graph with its subgraphs opened.
struct Opened<'g> {
    schemas: &'g ObjectInfo,
    subgraphs: HashMap<&'g str, &'g Subgraph>,
    scopes: Vec<Scope<'g>>,
}

/// What an input turns out to hold.
enum Source {
    /// A node's output.
    Link(String, i64),
    /// A value, of a primitive node or of a widget on a subgraph.
    Value(Value),
}

impl<'g> Opened<'g> {
    fn new(graph: &'g UiGraph, schemas: &'g ObjectInfo) -> Result<Self, ToApiError> {
        let definitions = graph.definitions.iter().flat_map(|definitions| &definitions.subgraphs);
        let subgraphs: HashMap<&str, &Subgraph> = definitions.map(|s| (s.id.as_str(), s)).collect();
        let mut scopes = vec![Scope::new(String::new(), 0, None, None, &graph.nodes, &graph.links)?];
        let mut total = graph.nodes.len();
        let mut at = 0;
        while at < scopes.len() {
            let nodes = scopes[at].nodes;
            for node in nodes.iter().filter(|node| node.mode() == Mode::Active) {
                let Some(subgraph) = subgraphs.get(node.kind.as_str()).copied() else { continue };
                let id = scopes[at].id_of(node);
                let depth = scopes[at].depth + 1;
                if depth > MAX_DEPTH {
                    return Err(ToApiError::TooDeep { node: id });
                }
                total += subgraph.nodes.len() + 1;
                if total > MAX_NODES {
                    return Err(ToApiError::TooLarge);
                }
                let inner = scopes.len();
                scopes[at].inner.insert(&node.id, inner);
                let parent = Some((at, node));
                let (prefix, definition) = (format!("{id}:"), Some(subgraph));
                scopes.push(Scope::new(prefix, depth, parent, definition, &subgraph.nodes, &subgraph.links)?);
            }
            at += 1;
        }
        Ok(Self { schemas, subgraphs, scopes })
    }

    fn api_node(&self, at: usize, node: &'g UiNode) -> Result<Node, ToApiError> {
        let id = self.scopes[at].id_of(node);
        let Some(schema) = self.schemas.get(&node.kind) else {
            return Err(ToApiError::UnknownType { node: id, kind: node.kind.clone() });
        };
        let values = widget_values(schema, node.widgets_values.as_ref())
            .ok_or_else(|| ToApiError::WidgetValues { node: id.clone() })?;
        let mut inputs = sent_values(&values);
        inputs.values_mut().for_each(|value| *value = as_sent(value.take()));
        for input in &node.inputs {
            let Some(link) = input.link else { continue };
            match self.source(at, node, &input.name, link, &input.kind)? {
                Some(Source::Link(from, slot)) => inputs.insert(input.name.clone(), json!([from, slot])),
                Some(Source::Value(value)) => inputs.insert(input.name.clone(), as_sent(value)),
                None => None,
            };
        }
        let title =
            node.title.as_deref().or(schema.display_name.as_deref()).filter(|title| !title.is_empty());
        let mut meta = Map::new();
        meta.insert("title".to_owned(), json!(title.unwrap_or(&node.kind)));
        Ok(Node { class_type: node.kind.clone(), inputs, meta: Some(meta), other: Map::new() })
    }

    /// Follows a link back through all that the editor sees through. `None` when nothing is at its end.
    fn source(
        &self,
        at: usize,
        node: &'g UiNode,
        input: &str,
        link: i64,
        kind: &Value,
    ) -> Result<Option<Source>, ToApiError> {
        let cycle = || ToApiError::Cycle { node: self.scopes[at].id_of(node), input: input.to_owned() };
        let (mut scope, mut link, mut holder, mut name) = (at, link, node, input);
        let mut seen = HashSet::new();
        loop {
            if !seen.insert((scope, link)) {
                return Err(cycle());
            }
            let here = &self.scopes[scope];
            let Some(mut found) = here.links.get(&link).copied() else {
                let (node, input) = (here.id_of(holder), name.to_owned());
                return Err(ToApiError::MissingLink { node, input, link });
            };
            // Into subgraphs, as far as the link's origin is one.
            let mut entered = scope;
            let origin = loop {
                let here = &self.scopes[entered];
                if found.origin_id == SUBGRAPH_INPUT && here.definition.is_some() {
                    break None;
                }
                let Some(origin) = here.by_id.get(&found.origin_id).copied() else {
                    let node = format!("{}{}", here.prefix, found.origin_id);
                    return Err(ToApiError::MissingNode { link: found.id, node });
                };
                let Some(inner) = here.inner.get(&origin.id).copied() else { break Some(origin) };
                let Some(result) = self.scopes[inner].results.get(&found.origin_slot).copied() else {
                    return Ok(None);
                };
                (entered, found) = (inner, result);
            };
            scope = entered;
            let here = &self.scopes[scope];
            let slot = usize::try_from(found.origin_slot).ok();
            let missing =
                |node: String| ToApiError::MissingSlot { link: found.id, node, slot: found.origin_slot };
            let through = match origin {
                None => {
                    // Out of the subgraph, to what its use is given.
                    let (Some((outer, use_node)), Some(definition)) = (here.parent, here.definition) else {
                        return Ok(None);
                    };
                    let declared = slot.and_then(|slot| definition.inputs.get(slot));
                    let declared = declared.ok_or_else(|| missing(self.scopes[outer].id_of(use_node)))?;
                    scope = outer;
                    let given = use_node.inputs.iter().find(|input| input.name == declared.name);
                    match given.and_then(|given| given.link) {
                        Some(next) => Some((use_node, declared.name.as_str(), next)),
                        None => {
                            return Ok(self.promoted(use_node, definition, &declared.name).map(Source::Value));
                        }
                    }
                }
                Some(origin) if origin.mode() == Mode::Muted => None,
                Some(origin) if origin.mode() == Mode::Bypassed => {
                    let same =
                        slot.and_then(|slot| origin.inputs.get(slot)).filter(|input| input.kind == *kind);
                    let like = same.or_else(|| origin.inputs.iter().find(|input| input.kind == *kind));
                    like.and_then(|input| Some((origin, input.name.as_str(), input.link?)))
                }
                Some(origin) if origin.kind == "Reroute" => {
                    let input = origin.inputs.first();
                    input.and_then(|input| Some((origin, input.name.as_str(), input.link?)))
                }
                Some(origin) if origin.kind == "PrimitiveNode" => {
                    let values = origin.widgets_values.as_ref();
                    return Ok(values.and_then(|values| values.get(0)).cloned().map(Source::Value));
                }
                Some(origin) if is_virtual(&origin.kind) => None,
                Some(origin) => {
                    if slot.is_none_or(|slot| slot >= origin.outputs.len()) {
                        return Err(missing(here.id_of(origin)));
                    }
                    return Ok(Some(Source::Link(here.id_of(origin), found.origin_slot)));
                }
            };
            let Some(through) = through else { return Ok(None) };
            (holder, name, link) = through;
        }
    }

    /// The value of the widget that a use of a subgraph shows for this of its inputs.
    fn promoted(&self, use_node: &UiNode, definition: &Subgraph, input: &str) -> Option<Value> {
        let values = use_node.widgets_values.as_ref()?;
        if let Value::Object(map) = values {
            return map.get(input).cloned();
        }
        let shown = use_node.other.get("properties").and_then(|properties| properties.get("proxyWidgets"));
        let shown: Vec<&str> = (shown.and_then(Value::as_array).into_iter().flatten())
            .filter(|pair| pair.get(0).and_then(Value::as_str) == Some("-1"))
            .filter_map(|pair| pair.get(1)?.as_str())
            .collect();
        // Newer editors write the order down; in older ones it is that of the inputs.
        let place = if shown.is_empty() {
            let with_widget =
                definition.inputs.iter().enumerate().filter(|(slot, _)| self.has_widget(definition, *slot));
            with_widget.map(|(_, slot)| slot.name.as_str()).position(|name| name == input)
        } else {
            shown.iter().position(|name| *name == input)
        };
        values.get(place?).cloned()
    }

    /// Whether this input of a subgraph ends in a widget.
    fn has_widget(&self, definition: &'g Subgraph, slot: usize) -> bool {
        let (mut definition, mut slot) = (definition, slot);
        for _ in 0..MAX_DEPTH {
            let link = definition.links.iter().find(|link| {
                link.origin_id == SUBGRAPH_INPUT && usize::try_from(link.origin_slot) == Ok(slot)
            });
            let Some(link) = link else { return false };
            let Some(target) = definition.nodes.iter().find(|node| node.id == link.target_id) else {
                return false;
            };
            let Some(input) = usize::try_from(link.target_slot).ok().and_then(|at| target.inputs.get(at))
            else {
                return false;
            };
            let Some(inner) = self.subgraphs.get(target.kind.as_str()).copied() else {
                return input.widget.is_some()
                    || self.schemas.get(&target.kind).is_some_and(|schema| is_widget(schema, &input.name));
            };
            let Some(next) = inner.inputs.iter().position(|slot| slot.name == input.name) else {
                return false;
            };
            (definition, slot) = (inner, next);
        }
        false
    }
}

/// A widget's value as JavaScript would write it: whole numbers without a fraction, lists marked as values.
fn as_sent(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(list) => json!({LIST_MARK: list}),
        value => value,
    }
}

fn whole(number: Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            Number::from(float as i64)
        }
        _ => number,
    }
}
