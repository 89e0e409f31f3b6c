//! Watchers: each waits for word of a change, keeps its pace, and looks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use comfy_runner_client::Client;
use comfy_runner_progress::Progress;
use tokio::sync::watch;

use super::board::{Ears, End};
use super::event::Event;
use super::frames::Frames;
use super::plan::{Pace, Present, Previews, Sent, Step, Wants};
use crate::status::{StatusError, of_history};
use crate::table::{Job, Jobs, Table};

/// As much is handed out at once to one who watches all jobs. The queue of a WebSocket in actix-ws has room for 32.
const BATCH: usize = 24;

/// Something for a watcher. Cloning what is in it copies no text.
#[derive(Debug, Clone)]
pub enum News {
    /// A job's state: `{"type": "progress", "prompt_id", "client_id", "data"}`, where `data` is what `/status` says.
    State(ByteString),
    /// The files of a node: `{"type": "output", ...}`.
    Output(ByteString),
    /// The latest preview: the bytes of a JPEG or PNG file, as they came.
    Preview(Bytes),
    /// The latest preview: `{"type": "preview", ...}` with the picture in base64.
    PreviewText(ByteString),
    /// Something happened: `{"id", "type", "timestamp", "severity", "message", "data"}`.
    Event(Arc<Event>),
}

/// One who watches a job.
pub struct Watch {
    jobs: Jobs,
    prompt_id: Box<str>,
    ears: Ears,
    wants: Wants,
    sent: Sent,
    pace: Pace,
    over: bool,
}

/// One who watches all jobs that are active.
pub struct WatchAll {
    jobs: Jobs,
    changed: watch::Receiver<u64>,
    /// Jobs that were over at this place are none of this watcher's business.
    joined: u64,
    /// The place up to which everything was handed out.
    seen: u64,
    /// The place up to which this round goes.
    round: u64,
    event: u64,
    pace: Pace,
}

impl Jobs {
    /// Watches a job. One from before our time is looked up at ComfyUI.
    pub async fn watch(&self, client: &Client, prompt_id: &str, wants: Wants) -> Result<Watch, StatusError> {
        self.find(client, prompt_id).await?;
        let mut table = self.table();
        let unknown = || StatusError::Unknown(prompt_id.to_owned());
        let (job, _) = table.job_and_board(prompt_id).ok_or_else(unknown)?;
        let last_event = job.live.events().last().map(|event| event.id);
        Ok(Watch {
            jobs: self.clone(),
            prompt_id: prompt_id.into(),
            ears: job.live.listen(),
            wants,
            sent: Sent::joining(last_event),
            pace: Pace::default(),
            over: false,
        })
    }

    /// The prompt id of the job that has this client id. That there is such a job, it does not say.
    pub fn prompt_id_of(&self, client_id: &str) -> String {
        self.table().board().prompt_id_of(client_id)
    }

    /// Watches all jobs that are active.
    pub fn watch_all(&self) -> WatchAll {
        let table = self.table();
        let board = table.board();
        WatchAll {
            jobs: self.clone(),
            changed: board.listen(),
            joined: board.last_place(),
            seen: 0,
            round: 0,
            event: board.last_event(),
            pace: Pace::default(),
        }
    }

    /// The end of a job that is over, if it is.
    pub async fn end(&self, client: &Client, prompt_id: &str) -> Result<Option<Arc<Event>>, StatusError> {
        self.find(client, prompt_id).await?;
        let mut table = self.table();
        let Some((job, board)) = table.job_and_board(prompt_id) else { return Ok(None) };
        board.tell_end(job);
        Ok(job.live.events().last().filter(|event| event.kind.is_end()).cloned())
    }

    /// Sees to it that the job is in the table. One that ComfyUI still works on is followed from now on.
    pub(crate) async fn find(&self, client: &Client, prompt_id: &str) -> Result<(), StatusError> {
        if self.table().get(prompt_id).is_some() {
            return Ok(());
        }
        let progress = self.recall(client, prompt_id).await?;
        if !progress.status().is_over() {
            self.adopt(progress);
        }
        Ok(())
    }

    /// Follows a job that ComfyUI works on for somebody else, or for us before we were started: its messages go
    /// elsewhere, so the queue and the history are asked.
    fn adopt(&self, progress: Progress) {
        let mut table = self.table();
        if table.get(progress.prompt_id()).is_none() {
            table.insert(Job { gap: true, ..of_history(progress, self.now()) });
        }
    }
}

impl Watch {
    /// What is new, when something is; `None` after the end was handed out. Giving up the wait loses nothing.
    pub async fn next(&mut self) -> Option<Vec<News>> {
        while !self.over {
            let wait = self.pace.wait(self.jobs.now());
            tokio::select! {
                () = tokio::time::sleep(wait), if !wait.is_zero() => {}
                // The end does not wait.
                _ = self.ears.end.wait_for(Option::is_some) => {}
                () = std::future::ready(()), if wait.is_zero() => {}
            }
            self.ears.changed.borrow_and_update();
            let news = self.look();
            if !news.is_empty() {
                self.pace.sent(self.jobs.now());
                return Some(news);
            }
            if self.ears.changed.changed().await.is_err() {
                // The job was forgotten. If it ended before, there is the end to tell.
                let news = self.look();
                self.over = true;
                return (!news.is_empty()).then_some(news);
            }
        }
        None
    }

