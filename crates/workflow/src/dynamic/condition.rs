//! Conditions of stages: expressions, and their older spellings.

use serde_json::Value;

use super::expression::{Expression, ExpressionError, Missing, TRUTH, is_name};
use super::variables::Variables;

/// What must hold for a stage to be there.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Expression(Expression),
    /// `name == bareword` and `name != bareword`: the value as text against the word.
    Word {
        name: Expression,
        word: String,
        equal: bool,
    },
}

impl Condition {
    /// Parses a condition. `known` says whether a word is a name: one that is none stands for itself.
    pub fn parse(source: &str, known: &dyn Fn(&str) -> bool) -> Result<Self, ExpressionError> {
        let source = source.trim();
        let source = source.strip_prefix("{{").and_then(|s| s.strip_suffix("}}")).unwrap_or(source).trim();
        if let Some((name, word, equal)) = bareword(source)
            && !known(word)
        {
            return Ok(Self::Word { name: Expression::parse(name)?, word: word.to_owned(), equal });
        }
        Expression::parse(&modern(source, known)).map(Self::Expression)
    }

    /// The names that it takes from the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Expression(expression) | Self::Word { name: expression, .. } => expression.names(),
        }
    }

    /// Whether it holds. Missing, empty, false and `"false"` are false.
    pub fn holds(&self, variables: &Variables<'_>) -> Result<bool, ExpressionError> {
        match self {
            Self::Expression(expression) => Ok(is_true(&expression.value(variables, Missing::IsNone)?)),
            Self::Word { name, word, equal } => {
                let value = name.value(variables, Missing::IsNone)?;
                let same = match (word.to_ascii_lowercase().as_str(), &value) {
                    ("true", _) => is_true(&value),
                    ("false", _) => !is_true(&value),
                    ("none" | "null", Value::Null) => true,
                    (_, Value::String(text)) => text == word,
                    (_, value) => *word == *value.to_string(),
                };
                Ok(same == *equal)
            }
        }
    }

    /// Literals that the condition compares with: values worth a try when all alternatives are wanted.
    pub fn literals(&self) -> Vec<Value> {
        match self {
            Self::Word { word, .. } => vec![word.clone().into()],
            Self::Expression(expression) => tokens(expression.source()).filter_map(literal).collect(),
        }
    }
}

/// Whether a value counts as true.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && !text.eq_ignore_ascii_case("false"),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Takes `name == word` and `name != word` apart.
fn bareword(source: &str) -> Option<(&str, &str, bool)> {
    let (name, word, equal) = match source.split_once("==") {
        Some((name, word)) => (name, word, true),
        None => source.split_once("!=").map(|(name, word)| (name, word, false))?,
    };
    let (name, word) = (name.trim(), word.trim());
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_word = word.starts_with(|c: char| c.is_alphabetic() || c == '_') && word.chars().all(plain);
    (is_name(name) && is_word).then_some((name, word, equal))
}

/// The expression with `!` as `not`, words that are compared with in quotes, and names that stand for a truth marked so
/// that `"false"` counts as false.
fn modern(source: &str, known: &dyn Fn(&str) -> bool) -> String {
    let tokens: Vec<&str> = tokens(source).collect();
    let mut text = String::with_capacity(source.len() + 16);
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| tokens[at]);
        let opened_by_call =
            before == Some("(") && at > 1 && is_name(tokens[at - 2]) && !is_word(tokens[at - 2]);
        let starts = before.is_none_or(|t| matches!(t, "(" | "not" | "and" | "or" | "!")) && !opened_by_call;
        let ends = tokens.get(at + 1).is_none_or(|t| matches!(*t, ")" | "and" | "or"));
        if at > 0 {
            text.push(' ');
        }
        match *token {
            "!" => text.push_str("not"),
            name if is_name(name) && !is_word(name) && starts && ends => {
                text.push_str(&format!("({name} | {TRUTH})"));
            }
            word if is_name(word)
                && !is_word(word)
                && matches!(before, Some("==" | "!="))
                && ends
                && !known(word) =>
            {
                text.push_str(&format!("'{word}'"));
            }
            // A path is one thing: `a . b` reads as well as `a.b`.
            other => text.push_str(other),
        }
    }
    if tokens.len() == 1 { source.to_owned() } else { text }
}

