//! What is known of each ComfyUI, and changes of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_runner_client::{Client, ClientError, ConfigError};
use comfy_runner_protocol::ObjectInfo;

use crate::comfyui::ComfyUi;
use crate::files;
use crate::jobs::Jobs;
use crate::pool::Member;
use crate::remote_state::UnsupportedRoutes;

/// See [`Jobs::set_comfyuis`].
pub(crate) fn set_comfyuis(jobs: &Jobs, comfyuis: Vec<ComfyUi>) -> Result<(), ConfigError> {
    for comfyui in &comfyuis {
        Client::new(comfyui.client.clone())?;
    }
    let mut state = jobs.lock();
    state.pool.set(comfyuis);
    jobs.set_pool_generation(state.pool.generation());
    drop(state);
    jobs.wake_eligibility();
    jobs.wake_dispatcher();
    Ok(())
}

impl Jobs {
    /// Returns the ComfyUI that has a job whose record names this one, or none.
    pub(crate) fn owner(&self, recorded: Option<&str>) -> Option<Arc<str>> {
        self.lock().pool.owner(recorded)
    }

    /// Returns the node schemas of a ComfyUI that were fetched last.
    pub(crate) fn known_schemas(&self, comfyui: &str) -> Option<Arc<ObjectInfo>> {
        let cache = Arc::clone(&self.lock().pool.get(comfyui)?.schemas);
        cache.latest_known()
    }

    /// Returns the routes that a ComfyUI does not have.
    pub(crate) fn unsupported(&self, comfyui: &str) -> Arc<UnsupportedRoutes> {
        self.lock().pool.get(comfyui).map(|member| Arc::clone(&member.unsupported)).unwrap_or_default()
    }

    /// Returns whether the WebSocket to a ComfyUI is open. Messages about a job that is submitted without it may be missed.
    pub(crate) fn is_connected(&self, comfyui: &str) -> bool {
        self.lock().pool.get(comfyui).is_some_and(Member::is_connected)
    }

    /// Notes that the WebSocket to a ComfyUI was opened, or was lost for this reason.
    pub(crate) fn set_connected(&self, comfyui: &str, lost: Option<String>) {
        let mut state = self.lock();
        let Some(member) = state.pool.get_mut(comfyui) else { return };
        member.set_connected(lost.is_none());
        if lost.is_none() {
            // It may be another version than before, with other node types and models.
            member.unsupported.reset();
            state.pool.schemas_changed();
        } else {
            member.last_error = lost;
        }
        drop(state);
        // It may be a new process, on another disk.
        files::forget_sent(self, comfyui);
        self.wake_eligibility();
        self.wake_dispatcher();
    }

    /// Notes an error of a request to a ComfyUI. One that cannot be reached gets no jobs until its WebSocket is open again.
    pub(crate) fn note_error(&self, comfyui: &str, error: &ClientError) {
        tracing::warn!(comfyui, %error, "a job cannot be given to a ComfyUI");
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.last_error = Some(error.without_address());
        }
    }

    /// Returns whether there are several ComfyUIs, so that an upload may be needed on any of them.
    pub(crate) fn has_several_comfyuis(&self) -> bool {
        self.lock().pool.len() > 1
    }

    /// Marks whether jobs of the queue are being sent to a ComfyUI.
    pub(crate) fn set_sending(&self, comfyui: &str, sending: bool) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.sending = sending;
        }
        self.wake_dispatcher();
    }

    /// Gives a ComfyUI no jobs of the queue for this long.
    pub(crate) fn pause(&self, comfyui: &str, pause: Duration) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.paused_until = Instant::now().checked_add(pause);
        }
    }

    /// Returns the jobs that a ComfyUI must not run any more.
    pub(crate) fn abandoned(&self, comfyui: &str) -> Vec<String> {
        self.lock().pool.get(comfyui).map(|member| member.abandoned.clone()).unwrap_or_default()
    }

    /// Notes that a ComfyUI does not have this job any more.
    pub(crate) fn forget_abandoned(&self, comfyui: &str, prompt_id: &str) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.abandoned.retain(|abandoned| abandoned != prompt_id);
        }
    }
}
