//! What no recording shows: several nodes at once, nodes that expand, very old versions, and ends from outside.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::{JobStatus, RunningStatus, Status};
use comfy_runner_progress::{Durations, MeanDuration, Progress};
use comfy_runner_protocol::{Graph, HistoryEntry, Media, Message};
use serde_json::{Value, json};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn graph() -> Graph {
    Graph::from_value(json!({
        "1": {"class_type": "Load", "inputs": {}},
        "2": {"class_type": "Sample", "inputs": {"model": ["1", 0]}, "_meta": {"title": "Sampler"}},
        "3": {"class_type": "Reroute", "inputs": {"": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
        "5": {"class_type": "Note", "inputs": {}},
    }))
    .unwrap()
}

fn message(kind: &str, mut data: Value) -> Message {
    if data.get("prompt_id").is_none() {
        data["prompt_id"] = "p".into();
    }
    Message::parse(&json!({"type": kind, "data": data}).to_string()).unwrap()
}

fn state(nodes: Value) -> Message {
    let nodes: Value = nodes
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, state)| {
            let mut state = state.clone();
            state["node_id"] = id.as_str().into();
            (id.clone(), state)
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    message("progress_state", json!({ "nodes": nodes }))
}

fn running(progress: &Progress, now: Duration) -> RunningStatus {
    match progress.snapshot(now) {
        JobStatus::Running(running) => *running,
        other => panic!("it does not run: {other:?}"),
    }
}

#[test]
fn nodes_that_do_nothing_do_not_count() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
    progress.apply(&message("executing", json!({"node": "2"})), seconds(1));
    progress.apply(&message("executing", json!({"node": "3"})), seconds(2));
    let now = running(&progress, seconds(2));
    assert_eq!((now.total_nodes, now.effective_total, now.nodes_done, now.percent), (5, 3, 2, 66));
}

#[test]
fn several_nodes_at_work_count_each_for_its_part() {
    let mut progress = Progress::new("p", &graph(), None);
    let at = |one: u32, two: u32| {
        state(json!({
            "1": {"value": one, "max": 10, "state": "running"},
            "2": {"value": two, "max": 10, "state": "running"},
        }))
    };
    progress.apply(&at(1, 1), seconds(1));
    progress.apply(&at(5, 1), seconds(2));
    let now = running(&progress, seconds(2));
    assert_eq!((now.node_type.as_deref(), now.step, now.nodes_done, now.percent), (Some("Load"), 5, 2, 20));
    progress.apply(&at(5, 4), seconds(3));
    let now = running(&progress, seconds(3));
    assert_eq!((now.node_title.as_deref(), now.step, now.percent), (Some("Sampler"), 4, 30));
}

#[test]
fn what_a_node_expands_into_counts_as_its_progress() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
    progress.apply(&message("executing", json!({"node": "2", "display_node": "2"})), seconds(1));
    let mut percents = Vec::new();
    for child in ["2.0.0.1", "2.0.0.2", "2.0.0.3"] {
        progress.apply(&message("executing", json!({"node": child, "display_node": "2"})), seconds(2));
        progress.apply(&message("progress", json!({"node": child, "value": 1, "max": 2})), seconds(3));
        let now = running(&progress, seconds(3));
        assert_eq!((now.node_title.as_deref(), now.step, now.nodes_done), (Some("Sampler"), 1, 2));
        percents.push(now.percent);
    }
    assert!(percents.is_sorted() && percents[0] > 33 && percents[2] < 66, "{percents:?}");
    let report =
        json!({"node": "2.0.0.3", "display_node": "2", "output": {"images": [{"filename": "x.png"}]}});
    progress.apply(&message("executed", report), seconds(4));
    assert_eq!(progress.node_outputs().keys().collect::<Vec<_>>(), [&"2"]);
    assert_eq!(running(&progress, seconds(4)).nodes_done, 2, "its node still runs");
}

#[test]
fn an_ended_job_is_not_revived_but_the_history_may_correct_it() {
    let mut progress = Progress::new("p", &graph(), None);
    assert!(progress.failed("ComfyUI lost it"));
    assert!(!progress.cancelled() && !progress.failed("again"));
    assert!(!progress.apply(&message("executing", json!({"node": "1"})), seconds(0)));
    assert_eq!((progress.status(), progress.error()), (Status::Error, Some("ComfyUI lost it")));
    let entry: HistoryEntry = serde_json::from_value(json!({
        "outputs": {"2.0": {"images": [{"filename": "x.png"}]}},
        "status": {"status_str": "success", "completed": true, "messages": []},
        "meta": {"2.0": {"display_node": "2"}},
    }))
    .unwrap();
    let revision = progress.revision();
    progress.finish(&entry);
    assert_eq!((progress.status(), progress.error(), progress.percent()), (Status::Completed, None, 100));
    assert_eq!(progress.node_outputs()["2"].node_title, "Sampler");
    assert!(progress.revision() > revision);
}

#[test]
fn named_result_nodes_win() {
    let mut progress = Progress::new("p", &graph(), None).with_result_nodes(vec!["4".into()]);
    for (node, name) in [("2", "first.png"), ("4", "second.png")] {
        let output = json!({"images": [{"filename": name, "subfolder": "", "type": "output"}]});
        progress.apply(&message("executed", json!({"node": node, "output": output})), seconds(1));
    }
    assert_eq!(progress.results()[&Media::Image].filename, "second.png");
}

