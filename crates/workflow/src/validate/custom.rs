//! Custom validation of nodes (`VALIDATE_INPUTS`, or `validate_inputs` in V3).
//!
//! Node schemas do not show which nodes have one. The rules of ComfyUI's own nodes are data in
//! `custom_checks.json`, by release. A parameter that such a function takes is not checked against range and choices.

use std::collections::HashMap;
use std::sync::LazyLock;

use comfy_runner_protocol::{ExpandedInput, InputError, InputKind};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::prompt::no_attribute;
use super::python::{self, Converted, Exception};
use super::release::Release;
use super::types::Type;
use super::value::unwrapped;
use super::verdict::{FileName, Question, Unknown, input_error};

/// Files that are known to exist or not to exist.
pub type KnownFiles = HashMap<FileName, bool>;

/// The validation of one node type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomCheck {
    nodes: Vec<String>,
    /// The first release that has it.
    #[serde(default)]
    since: Option<[u16; 3]>,
    /// The first release that no longer has it.
    #[serde(default)]
    before: Option<[u16; 3]>,
    /// How Python calls the function in messages.
    function: String,
    /// The function's parameters without a default.
    #[serde(default)]
    required: Vec<String>,
    /// The function's other parameters.
    #[serde(default)]
    optional: Vec<String>,
    /// Whether the function takes every input (`**kwargs`).
    #[serde(default)]
    any: bool,
    rule: Rule,
}

/// The rule of a validation function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Rule {
    /// It accepts everything.
    Accept,
    /// The input names a file, which must exist.
    File(FileRule),
    /// At least one of these inputs is present.
    OneOf { inputs: Vec<String>, message: String },
    /// At least one of the parameters is not zero.
    NonZero { message: String },
    /// The link to the input has one of these types.
    LinkType { input: String, types: Vec<String>, message: String },
    /// The input is a ratio, written `X:Y`, within these bounds. Anything else raises an exception.
    AspectRatio { input: String, min: f64, max: f64 },
    /// An unknown rule.
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    input: String,
    /// The name of the file in the message.
    what: String,
    /// The folder whose files the schema lists as choices.
    #[serde(default)]
    folder: String,
    /// The extensions of the files that the schema lists.
    #[serde(default)]
    listed: Vec<String>,
    /// Whether an empty value and `none` are accepted.
    #[serde(default)]
    may_be_none: bool,
}

/// The arguments of a node's validation.
pub(super) struct GivenInputs<'g> {
    pub id: &'g str,
    pub inputs: &'g Map<String, Value>,
    pub declared: &'g [ExpandedInput<'g>],
    /// The types of links, by input.
    pub received: &'g IndexMap<String, Type<'g>>,
}

/// The result of a validation.
#[derive(Default)]
pub(super) struct Outcome {
    pub errors: Vec<InputError>,
    pub unknown: Option<Unknown>,
}

/// The answer of a rule.
enum Answer {
    Accepted,
    Refused(String),
    Unknown(Question),
}

static CHECKS: LazyLock<Vec<CustomCheck>> =
    LazyLock::new(|| serde_json::from_str(include_str!("custom_checks.json")).unwrap_or_default());

/// The validations that a release's own nodes have, by node type.
pub(super) fn checks(release: Release) -> HashMap<&'static str, &'static CustomCheck> {
    let version = |numbers: [u16; 3]| Release(numbers[0], numbers[1], numbers[2]);
    let applies = |check: &&CustomCheck| {
        check.since.is_none_or(|since| release >= version(since))
            && check.before.is_none_or(|before| release < version(before))
    };
    let pairs = CHECKS.iter().filter(applies);
    pairs.flat_map(|check| check.nodes.iter().map(move |node| (node.as_str(), check))).collect()
}

impl CustomCheck {
    /// Whether the function takes this input.
    pub fn takes(&self, input: &str) -> bool {
        self.any || self.required.iter().chain(&self.optional).any(|parameter| parameter == input)
    }

    /// Whether the function looks at the types of links itself.
    pub fn takes_types(&self) -> bool {
        self.required.iter().any(|parameter| parameter == "input_types")
    }
}

/// Calls a node's validation.
pub(super) fn run(
    check: &CustomCheck,
    given: &GivenInputs<'_>,
    files: &KnownFiles,
) -> Result<Outcome, Exception> {
    // A link has no value yet. Inputs that the node does not have are not passed on.
    let passed = |(name, value): &(&String, &Value)| {
        check.takes(name)
            && (is_link(value) || given.declared.iter().any(|input| input.name == name.as_str()))
    };
    let mut arguments: Vec<&str> =
        given.inputs.iter().filter(passed).map(|(name, _)| name.as_str()).collect();
    if check.takes_types() {
        arguments.push("input_types");
    }
    let missing: Vec<&str> =
        check.required.iter().map(String::as_str).filter(|name| !arguments.contains(name)).collect();
    if !missing.is_empty() {
        return Err(missing_arguments(&check.function, &missing));
    }
    Ok(match check.rule.ask(check, given, &arguments, files)? {
        Answer::Accepted => Outcome::default(),
        Answer::Refused(message) => {
            let error = |name: &&str| {
                input_error(
                    "custom_validation_failed",
                    "Custom validation failed for node",
                    format!("{name} - {message}"),
                    json!({"input_name": name}),
                )
            };
            Outcome { errors: arguments.iter().map(error).collect(), unknown: None }
        }
        Answer::Unknown(question) => {
            let input = arguments.first().copied().unwrap_or_default().to_owned();
            Outcome {
                errors: Vec::new(),
                unknown: Some(Unknown { node: given.id.to_owned(), input, question }),
            }
        }
    })
}

