//! The truth value of any value, in conditions and in the tests of expressions.

use minijinja::{Environment, Error, ErrorKind};
use serde_json::Value;

/// The filter that every test of an expression goes through: `not x`, `x and y`, `a if x else b`.
pub(super) const TRUTH: &str = "__truth";

/// Returns whether a value counts as true. Null, false, zero, an empty string, list or map, and the strings `"0"` and
/// `"false"` in any case do not.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(string) => string_is_true(string),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn string_is_true(string: &str) -> bool {
    !matches!(string, "" | "0") && !string.eq_ignore_ascii_case("false")
}

/// Adds the filter.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(TRUTH, |value: minijinja::Value| match value.as_str() {
        Some(string) => Ok(string_is_true(string)),
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        // The engine agrees about all other values.
        None => Ok(value.is_true()),
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_counts_as_the_same_in_an_expression() {
        let mut environment = Environment::new();
        install(&mut environment);
        let filter = environment.compile_expression("x | __truth").unwrap();
        for (value, truth) in [
            (json!(null), false),
            (json!(false), false),
            (json!(0), false),
            (json!(0.0), false),
            (json!(""), false),
            (json!("false"), false),
            (json!("False"), false),
            (json!([]), false),
            (json!({}), false),
            (json!(true), true),
            (json!(-1), true),
            (json!("0"), false),
            (json!("1"), true),
            (json!("00"), true),
            (json!(" "), true),
            (json!([0]), true),
            (json!({"a": null}), true),
        ] {
            let context = minijinja::Value::from_pairs([("x", minijinja::value::Serde(&value))]);
            assert_eq!(filter.eval(context).unwrap().is_true(), truth, "{value}");
            assert_eq!(is_true(&value), truth, "{value}");
        }
    }
}
