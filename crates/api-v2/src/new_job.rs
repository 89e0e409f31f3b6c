//! The body of `POST /jobs`.

use serde_json::{Map, Value};

use crate::error::{Code, Error};
use crate::labels::Metadata;

/// The tag of a workflow of the library in the place of a graph: our addition to the contract.
const LIBRARY_WORKFLOW: &str = "runner/WORKFLOW";
/// The largest priority.
const HIGHEST_PRIORITY: i64 = 1_000_000;

/// A job to submit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewJob {
    /// What to run.
    pub workflow: Workflow,
    /// What the caller attaches to it.
    pub metadata: Option<Metadata>,
    /// Its priority; a higher one goes first.
    pub priority: Option<i64>,
    /// The key for partner nodes. It must not be recorded, logged or shown.
    pub partner_key: Option<String>,
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Workflow {
    /// A graph in API format, perhaps with references to assets.
    Graph(Value),
    /// A workflow of the library.
    Library(LibraryWorkflow),
}

/// A workflow of the library: `{"__type": "runner/WORKFLOW", "id": "...", "params": {...}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct LibraryWorkflow {
    /// Its id.
    pub id: String,
    /// Its params, perhaps with references to assets.
    pub params: Value,
}

impl NewJob {
    /// Reads a body. A graph is not checked here beyond its format.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_value(body: Value) -> Result<Self, Error> {
        let Value::Object(mut body) = body else {
            return Err(Error::bad_request("the body is a JSON object with `workflow`"));
        };
        for reserved in ["webhook_url", "inputs"] {
            if body.get(reserved).is_some_and(|value| !value.is_null()) {
                let message = format!("`{reserved}` is reserved and not supported; leave it out");
                return Err(Error::new(Code::InvalidWorkflow, message));
            }
        }
        let workflow = workflow(body.shift_remove("workflow"))?;
        let metadata = Metadata::from_value(body.shift_remove("metadata").unwrap_or_default())?;
        let priority = priority(body.get("priority"))?;
        let partner_key = partner_key(body.shift_remove("extra_data"))?;
        Ok(Self { workflow, metadata, priority, partner_key })
    }
}

fn workflow(value: Option<Value>) -> Result<Workflow, Error> {
    let invalid = |message: &str| Error::new(Code::InvalidWorkflow, message);
    let Some(Value::Object(mut graph)) = value else {
        return Err(invalid("`workflow` must be a graph in API format: an object from node id to node"));
    };
    if graph.get("nodes").is_some_and(Value::is_array) && graph.contains_key("links") {
        return Err(Error::new(
            Code::WorkflowFormatUi,
            "`workflow` is in the editor's format (it has `nodes` and `links`); export it with \"Workflow > Export (API)\" \
             in ComfyUI's menu",
        ));
    }
    if graph.get("__type").is_none_or(|tag| tag != LIBRARY_WORKFLOW) {
        return Ok(Workflow::Graph(Value::Object(graph)));
    }
    let Some(Value::String(id)) = graph.shift_remove("id") else {
        return Err(invalid("`workflow` names a workflow of the library: its `id` must be a string"));
    };
    let params = match graph.shift_remove("params") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(params @ Value::Object(_)) => params,
        Some(_) => return Err(invalid("`workflow.params` must be an object from input to value")),
    };
    if let Some(other) = graph.keys().find(|key| *key != "__type") {
        return Err(invalid(&format!("`workflow` has `id` and `params`, not \"{}\"", shown(other))));
    }
    Ok(Workflow::Library(LibraryWorkflow { id, params }))
}

fn priority(value: Option<&Value>) -> Result<Option<i64>, Error> {
    let allowed = -HIGHEST_PRIORITY..=HIGHEST_PRIORITY;
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_i64().filter(|priority| allowed.contains(priority)).map(Some).ok_or_else(|| {
                let message =
                    format!("`priority` is an integer from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}");
                Error::new(Code::InvalidRequest, message)
            })
        }
    }
}

