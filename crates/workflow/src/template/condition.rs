//! Conditions of stages: expressions, and their older spellings.

use serde_json::Value;

use super::expression::{Expression, ExpressionError, Missing, is_name};
use super::names::Names;
use super::string::without_braces;
use super::truth::is_true;
use super::variables::Variables;

/// The condition of a stage.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Expression(Expression),
    /// `name == bareword` and `name != bareword`: compares the value as a string with the word.
    Word {
        name: Expression,
        word: String,
        equal: bool,
    },
}

impl Condition {
    /// Parses a condition. A word that is compared with and is not among the declared `names` is a string.
    pub fn parse(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        let source = without_braces(source);
        if let Some((name, word, equal)) = bareword(source)
            && !names.declares(word)
        {
            return Ok(Self::Word { name: Expression::parse(name, names)?, word: word.to_owned(), equal });
        }
        Expression::parse_test(&modern(source, names), names).map(Self::Expression)
    }

    /// Returns the names that it takes from the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Expression(expression) | Self::Word { name: expression, .. } => expression.names(),
        }
    }

    /// Returns whether it holds. Missing, empty, false and `"false"` are false.
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

    /// Returns the literals that the condition compares with, as values for trying all alternatives.
    pub fn literals(&self) -> Vec<Value> {
        match self {
            Self::Word { word, .. } => vec![word.clone().into()],
            Self::Expression(expression) => tokens(expression.source()).filter_map(literal).collect(),
        }
    }
}

/// Parses `name == word` and `name != word`.
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

/// Returns the expression with `!` as `not`, and words that are compared with in quotes.
fn modern(source: &str, names: &Names) -> String {
    let tokens: Vec<&str> = tokens(source).collect();
    let mut text = String::with_capacity(source.len() + 16);
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| tokens[at]);
        let ends = tokens.get(at + 1).is_none_or(|t| matches!(*t, ")" | "and" | "or"));
        if at > 0 {
            text.push(' ');
        }
        match *token {
            "!" => text.push_str("not"),
            word if is_name(word)
                && !is_word(word)
                && matches!(before, Some("==" | "!="))
                && ends
                && !names.declares(word) =>
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

/// Returns the value of a token that is a number or a string in quotes.
fn literal(token: &str) -> Option<Value> {
    let inner = |quote: char| token.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    if let Some(text) = inner('"').or_else(|| inner('\'')) {
        return Some(text.into());
    }
    serde_json::from_str(token).ok().filter(Value::is_number)
}

/// Splits the source into tokens: names and numbers, strings in quotes, operators.
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

    fn names() -> Names {
        let defaults =
            "{yes: 1, no: 1, text_no: 1, empty: 1, none: 1, steps: 1, mode: 1, size: 1, list: 1, style: 1}";
        let text = format!("id: w\ndefaults: {defaults}\n");
        Names::from_manifest(&comfy_runner_manifest::Manifest::parse(&text, "w").unwrap().0)
    }

    fn holds(source: &str) -> bool {
        let variables = json!({"yes": true, "no": false, "text_no": "false", "empty": "", "none": null, "steps": 12,
            "mode": "fast", "size": {"w": 8}, "list": [], "style": "image-to-video"});
        let variables = Variables::from_map(variables.as_object().unwrap().clone());
        Condition::parse(source, &names()).unwrap().holds(&variables).unwrap()
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
            assert!(Condition::parse(source, &names()).is_err(), "{source}");
        }
    }

    #[test]
    fn literals_are_found_for_the_alternatives() {
        let condition = Condition::parse("steps > 10 and mode == \"fast\"", &names()).unwrap();
        assert_eq!(condition.literals(), [json!(10), json!("fast")]);
        let condition = Condition::parse("mode == slow", &names()).unwrap();
        assert_eq!(condition.literals(), [json!("slow")]);
    }
}
