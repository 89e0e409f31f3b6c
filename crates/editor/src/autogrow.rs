//! Inputs that grow (`COMFY_AUTOGROW_V3`): groups of slots that the editor adds as links are made.

use std::borrow::Cow;

use comfy_runner_protocol::object_info::{InputSpec, NodeInputs, Requirement};
use serde_json::Value;

/// The number of groups that an input may begin with.
const MAX_INITIAL: u64 = 1_000;
/// The number of groups that an input may have if its template has no `max`.
const DEFAULT_MAX: u64 = 100;

/// An input that grows, with the template of its groups.
#[derive(Clone)]
pub struct Group<'s> {
    name: String,
    /// The names after the dot, if the template lists them.
    names: Option<Vec<String>>,
    prefix: String,
    min: u64,
    max: u64,
    template: Vec<(String, Cow<'s, InputSpec>, bool)>,
}

impl Group<'_> {
    /// Reads the template of an input. None for an input of another kind.
    pub fn new(name: &str, spec: &InputSpec) -> Option<Self> {
        if spec.type_name() != "COMFY_AUTOGROW_V3" {
            return None;
        }
        let template = spec.options.get("template")?;
        let declared: NodeInputs = serde_json::from_value(template.get("input")?.clone()).ok()?;
        let names = template.get("names").and_then(Value::as_array);
        let names: Option<Vec<String>> =
            names.map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let number = |key: &str| template.get(key).and_then(Value::as_u64);
        let max = names.as_ref().map(|names| names.len() as u64).filter(|count| *count > 0);
        let specs = declared.iter().map(|(key, spec, requirement)| {
            (key.to_owned(), Cow::Owned(spec.clone()), requirement == Requirement::Optional)
        });
        Some(Self {
            name: name.to_owned(),
            prefix: template.get("prefix").and_then(Value::as_str).unwrap_or_default().to_owned(),
            min: number("min").unwrap_or(1),
            max: max.or_else(|| number("max")).unwrap_or(DEFAULT_MAX),
            template: specs.collect(),
            names,
        })
    }
}

impl<'s> Group<'s> {
    /// Returns the number of groups that a new node has.
    pub fn initial(&self, spare: u64) -> u64 {
        self.min.saturating_add(spare).clamp(1, MAX_INITIAL)
    }

    /// Returns the inputs of a group: name, schema, and whether it is optional. Empty beyond the last group.
    pub fn inputs(&self, ordinal: u64) -> Vec<(String, Cow<'s, InputSpec>, bool)> {
        if ordinal >= self.max {
            return Vec::new();
        }
        let input = |(key, spec, optional): &(String, Cow<'s, InputSpec>, bool)| {
            let name = match &self.names {
                Some(names) => names.get(usize::try_from(ordinal).ok()?)?.clone(),
                None if self.template.len() == 1 => format!("{}{ordinal}", self.prefix),
                None => format!("{key}{ordinal}"),
            };
            Some((format!("{}.{name}", self.name), spec.clone(), *optional || ordinal >= self.min))
        };
        self.template.iter().filter_map(input).collect()
    }

    /// Returns the group that an input with this name belongs to.
    pub fn ordinal(&self, input: &str) -> Option<u64> {
        let name = input.strip_prefix(self.name.as_str())?.strip_prefix('.')?;
        match &self.names {
            Some(names) => names.iter().position(|known| known == name).map(|at| at as u64),
            None => {
                let digits = name.len() - name.trim_end_matches(|char: char| char.is_ascii_digit()).len();
                name[name.len() - digits..].parse().ok()
            }
        }
    }
}
