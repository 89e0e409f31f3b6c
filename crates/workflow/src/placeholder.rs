//! `{{name}}` in a graph's texts.

use serde_json::Value;

use crate::dynamic::{Expression, ExpressionError};

/// A text of the graph that holds placeholders, taken apart once when the workflow is compiled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    /// The text is one placeholder: its value is taken with its type.
    Whole(Name),
    /// The text is one expression: its result is taken with its type.
    Expression(Expression),
    /// Placeholders within a longer text: their values are rendered.
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Name(Name),
    Expression(Expression),
}

/// What stands between the braces: `prompt`, or `size.w` for a part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub id: String,
    pub part: Option<String>,
}

impl Template {
    /// Takes a text apart; none when it holds no placeholder. The error says what stands between braces and is neither a
    /// name nor an expression.
    pub fn parse(text: &str) -> Result<Option<Self>, ExpressionError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, after)) = after.split_once("}}") else { break };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match Name::parse(inside) {
                Some(name) => Part::Name(name),
                None => Part::Expression(Expression::parse(inside)?),
            });
            rest = after;
        }
        if parts.is_empty() {
            return Ok(None);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Some(match <[Part; 1]>::try_from(parts) {
            Ok([Part::Name(name)]) => Self::Whole(name),
            Ok([Part::Expression(expression)]) => Self::Expression(expression),
            Ok([text]) => Self::Parts(vec![text]),
            Err(parts) => Self::Parts(parts),
        }))
    }

    /// The placeholders that are names.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let whole = if let Self::Whole(name) = self { Some(name) } else { None };
        whole.into_iter().chain(self.parts().iter().filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Text(_) | Part::Expression(_) => None,
        }))
    }

    /// The placeholders that are expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let whole = if let Self::Expression(expression) = self { Some(expression) } else { None };
        whole.into_iter().chain(self.parts().iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Text(_) | Part::Name(_) => None,
        }))
    }

    fn parts(&self) -> &[Part] {
        if let Self::Parts(parts) = self { parts } else { &[] }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let word = |text: &str| {
            let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            (plain && !text.is_empty()).then(|| text.to_owned())
        };
        let text = text.trim();
        match text.split_once('.') {
            Some((id, part)) => Some(Self { id: word(id)?, part: Some(word(part)?) }),
            None => Some(Self { id: word(text)?, part: None }),
        }
    }
}

/// Appends a value as people write it: a resolution as `832x1216`, anything that is no scalar as JSON.
pub(crate) fn push(text: &mut String, value: &Value) {
    match value {
        Value::String(own) => text.push_str(own),
        Value::Null => {}
        Value::Object(map) if map.len() == 2 && map.contains_key("w") && map.contains_key("h") => {
            text.push_str(&format!("{}x{}", map["w"], map["h"]));
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str, part: Option<&str>) -> Name {
        Name { id: id.to_owned(), part: part.map(str::to_owned) }
    }

    #[test]
    fn a_whole_placeholder_is_told_from_one_in_a_text() {
        assert_eq!(Template::parse("{{ steps }}"), Ok(Some(Template::Whole(name("steps", None)))));
        assert_eq!(Template::parse("{{size.w}}"), Ok(Some(Template::Whole(name("size", Some("w"))))));
        let parts = vec![Part::Text("a ".into()), Part::Name(name("b", None)), Part::Name(name("c", None))];
        assert_eq!(Template::parse("a {{b}}{{ c }}"), Ok(Some(Template::Parts(parts))));
    }

    #[test]
    fn text_without_a_pair_of_braces_is_just_text() {
        for text in ["", "{a|b}", "{{", "}}", "a {{ b", "}} {{"] {
            assert_eq!(Template::parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_an_expression_is_refused() {
        assert!(matches!(Template::parse("{{ a * 2 }}"), Ok(Some(Template::Expression(_)))));
        for text in ["{{ a * }}", "{{}}", "a {{ ? }} b"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
