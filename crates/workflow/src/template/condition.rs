//! Conditions of stages: comparisons of a name with a text, and expressions.

use std::borrow::Cow;

use serde_json::Value;

use super::expression::{Expression, ExpressionError, Missing, is_name};
use super::lora;
use super::names::Names;
use super::string::{push_value, without_braces};
use super::truth::is_true;
use super::variables::Variables;

/// The condition of a stage. `docs/dynamic.md`, "Conditions", has the rule.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Expression(Expression),
    Comparison(Comparison),
}

/// `name == text` and `name != text`: compares the text of the name's value with everything after the operator, as
/// ComfyUI Studio does.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    name: Expression,
    text: String,
    equal: bool,
    /// Whether the name is an input of type `lora_picker`.
    is_lora: bool,
    /// The whole condition as an expression, which decides where the texts differ. None if only the text counts.
    otherwise: Option<Expression>,
    /// The undeclared names of what would otherwise be an expression.
    unknown: Vec<String>,
}

impl Condition {
    /// Parses a condition. A word that is compared with and is not among the declared `names` is a string.
    pub fn parse(source: &str, names: &Names) -> Result<Self, ExpressionError> {
        let source = without_braces(source);
        let expression = || Expression::parse_test(&modern(source, names), names);
        match comparison(source, names) {
            None => expression().map(Self::Expression),
            Some((name, text, equal)) => {
                let is_text = names.is_option(name, text) || is_text(text, names);
                let otherwise = (!is_text).then(|| expression().ok()).flatten();
                // Names that are not declared are a sign of text, such as `a/b`.
                let unknown = |expression: &Expression| {
                    let unknown = expression.names().filter(|used| *used != name && !names.declares(used));
                    unknown.map(str::to_owned).collect::<Vec<_>>()
                };
                let unknown = otherwise.as_ref().map(unknown).unwrap_or_default();
                Ok(Self::Comparison(Comparison {
                    name: Expression::parse(name, names)?,
                    text: text.to_owned(),
                    equal,
                    is_lora: names.is_lora(name),
                    otherwise: otherwise.filter(|_| unknown.is_empty()),
                    unknown,
                }))
            }
        }
    }

    /// Returns the names that it takes from the variables, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (first, rest) = match self {
            Self::Expression(expression) => (expression, None),
            Self::Comparison(comparison) => (&comparison.name, comparison.otherwise.as_ref()),
        };
        let rest = rest.into_iter().flat_map(Expression::names);
        first.names().chain(rest.filter(|name| first.names().all(|known| known != *name)))
    }

    /// Returns the name and the text if only the text counts.
    pub fn compared_text(&self) -> Option<(&str, &str)> {
        match self {
            Self::Comparison(Comparison { name, text, otherwise: None, .. }) => Some((name.name()?, text)),
            _ => None,
        }
    }

    /// Returns the names of which one may be a typing error: the condition would be an expression if they were declared.
    /// Empty unless it has `and` or `or`, which are rare in texts.
    pub fn doubtful_names(&self) -> &[String] {
        match self {
            Self::Comparison(Comparison { text, unknown, .. })
                if tokens(text).any(|token| matches!(token, "and" | "or")) =>
            {
                unknown
            }
            _ => &[],
        }
    }

    /// Returns whether it holds. Missing, empty, zero, false and `"false"` are false.
    pub fn holds(&self, variables: &Variables<'_>) -> Result<bool, ExpressionError> {
        match self {
            Self::Expression(expression) => Ok(is_true(&expression.value(variables, Missing::IsNone)?)),
            Self::Comparison(comparison) => comparison.holds(variables),
        }
    }

    /// Returns the literals that the condition compares with, as values for trying all alternatives.
    pub fn literals(&self) -> Vec<Value> {
        let of = |expression: &Expression| tokens(expression.source()).filter_map(literal).collect();
        match self {
            Self::Expression(expression) => of(expression),
            Self::Comparison(Comparison { text, otherwise, .. }) => {
                let mut literals: Vec<Value> = otherwise.as_ref().map(of).unwrap_or_default();
                literals.push(text.clone().into());
                literals.extend(literal(text).filter(|value| !literals.contains(value)));
                literals
            }
        }
    }
}

impl Comparison {
    fn holds(&self, variables: &Variables<'_>) -> Result<bool, ExpressionError> {
        let value = self.name.value(variables, Missing::IsNone)?;
        let name = self.name.name().unwrap_or_default();
        if self.is_same(&value, self.is_lora && variables.has_value(name)) {
            return Ok(self.equal);
        }
        match &self.otherwise {
            Some(expression) => Ok(is_true(&expression.value(variables, Missing::IsNone)?)),
            None => Ok(!self.equal),
        }
    }

