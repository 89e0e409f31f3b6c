//! Expressions between braces and in conditions: minijinja's, without templates, files or an environment.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use comfy_runner_manifest::diagnostic::cut;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Number, Value};

use super::metering::{metered, metered_test};
use super::names::Names;
use super::variables::Variables;
use super::{lora, truth, weight};

/// The fuel of one expression. An instruction costs one, and so do 64 bytes of each value that an operator or filter
/// takes or makes. Weighing passes a value through a filter, whose input and result the engine charges once more, so
/// that no value weighs more than four megabytes.
const FUEL: u64 = 200_000;

/// The largest total size of the variables of one expression, in bytes.
const HEAVIEST_VARIABLES: u64 = 2 << 20;

/// The longest expression, in bytes.
const LONGEST: usize = 4096;

/// The largest number of values in the result of an expression.
const MOST_VALUES: usize = 65_536;

/// An expression, parsed once.
#[derive(Clone)]
pub(crate) struct Expression {
    source: String,
    /// The names that the expression takes from the variables.
    names: Vec<String>,
    code: Code,
}

#[derive(Clone)]
enum Code {
    /// A name, or parts of its value: `size.w`. The value is read directly, without the engine.
    Path(Vec<String>),
    /// The file or the strength of a `lora_picker` between braces.
    Lora(String, Option<String>),
    Compiled(Arc<minijinja::Expression<'static, 'static>>),
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    #[error("the expression `{source_text}` cannot be read: {reason}")]
    Syntax { source_text: String, reason: String },
    #[error("`{name}` is not known here")]
    Unknown { name: String },
    #[error("`{name}` is computed, and has no value: {reason}")]
    Computed { name: String, reason: String },
    #[error("the expression `{source_text}` has no value: {reason}")]
    Value { source_text: String, reason: String },
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// The treatment of names without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// An unknown name is an error, and one without a value is undefined: `default` and `is defined` see it.
    Strict,
    /// Both are none, as in conditions.
    IsNone,
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    // Functions that create values (`range`), or show the engine's internals (`debug`).
    globals.iter().for_each(|name| environment.remove_global(name));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    weight::install(&mut environment);
    truth::install(&mut environment);
    environment
});

impl Expression {
    /// Parses an expression. A name that the manifest declares is that name, even where it would read as an expression
    /// (`my-input`).
    pub fn parse(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        Self::compile(source, names, metered)
    }

    /// Parses an expression whose truth value alone is used; see [`truth::is_true`].
    pub fn parse_test(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        Self::compile(source, names, metered_test)
    }

    /// Parses what is between braces, where a `lora_picker` gives its file or its strength.
    pub fn parse_placeholder(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        let expression = Self::parse(source, names)?;
        Ok(match expression.code {
            Code::Path(ref path) if path.len() <= 2 && names.is_lora(&path[0]) => {
                let code = Code::Lora(path[0].clone(), path.get(1).cloned());
                Self { code, ..expression }
            }
            _ => expression,
        })
    }

    fn compile(
        source: &str,
        names: &Names,
        metered: fn(&str) -> Result<String, minijinja::Error>,
    ) -> Result<Self, ExpressionError> {
        let source = source.trim();
        let refuse = |reason: String| ExpressionError::Syntax { source_text: shown(source), reason };
        if source.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        if source.len() > LONGEST {
            return Err(refuse(format!("it has more than {LONGEST} bytes")));
        }
        if let Some(path) = path(source, names) {
            return Ok(Self {
                source: source.to_owned(),
                names: vec![path[0].clone()],
                code: Code::Path(path),
            });
        }
        let compiled = metered(source)
            .and_then(|metered| ENVIRONMENT.compile_expression_owned(metered))
            .map_err(|error| refuse(error.detail().unwrap_or("it is not valid").to_owned()))?;
        let mut names: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        names.sort_unstable();
        Ok(Self { source: source.to_owned(), names, code: Code::Compiled(Arc::new(compiled)) })
    }

    /// The names that the expression takes from the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the name if the expression is only a name.
    pub fn name(&self) -> Option<&str> {
        match &self.code {
            Code::Path(path) if path.len() == 1 => path.first().map(String::as_str),
            Code::Lora(name, None) => Some(name),
            _ => None,
        }
    }

    /// Returns the name, or the part of a name, that is all of the expression: `size` or `size.w`.
    pub fn placeholder(&self) -> Option<(&str, Option<&str>)> {
        match &self.code {
            Code::Path(path) if path.len() <= 2 => Some((&path[0], path.get(1).map(String::as_str))),
            Code::Lora(name, part) => Some((name, part.as_deref())),
            _ => None,
        }
    }

    /// Returns the value; null if the expression is only a name without a value.
    pub fn value(&self, variables: &Variables<'_>, missing: Missing) -> Result<Value, ExpressionError> {
        self.value_ref(variables, missing).map(Cow::into_owned)
    }

