//! A job's news as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use comfy_runner_jobs::{News, Watch};
use futures::{Stream, StreamExt as _, stream};

use crate::server::stop::{Stopping, stopped};

/// After so long without news a comment is sent, so that nobody on the way takes the connection for dead, and so that
/// we notice when it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

const FIELD_END: Bytes = Bytes::from_static(b"\n\n");

/// The events until the end of the job, or until the server stops. Each is asked for only when the connection has room for it: a slow reader gets
/// the present a little later, never the past.
pub fn stream(watch: Watch, stopping: Stopping) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let pieces = stream::unfold(watch, async |mut watch| {
        let pieces = match tokio::time::timeout(HEARTBEAT, watch.next()).await {
            Ok(news) => news?.iter().flat_map(pieces).collect(),
            Err(_) => vec![Bytes::from_static(b": still here\n\n")],
        };
        Some((pieces, watch))
    });
    let pieces = pieces.take_until(Box::pin(stopped(stopping)));
    pieces.flat_map(|pieces| stream::iter(pieces.into_iter().map(Ok)))
}

/// Whether a browser says that this event was its last.
pub fn has_seen(headers: &HeaderMap, event: u64) -> bool {
    headers.get("Last-Event-ID").is_some_and(|id| id.as_bytes() == event.to_string().as_bytes())
}

/// The pieces of one event. The text in the middle is shared by all who watch; JSON has no line breaks in it.
fn pieces(news: &News) -> [Bytes; 3] {
    let (head, text) = match news {
        News::State(text) => (Bytes::from_static(b"event: progress\ndata: "), text),
        News::Output(text) => (Bytes::from_static(b"event: output\ndata: "), text),
        News::PreviewText(text) => (Bytes::from_static(b"event: preview\ndata: "), text),
        News::Event(event) => {
            let name = if event.kind.is_end() { "end" } else { event.kind.as_str() };
            (format!("id: {}\nevent: {name}\ndata: ", event.id).into(), &event.text)
        }
        // Nobody here asks for pictures as bytes.
        News::Preview(_) => return [Bytes::new(), Bytes::new(), Bytes::new()],
    };
    [head, text.as_bytes().clone(), FIELD_END]
}
