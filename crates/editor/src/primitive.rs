//! Primitive nodes: a value that is assigned to each widget linked to it, within its range and rounded to its step.

use std::collections::HashSet;

use serde_json::{Number, Value, json};

use comfy_runner_protocol::object_info::{InputKind, InputSpec};

use crate::promoted::proxy_entries;
use crate::rules::Rules;
use crate::subgraph::{Definition, LoadedNode, NodeRole};
use crate::text::replace_widget_patterns;
use crate::widgets::Widget;

/// The property that turns on the replacement of `%node.widget%` patterns in the value.
const REPLACE: &str = "Run widget replace on values";

/// The primitive nodes of each definition whose widgets an instance promotes. The editor replaces them by an input of the
/// subgraph, whose value is that of the first widget linked to them.
pub(crate) fn promoted(definitions: &[Definition<'_>], rules: &Rules) -> Vec<HashSet<usize>> {
    let mut promoted = vec![HashSet::new(); definitions.len()];
    let instances = definitions.iter().flat_map(|definition| &definition.nodes);
    for loaded in instances.filter(|_| rules.promotes_primitives) {
        let NodeRole::Subgraph(used) = loaded.role else { continue };
        for entry in proxy_entries(loaded.node).into_iter().flatten().flatten() {
            let primitive = definitions[used].nodes.iter().position(|node| {
                matches!(node.role, NodeRole::Primitive) && node.node.id.to_string() == entry.node
            });
            promoted[used].extend(primitive);
        }
    }
    promoted
}

/// Assigns the values of primitive nodes to the widgets linked to them.
pub(crate) fn apply(definition: &mut Definition<'_>, promoted: &HashSet<usize>, rules: &Rules) {
    for at in 0..definition.nodes.len() {
        if !matches!(definition.nodes[at].role, NodeRole::Primitive) {
            continue;
        }
        let targets = targets(definition, at);
        let Some(&(node, widget)) = targets.first() else { continue };
        if promoted.contains(&at) {
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

/// The widgets that a primitive node is linked to, in the order of the links.
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

/// Clamps a number to the range that all targets allow; other values stay as they are.
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

/// The unit to which a float widget rounds, and the number of digits. None if it does not round.
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
