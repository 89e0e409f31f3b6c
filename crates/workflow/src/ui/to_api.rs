//! From a graph as drawn to the prompt that the editor would send for it.

use std::collections::HashSet;

use comfy_runner_protocol::graph::{Graph, Node};
use comfy_runner_protocol::object_info::{InputKind, ObjectInfo};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::drawn::{Widget, flag};
use super::graph::{Mode, UiGraph};
use super::primitive::{as_javascript, widget_text};
use super::sheet::{MAX_DEPTH, MAX_NODES, Opened, Placed, Role};
use super::text::{replaced_patterns, resolved_choices};
use super::trace::{Source, source};

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
    /// A group node, which subgraphs have replaced.
    #[error(
        "node {node}: \"{name}\" is a group node, the editor's kind from before subgraphs; open the file in the editor, \
         convert the group node to a subgraph or to nodes, and save it"
    )]
    GroupNode {
        /// The node's id in the prompt.
        node: String,
        /// The group's name.
        name: String,
    },
    /// Two nodes of one id.
    #[error("node {node}{} is there twice; give one of them another id", place(within))]
    DuplicateNode {
        /// The id that both have.
        node: String,
        /// The name of the subgraph that they are in, if they are in one.
        within: Option<String>,
    },
    /// A node whose value only a browser can make: a camera's picture, a recording, a view of a solid.
    #[error(
        "node {node}: the editor makes the input of a {kind} itself when it sends the prompt; use \"Export (API)\" \
         in the editor for this graph"
    )]
    NeedsBrowser {
        /// The node's id in the prompt.
        node: String,
        /// Its type.
        kind: String,
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

fn place(within: &Option<String>) -> String {
    within.as_ref().map(|name| format!(" of subgraph \"{name}\"")).unwrap_or_default()
}

/// What an input of the prompt holds, before links to absent nodes are taken out.
enum Sent {
    Link(String, i64),
    Value(Value),
}

/// The prompt that the editor's "Export (API)" gives for this graph.
///
/// # Errors
/// See [`ToApiError`].
pub fn to_api(graph: &UiGraph, schemas: &ObjectInfo) -> Result<Graph, ToApiError> {
    let opened = Opened::new(graph, schemas)?;
    let mut sent: IndexMap<String, (&Placed<'_>, IndexMap<String, Sent>)> = IndexMap::new();
    for scope in 0..opened.scopes.len() {
        for (at, placed) in opened.sheet(scope).nodes.iter().enumerate() {
            let runs = matches!(placed.role, Role::Runs(_) | Role::Unknown);
            if runs && placed.mode() == Mode::Active {
                sent.insert(opened.id(scope, at), (placed, inputs(&opened, scope, at)?));
            }
        }
    }
    let ids: HashSet<String> = sent.keys().cloned().collect();
    let mut nodes: IndexMap<String, Node> = IndexMap::with_capacity(sent.len());
    for (id, (placed, inputs)) in sent {
        let inputs = inputs.into_iter().filter_map(|(name, sent)| match sent {
            // A link from a node that is muted is left out with the node.
            Sent::Link(from, slot) => ids.contains(&from).then(|| (name, json!([from, slot]))),
            Sent::Value(value) => Some((name, as_sent(value))),
        });
        let node = Node {
            class_type: placed.class_type.to_owned(),
            inputs: inputs.collect(),
            meta: Some(Map::from_iter([("title".to_owned(), json!(placed.title()))])),
            other: Map::new(),
        };
        nodes.insert(id, node);
    }
    // The editor's objects list numeric ids first, in order.
    nodes.sort_by_cached_key(|id, _| id.parse::<u32>().map_or((1, 0), |number| (0, number)));
    Ok(Graph { nodes })
}

/// The inputs of one node: its widgets' values, and over them what is linked.
fn inputs(opened: &Opened<'_>, scope: usize, at: usize) -> Result<IndexMap<String, Sent>, ToApiError> {
    let placed = opened.node(scope, at);
    let Role::Runs(_) = placed.role else {
        let (node, kind) = (opened.id(scope, at), placed.class_type.to_owned());
        return Err(match kind.strip_prefix("workflow>").or_else(|| kind.strip_prefix("workflow/")) {
            Some(name) => ToApiError::GroupNode { node, name: name.to_owned() },
            None => ToApiError::UnknownType { node, kind },
        });
    };
    let mut inputs = IndexMap::new();
    for widget in placed.widgets.iter().filter(|widget| widget.sent) {
        if needs_browser(widget) {
            let (node, kind) = (opened.id(scope, at), placed.class_type.to_owned());
            return Err(ToApiError::NeedsBrowser { node, kind });
        }
        if let Some(value) = widget_value(opened, placed, widget) {
            inputs.insert(widget.name.to_string(), Sent::Value(value));
        }
    }
    for (slot, input) in placed.inputs.iter().enumerate() {
        let sent = match source(opened, scope, at, slot)? {
            Some(Source::Link(from, slot)) => Sent::Link(from, slot),
            Some(Source::Value(value)) => Sent::Value(value),
            None => continue,
        };
        inputs.insert(input.name.to_string(), sent);
    }
    Ok(inputs)
}

/// What the editor sends for a widget.
fn widget_value(opened: &Opened<'_>, placed: &Placed<'_>, widget: &Widget<'_>) -> Option<Value> {
    let value = widget.value.clone()?;
    let Some(text) = value.as_str() else { return Some(value) };
    if widget.name == "filename_prefix" && REPLACES_PATTERNS.contains(&placed.class_type) {
        let find = |node: &str, widget: &str| {
            opened.sheets.iter().find_map(|sheet| widget_text(sheet, node, widget))
        };
        return Some(json!(replaced_patterns(text, find)));
    }
    if widget
        .spec
        .as_deref()
        .is_some_and(|spec| spec.kind == InputKind::String && flag(spec, "dynamicPrompts"))
    {
        return Some(json!(resolved_choices(text)));
    }
    Some(value)
}

/// The types whose `filename_prefix` may hold patterns.
const REPLACES_PATTERNS: [&str; 12] = [
    "SaveImage",
    "SaveVideo",
    "SaveAnimatedWEBP",
    "SaveWEBM",
    "SaveAudio",
    "SaveGLB",
    "SaveAnimatedPNG",
    "CLIPSave",
    "VAESave",
    "ModelSave",
    "LoraSave",
    "SaveLatent",
];

fn needs_browser(widget: &Widget<'_>) -> bool {
    matches!(
        widget.spec.as_deref().map(|spec| &spec.kind),
        Some(InputKind::Other(kind)) if matches!(kind.as_str(), "LOAD_3D" | "LOAD_3D_ANIMATION" | "WEBCAM" | "AUDIO_RECORD")
    )
}

/// A widget's value in a prompt. A list stands in a wrapper there, since a bare one would be read as a link.
fn as_sent(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(as_javascript(number)),
        Value::Array(list) => json!({"__value__": list}),
        value => value,
    }
}
