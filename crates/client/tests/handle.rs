//! The handle, from tokio's own runtime with several threads.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use comfy_runner_client::{ClientError, ClientHandle};
use comfy_runner_protocol::{Graph, OutputFile};
use mockito::{Matcher, Server};
use serde_json::json;
use support::config;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_many_threads_are_answered() {
    let mut server = Server::new_async().await;
    let queue = json!({"queue_running": [[1, "p", {}, {}, []]], "queue_pending": []});
    server.mock("GET", "/queue").with_body(queue.to_string()).create_async().await;
    let handle = ClientHandle::start(config(&server.url())).unwrap();
    let calls = (0..50).map(|_| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.queue().await })
    });
    for call in calls {
        assert!(call.await.unwrap().unwrap().is_running("p"));
    }
}

#[tokio::test]
async fn prompts_uploads_and_files_go_through_it() {
    let mut server = Server::new_async().await;
    server.mock("POST", "/prompt").with_body(r#"{"prompt_id": "p", "number": 1}"#).create_async().await;
    server
        .mock("POST", "/upload/image")
        .match_body(Matcher::Regex("content".into()))
        .with_body(r#"{"name": "a.png", "subfolder": "", "type": "input"}"#)
        .create_async()
        .await;
    let file = vec![b'x'; 3_000_000];
    server.mock("GET", Matcher::Regex("^/view".into())).with_body(&file).create_async().await;
    let handle = ClientHandle::start(config(&server.url())).unwrap();

    let graph = Arc::new(Graph::default());
    let accepted = handle.prompt(graph, "c".into(), "p".into(), None).await.unwrap();
    assert_eq!(accepted.prompt_id, "p");
    let uploaded = handle.upload("a.png".into(), "image/png".into(), Bytes::from("content")).await.unwrap();
    assert_eq!(uploaded.reference(), "a.png");
    let asked = OutputFile { filename: "f.png".into(), subfolder: "".into(), kind: "output".into() };
    let mut reply = handle.view(asked).await.unwrap();
    // The file is read to its end although no handle is left.
    drop(handle);
    let mut length = 0;
    while let Some(piece) = reply.body.recv().await {
        length += piece.unwrap().len();
    }
    assert_eq!((reply.status.as_u16(), length), (200, file.len()));
}

#[tokio::test]
async fn anything_can_be_run_where_the_client_lives_and_events_come_out() {
    let server = Server::new_async().await;
    let handle = ClientHandle::start(config(&server.url())).unwrap();
    let address = handle.run(async |client| client.config().endpoint.address().to_owned()).await.unwrap();
    assert_eq!(address, server.host_with_port());
    let mut events = handle.events("c".into()).await.unwrap();
    // Nobody mocked `/ws`.
    assert!(matches!(events.next().await, Some(comfy_runner_client::SocketEvent::Disconnected { .. })));
    drop(handle);
    assert_eq!(events.next().await, None, "the thread ends with its last handle");
}

#[tokio::test]
async fn a_job_whose_caller_no_longer_waits_is_dropped() {
    let handle = ClientHandle::start(config("http://127.0.0.1:9")).unwrap();
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let waiting = handle.run(async move |_| {
        let _held = held;
        std::future::pending::<()>().await;
    });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), waiting).await.is_err());
    dropped.await.unwrap_err();
}

#[tokio::test]
async fn a_job_that_panics_fails_alone() {
    let handle = ClientHandle::start(config("http://127.0.0.1:9")).unwrap();
    let panicked = handle.run(async |_| -> () { panic!("a job's own fault") }).await;
    assert_eq!(panicked, Err(ClientError::Closed));
    assert_eq!(handle.run(async |_| 7).await, Ok(7));
}
