//! The author's choices in the editor: the inputs and outputs of App mode, widgets promoted on a subgraph's
//! outside, favourites, labels, and fixed seeds.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use comfy_runner_editor::graph::{SUBGRAPH_INPUT, Subgraph, UiGraph, UiLink, UiNode, UiNodeId};

/// The deepest nesting of subgraphs that is read.
const MAX_DEPTH: usize = 64;
/// The largest number of subgraph instances that are read. A graph that converts has far fewer.
const MAX_SCOPES: usize = 20_000;

/// A node of the prompt and one of its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeField {
    /// The node's id in the prompt.
    pub node: String,
    /// The input's name.
    pub field: String,
}

/// A widget that the author chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorChoice {
    /// The inputs of the prompt that take its value: several, for a widget that is promoted from several nodes.
    pub targets: Vec<NodeField>,
    /// The name in the editor: the author's label, if there is one.
    pub label: Option<String>,
    /// Title of the node on which the author sees the widget, if the author gave one.
    pub title: Option<String>,
}

/// The inputs and outputs of App mode, `extra.linearData`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// The inputs in the author's order.
    pub inputs: Vec<AuthorChoice>,
    /// The output nodes' ids in the prompt.
    pub outputs: Vec<String>,
    /// Entries that name a node or widget that does not exist.
    pub missing: Vec<String>,
}

/// Everything in a graph in UI format that shows its author's choices.
#[derive(Debug, Clone, Default)]
pub struct Authored {
    /// App mode, if the author built an app.
    pub app: Option<App>,
    /// Widgets on the outside of subgraph instances, in order.
    pub promoted: Vec<AuthorChoice>,
    /// The prefixes (`12:`) of nodes inside instances with promoted widgets: the author chose which of their widgets
    /// are visible.
    pub chosen_scopes: Vec<String>,
    /// Widgets that the author marked as favourites.
    pub favourites: Vec<AuthorChoice>,
    /// Inputs that take one value because they are linked to one primitive, with the primitive's title.
    pub shared: Vec<AuthorChoice>,
    /// Labels that the author gave to inputs.
    pub labels: HashMap<NodeField, String>,
    /// Seeds that the editor keeps from run to run.
    pub fixed_seeds: HashSet<NodeField>,
}

/// A graph, or one instance of a subgraph.
struct Scope<'g> {
    /// The prefix of its nodes' ids in the prompt: empty, or `12:`.
    prefix: String,
    /// The id of the subgraph, none for the graph itself.
    definition: Option<&'g str>,
    nodes: &'g [UiNode],
    links: &'g [UiLink],
}

struct Reader<'g> {
    graph: &'g UiGraph,
    subgraphs: HashMap<&'g str, &'g Subgraph>,
    scopes: Vec<Scope<'g>>,
    by_prefix: HashMap<String, usize>,
}

/// Reads the author's choices from this graph.
pub fn authored(graph: &UiGraph) -> Authored {
    let reader = Reader::new(graph);
    let mut authored = Authored { app: reader.app(), favourites: reader.favourites(), ..Authored::default() };
    for at in 0..reader.scopes.len() {
        for node in reader.scopes[at].nodes {
            reader.collect(at, node, &mut authored);
        }
    }
    authored
}

impl<'g> Reader<'g> {
    fn new(graph: &'g UiGraph) -> Self {
        let definitions = graph.definitions.iter().flat_map(|definitions| &definitions.subgraphs);
        let subgraphs: HashMap<_, _> = definitions.map(|subgraph| (subgraph.id.as_str(), subgraph)).collect();
        let root =
            Scope { prefix: String::new(), definition: None, nodes: &graph.nodes, links: &graph.links };
        let mut scopes = vec![root];
        let mut at = 0;
        while at < scopes.len() && scopes.len() < MAX_SCOPES {
            let prefix = scopes[at].prefix.clone();
            if prefix.matches(':').count() < MAX_DEPTH {
                for node in scopes[at].nodes {
                    let Some(used) = subgraphs.get(node.kind.as_str()) else { continue };
                    scopes.push(Scope {
                        prefix: format!("{prefix}{}:", node.id),
                        definition: Some(&used.id),
                        nodes: &used.nodes,
                        links: &used.links,
                    });
                }
            }
            at += 1;
        }
        let by_prefix = scopes.iter().enumerate().map(|(at, scope)| (scope.prefix.clone(), at)).collect();
        Self { graph, subgraphs, scopes, by_prefix }
    }

