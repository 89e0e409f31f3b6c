//! References to assets in a workflow.

use std::collections::HashMap;

use serde_json::Value;

/// The key that tags an object, and the tag of a reference.
const TAG: &str = "__type";
const ASSET: &str = "core/ASSET";

/// A reference to an asset: `{"__type": "core/ASSET", "info": {"id": "..."}}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssetReference {
    /// The id of the asset.
    pub id: String,
}

/// The references of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Each asset once, in the order of their first references.
    pub assets: Vec<AssetReference>,
    /// What is wrong with each reference that has no id.
    pub malformed: Vec<String>,
}

impl References {
    /// Finds all references in a value, however deep.
    pub fn find(value: &Value) -> Self {
        let mut found = Self::default();
        found.visit(value);
        found
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.assets.is_empty() && self.malformed.is_empty()
    }

    /// Replaces each reference to an asset in `names` by its name there.
    pub fn replace(value: &mut Value, names: &HashMap<String, String>) {
        if let Some(name) = reference_id(value).and_then(Result::ok).and_then(|id| names.get(id)) {
            *value = Value::String(name.clone());
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| Self::replace(item, names)),
            Value::Object(entries) => entries.values_mut().for_each(|entry| Self::replace(entry, names)),
            _ => {}
        }
    }

    fn visit(&mut self, value: &Value) {
        match (reference_id(value), value) {
            (Some(Ok(id)), _) => {
                if !self.assets.iter().any(|known| known.id == id) {
                    self.assets.push(AssetReference { id: id.to_owned() });
                }
            }
            (Some(Err(wrong)), _) => self.malformed.push(wrong.to_owned()),
            (None, Value::Array(items)) => items.iter().for_each(|item| self.visit(item)),
            (None, Value::Object(entries)) => entries.values().for_each(|entry| self.visit(entry)),
            (None, _) => {}
        }
    }
}

/// Returns the id of a reference, or what is wrong with it. `None` for a value that is no reference.
fn reference_id(value: &Value) -> Option<Result<&str, &'static str>> {
    if value.get(TAG)? != ASSET {
        return None;
    }
    let Some(info) = value.get("info") else { return Some(Err("a core/ASSET without `info`")) };
    let id = info.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    Some(id.ok_or("a core/ASSET without `info.id`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(id: &str) -> Value {
        json!({"__type": "core/ASSET", "info": {"id": id, "hash": "blake3:0", "file_path": "a.png"}})
    }

    #[test]
    fn references_are_found_and_replaced_wherever_they_are() {
        let mut graph = json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": reference("a")}},
            "2": {"class_type": "Batch", "inputs": {"images": [reference("b"), {"deep": [reference("a")]}]}},
            "3": {"class_type": "Other", "inputs": {"x": {"__type": "another", "info": {"id": "c"}}}},
        });
        let found = References::find(&graph);
        let ids: Vec<_> = found.assets.iter().map(|asset| asset.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        let names = [("a", "in/a.png"), ("b", "in/b.png")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        References::replace(&mut graph, &names.into());
        assert_eq!(graph["1"]["inputs"]["image"], "in/a.png");
        assert_eq!(graph["2"]["inputs"]["images"], json!(["in/b.png", {"deep": ["in/a.png"]}]));
        assert_eq!(graph["3"]["inputs"]["x"]["info"]["id"], "c");
    }

    #[test]
    fn a_reference_without_an_id_is_malformed() {
        let graph = json!([{"__type": "core/ASSET"}, {"__type": "core/ASSET", "info": {"id": 3}}]);
        let found = References::find(&graph);
        assert!(found.assets.is_empty() && !found.is_empty());
        assert_eq!(found.malformed, ["a core/ASSET without `info`", "a core/ASSET without `info.id`"]);
        assert!(References::find(&json!({"1": {"inputs": {"x": 1}}})).is_empty());
    }
}
