//! Messages in any order, doubled and lost: percent never falls, nothing panics, and the history has the last word.

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use comfy_runner_api::{JobStatus, Status};
use comfy_runner_progress::{Durations, MeanDuration, Progress};
use comfy_runner_protocol::Message;
use proptest::prelude::*;
use support::{Recorded, Recording, recordings};

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(recordings);

/// Every message that a recording holds for one job, and some that no recording has.
fn messages(prompt_id: &str, recorded: &[Message]) -> Vec<Message> {
    let mut messages: Vec<_> =
        recorded.iter().filter(|message| message.prompt_id() == Some(prompt_id)).cloned().collect();
    for text in [
        r#"{"type": "executing", "data": {"node": "3.0.1", "display_node": "3", "prompt_id": "P"}}"#,
        r#"{"type": "executing", "data": {"node": "nowhere", "prompt_id": "P"}}"#,
        r#"{"type": "progress", "data": {"node": "3.0.1", "value": 2, "max": 4, "prompt_id": "P"}}"#,
        r#"{"type": "progress", "data": {"node": null, "value": 7, "max": 1, "prompt_id": "P"}}"#,
        r#"{"type": "progress", "data": {"node": "1", "value": 1e300, "max": 1e308, "prompt_id": "P"}}"#,
        r#"{"type": "execution_cached", "data": {"nodes": ["4", "nowhere"], "prompt_id": "P"}}"#,
        r#"{"type": "execution_cached", "data": {"nodes": ["1", "2", "3", "4"], "prompt_id": "P"}}"#,
        r#"{"type": "executed", "data": {"node": "2", "output": null, "prompt_id": "P"}}"#,
        r#"{"type": "progress_state", "data": {"prompt_id": "P", "nodes": {
            "1": {"value": 3, "max": 9, "state": "running", "node_id": "1"},
            "4.0.0": {"value": 1, "max": 2, "state": "running", "node_id": "4.0.0", "display_node_id": "4"},
            "2": {"value": 1, "max": 1, "state": "error", "node_id": "2"},
            "x": {"value": 1, "max": 1, "state": "asleep", "node_id": "x"}}}}"#,
    ] {
        messages.push(Message::parse(&text.replace('P', prompt_id)).unwrap());
    }
    messages
}

/// Durations of the recordings' nodes, impossible ones included.
fn durations() -> impl Strategy<Value = Durations> {
    let class = prop::sample::select(vec![
        "EmptyImage",
        "ImageInvert",
        "ComfyRunnerTestProgress",
        "SaveImage",
        "Other",
    ]);
    let mean = (0u64..u64::MAX, prop::option::of(0.0f64..1e9), 1u64..50, 0u32..60).prop_map(
        |(millis, steps, count, shift)| MeanDuration {
            mean: Duration::from_millis(millis >> shift),
            steps,
            count,
        },
    );
    prop::collection::hash_map(class.prop_map(str::to_owned), mean, 0..4)
        .prop_map(|known| known.into_iter().collect())
}

proptest! {
    #[test]
    fn percent_never_falls_and_what_is_over_stays_over(
        recording in prop::sample::select((0..RECORDINGS.len()).collect::<Vec<_>>()),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0u64..50), 0..120),
        with_ends in any::<bool>(),
        known in durations(),
    ) {
        let recording = &RECORDINGS[recording];
        let recorded: Vec<_> = recording.frames.iter().filter_map(|(_, frame)| match frame {
            Recorded::Text(message) => Some(message.clone()),
            Recorded::Binary(_) => None,
        }).collect();
        let job = &recording.jobs[0];
        let mut messages = messages(&job.prompt_id, &recorded);
        if !with_ends {
            let ends = |message: &Message| matches!(
                message,
                Message::ExecutionSuccess(_) | Message::ExecutionError(_) | Message::ExecutionInterrupted(_)
                    | Message::Executing { node: None, .. }
            );
            messages.retain(|message| !ends(message));
        }
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        progress.expect(Arc::new(known.clone()));
        let (mut percent, mut over, mut now) = (0, None, 0u64);
        for (pick, pause) in picks {
            // The clock stands still at times, and once in a while goes back, as no clock should.
            now = if pause == 49 { now / 2 } else { now + pause * 10 };
            let at = Duration::from_millis(now);
            let revision = progress.revision();
            let changed = match pause % 5 {
                3 => progress.tick(at),
                _ => progress.apply(pick.get(&messages), at),
            };
            prop_assert_eq!(changed, progress.revision() != revision);
            prop_assert!(progress.percent() >= percent);
            percent = progress.percent();
            match over {
                Some(status) => prop_assert_eq!(progress.status(), status),
                None if progress.status().is_over() => over = Some(progress.status()),
                None => prop_assert!(percent <= 99),
            }
            if let JobStatus::Running(now) = progress.snapshot(at) {
                prop_assert!(now.nodes_done <= now.effective_total && now.effective_total <= now.total_nodes.max(1));
                prop_assert!(now.step_rate.is_finite() && now.step_rate >= 0.0);
            }
            serde_json::to_string(&progress.snapshot(at)).unwrap();
        }
        if let Some(history) = &job.history {
            progress.finish(history);
            prop_assert_eq!(Some(progress.status()), job.expected());
            let mut late = Progress::new(&job.prompt_id, &job.graph, None);
            late.finish(history);
            prop_assert_eq!(late.node_outputs(), progress.node_outputs());
            let mut learned = known.clone();
            learned.learn_from(&progress);
            prop_assert!(progress.status() == Status::Completed || learned == known);
        }
    }
}
