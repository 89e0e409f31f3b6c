//! YAML as JSON: the part of YAML that a manifest may use.
//!
//! Maps with text keys, lists, texts, numbers, booleans and null. Anchors and merge keys are fine, as long as what they
//! grow to stays reasonable. Tags, NaN, infinity and keys that are no scalars have no JSON and are refused.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::{Problem, ProblemKind};

/// The longest manifest or block text, in bytes.
pub const LONGEST_TEXT: usize = 1 << 20;

/// How many values a text may hold once its aliases are expanded.
const MOST_VALUES: usize = 100_000;

/// How many bytes of text those values may hold together.
const MOST_BYTES: usize = 8 << 20;

const TOO_MUCH: &str =
    "the file grows too large when its aliases (`*name`) are expanded; write less by alias";

/// Reads a YAML text as JSON. `file` is the name that a problem gives.
pub fn parse(text: &str, file: &str) -> Result<Value, Problem> {
    if text.len() > LONGEST_TEXT {
        let message = format!("the file has {} bytes; at most {LONGEST_TEXT} are read", text.len());
        return Err(Problem::error(ProblemKind::Limit, file, message));
    }
    let budget = Budget { values: Cell::new(MOST_VALUES), bytes: Cell::new(MOST_BYTES) };
    Json(&budget).deserialize(serde_yml::Deserializer::from_str(text)).map_err(|error| {
        let location = error.location();
        let told = error.to_string();
        let kind = if told.contains(TOO_MUCH) || told.contains("limit exceeded") {
            ProblemKind::Limit
        } else {
            ProblemKind::Syntax
        };
        let told = told.split(" at line ").next().unwrap_or(&told);
        let mut problem = Problem::error(kind, file, format!("not YAML that can be read: {told}"));
        problem.line = location.as_ref().map(serde_yml::Location::line);
        problem.column = location.as_ref().map(serde_yml::Location::column);
        problem
    })
}

/// What may still be read.
struct Budget {
    values: Cell<usize>,
    bytes: Cell<usize>,
}

impl Budget {
    fn take<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        let (values, left) = (self.values.get().checked_sub(1), self.bytes.get().checked_sub(bytes));
        let (Some(values), Some(left)) = (values, left) else { return Err(E::custom(TOO_MUCH)) };
        self.values.set(values);
        self.bytes.set(left);
        Ok(())
    }
}

/// Reads any value as JSON.
#[derive(Clone, Copy)]
struct Json<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, a text, a number, a boolean or null")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.0.take(0).map(|()| value.into())
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        Err(E::custom(format!("{value} is too large: integers go up to {}", u64::MAX)))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        Err(E::custom(format!("{value} is too small: integers go down to {}", i64::MIN)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.0.take(0)?;
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom(format!("{value} is no number that JSON can hold")))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.take(value.len())?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut map = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = entries.next_key_seed(self)? {
            let key = match key {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                Value::Bool(key) => key.to_string(),
                _ => return Err(A::Error::custom("a key is not a text; put it in quotes")),
            };
            let value = entries.next_value_seed(self)?;
            if key == "<<" {
                merged.push(value);
            } else if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is given twice; remove one")));
            } else {
                map.insert(key, value);
            }
        }
        for value in merged {
            merge(&mut map, value).map_err(A::Error::custom)?;
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, _) = data.variant::<String>()?;
        Err(A::Error::custom(format!("the tag `!{tag}` has no meaning here; remove it")))
    }
}

/// YAML's merge key: what it holds is added where the map itself says nothing.
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
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> Problem {
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
        assert_eq!((problem.line, problem.kind), (Some(2), ProblemKind::Syntax));
        assert!(problem.message.contains("no number"), "{problem}");
        assert!(refused("a: !secret x").message.contains("the tag `!secret`"), "{}", refused("a: !secret x"));
        assert!(refused("[a, b]: 1").message.contains("a key is not a text"));
        assert!(refused("a: 1\na: 2").message.contains("`a` is given twice"));
        assert!(refused("a: 36893488147419103232").message.contains("too large"));
        assert_eq!(refused("a: [1\nb: 2").kind, ProblemKind::Syntax);
    }

    #[test]
    fn alias_bombs_are_stopped_before_they_grow() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb += &format!("a{n}: &a{n} [{refs}]\n");
        }
        assert_eq!(refused(&bomb).kind, ProblemKind::Limit);
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 1000].join(","));
        assert_eq!(refused(&long).kind, ProblemKind::Limit);
        assert_eq!(refused(&"[".repeat(10_000)).kind, ProblemKind::Limit);
        assert_eq!(refused(&" ".repeat(LONGEST_TEXT + 1)).kind, ProblemKind::Limit);
    }
}
