//! The model files that the ComfyUIs have.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{ModelList, ModelLists, ModelPlaces};
use comfy_runner_client::{Client, ClientError};
use comfy_runner_manifest::nearest::did_you_mean;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indexmap::IndexMap;

use super::State;
use super::error::ApiError;
use super::excerpt::excerpt;

/// Folders that ComfyUI lists among those of models and that contain something else: code, settings, training data.
const NO_MODELS: [&str; 3] = ["custom_nodes", "configs", "datasets"];

/// The earlier names of two kinds, which ComfyUI's own loaders still accept.
const RENAMED: [(&str, &str); 2] = [("unet", "diffusion_models"), ("clip", "text_encoders")];

/// How many kinds a ComfyUI is asked for at once.
const AT_ONCE: usize = 4;

/// How long one of several ComfyUIs may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The maximum length of a kind that an error repeats, in bytes.
const KIND_SHOWN: usize = 80;

/// The model files of a ComfyUI, by kind.
type Models = IndexMap<String, Vec<String>>;

/// The model files of one kind on a ComfyUI.
type FilesOn<'a> = (Arc<str>, &'a [String]);

/// `GET /api/models`
pub async fn list(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let all = ask(&state, async |client| lists(client).await).await?;
    let mut kinds: IndexMap<&str, Vec<FilesOn<'_>>> = IndexMap::new();
    for (comfyui, (kind, files)) in
        all.iter().flat_map(|(name, lists)| lists.iter().map(move |list| (name, list)))
    {
        kinds.entry(kind).or_default().push((Arc::clone(comfyui), files));
    }
    let mut answer = ModelLists::default();
    for (kind, files) in kinds {
        let (models, only_on) = together(&files, all.len());
        answer.models.insert(kind.to_owned(), models);
        if !only_on.is_empty() {
            answer.only_on.insert(kind.to_owned(), only_on);
        }
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /api/models/{kind}`
pub async fn of_kind(state: web::Data<State>, kind: web::Path<String>) -> Result<impl Responder, ApiError> {
    let kind = kind.into_inner();
    let renamed = RENAMED.iter().find(|(old, _)| *old == kind);
    let kind = renamed.map_or(kind, |(_, new)| (*new).to_owned());
    if !NO_MODELS.contains(&kind.as_str()) {
        let all = ask(&state, async |client| client.models(&kind).await).await?;
        let files = all.iter().filter_map(|(name, files)| Some((Arc::clone(name), files.as_deref()?)));
        let files: Vec<_> = files.collect();
        if !files.is_empty() {
            let (models, only_on) = together(&files, all.len());
            return Ok(HttpResponse::Ok().json(ModelList { kind, models, only_on }));
        }
    }
    let all = ask(&state, async |client| kinds(client).await).await?;
    let mut kinds: Vec<&str> = Vec::new();
    for known in all.iter().flat_map(|(_, known)| known) {
        if !kinds.contains(&known.as_str()) {
            kinds.push(known);
        }
    }
    let shown = excerpt(&kind, KIND_SHOWN);
    let mut hint = did_you_mean(&shown, kinds.iter().copied());
    if hint.is_empty() {
        hint = format!(" There are {}.", kinds.join(", "));
    }
    let who = if state.jobs.comfyuis().len() > 1 { "no ComfyUI has a" } else { "this ComfyUI has no" };
    Err(ApiError::NotFound(format!("{who} kind of models \"{shown}\".{hint}")))
}

/// Asks every ComfyUI that is up. Those that do not answer are left out.
///
/// # Errors
/// None answers.
async fn ask<T>(
    state: &State,
    question: impl AsyncFn(&Client) -> Result<T, ClientError>,
) -> Result<Vec<(Arc<str>, T)>, ApiError> {
    let clients = state.askable_clients();
    let is_one_of_several = clients.len() > 1;
    let question = &question;
    let answers = join_all(clients.into_iter().map(async |(name, client)| {
        let client = if is_one_of_several { client.with_reply_timeout(PATIENCE) } else { client };
        (name, question(&client).await)
    }));
    let mut failed = ClientError::NotConfigured("comfyui".to_owned());
    let mut all = Vec::new();
    for (name, answer) in answers.await {
        match answer {
            Ok(answer) => all.push((name, answer)),
            Err(error) => failed = error,
        }
    }
    if all.is_empty() { Err(not_listed(&failed)) } else { Ok(all) }
}

/// Returns the model files of a ComfyUI.
async fn lists(client: &Client) -> Result<Models, ClientError> {
    let lists = stream::iter(kinds(client).await?).map(async |kind| {
        let models = client.models(&kind).await?;
        Ok::<_, ClientError>(models.map(|models| (kind, models)))
    });
    let lists: Vec<_> = lists.buffered(AT_ONCE).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

/// Returns the kinds of models that a ComfyUI has.
async fn kinds(client: &Client) -> Result<Vec<String>, ClientError> {
    let mut kinds = client.model_kinds().await?;
    kinds.retain(|kind| !NO_MODELS.contains(&kind.as_str()));
    Ok(kinds)
}

/// Returns the files that any ComfyUI has, in the order of the first, and where those are that not all `count` of them have.
fn together(lists: &[FilesOn<'_>], count: usize) -> (Vec<String>, ModelPlaces) {
    let mut places: IndexMap<&str, Vec<&Arc<str>>> = IndexMap::new();
    for (comfyui, files) in lists {
        for file in *files {
            places.entry(file).or_default().push(comfyui);
        }
    }
    let models = places.keys().map(|file| (*file).to_owned()).collect();
    let only_on = places.into_iter().filter(|(_, comfyuis)| comfyuis.len() < count);
    let named = |comfyuis: Vec<&Arc<str>>| comfyuis.iter().map(|name| name.to_string()).collect();
    (models, only_on.map(|(file, comfyuis)| (file.to_owned(), named(comfyuis))).collect())
}

fn not_listed(error: &ClientError) -> ApiError {
    ApiError::ComfyUi(format!("the models cannot be listed: {error}"))
}
