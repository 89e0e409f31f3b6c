//! Merges inputs that must have the same value.

use std::collections::HashMap;

use super::authored::AuthorChoice;
use super::detect::Detector;
use super::detected_input::DetectedInput;
use super::names;

impl<'g> Detector<'g> {
    /// Values that one primitive of the editor gives to several fields are one input, under the primitive's title.
    pub(super) fn join(&self, found: Vec<DetectedInput<'g>>) -> Vec<DetectedInput<'g>> {
        let mut joined: Vec<DetectedInput<'g>> = Vec::with_capacity(found.len());
        let mut group_of: HashMap<usize, usize> = HashMap::new();
        for mut input in found {
            let hangs = |choice: &AuthorChoice| {
                let first = &input.targets[0];
                choice.targets.iter().any(|target| target.node == first.node && target.field == first.field)
            };
            let Some(group) = self.authored.shared.iter().position(hangs) else {
                joined.push(input);
                continue;
            };
            let choice = &self.authored.shared[group];
            if let Some(&at) = group_of.get(&group) {
                if joined[at].value == input.value {
                    joined[at].take(input.targets);
                    continue;
                }
            } else {
                group_of.insert(group, joined.len());
                // The other fields that are linked to it hold the same value, also those that are not detected.
                for target in &choice.targets {
                    let Some(at) = self.at(&target.node, &target.field) else { continue };
                    if at.value == input.value {
                        input.take(vec![at.place()]);
                    }
                }
                if let Some(title) = choice.title.as_deref().filter(|title| *title != "Primitive") {
                    let id = names::from_title(title);
                    if !id.is_empty() && !input.chosen {
                        input.label = Some(names::label_of_title(title));
                        if input.kind != "text" {
                            input.base = id;
                        }
                    }
                }
            }
            joined.push(input);
        }
        joined
    }
}

/// Equal values of the same role are one input, and so are the same strings of one node: the encoders of some models
/// take the prompt twice.
pub fn merge(found: Vec<DetectedInput<'_>>) -> Vec<DetectedInput<'_>> {
    let mut merged: Vec<DetectedInput<'_>> = Vec::with_capacity(found.len());
    for mut input in found {
        let twin = merged.iter_mut().find(|other| is_same(other, &input));
        match twin {
            Some(twin) => {
                if input.kind == "int" && twin.kind == "float" {
                    (twin.kind, twin.spec, twin.value) = (input.kind, input.spec.take(), input.value);
                }
                twin.fixed &= input.fixed;
                twin.take(input.targets);
            }
            None => merged.push(input),
        }
    }
    merged
}

fn is_same(one: &DetectedInput<'_>, other: &DetectedInput<'_>) -> bool {
    let number = |kind| matches!(kind, "int" | "float");
    let kinds = one.kind == other.kind || number(one.kind) && number(other.kind);
    let equal = one.value == other.value
        || one.value.as_f64().is_some_and(|value| Some(value) == other.value.as_f64());
    // Widgets that the author shows twice on one instance are meant to differ.
    if !kinds || !equal || one.chosen && other.chosen && one.scope() == other.scope() {
        return false;
    }
    let same_node = one.targets.iter().any(|place| place.node == other.targets[0].node);
    let empty = one.value.as_str().is_some_and(|text| text.trim().is_empty());
    match one.kind {
        "text" => same_node || one.base == other.base && one.shared && !empty,
        _ => one.shared && other.shared && one.base == other.base,
    }
}
