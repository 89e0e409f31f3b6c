//! The ids of nodes inside subgraphs, made unique across the graph as the editor does when it opens a file.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::graph::{Subgraph, UiGraph, UiNodeId};

/// The new ids of the nodes of a subgraph whose ids other nodes of the graph have.
pub(crate) type NewIds<'g> = HashMap<&'g UiNodeId, UiNodeId>;

/// Assigns new ids to nodes of subgraphs, in the order of the definitions: the next number that no node has.
pub(crate) fn new_ids<'g>(graph: &'g UiGraph, subgraphs: &[&'g Subgraph]) -> Vec<NewIds<'g>> {
    let numbers = graph.nodes.iter().filter(|node| matches!(node.id, UiNodeId::Number(_)));
    let mut used: HashSet<String> = numbers.map(|node| node.id.to_string()).collect();
    let state = graph.other.get("state").and_then(|state| state.get("lastNodeId")).and_then(Value::as_i64);
    let mut last = match &graph.last_node_id {
        Some(UiNodeId::Number(id)) => *id,
        _ => 0,
    };
    last = last.max(state.unwrap_or(0));
    let mut all = Vec::with_capacity(subgraphs.len());
    for subgraph in subgraphs {
        let mut new = NewIds::new();
        for node in &subgraph.nodes {
            let id = node.id.to_string();
            if used.contains(&id) {
                loop {
                    last = last.saturating_add(1);
                    if used.insert(last.to_string()) || last == i64::MAX {
                        break;
                    }
                }
                new.insert(&node.id, UiNodeId::Number(last));
            } else {
                if let Some(number) = id.parse().ok().filter(|number: &i64| number.to_string() == id) {
                    last = last.max(number);
                }
                used.insert(id);
            }
        }
        all.push(new);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_whose_id_is_taken_gets_the_next_free_number() {
        let nodes = |ids: &[i64]| ids.iter().map(|id| json!({"id": id, "type": "A"})).collect::<Vec<_>>();
        let graph: UiGraph =
            serde_json::from_value(json!({"last_node_id": 5, "nodes": nodes(&[1, 5]), "definitions":
            {"subgraphs": [{"id": "a", "nodes": nodes(&[1, 9])}, {"id": "b", "nodes": nodes(&[6, 9, 2])}]}}))
            .unwrap();
        let definitions = graph.definitions.as_ref().unwrap();
        let new = new_ids(&graph, &definitions.subgraphs.iter().collect::<Vec<_>>());
        // 6 goes to node 1 of the first subgraph, so that the second one's 6 is taken.
        assert_eq!(new[0], NewIds::from([(&UiNodeId::Number(1), UiNodeId::Number(6))]));
        assert_eq!(new[1].get(&UiNodeId::Number(6)), Some(&UiNodeId::Number(10)));
        assert_eq!(new[1].get(&UiNodeId::Number(9)), Some(&UiNodeId::Number(11)));
        assert_eq!(new[1].get(&UiNodeId::Number(2)), None);
    }
}