    /// Returns the value as [`Expression::value`] does, without a copy of a variable's value.
    pub fn value_ref<'v>(
        &self,
        variables: &'v Variables<'_>,
        missing: Missing,
    ) -> Result<Cow<'v, Value>, ExpressionError> {
        let failed = self.names().find_map(|name| Some((name, variables.failure(name)?)));
        if let Some((name, reason)) = failed {
            return Err(ExpressionError::Computed { name: name.to_owned(), reason: reason.to_owned() });
        }
        let unknown = |name: &str| ExpressionError::Unknown { name: name.to_owned() };
        let check_known = || match self.names().find(|name| variables.get(name).is_none()) {
            Some(name) if missing == Missing::Strict => Err(unknown(name)),
            _ => Ok(()),
        };
        match &self.code {
            Code::Path(path) => {
                let mut value = variables.get(&path[0]);
                if missing == Missing::Strict && value.is_none() {
                    return Err(unknown(&path[0]));
                }
                for part in &path[1..] {
                    value = value.and_then(|value| value.get(alias(value, part)));
                }
                Ok(value.map_or(Cow::Owned(Value::Null), Cow::Borrowed))
            }
            Code::Lora(name, part) => {
                check_known()?;
                let Some(value) = variables.get(name).filter(|_| variables.has_value(name)) else {
                    return Ok(Cow::Owned(Value::Null));
                };
                let value = lora::part(value, part.as_deref()).map_err(|error| ExpressionError::Value {
                    source_text: shown(&self.source),
                    reason: error.to_string(),
                })?;
                Ok(value.unwrap_or(Cow::Owned(Value::Null)))
            }
            Code::Compiled(compiled) => {
                check_known()?;
                self.evaluate(compiled, variables, missing).map(Cow::Owned)
            }
        }
    }

    fn evaluate(
        &self,
        compiled: &minijinja::Expression<'_, '_>,
        variables: &Variables<'_>,
        missing: Missing,
    ) -> Result<Value, ExpressionError> {
        let fail = |reason: String| ExpressionError::Value { source_text: shown(&self.source), reason };
        let weights = self.names().filter_map(|name| variables.get(name));
        let weight = weights.map(|value| weight::weight_of(value, HEAVIEST_VARIABLES)).sum();
        if weight > HEAVIEST_VARIABLES {
            return Err(fail(format!("its variables hold more than {HEAVIEST_VARIABLES} bytes")));
        }
        if !variables.work_on(weight) {
            let most = super::variables::HEAVIEST_REQUEST;
            return Err(fail(format!("the expressions of this request work on more than {most} bytes")));
        }
        let entries = self.names().map(|name| {
            let value = match (variables.get(name), missing) {
                (None | Some(Value::Null), Missing::Strict) => minijinja::Value::UNDEFINED,
                (None, Missing::IsNone) => minijinja::Value::from(()),
                (Some(value), _) => Serde(value).into(),
            };
            (name.to_owned(), value)
        });
        let context = minijinja::Value::from_pairs(entries);
        let result = compiled.eval(context).map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::OutOfFuel => "it takes too many steps or too much memory".to_owned(),
                ErrorKind::UndefinedError => self.without_value(variables),
                _ if self.lacks(variables) => self.without_value(variables),
                kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
            };
            fail(reason)
        })?;
        if result.is_undefined() {
            return Err(fail(self.without_value(variables)));
        }
        json(&result, &mut { MOST_VALUES }).map_err(fail)
    }

    /// Returns whether a name has no value, which is then the most likely cause of an error.
    fn lacks(&self, variables: &Variables<'_>) -> bool {
        self.names().any(|name| variables.get(name).is_none_or(Value::is_null))
    }

    fn without_value(&self, variables: &Variables<'_>) -> String {
        let empty = self.names().filter(|name| variables.get(name).is_none_or(Value::is_null));
        match empty.map(|name| format!("`{name}`")).collect::<Vec<_>>().as_slice() {
            [] => "it names a part that does not exist".to_owned(),
            names => format!("{} has no value; use `default(...)` to give one", names.join(", ")),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Converts an expression's result to JSON. The engine builds some lists only when they are read, outside of its own
/// limit, so the values read here are counted: `left` remain, where a string counts one for every sixteen bytes.
fn json(value: &minijinja::Value, left: &mut usize) -> Result<Value, String> {
    let size = 1 + value.as_str().map_or(0, |text| text.len() / 16);
    *left = left.checked_sub(size).ok_or_else(|| "its result is too large".to_owned())?;
    let items = |left: &mut usize| -> Result<Vec<Value>, String> {
        let items = value.try_iter().map_err(|error| error.to_string())?;
        items.map(|item| json(&item, left)).collect()
    };
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(value.is_true().into()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().into()),
        ValueKind::Number => {
            number(value).ok_or_else(|| format!("{value} is not a number that JSON can hold"))
        }
        ValueKind::Seq | ValueKind::Iterable => items(left).map(Value::Array),
        ValueKind::Map => {
            let mut map = Map::new();
            for key in value.try_iter().map_err(|error| error.to_string())? {
                let item = value.get_item(&key).map_err(|error| error.to_string())?;
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                map.insert(key, json(&item, left)?);
            }
            Ok(Value::Object(map))
        }
        kind => Err(format!("a graph cannot hold {kind}")),
    }
}

fn number(value: &minijinja::Value) -> Option<Value> {
    if value.is_integer() {
        let whole = i64::try_from(value.clone()).map(Value::from);
        return whole.or_else(|_| u64::try_from(value.clone()).map(Value::from)).ok();
    }
    Number::from_f64(f64::try_from(value.clone()).ok()?).map(Value::Number)
}

/// Words that minijinja does not accept as names.
const WORDS: [&str; 13] =
    ["true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"];

/// Splits `name` or `name.part.part`.
fn path(source: &str, names: &Names) -> Option<Vec<String>> {
    let mut parts = source.split('.').map(str::trim);
    let first = parts.next()?;
    let is_first = is_name(first) && !WORDS.contains(&first) || names.declares(first);
    let rest: Vec<&str> = parts.collect();
    let is_path = is_first && rest.iter().all(|part| is_name(part));
    is_path.then(|| [first].into_iter().chain(rest).map(str::to_owned).collect())
}

/// Returns whether this is a name: letters, digits and `_`, not starting with a digit.
pub(crate) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// Sides of a resolution have two names.
fn alias<'p>(value: &Value, part: &'p str) -> &'p str {
    match part {
        "width" if value.get("width").is_none() => "w",
        "height" if value.get("height").is_none() => "h",
        part => part,
    }
}

