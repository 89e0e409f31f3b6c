//! Converts UI format to the prompt that the editor would send.

use std::collections::HashSet;

use comfy_runner_protocol::graph::{Graph, Node};
use comfy_runner_protocol::object_info::{InputKind, ObjectInfo};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::frontend::FrontendVersion;
use crate::graph::{Mode, UiGraph, UiNode};
use crate::links::{Origin, resolve_link};
use crate::primitive::{as_javascript, widget_text};
use crate::rules::Sent;
use crate::subgraph::{Expanded, LoadedNode, MAX_DEPTH, MAX_NODES, NodeRole};
use crate::text::{replace_widget_patterns, resolve_dynamic_prompt};
use crate::widgets::{Widget, flag};

/// Why a graph in UI format cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ToApiError {
    /// The type of a node has no schema.
    #[error(
        "node {node}: type \"{kind}\" has no schema; install the custom node that provides it, or fetch /object_info again"
    )]
    UnknownType {
        /// The node's id in the prompt.
        node: String,
        /// Its type.
        kind: String,
    },
    /// A group node, which subgraphs have replaced.
    #[error(
        "node {node}: \"{name}\" is a group node, which the editor had before subgraphs; open the file in the editor, \
         convert the group node to a subgraph or to nodes, and save it"
    )]
    GroupNode {
        /// The node's id in the prompt.
        node: String,
        /// The group's name.
        name: String,
    },
    /// Two nodes have the same id.
    #[error("node {node}{} exists twice; change the id of one of them", place(within))]
    DuplicateNode {
        /// The id of both.
        node: String,
        /// The name of the subgraph that contains them, if any.
        within: Option<String>,
    },
    /// The value of a node needs a browser: a camera image, a recording, a rendered 3D view.
    #[error(
        "node {node}: the browser creates the input of a {kind} when the editor sends the prompt; use \"Export (API)\" \
         in the editor for this graph"
    )]
    NeedsBrowser {
        /// The node's id in the prompt.
        node: String,
        /// Its type.
        kind: String,
    },
    /// An input names a link that does not exist.
    #[error(
        "node {node}: input \"{input}\" names link {link}, which does not exist; connect it again in the editor"
    )]
    MissingLink {
        /// The node's id in the prompt.
        node: String,
        /// The input.
        input: String,
        /// The link's id.
        link: i64,
    },
    /// A link names a node that does not exist.
    #[error("link {link} comes from node {node}, which does not exist; connect it again in the editor")]
    MissingNode {
        /// The link's id.
        link: i64,
        /// The missing node's id.
        node: String,
    },
    /// A link names an output that does not exist.
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
    /// `widgets_values` are neither a list nor a map.
    #[error("node {node}: `widgets_values` must be a list or an object")]
    WidgetValues {
        /// The node's id in the prompt.
        node: String,
    },
    /// Links through reroutes, bypassed nodes or subgraph borders form a cycle.
    #[error("node {node}: input \"{input}\" is linked in a cycle of virtual nodes")]
    Cycle {
        /// The node's id in the prompt.
        node: String,
        /// The input.
        input: String,
    },
    /// Subgraphs contain themselves, or are nested too deeply.
    #[error("node {node}: subgraphs are nested more than {MAX_DEPTH} deep; does one contain itself?")]
    TooDeep {
        /// The id of the subgraph node that is too deep.
        node: String,
    },
    /// The expanded subgraphs have too many nodes.
    #[error("the graph has more than {MAX_NODES} nodes once its subgraphs are expanded")]
    TooLarge,
}

/// The property that holds the camera of a 3D view.
pub(crate) const CAMERA: &str = "Camera Config";

fn place(within: &Option<String>) -> String {
    within.as_ref().map(|name| format!(" of subgraph \"{name}\"")).unwrap_or_default()
}

/// The value of an input of the prompt, before links to absent nodes are removed.
enum SentInput {
    Link(String, i64),
    Value(Value),
}

/// Converts a graph to the prompt that the editor's "Export (API)" gives. The schemas determine the version of the editor.
///
/// # Errors
/// See [`ToApiError`].
pub fn to_api(graph: &UiGraph, schemas: &ObjectInfo) -> Result<Graph, ToApiError> {
    to_api_for(FrontendVersion::detect(schemas), graph, schemas)
}

