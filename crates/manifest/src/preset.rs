//! Presets: named values for inputs, in the manifest or beside it.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::check::{is_empty, shown, shown_name, sides};
use crate::diagnostic::{DiagnosticKind, Diagnostics, FileDiagnostics};
use crate::fields::{Fields, kind_of};
use crate::lines::{Lines, escape};
use crate::manifest::Manifest;
use crate::nearest::did_you_mean;
use crate::params::{EXISTING, Params, Uploads};
use crate::workflow_dir::WorkflowDir;
use crate::yaml;

/// The name of the file with presets in a workflow's folder.
pub const PRESETS_FILE: &str = "presets.yaml";

/// The key of params that names a preset.
pub const PRESET_KEY: &str = "_preset";

/// How many presets an error names.
const NAMED: usize = 20;

/// The known keys of a preset.
const PRESET_KEYS: [&str; 3] = ["params", "label", "description"];

/// Values for some inputs of a workflow, under a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preset {
    /// The display name.
    pub label: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// The values, by input id.
    pub params: Map<String, Value>,
    /// Unknown keys, kept unchanged.
    pub other: Map<String, Value>,
}

impl Preset {
    /// Reads a preset: a map with `params`, or only the params. Returns `None` for anything else.
    fn from_json(value: &Value) -> Option<Self> {
        let entry = value.as_object()?;
        let Some(params) = entry.get("params") else {
            return Some(Self { params: entry.clone(), ..Self::default() });
        };
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let other = entry.iter().filter(|(key, _)| !PRESET_KEYS.contains(&key.as_str()));
        Some(Self {
            label: text("label"),
            description: text("description"),
            params: params.as_object()?.clone(),
            other: other.map(|(key, value)| (key.clone(), value.clone())).collect(),
        })
    }

    /// Returns the preset with the key `params`, however it is written.
    fn to_json(&self) -> Value {
        let mut json = Map::new();
        let texts = [("label", &self.label), ("description", &self.description)];
        json.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))));
        json.extend(self.other.clone());
        json.insert("params".to_owned(), self.params.clone().into());
        json.into()
    }
}

/// Reads the presets of a map, without those that are none.
pub(crate) fn from_json(presets: Option<&Value>) -> IndexMap<String, Preset> {
    let entries = presets.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, preset)| Some((name.clone(), Preset::from_json(preset)?))).collect()
}

/// Returns the presets as the manifest's JSON has them.
pub(crate) fn to_json(presets: &IndexMap<String, Preset>) -> Value {
    presets.iter().map(|(name, preset)| (name.clone(), preset.to_json())).collect::<Map<_, _>>().into()
}

/// Adds the presets of `presets.yaml` to a manifest, and checks all of them. A wrong preset concerns only the requests
/// that name it, so the workflow can be used whatever is found.
pub(crate) fn load(manifest: &mut Manifest, folder: &mut WorkflowDir) -> Diagnostics {
    let mut report = manifest.diagnostics();
    if let Some(presets) = manifest.json().get("presets").filter(|presets| !presets.is_null()) {
        check_all(presets, "/presets", manifest, &mut report);
    }
    let mut problems = report.finish();
    let text = match folder.read_optional(PRESETS_FILE) {
        Ok(Some(text)) => text,
        Ok(None) => return problems,
        Err(problem) => {
            problems.push(problem);
            return problems;
        }
    };
    match yaml::parse(&text, PRESETS_FILE) {
        Err(problem) => problems.push(problem),
        // A file without content.
        Ok(Value::Null) => {}
        Ok(presets) => {
            let lines = Lines::parse(&text);
            let mut report = FileDiagnostics::new(PRESETS_FILE, &lines);
            check_all(&presets, "", manifest, &mut report);
            let mut added = from_json(Some(&presets));
            added.retain(|name, _| {
                let is_new = !manifest.presets.contains_key(name);
                if !is_new {
                    let message = format!("the manifest has a preset \"{name}\" too; remove one");
                    report.error(DiagnosticKind::Preset, &format!("/{}", escape(name)), message);
                }
                is_new
            });
            problems.extend(report.finish());
            manifest.add_presets(added);
        }
    }
    problems
}

/// Checks the presets of a map at this place.
fn check_all(presets: &Value, pointer: &str, manifest: &Manifest, report: &mut FileDiagnostics<'_>) {
    let Value::Object(entries) = presets else {
        let message =
            format!("presets are a map from names to values of inputs; this is {}", kind_of(presets));
        return report.error(DiagnosticKind::Preset, pointer, message);
    };
    for (name, preset) in entries {
        let at = format!("{pointer}/{}", escape(name));
        match Preset::from_json(preset) {
            Some(read) => check(name, &read, preset, &at, manifest, report),
            None => {
                let is = preset.get("params").unwrap_or(preset);
                let message = format!(
                    "the preset \"{name}\" must be a map from input ids to values, or have that map as `params`; this \
                     is {}",
                    kind_of(is)
                );
                report.error(DiagnosticKind::Preset, &at, message);
            }
        }
    }
}

