//! Reads YAML as JSON, the subset of YAML that a manifest may use, and writes it.
//!
//! Maps with string keys, lists, strings, numbers, booleans and null. Anchors and merge keys are expanded, within
//! limits. Tags, NaN, infinity and keys that are lists or maps have no JSON and are refused.

mod edit;
mod limits;
mod tree;
mod write;

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::check::cut;
use crate::diagnostic::{Diagnostic, DiagnosticKind};

pub use edit::{EditError, edit};
pub use write::{flow, paragraph, quoted, scalar};

/// Reads YAML as JSON. `file` is the name that a problem gives.
///
/// # Errors
/// Input that is not YAML, exceeds a limit, or contains values that JSON cannot express.
pub fn parse(text: &str, file: &str) -> Result<Value, Diagnostic> {
    limits::check(text, file)?;
    let refusal = RefCell::default();
    Json(&refusal).deserialize(serde_yml::Deserializer::from_str(text)).map_err(|error| {
        let reason = refusal.take().unwrap_or_else(|| error.to_string());
        let mut problem = Diagnostic::error(
            DiagnosticKind::Syntax,
            file,
            format!("the file cannot be read as YAML: {reason}"),
        );
        let location = error.location();
        problem.line = location.as_ref().map(serde_yml::Location::line);
        problem.column = location.as_ref().map(serde_yml::Location::column);
        problem
    })
}

/// Reads any value as JSON. The cell takes the reason of a refusal, without the place that the parser adds to it.
#[derive(Clone, Copy)]
struct Json<'r>(&'r RefCell<Option<String>>);

impl Json<'_> {
    fn refuse<E: serde::de::Error>(self, reason: impl Into<String>) -> E {
        let reason = reason.into();
        self.0.replace(Some(reason.clone()));
        E::custom(reason)
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, a string, a number, a boolean or null")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        Err(self.refuse(format!("{value} is too large: integers go up to {}", u64::MAX)))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        Err(self.refuse(format!("{value} is too small: integers go down to {}", i64::MIN)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| self.refuse(format!("{value} is not a number that JSON can hold")))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = entries.next_key_seed(self)? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                Value::Bool(key) => key.to_string(),
                _ => return Err(self.refuse("a key is a list, a map or null; write a string in quotes")),
            };
            let value = entries.next_value_seed(self)?;
            if key == "<<" {
                merged.push(value);
            } else if map.contains_key(&key) {
                return Err(self.refuse(format!("the key `{}` is given twice; remove one", cut(&key))));
            } else {
                map.insert(key, value);
            }
        }
        for value in merged {
            merge(&mut map, value).map_err(|reason| self.refuse(reason))?;
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, _) = data.variant::<String>()?;
        Err(self.refuse(format!("the tag `!{}` is not supported; remove it", cut(&tag))))
    }
}

/// Applies YAML's merge key: adds entries whose keys the map does not have.
fn merge(map: &mut Map<String, Value>, value: Value) -> Result<(), &'static str> {
    match value {
        Value::Object(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(values) => values.into_iter().try_for_each(|value| merge(map, value)),
        _ => Err("`<<` takes a map, or a list of maps"),
    }
}

#[cfg(test)]
mod tests {
    use super::limits::{DEEPEST_YAML, LARGEST_YAML, MOST_YAML_VALUES};
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> Diagnostic {
        parse(text, "m.yaml").expect_err("must be refused")
    }

    #[test]
    fn numbers_keep_every_digit() {
        let value =
            parse("[18446744073709551615, -9223372036854775808, 8.000000000000002, 1e3, 0x10]", "m").unwrap();
        assert_eq!(
            value.to_string(),
            "[18446744073709551615,-9223372036854775808,8.000000000000002,1000.0,16]"
        );
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded_and_own_keys_win() {
        let value = parse("base: &b {min: 1, max: 9}\nuse:\n  <<: *b\n  max: 5\nagain: [*b]\n", "m").unwrap();
        assert_eq!(value["use"], json!({"max": 5, "min": 1}));
        assert_eq!(value["again"], json!([{"min": 1, "max": 9}]));
    }

    #[test]
    fn keys_that_are_plain_scalars_become_texts() {
        assert_eq!(parse("{2: a, true: b}", "m").unwrap(), json!({"2": "a", "true": "b"}));
    }

    #[test]
    fn what_json_cannot_hold_is_refused_with_its_place() {
        let problem = refused("a: 1\nb: .nan\n");
        assert_eq!((problem.line, problem.kind), (Some(2), DiagnosticKind::Syntax));
        assert!(problem.message.contains("not a number"), "{problem}");
        assert!(refused("[a, b]: 1").message.contains("a key is a list"));
        assert!(refused("a: 1\na: 2").message.contains("`a` is given twice"));
        assert!(refused("a: 36893488147419103232").message.contains("too large"));
        assert_eq!(refused("a: [1\nb: 2").kind, DiagnosticKind::Syntax);
        assert!(refused("a: &a [*a]").message.contains("cannot be read as YAML"));
    }

    #[test]
    fn tags_are_refused_on_scalars_lists_maps_and_keys() {
        for tagged in
            ["a: !secret x", "a: !!str 7", "a: !x [1]", "a: !x {b: 1}", "!x a: 1", "!!map {a: 1}", "a: ! b"]
        {
            let problem = refused(tagged);
            assert!(problem.message.contains("the tag `!"), "{tagged}: {problem}");
            assert_eq!((problem.line, problem.kind), (Some(1), DiagnosticKind::Syntax), "{tagged}");
        }
        let problem = refused("a: 1\nb: [x, !!binary aGk=]\n");
        assert_eq!((problem.line, problem.column), (Some(2), Some(8)), "{problem}");
        assert!(problem.message.contains("the tag `!!binary`"), "{problem}");
    }

    #[test]
    fn alias_bombs_are_refused_before_they_are_expanded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb += &format!("a{n}: &a{n} [{refs}]\n");
        }
        assert_eq!((refused(&bomb).kind, refused(&bomb).line), (DiagnosticKind::Limit, Some(5)));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 1000].join(","));
        assert_eq!(refused(&long).kind, DiagnosticKind::Limit);
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for n in 1..100 {
            deep += &format!("a{n}: &a{n} [*a{}]\n", n - 1);
        }
        assert_eq!(refused(&deep).kind, DiagnosticKind::Limit);
    }

    #[test]
    fn size_depth_and_the_number_of_values_are_limited() {
        assert_eq!(refused(&" ".repeat(LARGEST_YAML + 1)).kind, DiagnosticKind::Limit);
        assert!(parse(&format!("{}{}", "[".repeat(DEEPEST_YAML), "]".repeat(DEEPEST_YAML)), "m").is_ok());
        let deeper = format!("{}{}", "[".repeat(DEEPEST_YAML + 1), "]".repeat(DEEPEST_YAML + 1));
        assert_eq!(refused(&deeper).kind, DiagnosticKind::Limit);
        assert_eq!(refused(&"- ".repeat(30_000)).kind, DiagnosticKind::Limit);
        assert_eq!(refused(&format!("[{}]", "1,".repeat(MOST_YAML_VALUES))).kind, DiagnosticKind::Limit);
    }

    #[test]
    fn a_megabyte_of_open_brackets_is_refused() {
        for open in ["[", "{", "[a: ", "{a: ", "[a,", "? [", "- [", "&a [", "[[]"] {
            for n in [300, 60_000, LARGEST_YAML] {
                let text: String = open.chars().cycle().take(n).collect();
                assert!(parse(&text, "m.yaml").is_err(), "{open} to {n} bytes");
            }
        }
    }
}
