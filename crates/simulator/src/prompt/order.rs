//! The order in which the nodes of a prompt run.

use std::collections::HashSet;

use indexmap::{IndexMap, IndexSet};

use super::{Nodes, class_type, links};
use crate::catalog::Catalog;

/// The nodes that are still to run. As in ComfyUI, of the nodes that are ready an output goes first, then one just
/// before an output, then one two before; else the one that was added first. What a lazy input is linked to is not
/// among them until its node asks for it.
pub struct Order<'a> {
    prompt: &'a Nodes,
    catalog: &'a Catalog,
    pending: IndexMap<&'a str, Pending<'a>>,
}

#[derive(Default)]
struct Pending<'a> {
    waits_for: HashSet<&'a str>,
    blocks: IndexSet<&'a str>,
}

/// The nodes left all wait for one another; this is one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Cycle(pub String);

impl<'a> Order<'a> {
    /// The given outputs and everything they need that `is_cached` does not have.
    pub fn new(
        prompt: &'a Nodes,
        catalog: &'a Catalog,
        outputs: &'a [String],
        is_cached: impl Fn(&str) -> bool,
    ) -> Self {
        let mut order = Self { prompt, catalog, pending: IndexMap::new() };
        for output in outputs {
            order.add(output, &is_cached);
        }
        order
    }

    fn add(&mut self, output: &'a str, is_cached: &impl Fn(&str) -> bool) {
        let mut open = vec![output];
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            let Some(node) = self.prompt.get(id) else { continue };
            if self.pending.contains_key(id) {
                continue;
            }
            self.pending.insert(id, Pending::default());
            for (input, link) in links(node) {
                if !is_cached(link.node) && !self.catalog.is_lazy(class_type(node), input) {
                    open.push(link.node);
                    found.push((link.node, id));
                }
            }
        }
        for (source, id) in found {
            self.connect(source, id);
        }
    }

    fn connect(&mut self, source: &'a str, id: &'a str) {
        if let Some(source) = self.pending.get_mut(source) {
            source.blocks.insert(id);
        }
        if let Some(node) = self.pending.get_mut(id) {
            node.waits_for.insert(source);
        }
    }

    /// Makes a node wait for what a lazy input of it is linked to. `false` if that has run already.
    pub fn require(&mut self, id: &'a str, source: &'a str, is_cached: impl Fn(&str) -> bool) -> bool {
        if is_cached(source) {
            return false;
        }
        self.add(source, &is_cached);
        self.connect(source, id);
        true
    }

    /// The node that runs next; `None` when all have run.
    pub fn next(&self) -> Result<Option<&'a str>, Cycle> {
        let Some((first, _)) = self.pending.first() else { return Ok(None) };
        let ready: Vec<&'a str> =
            self.pending.iter().filter(|(_, node)| node.waits_for.is_empty()).map(|(id, _)| *id).collect();
        let is_output =
            |id: &str| self.prompt.get(id).is_some_and(|node| self.catalog.is_output(class_type(node)));
        let after = |id: &str| self.pending.get(id).into_iter().flat_map(|node| node.blocks.iter().copied());
        let pick = |wanted: &dyn Fn(&str) -> bool| ready.iter().copied().find(|id| wanted(id));
        pick(&is_output)
            .or_else(|| pick(&|id| after(id).any(is_output)))
            .or_else(|| pick(&|id| after(id).any(|next| after(next).any(is_output))))
            .or_else(|| ready.first().copied())
            .map(Some)
            .ok_or_else(|| Cycle((*first).to_owned()))
    }

    /// Takes a node out that has run.
    pub fn done(&mut self, id: &str) {
        let Some(node) = self.pending.shift_remove(id) else { return };
        for waiting in node.blocks {
            if let Some(waiting) = self.pending.get_mut(waiting) {
                waiting.waits_for.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run_order(prompt: Value, outputs: &[&str], cached: &[&str]) -> Result<Vec<String>, Cycle> {
        let Value::Object(prompt) = prompt else { panic!("a prompt is an object") };
        let catalog = Catalog::new(crate::version::Version::default(), &[]).unwrap();
        let outputs: Vec<String> = outputs.iter().map(|id| (*id).to_owned()).collect();
        let mut order = Order::new(&prompt, &catalog, &outputs, |id| cached.contains(&id));
        let mut ran = Vec::new();
        while let Some(id) = order.next()? {
            ran.push(id.to_owned());
            order.done(id);
        }
        Ok(ran)
    }

    fn two_outputs() -> Value {
        json!({
            "1": {"class_type": "EmptyImage", "inputs": {}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
            "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        })
    }

    #[test]
    fn an_output_that_is_ready_goes_before_other_work() {
        assert_eq!(run_order(two_outputs(), &["3", "4"], &[]).unwrap(), ["1", "4", "2", "3"]);
    }

    #[test]
    fn what_is_cached_is_not_run_but_a_cached_output_is_visited() {
        assert_eq!(run_order(two_outputs(), &["3"], &["1", "2", "3"]).unwrap(), ["3"]);
    }

    #[test]
    fn a_lazy_input_is_waited_for_once_it_is_required() {
        let Value::Object(prompt) = json!({
            "1": {"class_type": "EmptyImage", "inputs": {}},
            "2": {"class_type": "EmptyImage", "inputs": {}},
            "3": {"class_type": "ComfySwitchNode", "inputs": {"switch": true, "on_true": ["1", 0], "on_false": ["2", 0]}},
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
        }) else {
            unreachable!()
        };
        let catalog = Catalog::new(crate::version::Version::V0_33_0, &[]).unwrap();
        let outputs = ["4".to_owned()];
        let mut order = Order::new(&prompt, &catalog, &outputs, |_| false);
        assert_eq!(order.next(), Ok(Some("3")));
        assert!(order.require("3", "1", |_| false) && !order.require("3", "2", |id| id == "2"));
        for id in ["1", "3", "4"] {
            assert_eq!(order.next(), Ok(Some(id)));
            order.done(id);
        }
        assert_eq!(order.next(), Ok(None));
    }

    #[test]
    fn a_cycle_is_an_error() {
        let prompt = json!({
            "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
            "1b": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        });
        let mut prompt = prompt;
        prompt["1"]["inputs"]["image"] = json!(["1b", 0]);
        assert!(run_order(prompt, &["2"], &[]).is_err());
    }
}
