//! JSON values with templates anywhere in them: inputs of nodes, and `_meta`.

use comfy_runner_protocol::Link;
use serde_json::{Map, Value, json};

use super::expression::{Expression, ExpressionError};
use super::names::Names;
use super::string::{Template, push_value};
use super::variables::Variables;

/// A value, parsed once.
#[derive(Debug, Clone)]
pub(crate) enum ValueTemplate {
    /// No expression anywhere inside: the same for every request.
    Literal(Value),
    String(Template),
    List(Vec<ValueTemplate>),
    Map(Vec<(Template, ValueTemplate)>),
}

/// Why a node's input cannot have a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// ComfyUI reads a list of a string and a number as a link. Only the author of a workflow may make links.
    #[error("a list of a string and a number is a link to ComfyUI; a caller's value may not be one")]
    Link,
}

impl ValueTemplate {
    /// Parses a value. See [`Template::parse`].
    pub fn parse(value: &Value, names: &Names) -> Result<Self, ExpressionError> {
        let template = match value {
            Value::String(text) => match Template::parse(text, names)? {
                Template::Plain(_) => Self::Literal(value.clone()),
                template => Self::String(template),
            },
            Value::Array(list) => {
                let items =
                    list.iter().map(|item| Self::parse(item, names)).collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(Self::is_literal) {
                    Self::Literal(value.clone())
                } else {
                    Self::List(items)
                }
            }
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| {
                    Ok((Template::parse(key, names)?, Self::parse(value, names)?))
                };
                let entries = map.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
                if entries.iter().all(|(key, value)| key.is_plain() && value.is_literal()) {
                    Self::Literal(value.clone())
                } else {
                    Self::Map(entries)
                }
            }
            _ => Self::Literal(value.clone()),
        };
        Ok(template)
    }

    /// Returns whether it is the same for every request.
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// Returns the name, or the part of a name, that is all of the value: `{{size}}` or `{{size.w}}`.
    pub fn placeholder(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::String(Template::Whole(expression)) => expression.placeholder(),
            _ => None,
        }
    }

    /// Returns the expressions that need every name to be known.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'t>(&'t self, found: &mut Vec<&'t Expression>) {
        match self {
            Self::Literal(_) => {}
            Self::String(template) => found.extend(template.expressions()),
            Self::List(list) => list.iter().for_each(|item| item.collect(found)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    // A key that is a single expression without a value is dropped, so its names need not be known.
                    if !matches!(key, Template::Whole(_)) {
                        found.extend(key.expressions());
                    }
                    value.collect(found);
                }
            }
        }
    }

    /// Returns the value; null where an expression has none.
    pub fn value(&self, variables: &Variables<'_>) -> Result<Value, ExpressionError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::String(template) => template.value(variables)?,
            Self::List(list) => {
                let values = list.iter().map(|item| item.value(variables));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    if let Some(key) = key.key(variables)? {
                        map.insert(key, value.value(variables)?);
                    }
                }
                Value::Object(map)
            }
        })
    }

    /// Returns the value for a node's input, or `None` if it has none: the input is left out, and ComfyUI uses its own
    /// default.
    pub fn input(&self, variables: &Variables<'_>) -> Result<Option<Value>, InputError> {
        let value = self.value(variables)?;
        if self.is_literal() {
            return Ok(Some(value));
        }
        match value {
            Value::Null => Ok(None),
            value => input_value(value).map(Some),
        }
    }

    /// Returns the value for a node's `_meta`, if it is a map. The editor needs the title to be a string.
    pub fn meta(&self, variables: &Variables<'_>) -> Result<Option<Map<String, Value>>, ExpressionError> {
        let Value::Object(mut meta) = self.value(variables)? else { return Ok(None) };
        if let Some(title) = meta.get_mut("title").filter(|title| !title.is_string()) {
            let mut text = String::new();
            push_value(&mut text, title);
            *title = text.into();
        }
        Ok(Some(meta))
    }
}

/// Returns a value in the form of a node's input: a list is wrapped, because ComfyUI reads a bare one as a link.
///
/// # Errors
/// A value that ComfyUI would read as a link.
pub(crate) fn input_value(value: Value) -> Result<Value, InputError> {
    match value {
        value if Link::from_value(value.get("__value__").unwrap_or(&value)).is_some() => {
            Err(InputError::Link)
        }
        value @ Value::Array(_) => Ok(json!({"__value__": value})),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(content: Value, variables: Value) -> Value {
        let variables = Variables::from_map(variables.as_object().unwrap().clone());
        ValueTemplate::parse(&content, &Names::default()).unwrap().value(&variables).unwrap()
    }

    #[test]
    fn an_expression_alone_keeps_the_type_and_one_in_a_longer_string_is_rendered() {
        let given = json!({"n": 3, "t": "x {{ n }}", "size": {"w": 8, "h": 9}, "nothing": null});
        assert_eq!(value(json!("{{ n }}"), given.clone()), json!(3));
        assert_eq!(value(json!("{{n * 2}}"), given.clone()), json!(6));
        assert_eq!(value(json!("{{n-1}}"), given.clone()), json!(2));
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
    fn a_key_without_a_value_is_dropped() {
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
        assert_eq!(value(json!(r#"{{ "{{" }}name}}"#), json!({})), json!("{{name}}"));
    }
}
