//! The store through its trait.

use std::time::Duration;

use comfy_runner_progress::Status;
use comfy_runner_protocol::Graph;
use comfy_runner_store::{Created, Filter, Outcome, Record, Retention, Sqlite, Store, StoreError};
use serde_json::json;

fn record(prompt_id: &str, queued_at: i64) -> Record {
    let graph = json!({"1": {"class_type": "KSampler", "inputs": {"seed": u64::MAX}}});
    Record {
        prompt_id: prompt_id.into(),
        client_id: "c".into(),
        workflow_id: "w".into(),
        workflow_name: "W".into(),
        params: json!({"prompt": "füchse", "cfg": 8.000000000000002}).as_object().unwrap().clone(),
        seeds: [("seed".to_owned(), u64::MAX)].into_iter().collect(),
        graph: Graph::from_value(graph).unwrap(),
        result_nodes: vec!["1".into()],
        output_folder: "f".into(),
        input_files: vec!["a.png".into()],
        queued_at,
        retry_of: None,
        idempotency_key: None,
        request_digest: None,
        outcome: Outcome::default(),
    }
}

fn over(status: Status, finished_at: i64) -> Outcome {
    let outputs = json!({"1": {"images": [{"filename": "a.png", "subfolder": "f", "type": "output"}]}});
    Outcome {
        status,
        accepted: true,
        started_at: Some(2),
        finished_at: Some(finished_at),
        error: Some("why".into()),
        warnings: vec!["a warning".into()],
        outputs: serde_json::from_value(outputs).unwrap(),
        ..Outcome::default()
    }
}

#[tokio::test]
async fn a_record_survives_its_process_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    assert!(matches!(store.create(record("a", 1)).await.unwrap(), Created::New));
    assert!(store.update("a", over(Status::Error, 3)).await.unwrap());
    assert!(!store.update("unknown", Outcome::default()).await.unwrap());
    drop(store);
    let expected = Record { outcome: over(Status::Error, 3), ..record("a", 1) };
    assert_eq!(Sqlite::open(folder.path()).unwrap().get("a").await.unwrap(), Some(expected));
}

#[tokio::test]
async fn pages_come_newest_first_and_miss_nothing_and_repeat_nothing() {
    let store = Sqlite::in_memory().unwrap();
    for n in 0..7 {
        store.create(record(&n.to_string(), n)).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter { limit: 3, after, since: Some(1), ..Filter::default() };
        let page = store.list(filter).await.unwrap();
        seen.extend(page.records.into_iter().map(|record| record.prompt_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1"]);
}

#[tokio::test]
async fn retention_forgets_the_oldest_that_are_over_and_never_an_active_job() {
    let store = Sqlite::in_memory().unwrap();
    for n in 0..5 {
        store.create(record(&n.to_string(), n)).await.unwrap();
    }
    for n in 1..5 {
        store.update(&n.to_string(), over(Status::Completed, n)).await.unwrap();
    }
    assert_eq!(store.prune(Retention::default()).await.unwrap(), 0);
    assert_eq!(store.prune(Retention { before: Some(2), keep: Some(2) }).await.unwrap(), 2);
    let left = store.list(Filter::default()).await.unwrap().records;
    assert_eq!(left.iter().map(|record| &*record.prompt_id).collect::<Vec<_>>(), ["4", "3", "0"]);
}

#[tokio::test]
async fn one_idempotency_key_is_one_record() {
    let store = Sqlite::in_memory().unwrap();
    let keyed = |id: &str| Record { idempotency_key: Some("k".into()), ..record(id, 1) };
    assert!(matches!(store.create(keyed("a")).await.unwrap(), Created::New));
    assert!(
        matches!(store.create(keyed("b")).await.unwrap(), Created::Known(known) if known.prompt_id == "a")
    );
    assert_eq!(store.get("b").await.unwrap(), None);
}

#[tokio::test]
async fn durations_are_a_mean_by_workflow_and_class() {
    let store = Sqlite::in_memory().unwrap();
    for seconds in [1, 2, 6] {
        store.remember_durations("w", vec![("K".into(), Duration::from_secs(seconds))]).await.unwrap();
    }
    let durations = store.node_durations("w").await.unwrap();
    assert_eq!((durations["K"].count, durations["K"].mean), (3, Duration::from_secs(3)));
    assert!(store.node_durations("other").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let file = rusqlite::Connection::open(folder.path().join("jobs.sqlite3")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::TooNew { found: 99, .. })));
}
