//! Writes a manifest as a person would.

use std::fmt::Write as _;

use comfy_runner_manifest::yaml::{flow, paragraph, quoted, scalar};
use comfy_runner_protocol::object_info::{InputKind, InputSpec};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Number, Value};

use super::detected_input::{DetectedInput, TargetField};
use super::names::humanised;
use super::outputs::DetectedOutput;
use super::roles;

/// The content of a manifest.
pub struct Page<'p> {
    pub id: &'p str,
    pub description: Option<&'p str>,
    pub category: &'p str,
    pub inputs: IndexMap<String, DetectedInput<'p>>,
    /// Other possible inputs, written as comments.
    pub left_out: IndexMap<String, DetectedInput<'p>>,
    /// Whether inputs are listed in groups: not those of an app, whose order is the author's.
    pub grouped: bool,
    pub outputs: &'p [DetectedOutput<'p>],
    pub models: IndexSet<&'p str>,
    pub packages: IndexSet<&'p str>,
}

/// Bounds beyond this mean "any" and are left out.
const ENDLESS: f64 = 1e9;

/// Longer strings are not repeated in a comment.
const LONG: usize = 80;

impl Page<'_> {
    pub fn write(&self) -> String {
        let mut text = String::from(
            "# Written by `comfy-runner init` from the graph beside it. Remove, rename and reorder inputs as you \
             like;\n# `comfy-runner validate` checks the result.\n",
        );
        let mut line = |written: String| {
            text.push_str(&written);
            text.push('\n');
        };
        line(format!("id: {}", scalar(self.id)));
        line(format!("name: {}", scalar(&humanised(self.id))));
        line("type: static".to_owned());
        line(format!("category: {}", scalar(self.category)));
        if let Some(description) = self.description {
            line(format!("description: {}", paragraph(description, "  ")));
        }
        line(String::new());
        line(if self.inputs.is_empty() { "inputs: []" } else { "inputs:" }.to_owned());
        let mut group = None;
        for (id, input) in &self.inputs {
            let own = self.grouped.then(|| group_of(input));
            if own != group {
                line(format!("  # {}\n", own.unwrap_or_default()));
                group = own;
            }
            line(write_input(id, input, group));
        }
        if !self.left_out.is_empty() {
            line(format!(
                "# Other values of the graph. To offer one, move its line to `inputs` without the `#`.\n#\n{}",
                self.comments()
            ));
        }
        line(if self.outputs.is_empty() { "outputs: []" } else { "outputs:" }.to_owned());
        for output in self.outputs {
            let format =
                output.format.as_ref().map_or_else(String::new, |format| format!(", format: {format}"));
            let (kind, node) = (scalar(output.kind), node_id(output.node));
            line(format!("  # {}\n  - {{type: {kind}{format}, node_id: {node}}}", one_line(output.title)));
        }
        for (key, names) in [("required_models", &self.models), ("required_nodes", &self.packages)] {
            if !names.is_empty() {
                let names: String = names.iter().map(|name| format!("\n  - {}", scalar(name))).collect();
                line(format!("\n{key}:{names}"));
            }
        }
        text
    }

    /// Writes a manifest whose inputs are the values that were left out.
    pub fn write_others(&self) -> String {
        let mut text = format!("id: {}\ntype: static\n", scalar(self.id));
        text.push_str(if self.left_out.is_empty() { "inputs: []\n" } else { "inputs:\n" });
        text.extend(self.left_out.iter().map(|(id, input)| write_input(id, input, None)));
        text
    }

    /// The values that were left out, each on a line that is an input without its `#`.
    fn comments(&self) -> String {
        let mut text = String::new();
        let mut node = "";
        for (id, input) in &self.left_out {
            let Some(place) = input.targets.first() else { continue };
            if place.node != node {
                let _ = writeln!(text, "# {}", place.describe());
                node = place.node;
            }
            let mut parts = vec![format!("id: {}", scalar(id)), format!("type: {}", input.kind)];
            parts.push(format!("node_id: {}", node_id(place.node)));
            parts.push(format!("field: {}", flow(&Value::from(place.field))));
            match input.kind {
                "image" | "video" | "audio" | "mask" | "3d" => {}
                "seed" => parts.push("default: -1".to_owned()),
                "lora_picker" => parts.push(format!("default: {{file: {}}}", flow(input.value))),
                // Without a default the graph's own value stays.
                _ if input.value.as_str().is_some_and(|text| text.len() > LONG) => {}
                _ => parts.push(format!("default: {}", flow(input.value))),
            }
            if input.kind == "select" {
                let (choices, _) = options(input);
                parts.push(format!(
                    "options: [{}]",
                    choices.iter().map(|choice| flow(choice)).collect::<Vec<_>>().join(", ")
                ));
            }
            let _ = writeln!(text, "#  - {{{}}}", parts.join(", "));
        }
        text
    }
}

