//! Primitive nodes: a value that is assigned to each widget linked to it, within its range and rounded to its step.

use std::collections::HashSet;

use serde_json::{Number, Value, json};

use comfy_runner_protocol::object_info::{DynamicInput, InputKind, InputSpec};

use crate::promoted::proxy_entries;
use crate::rules::Rules;
use crate::subgraph::{Definition, LoadedNode, NodeRole};
use crate::text::replace_widget_patterns;
use crate::widgets::Widget;

/// The property that turns on the replacement of `%node.widget%` patterns in the value.
const REPLACE: &str = "Run widget replace on values";

/// The primitive nodes of each definition that the editor replaces by an input of the subgraph, because an instance
/// promotes their widgets. The value of the new input is that of the first widget linked to it.
///
/// The editor connects the new input to the slots that the links name by position, regardless of the names of the inputs.
/// Only the inputs of a dynamic combo are found by name, because the editor moves their links when it creates them. It
/// keeps the primitive node if a slot does not exist or has another type.
pub(crate) fn replace_promoted(definitions: &mut [Definition<'_>], rules: &Rules) -> Vec<HashSet<usize>> {
    let mut replaced = vec![HashSet::new(); definitions.len()];
    if !rules.promotes_primitives {
        return replaced;
    }
    for (definition, id) in promoted_nodes(definitions) {
        let nodes = &definitions[definition].nodes;
        let primitive = nodes.iter().position(|loaded| {
            matches!(loaded.role, NodeRole::Primitive) && loaded.node.id.to_string() == id
        });
        let Some(primitive) = primitive.filter(|primitive| !replaced[definition].contains(primitive)) else {
            continue;
        };
        if let Some(slots) = linked_slots(&definitions[definition], primitive) {
            connect(&mut definitions[definition], &slots);
            replaced[definition].insert(primitive);
        }
    }
    replaced
}

/// The nodes whose widgets instances promote: the definition that contains each, and its id.
fn promoted_nodes(definitions: &[Definition<'_>]) -> Vec<(usize, String)> {
    let mut promoted = Vec::new();
    for loaded in definitions.iter().flat_map(|definition| &definition.nodes) {
        if let NodeRole::Subgraph(used) = loaded.role {
            let entries = proxy_entries(loaded.node).into_iter().flatten().flatten();
            promoted.extend(entries.map(|entry| (used, entry.node)));
        }
    }
    promoted
}

/// A link, with the node and the position of the slot that it leads to.
type LinkedSlot = (i64, usize, usize);

/// Returns the slots that the links of a primitive node name by position. None if the editor cannot connect an input to all of them.
fn linked_slots(definition: &Definition<'_>, primitive: usize) -> Option<Vec<LinkedSlot>> {
    let output = definition.nodes[primitive].node.outputs.first()?;
    let kind = output.kind.as_str().unwrap_or("*");
    let links = output.links.iter().flatten().filter_map(|id| definition.links.get(id));
    let slots = links.map(|link| {
        let &node = definition.by_id.get(&link.target_id)?;
        let loaded = &definition.nodes[node];
        let moved = loaded.inputs.iter().position(|input| input.link == Some(link.id));
        let moved = moved.filter(|slot| is_of_dynamic_combo(loaded, &loaded.inputs[*slot].name));
        let slot = moved.or_else(|| usize::try_from(link.target_slot).ok())?;
        let input = loaded.inputs.get(slot)?;
        let fits = input.kind == kind || input.kind == "*" || kind == "*";
        fits.then_some((link.id, node, slot))
    });
    slots.collect::<Option<Vec<_>>>().filter(|slots| !slots.is_empty())
}

/// Returns whether the value of a dynamic combo decides that the input exists.
fn is_of_dynamic_combo(loaded: &LoadedNode<'_>, input: &str) -> bool {
    loaded.widgets.iter().any(|widget| {
        let is_combo =
            widget.spec.as_deref().is_some_and(|spec| matches!(spec.dynamic(), Some(DynamicInput::Combo(_))));
        is_combo && input.strip_prefix(&*widget.name).is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Moves links to the slots at their positions.
fn connect(definition: &mut Definition<'_>, slots: &[LinkedSlot]) {
    for &(link, node, _) in slots {
        for input in definition.nodes[node].inputs.iter_mut().filter(|input| input.link == Some(link)) {
            input.link = None;
        }
    }
    for &(link, node, slot) in slots {
        definition.nodes[node].inputs[slot].link = Some(link);
    }
}

/// Assigns the values of primitive nodes to the widgets linked to them.
pub(crate) fn apply(definition: &mut Definition<'_>, replaced: &HashSet<usize>, rules: &Rules) {
    for at in 0..definition.nodes.len() {
        if !matches!(definition.nodes[at].role, NodeRole::Primitive) {
            continue;
        }
        let targets = targets(definition, at);
        let Some(&(node, widget)) = targets.first() else { continue };
        if replaced.contains(&at) {
            let value = definition.nodes[node].widgets[widget].value.clone();
            for (node, widget) in targets {
                definition.nodes[node].widgets[widget].value.clone_from(&value);
            }
            continue;
        }
        let first = &definition.nodes[node].widgets[widget];
        let said = match definition.nodes[at].node.widgets_values.as_ref() {
            Some(Value::Array(values)) => values.first().cloned(),
            _ => None,
        };
        let Some(mut value) = said.or_else(|| first.value.clone()) else { continue };
        let specs = targets
            .iter()
            .filter_map(|&(node, widget)| definition.nodes[node].widgets[widget].spec.as_deref());
        value = within_all(value, specs);
        if replaces(definition, at)
            && let Some(text) = value.as_str()
        {
            value =
                json!(replace_widget_patterns(text, |node, widget| widget_text(definition, node, widget)));
        }
        for (node, widget) in targets {
            let widget = &mut definition.nodes[node].widgets[widget];
            widget.assign(value.clone(), rules);
            stepped(widget);
        }
    }
}

/// Returns the value of a widget as a string, for `%node.widget%` patterns. The node is found by its name for patterns, or its title.
pub(crate) fn widget_text(definition: &Definition<'_>, node: &str, widget: &str) -> Option<String> {
    let alias = |loaded: &&LoadedNode<'_>| {
        let properties = loaded.node.other.get("properties");
        let alias = properties.and_then(|properties| properties.get("Node name for S&R")?.as_str());
        alias.or(matches!(loaded.role, NodeRole::Executed(_)).then_some(loaded.class_type)) == Some(node)
    };
    let found = definition
        .nodes
        .iter()
        .find(alias)
        .or_else(|| definition.nodes.iter().find(|p| p.title() == node))?;
    let widget = found.widgets.iter().find(|found| found.name == widget)?;
    Some(match &widget.value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => as_javascript(number.clone()).to_string(),
        Some(other) => other.to_string(),
    })
}

/// Returns the widgets that a primitive node is linked to, in the order of the links.
fn targets(definition: &Definition<'_>, primitive: usize) -> Vec<(usize, usize)> {
    let node = definition.nodes[primitive].node;
    let listed = node.outputs.first().and_then(|output| output.links.clone()).unwrap_or_default();
    let target = |id: &i64| {
        let link = definition.links.get(id)?;
        let &at = definition.by_id.get(&link.target_id)?;
        let target = &definition.nodes[at];
        let input = target.inputs.iter().find(|input| input.link == Some(*id))?;
        Some((at, target.widgets.iter().position(|widget| widget.name == input.name)?))
    };
    listed.iter().filter_map(target).collect()
}

fn replaces(definition: &Definition<'_>, primitive: usize) -> bool {
    let properties = definition.nodes[primitive].node.other.get("properties");
    properties.and_then(|properties| properties.get(REPLACE)?.as_bool()) == Some(true)
}

/// Clamps a number to the range that all targets allow; other values are unchanged.
fn within_all<'s>(value: Value, specs: impl Iterator<Item = &'s InputSpec>) -> Value {
    let numeric = specs.filter(|spec| matches!(spec.kind, InputKind::Int | InputKind::Float));
    let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
    for spec in numeric {
        least = least.max(spec.number("min").unwrap_or(f64::NEG_INFINITY));
        most = most.min(spec.number("max").unwrap_or(f64::INFINITY));
    }
    match value.as_f64() {
        Some(number) if least <= most && number < least => json!(least),
        Some(number) if least <= most && number > most => json!(most),
        _ => value,
    }
}

/// Rounds a number to the step of its widget.
fn stepped(widget: &mut Widget<'_>) {
    let (Some(spec), Some(Value::Number(number))) = (widget.spec.as_deref(), &widget.value) else { return };
    let Some(value) = number.as_f64() else { return };
    let rounded = match spec.kind {
        InputKind::Int => {
            let step = spec.number("step").filter(|step| *step != 0.0).unwrap_or(1.0);
            if step == 1.0 {
                if !number.is_f64() {
                    return;
                }
                half_up(value)
            } else {
                let offset = spec.number("min").unwrap_or(0.0) % step;
                half_up((value - offset) / step) * step + offset
            }
        }
        InputKind::Float => match rounding(spec) {
            Some((round, digits)) => {
                let rounded: f64 =
                    format!("{:.*}", digits, half_up(value / round) * round).parse().unwrap_or(value);
                rounded
                    .clamp(spec.number("min").unwrap_or(0.0), spec.number("max").unwrap_or(2048.0).max(0.0))
            }
            None => return,
        },
        _ => return,
    };
    if rounded != value
        && let Some(number) = Number::from_f64(rounded)
    {
        widget.value = Some(Value::Number(number));
    }
}

/// Returns the unit to which a float widget rounds, and the number of digits. None if it does not round.
fn rounding(spec: &InputSpec) -> Option<(f64, usize)> {
    let step = spec.number("step").unwrap_or(0.5);
    let digits = (-step.log10().floor()).max(0.0);
    let round = spec.number("round").filter(|round| *round != 0.0);
    let round = round.or((digits > 0.0).then(|| 10_f64.powf(-digits)))?;
    Some((round, digits.min(100.0) as usize))
}

/// Rounds to the nearest whole number, halves up, as JavaScript does.
fn half_up(value: f64) -> f64 {
    (value + 0.5).floor()
}

/// Writes a number as JavaScript does: a whole number without a fraction.
pub(crate) fn as_javascript(number: Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            Number::from(float as i64)
        }
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Sent;
    use std::borrow::Cow;

    fn rounded(spec: Value, value: Value) -> Value {
        let spec: InputSpec = serde_json::from_value(spec).unwrap();
        let mut widget = Widget {
            name: Cow::Borrowed("x"),
            spec: Some(Cow::Owned(spec)),
            value: Some(value),
            saved: true,
            sent: Sent::Yes,
        };
        stepped(&mut widget);
        widget.value.unwrap()
    }

    #[test]
    fn a_primitives_number_is_rounded_to_the_steps_of_its_target() {
        assert_eq!(rounded(json!(["INT", {"step": 8, "min": 16}]), json!(845)), 848.0);
        assert_eq!(
            rounded(json!(["INT", {}]), json!(18_446_744_073_709_551_615_u64)),
            18_446_744_073_709_551_615_u64
        );
        assert_eq!(rounded(json!(["FLOAT", {"step": 0.01}]), json!(1.23456)), 1.23);
        assert_eq!(
            rounded(json!(["FLOAT", {"step": 0.1, "round": 0.01, "min": 0.0, "max": 1.0}]), json!(7.77)),
            1.0
        );
        assert_eq!(rounded(json!(["FLOAT", {"step": 1}]), json!(7.77)), 7.77);
        assert_eq!(rounded(json!(["STRING", {}]), json!("a")), "a");
    }
}
