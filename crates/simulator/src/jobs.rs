//! Builds the jobs of `/api/jobs` from queue and history. Does no I/O.

use serde_json::{Map, Value, json};

use crate::queue::{Prompt, Queue};

/// Text in a preview is cut here.
const LONGEST_PREVIEW: usize = 1024;
/// Lists of these kinds are shown by the editor.
const SHOWN: [&str; 5] = ["images", "video", "audio", "3d", "text"];
/// Files with these extensions are shown as 3D models.
const THREE_D: [&str; 5] = [".obj", ".fbx", ".gltf", ".glb", ".usdz"];
/// Files with these extensions are shown as text.
const TEXT: [&str; 3] = [".txt", ".md", ".json"];

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits.
    Pending,
    /// It runs.
    InProgress,
    /// It completed.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was interrupted.
    Cancelled,
}

/// A query of jobs: filter, order and page.
#[derive(Debug)]
pub struct Listing {
    /// Only jobs in one of these.
    pub statuses: Vec<Status>,
    /// Only jobs of this workflow.
    pub workflow_id: Option<String>,
    /// Sorted by how long they ran, rather than by when they were submitted.
    pub by_duration: bool,
    /// The smallest first.
    pub ascending: bool,
    /// The largest number of jobs.
    pub limit: Option<usize>,
    /// The number of jobs to skip.
    pub offset: usize,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::InProgress, Self::Completed, Self::Failed, Self::Cancelled];

    /// The status as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl Default for Listing {
    fn default() -> Self {
        let statuses = Status::ALL.to_vec();
        Self { statuses, workflow_id: None, by_duration: false, ascending: false, limit: None, offset: 0 }
    }
}

/// The answer of `GET /api/jobs`.
pub fn list(queue: &Queue, listing: &Listing) -> Value {
    let running = queue.running().into_iter().map(|prompt| queued(prompt, Status::InProgress));
    let waiting = queue.waiting().iter().map(|prompt| queued(prompt, Status::Pending));
    let ended = queue.ended().iter().map(|(id, entry)| ended(id, entry, false));
    let wanted = |job: &Value| {
        listing.statuses.iter().any(|status| job["status"] == status.as_str())
            && listing.workflow_id.as_ref().is_none_or(|id| job["workflow_id"] == id.as_str())
    };
    let mut jobs: Vec<Value> = running.chain(waiting).chain(ended).filter(wanted).collect();
    let key = |job: &Value| {
        let time = |key: &str| job[key].as_u64().unwrap_or(0);
        if listing.by_duration {
            time("execution_end_time").saturating_sub(time("execution_start_time"))
        } else {
            time("create_time")
        }
    };
    // Both sorts are stable: equal jobs keep their order, as in Python.
    if listing.ascending {
        jobs.sort_by_key(key);
    } else {
        jobs.sort_by_key(|job| std::cmp::Reverse(key(job)));
    }
    let total = jobs.len();
    let page: Vec<Value> =
        jobs.into_iter().skip(listing.offset).take(listing.limit.unwrap_or(usize::MAX)).collect();
    let has_more = listing.offset + page.len() < total;
    json!({
        "jobs": page,
        "pagination": {"offset": listing.offset, "limit": listing.limit, "total": total, "has_more": has_more},
    })
}

/// The answer of `GET /api/jobs/{id}`.
pub fn find(queue: &Queue, id: &str) -> Option<Value> {
    if let Some((id, entry)) = queue.ended().get_key_value(id) {
        return Some(ended(id, entry, true));
    }
    if let Some(prompt) = queue.running().filter(|prompt| prompt.id == id) {
        return Some(queued(prompt, Status::InProgress));
    }
    queue.waiting().iter().find(|prompt| prompt.id == id).map(|prompt| queued(prompt, Status::Pending))
}

fn queued(prompt: &Prompt, status: Status) -> Value {
    without_nulls(json!({
        "id": prompt.id,
        "status": status.as_str(),
        "priority": prompt.number,
        "create_time": prompt.extra_data.get("create_time"),
        "outputs_count": 0,
        "previewable_outputs_count": 0,
        "workflow_id": prompt.extra_data.get("extra_pnginfo").and_then(workflow_id),
    }))
}

