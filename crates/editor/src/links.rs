//! Resolves links through reroutes, bypassed nodes and the borders of subgraphs.

use serde_json::Value;

use crate::graph::{Mode, SUBGRAPH_INPUT};
use crate::subgraph::{Expanded, LoadedNode, NodeRole};
use crate::to_api::ToApiError;

/// The origin of the value of an input.
pub(crate) enum Origin {
    /// A node's output: the node's id in the prompt, and the output's index.
    Link(String, i64),
    /// The value of a widget of a subgraph instance.
    Value(Value),
}

/// A slot of a node of an instance, during resolution.
#[derive(Clone, Copy)]
enum Position {
    Input { instance: usize, node: usize, slot: usize },
    Output { instance: usize, node: usize, slot: i64 },
}

/// Finds the output or the widget value at the origin of an input, if there is one.
pub(crate) fn resolve_link(
    expanded: &Expanded<'_>,
    instance: usize,
    node: usize,
    slot: usize,
) -> Result<Option<Origin>, ToApiError> {
    let mut place = Position::Input { instance, node, slot };
    // The type of the input that is resolved. A bypassed node looks for an input of this type.
    let mut asked: Option<&str> = None;
    // More steps than there are slots mean that a slot was visited twice.
    for _ in 0..expanded.slot_count {
        place = match place {
            Position::Input { instance, node, slot } => {
                let loaded = expanded.node(instance, node);
                let Some(input) = loaded.inputs.get(slot) else { return Ok(None) };
                let Some(link) = input.link else { return Ok(None) };
                let definition = expanded.definition(instance);
                let Some(found) = definition.links.get(&link) else {
                    let (node, input) = (expanded.id(instance, node), input.name.to_string());
                    return Err(ToApiError::MissingLink { node, input, link });
                };
                if let (true, Some((outer, user))) =
                    (found.origin_id == SUBGRAPH_INPUT, expanded.instances[instance].parent)
                {
                    // The border of the subgraph: continue at the input of its instance.
                    let at = usize::try_from(found.origin_slot).unwrap_or(usize::MAX);
                    let Some(given) = expanded.node(outer, user).inputs.get(at) else {
                        let (node, slot) = (expanded.id(outer, user), found.origin_slot);
                        return Err(ToApiError::MissingSlot { link: found.id, node, slot });
                    };
                    if given.link.is_none() {
                        return Ok(crate::promoted::value(expanded, outer, user, at).map(Origin::Value));
                    }
                    asked = None;
                    Position::Input { instance: outer, node: user, slot: at }
                } else {
                    let Some(&origin) = definition.by_id.get(&found.origin_id) else {
                        let node = format!("{}{}", expanded.instances[instance].prefix, found.origin_id);
                        return Err(ToApiError::MissingNode { link: found.id, node });
                    };
                    asked.get_or_insert(&input.kind);
                    if output_missing(expanded, instance, origin, found.origin_slot) {
                        let (node, slot) = (expanded.id(instance, origin), found.origin_slot);
                        return Err(ToApiError::MissingSlot { link: found.id, node, slot });
                    }
                    Position::Output { instance, node: origin, slot: found.origin_slot }
                }
            }
            Position::Output { instance, node, slot } => {
                let loaded = expanded.node(instance, node);
                if loaded.mode() == Mode::Muted && expanded.rules.skips_inactive_subgraphs {
                    return Ok(None);
                }
                if loaded.mode() == Mode::Bypassed {
                    let Some(slot) = passed_through(loaded, slot, asked.take().unwrap_or_default()) else {
                        return Ok(None);
                    };
                    Position::Input { instance, node, slot }
                } else {
                    match loaded.role {
                        NodeRole::Subgraph(_) => match into(expanded, instance, node, slot)? {
                            Some(place) => place,
                            None => return Ok(None),
                        },
                        NodeRole::Executed(_) | NodeRole::Unknown => {
                            return Ok(Some(Origin::Link(expanded.id(instance, node), slot)));
                        }
                        // A reroute's only input; primitives and notes have none.
                        _ => match usize::try_from(slot) {
                            Ok(slot) => Position::Input { instance, node, slot },
                            Err(_) => return Ok(None),
                        },
                    }
                }
            }
        };
    }
    let input = expanded.node(instance, node).inputs[slot].name.to_string();
    Err(ToApiError::Cycle { node: expanded.id(instance, node), input })
}

/// Enters a subgraph, at the origin of one of its outputs.
fn into(
    expanded: &Expanded<'_>,
    instance: usize,
    node: usize,
    slot: i64,
) -> Result<Option<Position>, ToApiError> {
    let Some(&inner) = expanded.instances[instance].inner.get(&node) else { return Ok(None) };
    let definition = expanded.definition(inner);
    let Some(result) = definition.results.get(&slot) else { return Ok(None) };
    if result.origin_id == SUBGRAPH_INPUT {
        // A link from an input of the subgraph to an output.
        return Ok(usize::try_from(result.origin_slot).ok().map(|slot| Position::Input {
            instance,
            node,
            slot,
        }));
    }
    let Some(&origin) = definition.by_id.get(&result.origin_id) else {
        let node = format!("{}{}", expanded.instances[inner].prefix, result.origin_id);
        return Err(ToApiError::MissingNode { link: result.id, node });
    };
    Ok(Some(Position::Output { instance: inner, node: origin, slot: result.origin_slot }))
}

fn output_missing(expanded: &Expanded<'_>, instance: usize, node: usize, slot: i64) -> bool {
    let loaded = expanded.node(instance, node);
    let declared = match loaded.role {
        NodeRole::Executed(schema) => schema.output.len(),
        NodeRole::Subgraph(definition) => {
            expanded.definitions[definition].subgraph.map_or(0, |subgraph| subgraph.outputs.len())
        }
        NodeRole::Reroute | NodeRole::Primitive => 1,
        NodeRole::Note | NodeRole::Unknown => 0,
    };
    usize::try_from(slot).map_or(true, |slot| slot >= declared.max(loaded.node.outputs.len()))
}

/// Returns the input that a bypassed node passes on to this output, for a target of the given type.
fn passed_through(loaded: &LoadedNode<'_>, slot: i64, asked: &str) -> Option<usize> {
    let slot = usize::try_from(slot).ok()?;
    let inputs = &loaded.inputs;
    if matches!(asked, "*" | "") {
        return Some(if inputs.len() > slot { slot } else { 0 });
    }
    let given = loaded.output_kind(slot).unwrap_or("*");
    let fits = |kind: &str| connects(kind, given) && connects(kind, asked);
    if inputs.get(slot).is_some_and(|input| fits(&input.kind)) {
        return Some(slot);
    }
    let exact = inputs.iter().position(|input| input.kind == asked);
    exact.or_else(|| inputs.iter().position(|input| fits(&input.kind)))
}

/// Returns whether the editor allows a link between slots of these types.
pub(crate) fn connects(one: &str, other: &str) -> bool {
    if matches!(one, "" | "*" | "0") || matches!(other, "" | "*" | "0") {
        return true;
    }
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    one.split(',').any(|one| other.split(',').any(|other| one == other || one == "*" || other == "*"))
}
