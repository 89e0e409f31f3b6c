//! Following all jobs on ComfyUI's one socket.

use std::cell::Cell;
use std::time::Duration;

use comfy_runner_client::{Client, Event};
use comfy_runner_protocol::Message;
use tokio::sync::Notify;

use crate::lessons::write_lessons;
use crate::reconcile::reconcile;
use crate::remember::{prune, write_changes};
use crate::supervise::FollowError;
use crate::table::{Handover, Jobs};

/// How often jobs that run move on with the clock, and is looked for those that have been silent.
const TICK: Duration = Duration::from_secs(1);

/// Follows all jobs on the one socket of `client` until the future is dropped.
///
/// Messages are applied as they come. After every loss of the connection, and for jobs of which nothing is heard, the
/// truth is fetched from ComfyUI's queue and history: a missed message leaves no job `running` for ever. What becomes of
/// jobs is written to the store as it changes, and the store forgets what is too old.
///
/// Each of these tasks is started again when it fails, and [`Jobs::check_followed`] says so meanwhile. Returns when one
/// fails again and again: jobs stand still then, and the process should end.
pub async fn follow(jobs: Jobs, client: Client) -> FollowError {
    let watched = jobs.supervision();
    let rounds = Rounds::default();
    tokio::select! {
        error = watched.supervise("listens to ComfyUI", || listen(&jobs, &client, &rounds)) => error,
        error = watched.supervise("looks jobs up", || look_up_jobs(&jobs, &client, &rounds)) => error,
        error = watched.supervise("writes what became of jobs", || write_changes(&jobs)) => error,
        error = watched.supervise("writes how long nodes take", || write_lessons(&jobs)) => error,
        error = watched.supervise("forgets old jobs", || prune(&jobs)) => error,
    }
}

async fn listen(jobs: &Jobs, client: &Client, rounds: &Rounds) {
    // Whatever came while nobody listened was missed.
    jobs.set_connected(false);
    jobs.miss_messages();
    let mut events = client.events(jobs.socket_id());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => match jobs.hear(event) {
                    News::Connected => rounds.ask(true),
                    News::Closed => rounds.ask(false),
                    News::Applied => {}
                },
                None => return,
            },
            _ = ticks.tick() => {
                jobs.tick();
                rounds.ask(false);
            }
        }
    }
}

/// Reconciles beside the socket, so that messages are heard meanwhile; one round at a time.
async fn look_up_jobs(jobs: &Jobs, client: &Client, rounds: &Rounds) {
    // A round before this one may have been cut off.
    rounds.ask(true);
    loop {
        let all = rounds.next().await;
        if let Err(error) = reconcile(jobs, client, all).await {
            tracing::warn!(%error, "cannot hold jobs against ComfyUI's queue and history; will try again");
        }
    }
}

/// The rounds that were asked for and have not begun: one at most.
#[derive(Default)]
struct Rounds {
    asked: Notify,
    all: Cell<bool>,
}

impl Rounds {
    /// Asks for a round, of `all` jobs or those that are due.
    fn ask(&self, all: bool) {
        self.all.set(self.all.get() || all);
        self.asked.notify_one();
    }

    /// Waits until somebody asks for a round, and says whether it is to be of all jobs.
    async fn next(&self) -> bool {
        self.asked.notified().await;
        self.all.take()
    }
}

/// Whether more is to be done about an event.
pub(crate) enum News {
    Connected,
    /// A job ended of which messages were missed: the history says how.
    Closed,
    Applied,
}

impl Jobs {
    /// Takes an event of the socket.
    pub(crate) fn hear(&self, event: Event) -> News {
        match event {
            Event::Connected => {
                self.set_connected(true);
                // It may be another version than before.
                self.missing().reset();
                return News::Connected;
            }
            Event::Disconnected { reason } => {
                self.set_connected(false);
                tracing::warn!(%reason, "no connection to ComfyUI; trying again");
                self.miss_messages();
            }
            Event::Message(message) => {
                let now = self.now();
                let Some(prompt_id) = message.prompt_id() else { return News::Applied };
                let closed = self.change(prompt_id, |job| {
                    job.heard = now;
                    // Whoever speaks of a prompt has it.
                    job.handover = Handover::Accepted;
                    // It is the first message about a prompt: none can have been missed.
                    if matches!(message, Message::ExecutionStart(_)) {
                        job.gap = false;
                    }
                    let unsettled = job.gap || !job.progress.status().is_over();
                    if unsettled && only_history_knows(&message, job.gap) {
                        job.closed = true;
                        return true;
                    }
                    let was_over = job.progress.status().is_over();
                    job.progress.apply(&message, now);
                    if !was_over && job.progress.status().is_over() {
                        tracing::info!(prompt_id, status = job.progress.status().as_str(), "ended");
                    }
                    false
                });
                log_traceback(&message);
                if closed == Some(true) {
                    return News::Closed;
                }
            }
            Event::Preview { format, image, metadata } => {
                let now = self.now();
                // Without metadata a preview belongs to whatever runs; ComfyUI runs one prompt at a time.
                let prompt_id = match &metadata {
                    Some(metadata) => Some(metadata.prompt_id.clone()),
                    None => self.running(),
                };
                self.change(&prompt_id.unwrap_or_default(), |job| {
                    job.heard = now;
                    job.progress.preview(format, image, metadata.as_ref());
                });
            }
        }
        News::Applied
    }
}

