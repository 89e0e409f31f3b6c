//! An operation for each workflow, whose body has the workflow's own params.

use std::collections::BTreeSet;

use comfy_runner_manifest::Manifest;
use serde_json::{Map, Value, json};

use super::run::execute;
use super::{RUN, file};
use crate::normalize::pascal;
use crate::operation::Paths;

/// Describes `execute` of each workflow.
pub(crate) fn describe<'m>(paths: &mut Paths, manifests: impl IntoIterator<Item = &'m Manifest>) {
    let mut names = BTreeSet::new();
    for manifest in manifests {
        let name = unique(&mut names, &name_of(&manifest.id));
        let (id, path) = (format!("run_{name}"), format!("/api/run/{}/execute", manifest.id));
        paths.post(&path, &id, &format!("Runs the workflow \"{}\"", manifest.name), |mut op| {
            let schema = component(manifest.params_schema());
            let schema =
                op.schemas().named(&format!("{}Params", pascal(&format!("run_{name}"))), schema.into());
            let mut description =
                "`POST /api/run/{workflow_id}/execute` with the params of this workflow.".to_owned();
            if let Some(text) = &manifest.description {
                description = format!("{text}\n\n{description}");
            }
            let body = body(manifest, &schema);
            execute(op.tag(RUN).explain(&description).body(false, "The params of the workflow.", body))
        });
    }
}

/// Returns the schema of params for a document with many. Generators of clients make names of titles, of which two inputs may
/// have the same: they become part of the descriptions.
fn component(mut schema: Map<String, Value>) -> Map<String, Value> {
    schema.shift_remove("$schema");
    schema.shift_remove("title");
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for input in properties.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        if let Some(Value::String(title)) = input.shift_remove("title") {
            let text = match input.get("description").and_then(Value::as_str) {
                Some(description) => format!("{title}: {description}"),
                None => title,
            };
            input.insert("description".to_owned(), text.into());
        }
        if let Some(items) = input.get_mut("items").and_then(Value::as_object_mut)
            && items.contains_key("properties")
        {
            *items = component(std::mem::take(items));
        }
    }
    schema
}

/// Returns the params as JSON, or with files.
fn body(manifest: &Manifest, params: &Value) -> Value {
    let mut content = json!({"application/json": {"schema": params}});
    let files: Vec<&str> =
        manifest.inputs.iter().filter(|input| input.kind.is_file()).map(|input| input.id.as_str()).collect();
    if !files.is_empty() {
        let mut parts = json!({"params": {
            "type": "string", "description": "The params as JSON, without the files of this form.",
            "contentMediaType": "application/json"}});
        for id in files {
            parts[id] = file();
        }
        content["multipart/form-data"] =
            json!({"schema": {"type": "object", "properties": parts, "additionalProperties": false}});
    }
    content
}

/// Returns an id as the name of a function: `wan_i2v_14b` for `wan-i2v-14b`.
fn name_of(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// Returns the name, with a number if another workflow has it.
fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let is_new = |name: &String| !names.contains(&pascal(name).to_ascii_lowercase());
    let candidates = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}_{number}")));
    let name = candidates.into_iter().find(is_new).unwrap_or_default();
    names.insert(pascal(&name).to_ascii_lowercase());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_whose_ids_differ_in_punctuation_only_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        let named: Vec<String> =
            ["a-b", "a_b", "A.B", "ab"].iter().map(|id| unique(&mut names, &name_of(id))).collect();
        assert_eq!(named, ["a_b", "a_b_2", "a_b_3", "ab_4"]);
    }
}
