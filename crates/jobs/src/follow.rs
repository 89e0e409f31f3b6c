//! Following all jobs, on one WebSocket to each ComfyUI.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use comfy_runner_api::Status;
use comfy_runner_client::{Client, SocketEvent};
use comfy_runner_protocol::Message;
use tokio::sync::{Notify, mpsc};

use crate::clients::Clients;
use crate::dispatch::{dispatch, find_eligible};
use crate::durations::write_durations;
use crate::files::{collect_now_and_then, keep_outputs};
use crate::job::{Job, SubmissionState};
use crate::jobs::Jobs;
use crate::lost_jobs::fail_over;
use crate::persist::{prune, write_changes};
use crate::reconcile::reconcile;
use crate::remote_state::{RemoteState, stop_remotely};
use crate::supervise::FollowError;

/// How often running jobs advance with the clock, and silent jobs are looked for.
const TICK: Duration = Duration::from_secs(1);

/// Follows all jobs, on one WebSocket to each ComfyUI, until the future is dropped.
///
/// Messages are applied as they come. After a lost connection, and for jobs without messages, the ComfyUI's queue and history
/// are fetched, so that a missed message leaves no job `running` for ever. Waiting jobs are given to ComfyUIs as those get
/// room, and jobs of a ComfyUI that cannot be reached any more to others. Changes are written to the store as they happen, and
/// old records are deleted from it.
///
/// Each of these tasks is restarted when it fails, and [`Jobs::check_followed`] returns an error meanwhile. The future
/// completes when a task fails again and again: jobs are no longer followed then, and the process should end.
pub async fn follow(jobs: Jobs, clients: Clients) -> FollowError {
    let watched = jobs.supervision();
    tokio::select! {
        error = follow_comfyuis(&jobs, &clients) => error,
        error = watched.supervise("gives waiting jobs to ComfyUIs", || dispatch(&jobs, &clients)) => error,
        error = watched.supervise("finds ComfyUIs for waiting jobs", || find_eligible(&jobs, &clients)) => error,
        error = watched.supervise("looks at the clock", || keep_time(&jobs)) => error,
        error = watched.supervise("gives jobs of lost ComfyUIs to others", || fail_over_in_time(&jobs, &clients)) => error,
        error = watched.supervise("writes what became of jobs", || write_changes(&jobs)) => error,
        error = watched.supervise("writes how long nodes take", || write_durations(&jobs)) => error,
        error = watched.supervise("forgets old jobs", || prune(&jobs)) => error,
        error = watched.supervise("copies the files of jobs", || keep_outputs(&jobs, &clients)) => error,
        error = watched.supervise("deletes unneeded files", || collect_now_and_then(&jobs)) => error,
    }
}

/// Follows each ComfyUI, those that are added later too, until a task fails again and again.
async fn follow_comfyuis(jobs: &Jobs, clients: &Clients) -> FollowError {
    let mut followed: HashMap<Arc<str>, (u64, AbortOnDrop)> = HashMap::new();
    let (failed, mut failures) = mpsc::channel(1);
    loop {
        let members: Vec<_> = {
            let state = jobs.lock();
            state
                .pool
                .members()
                .map(|member| (Arc::clone(&member.settings.name), member.generation))
                .collect()
        };
        followed.retain(|name, (of, _)| members.iter().any(|(other, now)| other == name && now == of));
        for (name, generation) in members {
            if followed.contains_key(&name) {
                continue;
            }
            let Some(client) = clients.get(&name) else { continue };
            let (jobs, clients, of, failed) =
                (jobs.clone(), clients.clone(), Arc::clone(&name), failed.clone());
            let task = actix_rt::spawn(async move {
                let error = follow_comfyui(&jobs, &clients, &of, &client).await;
                // Another one may have failed before, which is enough.
                let _ = failed.try_send(error);
            });
            followed.insert(name, (generation, AbortOnDrop(task)));
        }
        tokio::select! {
            () = jobs.comfyuis_changed() => {}
            error = failures.recv() => {
                if let Some(error) = error {
                    return error;
                }
            }
        }
    }
}

