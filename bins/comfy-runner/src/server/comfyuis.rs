//! The ComfyUIs behind the server: which one is asked, and their answers together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use comfy_runner_client::{Client, ClientError, FileQuery, FileReply, Probe};
use comfy_runner_jobs::{ComfyUiState, GraphValidator, Prediction};
use comfy_runner_protocol::{Graph, ObjectInfo, PromptRefused};
use comfy_runner_workflow::validate::{FileName, Validator};
use futures::future::select_ok;

use super::State;
use super::error::ApiError;

/// Predicts ComfyUI's answer to a graph as the workflows' validation does.
#[derive(Debug)]
pub struct SchemaValidator;

impl GraphValidator for SchemaValidator {
    fn validate(&self, graph: &Graph, schemas: &ObjectInfo, files: &[String]) -> Prediction {
        let known = files.iter().filter_map(|name| Some((FileName::parse(name)?, true)));
        let verdict = Validator::new(schemas).with_files(known.collect()).validate(graph);
        match verdict.error {
            None => Prediction::Accepted(verdict.node_errors),
            Some(error) => Prediction::Refused(PromptRefused { error, node_errors: verdict.node_errors }),
        }
    }
}

/// Whether each ComfyUI answers, by name.
#[derive(Debug, Default)]
pub struct Probes(Mutex<HashMap<Arc<str>, Arc<Probe>>>);

impl Probes {
    fn of(&self, comfyui: &Arc<str>) -> Arc<Probe> {
        let mut probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(probes.entry(Arc::clone(comfyui)).or_default())
    }
}

impl State {
    /// Returns the client of the first ComfyUI that is connected; of the first one if none is.
    pub fn any_client(&self) -> Result<Client, ApiError> {
        let mut clients = self.clients.all();
        let connected = self.jobs.comfyuis().into_iter().find(|comfyui| comfyui.connected == Some(true));
        let first = connected.and_then(|comfyui| clients.iter().position(|(name, _)| *name == comfyui.name));
        match clients.is_empty() {
            true => Err(ApiError::Unavailable("no ComfyUI is configured".to_owned())),
            false => Ok(clients.swap_remove(first.unwrap_or(0)).1),
        }
    }

    /// Returns the clients of the ComfyUIs that are not known to be down; of all if every one is. One that does not answer delays
    /// an answer that is put together from all.
    pub fn askable_clients(&self) -> Vec<(Arc<str>, Client)> {
        let up: Vec<_> = self.askable().into_iter().map(|comfyui| comfyui.name).collect();
        self.clients.all().into_iter().filter(|(name, _)| up.contains(name)).collect()
    }

    /// Returns the ComfyUIs that are not known to be down; all of them if every one is.
    pub fn askable(&self) -> Vec<ComfyUiState> {
        let all = self.jobs.comfyuis();
        let is_up = |comfyui: &ComfyUiState| comfyui.connected != Some(false);
        if all.iter().any(is_up) { all.into_iter().filter(is_up).collect() } else { all }
    }

    /// Returns the client of the ComfyUI with this name. If it is not known, that of any.
    pub fn client_of(&self, comfyui: Option<&str>) -> Result<Client, ApiError> {
        comfyui.and_then(|comfyui| self.clients.get(comfyui)).map_or_else(|| self.any_client(), Ok)
    }

    /// Checks that a ComfyUI answers.
    ///
    /// # Errors
    /// None does. The error is that of the last one.
    pub async fn check_comfyuis(&self) -> Result<(), ClientError> {
        let check = |(name, client): (Arc<str>, Client)| {
            Box::pin(async move { self.probes.of(&name).check(&client).await })
        };
        let checks: Vec<_> = self.clients.all().into_iter().map(check).collect();
        if checks.is_empty() {
            return Err(ClientError::NotConfigured("comfyui".to_owned()));
        }
        // The first answer is enough.
        select_ok(checks).await.map(|((), _)| ())
    }

    /// Fetches a file from the ComfyUI with this name; without a name, from the first one that has it.
    pub async fn view(
        &self,
        comfyui: Option<&str>,
        file: FileQuery<'_>,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<FileReply, ClientError> {
        let clients = match comfyui {
            Some(name) => {
                vec![self.clients.get(name).ok_or_else(|| ClientError::NotConfigured(name.to_owned()))?]
            }
            None => self.clients.all().into_iter().map(|(_, client)| client).collect(),
        };
        let mut answer = Err(ClientError::NotConfigured(comfyui.unwrap_or("comfyui").to_owned()));
        for client in clients {
            match client.view(file, method.clone(), headers).await {
                Ok(reply) if reply.status != StatusCode::NOT_FOUND => return Ok(reply),
                // An answer says more than none.
                Ok(reply) => answer = Ok(reply),
                Err(error) if answer.is_err() => answer = Err(error),
                Err(_) => {}
            }
        }
        answer
    }
}
