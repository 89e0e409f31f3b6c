//! The events of a job's stream.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::job::{Job, JobStatus, Progress};
use crate::output::Output;

/// The data of a `status` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2StatusEvent"))]
pub struct StatusEvent {
    /// The status.
    pub status: JobStatus,
    /// The place of a waiting job, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
}

/// The data of a `preview` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Preview"))]
pub struct Preview {
    /// The node whose work it shows; empty if ComfyUI does not say.
    pub node_id: String,
    /// `image/jpeg` or `image/png`.
    pub content_type: String,
    /// The image in base64.
    pub data_base64: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Frame {
    /// The status, or the place of a waiting job, changed.
    Status(StatusEvent),
    /// The job went on.
    Progress(Progress),
    /// There is a new output.
    Output(Box<Output>),
    /// There is a new preview.
    Preview(Preview),
}

impl Frame {
    /// Returns the event as text.
    ///
    /// # Errors
    /// None in practice: the data consists of strings and finite numbers.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        let (name, data) = match self {
            Self::Status(status) => ("status", to_json_line(status)?),
            Self::Progress(progress) => ("progress", to_json_line(progress)?),
            Self::Output(output) => ("output", to_json_line(output)?),
            Self::Preview(preview) => ("preview", to_json_line(preview)?),
        };
        Ok(format!("event: {name}\ndata: {data}\n\n"))
    }
}

/// Serialises a value without anything that a reader may take for the end of a line. The official Python client splits
/// lines also at U+0085, U+2028 and U+2029, which JSON allows unescaped.
///
/// # Errors
/// The value cannot be serialised.
pub fn to_json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let ends_line = |char| matches!(char, '\u{85}' | '\u{2028}' | '\u{2029}');
    if !json.contains(ends_line) {
        return Ok(json);
    }
    // Outside of strings, JSON has ASCII characters only.
    let mut escaped = String::with_capacity(json.len() + 64);
    for char in json.chars() {
        match ends_line(char) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => escaped.push(char),
        }
    }
    Ok(escaped)
}

/// What a reader of a stream has seen.
#[derive(Debug, Clone, Default)]
pub struct EventState {
    status: Option<StatusEvent>,
    progress: Option<Progress>,
    outputs: HashSet<String>,
}

impl EventState {
    /// Returns what is new to the reader in the present state of the job. The status comes first, except at the end: a
    /// client leaves at a terminal status, so that everything else must come before it.
    pub fn next(&mut self, job: &Job) -> Vec<Frame> {
        let mut frames = Vec::new();
        let status = StatusEvent { status: job.status, queue_position: job.queue_position };
        let is_new = self.status != Some(status);
        let over = job.status.is_terminal();
        if is_new && !over {
            frames.push(Frame::Status(status));
        }
        // A job may start and end between two looks at it.
        let waited = self.status.is_some_and(|before| before.status == JobStatus::Queued);
        if over && waited && job.started_at.is_some() {
            frames.push(Frame::Status(StatusEvent { status: JobStatus::Running, queue_position: None }));
        }
        if let Some(progress) = &job.progress
            && self.progress.as_ref() != Some(progress)
        {
            frames.push(Frame::Progress(progress.clone()));
            self.progress = Some(progress.clone());
        }
        let outputs = job.outputs.iter().filter(|output| self.outputs.insert(output.id.clone()));
        frames.extend(outputs.map(|output| Frame::Output(Box::new(output.clone()))));
        if is_new && over {
            frames.push(Frame::Status(status));
        }
        self.status = Some(status);
        frames
    }

