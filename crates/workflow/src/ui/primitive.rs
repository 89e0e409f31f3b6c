//! Primitive nodes: a value that goes into each widget linked to it, brought into the widget's range and steps.

use serde_json::{Number, Value, json};

use comfy_runner_protocol::object_info::{InputKind, InputSpec};

use super::drawn::Widget;
use super::sheet::{Role, Sheet};
use super::text::replaced_patterns;

/// The property that says that a primitive's text has patterns like those of file names.
const REPLACE: &str = "Run widget replace on values";

/// Gives the values of a sheet's primitive nodes to the widgets linked to them.
pub(super) fn apply(sheet: &mut Sheet<'_>) {
    for at in 0..sheet.nodes.len() {
        if !matches!(sheet.nodes[at].role, Role::Primitive) {
            continue;
        }
        let targets = targets(sheet, at);
        let Some(&(node, widget)) = targets.first() else { continue };
        let first = &sheet.nodes[node].widgets[widget];
        let said = match sheet.nodes[at].node.widgets_values.as_ref() {
            Some(Value::Array(values)) => values.first().cloned(),
            _ => None,
        };
        let Some(mut value) = said.or_else(|| first.value.clone()) else { continue };
        let specs =
            targets.iter().filter_map(|&(node, widget)| sheet.nodes[node].widgets[widget].spec.as_deref());
        value = within_all(value, specs);
        if replaces(sheet, at)
            && let Some(text) = value.as_str()
        {
            value = json!(replaced_patterns(text, |node, widget| widget_text(sheet, node, widget)));
        }
        for (node, widget) in targets {
            let widget = &mut sheet.nodes[node].widgets[widget];
            widget.assign(value.clone());
            stepped(widget);
        }
    }
}

/// The text of a widget of the node that has this name for patterns, or this title.
pub(super) fn widget_text(sheet: &Sheet<'_>, node: &str, widget: &str) -> Option<String> {
    let alias = |placed: &&super::sheet::Placed<'_>| {
        let properties = placed.node.other.get("properties");
        let alias = properties.and_then(|properties| properties.get("Node name for S&R")?.as_str());
        alias.or(matches!(placed.role, Role::Runs(_)).then_some(placed.class_type)) == Some(node)
    };
    let found = sheet.nodes.iter().find(alias).or_else(|| sheet.nodes.iter().find(|p| p.title() == node))?;
    let widget = found.widgets.iter().find(|found| found.name == widget)?;
    Some(match &widget.value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => as_javascript(number.clone()).to_string(),
        Some(other) => other.to_string(),
    })
}

/// The widgets that a primitive's links lead to: node and widget, in the order of the links.
fn targets(sheet: &Sheet<'_>, primitive: usize) -> Vec<(usize, usize)> {
    let node = sheet.nodes[primitive].node;
    let listed = node.outputs.first().and_then(|output| output.links.clone()).unwrap_or_default();
    let target = |id: &i64| {
        let link = sheet.links.get(id)?;
        let &at = sheet.by_id.get(&link.target_id)?;
        let target = &sheet.nodes[at];
        let input = target.inputs.iter().find(|input| input.link == Some(*id))?;
        Some((at, target.widgets.iter().position(|widget| widget.name == input.name)?))
    };
    listed.iter().filter_map(target).collect()
}

fn replaces(sheet: &Sheet<'_>, primitive: usize) -> bool {
    let properties = sheet.nodes[primitive].node.other.get("properties");
    properties.and_then(|properties| properties.get(REPLACE)?.as_bool()) == Some(true)
}

/// A number within what all its targets allow, as the editor does for numbers; other values as they are.
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

/// Rounds a number to the steps of its widget, as the editor does when a primitive sets it.
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

/// To what a float widget rounds, and with how many digits. None when it does not.
fn rounding(spec: &InputSpec) -> Option<(f64, usize)> {
    let step = spec.number("step").unwrap_or(0.5);
    let digits = (-step.log10().floor()).max(0.0);
    let round = spec.number("round").filter(|round| *round != 0.0);
    let round = round.or((digits > 0.0).then(|| 10_f64.powf(-digits)))?;
    Some((round, digits.min(100.0) as usize))
}

/// To the nearest whole number, halves upwards, as JavaScript does.
fn half_up(value: f64) -> f64 {
    (value + 0.5).floor()
}

/// A number as JavaScript would write it: whole ones without a fraction.
pub(super) fn as_javascript(number: Number) -> Number {
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
    use std::borrow::Cow;

    fn rounded(spec: Value, value: Value) -> Value {
        let spec: InputSpec = serde_json::from_value(spec).unwrap();
        let mut widget = Widget {
            name: Cow::Borrowed("x"),
            spec: Some(Cow::Owned(spec)),
            value: Some(value),
            saved: true,
            sent: true,
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
