//! Values as Python converts, compares and writes them: ComfyUI's messages quote them.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A Python exception: its type and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The class's name, such as `KeyError`.
    pub kind: &'static str,
    /// The message, as returned by `str()`.
    pub text: String,
}

impl std::error::Error for Exception {}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl Exception {
    /// Creates an exception of this class.
    pub fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The error of a dictionary that lacks a key. Its text is the key as `repr` writes it.
    pub fn key(key: &Value) -> Self {
        Self::new("KeyError", repr(key))
    }
}

/// A number after Python's `int()` or `float()`. Python's integers have no limit, and its floats may be infinite.
#[derive(Debug, Clone, PartialEq)]
pub enum Converted {
    /// An integer.
    Int(i128),
    /// An integer beyond 128 bits: whether it is negative, and its digits.
    BigInt(bool, String),
    /// A float.
    Float(f64),
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
        Value::Number(number) if number.is_f64() => float_repr(number.as_f64().unwrap_or_default()),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string_repr(text),
        Value::Array(items) => list_repr(items),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", string_repr(key), repr(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// `repr` of a list of these items.
pub fn list_repr(items: &[Value]) -> String {
    format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", "))
}

/// `repr` of a tuple of these items.
pub fn tuple_repr(items: &[Value]) -> String {
    match items {
        [one] => format!("({},)", repr(one)),
        items => format!("({})", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
    }
}

/// `type(value).__name__`
pub fn type_name(value: &Value) -> &'static str {
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

/// `int(value)`
pub fn int(value: &Value) -> Result<Converted, Exception> {
    match value {
        Value::Bool(truth) => Ok(Converted::Int(i128::from(*truth))),
        Value::Number(number) => Ok(match (whole(number), number.as_f64()) {
            (Some(whole), _) => Converted::Int(whole),
            (None, float) => truncated(float.unwrap_or_default()),
        }),
        Value::String(text) => int_from_text(text).ok_or_else(|| {
            let text = format!("invalid literal for int() with base 10: {}", string_repr(text));
            Exception::new("ValueError", text)
        }),
        other => Err(Exception::new(
            "TypeError",
            format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                type_name(other)
            ),
        )),
    }
}

/// `float(value)`
pub fn float(value: &Value) -> Result<Converted, Exception> {
    match value {
        Value::Bool(truth) => Ok(Converted::Float(f64::from(u8::from(*truth)))),
        Value::Number(number) => Ok(Converted::Float(number.as_f64().unwrap_or_default())),
        Value::String(text) => {
            let number = without_underscores(text.trim()).and_then(|digits| digits.parse().ok());
            number.map(Converted::Float).ok_or_else(|| {
                let text = format!("could not convert string to float: {}", string_repr(text));
                Exception::new("ValueError", text)
            })
        }
        other => Err(Exception::new(
            "TypeError",
            format!("float() argument must be a string or a real number, not '{}'", type_name(other)),
        )),
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

/// `a == b`
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) => Converted::from_number(a)
            .zip(Converted::from_number(b))
            .is_some_and(|(a, b)| a.compare(&b) == Some(Ordering::Equal)),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

impl Converted {
    /// A JSON number or boolean as a Python number.
    pub fn from_number(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(Self::Int(i128::from(*truth))),
            Value::Number(number) => Some(match (whole(number), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, float) => Self::Float(float.unwrap_or_default()),
            }),
            _ => None,
        }
    }

    /// Compares two numbers. Integers are compared exactly: seeds fill 64 bits. `None` for `nan`.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::BigInt(negative, _), Self::Int(_)) => {
                Some(if *negative { Ordering::Less } else { Ordering::Greater })
            }
            (Self::Int(_), Self::BigInt(..)) => other.compare(self).map(Ordering::reverse),
            (Self::Int(a), Self::Float(b)) => compare_int_float(*a, *b),
            (Self::Float(_), Self::Int(_)) => other.compare(self).map(Ordering::reverse),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }

    /// The number as JSON has it. What JSON cannot carry is null, as a client reads what ComfyUI writes.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Int(number) => i64::try_from(*number)
                .map(Value::from)
                .or_else(|_| u64::try_from(*number).map(Value::from))
                .unwrap_or_else(|_| Value::from(*number as f64)),
            _ => Value::from(self.as_f64()),
        }
    }

    fn as_f64(&self) -> f64 {
        match self {
            Self::Int(number) => *number as f64,
            Self::BigInt(negative, digits) => {
                let size = digits.parse().unwrap_or(f64::INFINITY);
                if *negative { -size } else { size }
            }
            Self::Float(number) => *number,
        }
    }
}

impl std::fmt::Display for Converted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::BigInt(negative, digits) => write!(f, "{}{digits}", if *negative { "-" } else { "" }),
            Self::Float(number) => f.write_str(&float_repr(*number)),
        }
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn truncated(float: f64) -> Converted {
    let whole = float.trunc();
    if whole.abs() < 1e38 {
        return Converted::Int(whole as i128);
    }
    Converted::BigInt(whole < 0.0, format!("{:.0}", whole.abs()))
}

