//! The parts of a graph that a job needs: ids, titles, types and links, in a few allocations.

use comfy_runner_protocol::{Graph, Link, Node, NodeId};

/// The position of a node in the graph's order.
pub(crate) type Position = usize;

/// Virtual nodes: types of the editor. If an export contains them, they take no time or do not run.
const DO_NOTHING: [&str; 4] = ["Reroute", "Note", "MarkdownNote", "PrimitiveNode"];

/// The number of nodes over which sigmas are traced back.
const SIGMAS_FROM: usize = 8;

#[derive(Debug, Clone)]
pub(crate) struct Outline {
    /// Ids, titles and types, one after the other.
    text: Box<str>,
    nodes: Box<[Facts]>,
    /// Positions in the order of their ids, for finding a node.
    by_id: Box<[u32]>,
    /// The targets of links, node by node.
    links: Box<[u32]>,
    /// The output nodes.
    outputs: Box<[u32]>,
}

/// Where a node's strings and links end. They begin where those of the previous node end.
#[derive(Debug, Clone, Copy)]
struct Facts {
    id_start: u32,
    title_start: u32,
    /// Equal to `title_start` when the node's title is its type.
    class_start: u32,
    end: u32,
    links_start: u32,
    links_end: u32,
    /// 0 if the graph asks for no steps.
    steps: f32,
    does_nothing: bool,
}

