//! The models that a graph uses.

use comfy_runner_protocol::{Graph, is_model_file};
use serde_json::Value;

/// Returns the models that a graph names, each once, in the graph's order: the values of inputs that end as model files do.
pub(crate) fn models_of(graph: &Graph) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    for value in graph.nodes.values().flat_map(|node| node.inputs.values()) {
        if let Value::String(name) = value
            && is_model_file(name)
            && !models.contains(name)
        {
            models.push(name.clone());
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn models_are_known_by_the_endings_of_their_files() {
        let graph = json!({
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd/XL.Safetensors"}},
            "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.pt", "model": ["1", 0], "strength": 1}},
            "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox.", "clip": ["1", 1]}},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd/XL.Safetensors"}},
        });
        let graph = Graph::from_value(graph).unwrap();
        assert_eq!(models_of(&graph), ["sd/XL.Safetensors", "a.pt"]);
    }
}
