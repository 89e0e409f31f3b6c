//! What the editor does to the values of some widgets: text areas, files, prompts with choices, names with patterns.

use comfy_runner_protocol::object_info::InputSpec;
use serde_json::Value;

/// What a text area makes of a value: a text, with line ends as one character.
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

/// What a choice of files makes of a value: the first of several, with its folder where that is not `input`.
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
    let told = ["[input]", "[output]", "[temp]"].iter().any(|mark| lower.contains(mark));
    if told || folder == "input" { name.to_owned() } else { format!("{name} [{folder}]") }
}

/// A prompt without its comments (`//` to the end of the line, and `/* */`), and with one of each `{this|that}`.
///
/// The editor draws one by lot whenever it sends the prompt; here it is the first, so that the same file always gives
/// the same graph. `\{`, `\|` and `\}` stand for themselves.
pub fn resolved_choices(text: &str) -> String {
    resolve(text, 0)
}

/// Braces deeper than this are left as they are.
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

/// What stands before the first `|` of the braces that were just opened; all of them are passed over.
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

/// A text from which [`resolved_choices`] makes this one: with its braces and comment signs taken for what they are.
///
/// There is none for a text that ends in a single backslash; it is given back as it is.
pub fn choices_of(text: &str) -> String {
    if resolved_choices(text) == text {
        return text.to_owned();
    }
    let mut result = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek().copied()) {
            // A backslash before a brace would go: in braces of its own the brace comes after that.
            ('\\', Some(next @ ('{' | '}' | '|'))) => {
                chars.next();
                result.push_str("\\\\{\\");
                result.push(next);
                result.push('}');
            }
            ('\\', Some('/')) => result.push('\\'),
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
    if resolved_choices(&result) == text { result } else { text.to_owned() }
}

/// A file name whose `%node.widget%` patterns are replaced by what `find` knows of them. `%date:...%` stays: only the
/// moment of saving can say it.
pub fn replaced_patterns(text: &str, find: impl Fn(&str, &str) -> Option<String>) -> String {
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
        assert_eq!(resolved_choices("a {red|blue {dark|light}} car // why\nnext"), "a red car \nnext");
        assert_eq!(resolved_choices("/* no */{{a|b}|c} \\{kept\\|so\\} x/y"), "a {kept|so} x/y");
        assert_eq!(resolved_choices("open { a | b"), "open  a ");
        assert_eq!(resolved_choices("ends in \\"), "ends in \\undefined");
    }

    #[test]
    fn a_text_with_signs_of_choices_is_written_so_that_it_comes_out_as_it_was() {
        for text in ["{a|b}", "http://a//b /* c */", "\\{x\\|", "\\(a\\)", "a/\\/b", "\\\\{", "}{", "///**/"]
        {
            assert_eq!(resolved_choices(&choices_of(text)), text, "{}", choices_of(text));
        }
    }

    #[test]
    fn patterns_name_widgets_of_other_nodes() {
        let find =
            |node: &str, widget: &str| (node == "KSampler" && widget == "seed").then(|| "4:2".to_owned());
        assert_eq!(replaced_patterns("a%KSampler.seed%b", find), "a4_2b");
        assert_eq!(replaced_patterns("%date:yyyy% 100% %%", find), "%date:yyyy% 100% %%");
    }

    #[test]
    fn text_areas_hold_texts() {
        assert_eq!(as_textarea(Value::Null), "");
        assert_eq!(as_textarea(serde_json::json!("a\r\nb\rc")), "a\nb\nc");
        assert_eq!(as_textarea(serde_json::json!(5)), "5");
    }
}