fn check(
    name: &str,
    preset: &Preset,
    written: &Value,
    pointer: &str,
    manifest: &Manifest,
    report: &mut FileDiagnostics<'_>,
) {
    let mut pointer = pointer.to_owned();
    if let Some(entry) = written.as_object().filter(|entry| entry.contains_key("params")) {
        let mut fields = Fields::new(entry, format!("the preset \"{name}\": "), &pointer, report);
        fields.text("label");
        fields.text("description");
        pointer += "/params";
    }
    for key in preset.params.keys().filter(|key| key.starts_with('_') && !key.starts_with(EXISTING)) {
        let message =
            format!("the preset \"{name}\": `{key}` is a key of requests; a preset has values of inputs");
        report.error(DiagnosticKind::Preset, &format!("{pointer}/{}", escape(key)), message);
    }
    for problem in Params::check_given(manifest, &preset.params) {
        let message = format!("the preset \"{name}\": {}", problem.message);
        report.error(DiagnosticKind::Preset, &format!("{pointer}/{}", escape(&problem.key)), message);
    }
}

/// Returns the params with the values of the preset that they name. The caller's own values take precedence, except null.
///
/// # Errors
/// There is no such preset: a sentence that names those that there are.
pub(crate) fn apply(
    manifest: &Manifest,
    given: &Map<String, Value>,
    uploads: &Uploads,
) -> Result<Option<Map<String, Value>>, String> {
    let name = match given.get(PRESET_KEY) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name,
        Some(other) => {
            return Err(format!("`{PRESET_KEY}` must be the name of a preset, not {}", shown(other)));
        }
    };
    let preset = manifest.presets.get(name).ok_or_else(|| unknown(manifest, name))?;
    let mut params = preset.params.clone();
    yield_to(manifest, &mut params, given, uploads);
    for (key, value) in given.iter().filter(|(key, _)| *key != PRESET_KEY) {
        if !(value.is_null() && params.contains_key(key)) {
            params.insert(key.clone(), value.clone());
        }
    }
    Ok(Some(params))
}

/// Removes values of a preset that the caller gives in another way: a file under another key, or the sides of a resolution.
fn yield_to(
    manifest: &Manifest,
    preset: &mut Map<String, Value>,
    given: &Map<String, Value>,
    uploads: &Uploads,
) {
    let gives = |key: &str| given.get(key).is_some_and(|value| !is_empty(value));
    let named = given.iter().filter(|(_, value)| !is_empty(value)).map(|(key, _)| key.as_str());
    let parts = named.map(|key| key.strip_prefix(EXISTING).unwrap_or(key));
    let files: Vec<&str> = parts
        .chain(uploads.keys().map(String::as_str))
        .filter_map(|part| Some(manifest.file_input(part)?.id.as_str()))
        .collect();
    preset.retain(|key, _| {
        let input = manifest.file_input(key.strip_prefix(EXISTING).unwrap_or(key));
        input.is_none_or(|input| !files.contains(&input.id.as_str()))
    });
    let Some(input) = manifest.resolution_input() else { return };
    let is_side = |key: &str| manifest.input(key).is_none() && !manifest.defaults.contains_key(key);
    let keys = || ["width", "height"].into_iter().filter(|key| is_side(key));
    if gives(&input.id) {
        keys().for_each(|key| drop(preset.shift_remove(key)));
    } else if keys().any(gives)
        && let Some((w, h)) = preset.get(&input.id).and_then(sides)
    {
        preset.shift_remove(&input.id);
        let sides = [("width", w), ("height", h)].into_iter().filter(|(key, _)| is_side(key));
        preset.extend(sides.map(|(key, side)| (key.to_owned(), Value::Number(side))));
    }
}

fn unknown(manifest: &Manifest, name: &str) -> String {
    let names = || manifest.presets.keys().map(String::as_str);
    let id = &manifest.id;
    if manifest.presets.is_empty() {
        return format!("there is no preset {}: workflow \"{id}\" has none", shown_name(name));
    }
    let listed: Vec<String> = names().take(NAMED).map(|name| format!("\"{name}\"")).collect();
    let more = manifest.presets.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let hint = did_you_mean(name, names());
    format!(
        "there is no preset {}; workflow \"{id}\" has {}{more}.{hint}",
        shown_name(name),
        listed.join(", ")
    )
}
