//! Compares answers of `POST /prompt`.

use serde_json::{Value, json};

/// An answer without what depends on chance: tracebacks go, and what comes in the order of a Python set is sorted.
pub fn normalized(answer: &Value) -> Value {
    let mut answer = json!({"error": answer["error"], "node_errors": answer["node_errors"]});
    if let Some(details) = answer["error"]["details"].as_str() {
        let mut lines: Vec<&str> = details.lines().collect();
        lines.sort_unstable();
        answer["error"]["details"] = json!(lines);
    }
    if answer["node_errors"].as_array().is_some_and(Vec::is_empty) {
        answer["node_errors"] = json!({});
    }
    for problem in answer["node_errors"].as_object_mut().into_iter().flatten().map(|(_, problem)| problem) {
        sort(&mut problem["dependent_outputs"]);
        for error in problem["errors"].as_array_mut().into_iter().flatten() {
            if let Some(info) = error["extra_info"].as_object_mut() {
                info.remove("traceback");
            }
        }
        sort(&mut problem["errors"]);
    }
    answer
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_cached_key(Value::to_string);
    }
}
