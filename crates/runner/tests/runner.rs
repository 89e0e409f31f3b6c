//! A runner in a plain tokio program with several threads, against the simulator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use comfy_runner_runner::{
    Graph, JobMessage, JobStatus, Media, OutputFile, Runner, RunnerError, StartError, Status, Update,
    WatchOptions,
};
use comfy_runner_simulator::Simulator;
use comfy_runner_store::StoreError;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

/// More than anything here takes: a test that waits for so long is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// A port that nothing listens on.
const NOTHING: &str = "http://127.0.0.1:9";

const _: () = {
    const fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Runner>();
    is_shared::<comfy_runner_runner::Job>();
};

fn workflows() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows")
}

fn simulator() -> Simulator {
    Simulator::builder().step_delay(Duration::ZERO).start().unwrap()
}

fn runner(simulator: &Simulator) -> Runner {
    Runner::builder(simulator.url()).workflows(workflows()).start().unwrap()
}

/// Parameters of a job that runs until it is cancelled.
fn endless() -> Value {
    json!({"steps": 10_000, "delay_ms": 20, "preview": false})
}

fn small() -> Value {
    json!({"prompt": "a red fox", "steps": 4, "resolution": "64x64"})
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(STUCK, what).await.expect("it takes for ever")
}

async fn until_running(job: &comfy_runner_runner::Job) {
    let mut updates = job.updates(WatchOptions::new());
    while let Some(update) = within(updates.next()).await {
        if let Update::Message(message) = update.unwrap()
            && let JobMessage::Progress(progress) = &*message
            && matches!(progress.data, JobStatus::Running(_))
        {
            return;
        }
    }
    panic!("it never runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_submitted_awaited_and_its_file_downloaded() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let job = runner.submit("text-to-image", small()).await.unwrap();
    assert_eq!(job.submitted().seeds.len(), 1);
    let result = within(job.wait()).await.unwrap();
    assert_eq!(result.files, [result.outputs[&Media::Image].clone()]);
    assert_eq!(job.result(Media::Image).await.unwrap(), result.files[0]);
    assert_eq!(job.status().await.unwrap().status(), Status::Completed);

    let mut download = runner.download(&result.files[0]).await.unwrap();
    assert_eq!(download.content_type(), Some("image/png"));
    let length = download.content_length();
    let mut image = Vec::new();
    while let Some(bytes) = within(download.next()).await {
        image.extend(bytes.unwrap());
    }
    assert!(image.starts_with(b"\x89PNG"));
    assert_eq!(length, Some(image.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_typed_and_end_with_the_end_of_the_job() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let job = runner.submit("test-progress", json!({"steps": 100, "delay_ms": 300})).await.unwrap();
    let mut stream = job.updates(WatchOptions::new().with_previews());
    let mut updates = Vec::new();
    // It runs until it has a preview, which comes with a step.
    while !updates.iter().any(|update| matches!(update, Update::Preview(_))) {
        updates.push(within(stream.next()).await.unwrap().unwrap());
    }
    simulator.skip_pauses();
    updates.extend(within(stream.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap));
    let (mut statuses, mut previews) = (Vec::new(), 0);
    for update in &updates {
        match update {
            Update::Message(message) => {
                let JobMessage::Progress(progress) = &**message else { panic!("{message:?}") };
                statuses.push(progress.data.status());
            }
            Update::Preview(preview) => {
                previews += 1;
                assert!(preview.image().image.starts_with(b"\xff\xd8"));
            }
            _ => {}
        }
    }
    assert!(statuses.contains(&Status::Running) && previews > 0, "{statuses:?}, {previews} previews");
    assert_eq!(statuses.last(), Some(&Status::Completed));
    let Some(Update::Event(end)) = updates.last() else { panic!("the event that ends the job") };
    assert!(end.kind.is_end());
    // After the end as well.
    let late: Vec<_> = within(job.updates(WatchOptions::new()).collect()).await;
    assert!(matches!(late.last(), Some(Ok(Update::Event(event))) if event.id == end.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiting_jobs_block_no_other_call() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let job = runner.submit("test-progress", endless()).await.unwrap();
    let waiting: Vec<_> = (0..600)
        .map(|_| {
            let job = job.clone();
            tokio::spawn(async move { job.wait().await })
        })
        .collect();
    until_running(&job).await;
    assert_eq!(within(job.status()).await.unwrap().status(), Status::Running);
    assert_eq!(within(job.cancel()).await.unwrap(), Status::Cancelled);
    for waiting in waiting {
        let error = within(waiting).await.unwrap().unwrap_err();
        assert!(matches!(error, RunnerError::Cancelled { .. }), "{error}");
    }
    assert!(matches!(job.cancel().await, Err(RunnerError::Cancel(_))), "it is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_file_is_an_input_of_a_later_job() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let first = runner.submit("text-to-image", small()).await.unwrap();
    let made = within(first.wait()).await.unwrap().files.remove(0);
    // From one stream into the other.
    let download = runner.download(&made).await.unwrap();
    let stored = runner.upload("fox.png", download).await.unwrap();
    assert!(stored.ends_with("_fox.png"), "{stored}");
    let params = json!({"prompt": "a blue fox", "_existing_input_image": stored});
    let second = runner.submit("image-to-image", params).await.unwrap();
    assert!(!within(second.wait()).await.unwrap().files.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_too_large_or_no_media_or_break_off_are_not_uploaded() {
    let simulator = simulator();
    let runner = Runner::builder(simulator.url()).max_upload(16).start().unwrap();
    let png = || Ok::<_, std::io::Error>(Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
    let upload = async |pieces: Vec<std::io::Result<Bytes>>| {
        within(runner.upload("a.png", stream::iter(pieces))).await.unwrap_err().to_string()
    };
    assert_eq!(upload(vec![png(), png()]).await, "the file \"a.png\" is larger than the limit of 16 bytes");
    assert!(upload(vec![Ok(Bytes::from_static(b"hello"))]).await.contains("upload an image"));
    let broken = upload(vec![png(), Err(std::io::Error::other("the disk is gone"))]).await;
    assert!(broken.ends_with("broke off: the disk is gone"), "{broken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_can_be_run_without_a_folder_of_workflows() {
    let simulator = simulator();
    let runner = Runner::builder(simulator.url()).start().unwrap();
    let graph = Graph::from_value(json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }));
    let job = runner.submit_graph("plate", graph.unwrap()).await.unwrap();
    assert_eq!(within(job.wait()).await.unwrap().files.len(), 1);
    assert!(matches!(runner.submit("text-to-image", json!({})).await, Err(RunnerError::NoWorkflows)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_typed_errors() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let unknown = runner.submit("text-to-imagine", json!({})).await.unwrap_err();
    assert!(matches!(&unknown, RunnerError::Workflow(_)), "{unknown:?}");
    assert!(unknown.to_string().contains("did you mean \"text-to-image\"?"), "{unknown}");
    let typo = runner.submit("text-to-image", json!({"promt": "a red fox"})).await.unwrap_err();
    assert!(matches!(&typo, RunnerError::Request(_)), "{typo:?}");
    assert!(typo.to_string().contains("promt"), "{typo}");
    let no_object = runner.submit("text-to-image", json!([1])).await.unwrap_err();
    assert!(matches!(no_object, RunnerError::Request(_)), "{no_object:?}");
    let no_job = runner.job("0a1b2c3d-0000-4000-8000-00000000000f").await.unwrap_err();
    assert!(matches!(no_job, RunnerError::Record(_)), "{no_job:?}");
    let file = OutputFile { filename: "gone.png".into(), subfolder: "".into(), kind: "output".into() };
    let no_file = runner.download(&file).await.unwrap_err();
    assert!(matches!(&no_file, RunnerError::NoFile(name) if name == "gone.png"), "{no_file:?}");
    let refused = Graph::from_value(json!({"1": {"class_type": "NoSuchNode", "inputs": {}}})).unwrap();
    let refused = runner.submit_graph("wrong", refused).await.unwrap_err();
    assert!(matches!(&refused, RunnerError::Submit(_)), "{refused:?}");
    assert!(refused.to_string().contains("NoSuchNode"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comfyui_that_is_down_is_an_error_of_the_call_and_not_of_the_start() {
    let runner = Runner::builder(NOTHING).workflows(workflows()).start().unwrap();
    let error = within(runner.submit("text-to-image", small())).await.unwrap_err();
    assert!(matches!(&error, RunnerError::Submit(_)), "{error:?}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[test]
fn wrong_options_are_errors_of_the_start() {
    let start = |url: &str| Runner::builder(url);
    assert!(matches!(start("no url").start(), Err(StartError::Url(_))));
    assert!(matches!(start(NOTHING).header("Host", "x").start(), Err(StartError::Config(_))));
    assert!(matches!(start(NOTHING).root_certificates("junk").start(), Err(StartError::Config(_))));
    assert!(matches!(start(NOTHING).workflows("/no/such/folder").start(), Err(StartError::Workflows(_))));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(start(NOTHING).state_dir(file.path()).start(), Err(StartError::Store(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_stops_ends_what_waits_for_it_with_an_error() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let job = runner.submit("test-progress", endless()).await.unwrap();
    let mut updates = job.updates(WatchOptions::new());
    within(updates.next()).await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let job = job.clone();
        async move { job.wait().await }
    });
    until_running(&job).await;
    within(runner.shutdown()).await.unwrap();
    assert!(matches!(within(waiting).await.unwrap(), Err(RunnerError::Stopped)));
    let rest: Vec<_> = within(updates.collect()).await;
    assert!(matches!(rest.last(), Some(Err(RunnerError::Stopped))), "{rest:?}");
    assert!(matches!(runner.submit("text-to-image", small()).await, Err(RunnerError::Stopped)));
    assert!(matches!(job.status().await, Err(RunnerError::Stopped)));
    within(runner.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_runs_on_is_found_again_after_a_restart() {
    let simulator = simulator();
    let state = tempfile::tempdir().unwrap();
    // The folder is in use until the thread of a runner that was dropped has ended.
    let start = || {
        let begun = std::time::Instant::now();
        loop {
            let runner = Runner::builder(simulator.url()).workflows(workflows()).state_dir(state.path());
            match runner.start() {
                Err(StartError::Store(StoreError::InUse)) if begun.elapsed() < STUCK => {}
                started => return started.unwrap(),
            }
        }
    };
    let first = start();
    let job = first
        .submit("test-progress", json!({"steps": 300, "delay_ms": 100, "preview": false}))
        .await
        .unwrap();
    let prompt_id = job.prompt_id().to_owned();
    until_running(&job).await;
    // Without a shutdown.
    drop((first, job));

    let second = start();
    let job = second.job(&prompt_id).await.unwrap();
    assert_eq!(job.submitted().seeds.len(), 1);
    simulator.skip_pauses();
    let result = within(job.wait()).await.unwrap();
    assert_eq!(result.files.len(), 1);
    // It is counted when its last message has been sent.
    within(async {
        while simulator.executed_prompts() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(simulator.executed_prompts(), 1, "it was not run twice");
    within(second.shutdown()).await.unwrap();

    // And after its end, from the store alone.
    let third = start();
    let job = third.job(&prompt_id).await.unwrap();
    assert_eq!(within(job.wait()).await.unwrap(), result);
}

#[test]
fn no_tokio_runtime_is_needed() {
    let simulator = simulator();
    let runner = runner(&simulator);
    let result = futures::executor::block_on(async {
        let job = runner.submit("text-to-image", small()).await.unwrap();
        job.wait().await
    });
    assert_eq!(result.unwrap().files.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_says_why() {
    let simulator = simulator();
    let runner = Runner::builder(simulator.url()).start().unwrap();
    let graph = Graph::from_value(json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "it broke"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }));
    let job = runner.submit_graph("fails", graph.unwrap()).await.unwrap();
    let error = within(job.wait()).await.unwrap_err();
    let RunnerError::Failed { prompt_id, reason } = error else { panic!("{error:?}") };
    assert_eq!(prompt_id, job.prompt_id());
    assert!(reason.contains("it broke"), "{reason}");
}
