//! Checks a plain value against an input: conversion, range, and choices.

use std::cmp::Ordering;

use comfy_runner_protocol::{InputError, InputKind, InputSpec};
use serde_json::{Value, json};

use super::custom::KnownFiles;
use super::python::{self, Converted, Exception, type_name};
use super::release::Rules;
use super::types::Type;
use super::verdict::{FileName, input_error};

/// ComfyUI does not send back longer lists of choices.
const LONGEST_LIST: usize = 20;

/// Why a value is refused.
pub(super) enum ValueError {
    /// ComfyUI reports it as an error of the input.
    Error(Box<InputError>),
    /// Python raises this, which ends the validation of the node.
    Raised(Exception),
}

/// A value after conversion to the input's type.
enum ConvertedValue<'v> {
    Json(&'v Value),
    Number(Converted),
    Text(String),
    Bool(bool),
}

/// Returns the effective value: the one wrapped in `__value__`, or the value itself.
pub(super) fn unwrapped(value: &Value) -> &Value {
    value.get("__value__").unwrap_or(value)
}

/// The check of plain values against one input of a node.
pub(super) struct ValueCheck<'s> {
    /// The node's type.
    pub class: &'s str,
    /// The input's name.
    pub name: &'s str,
    pub spec: &'s InputSpec,
    /// Whether the node's own validation takes the input, which replaces range and choices.
    pub checked_by_node: bool,
    pub rules: &'s Rules,
    /// Files that exist although the schemas may not list them.
    pub files: &'s KnownFiles,
}

/// Inputs of ComfyUI's own nodes whose choices are a Python tuple, by node type. JSON does not show the difference, but
/// messages quote a tuple in parentheses.
const TUPLES: [(&str, &str); 1] = [("LoraSave", "lora_type")];

/// `[type, options]`, as errors quote it.
pub(super) fn input_config(spec: &InputSpec) -> Value {
    json!([spec.raw_type(), spec.options])
}

fn boxed(
    kind: &str,
    message: impl Into<String>,
    details: impl Into<String>,
    extra_info: Value,
) -> Box<InputError> {
    Box::new(input_error(kind, message, details, extra_info))
}

/// Returns a value as ComfyUI passes it to the node: unwrapped, and converted to the type of the input. None when it
/// cannot be converted.
pub fn converted(spec: &InputSpec, value: &Value) -> Option<Value> {
    ConvertedValue::convert(spec, unwrapped(value)).ok().map(|given| given.to_json())
}

impl ValueCheck<'_> {
    /// Checks an unwrapped value.
    pub fn check(&self, value: &Value) -> Result<(), ValueError> {
        let spec = self.spec;
        let given = ConvertedValue::convert(spec, value).map_err(|exception| {
            let kind = Type::read(spec.raw_type()).in_message();
            ValueError::Error(boxed(
                "invalid_input_type",
                format!("Failed to convert an input value to a {kind} value"),
                format!("{}, {}, {}", self.name, python::str(value), exception.text),
                json!({
                    "input_name": self.name,
                    "input_config": input_config(spec),
                    "received_value": value,
                    "exception_message": exception.text,
                }),
            ))
        })?;
        if self.checked_by_node {
            return Ok(());
        }
        self.limits(&given)?;
        let choices = match &spec.kind {
            InputKind::Combo(choices) => choices.as_slice(),
            InputKind::Other(kind) if kind == "COMBO" => &[],
            _ => return Ok(()),
        };
        if spec.raw_type().is_array() || self.rules.combo_options {
            self.choice(value, choices)?;
        }
        Ok(())
    }

    fn limits(&self, given: &ConvertedValue<'_>) -> Result<(), ValueError> {
        let sides = [
            ("min", Ordering::Less, "<", "value_smaller_than_min", "smaller than min"),
            ("max", Ordering::Greater, ">", "value_bigger_than_max", "bigger than max"),
        ];
        for (key, beyond, operator, kind, words) in sides {
            // An infinite limit is null once it was JSON.
            let limit = self.spec.options.get(key).filter(|limit| !limit.is_null());
            let Some(limit) = limit.map(Limit::read) else { continue };
            if given.compare(&limit, operator).map_err(ValueError::Raised)? == Some(beyond) {
                let message = format!("Value {given} {words} of {limit}");
                let info = json!({
                    "input_name": self.name,
                    "input_config": input_config(self.spec),
                    "received_value": given.to_json(),
                });
                return Err(ValueError::Error(boxed(kind, message, self.name, info)));
            }
        }
        Ok(())
    }

    /// Returns whether a value names a file of the input folder that is known to exist, for an input whose choices are the files
    /// of that folder: ComfyUI lists them anew when it validates a prompt.
    fn is_known_file(&self, value: &Value) -> bool {
        let lists_files =
            |(name, set): (&String, &Value)| name.ends_with("_upload") && *set == Value::Bool(true);
        let known = || FileName::parse(value.as_str()?).and_then(|file| self.files.get(&file).copied());
        self.spec.options.iter().any(lists_files) && known() == Some(true)
    }

    fn choice(&self, value: &Value, choices: &[Value]) -> Result<(), ValueError> {
        let is_choice = |value: &&Value| {
            choices.iter().any(|choice| python::equal(choice, value)) || self.is_known_file(value)
        };
        let several =
            self.rules.multiselect && self.spec.options.get("multiselect").is_some_and(python::bool);
        let values = match value {
            Value::Array(values) if several => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let invalid: Vec<&Value> = values.iter().filter(|value| !is_choice(value)).collect();
        if invalid.is_empty() {
            return Ok(());
        }
        let quoted = if self.rules.multiselect {
            invalid.iter().map(|value| python::repr(value)).collect::<Vec<_>>().join(", ")
        } else {
            format!("'{}'", python::str(value))
        };
        let is_long = choices.len() > LONGEST_LIST;
        let list = if is_long {
            format!("(list of length {})", choices.len())
        } else if TUPLES.contains(&(self.class, self.name)) {
            python::tuple_repr(choices)
        } else {
            python::list_repr(choices)
        };
        let config = if is_long { Value::Null } else { input_config(self.spec) };
        Err(ValueError::Error(boxed(
            "value_not_in_list",
            "Value not in list",
            format!("{}: {quoted} not in {list}", self.name),
            json!({"input_name": self.name, "input_config": config, "received_value": value}),
        )))
    }
}

