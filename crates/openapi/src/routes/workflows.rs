//! Workflows and what they need.

use comfy_runner_api::{
    BrokenWorkflows, EditedManifest, InspectQuery, Inspection, Manifest, ManifestEdit, ManifestQuery,
    ModelList, ModelLists, NewWorkflow, Submitted, UnsavedRun, WorkflowCheck, WorkflowList, WorkflowsQuery,
};
use serde_json::json;

use super::{BAD_QUERY, NO_COMFYUI, WORKFLOWS, file};
use crate::operation::Paths;

pub(super) fn describe(paths: &mut Paths) {
    paths.get("/api/workflows", "list_workflows", "The workflows, and whether each can run now", |op| {
        op.tag(WORKFLOWS)
            .explain(
                "Workflows whose files are broken are not in the list; `GET /api/broken-workflows` has them. `ready` is null \
                 when ComfyUI's node schemas cannot be fetched.",
            )
            .query::<WorkflowsQuery>()
            .json::<WorkflowList>(200, "The workflows, by id.")
            .example(
                "one",
                json!([{"id": "text-to-image", "name": "Text to image", "type": "static", "category": "image",
                        "description": null, "ready": true,
                        "missing": {"node_types": [], "models": [], "packages": []}}]),
            )
            .error(400, BAD_QUERY)
    });
    paths.get(
        "/api/broken-workflows",
        "list_broken_workflows",
        "The workflows whose files are broken",
        |op| {
            op.tag(WORKFLOWS)
                .json::<BrokenWorkflows>(200, "The workflows that `GET /api/workflows` leaves out, by id.")
                .example(
                    "one",
                    json!([{"id": "text-to-image",
                            "findings": [{"severity": "error", "file": "manifest.yaml", "line": 4,
                                          "message": "it is not valid YAML"}]}]),
                )
                .error(
                    503,
                    "The folder of workflows does not answer, or the server has too many connections.",
                )
        },
    );
    paths.get("/api/workflows/{workflow_id}/check", "check_workflow", "What a workflow lacks to run", |op| {
        op.tag(WORKFLOWS)
            .explain("A workflow whose files are broken is not ready, and `findings` say why.")
            .json::<WorkflowCheck>(200, "Whether it can run, and what was found.")
            .example(
                "missing_nodes",
                json!({"id": "wan-i2v-14b", "ready": false,
                       "reason": "this ComfyUI lacks the node type \"WanVideoSampler\"",
                       "missing": {"node_types": ["WanVideoSampler"], "models": [], "packages": []},
                       "findings": [{"severity": "error", "file": "workflow.json", "line": 12,
                                     "message": "this ComfyUI has no node type \"WanVideoSampler\""}]}),
            )
            .error(404, "There is no such workflow.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.post("/api/workflows/inspect", "inspect_file", "The workflow that a saved file would become", |op| {
        op.tag(WORKFLOWS)
            .explain(
                "Takes a file that ComfyUI saved: a graph as JSON in either format, or an image, video or audio file with \
                 an embedded graph. The response is what `comfy-runner init` would write. Nothing is stored.",
            )
            .query::<InspectQuery>()
            .body(true, "The file.", one_file())
            .json::<Inspection>(200, "A manifest and a graph.")
            .error(400, "The file has no graph, or no workflow can be made of it.")
            .error(413, "The file is larger than an upload may be.")
            .error(415, "The body is no form.")
            .error(500, "ComfyUI's node schemas cannot be fetched.")
            .error(503, "The file cannot be read now, or the server has too many connections.")
    });
    paths.put("/api/workflows/{workflow_id}", "add_workflow", "Adds a workflow to the library", |mut op| {
        let new_workflow = json!({"application/json": {"schema": op.schemas().read::<NewWorkflow>()}});
        op.tag(WORKFLOWS)
            .explain(
                "Only when the server runs with `--allow-edit`. The folder is written completely or not at all, and no \
                 workflow is replaced.",
            )
            .body(true, "The text of `manifest.yaml`, and the graph in API format.", new_workflow)
            .json::<WorkflowCheck>(201, "The workflow is in the library; this is what it lacks to run.")
            .error(400, "The id, the manifest or the graph is wrong, or they do not fit together.")
            .error(403, "The server runs without `--allow-edit`.")
            .error(409, "There is a workflow with this id.")
            .error(413, "The body is too large.")
            .error(500, "The folder cannot be written.")
            .error(503, "The server cannot write now, or has too many connections.")
    });
    let text = json!({"application/yaml": {"schema": {"type": "string"}}});
    let etag = json!({"type": "string"});
    paths.get("/api/workflows/{workflow_id}/manifest", "get_manifest_text", "The text of a manifest", |op| {
        op.tag(WORKFLOWS)
            .explain("Only when the server runs with `--allow-edit`. The text of a broken workflow too.")
            .content(200, "The text of `manifest.yaml`.", text.clone())
            .response_header("ETag", "Names this text, for `If-Match`.", etag.clone())
            .error(403, "The server runs without `--allow-edit`.")
            .error(404, "There is no such workflow.")
            .error(500, "The file cannot be read.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.put("/api/workflows/{workflow_id}/manifest", "replace_manifest", "Replaces a manifest", |op| {
        op.tag(WORKFLOWS)
            .explain(
                "Only when the server runs with `--allow-edit`. The text is checked with the workflow's graph or blocks, \
                 and replaces the file completely or not at all.",
            )
            .header("If-Match", "The `ETag` of the text that was changed, or `*`. Required.", etag.clone())
            .body(true, "The text of `manifest.yaml`.", text.clone())
            .json::<WorkflowCheck>(200, "The manifest is replaced; this is what the workflow lacks to run.")
            .response_header("ETag", "Names the new text.", etag.clone())
            .error(400, "The text is no manifest, or does not fit the graph or blocks.")
            .error(403, "The server runs without `--allow-edit`.")
            .error(404, "There is no such workflow.")
            .error(412, "The manifest has been changed since it was read.")
            .error(413, "The text is too large.")
            .error(428, "`If-Match` is missing.")
            .error(500, "The file cannot be read or written.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.get("/api/workflows/{workflow_id}/graph", "get_graph", "The graph of a workflow", |op| {
        op.tag(WORKFLOWS)
            .explain("In API format, as the manifest's inputs name its nodes, with the graph's own values.")
            .json::<comfy_runner_protocol::Graph>(200, "The graph.")
            .error(404, "There is no such workflow, or it is assembled from blocks.")
            .error(500, "The workflow's files are broken, or ComfyUI's node schemas cannot be fetched.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.post("/api/manifest/edit", "edit_manifest", "Writes values into the text of a manifest", |mut op| {
        let edit = json!({"application/json": {"schema": op.schemas().read::<ManifestEdit>()}});
        op.tag(WORKFLOWS)
            .explain(
                "What is equal stays as it is written, with comments, order and quotes. Numbers that are equal as 64-bit \
                 floats are equal. Nothing is stored.",
            )
            .body(true, "The text, and the values that it is to have.", edit)
            .json::<EditedManifest>(200, "The text with these values.")
            .error(400, "The text cannot be read, or not be changed without changing other values.")
            .error(413, "The body is too large.")
    });
    paths.post(
        "/api/manifest/execute",
        "execute_unsaved",
        "Runs a workflow that is not in the library",
        |mut op| {
            let run = json!({"application/json": {"schema": op.schemas().read::<UnsavedRun>()}});
            op.tag(WORKFLOWS)
                .explain("Nothing is stored but the job, which has the id and name of the manifest.")
                .body(true, "The manifest, the graph and the params.", run)
                .json::<Submitted>(200, "The job.")
                .error(400, "The workflow or the params are wrong, or ComfyUI refuses the graph.")
                .error(413, "The body is too large.")
                .error(429, "Too many jobs wait.")
                .error(500, "ComfyUI cannot be reached.")
                .error(503, "The job cannot be recorded now, or the server has too many connections.")
        },
    );
    paths.get("/api/run/{workflow_id}", "get_manifest", "The manifest of a workflow", |op| {
        op.tag(WORKFLOWS)
            .explain("Has every key of the file, in the file's order. Keys that are not described are the author's.")
            .query::<ManifestQuery>()
            .json::<Manifest>(200, "The manifest.")
            .example(
                "resolved",
                json!({"id": "text-to-image", "name": "Text to image", "type": "static", "inputs": [
                    {"id": "checkpoint", "type": "checkpoint_picker", "node_id": 4, "field": "ckpt_name",
                     "options": ["sd_xl_base_1.0.safetensors"]}]}),
            )
            .error(400, BAD_QUERY)
            .error(404, "There is no such workflow.")
            .error(500, "The workflow's files are broken, or ComfyUI's node schemas cannot be fetched.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.get("/api/run/{workflow_id}/schema", "get_params_schema", "The JSON Schema of a workflow's params", |op| {
        op.tag(WORKFLOWS)
            .explain(
                "A JSON Schema (2020-12). What it accepts, the server accepts; the server also converts other spellings of \
                 the same values, such as `\"30\"` for 30. Keys that begin with `x-` are for forms.",
            )
            .content(200, "The schema.", json!({"application/schema+json": {"schema": {"type": "object"}}}))
            .error(404, "There is no such workflow.")
            .error(500, "The workflow's files are broken.")
            .error(503, "The workflow's files do not answer, or the server has too many connections.")
    });
    paths.get("/api/models", "list_models", "The model files that the ComfyUIs have, by kind", |op| {
        op.tag(WORKFLOWS)
            .explain("Of several ComfyUIs, those that answer count. `only_on` is there if they have different files.")
            .json::<ModelLists>(200, "File names by kind.")
            .example(
                "two_kinds",
                json!({"models": {"checkpoints": ["sd_xl_base_1.0.safetensors"], "loras": []}}),
            )
            .example(
                "two_comfyuis",
                json!({"models": {"checkpoints": ["sd_xl_base_1.0.safetensors"], "loras": []},
                       "only_on": {"checkpoints": {"sd_xl_base_1.0.safetensors": ["gpu1"]}}}),
            )
            .error(500, NO_COMFYUI)
    });
    paths.get("/api/models/{kind}", "list_models_of_kind", "The model files of one kind", |op| {
        op.tag(WORKFLOWS)
            .json::<ModelList>(200, "File names.")
            .example("checkpoints", json!({"kind": "checkpoints", "models": ["sd_xl_base_1.0.safetensors"]}))
            .error(404, "No ComfyUI has such a kind of models.")
            .error(500, NO_COMFYUI)
    });
}

/// A form with one file.
pub(super) fn one_file() -> serde_json::Value {
    json!({"multipart/form-data": {
        "schema": {"type": "object", "properties": {"file": file()}, "required": ["file"]}}})
}
