//! The widgets that a use of a subgraph shows: those of the nodes in it that its inputs lead to.

use serde_json::Value;

use super::graph::{SUBGRAPH_INPUT, UiNode};
use super::sheet::{Opened, Role, Sheet};

/// For each sheet, and each input of its subgraph, the node and the input in it that hold the widget.
#[derive(Default)]
pub(super) struct Promoted {
    targets: Vec<Option<Vec<Option<Target>>>>,
}

/// A node of a sheet, and one of its inputs.
type Target = (usize, usize);

impl Promoted {
    pub fn of(sheets: &[Sheet<'_>]) -> Self {
        let mut promoted = Self { targets: vec![None; sheets.len()] };
        for sheet in 0..sheets.len() {
            promoted.fill(sheets, sheet);
        }
        promoted
    }

    fn fill(&mut self, sheets: &[Sheet<'_>], sheet: usize) {
        let (None, Some(definition)) = (&self.targets[sheet], sheets[sheet].definition) else { return };
        // Stands while the sheets within are looked at: a subgraph in itself has no widgets there.
        self.targets[sheet] = Some(vec![None; definition.inputs.len()]);
        for placed in &sheets[sheet].nodes {
            if let Role::Uses(inner) = placed.role {
                self.fill(sheets, inner);
            }
        }
        let targets = (0..definition.inputs.len()).map(|slot| self.target(&sheets[sheet], slot)).collect();
        self.targets[sheet] = Some(targets);
    }

    /// The first widget to which this input leads.
    fn target(&self, sheet: &Sheet<'_>, slot: usize) -> Option<Target> {
        let definition = sheet.definition?;
        let ids = definition.inputs.get(slot)?.other.get("linkIds").and_then(Value::as_array);
        let listed: Vec<i64> = ids.into_iter().flatten().filter_map(Value::as_i64).collect();
        let leads = |link: &&super::graph::UiLink| {
            link.origin_id == SUBGRAPH_INPUT && usize::try_from(link.origin_slot) == Ok(slot)
        };
        let mut leading: Vec<_> = definition.links.iter().filter(leads).collect();
        leading.sort_by_key(|link| listed.iter().position(|id| *id == link.id).unwrap_or(usize::MAX));
        leading.into_iter().find_map(|link| {
            let &node = sheet.by_id.get(&link.target_id)?;
            let target = &sheet.nodes[node];
            let input = target.inputs.iter().position(|input| input.link == Some(link.id))?;
            let holds = match target.role {
                Role::Uses(inner) => self.shows(inner, input),
                _ => target.widgets.iter().any(|widget| widget.name == target.inputs[input].name),
            };
            holds.then_some((node, input))
        })
    }

    /// Whether this input of the sheet's subgraph shows a widget.
    fn shows(&self, sheet: usize, slot: usize) -> bool {
        self.at(sheet, slot).is_some()
    }

    fn at(&self, sheet: usize, slot: usize) -> Option<Target> {
        *self.targets.get(sheet)?.as_ref()?.get(slot)?
    }
}

/// The value of the widget for this input of a use of a subgraph: what the use says, or else what the node inside
/// holds. None when the input leads to no widget.
pub(super) fn value(opened: &Opened<'_>, scope: usize, user: usize, slot: usize) -> Option<Value> {
    let (mut sheet, mut user, mut slot) = (opened.scopes[scope].sheet, user, slot);
    loop {
        let placed = &opened.sheets[sheet].nodes[user];
        let Role::Uses(used) = placed.role else {
            let name = &placed.inputs.get(slot)?.name;
            let widget = placed.widgets.iter().find(|widget| widget.name == *name)?;
            return Some(widget.value.clone().unwrap_or(Value::Null));
        };
        let inner = opened.promoted.at(used, slot)?;
        let name = &*placed.inputs.get(slot)?.name;
        if let Some(value) = said(opened, placed.node, used, slot, name) {
            return Some(value);
        }
        (sheet, (user, slot)) = (used, inner);
    }
}

/// What a use of a subgraph says itself.
fn said(opened: &Opened<'_>, node: &UiNode, used: usize, slot: usize, name: &str) -> Option<Value> {
    let values = match node.widgets_values.as_ref()? {
        Value::Object(map) => return map.get(name).cloned(),
        values => values.as_array()?,
    };
    match shown(node) {
        // Newer editors write down which widgets the use shows, in order.
        Some(shown) => {
            let place = shown.iter().position(|shown| shown.as_deref() == Some(name))?;
            values.get(place).filter(|value| !value.is_null()).cloned()
        }
        None => values.get((0..slot).filter(|slot| opened.promoted.shows(used, *slot)).count()).cloned(),
    }
}

/// The names of the inputs whose widgets a use shows, in the order of `widgets_values`; none at the places of widgets
/// that belong to nodes inside.
fn shown(node: &UiNode) -> Option<Vec<Option<String>>> {
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