/// A task that ends when this is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows the jobs of one ComfyUI.
async fn follow_comfyui(jobs: &Jobs, clients: &Clients, comfyui: &str, client: &Client) -> FollowError {
    let watched = jobs.supervision();
    let rounds = Rounds::default();
    tokio::select! {
        error = watched.supervise("listens to ComfyUI", || listen(jobs, comfyui, client, &rounds)) => error,
        error = watched.supervise("looks jobs up", || look_up_jobs(jobs, clients, comfyui, client, &rounds)) => error,
    }
}

async fn listen(jobs: &Jobs, comfyui: &str, client: &Client, rounds: &Rounds) {
    // Messages before this moment were missed.
    note_missed_messages(jobs, comfyui);
    let mut events = client.events(jobs.socket_id());
    let mut ticks = ticks();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => match apply_event(jobs, comfyui, event) {
                    AfterEvent::Connected => rounds.ask(true),
                    AfterEvent::NeedsHistory => rounds.ask(false),
                    AfterEvent::Nothing => {}
                },
                None => return,
            },
            _ = ticks.tick() => rounds.ask(false),
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Does what depends on the time, every second.
async fn keep_time(jobs: &Jobs) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        tick(jobs);
        // What failed may be tried again.
        jobs.wake_eligibility();
        jobs.wake_dispatcher();
    }
}

/// Gives jobs to other ComfyUIs, every second. Node schemas may have to be fetched for that.
async fn fail_over_in_time(jobs: &Jobs, clients: &Clients) {
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        fail_over(jobs, clients).await;
    }
}

/// Reconciles beside the WebSocket, so that messages are received meanwhile; one round at a time.
async fn look_up_jobs(jobs: &Jobs, clients: &Clients, comfyui: &str, client: &Client, rounds: &Rounds) {
    // An earlier round may have been interrupted.
    rounds.ask(true);
    loop {
        let all = rounds.next().await;
        if let Err(error) = reconcile(jobs, clients, comfyui, client, all).await {
            tracing::warn!(comfyui, %error, "cannot compare jobs with ComfyUI's queue and history; will try again");
        } else if all {
            stop_abandoned(jobs, comfyui, client).await;
        }
    }
}

/// The round that was asked for and has not begun, if any.
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

    /// Waits until a round is asked for, and returns whether it is for all jobs.
    async fn next(&self) -> bool {
        self.asked.notified().await;
        self.all.take()
    }
}

/// What is to be done after an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterEvent {
    /// The connection is new: messages before it may have been missed.
    Connected,
    /// A job ended and only the history knows how.
    NeedsHistory,
    /// Nothing more.
    Nothing,
}

/// Applies an event of the WebSocket.
pub(crate) fn apply_event(jobs: &Jobs, comfyui: &str, event: SocketEvent) -> AfterEvent {
    match event {
        SocketEvent::Connected => {
            jobs.set_connected(comfyui, None);
            return AfterEvent::Connected;
        }
        SocketEvent::Disconnected { reason } => {
            tracing::warn!(comfyui, %reason, "no connection to ComfyUI; trying again");
            jobs.set_connected(comfyui, Some(reason));
            note_missed_messages(jobs, comfyui);
        }
        SocketEvent::Message(message) => {
            let now = jobs.now();
            let Some(prompt_id) = message.prompt_id() else { return AfterEvent::Nothing };
            let after = jobs.change(prompt_id, |job| match job.comfyui.as_deref() == Some(comfyui) {
                true => apply_message(job, &message, now),
                // It was given to another ComfyUI since.
                false => AfterEvent::Nothing,
            });
            log_traceback(&message);
            return after.unwrap_or(AfterEvent::Nothing);
        }
        SocketEvent::Preview { format, image, metadata } => {
            let now = jobs.now();
            // A preview without metadata belongs to the running job: ComfyUI runs one prompt at a time.
            let prompt_id = match &metadata {
                Some(metadata) => Some(metadata.prompt_id.clone()),
                None => running_on(jobs, comfyui),
            };
            jobs.change(&prompt_id.unwrap_or_default(), |job| {
                if job.comfyui.as_deref() == Some(comfyui) {
                    job.last_message = now;
                    job.progress.preview(format, image, metadata.as_ref());
                }
            });
        }
        // An event of a kind that this version does not have.
        _ => {}
    }
    AfterEvent::Nothing
}