    /// Returns whether the value has the text. `picked` is whether it is the value of a `lora_picker`, where null means
    /// that the caller wants no LoRA.
    fn is_same(&self, value: &Value, picked: bool) -> bool {
        let word = |word: &str| self.text.eq_ignore_ascii_case(word);
        match value {
            Value::Null if picked => word("none") || word("false"),
            Value::String(text) if !text.is_empty() && (word("true") || word("false")) => word(text),
            // The truth of anything else.
            value if word("true") => is_true(value),
            value if word("false") => !is_true(value),
            value if picked => lora::part(value, None).ok().flatten().is_some_and(|file| *file == *self.text),
            // A list or a map has no text, except a resolution.
            Value::Array(_) => false,
            Value::Object(map) if !(map.contains_key("w") && map.contains_key("h")) => false,
            value => text_of(value) == self.text,
        }
    }
}

/// Returns the text of a value that is no list.
fn text_of(value: &Value) -> Cow<'_, str> {
    if let Value::String(text) = value {
        return text.into();
    }
    let mut text = String::new();
    push_value(&mut text, value);
    text.into()
}

/// Splits `name == text` and `name != text`.
fn comparison<'s>(source: &'s str, names: &Names) -> Option<(&'s str, &'s str, bool)> {
    let at = ["==", "!="].iter().filter_map(|operator| source.find(operator)).min()?;
    let (name, equal, text) = (source[..at].trim(), source[at..].starts_with("=="), &source[at + 2..]);
    let is_name = is_name(name) && !is_word(name) || names.declares(name);
    // `a === b` is a typing error.
    (is_name && !text.starts_with('=')).then_some((name, text.trim(), equal))
}