fn is_word(token: &str) -> bool {
    matches!(
        token,
        "not"
            | "and"
            | "or"
            | "in"
            | "is"
            | "if"
            | "else"
            | "true"
            | "false"
            | "none"
            | "True"
            | "False"
            | "None"
    )
}

/// A token that is a number or a text in quotes, as a value.
fn literal(token: &str) -> Option<Value> {
    let inner = |quote: char| token.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    if let Some(text) = inner('"').or_else(|| inner('\'')) {
        return Some(text.into());
    }
    serde_json::from_str(token).ok().filter(Value::is_number)
}

/// The source in pieces: names and numbers, texts in quotes, operators.
fn tokens(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match first {
            '"' | '\'' => {
                let mut escaped = false;
                let close = rest.char_indices().skip(1).find(|(_, c)| {
                    let closes = !escaped && *c == first;
                    escaped = !escaped && *c == '\\';
                    closes
                });
                close.map_or(rest.len(), |(at, _)| at + 1)
            }
            c if c.is_ascii_digit() => rest.find(|c: char| !word(c) && c != '.').unwrap_or(rest.len()),
            c if word(c) => rest.find(|c: char| !word(c)).unwrap_or(rest.len()),
            _ if ["==", "!=", "<=", ">=", "**", "//"].iter().any(|two| rest.starts_with(two)) => 2,
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(source: &str) -> bool {
        let variables = json!({"yes": true, "no": false, "text_no": "false", "empty": "", "none": null, "steps": 12,
            "mode": "fast", "size": {"w": 8}, "list": [], "style": "image-to-video"});
        let variables = Variables::of(variables.as_object().unwrap().clone());
        let known = |name: &str| variables.get(name).is_some();
        Condition::parse(source, &known).unwrap().holds(&variables).unwrap()
    }

    #[test]
    fn conditions_hold() {
        for source in [
            "yes",
            "true",
            "not no",
            "!no",
            "!text_no",
            "not text_no",
            "!missing",
            "not empty",
            "!list",
            "!(no)",
            "steps > 10 and mode == \"fast\"",
            "steps >= 12",
            "mode == fast",
            "mode != slow",
            "style == image-to-video",
            "yes == true",
            "no == false",
            "missing == false",
            "mode in ['fast', 'slow']",
            "size.w == 8",
            "{{ yes }}",
            "(yes and not no) or missing",
            "yes and !no",
            "mode == 'fast'",
            "not (text_no or no)",
            "mode|upper == 'FAST'",
            "yes and mode == fast",
            "(mode != slow) and not no",
        ] {
            assert!(holds(source), "{source}");
        }
    }

    #[test]
    fn conditions_do_not_hold() {
        for source in [
            "no",
            "text_no",
            "empty",
            "missing",
            "list",
            "!yes",
            "not yes",
            "yes and text_no",
            "steps > 12",
            "mode == slow",
            "mode != fast",
            "none",
            "text_no or no",
            "missing.part",
            "0",
            "yes == false",
            "!mode",
        ] {
            assert!(!holds(source), "{source}");
        }
    }

    #[test]
    fn a_condition_that_is_none_is_refused() {
        for source in ["steps >", "a b c", "(yes", "mode = fast", "yes &&"] {
            assert!(Condition::parse(source, &|_| true).is_err(), "{source}");
        }
    }

    #[test]
    fn literals_are_found_for_the_alternatives() {
        let condition = Condition::parse("steps > 10 and mode == \"fast\"", &|_| true).unwrap();
        assert_eq!(condition.literals(), [json!(10), json!("fast")]);
        let condition = Condition::parse("mode == slow", &|_| false).unwrap();
        assert_eq!(condition.literals(), [json!("slow")]);
    }
}
