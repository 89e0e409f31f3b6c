//! Follows a link back through all that the editor sees through: reroutes, bypassed nodes, borders of subgraphs.

use serde_json::Value;

use super::graph::{Mode, SUBGRAPH_INPUT};
use super::sheet::{Opened, Placed, Role};
use super::to_api::ToApiError;

/// What an input turns out to hold.
pub(super) enum Source {
    /// A node's output: the node's id in the prompt, and the output's index.
    Link(String, i64),
    /// The value of a widget on a use of a subgraph.
    Value(Value),
}

/// Where a trace stands: at a slot of a node of a scope.
#[derive(Clone, Copy)]
enum Place {
    Input { scope: usize, node: usize, slot: usize },
    Output { scope: usize, node: usize, slot: i64 },
}

/// What stands at the other end of an input, if anything.
pub(super) fn source(
    opened: &Opened<'_>,
    scope: usize,
    node: usize,
    slot: usize,
) -> Result<Option<Source>, ToApiError> {
    let mut place = Place::Input { scope, node, slot };
    // The type that the input asks for; bypassed nodes look for an input of it.
    let mut asked: Option<&str> = None;
    // Whoever takes more steps than there are places has been somewhere twice.
    for _ in 0..opened.places {
        place = match place {
            Place::Input { scope, node, slot } => {
                let placed = opened.node(scope, node);
                let Some(input) = placed.inputs.get(slot) else { return Ok(None) };
                let Some(link) = input.link else { return Ok(None) };
                let sheet = opened.sheet(scope);
                let Some(found) = sheet.links.get(&link) else {
                    let (node, input) = (opened.id(scope, node), input.name.to_string());
                    return Err(ToApiError::MissingLink { node, input, link });
                };
                if let (true, Some((outer, user))) =
                    (found.origin_id == SUBGRAPH_INPUT, opened.scopes[scope].parent)
                {
                    // Out of the subgraph, to what its use is given.
                    let at = usize::try_from(found.origin_slot).unwrap_or(usize::MAX);
                    let Some(given) = opened.node(outer, user).inputs.get(at) else {
                        let (node, slot) = (opened.id(outer, user), found.origin_slot);
                        return Err(ToApiError::MissingSlot { link: found.id, node, slot });
                    };
                    if given.link.is_none() {
                        return Ok(super::promoted::value(opened, outer, user, at).map(Source::Value));
                    }
                    asked = None;
                    Place::Input { scope: outer, node: user, slot: at }
                } else {
                    let Some(&origin) = sheet.by_id.get(&found.origin_id) else {
                        let node = format!("{}{}", opened.scopes[scope].prefix, found.origin_id);
                        return Err(ToApiError::MissingNode { link: found.id, node });
                    };
                    asked.get_or_insert(&input.kind);
                    if output_missing(opened, scope, origin, found.origin_slot) {
                        let (node, slot) = (opened.id(scope, origin), found.origin_slot);
                        return Err(ToApiError::MissingSlot { link: found.id, node, slot });
                    }
                    Place::Output { scope, node: origin, slot: found.origin_slot }
                }
            }
            Place::Output { scope, node, slot } => {
                let placed = opened.node(scope, node);
                if placed.mode() == Mode::Bypassed {
                    let Some(slot) = passed_through(placed, slot, asked.take().unwrap_or_default()) else {
                        return Ok(None);
                    };
                    Place::Input { scope, node, slot }
                } else {
                    match placed.role {
                        Role::Uses(_) => match into(opened, scope, node, slot)? {
                            Some(place) => place,
                            None => return Ok(None),
                        },
                        Role::Runs(_) | Role::Unknown => {
                            return Ok(Some(Source::Link(opened.id(scope, node), slot)));
                        }
                        // A reroute's only input; primitives and notes have none.
                        _ => match usize::try_from(slot) {
                            Ok(slot) => Place::Input { scope, node, slot },
                            Err(_) => return Ok(None),
                        },
                    }
                }
            }
        };
    }
    let input = opened.node(scope, node).inputs[slot].name.to_string();
    Err(ToApiError::Cycle { node: opened.id(scope, node), input })
}

/// Into a subgraph, to what gives this of its outputs.
fn into(opened: &Opened<'_>, scope: usize, node: usize, slot: i64) -> Result<Option<Place>, ToApiError> {
    let Some(&inner) = opened.scopes[scope].inner.get(&node) else { return Ok(None) };
    let sheet = opened.sheet(inner);
    let Some(result) = sheet.results.get(&slot) else { return Ok(None) };
    if result.origin_id == SUBGRAPH_INPUT {
        // Straight through: in at one side, out at the other.
        return Ok(usize::try_from(result.origin_slot).ok().map(|slot| Place::Input { scope, node, slot }));
    }
    let Some(&origin) = sheet.by_id.get(&result.origin_id) else {
        let node = format!("{}{}", opened.scopes[inner].prefix, result.origin_id);
        return Err(ToApiError::MissingNode { link: result.id, node });
    };
    Ok(Some(Place::Output { scope: inner, node: origin, slot: result.origin_slot }))
}

fn output_missing(opened: &Opened<'_>, scope: usize, node: usize, slot: i64) -> bool {
    let placed = opened.node(scope, node);
    let declared = match placed.role {
        Role::Runs(schema) => schema.output.len(),
        Role::Uses(sheet) => opened.sheets[sheet].definition.map_or(0, |subgraph| subgraph.outputs.len()),
        Role::Reroute | Role::Primitive => 1,
        Role::Note | Role::Unknown => 0,
    };
    usize::try_from(slot).map_or(true, |slot| slot >= declared.max(placed.node.outputs.len()))
}

/// The input that a bypassed node passes on to this output, for a link to an input that asks for this type.
fn passed_through(placed: &Placed<'_>, slot: i64, asked: &str) -> Option<usize> {
    let slot = usize::try_from(slot).ok()?;
    let inputs = &placed.inputs;
    if matches!(asked, "*" | "") {
        return Some(if inputs.len() > slot { slot } else { 0 });
    }
    let given = placed.output_kind(slot).unwrap_or("*");
    let fits = |kind: &str| connects(kind, given) && connects(kind, asked);
    if inputs.get(slot).is_some_and(|input| fits(&input.kind)) {
        return Some(slot);
    }
    let exact = inputs.iter().position(|input| input.kind == asked);
    exact.or_else(|| inputs.iter().position(|input| fits(&input.kind)))
}

/// Whether the editor lets slots of these types be linked.
pub(super) fn connects(one: &str, other: &str) -> bool {
    if matches!(one, "" | "*" | "0") || matches!(other, "" | "*" | "0") {
        return true;
    }
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    one.split(',').any(|one| other.split(',').any(|other| one == other || one == "*" || other == "*"))
}