/// Applies a message to the job that it is about.
fn apply_message(job: &mut Job, message: &Message, now: Duration) -> AfterEvent {
    job.last_message = now;
    // ComfyUI has every prompt that it sends messages about.
    job.submission = SubmissionState::Accepted;
    // It is the first message about a prompt, so none can have been missed.
    if matches!(message, Message::ExecutionStart(_)) {
        job.missed_messages = false;
    }
    let was_over = job.is_over();
    if (job.missed_messages || !was_over) && needs_history(message, job.missed_messages) {
        job.needs_history = true;
        return AfterEvent::NeedsHistory;
    }
    job.progress.apply(message, now);
    if !was_over && job.is_over() {
        let (prompt_id, status) = (job.progress.prompt_id(), job.progress.status().as_str());
        tracing::info!(prompt_id, status, "ended");
    }
    AfterEvent::Nothing
}

/// Returns whether the message ends a prompt without saying reliably how. If messages were missed, an error or files may be
/// among them. A prompt that is merely closed has reported its end before, unless that message was lost; versions that do
/// not report success close a prompt that succeeded, and cannot be distinguished from those that do.
fn needs_history(message: &Message, missed_messages: bool) -> bool {
    match message {
        Message::Executing { node: None, .. } => true,
        Message::ExecutionSuccess(_) => missed_messages,
        _ => false,
    }
}

/// Returns the job that runs on a ComfyUI.
fn running_on(jobs: &Jobs, comfyui: &str) -> Option<String> {
    let state = jobs.lock();
    let running = state.table.given(comfyui).find(|job| job.progress.status() == Status::Running)?;
    Some(running.progress.prompt_id().to_owned())
}

/// Notes that messages about the open jobs of a ComfyUI may have been missed.
fn note_missed_messages(jobs: &Jobs, comfyui: &str) {
    let mut state = jobs.lock();
    let open: Vec<_> = state.table.open_on(comfyui).map(|job| job.progress.prompt_id().to_owned()).collect();
    for prompt_id in open {
        if let Some(job) = state.table.get_mut(&prompt_id) {
            job.missed_messages = true;
        }
    }
}