/// The name of the group that an input is listed in.
fn group_of(input: &DetectedInput<'_>) -> &'static str {
    roles::GROUPS.iter().rev().find(|(rank, _)| *rank <= input.rank).map_or("", |(_, name)| *name)
}

fn write_input(id: &str, input: &DetectedInput<'_>, group: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(first) = input.targets.first() {
        let _ = writeln!(text, "  # {}", first.describe());
    }
    let _ = writeln!(text, "  - id: {}", scalar(id));
    let mut line = |written: &str| {
        let _ = writeln!(text, "    {written}");
    };
    line(&format!("type: {}", input.kind));
    let label = input.label.clone().unwrap_or_else(|| humanised(id));
    line(&format!("label: {}", scalar(&label)));
    if let Some(group) = group {
        line(&format!("group: {}", scalar(group)));
    }
    match input.targets.as_slice() {
        [TargetField { node, field, .. }] => {
            line(&format!("node_id: {}", node_id(node)));
            line(&format!("field: {}", scalar(field)));
        }
        targets => {
            line("targets:");
            for TargetField { node, field, .. } in targets {
                line(&format!("  - {{node_id: {}, field: {}}}", node_id(node), flow(&Value::from(*field))));
            }
        }
    }
    match input.kind {
        "seed" => {
            match input.value.as_u64().filter(|_| input.fixed) {
                Some(seed) => {
                    line(&format!("default: {seed}  # fixed in the editor; -1 for a new one each time"))
                }
                None => line("default: -1  # a new one each time"),
            }
            if let Some(max) = input.spec.as_deref().and_then(|spec| bound(spec, "max")) {
                line(&format!("max: {max}"));
            }
        }
        "image" | "video" | "audio" | "mask" | "3d" => {
            line(&format!("# Without a file the graph's own is used: {}", one_line(&plain(input.value))));
        }
        "text" => line(&format!("default: {}", paragraph(&plain(input.value), "      "))),
        "int" | "float" => {
            line(&format!("default: {}", input.value));
            write_range(input, &mut line);
        }
        "boolean" => line(&format!("default: {}", input.value)),
        _ => line(&format!("default: {}", flow(input.value))),
    }
    if input.kind == "select" {
        let (choices, all) = options(input);
        if !all {
            line("# Add others that your ComfyUI has.");
        }
        line(&format!(
            "options: [{}]",
            choices.iter().map(|choice| flow(choice)).collect::<Vec<_>>().join(", ")
        ));
    }
    text
}

fn write_range(input: &DetectedInput<'_>, line: &mut impl FnMut(&str)) {
    let Some(spec) = input.spec.as_deref() else { return };
    let value = input.value.as_f64();
    // A graph may hold what its node does not take; the default must be allowed all the same.
    let (min, max) = (bound(spec, "min"), bound(spec, "max"));
    let reaches = |bound: &Number, below: bool| match (bound.as_f64(), value) {
        (Some(bound), Some(value)) => {
            if below {
                bound <= value
            } else {
                bound >= value
            }
        }
        _ => false,
    };
    if let Some(min) = min.filter(|min| reaches(min, true)) {
        line(&format!("min: {min}"));
    }
    if let Some(max) = max.filter(|max| reaches(max, false)) {
        line(&format!("max: {max}"));
    }
    if let Some(step) = bound(spec, "step").filter(|step| step.as_f64() != Some(1.0)) {
        line(&format!("step: {step}"));
    }
}

/// What may be chosen, the graph's own value among it, and whether that is all: of model files every ComfyUI has
/// others.
fn options<'f>(input: &'f DetectedInput<'_>) -> (Vec<&'f Value>, bool) {
    let file = input.value.as_str().is_some_and(comfy_runner_protocol::is_model_file);
    match input.spec.as_deref().map(|spec| &spec.kind) {
        Some(InputKind::Combo(choices)) if !file && !choices.is_empty() => {
            let own = (!choices.contains(input.value)).then_some(input.value);
            (own.into_iter().chain(choices).collect(), true)
        }
        _ => (vec![input.value], false),
    }
}

/// A number of the schema, unless it means that anything goes.
fn bound(spec: &InputSpec, key: &str) -> Option<Number> {
    match spec.options.get(key)? {
        Value::Number(number)
            if number.as_f64().is_some_and(|number| number.abs() < ENDLESS)
                || key == "max" && seed_limit(spec) =>
        {
            Some(number.clone())
        }
        _ => None,
    }
}

/// Some nodes take smaller seeds than those that are generated.
fn seed_limit(spec: &InputSpec) -> bool {
    spec.options.get("control_after_generate").is_some()
        && spec.number("max").is_some_and(|max| max < 2f64.powi(53))
}

impl TargetField<'_> {
    /// Returns the location of the value, for a comment.
    fn describe(&self) -> String {
        format!("node {}, {}", self.node, one_line(self.title))
    }
}

fn node_id(id: &str) -> String {
    let number = !id.is_empty()
        && id.len() < 16
        && id.bytes().all(|b| b.is_ascii_digit())
        && (id == "0" || !id.starts_with('0'));
    if number { id.to_owned() } else { quoted(id) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