fn compare_int_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Up to 2^53 the conversion is exact; beyond, the float is whole and compared as an integer.
    if int.abs() <= 1 << 53 || float.abs() >= 1e38 {
        return (int as f64).partial_cmp(&float);
    }
    let whole = float.trunc() as i128;
    Some(int.cmp(&whole).then(0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

fn int_from_text(text: &str) -> Option<Converted> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let digits = without_underscores(digits)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match digits.parse::<i128>() {
        Ok(number) => Converted::Int(if negative { -number } else { number }),
        Err(_) => Converted::BigInt(negative, digits.trim_start_matches('0').to_owned()),
    })
}

/// The text without underscores, which Python allows between two digits only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let misplaced = |(at, byte): (usize, &u8)| {
        *byte == b'_' && !(is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)))
    };
    if bytes.iter().enumerate().any(misplaced) { None } else { Some(text.replace('_', "")) }
}

/// `format(number, ".2g")`
pub fn two_digits(number: f64) -> String {
    let text = format!("{number:.1e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..2).contains(&exponent) {
        let decimals = usize::try_from(1 - exponent).unwrap_or_default();
        return trimmed(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
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
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => out.extend(['\\', quote]),
            _ if is_printable(character) => out.push(character),
            _ => out.push_str(&match character as u32 {
                code @ ..=0xff => format!("\\x{code:02x}"),
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

/// Whether `repr` writes a character as it is: not control and format characters, separators other than the space,
/// and private use. Characters that Unicode has not assigned are taken for printable.
fn is_printable(character: char) -> bool {
    !(character.is_control()
        || matches!(
            character as u32,
            0xa0 | 0xad
                | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x1680 | 0x180e
                | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f
                | 0x3000 | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff
                | 0xe0000..=0xe0fff | 0xf0000..
        ))
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
            (json!(1.5e300), "1.5e+300"),
            (json!(18446744073709551615_u64), "18446744073709551615"),
            (json!("it's"), "\"it's\""),
            (json!("both ' and \""), "'both \\' and \"'"),
            (json!(["a", {"b": 1}]), "['a', {'b': 1}]"),
            (json!("a\\b\n"), "'a\\\\b\\n'"),
            (json!("ü\u{a0}\u{200b}😀\u{7f}"), "'ü\\xa0\\u200b😀\\x7f'"),
        ] {
            assert_eq!(repr(&value), python);
        }
        assert_eq!(str(&json!("plain")), "plain");
        assert_eq!(tuple_repr(&[json!("a"), json!(1)]), "('a', 1)");
        assert_eq!(tuple_repr(&[json!("a")]), "('a',)");
    }

    #[test]
    fn conversions_accept_and_refuse_what_python_does() {
        let int_text =
            |value: Value| int(&value).map(|number| number.to_string()).map_err(|error| error.text);
        assert_eq!(int_text(json!(" 5 ")).unwrap(), "5");
        assert_eq!(int_text(json!("1_000")).unwrap(), "1000");
        assert_eq!(int_text(json!("-007")).unwrap(), "-7");
        assert_eq!(int_text(json!(5.9)).unwrap(), "5");
        assert_eq!(int_text(json!(-5.9)).unwrap(), "-5");
        assert_eq!(int_text(json!(true)).unwrap(), "1");
        assert_eq!(int_text(json!("18446744073709551616")).unwrap(), "18446744073709551616");
        assert_eq!(int_text(json!(1e40)).unwrap(), "10000000000000000303786028427003666890752");
        assert_eq!(int_text(json!("5.0")).unwrap_err(), "invalid literal for int() with base 10: '5.0'");
        for refused in
            [json!("+-5"), json!("_1"), json!("1__0"), json!(""), json!([]), json!({}), json!(null)]
        {
            assert!(int(&refused).is_err(), "{refused}");
        }
        let float_text =
            |value: Value| float(&value).map(|number| number.to_string()).map_err(|error| error.text);
        assert_eq!(float_text(json!("2")).unwrap(), "2.0");
        assert_eq!(float_text(json!("-Infinity")).unwrap(), "-inf");
        assert_eq!(float_text(json!("NaN")).unwrap(), "nan");
        assert_eq!(float_text(json!("1_0.5e2")).unwrap(), "1050.0");
        assert_eq!(float_text(json!("x")).unwrap_err(), "could not convert string to float: 'x'");
        assert_eq!([4.5, 0.21, 100.0, 0.00001].map(two_digits), ["4.5", "0.21", "1e+02", "1e-05"]);
        assert!(bool(&json!("false")) && !bool(&json!("")) && !bool(&json!(0.0)));
    }

    #[test]
    fn numbers_compare_exactly_and_booleans_are_numbers() {
        let seed = Converted::from_number(&json!(u64::MAX)).unwrap();
        assert_eq!(seed.compare(&int(&json!(u64::MAX)).unwrap()), Some(Ordering::Equal));
        assert_eq!(seed.compare(&int(&json!("18446744073709551616")).unwrap()), Some(Ordering::Less));
        assert_eq!(seed.compare(&Converted::Float(1.8446744073709552e19)), Some(Ordering::Less));
        assert_eq!(seed.compare(&int(&json!(1e300)).unwrap()), Some(Ordering::Less));
        assert_eq!(Converted::Int(3).compare(&Converted::Float(3.5)), Some(Ordering::Less));
        assert_eq!(Converted::Float(f64::NAN).compare(&Converted::Int(1)), None);
        assert!(equal(&json!(true), &json!(1.0)) && equal(&json!([1, "a"]), &json!([1.0, "a"])));
        assert!(!equal(&json!("1"), &json!(1)));
    }
}
