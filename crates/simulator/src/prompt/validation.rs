//! Whether a prompt can run, and if not why: ComfyUI's checks, in its words and shapes.

use comfy_runner_protocol::{InputKind, InputSpec, NodeSchema, Requirement};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use super::python::{self, Exception};
use crate::catalog::Catalog;
use crate::version::Version;

/// Python gives up on deeper calls; a chain of nodes as long as this, or a cycle, ends there.
const DEEPEST: usize = 900;
/// Longer lists of choices are not sent back.
const LONGEST_LIST: usize = 20;

/// What became of a prompt.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// At least one output can run.
    Accepted {
        /// The output nodes that run.
        outputs: Vec<String>,
        /// Why others do not.
        node_errors: Map<String, Value>,
    },
    /// Nothing can run.
    Refused {
        /// What is wrong with the prompt.
        error: Value,
        /// What is wrong with its nodes.
        node_errors: Map<String, Value>,
    },
}

/// Checks a prompt, and converts its values to the types that its nodes take, as ComfyUI does.
///
/// `targets` are the outputs that somebody asked for; without them, all. `input_exists` says whether there is a
/// picture of this name.
pub fn validate(
    prompt: &mut Map<String, Value>,
    targets: Option<&[String]>,
    catalog: &Catalog,
    input_exists: &dyn Fn(&str) -> bool,
) -> Verdict {
    let outputs = match outputs(prompt, targets, catalog) {
        Ok(outputs) => outputs,
        Err(error) => return Verdict::Refused { error, node_errors: Map::new() },
    };
    let mut check =
        Check { prompt, catalog, input_exists, validated: IndexMap::new(), visiting: IndexSet::new() };
    let mut good = Vec::new();
    let mut reasons_of_outputs = Vec::new();
    let mut node_errors: Map<String, Value> = Map::new();
    for output in outputs {
        let result = check.node(&output).unwrap_or_else(|exception| {
            let reason = raised("exception_during_validation", "Exception when validating node", &exception);
            let result = Checked { valid: false, reasons: vec![reason] };
            check.validated.insert(output.clone(), result.clone());
            result
        });
        if result.valid {
            good.push(output);
            continue;
        }
        reasons_of_outputs.extend(result.reasons.iter().map(|reason| {
            format!("{}: {}", python::str(&reason["message"]), python::str(&reason["details"]))
        }));
        // Every node found wrong so far is put down to this output, whether it depends on it or not: as ComfyUI does.
        for (node, checked) in &check.validated {
            if checked.valid || checked.reasons.is_empty() {
                continue;
            }
            let problem = node_errors.entry(node.clone()).or_insert_with(|| {
                json!({
                    "errors": checked.reasons,
                    "dependent_outputs": [],
                    "class_type": check.prompt.get(node).map_or(&Value::Null, |node| &node["class_type"]),
                })
            });
            if let Some(list) = problem["dependent_outputs"].as_array_mut() {
                list.push(json!(output));
            }
        }
    }
    if good.is_empty() {
        let error = json!({
            "type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation",
            "details": reasons_of_outputs.join("\n"),
            "extra_info": {},
        });
        return Verdict::Refused { error, node_errors };
    }
    Verdict::Accepted { outputs: good, node_errors }
}

/// The output nodes, or why there is no looking for them.
fn outputs(
    prompt: &Map<String, Value>,
    targets: Option<&[String]>,
    catalog: &Catalog,
) -> Result<Vec<String>, Value> {
    let mut outputs = Vec::new();
    for (id, node) in prompt {
        let class = node.get("class_type");
        let Some(schema) = class.and_then(Value::as_str).and_then(|class| catalog.schema(class)) else {
            return Err(missing_type(id, node, catalog.version()));
        };
        if schema.output_node && targets.is_none_or(|targets| targets.contains(id)) {
            outputs.push(id.clone());
        }
    }
    if outputs.is_empty() {
        return Err(problem("prompt_no_outputs", "Prompt has no outputs", "", json!({})));
    }
    Ok(outputs)
}

/// The error of a node whose type is missing, or not known.
fn missing_type(id: &str, node: &Value, version: Version) -> Value {
    let place = format!("Node ID '#{id}'");
    let class = node.get("class_type");
    if !version.names_missing_types() {
        let message = match class {
            None => "Cannot execute because a node is missing the class_type property.".to_owned(),
            Some(class) => format!("Cannot execute because node {} does not exist.", python::str(class)),
        };
        return problem("invalid_prompt", &message, &place, json!({}));
    }
    let title = node.get("_meta").and_then(|meta| meta.get("title")).or(class);
    let message = match class {
        None => {
            let name = title.map_or_else(|| format!("ID #{id}"), python::str);
            format!(
                "Node '{name}' has no class_type. The workflow may be corrupted or a custom node is missing."
            )
        }
        Some(_) => {
            let name = title.map(python::str).unwrap_or_default();
            format!("Node '{name}' not found. The custom node may not be installed.")
        }
    };
    let info = json!({"node_id": id, "class_type": class, "node_title": title});
    problem("missing_node_type", &message, &place, info)
}