impl Jobs {
    /// Notes that messages about open jobs may have been missed.
    fn miss_messages(&self) {
        self.table().open().for_each(|job| job.gap = true);
    }

    /// The job that runs.
    fn running(&self) -> Option<String> {
        self.table().running().next().map(str::to_owned)
    }

    /// Lets time pass for the jobs that run.
    fn tick(&self) {
        let now = self.now();
        let running: Vec<_> = self.table().running().map(str::to_owned).collect();
        for prompt_id in running {
            self.change(&prompt_id, |job| job.progress.tick(now));
        }
    }
}

/// Whether the message ends a prompt of which only the history says how. Across a gap an error and files may be among what
/// was missed. And a prompt that is merely closed has said before how it ended, if it was not lost; versions that do not
/// tell of success close only what went well, but those that do cannot be told from them.
fn only_history_knows(message: &Message, gap: bool) -> bool {
    match message {
        Message::Executing { node: None, .. } => true,
        Message::ExecutionSuccess(_) => gap,
        _ => false,
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

#[cfg(test)]
mod tests {
    use comfy_runner_progress::Status;
    use comfy_runner_protocol::{ImageFormat, PreviewMetadata};

    use super::*;
    use crate::table::tests::{jobs, status};

    fn tell(jobs: &Jobs, message: &str) {
        jobs.hear(Event::Message(Message::parse(message).unwrap()));
    }

    #[test]
    fn a_message_moves_the_job_that_it_is_about_and_no_other() {
        let jobs = jobs(&["a", "b"], 10);
        tell(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "b"}}"#);
        tell(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "of somebody else"}}"#);
        assert_eq!((status(&jobs, "a"), status(&jobs, "b")), (Some(Status::Pending), Some(Status::Running)));
    }

    #[test]
    fn a_lost_connection_is_a_gap_for_every_open_job() {
        let jobs = jobs(&["a", "b"], 10);
        tell(&jobs, r#"{"type": "execution_success", "data": {"prompt_id": "b"}}"#);
        jobs.hear(Event::Disconnected { reason: "cut".into() });
        let gaps: Vec<_> = jobs.table().open().map(|job| job.progress.prompt_id().to_owned()).collect();
        assert_eq!(gaps, ["a"]);
        assert!(matches!(jobs.hear(Event::Connected), News::Connected));
    }

    #[test]
    fn the_end_of_a_job_is_the_historys_to_tell_when_messages_were_missed() {
        let jobs = jobs(&["a", "b", "c"], 10);
        jobs.change("a", |job| job.gap = true);
        let success = |id: &str| {
            let text = format!(r#"{{"type": "execution_success", "data": {{"prompt_id": "{id}"}}}}"#);
            jobs.hear(Event::Message(Message::parse(&text).unwrap()))
        };
        let closed = |id: &str| {
            let text = format!(r#"{{"type": "executing", "data": {{"node": null, "prompt_id": "{id}"}}}}"#);
            jobs.hear(Event::Message(Message::parse(&text).unwrap()))
        };
        // Files, or the error itself, may have come before the socket was open.
        assert!(matches!((success("a"), closed("a")), (News::Closed, News::Closed)));
        // Nothing was missed.
        assert!(matches!((success("b"), closed("b")), (News::Applied, News::Applied)));
        // How it ended was lost, or this ComfyUI is too old to say it.
        assert!(matches!(closed("c"), News::Closed));
        let statuses = ["a", "b", "c"].map(|id| status(&jobs, id));
        assert_eq!(statuses, [Some(Status::Pending), Some(Status::Completed), Some(Status::Pending)]);
        assert!(jobs.table().open().all(|job| job.closed), "they are due without waiting for silence");
    }

    #[test]
    fn a_job_whose_start_is_heard_has_missed_nothing_although_it_was_submitted_too_early() {
        let jobs = jobs(&["a"], 10);
        jobs.change("a", |job| job.gap = true);
        tell(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "a"}}"#);
        tell(&jobs, r#"{"type": "execution_success", "data": {"prompt_id": "a"}}"#);
        assert_eq!(status(&jobs, "a"), Some(Status::Completed), "no look at the history is needed");
        assert_eq!(jobs.table().open().count(), 0);
    }

    #[test]
    fn a_preview_belongs_to_the_prompt_that_it_names_or_else_to_the_one_that_runs() {
        let jobs = jobs(&["a", "b"], 10);
        tell(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "b"}}"#);
        let show = |image: &'static [u8], metadata| {
            jobs.hear(Event::Preview { format: ImageFormat::Png, image: image.into(), metadata });
        };
        let picture = |id: &str| {
            jobs.with_progress(id, |progress, _| progress.picture().map(|picture| picture.image.clone()))
        };
        show(b"first", None);
        assert_eq!(picture("b").flatten().as_deref(), Some(&b"first"[..]));
        let metadata = PreviewMetadata {
            node_id: "1".into(),
            prompt_id: "b".into(),
            display_node_id: None,
            parent_node_id: None,
            real_node_id: None,
            image_type: "image/png".into(),
        };
        show(b"second", Some(metadata));
        assert_eq!(picture("b").flatten().as_deref(), Some(&b"second"[..]));
        assert_eq!(picture("a").flatten(), None);
    }
}