/// Returns whether this is a word that is no declared name, or nothing.
fn is_text(text: &str, names: &Names) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_word = text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(plain);
    text.is_empty() || is_word && !names.declares(text)
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
    use proptest::prelude::*;
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

    /// Names with these inputs, and `half` and `hires` in `defaults`.
    fn inputs(inputs: &str) -> Names {
        let text = format!("id: w\ndefaults: {{half: 1, hires: 1}}\ninputs: [{inputs}]\n");
        Names::from_manifest(&comfy_runner_manifest::Manifest::parse(&text, "w").unwrap().0)
    }

    /// Whether a condition on a plain input `m` holds for a value.
    fn holds_for(value: Value, source: &str) -> bool {
        let mut map = json!({"m": value, "half": 6, "hires": true}).as_object().unwrap().clone();
        if value.is_null() {
            map.remove("m");
        }
        let variables = Variables::from_map(map);
        let names = inputs("{id: m, type: plain}");
        Condition::parse(source, &names).unwrap().holds(&variables).unwrap()
    }

    #[test]
    fn a_value_is_compared_with_the_text_as_it_is_written() {
        for text in [
            "fast",
            "1",
            "512x512",
            "4x-UltraSharp.pth",
            "dpm++_sde",
            "PLUS FACE (portraits)",
            "a/b",
            "a:b",
            "",
            "x == y",
            "x != y",
            "half",
            "black and white",
            "16:9",
            "don't",
            "100%",
            "{a}",
            "(",
            "a b",
            "[a]",
            "-",
            "half + 1",
            "m",
        ] {
            assert!(holds_for(json!(text), &format!("m == {text}")), "m == {text}");
            assert!(holds_for(json!(text), &format!("m=={text}")), "m=={text}");
            assert!(!holds_for(json!(text), &format!("m != {text}")), "m != {text}");
            if text != "m" {
                assert!(!holds_for(json!("other"), &format!("m == {text}")), "m == {text}");
                assert!(holds_for(json!("other"), &format!("m != {text}")), "m != {text}");
            }
        }
    }

    #[test]
    fn numbers_sizes_and_booleans_have_a_text_too() {
        assert!(holds_for(json!(1), "m == 1") && holds_for(json!("1"), "m == 1"));
        assert!(!holds_for(json!("1"), "m != 1") && holds_for(json!(2), "m != 1"));
        assert!(holds_for(json!(0.5), "m == 0.5"));
        assert!(holds_for(json!({"w": 512, "h": 768}), "m == 512x768"));
        assert!(holds_for(json!(true), "m == True") && holds_for(json!(true), "m == true"));
        assert!(holds_for(json!(false), "m == False") && holds_for(json!(false), "m != true"));
        assert!(holds_for(json!("True"), "m == true") && !holds_for(json!("fast"), "m == true"));
    }

    #[test]
    fn no_value_is_an_empty_text() {
        for source in ["m != none", "m != fast", "m ==", "m == false", "m != true", "m != half", "!m"] {
            assert!(holds_for(Value::Null, source), "{source}");
        }
        for source in ["m == none", "m == fast", "m !=", "m == true", "m", "m == 0"] {
            assert!(!holds_for(Value::Null, source), "{source}");
        }
    }

    #[test]
    fn zero_is_false_in_either_form_and_so_is_an_empty_list() {
        for value in [json!(0), json!("0"), json!([]), json!("false"), json!("False"), json!("")] {
            assert!(!holds_for(value.clone(), "m") && holds_for(value, "!m"));
        }
    }

    #[test]
    fn where_the_texts_differ_an_expression_of_declared_names_decides() {
        assert!(holds_for(json!("fast"), "m == \"fast\"") && holds_for(json!("fast"), "m == 'fast'"));
        assert!(holds_for(json!(""), "m == ''") && holds_for(json!("x"), "m != ''"));
        assert!(holds_for(json!(7.0), "m == 7") && !holds_for(json!(7.0), "m != 7"));
        assert!(holds_for(json!(6), "m == half") && holds_for(json!(12), "m == half * 2"));
        assert!(holds_for(json!("fast"), "m == fast and hires"));
        assert!(!holds_for(json!("slow"), "m == fast and hires"));
        assert!(holds_for(json!("slow"), "m == fast or hires"));
        assert!(!holds_for(json!("fast"), "m == fast and !hires"));
        assert!(holds_for(json!([]), "m == []"));
    }

    #[test]
    fn an_option_is_a_text_even_if_it_is_a_name_or_an_expression() {
        let names = inputs("{id: m, type: select, options: [half, 1/2, black and white, 7]}");
        let holds = |value: &str, source: &str| {
            let variables = json!({"m": value, "half": value, "hires": 0.5});
            let variables = Variables::from_map(variables.as_object().unwrap().clone());
            Condition::parse(source, &names).unwrap().holds(&variables).unwrap()
        };
        assert!(holds("half", "m == half") && !holds("1/2", "m == half") && holds("1/2", "m != half"));
        assert!(holds("1/2", "m == 1/2") && holds("black and white", "m == black and white"));
        assert!(!holds("7.0", "m == 7"));
    }

    #[test]
    fn a_lora_that_is_not_wanted_has_the_text_none() {
        let names = inputs("{id: l, type: lora_picker}");
        let holds = |value: Option<Value>, source: &str| {
            let mut variables = Variables::new();
            match value {
                Some(value) => variables.set("l", value),
                None => variables.declare("l"),
            }
            Condition::parse(source, &names).unwrap().holds(&variables).unwrap()
        };
        assert!(holds(Some(Value::Null), "l == none") && !holds(Some(Value::Null), "l != none"));
        assert!(holds(None, "l != none"));
        assert!(holds(Some(json!("ink.pt")), "l == ink.pt") && holds(Some(json!("ink.pt")), "l != none"));
        assert!(holds(Some(json!({"file": "ink.pt", "strength": 1})), "l == ink.pt"));
    }

    proptest! {
        /// Whatever follows the operator: a value with that text is equal to it, and only `==` holds.
        #[test]
        fn a_value_is_equal_to_its_own_text(text in "\\PC{0,30}|[a-z0-9 +*/:.()'\"\\[\\]!=<>-]{0,20}|half|hires and m") {
            let text = text.trim();
            prop_assume!(!text.starts_with('=') && !text.ends_with("}}"));
            let (equal, unequal) = (format!("m == {text}"), format!("m != {text}"));
            prop_assert!(holds_for(json!(text), &equal));
            prop_assert!(!holds_for(json!(text), &unequal));
        }

        /// Among options nothing but the text counts.
        #[test]
        fn options_are_equal_exactly_if_their_texts_are(
            options in proptest::collection::vec("[a-c0-2 +/.'()-]{1,6}|half|true|hires and m|m or m", 2..5),
            at in 0_usize..5,
            of in 0_usize..5,
        ) {
            let options: Vec<&str> = options.iter().map(|option| option.trim()).filter(|o| !o.is_empty()).collect();
            prop_assume!(options.len() >= 2);
            let (value, text) = (options[at % options.len()], options[of % options.len()]);
            let names = inputs(&format!("{{id: m, type: select, options: {}}}", json!(options)));
            let variables = json!({"m": value, "half": value, "hires": true});
            let variables = Variables::from_map(variables.as_object().unwrap().clone());
            let holds = |source: String| Condition::parse(&source, &names).unwrap().holds(&variables).unwrap();
            let (equal, unequal) = (format!("m == {text}"), format!("m != {text}"));
            prop_assert_eq!(holds(equal), value == text);
            prop_assert_eq!(holds(unequal), value != text);
        }

        #[test]
        fn no_condition_makes_parsing_or_testing_panic(source in "\\PC{0,40}|[m=!'\" ()a-z0-9{}|.+-]{0,30}") {
            let variables = Variables::from_map(json!({"m": "x", "half": 6}).as_object().unwrap().clone());
            if let Ok(condition) = Condition::parse(&source, &inputs("{id: m, type: plain}")) {
                let _ = condition.holds(&variables);
                condition.literals();
                condition.names().count();
            }
        }
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
        for source in ["steps >", "a b c", "(yes", "mode = fast", "mode === fast", "yes &&", "(mode) == a b"]
        {
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
