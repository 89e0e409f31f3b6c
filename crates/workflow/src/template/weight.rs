//! The size of an expression's values. Everything that an operator, filter or test takes is weighed first, and so is
//! its result, so that time and memory are bounded by the fuel of the expression.
//!
//! The engine charges fuel too, but counts a list's items only, not what they hold, and makes some lists when they are
//! read. Here a value costs what it holds, and such lists are made at once.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

/// The filter that weighs its input and returns it.
pub(super) const WEIGH: &str = "__weigh";

/// The size of one value in bytes, without its text.
pub(super) const VALUE_WEIGHT: u64 = 32;

/// How many bytes one unit of fuel pays for, as in the engine's own accounts.
pub(super) const BYTES_PER_FUEL: u64 = 64;

/// The deepest nesting of lists and maps in a value.
const DEEPEST: usize = 200;

/// Adds the filter, and lets the engine's own functions that compare or add values pay for what these hold.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(WEIGH, |state: &State, value: Value| weigh(state, &value));
    environment.add_filter("sum", sum);
    for name in ["eq", "equalto", "=="] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a == b));
    }
    for name in ["ne", "!="] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a != b));
    }
    for name in ["lt", "lessthan", "<"] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a < b));
    }
    for name in ["le", "<="] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a <= b));
    }
    for name in ["gt", "greaterthan", ">"] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a > b));
    }
    for name in ["ge", ">="] {
        environment.add_test(name, |state: &State, a: Value, b: Value| compare(state, a, b, |a, b| a >= b));
    }
    environment.add_test("in", |state: &State, value: Value, other: Value| {
        let (value, other) = (weigh(state, &value)?, weigh(state, &other)?);
        minijinja::tests::is_in(state, &value, &other)
    });
}

fn compare(state: &State, a: Value, b: Value, holds: impl Fn(&Value, &Value) -> bool) -> Result<bool, Error> {
    Ok(holds(&weigh(state, &a)?, &weigh(state, &b)?))
}

/// The engine's `sum`, of numbers only: a sum of lists would be a list inside of a list for each item.
fn sum(
    state: &State,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let named = kwargs.peek::<Option<Value>>("start").ok().flatten();
    if start.as_ref().or(named.as_ref()).is_some_and(|start| !start.is_number()) {
        return Err(Error::new(ErrorKind::InvalidOperation, "`sum` adds numbers"));
    }
    minijinja::filters::sum(state, values, attribute, start, kwargs)
}

/// Charges the fuel for a value. The result is the value itself, or the same list with its items made.
fn weigh(state: &State, value: &Value) -> Result<Value, Error> {
    let mut scales = Scales { state, owed: BYTES_PER_FUEL };
    Ok(scales.weigh(value, 0)?.unwrap_or_else(|| value.clone()))
}

struct Scales<'s, 'template, 'env> {
    state: &'s State<'template, 'env>,
    /// Bytes that are not charged yet.
    owed: u64,
}

impl Scales<'_, '_, '_> {
    /// The value in a form that makes nothing when it is read, if it is another one.
    fn weigh(&mut self, value: &Value, depth: usize) -> Result<Option<Value>, Error> {
        self.charge(VALUE_WEIGHT + value.as_str().map_or(0, str::len) as u64)?;
        if depth > DEEPEST {
            return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply"));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let mut made = value.kind() == ValueKind::Iterable;
                let mut items = Vec::new();
                for item in value.try_iter()? {
                    let other = self.weigh(&item, depth + 1)?;
                    made |= other.is_some();
                    items.push(other.unwrap_or(item));
                }
                Ok(made.then(|| items.into()))
            }
            ValueKind::Map => {
                let mut made = false;
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    self.weigh(&key, depth + 1)?;
                    let item = value.get_item(&key)?;
                    let other = self.weigh(&item, depth + 1)?;
                    made |= other.is_some();
                    entries.push((key, other.unwrap_or(item)));
                }
                Ok(made.then(|| entries.into_iter().collect()))
            }
            // The engine hands an error on as an item of the list that failed.
            ValueKind::Invalid => Err(Error::new(ErrorKind::InvalidOperation, value.to_string())),
            _ => Ok(None),
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Error> {
        self.owed += bytes;
        self.state.consume_fuel(self.owed / BYTES_PER_FUEL)?;
        self.owed %= BYTES_PER_FUEL;
        Ok(())
    }
}

/// Returns the size of a variable, counted up to a little more than `most`.
pub(super) fn weight_of(value: &serde_json::Value, most: u64) -> u64 {
    let mut weight = VALUE_WEIGHT;
    match value {
        serde_json::Value::String(text) => weight += text.len() as u64,
        serde_json::Value::Array(items) => {
            for item in items {
                if weight > most {
                    break;
                }
                weight += weight_of(item, most - weight);
            }
        }
        serde_json::Value::Object(entries) => {
            for (key, item) in entries {
                if weight > most {
                    break;
                }
                weight += VALUE_WEIGHT + key.len() as u64 + weight_of(item, most - weight);
            }
        }
        _ => {}
    }
    weight
}

/// Returns the bytes of text in a value.
pub(crate) fn text_bytes(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(text_bytes).sum::<usize>() + items.len(),
        serde_json::Value::Object(entries) => {
            entries.iter().map(|(key, item)| key.len() + text_bytes(item) + 1).sum()
        }
        _ => 1,
    }
}
