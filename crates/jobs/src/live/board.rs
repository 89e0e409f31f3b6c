//! Who changed last, and word of it for those who watch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use comfy_runner_progress::Progress;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::client_id::{client_id_of, prompt_id_of};
use super::event::{Event, EventKind, JobNames, untold};
use super::frames::{Frames, preview_text};
use crate::table::Job;

/// As many events are kept for those who watch all jobs. Whoever is slower than that sees a gap in the ids, and still
/// gets the present state of every job.
const EVENTS_KEPT: usize = 1024;

/// What watching needs of one job.
#[derive(Default)]
pub(crate) struct Live {
    client_id: Box<str>,
    workflow_id: Option<Box<str>>,
    /// The last moment that was told.
    told: Option<EventKind>,
    /// What was told.
    events: Vec<Arc<Event>>,
    /// Its place in the order of changes; 0 while it has none.
    place: u64,
    frames: Option<Arc<Frames>>,
    preview: Option<(u64, ByteString)>,
    /// Present while somebody watches.
    bells: Option<Box<Bells>>,
}

/// What wakes the watchers of one job.
struct Bells {
    changed: watch::Sender<()>,
    end: watch::Sender<Option<Arc<End>>>,
}

/// Where a watcher of one job hears of news. It hears of the end even when the job is forgotten meanwhile.
pub(crate) struct Ears {
    /// Something changed.
    pub changed: watch::Receiver<()>,
    /// It is over.
    pub end: watch::Receiver<Option<Arc<End>>>,
}

/// All that is to be said of a job that is over.
#[derive(Debug)]
pub(crate) struct End {
    pub frames: Arc<Frames>,
    pub events: Vec<Arc<Event>>,
}

/// The order of changes, and the latest events of all jobs.
pub(crate) struct Board {
    /// The prompt id of each job by the place of its last change: a job stands here once, however often it changed.
    changes: BTreeMap<u64, Arc<str>>,
    last_place: u64,
    events: VecDeque<Arc<Event>>,
    next_event: u64,
    changed: watch::Sender<u64>,
    /// The prompt id of the last job with each client id: one that repeats a lost job has the same.
    clients: HashMap<Box<str>, Box<str>>,
}

impl Live {
    /// For a job of this workflow.
    pub fn new(client_id: &str, workflow_id: &str) -> Self {
        Self { client_id: client_id.into(), workflow_id: Some(workflow_id.into()), ..Self::default() }
    }

    /// For a job of which others have told before us: what it has come to is no news.
    pub fn of_old(progress: &Progress) -> Self {
        let client_id = client_id_of(progress.prompt_id()).into();
        Self { client_id, told: Some(EventKind::of(progress.status())), ..Self::default() }
    }

    /// The workflow that the job is of; empty where that is not known.
    pub fn workflow_id(&self) -> &str {
        self.workflow_id.as_deref().unwrap_or_default()
    }

    /// The job's events so far.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// The state as it is sent, made anew only when it has changed.
    pub fn frames(&mut self, progress: &Progress, now: Duration) -> &Arc<Frames> {
        let old = self.frames.take();
        let frames = match old {
            Some(frames) if frames.revision == progress.revision() => frames,
            old => Arc::new(Frames::of(progress, &self.client_id, now, old.as_deref())),
        };
        self.frames.insert(frames)
    }

    /// The latest preview as text, made anew only when it has changed.
    pub fn preview_text(&mut self, progress: &Progress) -> Option<ByteString> {
        let revision = progress.picture_revision();
        if self.preview.as_ref().is_none_or(|(of, _)| *of != revision) {
            self.preview =
                Some((revision, preview_text(progress.prompt_id(), &self.client_id, progress.picture()?)));
        }
        self.preview.as_ref().map(|(_, text)| text.clone())
    }

    /// Ears for one more watcher.
    pub fn listen(&mut self) -> Ears {
        let bells = self.bells.get_or_insert_with(|| {
            Box::new(Bells { changed: watch::Sender::new(()), end: watch::Sender::new(None) })
        });
        Ears { changed: bells.changed.subscribe(), end: bells.end.subscribe() }
    }

    /// Whether there are bells to ring.
    #[cfg(test)]
    pub fn is_watched(&self) -> bool {
        self.bells.is_some()
    }

