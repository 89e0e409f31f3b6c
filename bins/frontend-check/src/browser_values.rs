//! Values that the browser creates when it sends a prompt, and that depend on the machine.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Parts of a rendered 3D view: uploads with generated names, and a camera.
const VIEW: [&str; 3] = ["camera_info", "normal", "recording"];

/// Warnings of the frontend about its own code. They appear for every graph with certain nodes.
const FRONTENDS_OWN: [&str; 4] = [
    "THREE.Clock: This module has been deprecated",
    "LiteGraph addWidget(...) without a callback or property assigned",
    "THREE.WebGLRenderer",
    // Nodes of partners need an account. The editor warns about it since 1.58.
    "partner_run_gate_blocked",
];

/// Returns the prompt with the values of 3D views replaced by the names of their parts.
pub fn without_views(mut prompt: Value) -> Value {
    let nodes = prompt.as_object_mut().into_iter().flat_map(|nodes| nodes.values_mut());
    for value in
        nodes.filter_map(|node| node["inputs"].as_object_mut()).flat_map(|inputs| inputs.values_mut())
    {
        let view = value.as_object().filter(|view| VIEW.iter().all(|part| view.contains_key(*part)));
        if let Some(view) = view {
            *value = json!(view.keys().collect::<BTreeSet<_>>());
        }
    }
    prompt
}

/// Returns whether a warning is about the graph. The files that nodes show are always missing.
pub fn is_about_the_graph(warning: &str) -> bool {
    !FRONTENDS_OWN.iter().any(|own| warning.contains(own)) && !warning.contains("/api/view?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_compared_by_the_names_of_its_parts() {
        let view = json!({"recording": "", "normal": "n", "camera_info": {"zoom": 1}});
        let prompt = json!({"1": {"class_type": "Load3D", "inputs": {"image": view, "box": {"x": 1}}}});
        let inputs = json!({"image": ["camera_info", "normal", "recording"], "box": {"x": 1}});
        assert_eq!(without_views(prompt)["1"]["inputs"], inputs);
    }
}
