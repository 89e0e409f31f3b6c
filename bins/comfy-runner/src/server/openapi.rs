//! The OpenAPI document.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use actix_web::http::header::{CACHE_CONTROL, ETag, EntityTag, Header as _, IfNoneMatch};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Responder};
use comfy_runner_openapi as openapi;
use comfy_runner_workflow::Workflow;
use sha2::{Digest as _, Sha256};

use super::State;
use super::auth::ApiKeys;
use super::error::ApiError;

/// The document, kept until a workflow changes.
#[derive(Debug, Default)]
pub struct OpenApi {
    built: Mutex<Option<Built>>,
}

/// The document for some workflows.
#[derive(Debug, Clone)]
struct Built {
    workflows: Vec<Weak<Workflow>>,
    json: Bytes,
    tag: EntityTag,
}

impl OpenApi {
    /// Returns the document that describes these workflows.
    async fn get(&self, workflows: Vec<Arc<Workflow>>, requires_key: bool) -> Result<Built, ApiError> {
        let known = self.built.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.is_of(&workflows)) {
            return Ok(known);
        }
        let build = web::block(move || Built::new(&workflows, requires_key));
        let built = build.await.map_err(|error| ApiError::Unavailable(error.to_string()))??;
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(built.clone());
        Ok(built)
    }
}

impl Built {
    fn new(workflows: &[Arc<Workflow>], requires_key: bool) -> Result<Self, ApiError> {
        let manifests = workflows.iter().map(|workflow| workflow.manifest());
        let json = serde_json::to_vec(&openapi::document(manifests, requires_key))?;
        let tag = EntityTag::new_strong(format!("{:x}", Sha256::digest(&json)));
        Ok(Self { workflows: workflows.iter().map(Arc::downgrade).collect(), json: json.into(), tag })
    }

    fn is_of(&self, workflows: &[Arc<Workflow>]) -> bool {
        let same = |(known, workflow): (&Weak<Workflow>, &Arc<Workflow>)| {
            std::ptr::eq(known.as_ptr(), Arc::as_ptr(workflow))
        };
        self.workflows.len() == workflows.len() && self.workflows.iter().zip(workflows).all(same)
    }
}

/// `GET /openapi.json`
pub async fn document(
    state: web::Data<State>,
    openapi: web::Data<OpenApi>,
    keys: web::Data<ApiKeys>,
    request: HttpRequest,
) -> Result<impl Responder, ApiError> {
    let listed = state.list().await?;
    let workflows = listed.into_iter().filter_map(|listed| listed.workflow.ok()).collect();
    let built = openapi.get(workflows, keys.are_required()).await?;
    let is_known = has(&request, &built.tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(ETag(built.tag)).insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.content_type("application/json").body(built.json))
}

/// Returns whether the client has what this tag is of.
pub fn has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key("if-none-match"),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}
