//! Validates the nodes of a prompt from the outputs up, each input against its schema, like ComfyUI's server.

use std::sync::LazyLock;

use comfy_runner_protocol::{ExpandedInput, InputError, NodeSchema, Requirement};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::Validator;
use super::custom::{self, CustomCheck};
use super::prompt::{Inputs, Nodes, not_iterable, unhashable};
use super::python::Exception;
use super::release::Rules;
use super::types::{Type, fits};
use super::value::{ValueCheck, ValueError, input_config, unwrapped};
use super::verdict::{Question, Unknown, input_error};

/// Python gives up on deeper calls. The exact depth depends on what called the validation; graphs of such depth do not
/// occur, but cycles reached it in releases that did not look for them.
const DEEPEST: usize = 900;

static NO_INPUTS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// The result for one node.
#[derive(Clone, Default)]
pub(super) struct Checked {
    pub valid: bool,
    /// The errors of the node itself; empty if only a node before it is invalid.
    pub errors: Vec<InputError>,
}

/// The validation of one prompt.
pub(super) struct NodeCheck<'p, 'i> {
    pub validator: &'i Validator<'i>,
    pub rules: Rules,
    pub nodes: &'p Nodes<'p>,
    /// The results of the nodes reached, in the order in which they were first known.
    pub validated: IndexMap<&'p str, Checked>,
    pub unknown: Vec<Unknown>,
    /// The nodes between the output and the one that is being validated.
    path: Vec<&'p str>,
}

/// The results for the inputs of one node.
#[derive(Default)]
struct Findings<'i> {
    errors: Vec<InputError>,
    /// Whether a node before this one is invalid.
    invalid_source: bool,
    /// The types of links, by input.
    received: IndexMap<String, Type<'i>>,
}

impl<'p, 'i> NodeCheck<'p, 'i> {
    pub fn new(validator: &'i Validator<'i>, nodes: &'p Nodes<'p>) -> Self {
        let rules = validator.release.rules();
        Self { validator, rules, nodes, validated: IndexMap::new(), unknown: Vec::new(), path: Vec::new() }
    }

