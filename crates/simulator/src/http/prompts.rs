//! `/prompt`, `/queue`, `/history` and `/interrupt`.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use comfy_runner_workflow::validate::{Verdict, python};
use serde_json::{Map, Number, Value, json};

use super::{NotJson, json_body, strings};
use crate::prompt::validate;
use crate::queue::{Prompt, drop_secrets};
use crate::state::{State, now};
use crate::version::Version;

pub async fn status(state: web::Data<State>) -> HttpResponse {
    let remaining = state.queue().remaining();
    HttpResponse::Ok().json(json!({"exec_info": {"queue_remaining": remaining}}))
}

pub async fn submit(state: web::Data<State>, body: web::Bytes) -> Result<HttpResponse, NotJson> {
    let Value::Object(mut body) = json_body(&body)? else { return Ok(no_prompt()) };
    // A number is used up whether the prompt is accepted or not.
    let number = match body.get("number").map(python::float) {
        Some(Ok(number)) => {
            number.to_json().as_f64().and_then(Number::from_f64).unwrap_or_else(|| Number::from(0))
        }
        Some(Err(error)) => return Ok(HttpResponse::InternalServerError().body(error.text)),
        None => state.queue().next_number(body.get("front").is_some_and(python::bool)),
    };
    let Some(Value::Object(mut nodes)) = body.remove("prompt") else { return Ok(no_prompt()) };
    let version = state.catalog.version();
    let Some(id) = prompt_id(version, body.get("prompt_id")) else { return Ok(bad_prompt_id()) };
    let targets = body.get("partial_execution_targets").filter(|targets| targets.is_array());
    let targets = targets.map(|targets| strings(Some(targets)));
    let exists = |name: &str| state.files.annotated(name).is_some();
    let Verdict { error, node_errors, outputs, .. } =
        validate(&mut nodes, targets.as_deref(), &state.catalog, &exists);
    if let Some(error) = error {
        return Ok(HttpResponse::BadRequest().json(json!({"error": error, "node_errors": node_errors})));
    }
    let mut extra_data = match body.remove("extra_data") {
        Some(Value::Object(extra_data)) => extra_data,
        _ => Map::new(),
    };
    if let Some(client_id) = body.remove("client_id") {
        extra_data.insert("client_id".to_owned(), client_id);
    }
    if version.cleans_extra_data() {
        drop_secrets(&mut extra_data);
        extra_data.insert("create_time".to_owned(), json!(state.queue().create_time(now())));
    }
    let answer = json!({"prompt_id": id, "number": number, "node_errors": node_errors});
    state.submit(Prompt { number, id, nodes, extra_data, outputs });
    Ok(HttpResponse::Ok().json(answer))
}

/// Returns the requested id of a prompt, or a new one; `None` if this version does not accept it.
fn prompt_id(version: Version, requested: Option<&Value>) -> Option<String> {
    let new = || uuid::Uuid::new_v4().to_string();
    if !version.requires_uuids() {
        return Some(requested.map_or_else(new, python::str));
    }
    match requested {
        None | Some(Value::Null) => Some(new()),
        Some(id) => id.as_str().filter(|id| is_job_id(id)).map(str::to_owned),
    }
}

/// Whether an id is a UUID in its canonical form: lower case, with hyphens.
pub fn is_job_id(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id)
}

fn no_prompt() -> HttpResponse {
    refusal("no_prompt", "No prompt provided", "No prompt provided")
}

fn bad_prompt_id() -> HttpResponse {
    let details = "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server \
                   generate one";
    refusal("invalid_prompt_id", "prompt_id must be a valid UUID", details)
}

fn refusal(kind: &str, message: &str, details: &str) -> HttpResponse {
    let error = json!({"type": kind, "message": message, "details": details, "extra_info": {}});
    HttpResponse::BadRequest().json(json!({"error": error, "node_errors": {}}))
}

pub async fn queue(state: web::Data<State>) -> HttpResponse {
    let queue = state.queue().to_json();
    HttpResponse::Ok().json(queue)
}

pub async fn change_queue(state: web::Data<State>, body: web::Bytes) -> Result<HttpResponse, NotJson> {
    let body = json_body(&body)?;
    if body.get("clear").is_some_and(python::bool) {
        state.clear();
    }
    state.delete(&strings(body.get("delete")));
    Ok(HttpResponse::Ok().finish())
}

pub async fn history(state: web::Data<State>, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    let number = |key: &str| query.get(key).map(|text| text.parse::<i64>()).transpose();
    let (Ok(max_items), Ok(offset)) = (number("max_items"), number("offset")) else {
        return HttpResponse::InternalServerError().body("max_items and offset must be whole numbers");
    };
    let natural = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
    let history = state.queue().history(natural(max_items), natural(offset));
    HttpResponse::Ok().json(history)
}

pub async fn history_entry(state: web::Data<State>, id: web::Path<String>) -> HttpResponse {
    let history = state.queue().history_entry(&id);
    HttpResponse::Ok().json(history)
}

pub async fn change_history(state: web::Data<State>, body: web::Bytes) -> Result<HttpResponse, NotJson> {
    let body = json_body(&body)?;
    let mut queue = state.queue();
    if body.get("clear").is_some_and(python::bool) {
        queue.clear_history();
    }
    for id in strings(body.get("delete")) {
        queue.delete_history(&id);
    }
    Ok(HttpResponse::Ok().finish())
}

/// Stops the prompt of the body's `prompt_id` if it runs; without one, whatever runs.
pub async fn interrupt(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = body.get("prompt_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    state.interrupt(id);
    HttpResponse::Ok().finish()
}
