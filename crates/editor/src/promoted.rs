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

/// The value of the promoted widget of an instance: its own value, or else that of the node inside. None if the input is
/// linked to no widget.
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
        if let Some(value) = own_value(expanded, loaded.node, used, slot, name) {
            return Some(value);
        }
        (definition, (user, slot)) = (used, inner);
    }
}

/// The value that the instance itself has for a promoted widget.
fn own_value(expanded: &Expanded<'_>, node: &UiNode, used: usize, slot: usize, name: &str) -> Option<Value> {
    let values = match node.widgets_values.as_ref()? {
        Value::Object(map) => return map.get(name).cloned(),
        values => values.as_array()?,
    };
    match promoted_inputs(node) {
        // Newer frontends list the promoted widgets in the order of the values.
        Some(shown) => {
            let place = shown.iter().position(|shown| shown.as_deref() == Some(name))?;
            values.get(place).filter(|value| !value.is_null()).cloned()
        }
        None => values.get((0..slot).filter(|slot| expanded.promoted.shows(used, *slot)).count()).cloned(),
    }
}

/// The names of the inputs with promoted widgets, in the order of `widgets_values`. Entries that refer to widgets of nodes
/// inside are None.
fn promoted_inputs(node: &UiNode) -> Option<Vec<Option<String>>> {
    let pairs = node.other.get("properties")?.get("proxyWidgets")?;
    let parsed;
    let pairs = match pairs {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).ok()?;
            parsed.as_array()?
        }
        pairs => pairs.as_array()?,
    };
    let name = |pair: &Value| {
        let own = pair.get(0).and_then(Value::as_str) == Some("-1");
        own.then(|| pair.get(1).and_then(Value::as_str).map(str::to_owned)).flatten()
    };
    let shown: Vec<_> = pairs.iter().map(name).collect();
    (!shown.is_empty()).then_some(shown)
}
