//! A cache of the outputs of the last prompt's nodes.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::files::Files;
use crate::nodes::{Failure, NodeResult};
use crate::prompt::{self, NoFingerprint, Nodes, Signature};
use crate::value::Value;

/// The largest total size of the outputs of all nodes, in bytes.
const MOST_BYTES: usize = 2 << 30;

/// The results of nodes, as in ComfyUI's classic cache: those of the current prompt's nodes, whichever prompt made them.
#[derive(Default)]
pub struct Cache {
    made: HashMap<Signature, NodeResult>,
    signatures: HashMap<String, Signature>,
}

impl Cache {
    /// Starts a new prompt and drops the results that no node of it has.
    pub fn set_prompt(&mut self, nodes: &Nodes, files: &Files) {
        let mut fingerprints = HashMap::new();
        let mut fingerprint = |id: &str| {
            let print =
                fingerprints.entry(id.to_owned()).or_insert_with(|| fingerprint(nodes.get(id), files));
            print.clone().ok_or(NoFingerprint)
        };
        self.signatures = nodes
            .keys()
            .filter_map(|id| Some((id.clone(), prompt::signature(nodes, id, &mut fingerprint)?)))
            .collect();
        let wanted: HashSet<&Signature> = self.signatures.values().collect();
        self.made.retain(|signature, _| wanted.contains(signature));
    }

    /// Returns the result of this node, or of an identical one.
    pub fn made(&self, id: &str) -> Option<&NodeResult> {
        self.made.get(self.signatures.get(id)?)
    }

    /// Stores a node's result. Fails if the results would exceed the limit.
    pub fn keep(&mut self, id: &str, made: NodeResult) -> Result<&NodeResult, Failure> {
        let bytes = |made: &NodeResult| made.outputs.iter().map(Value::bytes).sum::<usize>();
        if bytes(&made) + self.made.values().map(bytes).sum::<usize>() > MOST_BYTES {
            let message = format!(
                "the simulator holds at most {} MiB of images between nodes; ask for smaller or fewer ones",
                MOST_BYTES >> 20
            );
            return Err(Failure::Raised { kind: "MemoryError".to_owned(), message });
        }
        // A node without a signature is stored for the nodes that follow it in the same prompt.
        let signature = self.signatures.entry(id.to_owned()).or_insert_with(|| {
            let random = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()];
            let mut signature = [0; 32];
            signature.copy_from_slice(random.as_flattened());
            signature
        });
        Ok(self.made.entry(*signature).insert_entry(made).into_mut())
    }

    /// Returns what the prompt's nodes reported, now or when they were cached.
    pub fn reports<'a>(
        &'a self,
        nodes: &'a Nodes,
    ) -> impl Iterator<Item = (&'a String, &'a Map<String, Json>)> {
        let made = nodes.keys().filter_map(|id| Some((id, &self.made(id)?.report)));
        made.filter(|(_, report)| !report.is_empty())
    }
}

/// Returns what a node depends on besides its values: for a loader, the file's content. `None` if it cannot be read.
fn fingerprint(node: Option<&Json>, files: &Files) -> Option<Json> {
    let Some(node) = node else { return Some(Json::Bool(false)) };
    if !matches!(prompt::class_type(node), "LoadImage" | "LoadImageMask") {
        return Some(Json::Bool(false));
    }
    if let Some(marker) = node.get("is_changed") {
        return Some(marker.clone());
    }
    let name = node.get("inputs")?.get("image")?.as_str()?;
    let mut digest = Sha256::new();
    std::io::copy(&mut File::open(files.annotated(name)?).ok()?, &mut digest).ok()?;
    Some(json!(digest.finalize().as_slice()))
}
