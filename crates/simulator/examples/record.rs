//! Records how a real ComfyUI behaves, for the tests: runs the scenarios of `fixtures/recordings/scenarios.json` and
//! writes what it hears to `fixtures/recordings/<version>/`. The ComfyUI must have just been started, with
//! `fixtures/comfyui_test_nodes` among its custom nodes, and nothing else may use it meanwhile:
//! `COMFYUI_URL=http://127.0.0.1:8188 just record`.

#[path = "../tests/comfy/mod.rs"]
mod comfy;

use comfy::Comfy;
use comfy::scenario::{folder, scenarios};
use serde_json::{Value, json};

/// More previews are not kept: they make the files large.
const MOST_PREVIEWS: usize = 9;

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("COMFYUI_URL").map_err(|_| "set COMFYUI_URL to the address of a real ComfyUI")?;
    let comfy = Comfy::at(url.trim_end_matches('/'));
    let stats = comfy.get("/system_stats").await.json();
    let version =
        stats["system"]["comfyui_version"].as_str().ok_or("this ComfyUI does not say its version")?;
    if !stats["system"]["simulator"].is_null() {
        return Err("this is the simulator, not a ComfyUI".into());
    }
    let folder = folder().join(version);
    std::fs::create_dir_all(&folder)?;
    for scenario in scenarios(version) {
        let run = scenario.run(&comfy, &uuid::Uuid::new_v4().simple().to_string(), |_| ()).await;
        let mut recording = run.to_recording(&scenario, version);
        drop_previews(&mut recording);
        redact(&mut recording);
        let path = folder.join(format!("{}.json", scenario.case));
        std::fs::write(&path, format!("{recording:#}\n"))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn drop_previews(recording: &mut Value) {
    let mut kept = 0;
    if let Some(frames) = recording["websocket"].as_array_mut() {
        frames.retain(|frame| {
            kept += usize::from(frame.get("binary").is_some());
            frame.get("binary").is_none() || kept <= MOST_PREVIEWS
        });
    }
}

/// Takes tracebacks out: they hold the paths of the machine that the recording was made on.
fn redact(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(entries) => {
            for (key, value) in entries {
                if key == "traceback" && value.is_array() {
                    *value = json!(["(traceback removed)"]);
                } else if key == "raw"
                    && let Some(raw) = value.as_str()
                {
                    *value = json!(without_traceback(raw));
                } else {
                    redact(value);
                }
            }
        }
        _ => {}
    }
}

/// As [`redact`], for text that is JSON for Python only: lists of strings hold no brackets outside of their strings.
fn without_traceback(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw;
    while let Some(start) = rest.find("\"traceback\": [") {
        let (before, list) = rest.split_at(start);
        out.push_str(before);
        out.push_str("\"traceback\": [\"(traceback removed)\"]");
        let mut quoted = false;
        let mut escaped = false;
        let end = list.char_indices().find(|(_, character)| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            match character {
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            *character == ']' && !quoted
        });
        rest = end.map_or("", |(end, _)| &list[end + 1..]);
    }
    out + rest
}
