//! The document is consistent: references lead somewhere, names are unique, and examples are what their schemas say.

use std::collections::BTreeSet;

use std::path::Path;

use comfy_runner_manifest::{Library, Manifest};
use comfy_runner_openapi::document;
use serde_json::{Map, Value, json};

/// Returns the document of a server with the sample workflows.
fn whole_document(requires_key: bool) -> Value {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows");
    let library = Library::<Manifest>::open(samples).unwrap();
    let manifests: Vec<_> =
        library.list().unwrap().workflows.into_iter().map(|listed| listed.workflow.unwrap()).collect();
    document(manifests.iter().map(|manifest| &**manifest), requires_key)
}

fn operations(document: &Value) -> Vec<(String, &Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap();
        methods.iter().map(move |(method, op)| (format!("{method} {path}"), op.as_object().unwrap()))
    });
    operations.collect()
}

fn for_each<'v>(value: &'v Value, act: &mut impl FnMut(&'v Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            act(object);
            object.values().for_each(|value| for_each(value, act));
        }
        Value::Array(list) => list.iter().for_each(|value| for_each(value, act)),
        _ => {}
    }
}

/// Returns a validator of a schema that refers to those of the document.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut root = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
    root["components"] = document["components"].clone();
    jsonschema::options().should_validate_formats(true).build(&root).unwrap()
}

#[test]
fn every_reference_leads_to_something() {
    let document = whole_document(true);
    for_each(&document, &mut |object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
    });
}

#[test]
fn every_operation_has_a_name_of_its_own_a_section_a_summary_and_responses() {
    let document = whole_document(true);
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (name, op) in operations(&document) {
        assert!(ids.insert(op["operationId"].as_str().unwrap()), "{name}");
        assert!(tags.contains(op["tags"][0].as_str().unwrap()), "{name}");
        assert!(!op["summary"].as_str().unwrap().is_empty(), "{name}");
        assert!(op["responses"].as_object().unwrap().keys().any(|status| status.as_str() < "400"), "{name}");
        for parameter in op.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let shared = parameter.get("$ref").map(|shared| &shared.as_str().unwrap()[1..]);
            let parameter = shared.map_or(parameter, |shared| document.pointer(shared).unwrap());
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{name} {parameter}");
        }
        for (status, response) in op["responses"].as_object().unwrap() {
            assert!(response.get("$ref").is_some() || response["description"].is_string(), "{name} {status}");
        }
    }
}

#[test]
fn every_schema_is_valid_and_every_example_is_what_its_schema_says() {
    let document = whole_document(true);
    let mut examples = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for_each(&document, &mut |object| {
        let Some(Value::Object(entries)) = object.get("examples") else { return };
        let validator = validator(&document, &object["schema"]);
        for (name, example) in entries {
            let errors: Vec<String> =
                validator.iter_errors(&example["value"]).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            examples += 1;
        }
    });
    assert!(examples > 20, "{examples}");
}

#[test]
fn everything_below_api_but_signing_in_and_health_needs_a_key_when_the_server_has_one() {
    let open = ["/api/session", "/api/v2/health"];
    for requires_key in [true, false] {
        let document = whole_document(requires_key);
        let is_closed = |name: &str| !open.iter().any(|path| name.ends_with(path));
        for (name, op) in operations(&document).into_iter().filter(|(name, _)| is_closed(name)) {
            let security = op["security"].as_array().unwrap();
            let (open, is_api) =
                (security.is_empty(), name.contains(" /api/") || name.contains("openapi.json"));
            assert_eq!(open, !is_api, "{name}");
            assert_eq!(security.contains(&json!({})), is_api && !requires_key, "{name}");
            assert_eq!(op["responses"].get("401").is_some(), is_api, "{name}");
        }
    }
}
