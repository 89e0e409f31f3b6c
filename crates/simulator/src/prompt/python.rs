//! Values as Python writes and reads them: ComfyUI's validation messages quote them.

use serde_json::{Number, Value};

/// What Python would raise: the exception's type and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The class's name, such as `KeyError`.
    pub kind: &'static str,
    /// What `str()` makes of it.
    pub text: String,
}

impl Exception {
    pub fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The error of a dictionary that lacks a key. Its text is the key as `repr` writes it.
    pub fn key(key: &Value) -> Self {
        Self::new("KeyError", repr(key))
    }
}

/// `str(value)`
pub fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_repr(number),
        Value::String(text) => string_repr(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", string_repr(key), repr(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// `int(value)`
pub fn int(value: &Value) -> Result<Value, Exception> {
    match value {
        Value::Bool(truth) => Ok(Value::from(u8::from(*truth))),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(value.clone()),
        Value::Number(number) => {
            let whole = number.as_f64().unwrap_or_default().trunc();
            // Python's integers have no end. What does not fit ours is kept as a float, and every range refuses it.
            Ok(if whole >= i64::MIN as f64 && whole < 0.0 {
                Value::from(whole as i64)
            } else if (0.0..u64::MAX as f64).contains(&whole) {
                Value::from(whole as u64)
            } else {
                Value::from(whole)
            })
        }
        Value::String(text) => {
            let digits = text.trim();
            let digits =
                digits.strip_prefix('+').filter(|rest| !rest.starts_with(['-', '+'])).unwrap_or(digits);
            let number =
                digits.parse::<u64>().map(Value::from).or_else(|_| digits.parse::<i64>().map(Value::from));
            number.map_err(|_| {
                let text = format!("invalid literal for int() with base 10: {}", string_repr(text));
                Exception::new("ValueError", text)
            })
        }
        other => {
            let text = format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                type_name(other)
            );
            Err(Exception::new("TypeError", text))
        }
    }
}

/// `float(value)`
pub fn float(value: &Value) -> Result<Value, Exception> {
    match value {
        Value::Bool(truth) => Ok(Value::from(f64::from(u8::from(*truth)))),
        Value::Number(number) => Ok(Value::from(number.as_f64().unwrap_or_default())),
        // Python also reads `inf` and `nan`, for which JSON has no word; here they are refused.
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => {
                let text = format!("could not convert string to float: {}", string_repr(text));
                Err(Exception::new("ValueError", text))
            }
        },
        other => {
            let text =
                format!("float() argument must be a string or a real number, not '{}'", type_name(other));
            Err(Exception::new("TypeError", text))
        }
    }
}

/// `bool(value)`
pub fn bool(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// JSON text with every character outside ASCII escaped, as `json.dumps` writes it.
pub fn json(value: &Value) -> String {
    let mut ascii = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn number_repr(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        return format!("{float:?}");
    }
    // Python writes an exponent with a sign and two digits at least.
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

fn string_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => out.extend(['\\', quote]),
            _ if character.is_control() => out.push_str(&format!("\\x{:02x}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_writes_them() {
        for (value, python) in [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!(0.5), "0.5"),
            (json!(1.0), "1.0"),
            (json!(1e-5), "1e-05"),
            (json!(0.0001), "0.0001"),
            (json!(1e16), "1e+16"),
            (json!(18446744073709551615_u64), "18446744073709551615"),
            (json!("it's"), "\"it's\""),
            (json!(["a", {"b": 1}]), "['a', {'b': 1}]"),
            (json!("a\\b\n"), "'a\\\\b\\n'"),
        ] {
            assert_eq!(repr(&value), python);
        }
        assert_eq!(str(&json!("plain")), "plain");
        assert_eq!(json(&json!({"t": "ü😀"})), r#"{"t":"\u00fc\ud83d\ude00"}"#);
    }

    #[test]
    fn conversions_accept_and_refuse_what_python_does() {
        assert_eq!(int(&json!(" 5 ")), Ok(json!(5)));
        assert_eq!(int(&json!(5.9)), Ok(json!(5)));
        assert_eq!(int(&json!(-5.9)), Ok(json!(-5)));
        assert_eq!(int(&json!(true)), Ok(json!(1)));
        assert_eq!(int(&json!("18446744073709551615")), Ok(json!(u64::MAX)));
        assert_eq!(int(&json!("5.0")).unwrap_err().text, "invalid literal for int() with base 10: '5.0'");
        assert!(int(&json!("+-5")).is_err());
        assert!(int(&json!(null)).unwrap_err().text.ends_with("not 'NoneType'"));
        assert_eq!(float(&json!("2")), Ok(json!(2.0)));
        assert_eq!(float(&json!("x")).unwrap_err().text, "could not convert string to float: 'x'");
        assert!(bool(&json!("false")) && !bool(&json!("")) && !bool(&json!(0.0)));
    }
}
