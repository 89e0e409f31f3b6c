//! Subscriptions: each waits for a change, keeps its pace, and looks at the present state.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::{Event, JobMessage};
use tokio::sync::watch;

use super::change_feed::{End, JobReceivers};
use super::find::find;
use super::preview::Preview;
use super::seen::{Pace, Present, Seen, Unseen, WatchOptions};
use super::serialized::Serialized;
use super::snapshot::JobSnapshot;
use crate::clients::Clients;
use crate::job::Job;
use crate::jobs::Jobs;
use crate::lookup::StatusError;
use crate::state::unix_millis;
use crate::table::Table;

/// The number of updates that a subscriber of all jobs gets at once. The queue of a WebSocket in actix-ws holds 32.
const BATCH: usize = 24;

/// An update for a subscriber. Cloning it copies no data.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Update {
    /// The present state: the job's status (`progress`), or the files of a node (`output`).
    Message(Serialized<JobMessage>),
    /// The latest preview.
    Preview(Arc<Preview>),
    /// Something happened.
    Event(Serialized<Event>),
}

/// A subscription to one job.
pub struct Subscription {
    jobs: Jobs,
    prompt_id: Box<str>,
    receivers: JobReceivers,
    options: WatchOptions,
    seen: Seen,
    pace: Pace,
    over: bool,
}

/// A subscription to all active jobs.
pub struct AllJobsSubscription {
    jobs: Jobs,
    changed: watch::Receiver<u64>,
    /// Jobs that were over at this position are not sent.
    joined: u64,
    /// The position up to which everything was sent.
    sent: u64,
    /// The position up to which this round goes.
    round: u64,
    event: u64,
    pace: Pace,
}

impl Subscription {
    /// Subscribes to a job, which is looked up if it is not in memory.
    pub(crate) async fn open(
        jobs: &Jobs,
        clients: &Clients,
        prompt_id: &str,
        options: WatchOptions,
    ) -> Result<Self, StatusError> {
        find(jobs, clients, prompt_id).await?;
        let mut state = jobs.lock();
        let job = state.table.get(prompt_id).ok_or_else(|| StatusError::Unknown(prompt_id.to_owned()))?;
        let seen = Seen::joining(job.events.last().map(|event| event.id));
        Ok(Self {
            jobs: jobs.clone(),
            prompt_id: prompt_id.into(),
            receivers: state.feed.subscribe_to(prompt_id),
            options,
            seen,
            pace: Pace::default(),
            over: false,
        })
    }

    /// Waits for the next updates, the present status first. They are empty only with [`WatchOptions::every_change`]. Returns `None` after the end. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Vec<Update>> {
        let mut changed = false;
        while !self.over {
            let wait = self.pace.wait(self.jobs.now());
            tokio::select! {
                () = tokio::time::sleep(wait), if !wait.is_zero() => {}
                // The end does not wait.
                _ = self.receivers.end.wait_for(Option::is_some) => {}
                () = std::future::ready(()), if wait.is_zero() => {}
            }
            self.receivers.changed.borrow_and_update();
            let updates = self.look();
            if !updates.is_empty() || (changed && self.options.every_change) {
                self.pace.sent(self.jobs.now());
                return Some(updates);
            }
            changed = true;
            if self.receivers.changed.changed().await.is_err() {
                // The job was forgotten. If it ended before that, its end is still to be sent.
                let updates = self.look();
                self.over = true;
                return (!updates.is_empty()).then_some(updates);
            }
        }
        None
    }

    /// Waits until the job is over or forgotten. Dropping the future loses nothing.
    pub async fn until_over(&mut self) {
        // An end before the subscription is not sent to it. One after this look is.
        if self.jobs.lock().table.get(&self.prompt_id).is_none_or(|job| job.is_over()) {
            return;
        }
        // The sender is gone when the job is forgotten.
        let _ = self.receivers.end.wait_for(Option::is_some).await;
    }

    /// Looks at the job's present state.
    fn look(&mut self) -> Vec<Update> {
        let now = self.jobs.now();
        let jobs = self.jobs.clone();
        let mut state = jobs.lock();
        match state.table.get_with_end(&self.prompt_id, unix_millis()) {
            Some(job) => self.look_at(job, now),
            None => {
                let end = self.receivers.end.borrow().clone();
                end.map(|end| self.take_end(&end)).unwrap_or_default()
            }
        }
    }

    fn look_at(&mut self, job: &mut Job, now: Duration) -> Vec<Update> {
        if job.is_over() {
            return self.take_end(&End::new(job, now));
        }
        let snapshot = Arc::clone(job.snapshot(now));
        let unseen = self.unseen(&snapshot, &job.events, job.progress.preview_revision(), false);
        let updates = unseen.into_iter().filter_map(|unseen| match unseen {
            Unseen::Preview => job.preview().map(Update::Preview),
            unseen => update(unseen, &snapshot, &job.events),
        });
        updates.collect()
    }

    fn take_end(&mut self, end: &End) -> Vec<Update> {
        self.over = true;
        let unseen = self.unseen(&end.snapshot, &end.events, 0, true);
        unseen.into_iter().filter_map(|unseen| update(unseen, &end.snapshot, &end.events)).collect()
    }

    fn unseen(
        &mut self,
        snapshot: &JobSnapshot,
        events: &[Serialized<Event>],
        preview: u64,
        over: bool,
    ) -> Vec<Unseen> {
        let outputs: Vec<_> = snapshot.outputs.values().map(|(since, _)| *since).collect();
        let events: Vec<_> = events.iter().map(|event| event.id).collect();
        let present =
            Present { revision: snapshot.revision, preview, outputs: &outputs, events: &events, over };
        self.seen.next(present, self.options)
    }
}

