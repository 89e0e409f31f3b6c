//! The server itself.

use comfy_runner_api::{
    ComfyUis, DrainedComfyUi, Health, IssuedToken, Readiness, Session, SignIn, TokenRequest,
};
use serde_json::json;

use super::{NO_JOB, NO_STORE, NOT_CACHED, SERVER, not_cached};
use crate::operation::{Operation, Paths};

pub(super) fn describe(paths: &mut Paths) {
    paths.post("/api/token", "issue_token", "A short-lived permission to read, for web pages", |mut op| {
        let request = op.schemas().read::<TokenRequest>();
        let examples = json!({
            "one_job": {"value": {"prompt_id": "abc12345-6789-4def-8123-456789abcdef", "expires_in": 600}},
            "every_job": {"value": {}},
        });
        op.tag(SERVER)
            .explain(
                "A browser lets a page set no header on an event stream, a WebSocket, an image or a video. A token takes \
                 the place of the API key there: it is sent as the query parameter `token` of a `GET`.",
            )
            .body(
                false,
                "What the token permits, and for how long.",
                json!({"application/json": {"schema": request, "examples": examples}}),
            )
            .json::<IssuedToken>(200, "The token.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "issued",
                json!({"token": "cr1.1774363252.job-abc12345-6789-4def-8123-456789abcdef.5f0c",
                       "expires_at": "2026-03-24T14:40:52Z"}),
            )
            .error(400, "The body is wrong.")
            .error(404, NO_JOB)
            .error(413, "The body is too large.")
            .error(415, "The body has no content type that is taken here.")
            .error(500, "Only ComfyUI may know the job, and it cannot be reached.")
            .error(503, NO_STORE)
    });
    paths.get("/api/session", "get_session", "Whether the caller is signed in", |op| {
        op.tag(SERVER).open().json::<Session>(200, "The session.").response_header(
            "Cache-Control",
            NOT_CACHED,
            not_cached(),
        )
    });
    paths.post("/api/session", "sign_in", "Exchanges a key for a cookie, for the server's own page", |mut op| {
        let request = json!({"application/json": {"schema": op.schemas().read::<SignIn>()}});
        op.tag(SERVER)
            .open()
            .explain("Programs send the key itself. The cookie cannot be read by scripts, and ends after a week.")
            .body(true, "The key.", request)
            .json::<Session>(200, "The session, whose cookie is in `Set-Cookie`.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .error(400, "The body is wrong.")
            .error(401, "The key is not known.")
            .error(403, "The request comes from a page of another site.")
            .error(413, "The body is too large.")
    });
    paths.delete("/api/session", "sign_out", "Deletes the cookie", |op| {
        op.tag(SERVER).open().empty(204, "The caller is signed out.")
    });
    paths.get("/api/comfyui", "list_comfyuis", "The ComfyUIs, and how they are", |op| {
        op.tag(SERVER)
            .json::<ComfyUis>(200, "The ComfyUIs, in the order of the settings.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "one",
                json!({"comfyuis": [{"name": "gpu1", "status": "up", "draining": false, "tags": ["video"], "depth": 2,
                       "jobs": ["abc12345-6789-4def-8123-456789abcdef"],
                       "running": "abc12345-6789-4def-8123-456789abcdef", "queue": 1,
                       "warm_models": ["sdxl.safetensors"], "version": "0.33.0",
                       "devices": [{"name": "cuda:0", "type": "cuda", "vram_total": 25769803776_u64}],
                       "last_error": null}], "waiting": 0}),
            )
    });
    for (action, id, title) in [
        ("drain", "drain_comfyui", "Gives a ComfyUI no more jobs; those that it has stay"),
        ("resume", "resume_comfyui", "Gives a ComfyUI jobs again"),
    ] {
        paths.post(&format!("/api/comfyui/{{name}}/{action}"), id, title, |op| {
            op.tag(SERVER)
                .json::<DrainedComfyUi>(200, "The ComfyUI's state now.")
                .example("state", json!({"name": "gpu1", "draining": action == "drain", "jobs": 1}))
                .error(404, "There is no ComfyUI with this name.")
                .error(503, "It cannot be recorded, and nothing is changed.")
        });
    }
    paths.get("/health", "health", "The process is alive", |op| {
        op.tag(SERVER)
            .json::<Health>(200, "It is alive.")
            .example("alive", json!({"status": "ok", "program": "comfy-runner", "version": "0.1.0"}))
    });
    paths.get("/ready", "ready", "Jobs are followed, and ComfyUI answers", |op| {
        op.tag(SERVER)
            .json::<Readiness>(200, "The server is ready.")
            .example("ready", json!({"status": "ready"}))
            .error(503, "The server is not ready: `detail` says why, without naming ComfyUI's host.")
    });
    paths.get("/openapi.json", "get_openapi", "This document", |op| {
        let op = op
            .tag(SERVER)
            .explain("It changes with the library: each workflow has an operation of its own.")
            .with_key()
            .json_of(
                200,
                "An OpenAPI 3.1 document.",
                json!({"type": "object", "required": ["openapi", "info", "paths"]}),
            );
        with_tag(op).error(503, "The workflows cannot be read, or the server has too many connections.")
    });
    paths.get("/docs", "get_docs", "A page that shows this document", |op| {
        page(op.tag(SERVER).bytes(200, "The page.", &["text/html"]))
    });
    paths.get("/docs/{file}", "get_docs_file", "The files of that page", |op| {
        page(op.tag(SERVER).bytes(200, "The file.", &["text/css", "text/javascript", "text/plain"]))
            .error(404, "The page has no such file.")
    });
}

fn page(op: Operation<'_>) -> Operation<'_> {
    let text = json!({"type": "string"});
    with_tag(op.response_header("Content-Security-Policy", "Allows this server only.", text))
}

/// Describes that a client which has the content is not sent it again.
fn with_tag(op: Operation<'_>) -> Operation<'_> {
    let text = || json!({"type": "string"});
    let always = json!({"type": "string", "const": "no-cache"});
    op.response_header("ETag", "The tag of the content.", text())
        .response_header("Cache-Control", "Always `no-cache`.", always)
        .header("If-None-Match", "The `ETag` of a content that the client has.", text())
        .empty(304, "The client has the content.")
        .response_header("ETag", "The tag of the content.", text())
}