/// What was found out about one node.
#[derive(Clone)]
struct Checked {
    valid: bool,
    /// What is wrong with the node itself; empty when only a node before it is wrong.
    reasons: Vec<Value>,
}

struct Check<'a> {
    prompt: &'a mut Map<String, Value>,
    catalog: &'a Catalog,
    input_exists: &'a dyn Fn(&str) -> bool,
    validated: IndexMap<String, Checked>,
    /// The nodes that are being checked, each for the sake of the one before it.
    visiting: IndexSet<String>,
}

impl Check<'_> {
    /// Checks a node and those before it. An exception is what Python would have raised on its way.
    fn node(&mut self, id: &str) -> Result<Checked, Exception> {
        if let Some(checked) = self.validated.get(id) {
            return Ok(checked.clone());
        }
        let version = self.catalog.version();
        if let Some(first) = self.visiting.get_index_of(id).filter(|_| version.names_cycles()) {
            return Ok(self.cycle(first));
        }
        // A set takes each node of a cycle once; where cycles are not named, its depth is what counts.
        if self.visiting.len() > DEEPEST || self.visiting.contains(id) {
            return Err(Exception::new("RecursionError", "maximum recursion depth exceeded"));
        }
        let node = self.prompt.get(id).ok_or_else(|| Exception::key(&json!(id)))?;
        let inputs = node.get("inputs").ok_or_else(|| Exception::key(&json!("inputs")))?;
        let Some(inputs) = inputs.as_object() else {
            return Err(Exception::new("TypeError", "inputs is not a dictionary"));
        };
        let inputs = inputs.clone();
        let class = node["class_type"].as_str().unwrap_or_default().to_owned();
        let catalog = self.catalog;
        let schema = catalog.schema(&class).ok_or_else(|| Exception::key(&json!(class)))?;
        let mut checked = Checked { valid: true, reasons: Vec::new() };
        for input in schema.expanded_inputs(version.expansion(), &|name| inputs.get(name)) {
            let name = input.name.as_ref();
            let Some(value) = inputs.get(name) else {
                if input.requirement == Requirement::Required {
                    checked.reasons.push(problem(
                        "required_input_missing",
                        "Required input is missing",
                        input.own_name(),
                        json!({"input_name": name}),
                    ));
                }
                continue;
            };
            if let Value::Array(link) = value {
                self.visiting.insert(id.to_owned());
                let linked = self.link(name, input.spec, link, &mut checked);
                self.visiting.pop();
                linked?;
            } else {
                match self.value(&class, name, input.spec, value) {
                    Ok(converted) => {
                        if let Some(slot) =
                            self.prompt.get_mut(id).and_then(|node| node["inputs"].get_mut(name))
                        {
                            *slot = converted;
                        }
                    }
                    Err(reason) => checked.reasons.push(reason),
                }
            }
        }
        if let Some(cycle) = self.validated.get(id).filter(|_| version.names_cycles()) {
            // The node was found in a cycle with itself on the way.
            let own = std::mem::replace(&mut checked.reasons, cycle.reasons.clone());
            checked.valid &= cycle.valid && own.is_empty();
            checked.reasons.extend(own);
        }
        checked.valid &= checked.reasons.is_empty();
        self.validated.insert(id.to_owned(), checked.clone());
        Ok(checked)
    }

    /// Marks the nodes that are being checked, from this position on, as a cycle.
    fn cycle(&mut self, first: usize) -> Checked {
        let nodes: Vec<String> = self.visiting.iter().skip(first).cloned().collect();
        let class = |id: &String| self.prompt.get(id).map_or("", super::class_type);
        let path: Vec<String> =
            nodes.iter().chain(nodes.first()).map(|id| format!("{id} ({})", class(id))).collect();
        let checked = |id: &String| {
            let info = json!({"node_id": id, "cycle_nodes": nodes});
            let reason = problem("dependency_cycle", "Dependency cycle detected", &path.join(" -> "), info);
            Checked { valid: false, reasons: vec![reason] }
        };
        let found: Vec<(String, Checked)> = nodes.iter().map(|id| (id.clone(), checked(id))).collect();
        let first = found.first().map(|(_, checked)| checked.clone());
        self.validated.extend(found);
        first.unwrap_or(Checked { valid: false, reasons: Vec::new() })
    }

    fn link(
        &mut self,
        name: &str,
        spec: &InputSpec,
        link: &[Value],
        checked: &mut Checked,
    ) -> Result<(), Exception> {
        let config = input_config(spec);
        let [source, output] = link else {
            checked.reasons.push(problem(
                "bad_linked_input",
                "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                name,
                json!({"input_name": name, "input_config": config, "received_value": link}),
            ));
            return Ok(());
        };
        let source_id = source.as_str().ok_or_else(|| Exception::key(source))?;
        let received = {
            let node = self.prompt.get(source_id).ok_or_else(|| Exception::key(source))?;
            let class = node["class_type"].as_str().unwrap_or_default();
            let schema = self.catalog.schema(class).ok_or_else(|| Exception::key(&json!(class)))?;
            output_type(schema, output)?.to_owned()
        };
        if !fits(&received, spec) {
            checked.reasons.push(problem(
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                &format!(
                    "{name}, received_type({received}) mismatch input_type({})",
                    python::str(&config[0])
                ),
                json!({
                    "input_name": name,
                    "input_config": config,
                    "received_type": received,
                    "linked_node": link,
                }),
            ));
            return Ok(());
        }
        match self.node(source_id) {
            Ok(source) => checked.valid &= source.valid,
            Err(exception) => {
                checked.valid = false;
                let mut reason = raised(
                    "exception_during_inner_validation",
                    "Exception when validating inner node",
                    &exception,
                );
                reason["extra_info"]["input_name"] = json!(name);
                reason["extra_info"]["input_config"] = config;
                reason["extra_info"]["exception_message"] = json!(exception.text);
                reason["extra_info"]["linked_node"] = json!(link);
                self.validated.insert(source_id.to_owned(), Checked { valid: false, reasons: vec![reason] });
            }
        }
        Ok(())
    }

    /// The value in the type that the input takes, or what is wrong with it.
    fn value(&self, class: &str, name: &str, spec: &InputSpec, value: &Value) -> Result<Value, Value> {
        let value = value.get("__value__").unwrap_or(value);
        let config = input_config(spec);
        let converted = match spec.kind {
            InputKind::Int => python::int(value),
            InputKind::Float => python::float(value),
            InputKind::String => Ok(Value::String(python::str(value))),
            InputKind::Boolean => Ok(Value::Bool(python::bool(value))),
            InputKind::Combo(_) | InputKind::Other(_) => Ok(value.clone()),
        };
        let value = converted.map_err(|exception| {
            problem(
                "invalid_input_type",
                &format!("Failed to convert an input value to a {} value", python::str(&config[0])),
                &format!("{name}, {}, {}", python::str(value), exception.text),
                json!({
                    "input_name": name,
                    "input_config": config,
                    "received_value": value,
                    "exception_message": exception.text,
                }),
            )
        })?;
        if matches!(class, "LoadImage" | "LoadImageMask") && name == "image" {
            // These look for the file themselves, so that one uploaded a moment ago is found.
            let file = value.as_str().unwrap_or_default();
            if !(self.input_exists)(file) {
                let details = format!("image - Invalid image file: {file}");
                let info = json!({"input_name": name});
                return Err(problem(
                    "custom_validation_failed",
                    "Custom validation failed for node",
                    &details,
                    info,
                ));
            }
            return Ok(value);
        }
        let info = json!({"input_name": name, "input_config": config, "received_value": value});
        if let Some(min) = spec.options.get("min").filter(|min| is_less(&value, min)) {
            let message = format!("Value {} smaller than min of {}", python::str(&value), python::str(min));
            return Err(problem("value_smaller_than_min", &message, name, info));
        }
        if let Some(max) = spec.options.get("max").filter(|max| is_less(max, &value)) {
            let message = format!("Value {} bigger than max of {}", python::str(&value), python::str(max));
            return Err(problem("value_bigger_than_max", &message, name, info));
        }
        if let InputKind::Combo(choices) = &spec.kind
            && (spec.raw_type().is_array() || self.catalog.version().checks_combos())
            && !choices.contains(&value)
        {
            let long = choices.len() > LONGEST_LIST;
            let list = if long {
                format!("(list of length {})", choices.len())
            } else {
                python::repr(&json!(choices))
            };
            let quoted = if self.catalog.version().quotes_choices() {
                python::repr(&value)
            } else {
                format!("'{}'", python::str(&value))
            };
            let details = format!("{name}: {quoted} not in {list}");
            let config = if long { Value::Null } else { config };
            let info = json!({"input_name": name, "input_config": config, "received_value": value});
            return Err(problem("value_not_in_list", "Value not in list", &details, info));
        }
        Ok(value)
    }
}