    /// Adds the choices in one node.
    fn collect(&self, at: usize, node: &'g UiNode, authored: &mut Authored) {
        let scope = &self.scopes[at];
        let id = format!("{}{}", scope.prefix, node.id);
        for input in &node.inputs {
            if let Some(label) = label_of(node, &input.name) {
                authored.labels.insert(NodeField { node: id.clone(), field: input.name.clone() }, label);
            }
        }
        if node.kind == "PrimitiveNode" {
            let targets = self.targets(at, node, "value");
            authored.shared.push(AuthorChoice { targets, label: None, title: title_of(node) });
        }
        if scope.definition.is_none() && self.subgraphs.contains_key(node.kind.as_str()) {
            let promoted = self.promoted(at, node);
            if !promoted.is_empty() {
                authored.chosen_scopes.push(format!("{id}:"));
            }
            authored.promoted.extend(promoted);
        }
        for field in fixed_seeds(node) {
            authored.fixed_seeds.insert(NodeField { node: id.clone(), field });
        }
    }

    /// The widgets on the outside of a subgraph's instance: those of its inputs, then those that are shown of nodes in
    /// it.
    fn promoted(&self, at: usize, node: &'g UiNode) -> Vec<AuthorChoice> {
        let Some(definition) = self.subgraphs.get(node.kind.as_str()) else { return Vec::new() };
        let mut choices: Vec<AuthorChoice> = Vec::new();
        let slots = definition.inputs.iter().map(|slot| slot.name.clone());
        let shown = proxies(node).into_iter().filter(|(inner, _)| inner != "-1");
        let shown = shown.map(|(inner, name)| (Some(inner), name));
        for (inner, name) in slots.map(|name| (None, name)).chain(shown) {
            let targets = match &inner {
                None => self.targets(at, node, &name),
                Some(inner) => self.inside(at, node, inner, &name),
            };
            let seen = |target: &NodeField| choices.iter().any(|choice| choice.targets.contains(target));
            if targets.is_empty() || targets.iter().any(seen) {
                continue;
            }
            let label = if inner.is_none() { self.slot_label(node, &name) } else { None };
            choices.push(AuthorChoice { targets, label, title: title_of(node) });
        }
        choices
    }

    /// Returns the inputs of the prompt that take the value of this widget.
    fn targets(&self, at: usize, node: &'g UiNode, widget: &str) -> Vec<NodeField> {
        let mut found = Vec::new();
        self.follow(at, node, widget, 0, &mut found);
        found
    }

    fn follow(&self, at: usize, node: &'g UiNode, widget: &str, depth: usize, found: &mut Vec<NodeField>) {
        let scope = &self.scopes[at];
        if depth > MAX_DEPTH || found.len() > MAX_SCOPES {
            return;
        }
        if node.kind == "PrimitiveNode" {
            let links = scope.links.iter().filter(|link| link.origin_id == node.id);
            self.follow_links(at, links, depth, found);
            return;
        }
        let Some(definition) = self.subgraphs.get(node.kind.as_str()) else {
            let id = format!("{}{}", scope.prefix, node.id);
            let target = NodeField { node: id, field: widget.to_owned() };
            if !found.contains(&target) {
                found.push(target);
            }
            return;
        };
        let Some(inner) = self.by_prefix.get(&format!("{}{}:", scope.prefix, node.id)) else { return };
        if let Some(slot) = definition.inputs.iter().position(|slot| slot.name == widget) {
            let leads = |link: &&UiLink| {
                link.origin_id == SUBGRAPH_INPUT && usize::try_from(link.origin_slot) == Ok(slot)
            };
            self.follow_links(*inner, definition.links.iter().filter(leads), depth, found);
            return;
        }
        for (id, _) in proxies(node).into_iter().filter(|(_, name)| name == widget) {
            if let Some(node) = self.node(*inner, &id) {
                self.follow(*inner, node, widget, depth + 1, found);
                return;
            }
        }
    }

