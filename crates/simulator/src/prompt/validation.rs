//! Whether a prompt can run: the answer of the workflow crate's validator, and the prompt's values as its nodes take them.

use std::collections::HashSet;

use comfy_runner_workflow::validate::{FileName, KnownFiles, Validator, Verdict, converted};
use serde_json::{Map, Value};

use crate::catalog::Catalog;

/// Validates a prompt, and converts its values to the types that its nodes take, as ComfyUI does.
///
/// `targets` are the only outputs to run; without them, all are. `input_exists` says whether there is an image of this
/// name.
pub fn validate(
    prompt: &mut Map<String, Value>,
    targets: Option<&[String]>,
    catalog: &Catalog,
    input_exists: &dyn Fn(&str) -> bool,
) -> Verdict {
    let mut validator = Validator::with_release(catalog.schemas(), catalog.version().release())
        .with_files(known_files(prompt, input_exists));
    if let Some(targets) = targets {
        validator = validator.with_targets(targets);
    }
    let whole = Value::Object(std::mem::take(prompt));
    let verdict = validator.validate_json(&whole);
    if let Value::Object(nodes) = whole {
        *prompt = nodes;
    }
    convert(prompt, &verdict.outputs, catalog);
    verdict
}

/// Which of the images that the prompt names are there.
fn known_files(prompt: &Map<String, Value>, input_exists: &dyn Fn(&str) -> bool) -> KnownFiles {
    let loaders =
        prompt.values().filter(|node| matches!(super::class_type(node), "LoadImage" | "LoadImageMask"));
    let names = loaders.filter_map(|node| node["inputs"]["image"].as_str());
    names.filter_map(|name| Some((FileName::parse(name)?, input_exists(name)))).collect()
}

/// Converts the values of the nodes that these outputs depend on.
fn convert(prompt: &mut Map<String, Value>, outputs: &[String], catalog: &Catalog) {
    let mut left: Vec<String> = outputs.to_vec();
    let mut seen: HashSet<String> = HashSet::new();
    while let Some(id) = left.pop() {
        if seen.contains(&id) {
            continue;
        }
        let Some(node) = prompt.get_mut(&id) else { continue };
        left.extend(super::links(node).map(|(_, link)| link.node.to_owned()));
        seen.insert(id);
        let Some(schema) = catalog.schema(super::class_type(node)) else { continue };
        let Some(inputs) = node.get_mut("inputs").and_then(Value::as_object_mut) else { continue };
        let declared = schema.expanded_inputs(catalog.version().expansion(), &|name| inputs.get(name));
        let values: Vec<(String, Value)> = declared
            .iter()
            .filter_map(|input| {
                let value = inputs.get(&*input.name).filter(|value| !value.is_array())?;
                Some((input.name.to_string(), converted(input.spec, value)?))
            })
            .collect();
        inputs.extend(values);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::version::Version;

    fn verdict(prompt: Value) -> Verdict {
        let Value::Object(mut prompt) = prompt else { panic!("a prompt is an object") };
        validate(&mut prompt, None, &Catalog::new(Version::default(), &[]).unwrap(), &|_| false)
    }

    #[test]
    fn values_are_converted_in_place_as_comfyui_does() {
        let Value::Object(mut prompt) = json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": "64", "height": 48.7, "batch_size": true, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": 5}},
        }) else {
            unreachable!()
        };
        let verdict =
            validate(&mut prompt, None, &Catalog::new(Version::default(), &[]).unwrap(), &|_| false);
        assert!(!verdict.is_refused(), "{verdict:?}");
        assert_eq!(prompt["1"]["inputs"], json!({"width": 64, "height": 48, "batch_size": 1, "color": 0}));
        assert_eq!(prompt["2"]["inputs"]["filename_prefix"], "5");
    }

    fn cyclic() -> Map<String, Value> {
        let prompt = json!({
            "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
        });
        serde_json::from_value(prompt).unwrap()
    }

    #[test]
    fn a_cycle_is_named_with_its_nodes() {
        let verdict =
            validate(&mut cyclic(), None, &Catalog::new(Version::V0_33_0, &[]).unwrap(), &|_| false);
        assert!(verdict.is_refused());
        let node_errors = serde_json::to_value(&verdict.node_errors).unwrap();
        assert_eq!(node_errors.as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "1"]);
        assert_eq!(
            node_errors["1"]["errors"][0]["details"],
            "2 (ImageInvert) -> 1 (ImageInvert) -> 2 (ImageInvert)"
        );
        assert_eq!(node_errors["1"]["errors"][0]["extra_info"]["cycle_nodes"], json!(["2", "1"]));
    }

    #[test]
    fn a_cycle_is_refused_instead_of_followed_for_ever() {
        let verdict =
            validate(&mut cyclic(), None, &Catalog::new(Version::V0_3_64, &[]).unwrap(), &|_| false);
        // ComfyUI 0.3.64, too, forgets on its way back what it found at the deepest point, and says nothing more.
        assert_eq!(verdict.error.unwrap().kind, "prompt_outputs_failed_validation");
        assert!(verdict.node_errors.is_empty());
    }

    #[test]
    fn the_inputs_of_a_dynamic_choice_are_checked_as_its_own() {
        let mut node = json!({"class_type": "SaveVideo", "inputs": {
            "video": ["2", 0], "filename_prefix": "x", "format": "mp4", "format.codec": "h264",
            "format.codec.encoding": "re-encode", "format.codec.encoding.crf": 99}});
        let verdict_of = |node: &Value| {
            verdict(json!({
                "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
                "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 8}},
                "3": node,
            }))
        };
        let verdict = verdict_of(&node);
        assert!(verdict.is_refused());
        let node_errors = serde_json::to_value(&verdict.node_errors).unwrap();
        let errors = node_errors["3"]["errors"].as_array().unwrap();
        let found = |kind: &str| errors.iter().find(|error| error["type"] == kind).unwrap();
        assert_eq!(found("value_bigger_than_max")["details"], "format.codec.encoding.crf");
        assert_eq!(found("required_input_missing")["details"], "color_space");
        node["inputs"]["format.codec.encoding"] = json!("auto");
        assert!(!verdict_of(&node).is_refused());
    }

    #[test]
    fn the_largest_seed_is_within_its_range_and_one_more_is_not() {
        let seed = |seed: Value| {
            let noise = json!({"class_type": "RandomNoise", "inputs": {"noise_seed": seed}});
            let verdict = verdict(
                json!({"1": noise, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}),
            );
            verdict.is_refused()
        };
        assert!(!seed(json!(u64::MAX)));
        assert!(seed(json!(1.8446744073709552e19 * 2.0)));
    }

    #[test]
    fn an_output_that_does_not_exist_is_an_index_error_of_the_node_before() {
        let verdict = verdict(json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 7], "filename_prefix": "x"}},
        }));
        assert!(verdict.is_refused());
        let node_errors = serde_json::to_value(&verdict.node_errors).unwrap();
        assert_eq!(node_errors["2"]["errors"][0]["details"], "tuple index out of range");
    }
}
