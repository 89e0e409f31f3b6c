//! The author's choices in the editor: the inputs and outputs of App mode, widgets promoted on a subgraph's
//! outside, favourites, labels, and fixed seeds.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use comfy_runner_editor::graph::{SUBGRAPH_INPUT, Subgraph, UiGraph, UiLink, UiNode, UiNodeId};

use super::locator::{NodeReference, ProxyWidget};

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
    /// App mode, if the author built an app. It may have nothing but missing entries.
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
        let shown = proxies(node).into_iter().filter(|proxy| proxy.node != "-1");
        let shown = shown.map(|proxy| (proxy.widget.clone(), Some(proxy)));
        for (name, inner) in slots.map(|name| (name, None)).chain(shown) {
            let targets = match &inner {
                None => self.targets(at, node, &name),
                Some(proxy) => self.inside(at, node, proxy),
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
        for proxy in proxies(node).into_iter().filter(|proxy| proxy.widget == widget) {
            if let Some(node) = self.node(*inner, &proxy.node) {
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
            if let Some(widget) = linked_widget(node, link) {
                self.follow(at, node, widget, depth + 1, found);
            }
        }
    }

    /// A widget that an instance shows of a node in it.
    fn inside(&self, at: usize, node: &'g UiNode, proxy: &ProxyWidget) -> Vec<NodeField> {
        let found = || {
            let scope = self.inner(at, node)?;
            let inner = self.node(scope, &proxy.node)?;
            let Some(source) = &proxy.source else { return Some(self.targets(scope, inner, &proxy.widget)) };
            // The inner node is an instance, and another of its widgets may have the same name.
            if let Some(slot) = self.slot_of(inner, source, &proxy.widget) {
                return Some(self.targets(scope, inner, slot));
            }
            let innermost = self.inner(scope, inner).and_then(|at| Some((at, self.node(at, source)?)));
            let (scope, inner) = innermost.unwrap_or((scope, inner));
            Some(self.targets(scope, inner, &proxy.widget))
        };
        found().unwrap_or_default()
    }

    /// The scope of an instance's nodes.
    fn inner(&self, at: usize, node: &UiNode) -> Option<usize> {
        self.by_prefix.get(&format!("{}{}:", self.scopes[at].prefix, node.id)).copied()
    }

    /// The instance's input that is linked to this widget of a node inside.
    fn slot_of(&self, instance: &UiNode, node: &str, widget: &str) -> Option<&'g str> {
        let definition = self.subgraphs.get(instance.kind.as_str())?;
        let leads = |link: &&'g UiLink| {
            let target = definition.nodes.iter().find(|target| target.id == link.target_id);
            link.origin_id == SUBGRAPH_INPUT
                && target.is_some_and(|target| {
                    is_id(&target.id, node) && linked_widget(target, link).is_some_and(|name| name == widget)
                })
        };
        let link = definition.links.iter().find(leads)?;
        definition.inputs.get(usize::try_from(link.origin_slot).ok()?).map(|slot| slot.name.as_str())
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
            let choice = found.and_then(|(node, widget)| self.of_app(node, widget));
            match choice {
                Some(choice) => app.inputs.push(choice),
                None => app.missing.push(entry.to_string()),
            }
        }
        for entry in list("outputs") {
            let nodes = id_text(entry).map(|id| self.locate(&id)).unwrap_or_default();
            if nodes.is_empty() {
                app.missing.push(entry.to_string());
            }
            for (at, node) in nodes {
                let id = format!("{}{}", self.scopes[at].prefix, node.id);
                if !app.outputs.contains(&id) {
                    app.outputs.push(id);
                }
            }
        }
        let is_empty = app.inputs.is_empty() && app.outputs.is_empty() && app.missing.is_empty();
        (!is_empty).then_some(app)
    }

    fn favourites(&self) -> Vec<AuthorChoice> {
        let data = self.graph.extra.as_ref().and_then(|extra| extra.get("favoritedWidgets"));
        let list = data.map(|data| data.get("favorites").unwrap_or(data)).and_then(Value::as_array);
        let choice = |entry: &Value| {
            let node = entry.get("nodeLocatorId").or_else(|| entry.get("nodeId"))?;
            self.choice(&id_text(node)?, entry.get("widgetName")?.as_str()?)
        };
        list.into_iter().flatten().filter_map(choice).collect()
    }

    /// An input of App mode. The editor shows widgets of the graph's own nodes there. A reference to a node inside a
    /// subgraph is an older one to the widget that the instance shows for it.
    fn of_app(&self, node: &Value, widget: &str) -> Option<AuthorChoice> {
        let reference = id_text(node)?;
        match self.parse(&reference) {
            NodeReference::InSubgraph { node, .. } => {
                let instance = self.node(0, node).filter(|node| self.subgraphs.contains_key(&*node.kind));
                let shown = instance.and_then(|instance| self.chosen(&[(0, instance)], widget));
                shown.or_else(|| self.choice(&reference, widget))
            }
            NodeReference::Local(id) if self.node(0, id).is_none() => {
                let instances = self.scopes[0].nodes.iter();
                let mut shown = instances.filter_map(|node| Some((node, self.slot_of(node, id, widget)?)));
                match (shown.next(), shown.next()) {
                    (Some((instance, slot)), None) => self.chosen(&[(0, instance)], slot),
                    _ => self.choice(&reference, widget),
                }
            }
            _ => self.choice(&reference, widget),
        }
    }

    fn choice(&self, reference: &str, widget: &str) -> Option<AuthorChoice> {
        self.chosen(&self.locate(reference), widget)
    }

    /// The choice of a widget of this node, which is there once for each instance of its subgraph.
    fn chosen(&self, nodes: &[(usize, &'g UiNode)], widget: &str) -> Option<AuthorChoice> {
        let (_, node) = *nodes.first()?;
        let mut targets = Vec::new();
        for (at, node) in nodes {
            let new = self.targets(*at, node, widget);
            targets.extend(new.into_iter().filter(|target| !targets.contains(target)).collect::<Vec<_>>());
        }
        let label = match self.subgraphs.contains_key(node.kind.as_str()) {
            true => self.slot_label(node, widget),
            false => label_of(node, widget),
        };
        (!targets.is_empty()).then(|| AuthorChoice { targets, label, title: title_of(node) })
    }

    fn parse<'r>(&self, reference: &'r str) -> NodeReference<'r> {
        NodeReference::parse(reference, self.graph.other.get("id").and_then(Value::as_str))
    }

    /// Resolves a reference of the editor: the nodes that it names, with their scopes.
    fn locate(&self, reference: &str) -> Vec<(usize, &'g UiNode)> {
        let at = |scope: usize, id: &str| self.node(scope, id).map(|node| (scope, node));
        let found = match self.parse(reference) {
            NodeReference::Local(id) => at(0, id).or_else(|| self.only(id)),
            NodeReference::Widget(id) => at(0, &id),
            NodeReference::Path { prefix, node } => {
                let scope = self.by_prefix.get(&prefix);
                at(0, reference).or_else(|| at(*scope?, node))
            }
            NodeReference::InSubgraph { subgraph, node } => {
                let scopes = 0..self.scopes.len();
                let instances = scopes.filter(|scope| self.scopes[*scope].definition == Some(subgraph));
                let nodes: Vec<_> = instances.filter_map(|scope| at(scope, node)).collect();
                // Without a subgraph of that id, it is the id of the graph itself.
                if !nodes.is_empty() || self.subgraphs.contains_key(subgraph) {
                    return nodes;
                }
                at(0, node)
            }
        };
        found.into_iter().collect()
    }

    /// Returns the only node with this id in any subgraph: the author chose it before moving it into one.
    fn only(&self, id: &str) -> Option<(usize, &'g UiNode)> {
        let mut found = (0..self.scopes.len()).filter_map(|at| Some((at, self.node(at, id)?)));
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }
}

/// The name of the widget that a link leads to, or of the input if it has none.
fn linked_widget<'n>(node: &'n UiNode, link: &UiLink) -> Option<&'n str> {
    let input = node.inputs.iter().find(|input| input.link == Some(link.id))?;
    let widget = input.widget.as_ref().and_then(|widget| widget.get("name")?.as_str());
    Some(widget.unwrap_or(&input.name))
}

/// Returns the widgets of inner nodes that an instance shows.
fn proxies(node: &UiNode) -> Vec<ProxyWidget> {
    let Some(entries) = node.other.get("properties").and_then(|properties| properties.get("proxyWidgets"))
    else {
        return Vec::new();
    };
    let parsed = entries.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let entries = parsed.as_ref().unwrap_or(entries).as_array();
    let entry = |entry: &Value| {
        let source = entry.get(2).and_then(id_text);
        Some(ProxyWidget::new(id_text(entry.get(0)?)?, entry.get(1)?.as_str()?, source))
    };
    entries.into_iter().flatten().filter_map(entry).collect()
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