    fn follow_links(
        &self,
        at: usize,
        links: impl Iterator<Item = &'g UiLink>,
        depth: usize,
        found: &mut Vec<NodeField>,
    ) {
        for link in links {
            let node = self.scopes[at].nodes.iter().find(|node| node.id == link.target_id);
            let Some(node) = node else { continue };
            let input = node.inputs.iter().find(|input| input.link == Some(link.id));
            if let Some(input) = input {
                let widget = input.widget.as_ref().and_then(|widget| widget.get("name")?.as_str());
                self.follow(at, node, widget.unwrap_or(&input.name), depth + 1, found);
            }
        }
    }

    /// A widget that an instance shows of a node in it.
    fn inside(&self, at: usize, node: &'g UiNode, inner: &str, widget: &str) -> Vec<NodeField> {
        let scope = self.by_prefix.get(&format!("{}{}:", self.scopes[at].prefix, node.id));
        scope
            .and_then(|scope| Some(self.targets(*scope, self.node(*scope, inner)?, widget)))
            .unwrap_or_default()
    }

    fn node(&self, at: usize, id: &str) -> Option<&'g UiNode> {
        self.scopes[at].nodes.iter().find(|node| is_id(&node.id, id))
    }

    /// The label of a subgraph's input: the instance's own, or the definition's.
    fn slot_label(&self, node: &UiNode, name: &str) -> Option<String> {
        let definition = self.subgraphs.get(node.kind.as_str())?;
        let of_slot = || {
            let slot = definition.inputs.iter().find(|slot| slot.name == name)?;
            text(slot.other.get("label"))
        };
        label_of(node, name).or_else(of_slot).or_else(|| Some(name.to_owned()))
    }

    fn app(&self) -> Option<App> {
        let data = self.graph.extra.as_ref()?.get("linearData")?;
        let list = |key: &str| data.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut app = App::default();
        for entry in list("inputs") {
            let found = entry.get(0).zip(entry.get(1).and_then(Value::as_str));
            let choice = found.and_then(|(node, widget)| self.choice(node, widget));
            match choice {
                Some(choice) => app.inputs.push(choice),
                None => app.missing.push(entry.to_string()),
            }
        }
        for entry in list("outputs") {
            let node = id_text(entry).and_then(|id| self.locate(&id));
            match node {
                Some((at, node)) => {
                    let id = format!("{}{}", self.scopes[at].prefix, node.id);
                    if !app.outputs.contains(&id) {
                        app.outputs.push(id);
                    }
                }
                None => app.missing.push(entry.to_string()),
            }
        }
        (!app.inputs.is_empty() || !app.outputs.is_empty()).then_some(app)
    }

    fn favourites(&self) -> Vec<AuthorChoice> {
        let data = self.graph.extra.as_ref().and_then(|extra| extra.get("favoritedWidgets"));
        let list = data.map(|data| data.get("favorites").unwrap_or(data)).and_then(Value::as_array);
        let choice = |entry: &Value| {
            let node = entry.get("nodeLocatorId").or_else(|| entry.get("nodeId"))?;
            self.choice(node, entry.get("widgetName")?.as_str()?)
        };
        list.into_iter().flatten().filter_map(choice).collect()
    }

    fn choice(&self, node: &Value, widget: &str) -> Option<AuthorChoice> {
        let (at, node) = self.locate(&id_text(node)?)?;
        let targets = self.targets(at, node, widget);
        let label = match self.subgraphs.contains_key(node.kind.as_str()) {
            true => self.slot_label(node, widget),
            false => label_of(node, widget),
        };
        (!targets.is_empty()).then(|| AuthorChoice { targets, label, title: title_of(node) })
    }

    /// Resolves a node reference of the editor: an id, `12:34` through instances, `<uuid>:34` in the subgraph or
    /// graph of that id, or `<uuid>:34:<widget>`.
    fn locate(&self, reference: &str) -> Option<(usize, &'g UiNode)> {
        if let Some(node) = self.node(0, reference) {
            return Some((0, node));
        }
        let Some((first, rest)) = reference.split_once(':') else { return self.only(reference) };
        let of_graph = || self.graph.other.get("id").and_then(Value::as_str) == Some(first);
        let scope = if self.subgraphs.contains_key(first) {
            self.scopes.iter().position(|scope| scope.definition == Some(first))
        } else if is_uuid(first) || of_graph() {
            Some(0)
        } else {
            let (path, id) = reference.rsplit_once(':')?;
            let scope = *self.by_prefix.get(&format!("{path}:"))?;
            return Some((scope, self.node(scope, id)?));
        }?;
        let id = rest.split(':').next()?;
        Some((scope, self.node(scope, id)?))
    }

    /// Returns the only node with this id in any subgraph: the author chose it before moving it into one.
    fn only(&self, id: &str) -> Option<(usize, &'g UiNode)> {
        let mut found = (0..self.scopes.len()).filter_map(|at| Some((at, self.node(at, id)?)));
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }
}

