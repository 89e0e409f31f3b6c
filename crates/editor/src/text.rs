//! The editor's transformations of strings: text areas, file names, dynamic prompts, `%node.widget%` patterns.

use comfy_runner_protocol::object_info::InputSpec;
use serde_json::Value;

/// Converts a value to the string that a text area has, with `\n` line ends.
pub fn as_textarea(value: Value) -> Value {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    if !text.contains('\r') {
        return Value::String(text);
    }
    Value::String(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Normalizes the value of a file widget: the first of several files, with its folder unless that is `input`.
pub fn upload_path(value: Value, initial: Option<&Value>, spec: &InputSpec) -> Value {
    let folder = spec.options.get("image_folder").and_then(Value::as_str).unwrap_or("input");
    let path = |file: &Value| match file {
        Value::String(name) => Value::String(annotated(name, folder)),
        other => other.clone(),
    };
    match value {
        Value::String(text) if !text.is_empty() => path(&Value::String(text)),
        Value::Array(files) if spec.options.get("allow_batch").and_then(Value::as_bool) == Some(true) => {
            Value::Array(files.iter().map(path).collect())
        }
        Value::Array(files) => files.first().map_or(Value::Null, path),
        Value::String(_) | Value::Null | Value::Bool(false) => {
            initial.cloned().unwrap_or_else(|| Value::String("undefined".to_owned()))
        }
        other => other,
    }
}

fn annotated(name: &str, folder: &str) -> String {
    let lower = name.to_lowercase();
    let has_folder = ["[input]", "[output]", "[temp]"].iter().any(|mark| lower.contains(mark));
    if has_folder || folder == "input" { name.to_owned() } else { format!("{name} [{folder}]") }
}

/// Resolves a dynamic prompt: removes comments (`//` to the end of the line, and `/* */`), and replaces each `{this|that}`
/// by its first option.
///
/// The editor chooses at random each time it sends a prompt. Taking the first makes the conversion deterministic. `\{`, `\|`
/// and `\}` are literal braces and bars.
pub fn resolve_dynamic_prompt(text: &str) -> String {
    resolve(text, 0)
}

/// The depth to which braces are resolved.
const MAX_BRACES: usize = 64;

fn resolve(text: &str, depth: usize) -> String {
    if !text.contains(['{', '\\', '/']) || depth > MAX_BRACES {
        return text.to_owned();
    }
    let text = without_comments(text);
    let mut rest = text.chars();
    let mut result = String::with_capacity(text.len());
    while let Some(char) = rest.next() {
        match char {
            '\\' => escape(&mut rest, &mut result),
            '{' => result.push_str(&resolve(&first_choice(&mut rest), depth + 1)),
            _ => result.push(char),
        }
    }
    for char in ["{", "}", "|"] {
        result = result.replace(&format!("\\{char}"), char);
    }
    result
}

/// Returns the first option of the braces that were just opened, and skips to their end.
fn first_choice(rest: &mut std::str::Chars<'_>) -> String {
    let (mut choice, mut depth, mut first) = (String::new(), 0_usize, true);
    while let Some(char) = rest.next() {
        match char {
            '\\' => {
                let mut kept = String::new();
                escape(rest, &mut kept);
                if first {
                    choice.push_str(&kept);
                }
                continue;
            }
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '|' if depth == 0 => {
                first = false;
                continue;
            }
            _ => {}
        }
        if first {
            choice.push(char);
        }
    }
    choice
}

fn escape(rest: &mut std::str::Chars<'_>, result: &mut String) {
    result.push('\\');
    match rest.next() {
        Some(char) => result.push(char),
        None => result.push_str("undefined"),
    }
}

fn without_comments(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, after) = rest.split_at(at);
        result.push_str(before);
        if let Some(comment) = after.strip_prefix("//") {
            let end = comment.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(comment.len());
            rest = &comment[end..];
        } else if let Some(end) = after.strip_prefix("/*").and_then(|comment| comment.find("*/")) {
            rest = &after[end + 4..];
        } else {
            result.push('/');
            rest = &after[1..];
        }
    }
    result.push_str(rest);
    result
}

