//! The model files that ComfyUI has.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{ModelList, ModelLists};
use comfy_runner_client::{Client, ClientError};
use comfy_runner_manifest::nearest::did_you_mean;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::State;
use super::error::ApiError;
use super::excerpt::excerpt;

/// Folders that ComfyUI lists among those of models and that contain something else: code, settings, training data.
const NO_MODELS: [&str; 3] = ["custom_nodes", "configs", "datasets"];

/// The earlier names of two kinds, which ComfyUI's own loaders still accept.
const RENAMED: [(&str, &str); 2] = [("unet", "diffusion_models"), ("clip", "text_encoders")];

/// How many kinds ComfyUI is asked for at once.
const AT_ONCE: usize = 4;

/// The maximum length of a kind that an error repeats, in bytes.
const KIND_SHOWN: usize = 80;

/// `GET /api/models`
pub async fn list(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let client = state.any_client()?;
    let kinds = kinds(&client).await?;
    let client = &client;
    let lists = stream::iter(kinds).map(|kind| async move {
        let models = client.models(&kind).await.map_err(not_listed)?;
        Ok::<_, ApiError>(models.map(|models| (kind, models)))
    });
    let lists: Vec<_> = lists.buffered(AT_ONCE).try_collect().await?;
    Ok(HttpResponse::Ok().json(ModelLists { models: lists.into_iter().flatten().collect() }))
}

/// `GET /api/models/{kind}`
pub async fn of_kind(state: web::Data<State>, kind: web::Path<String>) -> Result<impl Responder, ApiError> {
    let kind = kind.into_inner();
    let renamed = RENAMED.iter().find(|(old, _)| *old == kind);
    let kind = renamed.map_or(kind, |(_, new)| (*new).to_owned());
    let client = state.any_client()?;
    if !NO_MODELS.contains(&kind.as_str())
        && let Some(models) = client.models(&kind).await.map_err(not_listed)?
    {
        return Ok(HttpResponse::Ok().json(ModelList { kind, models }));
    }
    let kinds = kinds(&client).await?;
    let shown = excerpt(&kind, KIND_SHOWN);
    let mut hint = did_you_mean(&shown, kinds.iter().map(String::as_str));
    if hint.is_empty() {
        hint = format!(" There are {}.", kinds.join(", "));
    }
    Err(ApiError::NotFound(format!("this ComfyUI has no kind of models \"{shown}\".{hint}")))
}

/// Returns the kinds of models that this ComfyUI has.
async fn kinds(client: &Client) -> Result<Vec<String>, ApiError> {
    let mut kinds = client.model_kinds().await.map_err(not_listed)?;
    kinds.retain(|kind| !NO_MODELS.contains(&kind.as_str()));
    Ok(kinds)
}

fn not_listed(error: ClientError) -> ApiError {
    ApiError::ComfyUi(format!("the models cannot be listed: {error}"))
}
