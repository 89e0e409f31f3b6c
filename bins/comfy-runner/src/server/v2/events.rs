//! The events of a job as a stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::Status;
use comfy_runner_api_v2::{EventState, Frame, Links, Preview};
use comfy_runner_jobs::{Subscription, Update, WatchOptions};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::error::V2Error;
use super::jobs::job;
use crate::server::State;
use crate::server::error::ApiError;
use crate::server::stop::end_of_stream;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How long the stream may be silent before a comment is sent. The official clients give a silent stream up after 45 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b": keepalive\n\n");
/// The least time between two looks at the place of a waiting job.
const PLACE_PAUSE: Duration = Duration::from_millis(500);
/// The pause before ComfyUI is asked again for the files of a job that is over.
const RETRY: Duration = Duration::from_secs(1);

/// `GET /api/v2/jobs/{id}/events`. `Last-Event-ID` is ignored: each stream begins with the present state.
pub async fn events(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    state.jobs.details(&id).await?;
    let options = WatchOptions::new().with_previews().with_every_change();
    let subscription = state.jobs.watch(&state.clients, &id, options).await.map_err(ApiError::from)?;
    let end = end_of_stream(state.shutdown.clone(), &request);
    let reader = Reader {
        changes: state.jobs.changes(),
        links: state.public_url.links(&request),
        id: id.into_inner(),
        subscription,
        seen: EventState::default(),
        waits: false,
        next_look: Some(Instant::now()),
        ready: VecDeque::new(),
        state,
    };
    let frames = stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) });
    let frames = frames.take_until(Box::pin(end));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(infallible(frames)))
}

fn infallible(frames: impl Stream<Item = Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    frames.map(Ok)
}

/// One caller who follows a job. Nothing is made before the connection has room for it, so a slow reader gets the latest
/// state.
struct Reader {
    state: web::Data<State>,
    links: Links,
    id: String,
    subscription: Subscription,
    /// Changes of any job, which may change the place of this one.
    changes: watch::Receiver<u64>,
    seen: EventState,
    /// Whether the job waits for its turn.
    waits: bool,
    /// When to look at the job without being woken.
    next_look: Option<Instant>,
    /// What is still to be sent.
    ready: VecDeque<Bytes>,
}

impl Reader {
    /// Returns the next bytes to send, or `None` after the end.
    async fn next(&mut self) -> Option<Bytes> {
        let heartbeat = Instant::now() + HEARTBEAT;
        while self.ready.is_empty() {
            if self.seen.is_over() {
                return None;
            }
            let far = Instant::now() + HEARTBEAT;
            let next_look = self.next_look;
            let previews = tokio::select! {
                biased;
                () = sleep_until(next_look.unwrap_or(far)), if next_look.is_some() => Vec::new(),
                () = sleep_until(heartbeat) => return Some(COMMENT),
                updates = self.subscription.next() => match updates {
                    Some(updates) => previews(updates),
                    // The job is over, or its record was deleted: the look finds out.
                    None => {
                        self.next_look = Some(Instant::now());
                        continue;
                    }
                },
                changed = self.changes.changed(), if self.waits && next_look.is_none() => {
                    if changed.is_ok() {
                        self.next_look = Some(Instant::now() + PLACE_PAUSE);
                    }
                    continue;
                }
            };
            self.next_look = None;
            self.look(previews).await?;
        }
        self.ready.pop_front()
    }

    /// Looks at the job and takes what is new. Returns `None` if its record was deleted.
    async fn look(&mut self, previews: Vec<Frame>) -> Option<()> {
        let details = self.state.jobs.details(&self.id).await.ok()?;
        self.waits = details.status == Status::Pending;
        let job = match job(&self.state, &details, &self.links).await {
            Ok(job) => job,
            Err(error) => {
                tracing::debug!(%error, "the end of a job is reported later");
                self.next_look = Some(Instant::now() + RETRY);
                return Some(());
            }
        };
        let mut frames = self.seen.next(&job);
        // A preview belongs to a job that runs.
        if !job.status.is_terminal() {
            frames.extend(previews);
        }
        let texts = frames.iter().filter_map(|frame| {
            frame.to_text().inspect_err(|error| tracing::error!(%error, "an event cannot be written")).ok()
        });
        self.ready.extend(texts.map(Bytes::from));
        Some(())
    }
}

/// Returns the previews among the updates of a job.
fn previews(updates: Vec<Update>) -> Vec<Frame> {
    let preview = |update| match update {
        Update::Preview(preview) => Some(Frame::Preview(Preview {
            node_id: preview.image().node_id.clone().unwrap_or_default(),
            content_type: preview.image().format.media_type().to_owned(),
            data_base64: preview.base64().to_owned(),
        })),
        _ => None,
    };
    updates.into_iter().filter_map(preview).collect()
}
