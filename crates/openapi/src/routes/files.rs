//! Files that jobs made, and files for them.

use comfy_runner_api::{
    CollectFilesQuery, CollectedFiles, DeletedFile, ResultQuery, Uploaded, UploadedFiles, UploadedFilesQuery,
    ViewQuery,
};
use serde_json::json;

use super::run::FILES as MEDIA_TYPES;
use super::workflows::one_file;
use super::{BAD_QUERY, FILES, NO_STORE, NOT_CACHED, not_cached};
use crate::operation::{Operation, Paths};

pub(super) fn describe(paths: &mut Paths) {
    paths.get("/api/run/result/{prompt_id}", "get_result", "The file that a job made", |op| {
        let op = op
            .tag(FILES)
            .explain(
                "Files of a node in the manifest's `outputs` come first, then final files before intermediate ones, then \
                 the requested kind.",
            )
            .query::<ResultQuery>();
        file_of_comfyui(op)
            .error(400, BAD_QUERY)
            .error(404, "There is no such job, or no result (yet).")
            .error(503, NO_STORE)
    });
    paths.get("/api/comfyui/view", "view_file", "Any file of ComfyUI", |op| {
        let op = op
            .tag(FILES)
            .explain("A file of ComfyUI's `input`, `output` or `temp` folder.")
            .query::<ViewQuery>();
        file_of_comfyui(op)
            .error(400, "The name or subfolder leads out of ComfyUI's folder, or a parameter is wrong.")
            .error(404, "There is no such file, or ComfyUI cannot be reached.")
            .error(503, NO_STORE)
    });
    paths.post("/api/run/upload-image", "upload_file", "Uploads a file for later requests", |op| {
        op.tag(FILES)
            .explain("An image, a video, audio or a 3D model. It is stored under a unique name.")
            .body(true, "The file.", one_file())
            .json::<Uploaded>(200, "The name of the file, for `_existing_<input id>` of a later request.")
            .example("image", json!({"filename": "20260324_143052_a1b2c3_myimage.png"}))
            .error(400, "The file is refused.")
            .error(413, "The file is too large.")
            .error(415, "The body is no form.")
            .error(500, "ComfyUI does not take the file: `Upload failed: ...`.")
    });
    paths.get("/api/files", "list_files", "The files that were uploaded, newest first", |op| {
        op.tag(FILES)
            .query::<UploadedFilesQuery>()
            .json::<UploadedFiles>(200, "A page of files.")
            .response_header("Cache-Control", NOT_CACHED, not_cached())
            .example(
                "one",
                json!({"files": [{"filename": "20260324_143052_a1b2c3_myimage.png", "size": 182044,
                       "media_type": "image/png", "uploaded_at": "2026-03-24T14:30:52.123Z",
                       "url": "/api/comfyui/view?filename=20260324_143052_a1b2c3_myimage.png&subfolder=&type=input"}],
                       "next_cursor": null}),
            )
            .error(400, BAD_QUERY)
            .error(503, NO_STORE)
    });
    paths.delete("/api/files/{filename}", "delete_file", "Deletes an uploaded file", |op| {
        op.tag(FILES)
            .json::<DeletedFile>(200, "The record is deleted; `file` says what became of the file.")
            .example("deleted", json!({"filename": "20260324_143052_a1b2c3_myimage.png", "file": "deleted"}))
            .error(404, "No such file was uploaded through this server.")
            .error(409, "A job that is not over reads the file.")
            .error(500, "The file cannot be deleted; its record stays.")
            .error(503, NO_STORE)
    });
    paths.post("/api/files/gc", "collect_files", "Deletes what no record refers to from the file store", |op| {
        op.tag(FILES)
            .explain("The server does this by itself every six hours. What was stored within the last hour stays.")
            .query::<CollectFilesQuery>()
            .json::<CollectedFiles>(200, "What was deleted, or would be.")
            .example(
                "dry run",
                json!({"dry_run": true, "files": 12, "bytes": 18204400, "unfinished": 0, "kept_files": 340,
                       "kept_bytes": 912300000}),
            )
            .error(400, BAD_QUERY)
            .error(503, NO_STORE)
    });
}

/// Describes a response that passes on a file of ComfyUI.
pub(super) fn file_of_comfyui(op: Operation<'_>) -> Operation<'_> {
    let text = || json!({"type": "string"});
    op.with_token()
        .header("Range", "A part of the file.", text())
        .header("If-Range", "The part is wanted only if the file has not changed.", text())
        .header("If-None-Match", "The `ETag` of a file that the client has.", text())
        .bytes(200, "The file.", &MEDIA_TYPES)
        .response_header(
            "Content-Disposition",
            "`inline` for types that are safe to show, else `attachment`.",
            text(),
        )
        .response_header("ETag", "ComfyUI's tag of the file.", text())
        .bytes(206, "The part of the file.", &MEDIA_TYPES)
        .response_header("Content-Range", "Which part it is.", text())
        .empty(307, "The file is at the URL in `Location`, for an hour (`--redirect-downloads`).")
        .empty(304, "The client has the file.")
        .empty(412, "The file does not fulfil a precondition.")
        .bytes(416, "The file has no such part.", &MEDIA_TYPES)
        .response_header("Content-Range", "The size of the file.", text())
        .error(500, "Only ComfyUI may know the file, and it cannot be asked.")
        .error(502, "ComfyUI gives no usable answer.")
        .error(504, "ComfyUI does not answer in time.")
}
