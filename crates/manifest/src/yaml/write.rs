//! Writes values as YAML, as a person would.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Lists and maps up to this length are written on one line.
const SHORT: usize = 72;

/// Returns a string as YAML, without quotes where YAML reads it as a string anyway. It may stand within brackets.
pub fn scalar(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '-'))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { quoted(text) }
}

/// Quotes a string as JSON, which YAML reads too, unless it contains characters that YAML does not print.
pub fn quoted(text: &str) -> String {
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

/// Returns a string of several lines as a block, which is easier to read and to edit, and other strings, or those that
/// a block would change, as a scalar.
pub fn paragraph(text: &str, indent: &str) -> String {
    if !text.contains('\n') || !fits_block(text) {
        return scalar(text);
    }
    format!("|-\n{}", block_lines(text, indent))
}

/// Returns whether a block `|-` keeps a string as it is.
pub(super) fn fits_block(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

/// Returns the lines of a block, without the last line break.
pub(super) fn block_lines(text: &str, indent: &str) -> String {
    let lines =
        text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns a value on one line, as it may stand within brackets.
pub fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns what follows the colon of a key that is indented by `indent` spaces: a value on the same line, or lines below.
/// Does not end with a line break.
pub(super) fn after_colon(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text) => format!(" {}", paragraph(text, &" ".repeat(indent + 2))),
        Value::Array(items) if !items.is_empty() && !is_line_of_scalars(value) => {
            items.iter().map(|value| format!("\n{}", item(value, indent + 2))).collect()
        }
        Value::Object(map) if !map.is_empty() && !is_short(value) => {
            map.iter().map(|(key, value)| format!("\n{}", entry(key, value, indent + 2))).collect()
        }
        other => format!(" {}", flow(other)),
    }
}

/// Returns an entry of a map, indented. Does not end with a line break.
pub(super) fn entry(key: &str, value: &Value, indent: usize) -> String {
    format!("{}{}:{}", " ".repeat(indent), scalar(key), after_colon(value, indent))
}

/// Returns an item of a list, indented. Does not end with a line break.
pub(super) fn item(value: &Value, indent: usize) -> String {
    let dash = format!("{}- ", " ".repeat(indent));
    match value {
        Value::String(text) => dash + &paragraph(text, &" ".repeat(indent + 2)),
        Value::Object(map) if !map.is_empty() && !is_short(value) => dash + &entries_inline(map, indent + 2),
        other => dash + &flow(other),
    }
}

/// Returns the entries of a map whose first one continues a line.
fn entries_inline(map: &Map<String, Value>, indent: usize) -> String {
    let lines: Vec<String> = map.iter().map(|(key, value)| entry(key, value, indent)).collect();
    lines.join("\n").trim_start().to_owned()
}

/// Returns whether a value is a list of scalars that fit on a line.
fn is_line_of_scalars(value: &Value) -> bool {
    let Value::Array(items) = value else { return false };
    items.iter().all(|item| !item.is_array() && !item.is_object()) && flow(value).len() <= SHORT
}

/// Returns whether a map has scalars only and fits on a line.
fn is_short(value: &Value) -> bool {
    let Value::Object(map) = value else { return false };
    map.values().all(|value| !value.is_array() && !value.is_object()) && flow(value).len() <= SHORT
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml;

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
