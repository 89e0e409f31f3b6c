//! Following jobs.

use comfy_runner_api::{FlatStatus, FollowQuery, Update};
use serde_json::json;

use super::{LIVE, NO_JOB, NO_STORE, NOT_CACHED, not_cached};
use crate::operation::Paths;

const OTHER_SITE: &str = "The request comes from a page of another site, or its token does not permit it.";
const NOT_KNOWN: &str = "Only ComfyUI may know the job, and it cannot be reached.";

pub(super) fn describe(paths: &mut Paths) {
    paths.get("/api/run/ws", "open_websocket", "A WebSocket with the updates of all active jobs, or of one", |mut op| {
        let (update, flat) = (op.schemas().written::<Update>(), op.schemas().written::<FlatStatus>());
        op.tag(LIVE)
            .explain(
                "Each text frame is an `Update`, or with `format=flat` a `FlatStatus`. On the WebSocket of one job, binary \
                 frames are previews: the bytes of a JPEG or PNG file. After the event that ends that job, the server \
                 closes the WebSocket (1000). The server sends a ping every 20 seconds; messages from the client are \
                 ignored.",
            )
            .with_token()
            .query::<FollowQuery>()
            .extension("websocket", json!({"text": {"messages": update, "flat": flat}, "binary": ["image/jpeg", "image/png"]}))
            .empty(101, "The WebSocket is open.")
            .response_header("Upgrade", "Always `websocket`.", json!({"type": "string"}))
            .response_header("Sec-WebSocket-Accept", "The answer to the key.", json!({"type": "string"}))
            .error(400, "The request is no WebSocket handshake, or a parameter is wrong.")
            .error(403, OTHER_SITE)
            .error(404, NO_JOB)
            .error(500, NOT_KNOWN)
            .error(503, NO_STORE)
    });
    paths.get("/api/run/events/{prompt_id}", "follow_job", "The updates of a job, as server-sent events", |mut op| {
        let update = op.schemas().written::<Update>();
        op.tag(LIVE)
            .explain(
                "Events are named `progress`, `output`, `preview`, `job.queued`, `job.started`, and finally `end`, whose \
                 data is the event that ended the job; then the stream ends. The data of each event is an `Update`. After \
                 15 seconds without an event the server sends a comment.",
            )
            .with_token()
            .header(
                "Last-Event-ID",
                "The id of the last event that the client received, as browsers send it when they reconnect.",
                json!({"type": "string"}),
            )
            .extension("event-data", update)
            .content(200, "The stream.", json!({"text/event-stream": {}}))
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .empty(204, "The client has received the end, as its `Last-Event-ID` says.")
            .error(403, OTHER_SITE)
            .error(404, NO_JOB)
            .error(500, NOT_KNOWN)
            .error(503, NO_STORE)
    });
    paths.get(
        "/api/run/preview/{prompt_id}",
        "get_preview",
        "The latest preview image of a running job",
        |op| {
            op.tag(LIVE)
                .with_token()
                .bytes(200, "The image.", &["image/jpeg", "image/png"])
                .response_header("Cache-Control", NOT_CACHED, not_cached())
                .error(403, OTHER_SITE)
                .error(
                    404,
                    "There is no such job or no preview yet, or the job is over: previews are not kept.",
                )
                .error(500, NOT_KNOWN)
                .error(503, NO_STORE)
        },
    );
}