/// Escapes a string so that [`resolve_dynamic_prompt`] returns it unchanged.
///
/// A string that ends in a single backslash cannot be escaped and is returned unchanged.
pub fn escape_dynamic_prompt(text: &str) -> String {
    if resolve_dynamic_prompt(text) == text {
        return text.to_owned();
    }
    let mut result = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek().copied()) {
            // The editor would remove the backslash with the brace. Separate braces preserve it.
            ('\\', Some(next @ ('{' | '}' | '|'))) => {
                chars.next();
                result.push_str("\\\\{\\");
                result.push(next);
                result.push('}');
            }
            // Outside braces, the slash could begin a comment.
            ('\\', Some('/')) => {
                chars.next();
                result.push_str("{\\/}");
            }
            ('\\', Some(next)) => {
                chars.next();
                result.push('\\');
                result.push(next);
            }
            ('/', Some('/' | '*')) => result.push_str("{/}"),
            ('{', _) => result.push_str("\\{"),
            _ => result.push(char),
        }
    }
    if resolve_dynamic_prompt(&result) == text { result } else { text.to_owned() }
}

/// Replaces `%node.widget%` patterns with the result of `find`. `%date:...%` stays: it depends on the time of execution.
pub fn replace_widget_patterns(text: &str, find: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let (before, after) = rest.split_at(start);
        result.push_str(before);
        let Some(end) = after[1..].find('%').filter(|end| *end > 0) else {
            result.push('%');
            rest = &after[1..];
            continue;
        };
        let pattern = &after[1..=end];
        let mut parts = pattern.split('.');
        let value = match (parts.next(), parts.next(), parts.next()) {
            (Some(node), Some(widget), None) => find(node, widget),
            _ => None,
        };
        match value {
            Some(value) => result.extend(value.chars().map(|char| {
                let forbidden =
                    matches!(char, '/' | '?' | '<' | '>' | '\\' | ':' | '*' | '|' | '"' | '\u{7f}');
                if forbidden || char < ' ' { '_' } else { char }
            })),
            None => result.push_str(&after[..end + 2]),
        }
        rest = &after[end + 2..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_the_first_choice_stays() {
        assert_eq!(resolve_dynamic_prompt("a {red|blue {dark|light}} car // why\nnext"), "a red car \nnext");
        assert_eq!(resolve_dynamic_prompt("/* no */{{a|b}|c} \\{kept\\|so\\} x/y"), "a {kept|so} x/y");
        assert_eq!(resolve_dynamic_prompt("open { a | b"), "open  a ");
        assert_eq!(resolve_dynamic_prompt("ends in \\"), "ends in \\undefined");
    }

    #[test]
    fn a_text_with_signs_of_choices_is_written_so_that_it_comes_out_as_it_was() {
        for text in [
            "{a|b}",
            "http://a//b /* c */",
            "\\{x\\|",
            "\\(a\\)",
            "a/\\/b",
            "\\\\{",
            "}{",
            "///**/",
            "\\///b",
        ] {
            assert_eq!(
                resolve_dynamic_prompt(&escape_dynamic_prompt(text)),
                text,
                "{}",
                escape_dynamic_prompt(text)
            );
        }
    }

    #[test]
    fn patterns_name_widgets_of_other_nodes() {
        let find =
            |node: &str, widget: &str| (node == "KSampler" && widget == "seed").then(|| "4:2".to_owned());
        assert_eq!(replace_widget_patterns("a%KSampler.seed%b", find), "a4_2b");
        assert_eq!(replace_widget_patterns("%date:yyyy% 100% %%", find), "%date:yyyy% 100% %%");
    }

    #[test]
    fn text_areas_hold_texts() {
        assert_eq!(as_textarea(Value::Null), "");
        assert_eq!(as_textarea(serde_json::json!("a\r\nb\rc")), "a\nb\nc");
        assert_eq!(as_textarea(serde_json::json!(5)), "5");
    }
}
