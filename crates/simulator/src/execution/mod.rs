//! Runs prompts, one at a time, on a thread of its own.

mod cache;
mod reporter;

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use self::cache::Cache;
use self::reporter::Reporter;
use crate::nodes::{self, Call, Failure};
use crate::prompt::{self, Cycle, Order};
use crate::queue::{Ending, Prompt};
use crate::state::{State, now};
use crate::value::Value;
use comfy_runner_protocol::Link;

/// Runs what is in the queue until the simulator stops.
pub fn work(state: &State) {
    let mut cache = Cache::default();
    let mut forgotten_times = 0;
    while let Some(prompt) = state.next_prompt() {
        if forgotten_times != state.forgotten_times() {
            forgotten_times = state.forgotten_times();
            cache = Cache::default();
        }
        let ending = Run::new(state, &prompt).finish(&mut cache);
        if state.finish(&prompt, ending)
            && let Some(client_id) = prompt.client_id()
        {
            let data = json!({"node": null, "prompt_id": prompt.id});
            state.sockets.send(Some(client_id), "executing", &data);
        }
    }
}

/// The outcome of running a node.
enum Outcome<'a> {
    /// It made its outputs.
    Done,
    /// It failed, and the prompt with it.
    Failed,
    /// It must wait for these nodes.
    Blocked(Vec<&'a str>),
}

/// A running prompt.
struct Run<'a> {
    state: &'a State,
    prompt: &'a Prompt,
    /// The messages for the history.
    messages: Vec<(&'static str, Json)>,
    /// Nodes that ran, in their order.
    executed: Vec<String>,
    /// Nodes that ran, or were found cached when it was their turn.
    visited: HashSet<String>,
}

impl<'a> Run<'a> {
    fn new(state: &'a State, prompt: &'a Arc<Prompt>) -> Self {
        state.set_current_client(prompt.client_id());
        Self { state, prompt, messages: Vec::new(), executed: Vec::new(), visited: HashSet::new() }
    }

    fn finish(mut self, cache: &mut Cache) -> Ending {
        let (prompt, state) = (self.prompt, self.state);
        self.emit("execution_start", json!({"prompt_id": prompt.id}), false);
        cache.set_prompt(&prompt.nodes, &state.files);
        let cached: Vec<&String> = prompt.nodes.keys().filter(|id| cache.made(id).is_some()).collect();
        self.emit("execution_cached", json!({"nodes": cached, "prompt_id": prompt.id}), false);
        let mut reporter = Reporter::new(state, prompt);
        let success = self.all_nodes(cache, &mut reporter);
        let visited_only = state.catalog.version().reports_visited_only();
        if success {
            self.emit("execution_success", json!({"prompt_id": prompt.id}), false);
        }
        state.set_current_node(None);
        let mut outputs = Map::new();
        let mut meta = Map::new();
        for (id, report) in cache.reports(&prompt.nodes) {
            if visited_only && !self.visited.contains(id) {
                continue;
            }
            outputs.insert(id.clone(), Json::Object(report.clone()));
            let place = json!({"node_id": id, "display_node": id, "parent_node": null, "real_node_id": id});
            meta.insert(id.clone(), place);
        }
        Ending { outputs, meta, success, messages: self.messages }
    }

    /// Runs every node that is needed. Returns whether all succeeded.
    fn all_nodes(&mut self, cache: &mut Cache, reporter: &mut Reporter<'_>) -> bool {
        let prompt = self.prompt;
        let mut order =
            Order::new(&prompt.nodes, &self.state.catalog, &prompt.outputs, |id| cache.made(id).is_some());
        loop {
            let id = match order.next() {
                Ok(Some(id)) => id,
                Ok(None) => return true,
                Err(Cycle(id)) => {
                    let failure = Failure::Raised {
                        kind: "graph.DependencyCycleError".to_owned(),
                        message: "Dependency cycle detected".to_owned(),
                    };
                    self.send_failure(&id, &failure, &IndexMap::new());
                    return false;
                }
            };
            if let Some(made) = cache.made(id) {
                let output = if made.report.is_empty() { Json::Null } else { json!(made.report) };
                self.send_executed(id, &output);
                self.visited.insert(id.to_owned());
                reporter.finish(id);
            } else {
                match self.node(id, cache, reporter) {
                    Outcome::Done => {}
                    Outcome::Failed => return false,
                    Outcome::Blocked(sources) => {
                        let is_cached = |id: &str| cache.made(id).is_some();
                        for source in sources {
                            order.require(id, source, is_cached);
                        }
                        continue;
                    }
                }
            }
            if self.state.signals().forgotten {
                return false;
            }
            order.done(id);
        }
    }