#[test]
fn a_message_that_is_no_news_changes_no_revision() {
    let mut progress = Progress::new("p", &graph(), None);
    let executing = message("executing", json!({"node": "1"}));
    assert!(progress.apply(&executing, seconds(0)));
    let revision = progress.revision();
    assert!(!progress.apply(&executing, seconds(5)));
    assert!(
        !progress
            .apply(&message("status", json!({"status": {"exec_info": {"queue_remaining": 1}}})), seconds(5))
    );
    assert_eq!(progress.revision(), revision);
}

#[test]
fn how_long_nodes_took_is_there_to_learn_from() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
    progress.apply(&message("executing", json!({"node": "2"})), seconds(7));
    progress.apply(&message("execution_success", json!({})), seconds(10));
    let took: Vec<_> = progress.durations().map(|node| (node.node_id, node.class_type, node.took)).collect();
    assert_eq!(took, [("1", "Load", seconds(7)), ("2", "Sample", seconds(3))]);
}

#[test]
fn an_empty_graph_is_no_reason_to_divide_by_zero() {
    let mut progress = Progress::new("p", &Graph::default(), None);
    assert!(progress.apply(&message("execution_start", json!({})), seconds(0)));
    let now = running(&progress, seconds(0));
    assert_eq!((now.effective_total, now.total_nodes, now.percent), (1, 0, 0));
}

#[test]
fn a_job_restored_from_a_record_looks_as_it_did_when_it_ended() {
    let mut ended = Progress::new("p", &graph(), None).with_result_nodes(vec!["4".into()]);
    for (node, name) in [("2", "first.png"), ("4", "second.png"), ("9", "of an unknown node.mp4")] {
        let output = json!({"images": [{"filename": name, "subfolder": "s", "type": "output"}]});
        ended.apply(&message("executed", json!({"node": node, "output": output})), seconds(1));
    }
    ended.apply(&message("execution_success", json!({})), seconds(2));
    let files: Vec<(String, Vec<_>)> = ended
        .node_outputs()
        .into_iter()
        .map(|(id, node)| (id.to_owned(), node.items.into_iter().map(|item| item.file.clone()).collect()))
        .collect();
    let mut restored = Progress::new("p", &graph(), None).with_result_nodes(vec!["4".into()]);
    restored.restore(ended.status(), None, files.iter().map(|(id, files)| (&**id, &**files)));
    assert_eq!(restored.snapshot(seconds(0)), ended.snapshot(seconds(2)));
    assert_eq!(restored.node_outputs(), ended.node_outputs());
}

fn history<const N: usize>(seconds_of: [(&str, u64); N]) -> Arc<Durations> {
    let mean = |n| MeanDuration { mean: seconds(n), steps: None, count: 1 };
    Arc::new(seconds_of.into_iter().map(|(class, n)| (class.to_owned(), mean(n))).collect())
}

#[test]
fn with_a_history_each_node_counts_as_long_as_it_takes() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.expect(history([("Load", 10), ("Sample", 80), ("SaveImage", 10)]));
    progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
    let now = running(&progress, seconds(4));
    assert_eq!((now.percent, now.eta_seconds), (0, Some(96)));
    progress.apply(&message("executing", json!({"node": "2"})), seconds(10));
    progress.apply(&message("progress", json!({"node": "2", "value": 10, "max": 40})), seconds(30));
    let now = running(&progress, seconds(30));
    assert_eq!((now.percent, now.eta_seconds), (30, Some(70)));
}

#[test]
fn a_node_that_does_not_count_moves_on_with_the_clock_and_waits_before_its_end() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.expect(history([("Load", 10), ("Sample", 80), ("SaveImage", 10)]));
    progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
    progress.apply(&message("executing", json!({"node": "2"})), seconds(10));
    let revision = progress.revision();
    assert!(progress.tick(seconds(50)));
    assert!(!progress.tick(seconds(50)) && !progress.tick(seconds(20)), "nothing moved");
    assert_eq!((progress.percent(), progress.revision()), (50, revision + 1));
    progress.tick(seconds(1000));
    assert_eq!((progress.percent(), running(&progress, seconds(1000)).eta_seconds), (86, Some(10)));
}

#[test]
fn nodes_of_which_nothing_is_known_count_as_the_mean_of_the_others() {
    let mut progress = Progress::new("p", &graph(), None);
    progress.expect(history([("Load", 10), ("Sample", 30), ("Reroute", 1000)]));
    progress.started();
    assert_eq!(running(&progress, seconds(0)).eta_seconds, Some(10 + 30 + 20));
    let mut strange = Progress::new("p", &graph(), None);
    strange.expect(history([("Other", 10)]));
    strange.started();
    assert_eq!(running(&strange, seconds(0)).eta_seconds, None);
}

#[test]
fn a_job_that_did_not_complete_teaches_nothing() {
    let mut learned = Durations::default();
    for (end, teaches) in [("execution_interrupted", false), ("execution_success", true)] {
        let mut progress = Progress::new("p", &graph(), None);
        progress.apply(&message("executing", json!({"node": "1"})), seconds(0));
        progress.apply(&message("executing", json!({"node": "2"})), seconds(3));
        let data = json!({"node_id": "2", "node_type": "Sample", "executed": []});
        progress.apply(&message(end, data), seconds(4));
        assert_eq!(learned.learn_from(&progress), teaches, "{end}");
    }
    assert_eq!(learned.iter().count(), 2);
}