/// Converts a graph as [`to_api`] does, for a known version of the editor.
///
/// # Errors
/// See [`ToApiError`].
pub fn to_api_for(
    frontend: FrontendVersion,
    graph: &UiGraph,
    schemas: &ObjectInfo,
) -> Result<Graph, ToApiError> {
    let expanded = Expanded::new(graph, schemas, frontend.rules())?;
    let mut sent: IndexMap<String, (&LoadedNode<'_>, IndexMap<String, SentInput>)> = IndexMap::new();
    for instance in 0..expanded.instances.len() {
        for (at, loaded) in expanded.definition(instance).nodes.iter().enumerate() {
            let runs = matches!(loaded.role, NodeRole::Executed(_) | NodeRole::Unknown);
            if runs && loaded.mode() == Mode::Active {
                sent.insert(expanded.id(instance, at), (loaded, inputs(&expanded, instance, at)?));
            }
        }
    }
    let ids: HashSet<String> = sent.keys().cloned().collect();
    let mut nodes: IndexMap<String, Node> = IndexMap::with_capacity(sent.len());
    for (id, (loaded, inputs)) in sent {
        let inputs = inputs.into_iter().filter_map(|(name, sent)| match sent {
            // A link from a muted node is left out with the node.
            SentInput::Link(from, slot) => ids.contains(&from).then(|| (name, json!([from, slot]))),
            SentInput::Value(value) => Some((name, value)),
        });
        let node = Node {
            class_type: loaded.class_type.to_owned(),
            inputs: inputs.collect(),
            meta: Some(meta(loaded)),
            other: Map::new(),
        };
        nodes.insert(id, node);
    }
    // JavaScript objects list numeric keys first, in order.
    nodes.sort_by_cached_key(|id, _| id.parse::<u32>().map_or((1, 0), |number| (0, number)));
    Ok(Graph { nodes })
}

/// Returns the title of a node, and its node pack if the editor sends that.
fn meta(loaded: &LoadedNode<'_>) -> Map<String, Value> {
    let mut meta = Map::from_iter([("title".to_owned(), json!(loaded.title()))]);
    if loaded.rules.sends_node_pack {
        let properties = loaded.node.other.get("properties");
        for key in ["cnr_id", "aux_id", "ver"] {
            let value = properties.and_then(|properties| properties.get(key)?.as_str());
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                meta.insert(key.to_owned(), json!(value));
            }
        }
    }
    meta
}

/// Returns the inputs of a node: the values of its widgets, or links where it has them.
fn inputs(
    expanded: &Expanded<'_>,
    instance: usize,
    at: usize,
) -> Result<IndexMap<String, SentInput>, ToApiError> {
    let loaded = expanded.node(instance, at);
    let NodeRole::Executed(_) = loaded.role else {
        let (node, kind) = (expanded.id(instance, at), loaded.class_type.to_owned());
        return Err(match kind.strip_prefix("workflow>").or_else(|| kind.strip_prefix("workflow/")) {
            Some(name) => ToApiError::GroupNode { node, name: name.to_owned() },
            None => ToApiError::UnknownType { node, kind },
        });
    };
    let mut inputs = IndexMap::new();
    for widget in loaded.widgets.iter().filter(|widget| widget.sent != Sent::No) {
        if widget.sent == Sent::Browser {
            let (node, kind) = (expanded.id(instance, at), loaded.class_type.to_owned());
            return Err(ToApiError::NeedsBrowser { node, kind });
        }
        if widget.sent == Sent::View {
            inputs.insert(widget.name.to_string(), SentInput::Value(view_state(loaded.node)));
        } else if let Some(value) = widget_value(expanded, loaded, widget) {
            inputs.insert(widget.name.to_string(), SentInput::Value(wrapped(value, widget.sent)));
        }
    }
    for (slot, input) in loaded.inputs.iter().enumerate() {
        let sent = match resolve_link(expanded, instance, at, slot)? {
            Some(Origin::Link(from, slot)) => SentInput::Link(from, slot),
            Some(Origin::Value(value)) => SentInput::Value(wrapped(value, Sent::Yes)),
            None => continue,
        };
        inputs.insert(input.name.to_string(), sent);
    }
    Ok(inputs)
}

/// Returns the value that the editor sends for a widget.
fn widget_value(expanded: &Expanded<'_>, loaded: &LoadedNode<'_>, widget: &Widget<'_>) -> Option<Value> {
    let value = widget.value.clone()?;
    let Some(text) = value.as_str() else { return Some(value) };
    if widget.name == "filename_prefix" && loaded.rules.filename_patterns.contains(&loaded.class_type) {
        let find = |node: &str, widget: &str| {
            expanded.definitions.iter().find_map(|definition| widget_text(definition, node, widget))
        };
        return Some(json!(replace_widget_patterns(text, find)));
    }
    if widget
        .spec
        .as_deref()
        .is_some_and(|spec| spec.kind == InputKind::String && flag(spec, "dynamicPrompts"))
    {
        return Some(json!(resolve_dynamic_prompt(text)));
    }
    Some(value)
}

/// Returns the value of a 3D view: the saved camera, and empty names for the images that the browser renders on some nodes.
fn view_state(node: &UiNode) -> Value {
    let camera = node.other.get("properties").and_then(|properties| properties.get(CAMERA)?.get("state"));
    json!({
        "image": "",
        "mask": "",
        "normal": "",
        "camera_info": camera,
        "recording": "",
        "model_3d_info": [],
    })
}

/// Wraps a list, because ComfyUI would read it as a link.
fn wrapped(value: Value, sent: Sent) -> Value {
    match (value, sent) {
        (Value::Number(number), _) => Value::Number(as_javascript(number)),
        (Value::Array(list), Sent::Typed(name)) => json!({"__type__": name, "__value__": list}),
        (value, Sent::AlwaysTyped(name)) if !value.is_null() => json!({"__type__": name, "__value__": value}),
        (Value::Array(list), _) => json!({"__value__": list}),
        (value, _) => value,
    }
}