/// Returns the widgets of inner nodes that an instance shows: the nodes' ids and the widgets' names.
fn proxies(node: &UiNode) -> Vec<(String, String)> {
    let Some(pairs) = node.other.get("properties").and_then(|properties| properties.get("proxyWidgets"))
    else {
        return Vec::new();
    };
    let parsed = pairs.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let pairs = parsed.as_ref().unwrap_or(pairs).as_array();
    let pair = |pair: &Value| Some((id_text(pair.get(0)?)?, pair.get(1)?.as_str()?.to_owned()));
    pairs.into_iter().flatten().filter_map(pair).collect()
}

/// The editor's values for the treatment of a seed after a run.
const AFTER_RUN: [&str; 4] = ["fixed", "increment", "decrement", "randomize"];

/// The seeds of a node that the editor keeps. The control is the value after the seed, which needs no schema to find.
fn fixed_seeds(node: &UiNode) -> Vec<String> {
    let Some(Value::Array(values)) = &node.widgets_values else { return Vec::new() };
    let controls = values.windows(2).filter_map(|pair| {
        let word = pair[1].as_str().filter(|word| AFTER_RUN.contains(word))?;
        pair[0].is_number().then_some(word)
    });
    let controls: Vec<&str> = controls.collect();
    if controls.is_empty() || controls.iter().any(|word| *word != "fixed") {
        return Vec::new();
    }
    // Older files list linked inputs only.
    let listed = node.inputs.iter().map(|input| input.name.as_str()).filter(|name| name.contains("seed"));
    listed.chain(["seed", "noise_seed"]).map(str::to_owned).collect()
}

/// Returns the author's label for an input of this node.
fn label_of(node: &UiNode, name: &str) -> Option<String> {
    let input = node.inputs.iter().find(|input| input.name == name)?;
    text(input.other.get("label")).filter(|label| label != name)
}

/// Returns the author's title for this node.
fn title_of(node: &UiNode) -> Option<String> {
    node.title.clone().filter(|title| !title.trim().is_empty())
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_id(id: &UiNodeId, text: &str) -> bool {
    match id {
        UiNodeId::Number(number) => text.parse() == Ok(*number),
        UiNodeId::Text(own) => own == text,
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
