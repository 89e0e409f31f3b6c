//! Promoted widgets: those that a subgraph instance shows for the nodes inside.

use serde_json::Value;

use crate::graph::{SUBGRAPH_INPUT, UiNode};
use crate::subgraph::{Definition, Expanded, NodeRole};

/// For each definition and each input of its subgraph, the node and input inside that have the widget.
#[derive(Default)]
pub(crate) struct Promoted {
    targets: Vec<Option<Vec<Option<Target>>>>,
}

/// The index of a node of a definition, and of one of its inputs.
type Target = (usize, usize);

impl Promoted {
    pub fn new(definitions: &[Definition<'_>]) -> Self {
        let mut promoted = Self { targets: vec![None; definitions.len()] };
        for definition in 0..definitions.len() {
            promoted.fill(definitions, definition);
        }
        promoted
    }

    fn fill(&mut self, definitions: &[Definition<'_>], definition: usize) {
        let (None, Some(subgraph)) = (&self.targets[definition], definitions[definition].subgraph) else {
            return;
        };
        // Ends the recursion: a subgraph inside itself has no promoted widgets.
        self.targets[definition] = Some(vec![None; subgraph.inputs.len()]);
        for loaded in &definitions[definition].nodes {
            if let NodeRole::Subgraph(inner) = loaded.role {
                self.fill(definitions, inner);
            }
        }
        let targets =
            (0..subgraph.inputs.len()).map(|slot| self.target(&definitions[definition], slot)).collect();
        self.targets[definition] = Some(targets);
    }

    /// The first widget that the input is linked to.
    fn target(&self, definition: &Definition<'_>, slot: usize) -> Option<Target> {
        let subgraph = definition.subgraph?;
        let ids = subgraph.inputs.get(slot)?.other.get("linkIds").and_then(Value::as_array);
        let listed: Vec<i64> = ids.into_iter().flatten().filter_map(Value::as_i64).collect();
        let leads = |link: &&crate::graph::UiLink| {
            link.origin_id == SUBGRAPH_INPUT && usize::try_from(link.origin_slot) == Ok(slot)
        };
        let mut leading: Vec<_> = subgraph.links.iter().filter(leads).collect();
        leading.sort_by_key(|link| listed.iter().position(|id| *id == link.id).unwrap_or(usize::MAX));
        leading.into_iter().find_map(|link| {
            let &node = definition.by_id.get(&link.target_id)?;
            let target = &definition.nodes[node];
            let input = target.inputs.iter().position(|input| input.link == Some(link.id))?;
            let holds = match target.role {
                NodeRole::Subgraph(inner) => self.shows(inner, input),
                _ => target.widgets.iter().any(|widget| widget.name == target.inputs[input].name),
            };
            holds.then_some((node, input))
        })
    }

    /// Returns whether the input is linked to a widget.
    fn shows(&self, definition: usize, slot: usize) -> bool {
        self.at(definition, slot).is_some()
    }

    fn at(&self, definition: usize, slot: usize) -> Option<Target> {
        *self.targets.get(definition)?.as_ref()?.get(slot)?
    }
}

/// Returns the value of the promoted widget of an instance: its own value, or else that of the node inside. None if the
/// input is not linked to a widget.
pub(crate) fn value(expanded: &Expanded<'_>, instance: usize, user: usize, slot: usize) -> Option<Value> {
    let (mut definition, mut user, mut slot) = (expanded.instances[instance].definition, user, slot);
    loop {
        let loaded = &expanded.definitions[definition].nodes[user];
        let NodeRole::Subgraph(used) = loaded.role else {
            let name = &loaded.inputs.get(slot)?.name;
            let widget = loaded.widgets.iter().find(|widget| widget.name == *name)?;
            return Some(widget.value.clone().unwrap_or(Value::Null));
        };
        let inner = expanded.promoted.at(used, slot)?;
        let name = &*loaded.inputs.get(slot)?.name;
        // The editor creates definitions in the order of the file. An instance inside a subgraph loses its values when its own
        // definition does not exist yet.
        let is_defined = definition == 0 || used < definition;
        if let Some(value) = own_value(expanded, loaded.node, used, slot, name).filter(|_| is_defined) {
            return Some(value);
        }
        (definition, (user, slot)) = (used, inner);
    }
}

/// Returns the value that the instance itself has for a promoted widget.
///
/// Frontend 1.49 lists values in the order of the subgraph's inputs, and keeps values that it could not assign when it read an
/// older file in `proxyWidgetErrorQuarantine`. Older ones list them in the order of `proxyWidgets`, if a file has that.
fn own_value(expanded: &Expanded<'_>, node: &UiNode, used: usize, slot: usize, name: &str) -> Option<Value> {
    let list = match node.widgets_values.as_ref()? {
        Value::Object(map) => return map.get(name).cloned(),
        values => values.as_array()?,
    };
    let by_input =
        || list.get((0..slot).filter(|slot| expanded.promoted.shows(used, *slot)).count()).cloned();
    let is_source = |entry: &ProxyEntry| match expanded.promoted.at(used, slot) {
        Some((inner, input)) => {
            let inner = &expanded.definitions[used].nodes[inner];
            entry.node == inner.node.id.to_string() && entry.widget == inner.inputs[input].name
        }
        None => false,
    };
    let entries = proxy_entries(node);
    let by_entry = |matches: &dyn Fn(&ProxyEntry) -> bool| {
        let values = entries.iter().flatten().zip(list);
        let values = values.filter(|(entry, value)| entry.as_ref().is_some_and(matches) && !value.is_null());
        values.last().map(|(_, value)| value.clone())
    };
    if expanded.rules.promoted_in_input_order {
        let entry = by_entry(&|entry| entry.is_input(name) || is_source(entry));
        entry.or_else(|| quarantined(node, name)).or_else(by_input)
    } else if entries.is_some() {
        by_entry(&|entry| entry.is_input(name))
    } else {
        by_input()
    }
}

/// An entry of `proxyWidgets`: a widget of a node inside, or with the node id `-1` one of the subgraph's inputs.
pub(crate) struct ProxyEntry {
    pub node: String,
    widget: String,
}

impl ProxyEntry {
    fn parse(pair: &Value) -> Option<Self> {
        let part = |at: usize| pair.get(at).and_then(Value::as_str).map(str::to_owned);
        Some(Self { node: part(0)?, widget: part(1)? })
    }

    fn is_input(&self, name: &str) -> bool {
        self.node == "-1" && self.widget == name
    }
}

/// Returns the entries of `proxyWidgets`, which is a list, or a string with the JSON of a list. None if the node has none.
pub(crate) fn proxy_entries(node: &UiNode) -> Option<Vec<Option<ProxyEntry>>> {
    let pairs = node.other.get("properties")?.get("proxyWidgets")?;
    let parsed;
    let pairs = match pairs {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).ok()?;
            parsed.as_array()?
        }
        pairs => pairs.as_array()?,
    };
    (!pairs.is_empty()).then(|| pairs.iter().map(ProxyEntry::parse).collect())
}

/// Returns the value for an input that the frontend could not assign when it read an older file.
fn quarantined(node: &UiNode, name: &str) -> Option<Value> {
    let entries = node.other.get("properties")?.get("proxyWidgetErrorQuarantine")?.as_array()?;
    let is_input = |entry: &&Value| {
        entry.get("originalEntry").and_then(ProxyEntry::parse).is_some_and(|entry| entry.is_input(name))
    };
    let value = entries.iter().find(|entry| is_input(entry) && entry.get("hostValue").is_some())?;
    value.get("hostValue").filter(|value| !value.is_null()).cloned()
}
