//! What is known of the ComfyUIs, for those who look.

use std::sync::Arc;
use std::time::Instant;

use comfy_runner_api::Status;
use comfy_runner_client::Endpoint;

use crate::pool::ConnectionState;
use crate::state::State;

/// What is known of a ComfyUI without asking it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ComfyUiState {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of our prompts that it has at once.
    pub depth: usize,
    /// Whether it gets no more jobs.
    pub draining: bool,
    /// Whether its WebSocket is open; `None` before the first attempt to open it has ended.
    pub connected: Option<bool>,
    /// When its WebSocket was last opened or lost.
    pub since: Instant,
    /// The last error of a request to it, or why its connection was lost. It names no address.
    pub last_error: Option<String>,
    /// Our jobs that it has, in the order in which it got them.
    pub jobs: Vec<String>,
    /// The one of them that runs.
    pub running: Option<String>,
    /// The models that it has in memory, as far as known, the one that was used last at the end.
    pub warm_models: Vec<String>,
}

/// See [`Jobs::comfyuis`](crate::Jobs::comfyuis).
pub(crate) fn comfyuis(state: &State) -> Vec<ComfyUiState> {
    let known = state.pool.members().map(|member| {
        let settings = &member.settings;
        let given: Vec<_> = state.table.given(&settings.name).filter(|job| job.recorded).collect();
        let running = given.iter().find(|job| job.progress.status() == Status::Running);
        ComfyUiState {
            name: Arc::clone(&settings.name),
            endpoint: settings.client.endpoint.clone(),
            tags: settings.tags.clone(),
            depth: settings.depth,
            draining: member.draining,
            connected: match member.connection.state {
                ConnectionState::New => None,
                ConnectionState::Open => Some(true),
                ConnectionState::Lost => Some(false),
            },
            since: member.connection.since,
            last_error: member.last_error.clone(),
            jobs: given.iter().map(|job| job.progress.prompt_id().to_owned()).collect(),
            running: running.map(|job| job.progress.prompt_id().to_owned()),
            warm_models: member.warm.iter().map(str::to_owned).collect(),
        }
    });
    known.collect()
}
