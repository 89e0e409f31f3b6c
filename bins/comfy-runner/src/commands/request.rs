//! The workflow and params of the command line.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use comfy_runner_manifest::{DiagnosticKind, LibraryError, PRESET_KEY};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Workflow, Workflows};
use serde_json::{Map, Value};

use crate::cli::Request;

/// Opens a folder of workflows.
pub fn open(dir: &Path) -> anyhow::Result<Workflows> {
    Workflows::open(dir).with_context(|| format!("cannot use the workflows folder {}", dir.display()))
}

/// Reads the requested workflow and its params. Node schemas are fetched when its graph is in UI format.
pub fn read(
    request: &Request,
    schemas: impl FnOnce() -> anyhow::Result<ObjectInfo>,
) -> anyhow::Result<(Arc<Workflow>, Map<String, Value>)> {
    let workflow = workflow(&open(&request.workflows.dir)?, &request.id, schemas)?;
    let mut params = match &request.params {
        Some(params) => read_params(params)?,
        None => Map::new(),
    };
    for param in &request.param {
        let (key, value) = read_param(param)?;
        params.insert(key, value);
    }
    if let Some(preset) = &request.preset
        && params.insert(PRESET_KEY.to_owned(), preset.clone().into()).is_some()
    {
        bail!("the preset is given twice: as --preset and as `{PRESET_KEY}`");
    }
    Ok((workflow, params))
}

fn workflow(
    workflows: &Workflows,
    id: &str,
    schemas: impl FnOnce() -> anyhow::Result<ObjectInfo>,
) -> anyhow::Result<Arc<Workflow>> {
    match workflows.get(id) {
        Err(LibraryError::Broken { diagnostics, .. })
            if diagnostics.iter().any(|found| found.kind == DiagnosticKind::NeedsSchemas) =>
        {
            let context = format!("the graph of workflow \"{id}\" is in ComfyUI's UI format");
            workflows.set_context(Some(Arc::new(schemas().context(context)?)));
            Ok(workflows.get(id)?)
        }
        found => Ok(found?),
    }
}

fn read_params(text: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match text.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read --params @{file}"))?
        }
        None => text.to_owned(),
    };
    match serde_json::from_str(&text).context("--params is not valid JSON")? {
        Value::Object(params) => Ok(params),
        _ => bail!("--params must be a JSON object, from input ids to values"),
    }
}

/// Parses `key=value`. A value that is valid JSON is read as JSON, except JSON strings: their quotes are part of the value.
fn read_param(param: &str) -> anyhow::Result<(String, Value)> {
    let (key, value) = param.split_once('=').with_context(|| format!("-p {param} must be KEY=VALUE"))?;
    let value = match serde_json::from_str(value) {
        Ok(Value::String(_)) | Err(_) => Value::String(value.to_owned()),
        Ok(value) => value,
    };
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(param: &str) -> Value {
        read_param(param).unwrap().1
    }

    #[test]
    fn a_value_is_json_where_it_reads_as_json_and_text_elsewhere() {
        assert_eq!(value("steps=30"), json!(30));
        assert_eq!(value("hires=true"), json!(true));
        assert_eq!(value(r#"size={"w": 832, "h": 1216}"#), json!({"w": 832, "h": 1216}));
        assert_eq!(value("prompt=a red fox"), json!("a red fox"));
        assert_eq!(value("prompt=a=b"), json!("a=b"));
        assert_eq!(value(r#"prompt="quoted""#), json!("\"quoted\""));
        assert_eq!(value("prompt="), json!(""));
        assert!(read_param("prompt").is_err());
    }
}
