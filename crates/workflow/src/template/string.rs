//! Strings with expressions between `{{` and `}}`.

use serde_json::Value;

use super::expression::{Expression, ExpressionError, Missing};
use super::names::Names;
use super::variables::Variables;

/// The opening delimiter of an expression.
pub(crate) const OPENING: &str = "{{";

/// A string, parsed once.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    /// No expression.
    Plain(String),
    /// A single expression, whose value keeps its type.
    Whole(Expression),
    /// Text with expressions, whose values are rendered as strings.
    Segments(Vec<Segment>),
}

/// A piece of a [`Template`].
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Parses a string. `names` are the names that a manifest declares: between braces, one of them is that name, even
    /// where it would read as an expression (`my-input`).
    ///
    /// # Errors
    /// `{{` without `}}`, and braces without a valid expression between them.
    pub fn parse(text: &str, names: &Names) -> Result<Self, ExpressionError> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPENING) {
            let end = closing(after).ok_or_else(|| unclosed(after))?;
            if !before.is_empty() {
                segments.push(Segment::Text(before.to_owned()));
            }
            segments.push(Segment::Expression(Expression::parse_placeholder(&after[..end], names)?));
            rest = &after[end + 2..];
        }
        if segments.is_empty() {
            return Ok(Self::Plain(text.to_owned()));
        }
        if !rest.is_empty() {
            segments.push(Segment::Text(rest.to_owned()));
        }
        Ok(match <[Segment; 1]>::try_from(segments) {
            Ok([Segment::Expression(expression)]) => Self::Whole(expression),
            Ok([text]) => Self::Segments(vec![text]),
            Err(segments) => Self::Segments(segments),
        })
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Returns the expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (whole, segments) = match self {
            Self::Plain(_) => (None, [].as_slice()),
            Self::Whole(expression) => (Some(expression), [].as_slice()),
            Self::Segments(segments) => (None, segments.as_slice()),
        };
        whole.into_iter().chain(segments.iter().filter_map(|segment| match segment {
            Segment::Expression(expression) => Some(expression),
            Segment::Text(_) => None,
        }))
    }

    /// Returns the value, with its type if the string is a single expression.
    pub fn value(&self, variables: &Variables<'_>) -> Result<Value, ExpressionError> {
        match self {
            Self::Plain(text) => Ok(text.clone().into()),
            Self::Whole(expression) => expression.value(variables, Missing::Strict),
            Self::Segments(_) => self.render(variables).map(Value::String),
        }
    }

    /// Returns the value as a string; null is written as nothing.
    pub fn render(&self, variables: &Variables<'_>) -> Result<String, ExpressionError> {
        let mut text = String::new();
        let take = |expression: &Expression, text: &mut String| {
            expression.value_ref(variables, Missing::Strict).map(|value| push_value(text, &value))
        };
        match self {
            Self::Plain(own) => text.push_str(own),
            Self::Whole(expression) => take(expression, &mut text)?,
            Self::Segments(segments) => {
                for segment in segments {
                    match segment {
                        Segment::Text(own) => text.push_str(own),
                        Segment::Expression(expression) => take(expression, &mut text)?,
                    }
                }
            }
        }
        Ok(text)
    }

    /// Returns the string as a key. `None` if it is a single expression without a value.
    pub fn key(&self, variables: &Variables<'_>) -> Result<Option<String>, ExpressionError> {
        let key = match self {
            Self::Whole(expression) => match expression.value(variables, Missing::Strict) {
                Err(ExpressionError::Unknown { .. }) => String::new(),
                Err(error) => return Err(error),
                Ok(value) => {
                    let mut key = String::new();
                    push_value(&mut key, &value);
                    key
                }
            },
            text => text.render(variables)?,
        };
        Ok(Some(key).filter(|key| !key.is_empty() || self.is_plain()))
    }
}

/// Appends a value as people write it: a resolution as `832x1216`, null as an empty string, lists and maps as JSON.
pub(crate) fn push_value(text: &mut String, value: &Value) {
    match value {
        Value::String(own) => text.push_str(own),
        Value::Null => {}
        Value::Object(map) if map.len() == 2 && map.contains_key("w") && map.contains_key("h") => {
            text.push_str(&format!("{}x{}", map["w"], map["h"]));
        }
        other => text.push_str(&other.to_string()),
    }
}

/// Returns an expression without the braces that a condition or a computed name may have around it.
pub(super) fn without_braces(source: &str) -> &str {
    let source = source.trim();
    source.strip_prefix(OPENING).and_then(|inner| inner.strip_suffix("}}")).unwrap_or(source).trim()
}

/// Finds the end of the expression that begins here: `}}` outside of quotes and of braces of its own.
fn closing(text: &str) -> Option<usize> {
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

fn unclosed(after: &str) -> ExpressionError {
    ExpressionError::Syntax {
        source_text: after.chars().take(60).collect(),
        reason: "`{{` has no `}}`; to have braces as text, write {{ '{{' }}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Template, ExpressionError> {
        Template::parse(text, &Names::default())
    }

    #[test]
    fn one_expression_is_distinguished_from_one_in_a_longer_string() {
        assert!(matches!(parse("{{ steps }}"), Ok(Template::Whole(_))));
        assert!(matches!(parse("{{ steps-1 }}"), Ok(Template::Whole(_))));
        let Ok(Template::Segments(segments)) = parse("a {{b}}{{ c }}") else { panic!("segments") };
        assert_eq!(segments.len(), 3);
    }

    #[test]
    fn single_and_closing_braces_are_text() {
        for text in ["", "{a|b}", "}}", "}} {", "a } b }} c { d"] {
            assert!(matches!(parse(text), Ok(Template::Plain(plain)) if plain == text), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["{{ a * }}", "{{}}", "a {{ ? }} b", "{{", "a {{ b", "}} {{", "{{ 'a }}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_declared_name_is_a_name_and_not_an_expression() {
        let text = "id: w\ninputs: [{id: steps-1, type: int}, {id: 2nd, type: int}]\n";
        let (manifest, _) = comfy_runner_manifest::Manifest::parse(text, "w").unwrap();
        let names = Names::from_all_stages(&manifest);
        let variables =
            Variables::from_map(json!({"steps-1": 7, "2nd": 8, "steps": 20}).as_object().unwrap().clone());
        let value = |text: &str| Template::parse(text, &names).unwrap().value(&variables).unwrap();
        assert_eq!(value("{{ steps-1 }}"), json!(7));
        assert_eq!(value("{{steps-2}}"), json!(18));
        assert_eq!(value("{{ 2nd }}"), json!(8));
    }

    proptest! {
        #[test]
        fn no_string_makes_parsing_panic(text in "\\PC{0,40}|[{}'\" a.]{0,30}") {
            let _ = parse(&text);
        }
    }
}
