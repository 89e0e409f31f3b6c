//! The server's own description of its API, against which its answers are checked.

use serde_json::{Map, Value, json};

use super::{Api, Reply};

/// An OpenAPI document.
pub struct Described {
    pub document: Value,
}

impl Described {
    /// Fetches the document of a server. Its objects have the described fields only: a field that is not described fails a
    /// test, although callers must ignore it.
    pub async fn fetch(api: &Api, headers: &[(&str, &str)]) -> Self {
        let reply = api.get_with("/openapi.json", headers).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut document = reply.json();
        for schema in document["components"]["schemas"].as_object_mut().unwrap().values_mut() {
            close(schema);
        }
        Self { document }
    }

    /// Checks an answer to a method of a path, which is written as in the document.
    pub fn check(&self, method: &str, path: &str, reply: &Reply) {
        let subject = format!("{method} {path} {}", reply.status);
        let operation = &self.document["paths"][path][method];
        let response = &operation["responses"][reply.status.as_str()];
        assert!(response.is_object(), "{subject} is not described: {}", reply.text());
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = self.resolve(header);
            let value = reply.header(name);
            assert!(!value.is_empty() || header["required"] != true, "{subject}: no header {name}");
            if !value.is_empty() {
                // The hexadecimal digits of an id may all be decimal ones.
                let number = value.parse::<u64>().ok().filter(|_| header["schema"]["type"] != "string");
                let value = number.map_or_else(|| json!(value), Value::from);
                self.validate(&subject, &header["schema"], &value);
            }
        }
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            return assert!(reply.body.is_empty(), "{subject} has a body: {}", reply.text());
        };
        let media_type = reply.header("content-type").split(';').next().unwrap();
        let whole_kind = format!("{}/*", media_type.split('/').next().unwrap());
        let described = content.get(media_type).or_else(|| content.get(&whole_kind));
        let described = described.unwrap_or_else(|| panic!("{subject}: {media_type:?} is not described"));
        if media_type.ends_with("json") {
            self.validate(&subject, &described["schema"], &reply.json());
        }
    }

    /// Checks a value against a schema of the document.
    pub fn validate(&self, subject: &str, schema: &Value, value: &Value) {
        let mut root = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
        root["components"] = self.document["components"].clone();
        let validator = jsonschema::options().should_validate_formats(true).build(&root).unwrap();
        let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{subject}: {errors:?}\n{value:#}");
    }

    /// Returns each example of a JSON body, with its method and path.
    pub fn request_examples(&self) -> Vec<(String, String, Value)> {
        let mut examples = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let body = &operation["requestBody"]["content"]["application/json"]["examples"];
                for example in body.as_object().into_iter().flat_map(Map::values) {
                    examples.push((method.clone(), path.clone(), example["value"].clone()));
                }
            }
        }
        examples
    }

    fn resolve<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.document.pointer(&reference[1..]).unwrap(),
            None => value,
        }
    }
}

/// Forbids fields that are not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && object.get("type").is_some_and(|word| word == "object") {
                object.entry("additionalProperties").or_insert(false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}