fn ended(id: &str, entry: &Value, in_full: bool) -> Value {
    let extra_data = &entry["prompt"][3];
    let messages = entry["status"]["messages"].as_array();
    let message = |kinds: &[&str]| {
        let mut messages = messages.into_iter().flatten();
        let found = messages.rfind(|message| kinds.iter().any(|kind| message[0] == *kind));
        found.map(|message| &message[1])
    };
    let interrupted = message(&["execution_interrupted"]).is_some();
    let status = match entry["status"]["status_str"].as_str() {
        Some("error") if interrupted => Status::Cancelled,
        Some("error") => Status::Failed,
        _ => Status::Completed,
    };
    let end = message(&["execution_success", "execution_error", "execution_interrupted"]);
    let outputs = Outputs::count(&entry["outputs"]);
    let mut job = without_nulls(json!({
        "id": id,
        "status": status.as_str(),
        "priority": entry["prompt"][0],
        "create_time": extra_data["create_time"],
        "execution_start_time": message(&["execution_start"]).map(|data| &data["timestamp"]),
        "execution_end_time": end.map(|data| &data["timestamp"]),
        "execution_error": message(&["execution_error"]),
        "outputs_count": outputs.all,
        "previewable_outputs_count": outputs.shown,
        "preview_output": outputs.preview(),
        "workflow_id": workflow_id(&extra_data["extra_pnginfo"]),
    }));
    if in_full {
        job["outputs"] = entry["outputs"].clone();
        job["execution_status"] = entry["status"].clone();
        job["workflow"] = json!({"prompt": entry["prompt"][2], "extra_data": extra_data});
    }
    job
}

fn workflow_id(extra_pnginfo: &Value) -> Option<&Value> {
    extra_pnginfo.get("workflow")?.get("id")
}

fn without_nulls(mut job: Value) -> Value {
    if let Some(job) = job.as_object_mut() {
        job.retain(|_, value| !value.is_null());
    }
    job
}

/// What a job made, and the first of each kind that could be its preview.
#[derive(Default)]
struct Outputs {
    all: usize,
    shown: usize,
    kept: Option<Value>,
    temporary: Option<Value>,
    text_file: Option<Value>,
    text: Option<Value>,
}

impl Outputs {
    fn count(outputs: &Value) -> Self {
        let mut counted = Self::default();
        for (node, lists) in outputs.as_object().into_iter().flatten() {
            for (kind, items) in lists.as_object().into_iter().flatten() {
                for item in items.as_array().filter(|_| kind != "animated").into_iter().flatten() {
                    counted.add(node, kind, item);
                }
            }
        }
        counted
    }

    fn add(&mut self, node: &str, kind: &str, item: &Value) {
        let Some(file) = item.as_object() else {
            if let Some(text) = item.as_str().filter(|_| kind == "text") {
                self.text.get_or_insert_with(|| preview_of_text(text, node));
            }
            return;
        };
        self.all += 1;
        let text = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("filename").to_lowercase();
        let ends = |extensions: &[&str]| extensions.iter().any(|extension| name.ends_with(extension));
        let format = text("format");
        let shown = SHOWN.contains(&kind)
            || format.starts_with("video/")
            || format.starts_with("audio/")
            || ends(&THREE_D)
            || ends(&TEXT);
        if !shown {
            return;
        }
        self.shown += 1;
        let slot = if kind == "text" || ends(&TEXT) {
            &mut self.text_file
        } else if text("type") == "output" {
            &mut self.kept
        } else {
            &mut self.temporary
        };
        slot.get_or_insert_with(|| preview_of_file(file, node, kind));
    }

    fn preview(self) -> Option<Value> {
        self.kept.or(self.temporary).or(self.text_file).or(self.text)
    }
}

fn preview_of_file(file: &Map<String, Value>, node: &str, kind: &str) -> Value {
    let mut preview = file.clone();
    preview.insert("nodeId".to_owned(), json!(node));
    preview.entry("mediaType").or_insert_with(|| json!(kind));
    Value::Object(preview)
}

fn preview_of_text(text: &str, node: &str) -> Value {
    let content: String = text.chars().take(LONGEST_PREVIEW).collect();
    let mut preview = json!({"content": content, "nodeId": node, "mediaType": "text"});
    if content.len() < text.len() {
        preview["truncated"] = json!(true);
    }
    preview
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preview_is_a_kept_file_before_a_temporary_one_and_text_comes_last() {
        let file = |name: &str, kind: &str| json!({"filename": name, "type": kind, "subfolder": ""});
        let outputs = json!({
            "1": {"text": ["words"], "files": [file("words.txt", "output")]},
            "2": {"images": [file("t.png", "temp")], "animated": [true]},
            "3": {"latents": [file("l.latent", "output")]},
            "4": {"gifs": [{"filename": "v.mp4", "type": "output", "format": "video/h264-mp4"}]},
        });
        let counted = Outputs::count(&outputs);
        assert_eq!((counted.all, counted.shown), (4, 3));
        assert_eq!(counted.preview().unwrap()["filename"], "v.mp4");
        let text = Outputs::count(&json!({"1": {"text": ["x".repeat(2000)]}})).preview().unwrap();
        assert_eq!((text["content"].as_str().unwrap().len(), &text["truncated"]), (1024, &json!(true)));
    }
}
