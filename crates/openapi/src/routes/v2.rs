//! The Comfy API v2, below `/api/v2`.

use comfy_runner_api_v2::{
    Asset, FromHash, Health, Job, JobList, JobLogs, JobStatus, JobWorkflow, Output, Preview, Progress,
    StatusEvent,
};
use serde_json::{Value, json};

use super::{COMFY_V2, NOT_CACHED, file, not_cached};
use crate::operation::{Operation, Paths};

const NO_JOB: &str = "There is no such job.";
const NO_ASSET: &str = "There is no such asset, or its bytes are gone.";
const NO_FILE_STORE: &str = "The server has no file store.";
const FAILED: &str = "ComfyUI gave no usable answer.";
const UNREACHABLE: &str = "ComfyUI or a store cannot be reached, or the server has too many connections.";

pub(super) fn describe(paths: &mut Paths) {
    paths.get("/api/v2/health", "v2_health", "Whether the server and a ComfyUI answer", |op| {
        let op = op.tag(COMFY_V2).open().json::<Health>(200, "The server answers.");
        op.response_header("Cache-Control", NOT_CACHED, not_cached())
            .error(403, "The request comes from a page of another site.")
    });
    paths.post("/api/v2/jobs", "v2_submit_job", "Submits a graph or a workflow of the library", |op| {
        let op = op
            .tag(COMFY_V2)
            .explain("Any graph in API format is accepted, not only those of the library.")
            .header(
                "Idempotency-Key",
                "Works once: a later request with it is refused.",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
            )
            .body(true, "What to run.", json!({"application/json": {"schema": new_job(), "examples": {
                "library": {"value": {"workflow": {"__type": "runner/WORKFLOW", "id": "text-to-image",
                                                   "params": {"prompt": "a red fox"}}, "metadata": {"team": "a"}}},
            }}}));
        job(op, 201, "The job was accepted.")
            .error(400, "The body or a header cannot be read.")
            .error(413, "The body is too large.")
            .error(422, "The body, the workflow, the labels or the idempotency key are refused: see `code`.")
    });
    paths.get("/api/v2/jobs", "v2_list_jobs", "The jobs, newest first", |mut op| {
        let statuses = op.schemas().read::<JobStatus>();
        op.tag(COMFY_V2)
            .parameter(
                "limit",
                "The number of jobs on a page; 50 when absent.",
                json!({"type": "integer", "minimum": 1, "maximum": 100}),
            )
            .parameter("cursor", "The `next_cursor` of the page before.", json!({"type": "string"}))
            .parameter(
                "status",
                "Only jobs with one of these statuses, with commas between.",
                json!({"type": "array", "items": statuses}),
            )
            .explain(
                "`metadata[KEY]=VALUE` in the query string lists only jobs with this label; at most three.",
            )
            .json::<JobList>(200, "A page of jobs.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .error(400, "A parameter of the query string is wrong.")
    });
    paths.get("/api/v2/jobs/{id}", "v2_get_job", "A job with its progress and outputs", |op| {
        job(op.tag(COMFY_V2), 200, "The job.").error(404, NO_JOB)
    });
    paths.post("/api/v2/jobs/{id}/cancel", "v2_cancel_job", "Asks a job to stop", |op| {
        job(
            op.tag(COMFY_V2).explain("It is 200 whatever the job's status is, and may be repeated."),
            200,
            "The job.",
        )
        .error(404, NO_JOB)
    });
    paths.get("/api/v2/jobs/{id}/workflow", "v2_get_job_workflow", "The graph that ran", |op| {
        let op = op.tag(COMFY_V2).json::<JobWorkflow<'_>>(200, "The graph.");
        op.response_header("Cache-Control", NOT_CACHED, not_cached()).error(404, NO_JOB)
    });
    paths.get("/api/v2/jobs/{id}/logs", "v2_get_job_logs", "Warnings and the error of a job as text", |op| {
        let op = op.tag(COMFY_V2).json::<JobLogs>(200, "The text.");
        let op = op.response_header("Cache-Control", NOT_CACHED, not_cached());
        op.empty(204, "There is nothing to read.").error(404, NO_JOB)
    });
    paths.get("/api/v2/jobs/{id}/events", "v2_follow_job", "The events of a job, as server-sent events", |mut op| {
        let schemas = op.schemas();
        let data = json!({"status": schemas.written::<StatusEvent>(), "progress": schemas.written::<Progress>(),
                          "output": schemas.written::<Output>(), "preview": schemas.written::<Preview>()});
        op.tag(COMFY_V2)
            .explain("A stream begins with the present state and ends after a terminal status.")
            .extension("event-data", data)
            .content(200, "The stream.", json!({"text/event-stream": {}}))
            .error(403, "The request comes from a page of another site.")
            .error(404, NO_JOB)
            .error(500, FAILED)
    });
    paths.post("/api/v2/assets", "v2_upload_asset", "Uploads a file", |op| {
        let form = json!({"multipart/form-data": {"schema": upload_form()}});
        let op = op.tag(COMFY_V2).body(true, "The file, after the fields that describe it.", form);
        asset(op)
            .error(400, "The body is no form that can be read.")
            .error(409, "The bytes have another hash than `expected_hash`.")
            .error(413, "The file is too large.")
    });
    paths.post(
        "/api/v2/assets/from-hash",
        "v2_asset_from_hash",
        "A new asset of bytes that the server has",
        |mut op| {
            let request = op.schemas().read::<FromHash>();
            let op =
                op.tag(COMFY_V2).body(true, "The hash.", json!({"application/json": {"schema": request}}));
            asset(op)
                .error(400, "The body cannot be read.")
                .error(404, "No bytes with this hash are known.")
                .error(413, "The body is too large.")
        },
    );
    paths.head("/api/v2/assets/by-hash/{hash}", "v2_has_hash", "Whether the server has these bytes", |op| {
        op.tag(COMFY_V2)
            .empty(200, "It has them.")
            .error(404, "It does not.")
            .error(501, NO_FILE_STORE)
            .error(503, UNREACHABLE)
    });
    paths.delete("/api/v2/assets/{id}", "v2_delete_asset", "Deletes an upload", |op| {
        op.tag(COMFY_V2)
            .empty(204, "It is deleted.")
            .error(404, NO_ASSET)
            .error(409, "It is an output of a job, and goes with the job.")
            .error(500, FAILED)
            .error(501, NO_FILE_STORE)
            .error(503, UNREACHABLE)
    });
    paths.get(
        "/api/v2/assets/{id}",
        "v2_get_asset",
        "An asset: an output of a job, or an uploaded file",
        |op| {
            let op = op.tag(COMFY_V2).json::<Asset>(200, "The asset.");
            upstream(op.response_header("Cache-Control", NOT_CACHED, not_cached())).error(404, NO_ASSET)
        },
    );
    paths.get("/api/v2/assets/{id}/content", "v2_get_asset_content", "The bytes of an asset", |op| {
        // An upload has the type that its caller declared.
        let media_types = ["image/*", "video/*", "audio/*", "application/octet-stream", "text/plain", "*/*"];
        let op = super::files::file_of_comfyui(op.tag(COMFY_V2)).with_key();
        upstream(op.bytes(200, "The bytes.", &media_types)).error(404, NO_ASSET)
    });
}

/// Answers a new asset.
fn asset(op: Operation<'_>) -> Operation<'_> {
    op.json::<Asset>(200, "The asset; the server had its bytes.")
        .response_header("Cache-Control", NOT_CACHED, not_cached())
        .json::<Asset>(201, "The asset.")
        .response_header("Cache-Control", NOT_CACHED, not_cached())
        .error(422, "A field is missing or wrong.")
        .error(500, FAILED)
        .error(501, NO_FILE_STORE)
        .error(503, UNREACHABLE)
}

/// The form of an upload, which is read by hand.
fn upload_form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "file_path": {"description": "A file name, or a path below `input/`.", "type": "string", "minLength": 1,
                          "maxLength": 255},
            "content_type": {"description": "The media type; that of the name when absent.", "type": "string",
                             "pattern": "^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$"},
            "tags": {"description": "Ignored.", "type": "array", "items": {"type": "string"}},
            "expected_hash": {"type": "string", "pattern": "^blake3:[0-9a-f]{64}$"},
            "expires_in": {"description": "After how many seconds it is deleted.", "type": "integer", "minimum": 60,
                           "maximum": 604_800},
            "file": file(),
        },
        "required": ["file_path", "file"],
    })
}

