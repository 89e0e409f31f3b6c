//! Following all jobs on ComfyUI's one socket.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use comfy_runner_client::{Client, Event};
use comfy_runner_progress::Status;
use comfy_runner_protocol::Message;

use crate::reconcile::reconcile;
use crate::table::Jobs;

/// How often is looked for jobs that have been silent.
const TICK: Duration = Duration::from_secs(1);

/// Follows all jobs on the one socket of `client` until the future is dropped.
///
/// Messages are applied as they come. After every loss of the connection, and for jobs of which nothing is heard, the
/// truth is fetched from ComfyUI's queue and history: a missed message leaves no job `running` for ever.
pub async fn follow(jobs: Jobs, client: Client) {
    let mut events = client.events(jobs.socket_id());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let reconciler = Reconciler { jobs: jobs.clone(), client, at_work: Rc::default() };
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    if let News::Connected = jobs.hear(event) {
                        reconciler.start(true);
                    }
                }
                None => return,
            },
            _ = ticks.tick() => reconciler.start(false),
        }
    }
}

/// Whether more is to be done about an event.
enum News {
    Connected,
    Applied,
}

impl Jobs {
    /// Takes an event of the socket.
    fn hear(&self, event: Event) -> News {
        match event {
            Event::Connected => return News::Connected,
            Event::Disconnected { reason } => {
                tracing::warn!(%reason, "no connection to ComfyUI; trying again");
                for job in self.table().open() {
                    job.gap = true;
                }
            }
            Event::Message(message) => {
                let now = self.now();
                let Some(prompt_id) = message.prompt_id() else { return News::Applied };
                self.change(prompt_id, |job| {
                    job.heard = now;
                    let was_over = job.progress.status().is_over();
                    job.progress.apply(&message, now);
                    if !was_over && job.progress.status().is_over() {
                        tracing::info!(prompt_id, status = job.progress.status().as_str(), "ended");
                    }
                });
                log_traceback(&message);
            }
            Event::Preview { format, image, metadata } => {
                let prompt_id = metadata.as_ref().map(|metadata| metadata.prompt_id.clone());
                let now = self.now();
                // Without metadata a preview belongs to whatever runs; ComfyUI runs one prompt at a time.
                let mut table = self.table();
                let of_prompt = match &prompt_id {
                    Some(prompt_id) => table.get_mut(prompt_id),
                    None => table.open().find(|job| job.progress.status() == Status::Running),
                };
                if let Some(job) = of_prompt {
                    job.heard = now;
                    job.progress.preview(format, image, metadata.as_ref());
                }
            }
        }
        News::Applied
    }
}

/// A traceback holds paths of ComfyUI's server and values of the prompt: for those who debug, not for callers.
fn log_traceback(message: &Message) {
    if let Message::ExecutionError(error) = message {
        tracing::warn!(
            prompt_id = error.prompt_id,
            node = error.node_id,
            class = error.node_type,
            "a node failed"
        );
        tracing::debug!(prompt_id = error.prompt_id, traceback = error.traceback.concat(), "traceback");
    }
}

/// Reconciles beside the socket, so that messages are heard meanwhile; one round at a time.
struct Reconciler {
    jobs: Jobs,
    client: Client,
    at_work: Rc<Cell<bool>>,
}

impl Reconciler {
    fn start(&self, all: bool) {
        if self.at_work.replace(true) {
            return;
        }
        let (jobs, client, at_work) = (self.jobs.clone(), self.client.clone(), Rc::clone(&self.at_work));
        actix_rt::spawn(async move {
            if let Err(error) = reconcile(&jobs, &client, all).await {
                tracing::warn!(%error, "cannot hold jobs against ComfyUI's queue and history; will try again");
            }
            at_work.set(false);
        });
    }
}
