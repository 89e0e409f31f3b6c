//! JSON as Python writes it.
//!
//! ComfyUI's `json.dumps` writes values that are not valid JSON: `NaN`, `Infinity` and `-Infinity` for floats,
//! integers of any length, and lone surrogates (`"\udc80"`) for file names that are not UTF-8. [`from_slice`] reads them:
//! such a number is null, such a character U+FFFD. Valid JSON is read by serde_json alone.

use serde::de::DeserializeOwned;

/// Deserializes a value from JSON that Python wrote.
///
/// # Errors
/// Fails if the input is not JSON apart from what [`repair`] replaces, or does not have the shape of `T`.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| match repair(text) {
        Some(repaired) => serde_json::from_slice(&repaired),
        None => Err(error),
    })
}

/// Replaces numbers that JSON cannot represent with `null`, and lone surrogates with `\ufffd`. Returns `None` if there
/// are none. Strings that contain the word `NaN` are not changed.
///
/// The input is read once, and copied only if something is replaced. Call this on input that serde_json rejects: in valid
/// JSON only floats beyond the range of an `f64` are replaced.
pub fn repair(text: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    let mut replace = |from: usize, to: usize, by: &[u8]| {
        repaired.extend_from_slice(&text[copied..from]);
        repaired.extend_from_slice(by);
        copied = to;
    };
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = repair_string(text, at + 1, &mut replace),
            b'N' | b'I' | b'-' | b'0'..=b'9' => {
                let token = text[at..].split(|&byte| !is_in_token(byte)).next().unwrap_or_default();
                if is_unrepresentable(token) {
                    replace(at, at + token.len(), b"null");
                }
                at += token.len();
            }
            _ => at += 1,
        }
    }
    (copied > 0).then(|| {
        repaired.extend_from_slice(&text[copied..]);
        repaired
    })
}

/// Counts the values and keys in JSON, which determine the memory that it takes as a [`serde_json::Value`]. For other
/// input, the number has no meaning.
pub fn count_values(text: &[u8]) -> usize {
    let mut count = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = repair_string(text, at + 1, &mut |_, _, _| {}),
            _ => {
                count += usize::from(matches!(byte, b',' | b':' | b'[' | b'{'));
                at += 1;
            }
        }
    }
    count + 1
}

/// Deserializes a number. Null is 0, because NaN is read as null.
pub(crate) fn null_as_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(number.unwrap_or_default())
}

/// Replaces the lone surrogates of a string that begins at `at`. Returns the position after the string.
fn repair_string(text: &[u8], mut at: usize, replace: &mut impl FnMut(usize, usize, &[u8])) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => match (surrogate(text, at), surrogate(text, at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
                (Some(_), _) => {
                    replace(at, at + 6, br"\ufffd");
                    at += 6;
                }
                (None, _) => at += 2,
            },
            _ => at += 1,
        }
    }
    text.len()
}

/// Returns the surrogate that is escaped at this position.
fn surrogate(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(br"\u")?;
    let code = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..=0xdfff).contains(&code).then_some(code)
}

fn is_in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Returns whether a token is a number that JSON or an `f64` cannot represent.
fn is_unrepresentable(token: &[u8]) -> bool {
    match token {
        b"NaN" | b"Infinity" | b"-Infinity" => true,
        // Shorter numbers without an exponent are within the range of an f64.
        _ if token.len() > 300 || token.iter().any(|byte| matches!(byte, b'e' | b'E')) => {
            let number = std::str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok());
            number.is_some_and(f64::is_infinite)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        from_slice(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_that_json_cannot_write_are_null() {
        let text = r#"{"a": NaN, "b": [Infinity,-Infinity], "c": 1e999, "d": -1E400, "NaN": -1}"#;
        assert_eq!(read(text), json!({"a": null, "b": [null, null], "c": null, "d": null, "NaN": -1}));
        assert_eq!(read("NaN"), json!(null));
        let digits = "9".repeat(400);
        assert_eq!(read(&format!("[{digits}, -{digits}, 1]")), json!([null, null, 1]));
    }

    #[test]
    fn strings_stay_as_they_are() {
        let text = r#"["NaN", "-Infinity, NaN", "a \"NaN", "\\", NaN, "\\\"", "1e999"]"#;
        assert_eq!(read(text), json!(["NaN", "-Infinity, NaN", "a \"NaN", "\\", null, "\\\"", "1e999"]));
    }

    #[test]
    fn lone_surrogates_are_replacement_characters_and_pairs_are_not() {
        let text = r#"["\udc80.png", "\ud83d", "\ud83d\ude00", "\\udc80", "\ud83d\ud83d\ude00", "\ud83dx"]"#;
        assert_eq!(
            read(text),
            json!(["\u{fffd}.png", "\u{fffd}", "😀", r"\udc80", "\u{fffd}😀", "\u{fffd}x"])
        );
    }

    #[test]
    fn integers_floats_and_the_order_of_keys_survive_beside_a_nan() {
        let text = format!(r#"{{"z": {}, "a": 8.000000000000002, "m": NaN}}"#, u64::MAX);
        let value = read(&text);
        assert_eq!(value["z"].as_u64(), Some(u64::MAX));
        assert_eq!(value["a"].as_f64(), Some(8.000000000000002));
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn what_is_no_json_even_so_is_an_error() {
        for text in [
            "",
            "[NaN",
            "[nan]",
            "[NaNs]",
            "[Infinit]",
            "[+Infinity]",
            "[--Infinity]",
            "[xNaN]",
            "\"NaN",
            "[-]",
        ] {
            assert!(from_slice::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_counted_outside_of_strings() {
        assert_eq!(count_values(br#"{"a,[": [1, 2, "x,\",{}"], "b": null}"#), 8);
        assert_eq!(count_values(b"1"), 1);
    }

    #[test]
    fn deep_json_is_an_error_and_no_stack_overflow() {
        let deep = "[".repeat(1_000_000) + "NaN";
        assert!(from_slice::<Value>(deep.as_bytes()).is_err());
        assert!(from_slice::<Value>("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            prop_oneof!["\\PC*", "[NaInfty\"\\\\0-9eE,:]*"].prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[NaInfty\"\\\\]{0,4}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_has_nothing_to_replace(value in any_json()) {
            prop_assert_eq!(repair(value.to_string().as_bytes()), None);
        }

        #[test]
        fn a_nan_beside_any_value_changes_nothing_but_itself(value in any_json()) {
            let text = format!("[NaN,{value},-Infinity,{value}]");
            prop_assert_eq!(read(&text), json!([null, value, null, value]));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]\\{\\}\"\\\\uUdDcC8NaInfity0-9eE.,:-]*") {
            let _ = from_slice::<Value>(&bytes);
            let _ = from_slice::<Value>(text.as_bytes());
        }
    }
}
