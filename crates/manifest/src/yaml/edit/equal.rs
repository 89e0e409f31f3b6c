//! Which values are equal.

use serde_json::{Map, Number, Value};

/// Returns whether two values are equal, numbers as 64-bit floats.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => same_map(a, b),
        _ => a == b,
    }
}

pub(super) fn same_map(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
}

fn same_number(a: &Number, b: &Number) -> bool {
    a == b || a.as_f64() == b.as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::edit;

    #[test]
    fn numbers_that_a_browser_rounds_are_left_alone() {
        let text = "id: a\nmax: 18446744073709551615\nscale: 1.0\n";
        let wanted = json!({"id": "b", "max": 18446744073709552000.0, "scale": 1});
        assert_eq!(
            edit(text, wanted.as_object().unwrap()).unwrap(),
            "id: b\nmax: 18446744073709551615\nscale: 1.0\n"
        );
    }
}
