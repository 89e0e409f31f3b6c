//! Differences of two prompts.

use serde_json::Value;

/// Returns the differences of `ours` from the editor's prompt as messages. The order of nodes and inputs has no meaning.
/// Numbers are compared as 64-bit floats, because the editor has no others.
pub fn differences(ours: &Value, editors: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", ours, editors, &mut found);
    found
}

fn compare(path: &str, ours: &Value, editors: &Value, found: &mut Vec<String>) {
    match (ours, editors) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => compare(&join(path, key), value, other, found),
                    None => found.push(format!(
                        "{}: the editor has nothing, we have {}",
                        join(path, key),
                        short(value)
                    )),
                }
            }
            for (key, other) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                found.push(format!("{}: the editor has {}, we have nothing", join(path, key), short(other)));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (value, other)) in a.iter().zip(b).enumerate() {
                compare(&join(path, &index.to_string()), value, other, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ if ours == editors => {}
        _ => found.push(format!("{path}: the editor has {}, we have {}", short(editors), short(ours))),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_and_the_spelling_of_numbers_are_no_difference() {
        let ours = json!({"1": {"inputs": {"cfg": 8.0, "seed": u64::MAX}, "class_type": "A"}});
        let editors = json!({"1": {"class_type": "A", "inputs": {"seed": 18446744073709552000.0, "cfg": 8}}});
        assert_eq!(differences(&ours, &editors), Vec::<String>::new());
    }

    #[test]
    fn every_difference_names_its_place() {
        let ours = json!({"1": {"inputs": {"cfg": 8, "model": ["2", 0], "extra": null}}});
        let editors = json!({"1": {"inputs": {"cfg": "8", "model": ["2", 1]}}, "2": {}});
        assert_eq!(
            differences(&ours, &editors),
            [
                "1.inputs.cfg: the editor has \"8\", we have 8",
                "1.inputs.model.1: the editor has 1, we have 0",
                "1.inputs.extra: the editor has nothing, we have null",
                "2: the editor has {}, we have nothing",
            ]
        );
    }
}
