//! A job's messages at one revision: made once for each change and shared by all subscribers.

use std::time::Duration;

use comfy_runner_api::{JobMessage, JobUpdate, NodeFiles, OutputUpdate};
use comfy_runner_progress::Progress;
use comfy_runner_protocol::NodeId;
use indexmap::IndexMap;

use super::serialized::Serialized;

/// The status and the files of a job at one revision.
#[derive(Debug)]
pub(crate) struct JobSnapshot {
    /// The revision.
    pub revision: u64,
    /// The status.
    pub status: Serialized<JobMessage>,
    /// For each node with files: the revision since which they are the same, and their message.
    pub outputs: IndexMap<NodeId, (u64, Serialized<JobMessage>)>,
}

impl JobSnapshot {
    /// Creates the messages of a job at the time `now`. `before` is the snapshot of an earlier revision.
    pub fn new(progress: &Progress, client_id: &str, now: Duration, before: Option<&Self>) -> Self {
        let revision = progress.revision();
        let prompt_id = progress.prompt_id();
        let outputs = progress.node_outputs().into_iter().map(|(node_id, files)| {
            let known = before.and_then(|before| before.outputs.get(&node_id));
            let output = match known.filter(|(_, message)| has_files(message, &files)) {
                Some(same) => same.clone(),
                None => {
                    let data = OutputUpdate { node_id: node_id.clone(), files };
                    let output = JobMessage::Output(job_update(prompt_id, client_id, data));
                    (revision, Serialized::new(output))
                }
            };
            (node_id, output)
        });
        let status = JobMessage::Progress(job_update(prompt_id, client_id, progress.snapshot(now)));
        Self { revision, status: Serialized::new(status), outputs: outputs.collect() }
    }
}

fn has_files(message: &JobMessage, files: &NodeFiles) -> bool {
    matches!(message, JobMessage::Output(output) if output.data.files == *files)
}

/// Puts a job's ids on data about it.
pub(super) fn job_update<D>(prompt_id: &str, client_id: &str, data: D) -> JobUpdate<D> {
    JobUpdate { prompt_id: prompt_id.to_owned(), client_id: client_id.to_owned(), data }
}

#[cfg(test)]
mod tests {
    use comfy_runner_protocol::{Graph, Message};
    use serde_json::json;

    use super::*;

    fn saving() -> Progress {
        let save = json!({"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Keep"}});
        Progress::new("p", &Graph::from_value(json!({"1": save, "2": save})).unwrap(), None)
    }

    fn saves(progress: &mut Progress, node: &str) {
        let image = r#"{"filename": "a.png", "subfolder": "s", "type": "output"}"#;
        let text = format!(
            r#"{{"type": "executed", "data": {{"node": "{node}", "output": {{"images": [{image}]}}, "prompt_id": "p"}}}}"#
        );
        progress.apply(&Message::parse(&text).unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_status_is_that_of_the_status_route_with_the_jobs_ids() {
        let snapshot = JobSnapshot::new(&saving(), "c", Duration::ZERO, None);
        assert_eq!(
            *snapshot.status.json(),
            r#"{"type":"progress","prompt_id":"p","client_id":"c","data":{"status":"pending","step":0,"total_steps":0,"percent":0}}"#
        );
        assert!(snapshot.outputs.is_empty());
    }

    #[test]
    fn files_are_new_since_the_revision_that_brought_them() {
        let mut progress = saving();
        saves(&mut progress, "1");
        let first = JobSnapshot::new(&progress, "c", Duration::ZERO, None);
        let (since_first, output) = &first.outputs["1"];
        assert_eq!(
            *output.json(),
            concat!(
                r#"{"type":"output","prompt_id":"p","client_id":"c","data":{"node_id":"1","node_title":"Keep","#,
                r#""node_type":"SaveImage","items":[{"filename":"a.png","subfolder":"s","type":"output","media":"image"}]}}"#
            )
        );
        saves(&mut progress, "2");
        let second = JobSnapshot::new(&progress, "c", Duration::ZERO, Some(&first));
        assert_eq!(second.outputs["1"].0, *since_first);
        assert_eq!(second.outputs["1"].1.json().as_ptr(), output.json().as_ptr(), "the same message");
        assert_eq!(second.outputs["2"].0, progress.revision());
        assert!(second.outputs["2"].0 > *since_first);
    }
}