fn problem(kind: &str, message: &str, details: &str, extra_info: Value) -> Value {
    json!({"type": kind, "message": message, "details": details, "extra_info": extra_info})
}

fn raised(kind: &str, message: &str, exception: &Exception) -> Value {
    let traceback = ["no traceback: this is a simulator"];
    problem(kind, message, &exception.text, json!({"exception_type": exception.kind, "traceback": traceback}))
}

/// `[type, options]`, however short the schema writes it.
fn input_config(spec: &InputSpec) -> Value {
    let kind = spec.raw().get(0).unwrap_or(spec.raw());
    json!([kind, spec.options])
}

fn output_type<'s>(schema: &'s NodeSchema, index: &Value) -> Result<&'s str, Exception> {
    let Some(index) = index.as_i64() else {
        let text = "tuple indices must be integers or slices";
        return Err(Exception::new("TypeError", text));
    };
    // Python counts negative indices from the end.
    let index = if index < 0 { index + schema.output.len() as i64 } else { index };
    let output = usize::try_from(index).ok().and_then(|index| schema.output.get(index));
    output.map(String::as_str).ok_or_else(|| Exception::new("IndexError", "tuple index out of range"))
}

/// Whether an output of this type may go into an input of that one: one type in common is enough. A type that is
/// resolved for each graph goes into everything.
fn fits(received: &str, taken: &InputSpec) -> bool {
    let any = |kind: &str| matches!(kind, "*" | "COMFY_MATCHTYPE_V3");
    any(received)
        || any(taken.type_name())
        || received.split(',').any(|one| taken.types().any(|other| one.trim() == other))
}