impl Outline {
    /// Creates the outline of a graph. If `outputs` is `None`, the nodes without a link to them count as outputs.
    pub(crate) fn new(graph: &Graph, outputs: Option<&[NodeId]>) -> Self {
        let mut text = String::new();
        let mut links = Vec::new();
        let mut linked = vec![false; graph.len()];
        let mut nodes = Vec::with_capacity(graph.len());
        for (id, node) in &graph.nodes {
            let id_start = text.len() as u32;
            text.push_str(id);
            let title_start = text.len() as u32;
            if node.title() != node.class_type {
                text.push_str(node.title());
            }
            let class_start = text.len() as u32;
            text.push_str(&node.class_type);
            let links_start = links.len() as u32;
            for (_, link) in node.links() {
                if let Some(position) = graph.nodes.get_index_of(link.node) {
                    linked[position] = true;
                    links.push(position as u32);
                }
            }
            nodes.push(Facts {
                id_start,
                title_start,
                class_start,
                end: text.len() as u32,
                links_start,
                links_end: links.len() as u32,
                steps: steps_of(graph, node).unwrap_or(0.0) as f32,
                does_nothing: DO_NOTHING.contains(&node.class_type.as_str()),
            });
        }
        let outputs = match outputs {
            Some(ids) => {
                ids.iter().filter_map(|id| graph.nodes.get_index_of(id)).map(|at| at as u32).collect()
            }
            None => (0..graph.len()).filter(|&at| !linked[at]).map(|at| at as u32).collect(),
        };
        let mut outline = Self {
            text: text.into(),
            nodes: nodes.into(),
            by_id: (0..graph.len() as u32).collect(),
            links: links.into(),
            outputs,
        };
        let mut by_id = std::mem::take(&mut outline.by_id);
        by_id.sort_unstable_by_key(|&position| outline.id(position as usize));
        outline.by_id = by_id;
        outline
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn position(&self, id: &str) -> Option<Position> {
        let found = self.by_id.binary_search_by(|&position| self.id(position as usize).cmp(id)).ok()?;
        Some(self.by_id[found] as usize)
    }

    pub(crate) fn id(&self, at: Position) -> &str {
        let facts = &self.nodes[at];
        self.slice(facts.id_start, facts.title_start)
    }

    pub(crate) fn title(&self, at: Position) -> &str {
        let facts = &self.nodes[at];
        match self.slice(facts.title_start, facts.class_start) {
            "" => self.class_type(at),
            title => title,
        }
    }

    pub(crate) fn class_type(&self, at: Position) -> &str {
        let facts = &self.nodes[at];
        self.slice(facts.class_start, facts.end)
    }

    /// Returns the steps that the graph asks for. See [`steps_of`].
    pub(crate) fn steps(&self, at: Position) -> Option<f64> {
        let steps = self.nodes[at].steps;
        (steps > 0.0).then_some(f64::from(steps))
    }

    pub(crate) fn does_nothing(&self, at: Position) -> bool {
        self.nodes[at].does_nothing
    }

    /// Removes some of the outputs.
    pub(crate) fn leave_out(&mut self, without: impl Fn(&str) -> bool) {
        let kept = self.outputs.iter().filter(|&&at| !without(self.id(at as usize))).copied().collect();
        self.outputs = kept;
    }

    /// Returns which nodes run, given which are cached. A cached node needs nothing upstream.
    pub(crate) fn will_run(&self, is_cached: impl Fn(Position) -> bool) -> Box<[bool]> {
        let mut wanted = vec![false; self.len()];
        let mut open: Vec<u32> = self.outputs.to_vec();
        while let Some(position) = open.pop() {
            let at = position as usize;
            if is_cached(at) || std::mem::replace(&mut wanted[at], true) {
                continue;
            }
            let facts = &self.nodes[at];
            open.extend(&self.links[facts.links_start as usize..facts.links_end as usize]);
        }
        for (at, wanted) in wanted.iter_mut().enumerate() {
            *wanted &= !self.does_nothing(at);
        }
        wanted.into()
    }

    fn slice(&self, from: u32, to: u32) -> &str {
        &self.text[from as usize..to as usize]
    }
}

/// Returns the steps that a graph asks for. ComfyUI's samplers have an input `steps`. Those with `sigmas` get them from a
/// scheduler with such an input, sometimes through nodes that split them.
fn steps_of(graph: &Graph, node: &Node) -> Option<f64> {
    let mut node = node;
    for _ in 0..=SIGMAS_FROM {
        if let Some(steps) = node.inputs.get("steps") {
            let literal = match Link::from_value(steps) {
                Some(link) => graph.node(link.node)?.inputs.get("value")?,
                None => steps,
            };
            return literal.as_f64().filter(|steps| steps.is_finite() && *steps > 0.0);
        }
        node = graph.node(Link::from_value(node.inputs.get("sigmas")?)?.node)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph() -> Graph {
        Graph::from_value(json!({
            "10": {"class_type": "Load", "inputs": {}, "_meta": {"title": "The lädt"}},
            "9": {"class_type": "Reroute", "inputs": {"": ["10", 0]}},
            "2": {"class_type": "Save", "inputs": {"x": ["9", 0], "y": ["gone", 0]}},
            "a": {"class_type": "Unused", "inputs": {"x": ["10", 0]}},
        }))
        .unwrap()
    }

    fn ids(outline: &Outline, wanted: &[bool]) -> Vec<String> {
        (0..outline.len()).filter(|&at| wanted[at]).map(|at| outline.id(at).to_owned()).collect()
    }

    #[test]
    fn every_node_is_found_again_with_its_title_and_type() {
        let (graph, outline) = (graph(), Outline::new(&graph(), None));
        for (at, (id, node)) in graph.nodes.iter().enumerate() {
            assert_eq!(outline.position(id), Some(at));
            assert_eq!((outline.id(at), outline.title(at)), (id.as_str(), node.title()));
            assert_eq!(outline.class_type(at), node.class_type);
        }
        assert_eq!(outline.position("gone"), None);
    }

    #[test]
    fn what_runs_are_the_ancestors_of_outputs_that_are_neither_cached_nor_idle() {
        let sinks = Outline::new(&graph(), None);
        assert_eq!(ids(&sinks, &sinks.will_run(|_| false)), ["10", "2", "a"]);
        let known = Outline::new(&graph(), Some(&["2".into(), "gone".into()]));
        assert_eq!(ids(&known, &known.will_run(|_| false)), ["10", "2"]);
    }

    #[test]
    fn what_only_a_cached_node_needs_does_not_run() {
        let outline = Outline::new(&graph(), Some(&["2".into()]));
        let reroute = outline.position("9").unwrap();
        assert_eq!(ids(&outline, &outline.will_run(|at| at == reroute)), ["2"]);
    }

    #[test]
    fn the_steps_of_a_node_are_its_own_or_those_of_the_scheduler_its_sigmas_come_from() {
        let graph = Graph::from_value(json!({
            "own": {"class_type": "KSampler", "inputs": {"steps": 20}},
            "linked": {"class_type": "KSampler", "inputs": {"steps": ["number", 0]}},
            "number": {"class_type": "PrimitiveInt", "inputs": {"value": 7}},
            "custom": {"class_type": "SamplerCustomAdvanced", "inputs": {"sigmas": ["cut", 1]}},
            "cut": {"class_type": "SplitSigmas", "inputs": {"sigmas": ["scheduler", 0], "step": 3}},
            "scheduler": {"class_type": "BasicScheduler", "inputs": {"steps": 12}},
            "circle": {"class_type": "SplitSigmas", "inputs": {"sigmas": ["circle", 0]}},
            "none": {"class_type": "SaveImage", "inputs": {"steps": "many"}},
            "bad": {"class_type": "KSampler", "inputs": {"steps": -1}},
        }))
        .unwrap();
        let outline = Outline::new(&graph, None);
        let steps = |id: &str| outline.steps(outline.position(id).unwrap());
        assert_eq!(["own", "linked", "custom"].map(steps), [Some(20.0), Some(7.0), Some(12.0)]);
        assert_eq!(["circle", "none", "bad", "number"].map(steps), [None; 4]);
    }
}
