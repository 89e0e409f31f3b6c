//! Injects a request's LoRA loaders and VAE into a block.

use comfy_runner_manifest::DiagnosticKind;
use comfy_runner_protocol::{Link, Node};
use serde_json::{Map, Value, json};

use super::assemble::{Instance, NodeOutput, Walk};
use super::loras::{self, Lora};
use crate::template::{Variables, is_true};

impl<'a> Walk<'a> {
    /// Inserts a chain of loaders between the `model` and `clip` exports and the nodes that use them.
    pub(super) fn chain_loras(
        &mut self,
        instance: &Instance<'a>,
        variables: &Variables<'_>,
        exports: &mut [(String, NodeOutput)],
    ) {
        let loras = match loras::picked(&self.workflow.manifest, variables) {
            Ok(loras) => loras,
            Err(reason) => {
                return self.refuse(instance.stage, DiagnosticKind::Stage, "lora_injection", reason);
            }
        };
        let of =
            |name: &str| exports.iter().find(|(export, _)| export == name).map(|(_, output)| output.clone());
        let (Some(model), clip) = (of("model"), of("clip")) else {
            if !loras.is_empty() {
                let reason = "`lora_injection` needs a block that exports `model`".to_owned();
                self.refuse(instance.stage, DiagnosticKind::Stage, "lora_injection", reason);
            }
            return;
        };
        let (mut last_model, mut last_clip) = (model.clone(), clip.clone());
        let last_own = self.built.graph.len();
        for (n, Lora { file, strength, strength_clip }) in loras.into_iter().enumerate() {
            let id = format!("{}lora_{}", instance.prefix, n + 1);
            let mut inputs = Map::new();
            inputs.insert("model".to_owned(), json!([last_model.0, last_model.1]));
            if let Some((node, output)) = &last_clip {
                inputs.insert("clip".to_owned(), json!([node, output]));
            }
            inputs.insert("lora_name".to_owned(), file.as_str().into());
            inputs.insert("strength_model".to_owned(), strength.clone());
            if last_clip.is_some() {
                inputs.insert("strength_clip".to_owned(), strength_clip.unwrap_or(strength));
            }
            let class = if last_clip.is_some() { "LoraLoader" } else { "LoraLoaderModelOnly" };
            if !self.add(instance, id.clone(), injected(class, inputs, &format!("LoRA: {file}")), None) {
                return;
            }
            last_clip = last_clip.map(|_| (id.clone(), 1));
            last_model = (id, 0);
        }
        let moves = [Some((model, last_model)), clip.zip(last_clip)];
        for (from, to) in moves.into_iter().flatten() {
            self.relink(instance.first..last_own, &from, &to);
        }
        // Only the exports of these names: another name for the same output is unchanged.
        let last = self.built.graph.len();
        if last > last_own {
            for (name, output) in exports.iter_mut() {
                let id = format!("{}lora_{}", instance.prefix, last - last_own);
                match name.as_str() {
                    "model" => *output = (id, 0),
                    "clip" => *output = (id, 1),
                    _ => {}
                }
            }
        }
    }

    /// Fills numbered slots of the block's two loader nodes.
    pub(super) fn pair_loras(
        &mut self,
        instance: &Instance<'a>,
        variables: &Variables<'_>,
        nodes: &[String; 2],
        start_slot: u64,
    ) {
        let sides = match loras::paired(&self.workflow.manifest, variables) {
            Ok(sides) => sides,
            Err(reason) => {
                return self.refuse(instance.stage, DiagnosticKind::Stage, "lora_injection", reason);
            }
        };
        for (local, loras) in nodes.iter().zip(sides) {
            let id = format!("{}{local}", instance.prefix);
            let Some(node) = self.built.graph.nodes.get_mut(&id) else {
                let reason =
                    format!("`lora_nodes` names \"{local}\", which is not a node of {}", instance.block.file);
                self.refuse(instance.stage, DiagnosticKind::Stage, "lora_nodes", reason);
                continue;
            };
            for (slot, lora) in (start_slot..).zip(loras) {
                let value = json!({"on": true, "lora": lora.file, "strength": lora.strength});
                node.inputs.insert(format!("lora_{slot}"), value);
            }
        }
    }

    /// Replaces the block's VAE with the caller's.
    pub(super) fn override_vae(
        &mut self,
        instance: &Instance<'a>,
        variables: &Variables<'_>,
        exports: &mut [(String, NodeOutput)],
    ) {
        let Some(name) = variables.get("vae_override").filter(|vae| is_true(vae)).and_then(Value::as_str)
        else {
            return;
        };
        let Some((_, output)) = exports.iter_mut().find(|(export, _)| export == "vae") else {
            let reason = "`vae_override` needs a block that exports `vae`".to_owned();
            return self.refuse(instance.stage, DiagnosticKind::Stage, "vae_override", reason);
        };
        let id = format!("{}vae_override", instance.prefix);
        let own = instance.first..self.built.graph.len();
        let inputs = [("vae_name".to_owned(), Value::from(name))].into_iter().collect();
        if self.add(instance, id.clone(), injected("VAELoader", inputs, &format!("VAE: {name}")), None) {
            let from = std::mem::replace(output, (id, 0));
            let to = output.clone();
            self.relink(own, &from, &to);
        }
    }

    /// Relinks the nodes in this range from one output to another.
    fn relink(&mut self, nodes: std::ops::Range<usize>, from: &NodeOutput, to: &NodeOutput) {
        if from == to {
            return;
        }
        for node in nodes {
            let Some((_, node)) = self.built.graph.nodes.get_index_mut(node) else { continue };
            for value in node.inputs.values_mut() {
                if Link::from_value(value)
                    .is_some_and(|link| link.node == from.0 && link.output as u64 == from.1)
                {
                    *value = json!([to.0, to.1]);
                }
            }
        }
    }
}

fn injected(class_type: &str, inputs: Map<String, Value>, title: &str) -> Node {
    let meta = [("title".to_owned(), Value::from(title))].into_iter().collect();
    Node { class_type: class_type.to_owned(), inputs, meta: Some(meta), other: Map::new() }
}