/// Whether both are numbers and the first is less. Whole numbers are compared exactly: seeds fill 64 bits.
fn is_less(a: &Value, b: &Value) -> bool {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a < b,
        _ => matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a < b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(prompt: Value) -> Verdict {
        let Value::Object(mut prompt) = prompt else { panic!("a prompt is an object") };
        validate(&mut prompt, None, &Catalog::new(Version::default()).unwrap(), &|_| false)
    }

    #[test]
    fn values_are_converted_in_place_as_comfyui_does() {
        let Value::Object(mut prompt) = json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": "64", "height": 48.7, "batch_size": true, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": 5}},
        }) else {
            unreachable!()
        };
        let verdict = validate(&mut prompt, None, &Catalog::new(Version::default()).unwrap(), &|_| false);
        assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
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
        let verdict = validate(&mut cyclic(), None, &Catalog::new(Version::V0_33_0).unwrap(), &|_| false);
        let Verdict::Refused { node_errors, .. } = verdict else { panic!("accepted") };
        assert_eq!(node_errors.keys().collect::<Vec<_>>(), ["2", "1"]);
        assert_eq!(
            node_errors["1"]["errors"][0]["details"],
            "2 (ImageInvert) -> 1 (ImageInvert) -> 2 (ImageInvert)"
        );
        assert_eq!(node_errors["1"]["errors"][0]["extra_info"]["cycle_nodes"], json!(["2", "1"]));
    }

    #[test]
    fn a_cycle_is_refused_instead_of_followed_for_ever() {
        let verdict = validate(&mut cyclic(), None, &Catalog::new(Version::V0_3_64).unwrap(), &|_| false);
        // ComfyUI 0.3.64, too, forgets on its way back what it found at the deepest point, and says nothing more.
        let Verdict::Refused { error, node_errors } = verdict else { panic!("accepted") };
        assert_eq!(error["type"], "prompt_outputs_failed_validation");
        assert!(node_errors.is_empty());
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
        let Verdict::Refused { node_errors, .. } = verdict_of(&node) else { panic!("accepted") };
        let errors = node_errors["3"]["errors"].as_array().unwrap();
        let found = |kind: &str| errors.iter().find(|error| error["type"] == kind).unwrap();
        assert_eq!(found("value_bigger_than_max")["details"], "format.codec.encoding.crf");
        assert_eq!(found("required_input_missing")["details"], "color_space");
        node["inputs"]["format.codec.encoding"] = json!("auto");
        assert!(matches!(verdict_of(&node), Verdict::Accepted { .. }));
    }

    #[test]
    fn the_largest_seed_is_within_its_range_and_one_more_is_not() {
        let seed = |seed: Value| is_less(&json!(u64::MAX), &python::int(&seed).unwrap());
        assert!(!seed(json!(u64::MAX)));
        assert!(seed(json!(1.8446744073709552e19 * 2.0)));
    }

    #[test]
    fn an_output_that_does_not_exist_is_an_index_error_of_the_node_before() {
        let verdict = verdict(json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 7], "filename_prefix": "x"}},
        }));
        let Verdict::Refused { node_errors, .. } = verdict else { panic!("accepted") };
        assert_eq!(node_errors["2"]["errors"][0]["details"], "tuple index out of range");
    }
}