fn update(unseen: Unseen, snapshot: &JobSnapshot, events: &[Serialized<Event>]) -> Option<Update> {
    match unseen {
        Unseen::Status => Some(Update::Message(snapshot.status.clone())),
        Unseen::Output(at) => {
            snapshot.outputs.get_index(at).map(|(_, (_, output))| Update::Message(output.clone()))
        }
        Unseen::Event(at) => events.get(at).cloned().map(Update::Event),
        Unseen::Preview => None,
    }
}

impl AllJobsSubscription {
    /// Subscribes to all active jobs.
    pub(crate) fn open(jobs: &Jobs) -> Self {
        let state = jobs.lock();
        Self {
            jobs: jobs.clone(),
            changed: state.feed.subscribe(),
            joined: state.table.log().last_position(),
            sent: 0,
            round: 0,
            event: state.table.log().last_event(),
            pace: Pace::default(),
        }
    }

    /// Waits for the next updates: first the status of every active job, then what changes. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Vec<Update> {
        loop {
            if self.sent >= self.round {
                tokio::time::sleep(self.pace.wait(self.jobs.now())).await;
                self.round = *self.changed.borrow_and_update();
                self.pace.sent(self.jobs.now());
            }
            let updates = self.look();
            if !updates.is_empty() {
                return updates;
            }
            // The sender lives as long as `self.jobs`.
            if self.sent >= self.round && self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Returns the next statuses of this round, and after the last of them the events.
    fn look(&mut self) -> Vec<Update> {
        let now = self.jobs.now();
        let mut updates = Vec::new();
        let jobs = self.jobs.clone();
        let mut state = jobs.lock();
        while updates.len() < BATCH {
            let Some((position, prompt_id)) = state.table.log().next_change(self.sent, self.round) else {
                self.sent = self.sent.max(self.round);
                break;
            };
            self.sent = position;
            let Some(job) = state.table.get_mut(&prompt_id) else { continue };
            if position > self.joined || !job.is_over() {
                updates.push(Update::Message(job.snapshot(now).status.clone()));
            }
        }
        if self.sent >= self.round {
            updates.extend(self.events(&state.table, BATCH - updates.len()));
        }
        updates
    }

    fn events(&mut self, table: &Table, at_most: usize) -> Vec<Update> {
        let events: Vec<_> = table.log().events_after(self.event).take(at_most).cloned().collect();
        self.event = events.last().map_or(self.event, |event| event.id);
        events.into_iter().map(Update::Event).collect()
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_api::{EventKind, JobStatus, Status};
    use comfy_runner_client::SocketEvent;
    use comfy_runner_progress::Progress;
    use comfy_runner_protocol::{Graph, Message};

    use super::*;
    use crate::follow::apply_event;
    use crate::job::tests::job;
    use crate::jobs::tests::{COMFYUI, jobs};

    fn step(jobs: &Jobs, prompt_id: &str, step: u32) {
        let text = format!(
            r#"{{"type": "progress", "data": {{"node": "1", "value": {step}, "max": 10000, "prompt_id": "{prompt_id}"}}}}"#
        );
        apply_event(jobs, COMFYUI, SocketEvent::Message(Message::parse(&text).unwrap()));
    }

    fn cancelled(jobs: &Jobs, prompt_id: &str) {
        jobs.change(prompt_id, |job| job.progress.cancelled());
    }

    /// Names of events, and steps of jobs that are not over.
    fn summary(updates: &[Update]) -> Vec<String> {
        let text = |update: &Update| match update {
            Update::Message(message) => {
                let JobMessage::Progress(update) = &**message else { panic!("{message:?}") };
                let step = match &update.data {
                    JobStatus::Pending(_) => "0".to_owned(),
                    JobStatus::Running(running) => running.step.to_string(),
                    _ => "null".to_owned(),
                };
                format!("{} {step}", update.prompt_id)
            }
            Update::Event(event) => event.kind.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        updates.iter().map(text).collect()
    }

    #[actix_rt::test]
    async fn a_thousand_changes_are_one_state_to_each_who_watches_and_the_same_one() {
        let jobs = jobs(&["p"], 10);
        let mut watchers = Vec::new();
        for _ in 0..3 {
            watchers.push(jobs.watch(&Clients::new(&jobs), "p", WatchOptions::default()).await.unwrap());
        }
        let mut all = jobs.watch_all();
        for at in 1..=1000 {
            step(&jobs, "p", at);
        }
        let mut texts = Vec::new();
        for watcher in &mut watchers {
            let updates = watcher.next().await.unwrap();
            assert_eq!(summary(&updates), ["p 1000", "job.started"]);
            let Update::Message(message) = &updates[0] else { panic!("a status") };
            texts.push(message.json().as_ptr());
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "it was made once");
        assert_eq!(summary(&all.next().await), ["p 1000", "job.started"]);
        step(&jobs, "p", 1001);
        assert_eq!(summary(&watchers[0].next().await.unwrap()), ["p 1001"]);
        assert_eq!(summary(&all.next().await), ["p 1001"]);
    }

    #[actix_rt::test]
    async fn one_who_watches_all_jobs_gets_a_few_at_a_time_and_none_twice() {
        let ids: Vec<_> = (0..100).map(|number| format!("p{number}")).collect();
        let jobs = jobs(&ids.iter().map(String::as_str).collect::<Vec<_>>(), 1000);
        cancelled(&jobs, "p50");
        let mut all = jobs.watch_all();
        let mut states = Vec::new();
        while states.len() < 99 {
            let updates = summary(&all.next().await);
            assert!(updates.len() <= BATCH);
            states.extend(updates);
        }
        let expected: Vec<_> = ids.iter().filter(|id| *id != "p50").map(|id| format!("{id} 0")).collect();
        assert_eq!(states, expected, "what was over before is no business of theirs");
        cancelled(&jobs, "p7");
        assert_eq!(summary(&all.next().await), ["p7 null", "job.cancelled"]);
    }

    #[actix_rt::test]
    async fn the_end_of_a_job_reaches_its_watcher_also_when_the_job_is_forgotten_meanwhile() {
        let jobs = jobs(&["p", "q", "r"], 1);
        let mut watch = jobs.watch(&Clients::new(&jobs), "p", WatchOptions::default()).await.unwrap();
        for prompt_id in ["p", "q", "r"] {
            cancelled(&jobs, prompt_id);
            jobs.flush().await.unwrap();
        }
        assert!(jobs.lock().table.get("p").is_none());
        let updates = watch.next().await.unwrap();
        assert_eq!(summary(&updates), ["p null", "job.cancelled"]);
        assert!(watch.next().await.is_none());
    }

    #[actix_rt::test]
    async fn a_job_from_before_our_time_is_no_news_to_those_who_watch_all_and_has_an_end_of_its_own() {
        let jobs = jobs(&["p"], 10);
        let mut all = jobs.watch_all();
        assert_eq!(summary(&all.next().await), ["p 0"]);
        let mut old = Progress::new("old", &Graph::default(), None);
        old.failed("long ago");
        jobs.insert_ended(Job::from_comfyui(old, Duration::ZERO));
        let mut watch = jobs.watch(&Clients::new(&jobs), "old", WatchOptions::default()).await.unwrap();
        assert_eq!(summary(&watch.next().await.unwrap()), ["old null", "job.failed"]);
        let end = jobs.end(&Clients::new(&jobs), "old").await.unwrap().unwrap();
        assert_eq!(end.kind, EventKind::Failed);
        step(&jobs, "p", 1);
        assert_eq!(summary(&all.next().await), ["p 1", "job.started"]);
    }

    #[actix_rt::test]
    async fn a_client_id_leads_to_the_last_job_that_has_it() {
        let jobs = jobs(&["lost"], 10);
        jobs.insert(Job { client_id: "lost".into(), ..job("again") });
        assert_eq!(jobs.prompt_id_of("lost"), "again");
        let mut watch = jobs.watch(&Clients::new(&jobs), "again", WatchOptions::default()).await.unwrap();
        let Some(Update::Message(message)) = watch.next().await.unwrap().pop() else { panic!("a status") };
        assert!(message.json().contains(r#""client_id":"lost""#), "{message:?}");
        jobs.remove("again");
        let forgotten = "0a1b2c3d00004000800000000000000f";
        assert_eq!(jobs.prompt_id_of(forgotten), "0a1b2c3d-0000-4000-8000-00000000000f");
    }

    #[actix_rt::test]
    async fn a_job_without_subscribers_keeps_no_senders() {
        let jobs = jobs(&["p"], 10);
        let watch = jobs.watch(&Clients::new(&jobs), "p", WatchOptions::default()).await.unwrap();
        drop(watch);
        step(&jobs, "p", 1);
        let state = jobs.lock();
        assert_eq!(state.table.get("p").unwrap().progress.status(), Status::Running);
        assert!(!state.feed.has_subscribers("p"));
    }
}
