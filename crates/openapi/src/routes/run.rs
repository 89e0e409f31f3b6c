//! Running workflows.

use comfy_runner_api::{
    BuildQuery, Cancellation, ExecuteQuery, FinishedJob, FinishedJobs, JobStatus, Submitted, SubmittedJobs,
};
use comfy_runner_protocol::Graph;
use serde_json::{Value, json};

use super::{NO_COMFYUI, NO_JOB, NO_STORE, NOT_CACHED, PARTNER_KEY, RUN, file, not_cached, partner_key};
use crate::operation::{Operation, Paths, binary};
use crate::schemas::Schemas;

/// The media types of files that a browser may show, and of all others.
pub(super) const FILES: [&str; 4] = ["image/*", "video/*", "audio/*", "application/octet-stream"];

const EXECUTE: &str = "With `wait`, or the header `Prefer: wait=SECONDS`, the answer comes when the job is over, with its \
                       status and files; with `result` it is the result file itself. The job goes on when the time is over \
                       first, and also when the caller goes away.\n\n\
                       With `_count` in the params, one request submits several jobs. A seed that is given counts up from \
                       job to job; one that is left open is random in each.";

pub(super) fn describe(paths: &mut Paths) {
    paths.post("/api/run/{workflow_id}/build", "build", "The graph for some params, without a run", |mut op| {
        let graph = op.schemas().written::<Graph>();
        let ui_graph = op.schemas().named("UiGraph", ui_graph());
        let body = params_body(op.schemas());
        op.tag(RUN)
            .explain("Files are uploaded to ComfyUI, which is needed for nothing else unless `format` is `workflow`.")
            .query::<BuildQuery>()
            .body(false, PARAMS, body)
            .json_of(200, "The graph, in the format of the request.", json!({"anyOf": [ui_graph, graph]}))
            .error(400, "The params or a file are wrong.")
            .error(404, "There is no such workflow.")
            .error(413, "The params or a file are too large.")
            .error(415, "The body is in no encoding that is taken here.")
            .error(500, "ComfyUI cannot be reached, or the workflow's files are broken.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.post("/api/run/{workflow_id}/execute", "execute", "Runs a workflow", |mut op| {
        let body = params_body(op.schemas());
        execute(op.tag(RUN).explain(EXECUTE).body(false, PARAMS, body))
    });
    paths.get("/api/run/status/{prompt_id}", "get_status", "The status of a job", |op| {
        op.tag(RUN)
            .json::<JobStatus>(200, "The status.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "running",
                json!({"status": "running", "node_title": "KSampler", "node_type": "KSampler", "step": 15,
                       "total_steps": 30, "percent": 45, "nodes_done": 3, "total_nodes": 8, "effective_total": 6,
                       "cached_count": 2, "eta_seconds": 25, "step_rate": 1.85, "node_outputs": {}}),
            )
            .example(
                "completed",
                json!({"status": "completed", "percent": 100, "outputs": {"image": {"filename": "final_00001_.png",
                       "subfolder": "20260324_143052_a1b2c3/final", "type": "output"}}}),
            )
            .example("error", json!({"status": "error", "error": "node \"KSampler\": out of memory", "percent": 100}))
            .error(404, NO_JOB)
            .error(500, "Only ComfyUI may know the job, and it cannot be reached.")
            .error(503, NO_STORE)
    });
    paths.post("/api/run/cancel/{prompt_id}", "cancel_job", "Stops a job", |op| {
        op.tag(RUN)
            .explain("A pending job is removed from ComfyUI's queue, a running one is interrupted.")
            .json::<Cancellation>(200, "The job is cancelled.")
            .example(
                "cancelled",
                json!({"prompt_id": "abc12345-6789-4def-8123-456789abcdef", "status": "cancelled"}),
            )
            .json::<Cancellation>(
                202,
                "ComfyUI has interrupted the job, and the current node has not stopped yet.",
            )
            .error(404, NO_JOB)
            .error(409, "The job is over.")
            .error(500, NO_COMFYUI)
            .error(503, NO_STORE)
    });
}

const PARAMS: &str =
    "The params: a JSON object from input ids to values. An input that is left out takes its default.";

/// Describes what `execute` takes and answers, without its body.
pub(crate) fn execute(mut op: Operation<'_>) -> Operation<'_> {
    let schemas = op.schemas();
    // The most specific first: readers take the first that fits.
    let whole = json!({"anyOf": [
        schemas.written::<FinishedJobs>(), schemas.written::<SubmittedJobs>(), schemas.written::<FinishedJob>(),
        schemas.written::<Submitted>()]});
    let unfinished = json!({"anyOf": [schemas.written::<FinishedJobs>(), schemas.written::<FinishedJob>()]});
    let mut answers = json!({"application/json": {"schema": whole}});
    for media_type in FILES {
        answers[media_type] = json!({"schema": binary()});
    }
    op.query::<ExecuteQuery>()
        .header(
            "Idempotency-Key",
            "The same key with the same request gives the same job, however often it is sent.",
            json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
        )
        .header("Prefer", "`wait=SECONDS` does the same as the parameter `wait`.", json!({"type": "string"}))
        .header("X-Comfy-Api-Key", PARTNER_KEY, partner_key())
        .header(
            "X-Priority",
            "A higher priority goes first; 0 when absent.",
            json!({"type": "integer", "minimum": -10, "maximum": 10}),
        )
        .content(200, "The job is accepted. With `wait`: the job is over.", answers)
        .response_header("Preference-Applied", "Present if `Prefer` was applied.", json!({"type": "string"}))
        .response_header("Content-Location", "The path of the result file, with `result`.", json!({"type": "string"}))
        .example(
            "submitted",
            json!({"prompt_id": "abc12345-6789-4def-8123-456789abcdef",
                   "client_id": "abc1234567894def8123456789abcdef", "seeds": {"seed": 7293847561029384_u64}}),
        )
        .example(
            "finished",
            json!({"prompt_id": "abc12345-6789-4def-8123-456789abcdef",
                   "client_id": "abc1234567894def8123456789abcdef", "seeds": {}, "status": "completed", "percent": 100,
                   "outputs": {"image": {"filename": "final_00001_.png", "subfolder": "20260324_143052_a1b2c3/final",
                                         "type": "output"}},
                   "files": [{"node_id": "9", "node_title": "Save", "node_type": "SaveImage",
                              "filename": "final_00001_.png", "subfolder": "20260324_143052_a1b2c3/final",
                              "type": "output", "media": "image", "media_type": "image/png",
                              "url": "/api/comfyui/view?filename=final_00001_.png"}]}),
        )
        .json_of(202, "With `wait`: a job is not over yet.", unfinished)
        .response_header("Location", "The path of the job's status.", json!({"type": "string"}))
        .response_header("Preference-Applied", "Present if `Prefer` was applied.", json!({"type": "string"}))
        .error(400, "The params or a file are wrong; or ComfyUI refuses the graph, with `node_errors`.")
        .error(404, "There is no such workflow. With `result`: the job made no file.")
        .error(
            409,
            "The idempotency key belongs to another request, or to one in progress. With `result`: the job was cancelled.",
        )
        .error(413, "The params or a file are too large.")
        .error(415, "The body is in no encoding that is taken here.")
        .error(
            500,
            "ComfyUI cannot be reached, or the graph cannot be assembled. With `result`: the job failed.",
        )
        .error(502, "With `result`: ComfyUI gives no usable answer.")
        .error(503, "The job cannot be recorded, or the server has too many connections.")
        .error(504, "With `result`: ComfyUI does not answer in time.")
}

/// A body with params, in each encoding.
fn params_body(schemas: &mut Schemas) -> Value {
    let params = schemas.named(
        "ParamsBody",
        json!({
            "description": "The params themselves, or an object whose only key is `params`.",
            "type": "object",
            "dependentSchemas": {"params": {"maxProperties": 1, "properties": {"params": {"type": "object"}}}},
        }),
    );
    let text = json!({"type": "string", "description": "The params as JSON.", "contentMediaType": "application/json"});
    json!({
        "application/json": {
            "schema": params,
            "examples": {
                "plain": {"value": {"prompt": "a red fox", "seed": 7}},
                "wrapped": {"value": {"params": {"prompt": "a red fox", "seed": -1}}},
            },
        },
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "properties": {"params": text}, "additionalProperties": false},
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"params": text, "input_image": file()},
                "additionalProperties": file(),
                "description": "`params`, and files: each part has the id of the input that takes it. `input_image` is a \
                                file for the first image input.",
            },
        },
    })
}

/// A graph in the format of ComfyUI's editor, as far as it is fixed.
fn ui_graph() -> Value {
    json!({
        "description": "A graph in ComfyUI's UI format, which its editor opens.",
        "type": "object",
        "properties": {
            "nodes": {"type": "array", "items": {"type": "object"}},
            "links": {"type": "array", "items": {}},
            "version": {"type": "number"},
        },
        "required": ["nodes", "links", "version"],
        "additionalProperties": true,
    })
}
