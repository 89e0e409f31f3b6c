//! Values of a block that hold placeholders, taken apart once.

use serde_json::{Map, Value};

use super::expression::{Expression, ExpressionError, Missing};
use super::variables::Variables;
use crate::placeholder::push;

/// A value of a block.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// No placeholder anywhere inside: taken as it is.
    Literal(Value),
    Text(Text),
    List(Vec<Content>),
    Map(Vec<(Text, Content)>),
}

/// A text, taken apart.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// No placeholder.
    Plain(String),
    /// Nothing but a placeholder: its value is taken with its type.
    Whole(Expression),
    /// Placeholders within a longer text: their values are rendered.
    Parts(Vec<Part>),
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    Value(Expression),
}

impl Content {
    /// Takes a value apart.
    pub fn parse(value: &Value) -> Result<Self, ExpressionError> {
        let content = match value {
            Value::String(text) => match Text::parse(text)? {
                Text::Plain(_) => Self::Literal(value.clone()),
                text => Self::Text(text),
            },
            Value::Array(list) => {
                let contents = list.iter().map(Self::parse).collect::<Result<Vec<_>, _>>()?;
                if contents.iter().all(Self::is_literal) {
                    Self::Literal(value.clone())
                } else {
                    Self::List(contents)
                }
            }
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| Ok((Text::parse(key)?, Self::parse(value)?));
                let entries = map.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
                if entries.iter().all(|(key, value)| key.is_plain() && value.is_literal()) {
                    Self::Literal(value.clone())
                } else {
                    Self::Map(entries)
                }
            }
            _ => Self::Literal(value.clone()),
        };
        Ok(content)
    }

    /// Whether it is the same for every request.
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// The expressions in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'c>(&'c self, found: &mut Vec<&'c Expression>) {
        match self {
            Self::Literal(_) => {}
            Self::Text(text) => found.extend(text.expressions()),
            Self::List(list) => list.iter().for_each(|content| content.collect(found)),
            Self::Map(entries) => {
                for (key, content) in entries {
                    // A key that nothing fills is dropped: only names in longer keys must be known.
                    if !matches!(key, Text::Whole(_)) {
                        found.extend(key.expressions());
                    }
                    content.collect(found);
                }
            }
        }
    }

    /// The value; null where a placeholder has none.
    pub fn value(&self, variables: &Variables<'_>) -> Result<Value, ExpressionError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Text(text) => text.value(variables)?,
            Self::List(list) => {
                let values = list.iter().map(|content| content.value(variables));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, content) in entries {
                    if let Some(key) = key.key(variables)? {
                        map.insert(key, content.value(variables)?);
                    }
                }
                Value::Object(map)
            }
        })
    }
}

impl Text {
    /// Takes a text apart.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let end = end_of(after).ok_or_else(|| ExpressionError::Syntax {
                source_text: after.chars().take(60).collect(),
                reason: "`{{` has no `}}`; to have braces as text, write {{ '{{' }}".to_owned(),
            })?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Value(Expression::parse(&after[..end])?));
            rest = &after[end + 2..];
        }
        if parts.is_empty() {
            return Ok(Self::Plain(text.to_owned()));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(match <[Part; 1]>::try_from(parts) {
            Ok([Part::Value(expression)]) => Self::Whole(expression),
            Ok([text]) => Self::Parts(vec![text]),
            Err(parts) => Self::Parts(parts),
        })
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (whole, parts) = match self {
            Self::Plain(_) => (None, [].as_slice()),
            Self::Whole(expression) => (Some(expression), [].as_slice()),
            Self::Parts(parts) => (None, parts.as_slice()),
        };
        whole.into_iter().chain(parts.iter().filter_map(|part| match part {
            Part::Value(expression) => Some(expression),
            Part::Text(_) => None,
        }))
    }

    /// The value, with its type when the text is nothing but a placeholder.
    pub fn value(&self, variables: &Variables<'_>) -> Result<Value, ExpressionError> {
        match self {
            Self::Plain(text) => Ok(text.clone().into()),
            Self::Whole(expression) => expression.value(variables, Missing::Strict),
            Self::Parts(_) => self.render(variables).map(Value::String),
        }
    }

    /// The value as text; what has none is rendered as nothing.
    pub fn render(&self, variables: &Variables<'_>) -> Result<String, ExpressionError> {
        let mut text = String::new();
        let take = |expression: &Expression, text: &mut String| {
            expression.value(variables, Missing::Strict).map(|value| push(text, &value))
        };
        match self {
            Self::Plain(own) => text.push_str(own),
            Self::Whole(expression) => take(expression, &mut text)?,
            Self::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text(own) => text.push_str(own),
                        Part::Value(expression) => take(expression, &mut text)?,
                    }
                }
            }
        }
        Ok(text)
    }

    /// The text as a key. Nothing when it is nothing but a placeholder that nothing fills.
    pub fn key(&self, variables: &Variables<'_>) -> Result<Option<String>, ExpressionError> {
        let key = match self {
            Self::Whole(expression) => match expression.value(variables, Missing::Strict) {
                Err(ExpressionError::Unknown { .. }) => String::new(),
                Err(error) => return Err(error),
                Ok(value) => {
                    let mut key = String::new();
                    push(&mut key, &value);
                    key
                }
            },
            text => text.render(variables)?,
        };
        Ok(Some(key).filter(|key| !key.is_empty() || self.is_plain()))
    }
}

/// Where the expression that begins here ends: at `}}` outside of quotes and of braces of its own.
fn end_of(text: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut depth) = (None, false, 0_usize);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) => {
                if c == open && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth > 0 => depth -= 1,
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(content: Value, variables: Value) -> Value {
        let variables = Variables::of(variables.as_object().unwrap().clone());
        Content::parse(&content).unwrap().value(&variables).unwrap()
    }

    #[test]
    fn a_whole_placeholder_keeps_the_type_and_one_in_a_text_is_rendered() {
        let given = json!({"n": 3, "t": "x {{ n }}", "size": {"w": 8, "h": 9}, "nothing": null});
        assert_eq!(value(json!("{{ n }}"), given.clone()), json!(3));
        assert_eq!(value(json!("{{n * 2}}"), given.clone()), json!(6));
        assert_eq!(
            value(json!("a {{n}}{{ t }} {{size}}{{nothing}}!"), given.clone()),
            json!("a 3x {{ n }} 8x9!")
        );
        assert_eq!(
            value(json!({"{{t}}": ["{{n}}", 1], "k": null}), given),
            json!({"x {{ n }}": [3, 1], "k": null})
        );
    }

    #[test]
    fn a_key_that_nothing_fills_is_dropped() {
        assert_eq!(
            value(json!({"{{a}}": 1, "{{b}}": 2, "{{c}}": 3}), json!({"a": "x", "b": null})),
            json!({"x": 1})
        );
    }

    #[test]
    fn quotes_and_maps_may_hold_braces() {
        assert_eq!(value(json!("{{ '}}' }}"), json!({})), json!("}}"));
        assert_eq!(value(json!("{{ {'a': {'b': 1}} }}"), json!({})), json!({"a": {"b": 1}}));
        assert_eq!(value(json!("{{ \"it's\" }}."), json!({})), json!("it's."));
        assert!(Text::parse("{{ a").is_err());
        assert_eq!(value(json!("a } b }} c { d"), json!({})), json!("a } b }} c { d"));
    }
}
