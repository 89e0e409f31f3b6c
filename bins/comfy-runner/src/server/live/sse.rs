//! A job's updates as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use comfy_runner_jobs::{Subscription, Update};
use futures::{Stream, StreamExt as _, stream};

/// How long the stream may be silent before a comment is sent, so that proxies do not close the connection and the server
/// notices when it is closed.
const HEARTBEAT: Duration = Duration::from_secs(15);

const FIELD_END: Bytes = Bytes::from_static(b"\n\n");

/// Returns the events until the end of the job, or until the stream must end. An event is created only when the connection
/// has room for it, so a slow reader gets the latest state.
pub fn stream(
    subscription: Subscription,
    end: impl Future<Output = ()>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let pieces = stream::unfold(subscription, async |mut subscription| {
        let pieces = match tokio::time::timeout(HEARTBEAT, subscription.next()).await {
            Ok(updates) => updates?.iter().flat_map(pieces).collect(),
            Err(_) => vec![Bytes::from_static(b": still here\n\n")],
        };
        Some((pieces, subscription))
    });
    let pieces = pieces.take_until(Box::pin(end));
    pieces.flat_map(|pieces| stream::iter(pieces.into_iter().map(Ok)))
}

/// Returns whether a browser reports this event as the last that it received.
pub fn has_seen(headers: &HeaderMap, event: u64) -> bool {
    headers.get("Last-Event-ID").is_some_and(|id| id.as_bytes() == event.to_string().as_bytes())
}

/// Returns the pieces of one server-sent event. The JSON in the middle is shared by all subscribers and has no line breaks.
fn pieces(update: &Update) -> [Bytes; 3] {
    let (head, json) = match update {
        Update::Message(message) => {
            (format!("event: {}\ndata: ", message.event_name()).into(), message.json())
        }
        Update::Preview(preview) => (Bytes::from_static(b"event: preview\ndata: "), preview.json()),
        Update::Event(event) => {
            let name = event.kind.event_name();
            (format!("id: {}\nevent: {name}\ndata: ", event.id).into(), event.json())
        }
        // An update of a kind that this version does not have.
        _ => return [Bytes::new(), Bytes::new(), Bytes::new()],
    };
    [head, json.as_bytes().clone(), FIELD_END]
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use comfy_runner_api::Status;

    use comfy_runner_jobs::{Clients, Jobs, JobsConfig, WatchOptions};
    use comfy_runner_store::{Outcome, Record, Sqlite, Store as _, Summary};
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;
    use crate::server::stop::stopped;

    fn waiting() -> Record {
        let mut summary = Summary::new("waits", "c", "w", 0);
        summary.outcome = Outcome::new(Status::Pending, true);
        Record::new(summary, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_news_gives_a_sign_of_life_and_ends_when_the_server_does() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        store.create(waiting()).await.unwrap();
        let jobs = Jobs::new(JobsConfig::default(), store);
        jobs.load().await.unwrap();
        let watch = jobs.watch(&Clients::new(&jobs), "waits", WatchOptions::default()).await.unwrap();
        let (server, shutdown) = watch::channel(false);
        let mut stream = pin!(stream(watch, stopped(shutdown)));
        let mut read = async || Some(String::from_utf8(stream.next().await?.unwrap().to_vec()).unwrap());

        let mut state = String::new();
        while !state.ends_with("\n\n") {
            state += &read().await.unwrap();
        }
        assert!(state.starts_with("event: progress\ndata: {") && state.contains("\"pending\""), "{state}");
        let quiet = Instant::now();
        for _ in 0..3 {
            assert_eq!(read().await.unwrap(), ": still here\n\n");
        }
        assert_eq!(quiet.elapsed().as_secs(), 3 * HEARTBEAT.as_secs());
        server.send_replace(true);
        assert_eq!(read().await, None);
    }
}