/// Stops the jobs that were given to another ComfyUI while this one could not be reached.
async fn stop_abandoned(jobs: &Jobs, comfyui: &str, client: &Client) {
    for prompt_id in jobs.abandoned(comfyui) {
        let unsupported = jobs.unsupported(comfyui);
        let stopped = match RemoteState::look_up(&unsupported, client, &prompt_id).await {
            Ok(RemoteState::Pending) => stop_remotely(&unsupported, client, &prompt_id, false).await,
            Ok(RemoteState::Running) => stop_remotely(&unsupported, client, &prompt_id, true).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match stopped {
            Ok(()) => jobs.forget_abandoned(comfyui, &prompt_id),
            Err(error) => {
                tracing::warn!(comfyui, prompt_id, %error, "a job that another ComfyUI has cannot be stopped here")
            }
        }
    }
}

/// Advances the running jobs to the present time.
fn tick(jobs: &Jobs) {
    let now = jobs.now();
    let running: Vec<_> = jobs.lock().table.running().map(str::to_owned).collect();
    for prompt_id in running {
        jobs.change(&prompt_id, |job| job.progress.tick(now));
    }
}

/// Logs the traceback of an error. It contains paths of ComfyUI's server and values of the prompt, which callers must not
/// see.
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
    use comfy_runner_protocol::{ImageFormat, PreviewMetadata};

    use super::*;
    use crate::jobs::tests::{COMFYUI, jobs, status};

    fn receive(jobs: &Jobs, message: &str) {
        apply_event(jobs, COMFYUI, SocketEvent::Message(Message::parse(message).unwrap()));
    }

    #[test]
    fn a_message_moves_the_job_that_it_is_about_and_no_other() {
        let jobs = jobs(&["a", "b"], 10);
        receive(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "b"}}"#);
        receive(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "unknown"}}"#);
        assert_eq!((status(&jobs, "a"), status(&jobs, "b")), (Some(Status::Pending), Some(Status::Running)));
    }

    #[test]
    fn messages_of_every_open_job_count_as_missed_after_a_lost_connection() {
        let jobs = jobs(&["a", "b"], 10);
        receive(&jobs, r#"{"type": "execution_success", "data": {"prompt_id": "b"}}"#);
        apply_event(&jobs, COMFYUI, SocketEvent::Disconnected { reason: "cut".into() });
        let missed: Vec<_> =
            jobs.lock().table.open().map(|job| job.progress.prompt_id().to_owned()).collect();
        assert_eq!(missed, ["a"]);
        assert_eq!(apply_event(&jobs, COMFYUI, SocketEvent::Connected), AfterEvent::Connected);
    }

    #[test]
    fn the_history_decides_how_a_job_ended_when_messages_were_missed() {
        let jobs = jobs(&["a", "b", "c"], 10);
        jobs.change("a", |job| job.missed_messages = true);
        let success = |id: &str| {
            let text = format!(r#"{{"type": "execution_success", "data": {{"prompt_id": "{id}"}}}}"#);
            apply_event(&jobs, COMFYUI, SocketEvent::Message(Message::parse(&text).unwrap()))
        };
        let closed = |id: &str| {
            let text = format!(r#"{{"type": "executing", "data": {{"node": null, "prompt_id": "{id}"}}}}"#);
            apply_event(&jobs, COMFYUI, SocketEvent::Message(Message::parse(&text).unwrap()))
        };
        // Files, or the error itself, may have come before the socket was open.
        assert_eq!((success("a"), closed("a")), (AfterEvent::NeedsHistory, AfterEvent::NeedsHistory));
        // Nothing was missed.
        assert_eq!((success("b"), closed("b")), (AfterEvent::Nothing, AfterEvent::Nothing));
        // How it ended was lost, or this ComfyUI is too old to report it.
        assert_eq!(closed("c"), AfterEvent::NeedsHistory);
        let statuses = ["a", "b", "c"].map(|id| status(&jobs, id));
        assert_eq!(statuses, [Some(Status::Pending), Some(Status::Completed), Some(Status::Pending)]);
        assert!(
            jobs.lock().table.open().all(|job| job.needs_history),
            "they are due without waiting for silence"
        );
    }

    #[test]
    fn a_job_whose_start_is_heard_has_missed_nothing_although_it_was_submitted_too_early() {
        let jobs = jobs(&["a"], 10);
        jobs.change("a", |job| job.missed_messages = true);
        receive(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "a"}}"#);
        receive(&jobs, r#"{"type": "execution_success", "data": {"prompt_id": "a"}}"#);
        assert_eq!(status(&jobs, "a"), Some(Status::Completed), "no look at the history is needed");
        assert_eq!(jobs.lock().table.open().count(), 0);
    }

    #[test]
    fn a_preview_belongs_to_the_prompt_that_it_names_or_else_to_the_one_that_runs() {
        let jobs = jobs(&["a", "b"], 10);
        receive(&jobs, r#"{"type": "execution_start", "data": {"prompt_id": "b"}}"#);
        let show = |image: &'static [u8], metadata| {
            apply_event(
                &jobs,
                COMFYUI,
                SocketEvent::Preview { format: ImageFormat::Png, image: image.into(), metadata },
            );
        };
        let preview = |id: &str| {
            jobs.with_progress(id, |progress, _| {
                progress.preview_image().map(|preview| preview.image.clone())
            })
        };
        show(b"first", None);
        assert_eq!(preview("b").flatten().as_deref(), Some(&b"first"[..]));
        let metadata = PreviewMetadata {
            node_id: "1".into(),
            prompt_id: "b".into(),
            display_node_id: None,
            parent_node_id: None,
            real_node_id: None,
            image_type: "image/png".into(),
        };
        show(b"second", Some(metadata));
        assert_eq!(preview("b").flatten().as_deref(), Some(&b"second"[..]));
        assert_eq!(preview("a").flatten(), None);
    }
}