/// Answers a job, which ComfyUI is asked for the outputs of.
fn job<'s>(op: Operation<'s>, status: u16, description: &str) -> Operation<'s> {
    let op = op.json::<Job>(status, description).response_header("Cache-Control", NOT_CACHED, not_cached());
    upstream(op)
}

fn upstream(op: Operation<'_>) -> Operation<'_> {
    op.error(500, FAILED)
        .error(501, NO_FILE_STORE)
        .error(502, FAILED)
        .error(503, UNREACHABLE)
        .error(504, "ComfyUI does not answer in time.")
}

/// The body of a new job, which is read by hand.
fn new_job() -> Value {
    json!({
        "type": "object",
        "properties": {
            "workflow": {
                "description": "A graph in API format, or a workflow of the library: `{\"__type\": \"runner/WORKFLOW\", \
                                \"id\": ..., \"params\": {...}}`.",
                "type": "object",
            },
            "metadata": {
                "description": "At most 16 labels, or a string of at most 1,024 bytes.",
                "anyOf": [
                    {"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 256}},
                    {"type": "string", "maxLength": 1024},
                    {"type": "null"},
                ],
            },
            "priority": {"type": ["integer", "null"], "minimum": -1_000_000, "maximum": 1_000_000},
            "extra_data": {
                "type": ["object", "null"],
                "properties": {"api_key_comfy_org": {"description": "The key for partner nodes.", "type": ["string", "null"],
                                                       "pattern": "^[!-~]{1,1024}$"}},
                "additionalProperties": false,
            },
        },
        "required": ["workflow"],
    })
}