    /// Returns whether the reader has seen a terminal status.
    pub fn is_over(&self) -> bool {
        self.status.is_some_and(|status| status.status.is_terminal())
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_api::{JobDetails, ProgressDetails, Status, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::job::tests::{details, links};
    use crate::output::OutputType;

    fn output(id: &str, name: &str) -> Output {
        Output {
            node_id: "9".into(),
            name: name.into(),
            kind: OutputType::Image,
            content_type: "image/png".into(),
            size_bytes: 3,
            id: id.into(),
            hash: None,
            url: links().asset_content(id),
            url_expires_at: Timestamp::new("2026-03-24T14:30:52.000Z"),
            job_id: "j".into(),
        }
    }

    fn job(details: JobDetails, outputs: &[&str]) -> Job {
        let outputs = outputs.iter().map(|id| output(id, "a.png")).collect();
        Job::new(&details, outputs, &links(), None)
    }

    fn running(percent: u8) -> JobDetails {
        let progress = ProgressDetails { percent, nodes_done: 1, nodes_total: 2, ..Default::default() };
        JobDetails { progress, started_at: Some(1), ..details(Status::Running) }
    }

    fn names(frames: &[Frame]) -> Vec<String> {
        let name = |frame: &Frame| match frame {
            Frame::Status(status) => match status.queue_position {
                Some(place) => format!("{} {place}", status.status.as_str()),
                None => status.status.as_str().to_owned(),
            },
            Frame::Progress(progress) => format!("{}", progress.value),
            Frame::Output(output) => output.id.clone(),
            Frame::Preview(_) => "preview".to_owned(),
        };
        frames.iter().map(name).collect()
    }

    #[test]
    fn a_reader_hears_each_change_once_and_outputs_before_the_end() {
        let mut state = EventState::default();
        let waiting = |place| JobDetails { queue_position: Some(place), ..details(Status::Pending) };
        assert_eq!(names(&state.next(&job(waiting(2), &[]))), ["queued 2"]);
        assert!(state.next(&job(waiting(2), &[])).is_empty());
        assert_eq!(names(&state.next(&job(waiting(1), &[]))), ["queued 1"]);
        assert_eq!(names(&state.next(&job(running(0), &[]))), ["running", "0"]);
        assert_eq!(names(&state.next(&job(running(50), &["a"]))), ["0.5", "a"]);
        let canceling = JobDetails { cancel_asked: true, ..running(50) };
        assert_eq!(names(&state.next(&job(canceling, &["a"]))), ["canceling"]);
        let over = details(Status::Completed);
        assert_eq!(names(&state.next(&job(over, &["a", "b"]))), ["1", "b", "succeeded"]);
        assert!(state.is_over());
    }

    #[test]
    fn who_comes_after_the_end_hears_the_outputs_and_then_the_status() {
        let mut state = EventState::default();
        let frames = state.next(&job(details(Status::Completed), &["a", "b"]));
        assert_eq!(names(&frames), ["1", "a", "b", "succeeded"]);
    }

    #[test]
    fn who_waits_hears_that_the_job_ran_however_short() {
        let mut state = EventState::default();
        state.next(&job(details(Status::Pending), &[]));
        let over = JobDetails { started_at: Some(1), ..details(Status::Completed) };
        assert_eq!(names(&state.next(&job(over, &["a"]))), ["running", "1", "a", "succeeded"]);
        let mut state = EventState::default();
        state.next(&job(details(Status::Pending), &[]));
        assert_eq!(names(&state.next(&job(details(Status::Cancelled), &[]))), ["canceled"], "it never ran");
    }

    #[test]
    fn no_event_has_a_character_that_a_client_takes_for_the_end_of_a_line() {
        let name = "a\u{2028}b\u{2029}c\u{85}d\r\nü.png";
        let text = Frame::Output(Box::new(output("a", name))).to_text().unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        assert_eq!(head, "event: output");
        let data = rest.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(!data.contains(['\u{2028}', '\u{2029}', '\u{85}', '\r', '\n']));
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(read["name"], name);
        let status = Frame::Status(StatusEvent { status: JobStatus::Running, queue_position: None });
        assert_eq!(status.to_text().unwrap(), "event: status\ndata: {\"status\":\"running\"}\n\n");
        assert_eq!(serde_json::to_value(json!("ü")).unwrap(), "ü");
    }
}
