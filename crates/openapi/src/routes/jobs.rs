//! Records of jobs.

use comfy_runner_api::{
    DeleteJobQuery, DeletedJob, JobFiles, JobList, JobRecord, JobsQuery, Queue, Submitted,
};
use serde_json::json;

use super::{
    BAD_QUERY, JOBS, NO_COMFYUI, NO_RECORD, NO_STORE, NOT_CACHED, PARTNER_KEY, not_cached, partner_key,
};
use crate::operation::Paths;

pub(super) fn describe(paths: &mut Paths) {
    paths.get("/api/jobs", "list_jobs", "The jobs, newest first", |op| {
        op.tag(JOBS)
            .query::<JobsQuery>()
            .json::<JobList>(200, "A page of jobs.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example("empty", json!({"jobs": [], "next_cursor": null}))
            .error(400, BAD_QUERY)
            .error(503, NO_STORE)
    });
    paths.get("/api/jobs/{prompt_id}", "get_job", "The record of a job", |op| {
        op.tag(JOBS)
            .json::<JobRecord>(200, "Everything that is kept of the job.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "completed",
                json!({"prompt_id": "abc12345-6789-4def-8123-456789abcdef",
                       "client_id": "abc1234567894def8123456789abcdef", "workflow_id": "wan-i2v-14b",
                       "workflow_name": "WAN 2.1 I2V 14B", "output_folder": "20260324_143052_a1b2c3", "retry_of": null,
                       "automatic": false, "priority": 0, "comfyui": "comfyui", "queued_at": "2026-03-24T14:30:52.123Z", "status": "completed",
                       "started_at": "2026-03-24T14:30:53.001Z", "finished_at": "2026-03-24T14:31:40.250Z",
                       "error": null, "warnings": [],
                       "outputs": {"9": [{"filename": "final_00001.mp4",
                                          "subfolder": "20260324_143052_a1b2c3/final", "type": "output"}]},
                       "params": {"prompt": "a cat walking", "seed": -1}, "seeds": {"seed": 7293847561029384_u64},
                       "input_files": ["20260324_143052_a1b2c3_myimage.png"], "result_nodes": ["9"],
                       "graph": {"1": {"class_type": "LoadImage",
                                       "inputs": {"image": "20260324_143052_a1b2c3_myimage.png"}}}}),
            )
            .error(404, NO_RECORD)
            .error(503, NO_STORE)
    });
    paths.delete("/api/jobs/{prompt_id}", "delete_job", "Deletes the record of a job that is over", |op| {
        op.tag(JOBS)
            .explain("With `files`, the job's own folder below ComfyUI's output folder is deleted first.")
            .query::<DeleteJobQuery>()
            .json::<DeletedJob>(200, "With `files`: the record and the files are deleted.")
            .example(
                "deleted",
                json!({"prompt_id": "abc12345-6789-4def-8123-456789abcdef", "deleted_files": 3, "kept": []}),
            )
            .empty(204, "The record is deleted; the files stay.")
            .error(400, BAD_QUERY)
            .error(404, NO_RECORD)
            .error(409, "The job is not over.")
            .error(500, "The files cannot be deleted; the record stays.")
            .error(501, "Files are to be deleted, and the server has no access to them; the record stays.")
            .error(503, NO_STORE)
    });
    paths.post("/api/jobs/{prompt_id}/retry", "retry_job", "Runs a job again", |op| {
        op.tag(JOBS)
            .explain("Submits the job with the same params and seeds, and a new output folder.")
            .header("X-Comfy-Api-Key", PARTNER_KEY, partner_key())
            .json::<Submitted>(200, "ComfyUI accepted the new job.")
            .example(
                "submitted",
                json!({"prompt_id": "def12345-6789-4def-8123-456789abcdef",
                       "client_id": "def1234567894def8123456789abcdef", "seeds": {"seed": 7},
                       "retry_of": "abc12345-6789-4def-8123-456789abcdef"}),
            )
            .error(400, "ComfyUI refuses the graph, with `node_errors`; or a header is wrong.")
            .error(404, NO_RECORD)
            .error(409, "The job is not over.")
            .error(500, NO_COMFYUI)
            .error(503, "The job cannot be recorded, or the server has too many connections.")
    });
    paths.get("/api/jobs/{prompt_id}/files", "list_job_files", "The files that a job made, with links", |op| {
        op.tag(JOBS)
            .json::<JobFiles>(200, "The files and texts, in the graph's order.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "one",
                json!({"files": [{"node_id": "9", "node_title": "Save", "node_type": "SaveImage",
                       "filename": "final_00001_.png", "subfolder": "20260324_143052_a1b2c3/final", "type": "output",
                       "media": "image", "media_type": "image/png",
                       "url": "/api/comfyui/view?filename=final_00001_.png"}], "texts": []}),
            )
            .error(404, NO_RECORD)
            .error(503, NO_STORE)
    });
    paths.get("/api/jobs/{prompt_id}/package", "get_job_package", "Record, inputs and outputs in one ZIP", |op| {
        op.tag(JOBS)
            .explain(
                "The ZIP is written while it is sent. It has `job.json` (the record), the files, and `missing.json` with \
                 the paths of files that ComfyUI no longer has.",
            )
            .bytes(200, "The ZIP.", &["application/zip"])
            .response_header("Content-Disposition", "The name of the file.", json!({"type": "string"}))
            .error(404, NO_RECORD)
            .error(500, "The package cannot be written.")
            .error(502, "ComfyUI gives no usable answer.")
            .error(503, NO_STORE)
            .error(504, "ComfyUI does not answer in time.")
    });
    paths.get("/api/queue", "get_queue", "The jobs that wait or run, with their positions", |op| {
        op.tag(JOBS)
            .json::<Queue>(200, "The queue.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example("empty", json!({"running": 0, "pending": 0, "jobs": []}))
            .error(503, NO_STORE)
    });
}
