//! Assets as inputs of a job.

use std::collections::HashMap;

use comfy_runner_api_v2::{Code, Error, References};
use serde_json::Value;

use super::assets::{Found, find};
use super::error::V2Error;
use super::outputs::{Content, Made};
use crate::server::State;

/// The longest name of an asset in a graph, in bytes.
const LONGEST_NAME: usize = 255;
/// The number of names that are looked up for a graph.
const MOST_NAMES: usize = 500;
/// The folder of ComfyUI that names in graphs leave out.
const INPUT: &str = "input/";

/// Replaces references to assets by the names of files, and returns these names. The files are sent to ComfyUI with the job.
pub async fn resolve(state: &State, value: &mut Value) -> Result<Vec<String>, V2Error> {
    let References { assets, malformed } = References::find(value);
    let mut missing = malformed;
    let mut names = HashMap::new();
    for asset in assets {
        match as_input(state, &asset.id).await {
            Ok(name) => drop(names.insert(asset.id, name)),
            Err(error) if error.is_missing() => missing.push(asset.id),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        let message = format!("these assets do not exist: {}", missing.join(", "));
        return Err(Error::new(Code::MissingAsset, message).with_detail("missing_ids", missing).into());
    }
    References::replace(value, &names);
    Ok(names.into_values().collect())
}

/// Makes an asset an input file, and returns its name.
async fn as_input(state: &State, id: &str) -> Result<String, V2Error> {
    Ok(match find(state, id).await? {
        Found::Upload(asset) => state.jobs.asset_as_input(&asset).await?,
        Found::Output(details, Made { content: Content::File(file), .. }) => {
            let client = state.client_of(details.comfyui.as_deref())?;
            state.jobs.output_as_input(&client, &file).await?
        }
        Found::Output(_, Made { content: Content::Text(text), .. }) => state.jobs.text_as_input(text).await?,
    })
}

/// Replaces the names of uploaded assets in the inputs of a graph's nodes, as the hosted API does: an asset `photo.png` is what
/// `"image": "photo.png"` means. Returns the names of the files.
pub async fn resolve_names(state: &State, graph: &mut Value) -> Result<Vec<String>, V2Error> {
    let mut wanted: Vec<String> = Vec::new();
    for name in values(graph).filter(|value| may_be_a_name(value)).take(MOST_NAMES) {
        wanted.extend([name.clone(), format!("{INPUT}{name}")]);
    }
    let found = state.jobs.assets_named(wanted).await?;
    let mut names = HashMap::new();
    for asset in found {
        let name = state.jobs.asset_as_input(&asset).await?;
        names.insert(asset.file_path.strip_prefix(INPUT).unwrap_or(&asset.file_path).to_owned(), name);
    }
    for value in values(graph) {
        if let Some(name) = names.get(value) {
            value.clone_from(name);
        }
    }
    Ok(names.into_values().collect())
}

/// The strings that are inputs of nodes.
fn values(graph: &mut Value) -> impl Iterator<Item = &mut String> {
    let nodes = graph.as_object_mut().into_iter().flat_map(|nodes| nodes.values_mut());
    let inputs = nodes.filter_map(|node| node.get_mut("inputs")?.as_object_mut());
    inputs.flat_map(|inputs| inputs.values_mut()).filter_map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Returns whether a string may be the name of a file: it has an extension.
fn may_be_a_name(value: &str) -> bool {
    let extension = value.rsplit_once('.').map_or("", |(_, extension)| extension);
    value.len() <= LONGEST_NAME
        && (1..=10).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_strings_with_an_extension_may_be_names() {
        let mut graph = json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png", "n": 1, "link": ["2", 0]}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox. It runs", "deep": {"x": "y.png"}}},
        });
        let names: Vec<_> =
            values(&mut graph).filter(|value| may_be_a_name(value)).map(|name| name.clone()).collect();
        assert_eq!(names, ["photo.png"]);
    }
}
