//! Escapes braces of a saved graph: it has no templates, even if a prompt contains `{{`.

use std::borrow::Cow;

use comfy_runner_protocol::graph::Graph;
use serde_json::Value;

use crate::template::OPENING;

/// Two opening braces as an expression: a string of its own, which static and dynamic workflows evaluate alike.
pub const BRACES: &str = r#"{{ "{{" }}"#;

/// Returns the graph with escaped braces, so that every string evaluates to itself.
pub fn escaped(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for node in graph.nodes.values_mut() {
        node.inputs.values_mut().for_each(escape_all);
        if let Some(title) = node.meta.as_mut().and_then(|meta| meta.get_mut("title")) {
            escape_all(title);
        }
    }
    graph
}

fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(escaped) = escape(text) {
                *text = escaped;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(escape_all),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains(OPENING)) {
                let entries = std::mem::take(map).into_iter();
                *map = entries.map(|(key, value)| (escape(&key).into_owned(), value)).collect();
            }
            map.values_mut().for_each(escape_all);
        }
        _ => {}
    }
}

/// Returns the string with every pair of opening braces replaced by an expression.
fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(OPENING) { Cow::Owned(text.replace(OPENING, BRACES)) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Names, Template, Variables};
    use proptest::prelude::*;

    #[test]
    fn only_opening_braces_are_escaped() {
        for text in ["", "{a|b}", "}} {", "a } b"] {
            assert_eq!(escape(text), text);
        }
        assert_eq!(escape("a {{b}} {{"), r#"a {{ "{{" }}b}} {{ "{{" }}"#);
    }

    proptest! {
        #[test]
        fn an_escaped_string_evaluates_to_what_it_was(text in "[{}a '\"\n]{0,30}") {
            let template = Template::parse(&escape(&text), &Names::default()).unwrap();
            prop_assert_eq!(template.value(&Variables::new()).unwrap(), Value::from(text));
        }
    }
}
