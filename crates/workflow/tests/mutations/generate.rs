//! A graph for a node type: its required inputs have values within their ranges, or links to nodes that give them.

use comfy_runner_protocol::{DynamicInput, InputKind, InputSpec, NodeInputs, ObjectInfo};
use serde_json::{Map, Value, json};

use super::random::Random;

/// How far back from the output nodes are added.
const DEEPEST: usize = 3;

/// A graph of one or two output nodes and what they need, as far as the schemas have it.
pub fn graph(random: &mut Random, info: &ObjectInfo) -> Map<String, Value> {
    let mut writer = Writer { info, graph: Map::new() };
    let outputs: Vec<&String> =
        info.iter().filter(|(_, schema)| schema.output_node).map(|(name, _)| name).collect();
    for _ in 0..1 + random.below(2) {
        let class = match random.pick(&outputs) {
            // An output node that depends on a node of any type, where there is one for its type.
            Some(class) => (*class).clone(),
            None => return writer.graph,
        };
        writer.node(random, &class, 0);
    }
    if random.once_in(2) {
        // Previews of any output, so that every node type is reached.
        let classes: Vec<&String> = info.keys().collect();
        if let Some(class) = random.pick(&classes)
            && info.contains_key("PreviewAny")
            && !info[*class].output.is_empty()
        {
            let source = writer.node(random, class, 0);
            let inputs = json!({"source": [source, random.below(info[*class].output.len())]});
            writer.add(json!({"class_type": "PreviewAny", "inputs": inputs}));
        }
    }
    writer.graph
}

struct Writer<'i> {
    info: &'i ObjectInfo,
    graph: Map<String, Value>,
}

impl Writer<'_> {
    fn add(&mut self, node: Value) -> String {
        let id = (self.graph.len() + 1).to_string();
        self.graph.insert(id.clone(), node);
        id
    }

    fn node(&mut self, random: &mut Random, class: &str, depth: usize) -> String {
        let id =
            self.add(json!({"class_type": class, "inputs": {}, "_meta": {"title": format!("The {class}")}}));
        let mut inputs = Map::new();
        let declared = &self.info[class].input;
        self.inputs(random, declared, "", depth, &mut inputs);
        self.graph[&id]["inputs"] = Value::Object(inputs);
        id
    }

    fn inputs(
        &mut self,
        random: &mut Random,
        declared: &NodeInputs,
        prefix: &str,
        depth: usize,
        inputs: &mut Map<String, Value>,
    ) {
        for (name, spec, requirement) in declared.iter() {
            let is_optional = requirement == comfy_runner_protocol::Requirement::Optional;
            if is_optional && !random.once_in(3) {
                continue;
            }
            let name = format!("{prefix}{name}");
            match spec.dynamic() {
                Some(DynamicInput::Combo(options)) => {
                    if let Some(option) = random.pick(options) {
                        inputs.insert(name.clone(), option.key.clone());
                        self.inputs(random, &option.inputs, &format!("{name}."), depth, inputs);
                    }
                }
                Some(DynamicInput::Autogrow(autogrow)) => {
                    let count = autogrow.min + random.below(2);
                    for created in autogrow.names.iter().take(count) {
                        if let Some(value) = self.value(random, &autogrow.template, depth) {
                            inputs.insert(format!("{name}.{created}"), value);
                        }
                    }
                }
                Some(_) => {}
                None => {
                    if let Some(value) = self.value(random, spec, depth) {
                        inputs.insert(name, value);
                    }
                }
            }
        }
    }

    /// A value or a link; nothing when no node gives one.
    fn value(&mut self, random: &mut Random, spec: &InputSpec, depth: usize) -> Option<Value> {
        let default = spec.options.get("default").cloned();
        match &spec.kind {
            InputKind::Int => {
                Some(default.unwrap_or_else(|| spec.options.get("min").cloned().unwrap_or(json!(1))))
            }
            InputKind::Float => Some(default.unwrap_or(json!(1.0))),
            InputKind::Boolean => Some(json!(random.once_in(2))),
            InputKind::String => Some(default.unwrap_or(json!("some text"))),
            InputKind::Combo(choices) => {
                Some(random.pick(choices).cloned().unwrap_or(json!("none.safetensors")))
            }
            _ if spec.is_socketless() => Some(default.unwrap_or_default()),
            _ => self.link(random, spec, depth),
        }
    }

    fn link(&mut self, random: &mut Random, spec: &InputSpec, depth: usize) -> Option<Value> {
        let fits = |given: &str| {
            spec.types().any(|taken| taken == given || taken == "*" || taken == "COMFY_MATCHTYPE_V3")
        };
        let mut sources = Vec::new();
        let info = self.info;
        for (class, schema) in info {
            let needs =
                schema.input.required.values().filter(|spec| matches!(spec.kind, InputKind::Other(_)));
            let needs = needs.count();
            for (slot, _) in schema.output.iter().enumerate().filter(|(_, given)| fits(given)) {
                // Deep down, only nodes that need no other.
                if depth < DEEPEST || needs == 0 {
                    sources.push((class, slot));
                }
            }
        }
        let (class, slot) = *random.pick(&sources)?;
        let known = self.graph.iter().find(|(_, node)| node["class_type"] == class.as_str());
        let id = match known {
            // Nodes are shared now and then. One that is not complete yet could close a cycle.
            Some((id, node)) if random.once_in(2) && node["inputs"] != json!({}) => id.clone(),
            _ => self.node(random, class, depth + 1),
        };
        Some(json!([id, slot]))
    }
}