    /// Validates a node and all before it: whether they are valid. An exception is for the caller to record.
    pub fn node(&mut self, id: &'p str) -> Result<bool, Exception> {
        if let Some(known) = self.validated.get(id) {
            return Ok(known.valid);
        }
        if self.rules.cycles
            && let Some(start) = self.path.iter().position(|visited| *visited == id)
        {
            self.cycle(start, id);
            return Ok(false);
        }
        if self.path.len() >= DEEPEST {
            return Err(Exception::new("RecursionError", "maximum recursion depth exceeded"));
        }
        let findings = self.inputs(id)?;
        // A cycle that was found further up has left its errors on this node.
        let known = self.validated.get(id).cloned().unwrap_or(Checked { valid: true, errors: Vec::new() });
        let mut errors = if self.rules.cycles { known.errors } else { Vec::new() };
        let valid =
            (known.valid || !self.rules.cycles) && !findings.invalid_source && findings.errors.is_empty();
        for error in findings.errors {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        self.validated.insert(id, Checked { valid, errors });
        Ok(valid)
    }

    fn inputs(&mut self, id: &'p str) -> Result<Findings<'i>, Exception> {
        let node = self.nodes.get(id).copied().ok_or_else(|| Exception::key(&json!(id)))?;
        let inputs = match node.inputs {
            Inputs::Named(inputs) => inputs,
            Inputs::Missing => return Err(Exception::key(&json!("inputs"))),
            // Lookups in a list or a string find nothing.
            Inputs::Other(Value::Array(_) | Value::String(_)) => &NO_INPUTS,
            Inputs::Other(other) => return Err(not_iterable(other)),
        };
        let schema = self.schema(id).ok_or_else(|| Exception::key(&Value::Null))?;
        let check = self.validator.custom_check(node.class_name());
        let declared = schema.expanded_inputs(self.rules.expansion, &|name| inputs.get(name));
        let mut findings = Findings::default();
        for input in &declared {
            match inputs.get(&*input.name) {
                None if input.requirement == Requirement::Required => findings.errors.push(missing(input)),
                None => {}
                Some(Value::Array(link)) => self.link(id, input, link, check, &mut findings)?,
                Some(given) => self.value(id, input, unwrapped(given), check, &mut findings.errors)?,
            }
        }
        if let Some(check) = check {
            let given = custom::GivenInputs { id, inputs, declared: &declared, received: &findings.received };
            let outcome = custom::run(check, &given, &self.validator.files)?;
            findings.errors.extend(outcome.errors);
            self.unknown.extend(outcome.unknown);
        }
        Ok(findings)
    }

    fn link(
        &mut self,
        id: &'p str,
        input: &ExpandedInput<'i>,
        link: &'p [Value],
        check: Option<&CustomCheck>,
        findings: &mut Findings<'i>,
    ) -> Result<(), Exception> {
        let [source, output] = link else {
            findings.errors.push(bad_link(input, link));
            return Ok(());
        };
        let source = self.source(source)?;
        let received = output_type(self.schema(source).ok_or_else(|| Exception::key(&Value::Null))?, output)?;
        findings.received.insert(input.name.to_string(), received);
        let taken = Type::read(input.spec.raw_type());
        let types_are_checked = !check.is_some_and(CustomCheck::takes_types);
        if types_are_checked && !fits(received, taken, &self.rules) {
            findings.errors.push(mismatch(input, link, received, taken));
            return Ok(());
        }
        self.path.push(id);
        let outcome = self.node(source);
        self.path.pop();
        match outcome {
            Ok(valid) => findings.invalid_source |= !valid,
            Err(exception) => {
                findings.invalid_source = true;
                let errors = vec![raised_within(input, link, &exception)];
                self.validated.insert(source, Checked { valid: false, errors });
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        id: &'p str,
        input: &ExpandedInput<'i>,
        given: &Value,
        check: Option<&CustomCheck>,
        errors: &mut Vec<InputError>,
    ) -> Result<(), Exception> {
        let value_check = ValueCheck {
            class: self.nodes.get(id).map_or("", |node| node.class_name()),
            name: &input.name,
            spec: input.spec,
            checked_by_node: check.is_some_and(|check| check.takes(&input.name)),
            rules: &self.rules,
            files: &self.validator.files,
        };
        match value_check.check(given) {
            Ok(()) => {}
            Err(ValueError::Raised(exception)) => return Err(exception),
            Err(ValueError::Error(error)) => {
                if error.kind != "invalid_input_type" && self.is_extension(id) {
                    self.unknown.push(Unknown {
                        node: id.to_owned(),
                        input: input.name.to_string(),
                        question: Question::OwnValidation,
                    });
                }
                errors.push(*error);
            }
        }
        Ok(())
    }

    /// The node that a link names.
    fn source(&self, id: &Value) -> Result<&'p str, Exception> {
        match id {
            Value::String(id) => {
                let known = self.nodes.get_key_value(id.as_str()).map(|(id, _)| *id);
                known.ok_or_else(|| Exception::key(&json!(id)))
            }
            Value::Array(_) | Value::Object(_) => Err(unhashable(id)),
            other => Err(Exception::key(other)),
        }
    }

    fn schema(&self, id: &str) -> Option<&'i NodeSchema> {
        self.validator.info.get(self.nodes.get(id)?.class_name())
    }

    /// Whether a node comes from an extension, whose own validation is unknown.
    fn is_extension(&self, id: &str) -> bool {
        let module = self.schema(id).and_then(|schema| schema.other.get("python_module"));
        module.and_then(Value::as_str).is_some_and(|module| module.starts_with("custom_nodes."))
    }

    /// Records a cycle on all of its nodes: the path from `start` on, closed by `id`.
    fn cycle(&mut self, start: usize, id: &'p str) {
        let members = &self.path[start..];
        let named =
            |id: &&str| format!("{id} ({})", self.nodes.get(*id).map_or("", |node| node.class_name()));
        let path: Vec<String> = members.iter().chain([&id]).map(named).collect();
        let details = path.join(" -> ");
        for member in members {
            let info = json!({"node_id": member, "cycle_nodes": members});
            let error = input_error("dependency_cycle", "Dependency cycle detected", details.as_str(), info);
            self.validated.insert(member, Checked { valid: false, errors: vec![error] });
        }
    }
}

/// The type of an output. Python counts negative indices from the end, and takes booleans for numbers.
fn output_type<'s>(schema: &'s NodeSchema, index: &Value) -> Result<Type<'s>, Exception> {
    let sequence = if schema.is_v3() { "list" } else { "tuple" };
    let index = match index {
        Value::Bool(truth) => i128::from(*truth),
        Value::Number(number) if !number.is_f64() => {
            number.as_i64().map_or_else(|| i128::from(u64::MAX), i128::from)
        }
        other => {
            let kind = super::python::type_name(other);
            let text = format!("{sequence} indices must be integers or slices, not {kind}");
            return Err(Exception::new("TypeError", text));
        }
    };
    let count = schema.output.len() as i128;
    let position = usize::try_from(if index < 0 { index + count } else { index }).ok();
    let output = position.and_then(|position| Some((position, schema.output.get(position)?)));
    let (position, name) =
        output.ok_or_else(|| Exception::new("IndexError", format!("{sequence} index out of range")))?;
    Ok(match schema.output_choices.get(&position) {
        Some(choices) => Type::Choices(choices),
        None => Type::Named(name),
    })
}

fn missing(input: &ExpandedInput<'_>) -> InputError {
    let info = json!({"input_name": input.name});
    input_error("required_input_missing", "Required input is missing", input.own_name(), info)
}

fn bad_link(input: &ExpandedInput<'_>, link: &[Value]) -> InputError {
    input_error(
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        &*input.name,
        json!({
            "input_name": input.name,
            "input_config": input_config(input.spec),
            "received_value": link,
        }),
    )
}

fn mismatch(input: &ExpandedInput<'_>, link: &[Value], received: Type<'_>, taken: Type<'_>) -> InputError {
    let (given, wanted) = (received.in_message(), taken.in_message());
    input_error(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        format!("{}, received_type({given}) mismatch input_type({wanted})", input.name),
        json!({
            "input_name": input.name,
            "input_config": input_config(input.spec),
            "received_type": received.to_json(),
            "linked_node": link,
        }),
    )
}

fn raised_within(input: &ExpandedInput<'_>, link: &[Value], exception: &Exception) -> InputError {
    input_error(
        "exception_during_inner_validation",
        "Exception when validating inner node",
        exception.text.as_str(),
        json!({
            "input_name": input.name,
            "input_config": input_config(input.spec),
            "exception_message": exception.text,
            "exception_type": exception.kind,
            "traceback": [],
            "linked_node": link,
        }),
    )
}