/// The `min` or `max` of an input.
enum Limit<'s> {
    Number(Converted),
    Other(&'s Value),
}

impl<'s> Limit<'s> {
    /// The lowest limit that ComfyUI's nodes have, `-0xffffffffffffffff`, does not fit 64 bits: read from JSON, it is a
    /// float, which is one less.
    fn read(limit: &'s Value) -> Self {
        const LOWEST: i128 = -(u64::MAX as i128);
        match Converted::from_number(limit) {
            Some(Converted::Float(float)) if float == LOWEST as f64 => Self::Number(Converted::Int(LOWEST)),
            Some(number) => Self::Number(number),
            None => Self::Other(limit),
        }
    }
}

impl std::fmt::Display for Limit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Other(limit) => f.write_str(&python::str(limit)),
        }
    }
}

impl<'v> ConvertedValue<'v> {
    fn convert(spec: &InputSpec, value: &'v Value) -> Result<Self, Exception> {
        Ok(match spec.kind {
            InputKind::Int => Self::Number(python::int(value)?),
            InputKind::Float => Self::Number(python::float(value)?),
            InputKind::String => match value {
                Value::String(_) => Self::Json(value),
                _ => Self::Text(python::str(value)),
            },
            InputKind::Boolean => Self::Bool(python::bool(value)),
            _ => Self::Json(value),
        })
    }

    /// Compares the value with a limit. Returns Python's exception if the two cannot be compared.
    fn compare(&self, limit: &Limit<'_>, operator: &str) -> Result<Option<Ordering>, Exception> {
        let number = match self {
            Self::Number(number) => Some(number.clone()),
            Self::Bool(truth) => Some(Converted::Int(i128::from(*truth))),
            Self::Json(value) => Converted::from_number(value),
            Self::Text(_) => None,
        };
        let limit = match (number, limit) {
            (Some(number), Limit::Number(limit)) => return Ok(number.compare(limit)),
            (None, Limit::Number(limit)) => &limit.to_json(),
            (_, Limit::Other(limit)) => *limit,
        };
        let text = match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Json(value) => value.as_str(),
            _ => None,
        };
        if let (Some(text), Some(limit)) = (text, limit.as_str()) {
            return Ok(Some(text.cmp(limit)));
        }
        let kind = match self {
            Self::Number(Converted::Float(_)) => "float",
            Self::Number(_) => "int",
            Self::Bool(_) => "bool",
            Self::Text(_) => "str",
            Self::Json(value) => type_name(value),
        };
        Err(Exception::new(
            "TypeError",
            format!("'{operator}' not supported between instances of '{kind}' and '{}'", type_name(limit)),
        ))
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Json(value) => (*value).clone(),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Bool(truth) => Value::from(*truth),
        }
    }
}

impl std::fmt::Display for ConvertedValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(value) => f.write_str(&python::str(value)),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Bool(truth) => f.write_str(if *truth { "True" } else { "False" }),
        }
    }
}