/// Messages never repeat what they refuse: it may be a key in the wrong place.
fn partner_key(extra_data: Option<Value>) -> Result<Option<String>, Error> {
    let mut extra_data = match extra_data {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(extra_data)) => extra_data,
        Some(_) => return Err(Error::bad_request("`extra_data` must be an object")),
    };
    let key = match extra_data.shift_remove("api_key_comfy_org") {
        None => None,
        Some(Value::String(key)) => Some(key),
        Some(_) => return Err(Error::bad_request("`extra_data.api_key_comfy_org` must be a string")),
    };
    if !extra_data.is_empty() {
        return Err(Error::bad_request("`extra_data` takes `api_key_comfy_org` and nothing else"));
    }
    Ok(key)
}

/// The beginning of a key for a message.
fn shown(key: &str) -> String {
    key.chars().filter(|char| !char.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph() -> Value {
        json!({"1": {"class_type": "SaveImage", "inputs": {}}})
    }

    fn error(body: Value) -> (&'static str, u16, String) {
        let error = NewJob::from_value(body).unwrap_err();
        (error.code.as_str(), error.status, error.message)
    }

    #[test]
    fn a_graph_comes_with_metadata_priority_and_key() {
        let job = NewJob::from_value(json!({
            "workflow": graph(), "metadata": {"team": "a"}, "priority": 3,
            "extra_data": {"api_key_comfy_org": "comfyui-key"}, "webhook_url": null, "unknown": 1,
        }))
        .unwrap();
        assert_eq!(job.workflow, Workflow::Graph(graph()));
        assert_eq!(job.metadata.unwrap().into_value(), json!({"team": "a"}));
        assert_eq!((job.priority, job.partner_key.as_deref()), (Some(3), Some("comfyui-key")));
    }

    #[test]
    fn a_workflow_of_the_library_has_an_id_and_params() {
        let library =
            |id: &str, params: Value| Workflow::Library(LibraryWorkflow { id: id.to_owned(), params });
        let workflow =
            |value: Value| Ok::<_, Error>(NewJob::from_value(json!({"workflow": value}))?.workflow);
        let tagged =
            json!({"__type": "runner/WORKFLOW", "id": "text-to-image", "params": {"prompt": "a fox"}});
        assert_eq!(workflow(tagged).unwrap(), library("text-to-image", json!({"prompt": "a fox"})));
        let bare = json!({"__type": "runner/WORKFLOW", "id": "w"});
        assert_eq!(workflow(bare).unwrap(), library("w", json!({})));
        for (wrong, part) in [
            (json!({"__type": "runner/WORKFLOW"}), "`id` must be a string"),
            (json!({"__type": "runner/WORKFLOW", "id": "w", "params": []}), "`workflow.params`"),
            (json!({"__type": "runner/WORKFLOW", "id": "w", "parms": {}}), "not \"parms\""),
        ] {
            let error = workflow(wrong).unwrap_err();
            assert_eq!(error.code, Code::InvalidWorkflow);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_has_a_code_and_a_sentence() {
        let with = |key: &str, value: Value| {
            let mut body = json!({"workflow": graph()});
            body[key] = value;
            body
        };
        for (body, code, status) in [
            (json!([1, 2]), "invalid_request", 400),
            (json!({}), "invalid_workflow", 422),
            (json!({"workflow": [1]}), "invalid_workflow", 422),
            (json!({"workflow": {"nodes": [], "links": []}}), "workflow_format_ui", 422),
            (with("webhook_url", json!("http://x")), "invalid_workflow", 422),
            (with("inputs", json!({})), "invalid_workflow", 422),
            (with("priority", json!("high")), "invalid_request", 422),
            (with("priority", json!(1.5)), "invalid_request", 422),
            (with("priority", json!(1_000_001)), "invalid_request", 422),
            (with("metadata", json!(3)), "metadata_invalid", 422),
            (with("extra_data", json!({"client_id": "x"})), "invalid_request", 400),
            (with("extra_data", json!({"api_key_comfy_org": 1})), "invalid_request", 400),
            (with("extra_data", json!({"api_key_comfy_org": null})), "invalid_request", 400),
            (with("extra_data", json!([])), "invalid_request", 400),
        ] {
            let (found, found_status, message) = error(body.clone());
            assert_eq!((found, found_status), (code, status), "{body}: {message}");
        }
    }

    #[test]
    fn no_message_repeats_extra_data() {
        let body = json!({"workflow": graph(), "extra_data": {"secret-key": "secret"}});
        assert!(!error(body).2.contains("secret"));
    }
}