/// Returns an expression for an error message, cut if it is long.
fn shown(source: &str) -> String {
    cut(source, 120)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(source: &str, variables: Value) -> Result<Value, String> {
        let variables = Variables::from_map(variables.as_object().unwrap().clone());
        let expression = Expression::parse(source, &Names::default()).map_err(|error| error.to_string())?;
        expression.value(&variables, Missing::Strict).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_alone_keeps_its_value_to_the_last_digit() {
        let seed = json!(18_446_744_073_709_551_615_u64);
        assert_eq!(value(" seed ", json!({"seed": seed})), Ok(seed));
        assert_eq!(value("size.width", json!({"size": {"w": 8, "h": 9}})), Ok(json!(8)));
        assert_eq!(value("a", json!({"a": {"z": 1, "b": 2}})).unwrap().to_string(), r#"{"z":1,"b":2}"#);
        assert_eq!(value("a", json!({"a": null})), Ok(Value::Null));
    }

    #[test]
    fn arithmetic_filters_and_comparisons_work() {
        assert_eq!(value("width * scale", json!({"width": 832, "scale": 1.5})), Ok(json!(1248.0)));
        assert_eq!(value("(width * scale) | int", json!({"width": 832, "scale": 1.5})), Ok(json!(1248)));
        assert_eq!(value("prompt | trim", json!({"prompt": " a "})), Ok(json!("a")));
        assert_eq!(value("'big' if n > 10 else 'small'", json!({"n": 11})), Ok(json!("big")));
        assert_eq!(value("a | default(3)", json!({"a": null})), Ok(json!(3)));
        assert_eq!(value("[a, 1]", json!({"a": "x"})), Ok(json!(["x", 1])));
    }

    #[test]
    fn unknown_names_and_missing_values_are_errors_that_name_them() {
        assert_eq!(value("widht * 2", json!({"width": 1})), Err("`widht` is not known here".to_owned()));
        assert!(value("a * 2", json!({"a": null})).unwrap_err().contains("`a` has no value"));
        assert!(value("a.b + 1", json!({"a": {}})).is_err());
        for broken in ["a *", "", "{{ a }}", "a b", "range(3)", "1 // 0", "1 / 0"] {
            assert!(value(broken, json!({"a": 1, "b": 1})).is_err(), "{broken}");
        }
    }

    #[test]
    fn text_of_a_value_is_never_expanded() {
        assert_eq!(value("a ~ ''", json!({"a": "{{ b }}", "b": 1})), Ok(json!("{{ b }}")));
    }

    #[test]
    fn expressions_that_would_hang_or_fill_memory_run_out_of_fuel() {
        for bomb in [
            "'x' * 100000000",
            "((('x' * 1000) * 1000) * 1000) | length",
            "[0] * 1000000000",
            "([[0] * 1000] * 1000) * 1000",
            "('x' * 1000) | replace('x', 'x' * 1000) | replace('x', 'x' * 1000)",
            "'%1000000000d' | format(1)",
            "10 ** 100000000",
            "('a' * 60000) | list | map('upper') | join('a' * 60000)",
        ] {
            assert!(value(bomb, json!({})).is_err(), "{bomb}");
        }
        assert!(value(&format!("{}1", "(".repeat(2000)), json!({})).is_err());
        assert!(value(&"1+".repeat(3000), json!({})).is_err());
    }

    #[test]
    fn neither_files_nor_the_environment_can_be_reached() {
        for reach in ["env('HOME')", "open('/etc/passwd')", "''.__class__", "debug()", "include('a')"] {
            assert!(value(reach, json!({})).is_err(), "{reach}");
        }
    }
}