    /// Waits until the job is over or forgotten.
    pub(crate) async fn until_over(&mut self) {
        // The one who rings is gone when the job is forgotten.
        let _ = self.ears.end.wait_for(Option::is_some).await;
    }

    /// Looks at the job as it is now.
    fn look(&mut self) -> Vec<News> {
        let now = self.jobs.now();
        let jobs = self.jobs.clone();
        let mut table = jobs.table();
        match table.job_and_board(&self.prompt_id) {
            Some((job, board)) => {
                board.tell_end(job);
                self.look_at(job, now)
            }
            None => {
                let end = self.ears.end.borrow().clone();
                end.map(|end| self.take_end(&end)).unwrap_or_default()
            }
        }
    }

    fn look_at(&mut self, job: &mut Job, now: Duration) -> Vec<News> {
        let frames = Arc::clone(job.live.frames(&job.progress, now));
        if job.progress.status().is_over() {
            return self.take_end(&End { frames, events: job.live.events().to_vec() });
        }
        let picture = job.progress.picture_revision();
        let steps = self.steps(&frames, job.live.events(), picture, false);
        let previews = self.wants.previews;
        let Job { progress, live, .. } = job;
        let news = steps.into_iter().filter_map(|step| match step {
            Step::Picture if previews == Previews::Text => live.preview_text(progress).map(News::PreviewText),
            Step::Picture => progress.picture().map(|picture| News::Preview(picture.image.clone())),
            step => of_step(step, &frames, live.events()),
        });
        news.collect()
    }

    fn take_end(&mut self, end: &End) -> Vec<News> {
        self.over = true;
        let steps = self.steps(&end.frames, &end.events, 0, true);
        steps.into_iter().filter_map(|step| of_step(step, &end.frames, &end.events)).collect()
    }

    fn steps(&mut self, frames: &Frames, events: &[Arc<Event>], picture: u64, over: bool) -> Vec<Step> {
        let outputs: Vec<_> = frames.outputs.values().map(|(since, _)| *since).collect();
        let events: Vec<_> = events.iter().map(|event| event.id).collect();
        let present =
            Present { revision: frames.revision, picture, outputs: &outputs, events: &events, over };
        self.sent.next(present, self.wants)
    }
}

fn of_step(step: Step, frames: &Frames, events: &[Arc<Event>]) -> Option<News> {
    match step {
        Step::State => Some(News::State(frames.state.clone())),
        Step::Output(at) => frames.outputs.get_index(at).map(|(_, (_, text))| News::Output(text.clone())),
        Step::Event(at) => events.get(at).cloned().map(News::Event),
        Step::Picture => None,
    }
}