impl Rule {
    fn ask(
        &self,
        check: &CustomCheck,
        given: &GivenInputs<'_>,
        arguments: &[&str],
        files: &KnownFiles,
    ) -> Result<Answer, Exception> {
        Ok(match self {
            Self::Accept => Answer::Accepted,
            Self::Unknown => Answer::Unknown(Question::OwnValidation),
            Self::File(rule) => return rule.ask(given, files),
            Self::OneOf { inputs, message } => {
                let there = inputs.iter().any(|input| arguments.contains(&input.as_str()));
                if there { Answer::Accepted } else { Answer::Refused(message.clone()) }
            }
            Self::NonZero { message } => {
                // Python looks at one value after the other until one is not zero. A value that could not be converted
                // is no number.
                for name in &check.required {
                    let given = given.inputs.get(name).map_or(&Value::Null, unwrapped);
                    match python::float(given) {
                        Ok(Converted::Float(0.0)) => {}
                        Ok(_) => return Ok(Answer::Accepted),
                        Err(_) => {
                            let kind = if is_link(given) { "NoneType" } else { python::type_name(given) };
                            let text = format!("must be real number, not {kind}");
                            return Err(Exception::new("TypeError", text));
                        }
                    }
                }
                Answer::Refused(message.clone())
            }
            Self::LinkType { input, types, message } => match given.received.get(input) {
                None => return Err(Exception::key(&json!(input))),
                Some(Type::Named(name)) if types.iter().any(|known| known == name) => Answer::Accepted,
                Some(_) => Answer::Refused(message.clone()),
            },
            Self::AspectRatio { input, min, max } => {
                match given.argument(input) {
                    Some(Value::String(ratio)) => aspect_ratio(&ratio, *min, *max)?,
                    other => return Err(no_attribute(&other.unwrap_or_default(), "split")),
                }
                Answer::Accepted
            }
        })
    }
}

impl FileRule {
    fn ask(&self, given: &GivenInputs<'_>, files: &KnownFiles) -> Result<Answer, Exception> {
        let value = given.argument(&self.input).unwrap_or_default();
        if self.may_be_none && (!python::bool(&value) || value == "none") {
            return Ok(Answer::Accepted);
        }
        let Value::String(name) = &value else { return Err(no_attribute(&value, "endswith")) };
        let refused = || Answer::Refused(format!("Invalid {} file: {name}", self.what));
        let Some(file) = FileName::parse(name) else {
            // Without a name it is the folder itself, which exists.
            return Ok(if name.is_empty() {
                Answer::Accepted
            } else {
                Answer::Unknown(Question::OwnValidation)
            });
        };
        if let Some(there) = files.get(&file) {
            return Ok(if *there { Answer::Accepted } else { refused() });
        }
        let declared = given.declared.iter().find(|input| input.name == self.input.as_str());
        let choices = match declared.map(|input| &input.spec.kind) {
            Some(InputKind::Combo(choices)) => choices.as_slice(),
            _ => &[],
        };
        if choices.contains(&value) {
            return Ok(Answer::Accepted);
        }
        let extension = file.filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let would_be_listed = file.root == "input"
            && file.subfolder == self.folder
            && extension.is_some_and(|extension| self.listed.contains(&extension));
        Ok(if would_be_listed { refused() } else { Answer::Unknown(Question::File(file)) })
    }
}

impl GivenInputs<'_> {
    /// The value that the function gets for a parameter: null for a link, and converted to the input's type.
    fn argument(&self, name: &str) -> Option<Value> {
        let value = self.inputs.get(name)?;
        if is_link(value) {
            return Some(Value::Null);
        }
        let value = unwrapped(value);
        let spec = self.declared.iter().find(|input| input.name == name).map(|input| &input.spec.kind);
        Some(match spec {
            Some(InputKind::String) if !value.is_array() => Value::from(python::str(value)),
            Some(InputKind::Float) => python::float(value).map_or_else(|_| value.clone(), |f| f.to_json()),
            _ => value.clone(),
        })
    }
}

/// Whether Python takes a value for a link: a string and a number of any kind, booleans among them.
fn is_link(value: &Value) -> bool {
    matches!(value.as_array().map(Vec::as_slice), Some([Value::String(_), Value::Number(_) | Value::Bool(_)]))
}

fn aspect_ratio(text: &str, min: f64, max: f64) -> Result<(), Exception> {
    let raised = |text: String| Exception::new("ValueError", text);
    let parts: Vec<&str> = text.split(':').collect();
    let [x, y] = parts.as_slice() else {
        return Err(raised(format!("Aspect ratio must be 'X:Y' (e.g., 16:9), got '{text}'.")));
    };
    let whole = |part: &str| python::int(&Value::from(part.trim())).ok()?.to_json().as_f64();
    let (Some(x), Some(y)) = (whole(x), whole(y)) else {
        return Err(raised(format!("Aspect ratio must contain integers separated by ':', got '{text}'.")));
    };
    if x <= 0.0 || y <= 0.0 {
        return Err(raised(format!("Aspect ratio parts must be positive integers, got {x}:{y}.")));
    }
    let ratio = x / y;
    let bound = if ratio < min {
        min
    } else if ratio > max {
        max
    } else {
        return Ok(());
    };
    let short = python::two_digits(ratio);
    Err(raised(format!("Aspect ratio `{short}` must be ≤ {}.", python::two_digits(bound))))
}

fn missing_arguments(function: &str, names: &[&str]) -> Exception {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let listed = match quoted.as_slice() {
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
        [] => String::new(),
    };
    let plural = if names.len() == 1 { "" } else { "s" };
    let count = names.len();
    let text = format!("{function}() missing {count} required positional argument{plural}: {listed}");
    Exception::new("TypeError", text)
}
