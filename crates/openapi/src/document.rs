//! The whole document.

use std::collections::BTreeSet;

use comfy_runner_api::ErrorBody;
use comfy_runner_api_v2::ErrorEnvelope;
use comfy_runner_manifest::Manifest;
use serde_json::{Map, Value, json};

use crate::normalize::{pascal, references};
use crate::operation::{Paths, V2};
use crate::routes;

/// What the document says before it lists operations.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Returns the OpenAPI 3.1 document of a server with these workflows.
///
/// `requires_key` says whether the server has API keys.
pub fn document<'m>(manifests: impl IntoIterator<Item = &'m Manifest>, requires_key: bool) -> Value {
    let mut paths = Paths::new(requires_key);
    routes::describe(&mut paths);
    routes::each_workflow::describe(&mut paths, manifests);
    let (mut paths, mut schemas) = paths.finish();
    let mut responses = common_responses("", &schemas.written::<ErrorBody>());
    responses.extend(common_responses(V2, &schemas.written::<ErrorEnvelope>()));
    let mut parameters = Map::new();
    share_execute(&mut paths, &mut responses, &mut parameters);
    let roots = json!([&paths, &responses, &parameters]);
    let schemas = used(schemas.finish(), &roots);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "comfy-runner",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "ComfyUI workflows as a typed, tracked HTTP API",
            "description": INTRODUCTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that answered this document"}],
        "tags": routes::tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "parameters": parameters,
            "headers": {"RequestId": {
                "description": "The id of the request, which is also in the server's log. A caller may send its own.",
                "required": true,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            }},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key",
                           "description": "One of the server's keys. A server without keys answers on loopback only."},
                "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key in `Authorization`."},
                "Token": {"type": "apiKey", "in": "query", "name": "token",
                          "description": "A token of `POST /api/token`, for what a browser opens without headers."},
            },
        },
    })
}

/// Returns the errors that many operations have.
fn common_responses(prefix: &str, error: &Value) -> Map<String, Value> {
    let response = |description: &str| {
        json!({
            "description": description,
            "headers": {"X-Request-Id": {"description": "See the other responses.", "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": error}},
        })
    };
    let with_retry_after = |description: &str| {
        let mut response = response(description);
        response["headers"]["Retry-After"] = json!({"description": "The number of seconds to wait.", "schema": {"type": "integer", "minimum": 0}});
        response
    };
    let responses = [
        ("Unauthorized", response("No API key, or a wrong one; or a token that is invalid or has expired.")),
        (
            "Forbidden",
            response("The request comes from a page of another site, or its token does not permit it."),
        ),
        ("BodyTimeout", response("The body of the request does not arrive.")),
        ("TooManyWrongKeys", with_retry_after("Too many wrong API keys came from this address.")),
        (
            "TooManyConnections",
            with_retry_after("The server has too many connections, or is not able to answer now."),
        ),
    ];
    responses.into_iter().map(|(name, response)| (format!("{prefix}{name}"), response)).collect()
}

/// Moves what `execute` takes and answers to where the operations of all workflows can refer to it.
fn share_execute(
    paths: &mut Map<String, Value>,
    responses: &mut Map<String, Value>,
    parameters: &mut Map<String, Value>,
) {
    let execute = paths["/api/run/{workflow_id}/execute"]["post"].clone();
    for (status, response) in execute["responses"].as_object().into_iter().flatten() {
        if response.get("$ref").is_none() {
            responses.insert(format!("Execute{status}"), response.clone());
        }
    }
    let in_request =
        execute["parameters"].as_array().into_iter().flatten().filter(|given| given["in"] != "path");
    parameters.extend(in_request.map(|given| {
        let name = given["name"].as_str().unwrap_or_default();
        (format!("Execute{}", pascal(name)), given.clone())
    }));
    let refer = |value: &mut Value, shared: &Map<String, Value>, place: &str| {
        if let Some((name, _)) = shared.iter().find(|(_, shared)| *shared == value) {
            *value = json!({"$ref": format!("#/components/{place}/{name}")});
        }
    };
    for (_, methods) in paths.iter_mut().filter(|(path, _)| path.ends_with("/execute")) {
        let Some(operation) = methods.get_mut("post") else { continue };
        for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            refer(response, responses, "responses");
        }
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            refer(parameter, parameters, "parameters");
        }
    }
}

/// Returns the schemas to which these values refer, directly or not.
fn used(schemas: Map<String, Value>, roots: &Value) -> Map<String, Value> {
    let mut used = BTreeSet::new();
    let mut open = references(roots);
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name)
            && used.insert(name)
        {
            open.extend(references(schema));
        }
    }
    schemas.into_iter().filter(|(name, _)| used.contains(name)).collect()
}
