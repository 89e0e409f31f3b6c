//! Signatures of nodes: nodes with the same signature have the same result.

use std::collections::HashMap;

use comfy_runner_protocol::Link;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Nodes, class_type, inputs, links};

/// A digest over a node's type, its values and everything before it.
pub type Signature = [u8; 32];

/// Returns the signature of a node: a digest of its type and values and those of its ancestors. A link is written as the
/// position of its node among the ancestors, so that the ids of nodes do not matter. `fingerprint` returns what a node
/// depends on besides its values, such as the content of a file. `None` for a node that equals no other.
pub fn signature(
    prompt: &Nodes,
    id: &str,
    fingerprint: &mut dyn FnMut(&str) -> Result<Value, NoFingerprint>,
) -> Option<Signature> {
    let mut ancestry = Ancestry::default();
    ancestry.add(prompt, id);
    let mut digest = Sha256::new();
    for member in std::iter::once(id).chain(ancestry.order.iter().copied()) {
        let node = prompt.get(member)?;
        let fingerprint = fingerprint(member).ok()?;
        let mut sorted: Vec<_> = inputs(node).collect();
        sorted.sort_by_key(|(name, _)| *name);
        feed(&mut digest, class_type(node));
        feed(&mut digest, &fingerprint.to_string());
        for (name, value) in sorted {
            feed(&mut digest, name);
            match Link::from_value(value) {
                Some(link) => {
                    let place = ancestry.places.get(link.node)?;
                    feed(&mut digest, &format!("ancestor {place} {}", link.output));
                }
                None => feed(&mut digest, &value.to_string()),
            }
        }
        feed(&mut digest, "end of node");
    }
    Some(digest.finalize().into())
}

/// A node without a fingerprint, because its file cannot be read. It equals no other node, and not itself in another run.
pub struct NoFingerprint;

/// Hashes the length before the text, so that different lists of strings never have the same bytes.
fn feed(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}

#[derive(Default)]
struct Ancestry<'p> {
    order: Vec<&'p str>,
    places: HashMap<&'p str, usize>,
}

impl<'p> Ancestry<'p> {
    /// Depth first along the inputs in order of their names. A stack of our own: chains can be long.
    fn add(&mut self, prompt: &'p Nodes, id: &str) {
        let mut open = sources(prompt, id);
        while let Some(source) = open.pop() {
            if self.places.contains_key(source) {
                continue;
            }
            self.places.insert(source, self.order.len());
            self.order.push(source);
            open.extend(sources(prompt, source));
        }
    }
}

/// The nodes that a node's inputs name, the last first.
fn sources<'p>(prompt: &'p Nodes, id: &str) -> Vec<&'p str> {
    let mut named: Vec<_> = prompt.get(id).into_iter().flat_map(links).collect();
    named.sort_by(|(a, _), (b, _)| b.cmp(a));
    named.into_iter().map(|(_, link)| link.node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn signature_without_files(prompt: Value, id: &str) -> Option<Signature> {
        let Value::Object(prompt) = prompt else { panic!("a prompt is an object") };
        signature(&prompt, id, &mut |_| Ok(Value::Bool(false)))
    }

    #[test]
    fn ids_and_the_order_of_inputs_do_not_matter_but_every_value_before_does() {
        let graph = |a: &str, b: &str, color: u32| {
            json!({
                a: {"class_type": "EmptyImage", "inputs": {"color": color, "width": 8}},
                b: {"class_type": "ImageInvert", "inputs": {"image": [a, 0]}, "_meta": {"title": a}},
            })
        };
        let swapped = json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "color": 7}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        });
        assert_eq!(
            signature_without_files(graph("1", "2", 7), "2"),
            signature_without_files(graph("x", "y", 7), "y")
        );
        assert_eq!(signature_without_files(graph("1", "2", 7), "2"), signature_without_files(swapped, "2"));
        assert_ne!(
            signature_without_files(graph("1", "2", 7), "2"),
            signature_without_files(graph("1", "2", 8), "2")
        );
        assert_ne!(
            signature_without_files(graph("1", "2", 7), "2"),
            signature_without_files(graph("1", "2", 7), "1")
        );
    }

    #[test]
    fn a_node_behind_a_missing_one_is_like_no_other_and_cycles_end() {
        assert_eq!(
            signature_without_files(json!({"1": {"class_type": "A", "inputs": {"x": ["gone", 0]}}}), "1"),
            None
        );
        let cycle = json!({
            "1": {"class_type": "A", "inputs": {"x": ["2", 0]}},
            "2": {"class_type": "A", "inputs": {"x": ["1", 0]}},
        });
        assert!(signature_without_files(cycle, "1").is_some());
    }
}