impl WatchAll {
    /// What is new, when something is: first the state of every active job, then what changes. Giving up the wait
    /// loses nothing.
    pub async fn next(&mut self) -> Vec<News> {
        loop {
            if self.seen >= self.round {
                tokio::time::sleep(self.pace.wait(self.jobs.now())).await;
                self.round = *self.changed.borrow_and_update();
                self.pace.sent(self.jobs.now());
            }
            let news = self.look();
            if !news.is_empty() {
                return news;
            }
            // The table, and the bell in it, lives as long as `self.jobs`.
            if self.seen >= self.round && self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The next states of this round, and after the last of them the events.
    fn look(&mut self) -> Vec<News> {
        let now = self.jobs.now();
        let mut news = Vec::new();
        let jobs = self.jobs.clone();
        let mut table = jobs.table();
        while news.len() < BATCH {
            let Some((place, prompt_id)) = table.board().next_change(self.seen, self.round) else {
                self.seen = self.seen.max(self.round);
                break;
            };
            self.seen = place;
            let Some((job, _)) = table.job_and_board(&prompt_id) else { continue };
            if place > self.joined || !job.progress.status().is_over() {
                news.push(News::State(job.live.frames(&job.progress, now).state.clone()));
            }
        }
        if self.seen >= self.round {
            news.extend(self.events(&table, BATCH - news.len()));
        }
        news
    }

    fn events(&mut self, table: &Table, most: usize) -> Vec<News> {
        let events: Vec<_> = table.board().events_after(self.event).take(most).cloned().collect();
        self.event = events.last().map_or(self.event, |event| event.id);
        events.into_iter().map(News::Event).collect()
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_client::{Config, Event as Heard};
    use comfy_runner_progress::Status;
    use comfy_runner_protocol::{Graph, Message};
    use serde_json::Value;

    use super::*;
    use crate::live::{EventKind, Live};
    use crate::table::tests::{job, jobs};

    /// Nobody is there: what is in the table is answered for without it.
    fn nobody() -> Client {
        Client::new(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap()
    }

    fn step(jobs: &Jobs, prompt_id: &str, step: u32) {
        let text = format!(
            r#"{{"type": "progress", "data": {{"node": "1", "value": {step}, "max": 10000, "prompt_id": "{prompt_id}"}}}}"#
        );
        jobs.hear(Heard::Message(Message::parse(&text).unwrap()));
    }

    fn cancelled(jobs: &Jobs, prompt_id: &str) {
        jobs.change(prompt_id, |job| job.progress.cancelled());
    }

    /// Names of events, and steps of states.
    fn summary(news: &[News]) -> Vec<String> {
        let text = |news: &News| match news {
            News::State(text) => {
                let state: Value = serde_json::from_str(text).unwrap();
                format!("{} {}", state["prompt_id"].as_str().unwrap(), state["data"]["step"])
            }
            News::Event(event) => event.kind.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        news.iter().map(text).collect()
    }

    #[actix_rt::test]
    async fn a_thousand_changes_are_one_state_to_each_who_watches_and_the_same_one() {
        let jobs = jobs(&["p"], 10);
        let mut watchers = Vec::new();
        for _ in 0..3 {
            watchers.push(jobs.watch(&nobody(), "p", Wants::default()).await.unwrap());
        }
        let mut all = jobs.watch_all();
        for at in 1..=1000 {
            step(&jobs, "p", at);
        }
        let mut texts = Vec::new();
        for watcher in &mut watchers {
            let news = watcher.next().await.unwrap();
            assert_eq!(summary(&news), ["p 1000", "job.started"]);
            let News::State(text) = &news[0] else { panic!("a state") };
            texts.push(text.as_ptr());
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
            let news = summary(&all.next().await);
            assert!(news.len() <= BATCH);
            states.extend(news);
        }
        let expected: Vec<_> = ids.iter().filter(|id| *id != "p50").map(|id| format!("{id} 0")).collect();
        assert_eq!(states, expected, "what was over before is no business of theirs");
        cancelled(&jobs, "p7");
        assert_eq!(summary(&all.next().await), ["p7 null", "job.cancelled"]);
    }

    #[actix_rt::test]
    async fn the_end_of_a_job_reaches_its_watcher_also_when_the_job_is_forgotten_meanwhile() {
        let jobs = jobs(&["p", "q", "r"], 1);
        let mut watch = jobs.watch(&nobody(), "p", Wants::default()).await.unwrap();
        for prompt_id in ["p", "q", "r"] {
            cancelled(&jobs, prompt_id);
            jobs.flush().await.unwrap();
        }
        assert!(jobs.table().get("p").is_none());
        let news = watch.next().await.unwrap();
        assert_eq!(summary(&news), ["p null", "job.cancelled"]);
        assert!(watch.next().await.is_none());
    }

    #[actix_rt::test]
    async fn a_job_from_before_our_time_is_no_news_to_those_who_watch_all_and_has_an_end_of_its_own() {
        let jobs = jobs(&["p"], 10);
        let mut all = jobs.watch_all();
        assert_eq!(summary(&all.next().await), ["p 0"]);
        let mut old = Progress::new("old", &Graph::default(), None);
        old.failed("long ago");
        jobs.table().insert_ended(of_history(old, Duration::ZERO), 10);
        let mut watch = jobs.watch(&nobody(), "old", Wants::default()).await.unwrap();
        assert_eq!(summary(&watch.next().await.unwrap()), ["old null", "job.failed"]);
        let end = jobs.end(&nobody(), "old").await.unwrap().unwrap();
        assert_eq!(end.kind, EventKind::Failed);
        step(&jobs, "p", 1);
        assert_eq!(summary(&all.next().await), ["p 1", "job.started"]);
    }

    #[actix_rt::test]
    async fn a_client_id_leads_to_the_last_job_that_has_it() {
        let jobs = jobs(&["lost"], 10);
        let again = Job { live: Live::new("lost", "w"), ..job("again") };
        jobs.table().insert(again);
        assert_eq!(jobs.prompt_id_of("lost"), "again");
        let mut watch = jobs.watch(&nobody(), "again", Wants::default()).await.unwrap();
        let Some(News::State(text)) = watch.next().await.unwrap().pop() else { panic!("a state") };
        assert!(text.contains(r#""client_id":"lost""#), "{text}");
        jobs.table().remove("again");
        let forgotten = "0a1b2c3d00004000800000000000000f";
        assert_eq!(jobs.prompt_id_of(forgotten), "0a1b2c3d-0000-4000-8000-00000000000f");
    }

    #[actix_rt::test]
    async fn a_job_that_nobody_watches_any_more_rings_no_bell() {
        let jobs = jobs(&["p"], 10);
        let watch = jobs.watch(&nobody(), "p", Wants::default()).await.unwrap();
        drop(watch);
        step(&jobs, "p", 1);
        let mut table = jobs.table();
        let (job, _) = table.job_and_board("p").unwrap();
        assert_eq!(job.progress.status(), Status::Running);
        assert!(!job.live.is_watched());
    }
}
