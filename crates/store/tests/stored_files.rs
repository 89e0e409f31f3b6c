//! Records of outputs in the file store, and of which contents are needed.

use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_protocol::{Graph, OutputFile};
use comfy_runner_store::{KeptOutput, Outcome, OutputContent, Record, Sqlite, Store, Summary, Upload};

fn file(name: &str) -> OutputFile {
    OutputFile { filename: name.to_owned(), subfolder: "job/final".to_owned(), kind: "output".to_owned() }
}

/// Records a job with this status and these outputs.
async fn job(store: &Sqlite, prompt_id: &str, status: Status, files: &[&str]) {
    let mut record = Record::new(Summary::new(prompt_id, "c", "w", 0), Arc::new(Graph::default()));
    record.summary.outcome = Outcome::new(status, true);
    let files = files.iter().map(|name| file(name)).collect();
    record.summary.outcome.outputs = [("9".to_owned(), files)].into_iter().collect();
    record.input_files = vec!["in.png".to_owned(), "in.png".to_owned()];
    store.create(record).await.unwrap();
}

fn kept(name: &str, hash: &str) -> KeptOutput {
    KeptOutput::new(file(name), hash, 3, 1000)
}

async fn unkept(store: &Sqlite) -> Vec<(String, Vec<OutputFile>)> {
    let jobs = store.unkept(None, 100).await.unwrap();
    jobs.into_iter().map(|job| (job.prompt_id, job.files)).collect()
}

#[tokio::test]
async fn what_is_not_copied_yet_is_known_after_each_file() {
    let store = Sqlite::in_memory().unwrap();
    job(&store, "a", Status::Completed, &["1.png", "2.png", "1.png"]).await;
    job(&store, "b", Status::Error, &["3.png"]).await;
    job(&store, "open", Status::Running, &["4.png"]).await;
    let a = ("a".to_owned(), vec![file("1.png"), file("2.png")]);
    let b = ("b".to_owned(), vec![file("3.png")]);
    assert_eq!(unkept(&store).await, [a, b.clone()]);

    assert!(store.keep_output("a", kept("1.png", "h1")).await.unwrap());
    assert_eq!(unkept(&store).await, [("a".to_owned(), vec![file("2.png")]), b.clone()]);
    assert!(store.keep_output("a", kept("2.png", "h2")).await.unwrap());
    assert_eq!(unkept(&store).await, [("a".to_owned(), vec![]), b.clone()]);
    store.all_outputs_kept("a").await.unwrap();
    assert_eq!(unkept(&store).await, std::slice::from_ref(&b));

    let first = store.unkept(None, 1).await.unwrap().remove(0);
    assert!(store.unkept(Some(first.seq), 1).await.unwrap().is_empty());
    assert!(!store.keep_output("unknown", kept("1.png", "h")).await.unwrap());
    store.update(vec![("open".to_owned(), Outcome::new(Status::Completed, true))]).await.unwrap();
    assert_eq!(unkept(&store).await, [b, ("open".to_owned(), vec![])]);
}

#[tokio::test]
async fn a_copy_is_found_by_the_name_of_the_file_and_goes_with_its_job() {
    let store = Sqlite::in_memory().unwrap();
    for (prompt_id, hash) in [("a", "h1"), ("b", "h2")] {
        job(&store, prompt_id, Status::Completed, &["1.png"]).await;
        store.keep_output(prompt_id, kept("1.png", hash)).await.unwrap();
    }
    let hash = async || store.kept_output(&file("1.png")).await.unwrap().map(|kept| kept.hash);
    assert_eq!(hash().await.as_deref(), Some("h2"));
    let elsewhere = OutputFile { kind: "temp".to_owned(), ..file("1.png") };
    assert_eq!(store.kept_output(&elsewhere).await.unwrap(), None);
    store.delete("b").await.unwrap();
    assert_eq!(hash().await.as_deref(), Some("h1"));
    store.delete("a").await.unwrap();
    assert_eq!(hash().await, None);
}

