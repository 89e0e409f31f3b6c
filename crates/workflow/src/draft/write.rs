//! The text of a manifest, as a person would write it.

use std::fmt::Write as _;

use comfy_runner_protocol::object_info::{InputKind, InputSpec};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Number, Value};

use super::find::{Field, Found};
use super::{Output, humanised};

/// Everything that a manifest says.
pub struct Page<'p> {
    pub id: &'p str,
    pub category: &'p str,
    pub inputs: IndexMap<String, Found<'p>>,
    pub outputs: &'p [Output<'p>],
    pub models: IndexSet<&'p str>,
    pub packages: IndexSet<&'p str>,
}

/// Bounds beyond this say "any": forms do better without them.
const ENDLESS: f64 = 1e9;

impl Page<'_> {
    pub fn write(&self) -> String {
        let mut text = String::from(
            "# Written by `comfy-runner init` from the graph beside it. Take out, rename and reorder inputs as you \
             like;\n# `comfy-runner validate` checks the result.\n",
        );
        let mut line = |written: String| {
            text.push_str(&written);
            text.push('\n');
        };
        line(format!("id: {}", scalar(self.id)));
        line(format!("name: {}", scalar(&humanised(self.id))));
        line("type: static".to_owned());
        line(format!("category: {}", self.category));
        line(String::new());
        line(if self.inputs.is_empty() { "inputs: []" } else { "inputs:" }.to_owned());
        for (id, input) in &self.inputs {
            line(write_input(id, input));
        }
        line(if self.outputs.is_empty() { "outputs: []" } else { "outputs:" }.to_owned());
        for output in self.outputs {
            let format = output.format.map_or_else(String::new, |format| format!(", format: {format}"));
            let (kind, node) = (output.kind, node_id(output.node));
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
}

fn write_input(id: &str, input: &Found<'_>) -> String {
    let mut text = String::new();
    if let Some(first) = input.targets.first() {
        let _ = writeln!(text, "  # {}", first.place());
    }
    let _ = writeln!(text, "  - id: {}", scalar(id));
    let mut line = |written: &str| {
        let _ = writeln!(text, "    {written}");
    };
    line(&format!("type: {}", input.kind));
    line(&format!("label: {}", scalar(&input.label)));
    match input.targets.as_slice() {
        [Field { node, field, .. }] => {
            line(&format!("node_id: {}", node_id(node)));
            line(&format!("field: {}", scalar(field)));
        }
        targets => {
            line("targets:");
            for Field { node, field, .. } in targets {
                line(&format!("  - {{node_id: {}, field: {}}}", node_id(node), scalar(field)));
            }
        }
    }
    match input.kind {
        "seed" => {
            line("default: -1  # a new one each time");
            if let Some(max) = bound(input.spec, "max") {
                line(&format!("max: {max}"));
            }
        }
        "image" | "video" | "audio" | "mask" => {
            line(&format!("# Without a file the graph's own is used: {}", one_line(&plain(input.value))));
        }
        "text" => line(&format!("default: {}", paragraph(&plain(input.value), "      "))),
        "int" | "float" => {
            line(&format!("default: {}", input.value));
            write_range(input, &mut line);
        }
        "boolean" => line(&format!("default: {}", input.value)),
        _ => line(&format!("default: {}", value(input.value))),
    }
    if input.kind == "select" {
        write_options(input, &mut line);
    }
    text
}

fn write_range(input: &Found<'_>, line: &mut impl FnMut(&str)) {
    let value = input.value.as_f64();
    // A graph may hold what its node does not take; the default must be allowed all the same.
    let (min, max) = (bound(input.spec, "min"), bound(input.spec, "max"));
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
    if let Some(step) = bound(input.spec, "step").filter(|step| step.as_f64() != Some(1.0)) {
        line(&format!("step: {step}"));
    }
}

fn write_options(input: &Found<'_>, line: &mut impl FnMut(&str)) {
    let choices = match &input.spec.kind {
        InputKind::Combo(choices) if !input.value.as_str().is_some_and(crate::validate::is_model_file) => {
            choices.as_slice()
        }
        _ => {
            line("# Add others that your ComfyUI has.");
            std::slice::from_ref(input.value)
        }
    };
    line(&format!("options: [{}]", choices.iter().map(value).collect::<Vec<_>>().join(", ")));
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

/// Some nodes take smaller seeds than are drawn.
fn seed_limit(spec: &InputSpec) -> bool {
    spec.options.get("control_after_generate").is_some()
        && spec.number("max").is_some_and(|max| max < 2f64.powi(53))
}

fn node_id(id: &str) -> String {
    let number = !id.is_empty()
        && id.len() < 16
        && id.bytes().all(|b| b.is_ascii_digit())
        && (id == "0" || !id.starts_with('0'));
    if number { id.to_owned() } else { quoted(id) }
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), scalar)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text of several lines as a block, which is easier to read and to edit; of those that a block would change, and of
/// others, a scalar.
fn paragraph(text: &str, indent: &str) -> String {
    let fits = text.contains('\n')
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && text.chars().all(|c| c == '\n' || is_printable(c));
    if !fits {
        return scalar(text);
    }
    let lines =
        text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") });
    format!("|-\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// A text that is written bare where nobody can take it for something else.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '-'))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { quoted(text) }
}

/// JSON's quotes are YAML's too, as long as nothing stands in them that YAML does not print.
fn quoted(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    let mut quoted = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) {
            quoted.push(c);
        } else {
            let _ = match u32::from(c) {
                code @ ..0x1_0000 => write!(quoted, "\\u{code:04x}"),
                code => write!(quoted, "\\U{code:08x}"),
            };
        }
    }
    quoted
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use comfy_runner_manifest::yaml;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        yaml::parse(&format!("- x: {}\n", paragraph(text, "      ")), "t").unwrap()[0]["x"].clone()
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        for text in [
            "",
            "no",
            "null",
            "12",
            "1e3",
            "- a",
            "a: b",
            "a #b",
            "{x}",
            "a\n\n  b",
            "a\n",
            " a\nb",
            "\u{85}\u{7f}",
            "~",
            "\u{1f600}",
        ] {
            assert_eq!(read(text), json!(text), "{text:?}");
        }
        assert_eq!(scalar("a/b-c.safetensors"), "a/b-c.safetensors");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(?s).{0,40}") {
            prop_assert_eq!(read(&text), json!(text));
        }
        #[test]
        fn every_text_of_lines_comes_back(text in "[a-z:#'\" \n\t-]{0,40}") {
            prop_assert_eq!(read(&text), json!(text));
        }
    }
}
