//! Reading the keys of a map with the type that each must have.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::diagnostic::{DiagnosticKind, FileDiagnostics, cut};
use crate::lines::escape;
use crate::nearest::likely_typo;

/// A map of the manifest whose keys are read one by one; a wrong type is reported with the key's place.
pub(crate) struct Fields<'e, 'r, 'l> {
    pub entry: &'e Map<String, Value>,
    /// What messages begin with: `input "steps": `, or nothing.
    subject: String,
    pointer: String,
    report: &'r mut FileDiagnostics<'l>,
}

impl<'e, 'r, 'l> Fields<'e, 'r, 'l> {
    pub fn new(
        entry: &'e Map<String, Value>,
        subject: String,
        pointer: &str,
        report: &'r mut FileDiagnostics<'l>,
    ) -> Self {
        Self { entry, subject, pointer: pointer.to_owned(), report }
    }

    /// A map at `place` inside this one.
    pub fn inside<'f>(&'f mut self, entry: &'f Map<String, Value>, place: &str) -> Fields<'f, 'f, 'l> {
        let pointer = format!("{}/{place}", self.pointer);
        Fields { entry, subject: self.subject.clone(), pointer, report: self.report }
    }

    pub fn error(&mut self, kind: DiagnosticKind, place: &str, message: String) {
        self.report.error(kind, &format!("{}/{place}", self.pointer), format!("{}{message}", self.subject));
    }

    pub fn warning(&mut self, kind: DiagnosticKind, place: &str, message: &str) {
        self.report.warning(kind, &format!("{}/{place}", self.pointer), format!("{}{message}", self.subject));
    }

    /// Warns of each key that is not known and looks like a typo of one that is. Other unknown keys are allowed.
    /// `aliases` are words that people use for a known key; one means that key only where the key itself is absent.
    pub fn warn_of_typos(&mut self, known: &[&str], aliases: &[(&str, &str)]) {
        let aliases = aliases.iter().filter(|(_, meant)| !self.entry.contains_key(*meant));
        let aliases: Vec<(&str, &str)> = aliases.copied().collect();
        for key in self.entry.keys() {
            if let Some(message) = typo(key, known, &aliases) {
                self.warning(DiagnosticKind::UnknownKey, &escape(key), &message);
            }
        }
    }

    /// The value under this key by way of `take`. A null counts as absent, as YAML writes a key without a value.
    fn take<T>(&mut self, key: &str, wanted: &str, take: impl Fn(&'e Value) -> Option<T>) -> Option<T> {
        let value = self.entry.get(key).filter(|value| !value.is_null())?;
        let taken = take(value);
        if taken.is_none() {
            let message = format!("`{key}` must be {wanted}, this is {}", kind_of(value));
            self.error(DiagnosticKind::WrongType, key, message);
        }
        taken
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, "a string (in quotes if it looks like a number)", |value| {
            Some(value.as_str()?.to_owned())
        })
    }

    /// Reads a string, or a number as a string: versions are often written without quotes.
    pub fn text_or_number(&mut self, key: &str) -> Option<String> {
        self.take(key, "a string", |value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// Reads a node's id: a string, or a number as manifests write ids of ComfyUI's graphs.
    pub fn node_id(&mut self, key: &str) -> Option<String> {
        self.take(key, "a node's id (a number or a string)", |value| match value {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            Value::Number(id) if id.is_u64() => Some(id.to_string()),
            _ => None,
        })
    }

    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, "true or false", Value::as_bool)
    }

    pub fn number(&mut self, key: &str) -> Option<Number> {
        self.take(key, "a number", |value| value.as_number().cloned())
    }

    pub fn list(&mut self, key: &str) -> Option<&'e [Value]> {
        self.take(key, "a list", |value| Some(value.as_array()?.as_slice()))
    }

    pub fn map(&mut self, key: &str) -> Option<&'e Map<String, Value>> {
        self.take(key, "a map", Value::as_object)
    }
}

/// Returns a warning of a key that is not known and looks like a typo of one that is. `aliases` are words that people
/// use for a known key.
///
/// ```
/// use comfy_runner_manifest::typo;
///
/// let known = ["min", "max", "label"];
/// assert_eq!(typo("Min", &known, &[]).unwrap(), "`Min` has no meaning here. Did you mean `min`?");
/// assert_eq!(typo("tooltip", &known, &[]), None);
/// ```
pub fn typo(key: &str, known: &[&str], aliases: &[(&str, &str)]) -> Option<String> {
    if known.contains(&key) {
        return None;
    }
    let meant = likely_typo(key, known, aliases)?;
    Some(format!("`{}` has no meaning here. Did you mean `{meant}`?", cut(key, 80)))
}

/// Compares two numbers, exactly for integers of any size.
pub(crate) fn compare(a: &Number, b: &Number) -> Ordering {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
    }
}

/// Returns a scalar as people write it: strings without quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the type of a value, in YAML's terms.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
