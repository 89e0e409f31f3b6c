//! `/api/jobs`: the queue and the history as one list. The fields are those of ComfyUI's answers, its own and not ours.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::prompts::is_job_id;
use crate::jobs::{self, Listing, Status};
use crate::state::State;
use comfy_runner_workflow::validate::python;

/// These routes exist below `/api` only.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/jobs", super::read().to(list))
        .route("/jobs/cancel", web::post().to(cancel_all))
        .route("/jobs/{id}", super::read().to(one))
        .route("/jobs/{id}/cancel", web::post().to(cancel));
}

async fn list(state: web::Data<State>, query: web::Query<HashMap<String, String>>) -> HttpResponse {
    match listing(&query) {
        Ok(listing) => HttpResponse::Ok().json(jobs::list(&state.queue(), &listing)),
        Err(refusal) => error(400, &refusal),
    }
}

async fn one(state: web::Data<State>, id: web::Path<String>) -> HttpResponse {
    match jobs::find(&state.queue(), &id) {
        Some(job) => HttpResponse::Ok().json(job),
        None => error(404, "Job not found"),
    }
}

async fn cancel(state: web::Data<State>, id: web::Path<String>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"cancelled": state.cancel(&id)}))
}

async fn cancel_all(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(400, "Request body must be valid JSON");
    };
    let Some(ids) = body.get("job_ids").and_then(Value::as_array) else {
        return error(400, "job_ids must be a list");
    };
    let is_valid = |id: &Value| id.as_str().is_some_and(is_job_id);
    let invalid: Vec<String> = ids.iter().filter(|id| !is_valid(id)).map(python::str).collect();
    if !invalid.is_empty() {
        let answer = json!({"error": "job_ids contains invalid id(s)", "invalid_ids": invalid});
        return HttpResponse::BadRequest().json(answer);
    }
    let cancelled = ids.iter().filter_map(Value::as_str).fold(false, |any, id| state.cancel(id) | any);
    HttpResponse::Ok().json(json!({"cancelled": cancelled}))
}

/// Reads the query, or says what is wrong with it.
fn listing(query: &HashMap<String, String>) -> Result<Listing, String> {
    let lower =
        |key: &str, default: &str| query.get(key).map_or(default.to_owned(), |value| value.to_lowercase());
    let mut listing = Listing::default();
    if let Some(statuses) = query.get("status").filter(|statuses| !statuses.is_empty()) {
        let names =
            statuses.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
        let (known, unknown): (Vec<_>, Vec<_>) = names.partition(|name| Status::parse(name).is_some());
        if !unknown.is_empty() {
            let all = Status::ALL.map(Status::as_str).join(", ");
            return Err(format!("Invalid status value(s): {}. Valid values: {all}", unknown.join(", ")));
        }
        listing.statuses = known.iter().filter_map(|name| Status::parse(name)).collect();
    }
    listing.by_duration = match lower("sort_by", "created_at").as_str() {
        "created_at" => false,
        "execution_duration" => true,
        _ => return Err("sort_by must be 'created_at' or 'execution_duration'".to_owned()),
    };
    listing.ascending = match lower("sort_order", "desc").as_str() {
        "asc" => true,
        "desc" => false,
        _ => return Err("sort_order must be 'asc' or 'desc'".to_owned()),
    };
    let number = |key: &str| {
        let number = query.get(key).map(|text| text.trim().parse::<i64>()).transpose();
        number.map_err(|_| format!("{key} must be an integer"))
    };
    listing.limit = match number("limit")? {
        Some(limit) if limit <= 0 => return Err("limit must be a positive integer".to_owned()),
        limit => limit.and_then(|limit| usize::try_from(limit).ok()),
    };
    listing.offset = number("offset")?.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    listing.workflow_id = query.get("workflow_id").filter(|id| !id.is_empty()).cloned();
    Ok(listing)
}

fn error(status: u16, message: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    HttpResponse::build(status).json(json!({ "error": message }))
}