#[tokio::test]
async fn the_size_and_hash_of_an_output_are_those_of_its_job_and_go_with_it() {
    let store = Sqlite::in_memory().unwrap();
    for prompt_id in ["a", "b"] {
        job(&store, prompt_id, Status::Completed, &["1.png"]).await;
    }
    let content = async |prompt_id: &str| store.output_content(prompt_id, &file("1.png")).await.unwrap();
    assert_eq!(content("a").await, None);
    let first = OutputContent::new("h1", 3);
    assert!(store.record_output_content("a", &file("1.png"), first.clone()).await.unwrap());
    assert_eq!((content("a").await, content("b").await), (Some(first), None));
    let elsewhere = OutputFile { kind: "temp".to_owned(), ..file("1.png") };
    assert_eq!(store.output_content("a", &elsewhere).await.unwrap(), None);
    let second = OutputContent::new("h2", 4);
    assert!(store.record_output_content("a", &file("1.png"), second.clone()).await.unwrap());
    assert_eq!(content("a").await, Some(second));
    // A hash is no reference: the content is ComfyUI's.
    assert_eq!(store.unreferenced(vec!["h2".to_owned()]).await.unwrap(), ["h2"]);
    store.delete("a").await.unwrap();
    assert_eq!(content("a").await, None);
    let gone = store.record_output_content("a", &file("1.png"), OutputContent::new("h", 1));
    assert!(!gone.await.unwrap());
}

#[tokio::test]
async fn a_content_is_needed_while_any_record_refers_to_it() {
    let store = Sqlite::in_memory().unwrap();
    let unneeded = async || {
        let hashes = ["h1", "h2", "h3"].map(str::to_owned).to_vec();
        store.unreferenced(hashes).await.unwrap()
    };
    assert_eq!(unneeded().await, ["h1", "h2", "h3"]);
    let upload = |name: &str| Upload::new(name, 3, 0).with_hash(Some("h1".to_owned()));
    store.add_upload(upload("x.png")).await.unwrap();
    store.add_upload(upload("y.png")).await.unwrap();
    job(&store, "a", Status::Completed, &["1.png", "2.png"]).await;
    store.keep_output("a", kept("1.png", "h1")).await.unwrap();
    store.keep_output("a", kept("2.png", "h2")).await.unwrap();
    assert_eq!(unneeded().await, ["h3"]);
    store.delete_upload("x.png").await.unwrap();
    store.delete("a").await.unwrap();
    assert_eq!(unneeded().await, ["h2", "h3"]);
    store.delete_upload("y.png").await.unwrap();
    assert_eq!(unneeded().await, ["h1", "h2", "h3"]);
}

#[tokio::test]
async fn an_old_upload_is_forgotten_when_no_recorded_job_reads_it() {
    let store = Sqlite::in_memory().unwrap();
    let upload = |name: &str, time| Upload::new(name, 3, time).with_hash(Some("h".to_owned()));
    for upload in [upload("in.png", 10), upload("old.png", 10), upload("new.png", 20)] {
        store.add_upload(upload.with_caller(Some("key-1".to_owned()))).await.unwrap();
    }
    // One that went straight to ComfyUI is not in the store.
    store.add_upload(Upload::new("elsewhere.png", 3, 10)).await.unwrap();
    job(&store, "a", Status::Completed, &[]).await;
    let names = async || {
        let all = ["in.png", "old.png", "new.png", "elsewhere.png"].map(str::to_owned).to_vec();
        let found = store.uploads_named(all).await.unwrap();
        found.into_iter().map(|upload| upload.filename).collect::<Vec<_>>()
    };
    assert_eq!(store.prune_uploads(20).await.unwrap(), 1);
    assert_eq!(names().await, ["in.png", "new.png", "elsewhere.png"]);
    store.delete("a").await.unwrap();
    assert_eq!(store.prune_uploads(20).await.unwrap(), 1);
    assert_eq!(names().await, ["new.png", "elsewhere.png"]);
    let new = store.uploads_named(vec!["new.png".to_owned()]).await.unwrap().remove(0);
    assert_eq!((new.hash.as_deref(), new.caller.as_deref()), (Some("h"), Some("key-1")));
}
