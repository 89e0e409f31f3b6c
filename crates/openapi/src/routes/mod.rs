//! What each route takes and answers. A test of the server compares these with the routes that it has.

pub(crate) mod each_workflow;
mod files;
mod jobs;
mod live;
mod run;
mod server;
mod v2;
mod workflows;

use serde_json::{Value, json};

use crate::operation::{Paths, binary};

/// Describes every route.
pub(crate) fn describe(paths: &mut Paths) {
    workflows::describe(paths);
    run::describe(paths);
    live::describe(paths);
    jobs::describe(paths);
    files::describe(paths);
    server::describe(paths);
    v2::describe(paths);
}

const WORKFLOWS: &str = "Workflows";
const RUN: &str = "Running";
const LIVE: &str = "Following";
const JOBS: &str = "Jobs";
const FILES: &str = "Files";
const SERVER: &str = "Server";
const COMFY_V2: &str = "Comfy API v2";

/// Returns the sections of the document.
pub(crate) fn tags() -> Value {
    json!([
        {"name": WORKFLOWS, "description": "The workflows of the library, and what they need."},
        {"name": RUN, "description": "Running workflows."},
        {"name": LIVE, "description": "The progress of jobs."},
        {"name": JOBS, "description": "The records of jobs."},
        {"name": FILES, "description": "Files that jobs made, and files for them."},
        {"name": SERVER, "description": "The server itself."},
        {"name": COMFY_V2, "description": "The API of Comfy's official clients, as this server answers it."},
    ])
}

/// What a job's id that is not known is answered with.
const NO_JOB: &str = "There is no such job.";
/// What a record that is not known is answered with.
const NO_RECORD: &str = "There is no record of the job.";
const NO_COMFYUI: &str = "ComfyUI cannot be reached.";
const NO_STORE: &str = "The store of records does not answer, or the server has too many connections.";
const BAD_QUERY: &str = "A parameter of the query string is wrong.";

const NOT_CACHED: &str = "Always `no-store`.";

fn not_cached() -> Value {
    json!({"type": "string", "const": "no-store"})
}

const PARTNER_KEY: &str = "The caller's key for partner nodes.";

fn partner_key() -> Value {
    json!({"type": "string", "pattern": "^[!-~]{1,1024}$"})
}

/// A file in a form.
fn file() -> Value {
    binary()
}