    /// Runs one node.
    fn node(&mut self, id: &str, cache: &mut Cache, reporter: &mut Reporter<'_>) -> Outcome<'a> {
        let (prompt, state) = (self.prompt, self.state);
        let class = prompt.nodes.get(id).map(prompt::class_type).unwrap_or_default();
        reporter.start(id);
        state.set_current_node(Some(id));
        self.send("executing", &json!({"node": id, "display_node": id, "prompt_id": prompt.id}));
        let inputs = self.inputs(id, class, cache);
        let missing = self.missing(id, class, &inputs, cache);
        if !missing.is_empty() {
            return Outcome::Blocked(missing);
        }
        let mut call = Call {
            class,
            inputs: &inputs,
            prompt: &prompt.nodes,
            extra_pnginfo: prompt.extra_data.get("extra_pnginfo").and_then(Json::as_object),
            files: &state.files,
            steps: reporter,
        };
        let made = call.steps.check().and_then(|()| nodes::run(&mut call));
        match made.and_then(|made| cache.keep(id, made)) {
            Ok(made) => {
                if !made.report.is_empty() {
                    self.send_executed(id, &json!(made.report));
                }
                self.executed.push(id.to_owned());
                self.visited.insert(id.to_owned());
                reporter.finish(id);
                Outcome::Done
            }
            Err(failure) => {
                self.send_failure(id, &failure, &inputs);
                Outcome::Failed
            }
        }
    }

    /// Returns the nodes that must run first, because the node asks for lazy inputs from them.
    fn missing(
        &self,
        id: &str,
        class: &str,
        inputs: &IndexMap<String, Value>,
        cache: &Cache,
    ) -> Vec<&'a str> {
        let prompt = self.prompt;
        let Some(node) = prompt.nodes.get(id) else { return Vec::new() };
        let asked = nodes::lazy_inputs(class, inputs);
        let links = prompt::links(node).filter(|(input, _)| asked.contains(input));
        links.map(|(_, link)| link.node).filter(|source| cache.made(source).is_none()).collect()
    }

    /// Returns a node's inputs with links resolved, without those that its schema does not have.
    fn inputs(&self, id: &str, class: &str, cache: &Cache) -> IndexMap<String, Value> {
        let Some(node) = self.prompt.nodes.get(id) else { return IndexMap::new() };
        let catalog = &self.state.catalog;
        let Some(schema) = catalog.schema(class) else { return IndexMap::new() };
        let value = |name: &str| node.get("inputs").and_then(|inputs| inputs.get(name));
        let known = schema.expanded_inputs(catalog.version().expansion(), &value);
        let known: HashSet<&str> = known.iter().map(|input| input.name.as_ref()).collect();
        let inputs = prompt::inputs(node).filter(|(name, _)| known.contains(name.as_str()));
        let resolved = inputs.map(|(name, value)| {
            let value = match Link::from_value(value) {
                Some(link) => cache.made(link.node).and_then(|made| made.outputs.get(link.output)).cloned(),
                None => Some(Value::Plain(value.clone())),
            };
            (name.clone(), value.unwrap_or(Value::Plain(Json::Null)))
        });
        resolved.collect()
    }

    /// Sends an event to the client and records it for the history. With `to_all`, sends it to every client
    /// if the prompt has none.
    fn emit(&mut self, kind: &'static str, mut data: Json, to_all: bool) {
        data["timestamp"] = json!(now());
        let client_id = self.prompt.client_id();
        if (client_id.is_some() || to_all) && !self.state.signals().forgotten {
            self.state.sockets.send(client_id, kind, &data);
        }
        self.messages.push((kind, data));
    }

    fn send_executed(&self, id: &str, output: &Json) {
        let data = json!({"node": id, "display_node": id, "output": output, "prompt_id": self.prompt.id});
        self.send("executed", &data);
    }

    /// Sends a message to the client, if there is one.
    fn send(&self, kind: &str, data: &Json) {
        if let Some(client_id) = self.prompt.client_id()
            && !self.state.signals().forgotten
        {
            self.state.sockets.send(Some(client_id), kind, data);
        }
    }

    fn send_failure(&mut self, id: &str, failure: &Failure, inputs: &IndexMap<String, Value>) {
        let class = self.prompt.nodes.get(id).map(prompt::class_type).unwrap_or_default();
        let mut data = json!({
            "prompt_id": self.prompt.id,
            "node_id": id,
            "node_type": class,
            "executed": self.executed,
        });
        match failure {
            Failure::Interrupted => self.emit("execution_interrupted", data, true),
            Failure::Raised { kind, message } => {
                let inputs: Map<String, Json> =
                    inputs.iter().map(|(name, value)| (name.clone(), json!([value.describe()]))).collect();
                data["exception_message"] = json!(format!("{message}\n"));
                data["exception_type"] = json!(kind);
                data["traceback"] = json!(["no traceback: this is a simulator\n"]);
                data["current_inputs"] = Json::Object(inputs);
                data["current_outputs"] = json!(self.prompt.nodes.keys().collect::<Vec<_>>());
                self.emit("execution_error", data, false);
            }
        }
    }
}