    /// Wakes those who watch.
    fn ring(&mut self, progress: &Progress) {
        let Some(bells) = &self.bells else { return };
        if bells.end.is_closed() {
            self.bells = None;
        } else if progress.status().is_over() {
            let frames = Arc::clone(self.frames(progress, Duration::ZERO));
            let end = End { frames, events: self.events.clone() };
            if let Some(bells) = &self.bells {
                bells.end.send_replace(Some(Arc::new(end)));
                bells.changed.send_replace(());
            }
        } else {
            bells.changed.send_replace(());
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        // Until ids are reserved in the store, so that they rise from one process to the next as the clock does.
        let milliseconds = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Self {
            changes: BTreeMap::new(),
            last_place: 0,
            events: VecDeque::new(),
            next_event: u64::try_from(milliseconds).unwrap_or_default(),
            changed: watch::Sender::new(0),
            clients: HashMap::new(),
        }
    }
}

impl Board {
    /// Notes that a job changed and tells what is to be told. A job that ComfyUI has not taken yet is passed over.
    pub fn note(&mut self, job: &mut Job) {
        let status = job.progress.status();
        let kinds: Vec<_> = untold(job.live.told, job.is_accepted(), status).collect();
        if kinds.is_empty() && job.live.told.is_none() {
            return;
        }
        for kind in kinds {
            let event = self.event(kind, job);
            if self.events.len() == EVENTS_KEPT {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        self.last_place += 1;
        self.changes.remove(&job.live.place);
        self.changes.insert(self.last_place, job.progress.prompt_id().into());
        job.live.place = self.last_place;
        if status.is_over() {
            job.live.preview = None;
        }
        job.live.ring(&job.progress);
        self.changed.send_replace(self.last_place);
    }

    /// Makes sure that a job which is over has an event that says so: one from before our time has none yet.
    pub fn tell_end(&mut self, job: &mut Job) {
        let told = job.live.events.last().is_some_and(|event| event.kind.is_end());
        if job.progress.status().is_over() && !told {
            self.event(EventKind::of(job.progress.status()), job);
        }
    }

    /// The job comes into the table.
    pub fn welcome(&mut self, job: &Job) {
        self.clients.insert(job.live.client_id.clone(), job.progress.prompt_id().into());
    }

    /// The job is no longer in the table.
    pub fn forget(&mut self, job: &Job) {
        self.changes.remove(&job.live.place);
        let last = self.clients.get(&job.live.client_id);
        if last.is_some_and(|prompt_id| **prompt_id == *job.progress.prompt_id()) {
            self.clients.remove(&job.live.client_id);
        }
    }

    /// The prompt id of the job that has this client id.
    pub fn prompt_id_of(&self, client_id: &str) -> String {
        self.clients.get(client_id).map_or_else(|| prompt_id_of(client_id), |prompt_id| prompt_id.to_string())
    }

    /// Hears of every change: the place of the last one.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The place of the last change.
    pub fn last_place(&self) -> u64 {
        self.last_place
    }

    /// The next job that changed after one place and up to another, and its place.
    pub fn next_change(&self, after: u64, up_to: u64) -> Option<(u64, Arc<str>)> {
        let next = after.saturating_add(1);
        // Nothing lies between two places of which the second is the earlier one.
        let (place, prompt_id) = self.changes.range(next..=up_to.max(next)).next()?;
        (*place <= up_to).then(|| (*place, Arc::clone(prompt_id)))
    }

    /// Numbers the events to come from this id on, unless they are further already.
    pub fn number_events_from(&mut self, first: u64) {
        self.next_event = self.next_event.max(first);
    }

    /// The id of the last event.
    pub fn last_event(&self) -> u64 {
        self.next_event - 1
    }

    /// The events after this one that are still kept.
    pub fn events_after(&self, id: u64) -> impl Iterator<Item = &Arc<Event>> {
        let first = self.events.partition_point(|event| event.id <= id);
        self.events.range(first..)
    }

    fn event(&mut self, kind: EventKind, job: &mut Job) -> Arc<Event> {
        let id = self.next_event;
        self.next_event += 1;
        let of = JobNames { client_id: &job.live.client_id, workflow_id: job.live.workflow_id.as_deref() };
        let event = Arc::new(Event::new(id, kind, when(kind, job), of, &job.progress));
        job.live.told = Some(kind);
        job.live.events.push(Arc::clone(&event));
        event
    }
}

/// When it happened, where the job knows; else now.
fn when(kind: EventKind, job: &Job) -> OffsetDateTime {
    let known = match kind {
        EventKind::Queued => None,
        EventKind::Started => job.started_at,
        EventKind::Completed | EventKind::Failed | EventKind::Cancelled => job.finished_at,
    };
    let at = |milliseconds: i64| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
    };
    known.and_then(at).unwrap_or_else(OffsetDateTime::now_utc)
}
