//! The types with which the page is checked are those of the document: `crates/page/browser/api.d.ts` is written from it.

use std::fmt::Write as _;
use std::path::PathBuf;

use comfy_runner_openapi::document;
use serde_json::{Map, Value};

/// Writes the file anew instead of comparing it.
const UPDATE: &str = "COMFY_RUNNER_UPDATE_TYPES";

#[test]
fn the_types_of_the_page_are_those_of_the_document() {
    let written = declarations(&document([], false)["components"]["schemas"]);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../page/browser/api.d.ts");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == written,
        "crates/page/browser/api.d.ts is out of date; write it with {UPDATE}=1 cargo test -p comfy-runner-openapi --test page_types"
    );
}

#[test]
fn schemas_become_types() {
    let schemas = serde_json::json!({
        "Colour": {"type": "string", "enum": ["red", "sea green"]},
        "Plate": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "sides": {"type": ["integer", "null"]},
                "colour": {"anyOf": [{"$ref": "#/components/schemas/Colour"}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"const": 1}]}},
                "by-name": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "other": {},
            },
            "required": ["id", "sides"],
            "additionalProperties": true,
        },
        "V2Job": {"type": "object"},
    });
    let expected = "export type Colour = \"red\" | \"sea green\";\n\
                    export type Plate = {\n  id: string;\n  sides: number | null;\n  colour?: Colour | null;\n  \
                    tags?: (string | 1)[];\n  \"by-name\"?: Record<string, boolean>;\n  other?: any;\n  [key: string]: any;\n};\n";
    assert!(declarations(&schemas).ends_with(expected), "{}", declarations(&schemas));
}

/// Returns a declaration for each schema of our own API; the page uses no other.
fn declarations(schemas: &Value) -> String {
    let mut text = String::from(
        "// Types of the HTTP API. Written from the OpenAPI document by crates/openapi/tests/page_types.rs.\n",
    );
    for (name, schema) in schemas.as_object().unwrap() {
        if !name.starts_with("V2") {
            let _ = writeln!(text, "export type {name} = {};", type_of(schema, 0));
        }
    }
    text
}

fn type_of(schema: &Value, depth: usize) -> String {
    let Value::Object(schema) = schema else { return "any".to_owned() };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return union(values.iter().map(Value::to_string));
    }
    for (key, separator) in [("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")] {
        if let Some(parts) = schema.get(key).and_then(Value::as_array) {
            return parts.iter().map(|part| type_of(part, depth)).collect::<Vec<_>>().join(separator);
        }
    }
    match schema.get("type") {
        Some(Value::Array(types)) => union(types.iter().map(|name| plain(name, schema, depth))),
        Some(name) => plain(name, schema, depth),
        None => "any".to_owned(),
    }
}

fn plain(name: &Value, schema: &Map<String, Value>, depth: usize) -> String {
    match name.as_str().unwrap_or_default() {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => {
            let item = schema.get("items").map_or_else(|| "any".to_owned(), |items| type_of(items, depth));
            if item.contains([' ', '\n']) && !item.starts_with('{') {
                format!("({item})[]")
            } else {
                format!("{item}[]")
            }
        }
        "object" => object(schema, depth),
        other => panic!("there is no type for {other}"),
    }
}

fn object(schema: &Map<String, Value>, depth: usize) -> String {
    let others = schema.get("additionalProperties").map(|others| type_of(others, depth));
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return format!("Record<string, {}>", others.unwrap_or_else(|| "any".to_owned()));
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let indent = "  ".repeat(depth);
    let mut text = String::from("{\n");
    for (name, property) in properties {
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = if is_word { name.clone() } else { Value::from(name.as_str()).to_string() };
        let _ = writeln!(text, "{indent}  {name}{mark}: {};", type_of(property, depth + 1));
    }
    // `false` says that there are none, and nothing says the same.
    if schema.get("additionalProperties").is_some_and(|others| *others != Value::Bool(false)) {
        let _ = writeln!(text, "{indent}  [key: string]: any;");
    }
    text + &indent + "}"
}

fn union(types: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for name in types {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct.join(" | ")
}
