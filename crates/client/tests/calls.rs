//! Calls that are answered as a whole, and every way in which an answer can be wrong.

mod support;

use std::time::Duration;

use comfy_runner_client::{
    Client, ClientError, JobState, Probe, PromptError, SocketEvent, Supported, Unreachable, Upload,
};
use comfy_runner_protocol::{Graph, PromptRequest};
use mockito::{Matcher, Server, ServerGuard};
use serde_json::{Value, json};
use support::raw::{raw, read_head};
use support::{client, config};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

async fn answering(method: &str, path: &str, status: usize, body: &str) -> (ServerGuard, Client) {
    let mut server = Server::new_async().await;
    let mock = server.mock(method, path).with_status(status).with_header("content-type", "application/json");
    mock.with_body(body).create_async().await;
    let client = client(&server.url());
    (server, client)
}

fn graph() -> Graph {
    Graph::from_value(json!({"1": {"class_type": "EmptyImage", "inputs": {}}})).unwrap()
}

async fn submit(client: &Client) -> Result<comfy_runner_protocol::PromptAccepted, PromptError> {
    let graph = graph();
    let request = PromptRequest::new(&graph, "c", "p");
    client.prompt(&request).await
}

#[actix_rt::test]
async fn a_prompt_is_sent_with_our_ids_and_configured_headers_below_the_prefix() {
    let mut server = Server::new_async().await;
    let mock = server
        .mock("POST", "/pod/7/prompt")
        .match_header("authorization", "Bearer hush")
        .match_header("content-type", Matcher::Regex("^application/json".into()))
        .match_body(Matcher::Json(json!({
            "prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}, "client_id": "c", "prompt_id": "p",
        })))
        .with_body(r#"{"prompt_id": "p", "number": 3, "node_errors": {}}"#)
        .create_async()
        .await;
    let url = format!("{}/pod/7/", server.url());
    let client = Client::new(config(&url).with_bearer("hush").unwrap()).unwrap();
    assert_eq!(submit(&client).await.unwrap().number, 3.0);
    mock.assert_async().await;
}

#[actix_rt::test]
async fn a_refused_prompt_comes_with_its_node_errors() {
    let refusal = json!({
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
        "node_errors": {"3": {"errors": [{"type": "value_not_in_list", "message": "no"}], "class_type": "K"}},
    });
    let (_server, client) = answering("POST", "/prompt", 400, &refusal.to_string()).await;
    let Err(PromptError::Refused(refused)) = submit(&client).await else { panic!("a refusal") };
    assert_eq!(refused.node_errors["3"].errors[0].kind, "value_not_in_list");
}

#[actix_rt::test]
async fn a_prompt_accepted_in_part_is_accepted_with_its_node_errors() {
    let reply =
        json!({"prompt_id": "p", "number": 1, "node_errors": {"5": {"errors": [], "class_type": "K"}}});
    let (_server, client) = answering("POST", "/prompt", 200, &reply.to_string()).await;
    assert_eq!(submit(&client).await.unwrap().node_errors.keys().collect::<Vec<_>>(), ["5"]);
}

#[actix_rt::test]
async fn a_400_that_is_not_comfyuis_is_no_refusal() {
    let (_server, client) = answering("POST", "/prompt", 400, "<html>bad gateway says no</html>").await;
    let Err(PromptError::Client(error)) = submit(&client).await else { panic!("an error") };
    assert_eq!(error.status(), Some(400));
}

#[actix_rt::test]
async fn a_server_error_is_told_by_status_and_never_by_its_body() {
    let mut server = Server::new_async().await;
    server
        .mock("GET", "/queue")
        .with_status(502)
        .with_header("content-type", "text/html; charset=utf-8")
        .with_body("<html>secret-hostname nginx</html>")
        .create_async()
        .await;
    let error = client(&server.url()).queue().await.unwrap_err();
    assert_eq!(error.status(), Some(502));
    assert_eq!(
        error.to_string(),
        format!(
            "ComfyUI at {} answered GET /queue with 502 (an HTML page; a proxy's, it seems)",
            server.host_with_port()
        )
    );
}

#[actix_rt::test]
async fn a_page_where_json_should_be_is_said_to_be_one() {
    let mut server = Server::new_async().await;
    server
        .mock("GET", "/queue")
        .with_header("content-type", "text/html")
        .with_body("<html>")
        .create_async()
        .await;
    let error = client(&server.url()).queue().await.unwrap_err().to_string();
    assert!(error.contains("is this URL really ComfyUI's?") && !error.contains("<html>"), "{error}");
}

#[actix_rt::test]
async fn json_of_another_shape_says_what_does_not_fit() {
    let (_server, client) =
        answering("GET", "/queue", 200, r#"{"queue_running": 3, "queue_pending": []}"#).await;
    let error = client.queue().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreadable { .. }));
    assert!(error.to_string().contains("`queue_running` is not a list"), "{error}");
}

#[actix_rt::test]
async fn a_port_where_nobody_listens_is_refused_at_once() {
    // The socket does not listen, and keeps others from the port.
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = refusing.local_addr().unwrap();
    let error = client(&format!("http://{address}")).system_stats().await.unwrap_err();
    assert_eq!(
        error,
        ClientError::Unreachable { address: address.to_string(), reason: Unreachable::Refused }
    );
    assert!(error.is_unreachable() && error.to_string().contains("connection refused"));
}

#[actix_rt::test]
async fn a_host_that_does_not_exist_is_said_not_to() {
    let error = client("http://no-such-host.invalid:8188").queue().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { reason: Unreachable::UnknownHost, .. }), "{error}");
}

#[actix_rt::test]
async fn a_server_that_never_answers_is_given_up() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        std::future::pending::<()>().await;
    })
    .await;
    let error = client(&url).with_reply_timeout(Duration::from_millis(50)).queue().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }));
    assert!(error.to_string().ends_with("did not answer GET /queue within 0.05 s"), "{error}");
}

#[actix_rt::test]
async fn a_server_that_stops_in_the_middle_of_its_answer_is_given_up() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"queue").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let error = client(&url).with_reply_timeout(Duration::from_millis(50)).queue().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[actix_rt::test]
async fn an_answer_that_is_cut_short_is_no_answer() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        // What came would be good JSON.
        let cut =
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"queue_running\": [], \"queue_pending\": []}";
        socket.write_all(cut).await.unwrap();
    })
    .await;
    let error = client(&url).queue().await.unwrap_err();
    assert!(matches!(error, ClientError::BrokenOff { .. }), "{error}");
}

#[actix_rt::test]
async fn what_speaks_no_http_is_told_so() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await.unwrap();
    })
    .await;
    let error = client(&url).queue().await.unwrap_err();
    assert!(
        matches!(error, ClientError::BrokenOff { .. }) && error.to_string().contains("no HTTP"),
        "{error}"
    );
}

#[actix_rt::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n{").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let error = client(&url).object_info().await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

#[actix_rt::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_no_error_for_a_question() {
    let answer = r#"{"queue_running": [], "queue_pending": []}"#;
    let url = raw(move |number, mut socket| async move {
        // The second question on the first connection is answered by closing it.
        read_head(&mut socket).await;
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        socket.write_all(reply.as_bytes()).await.unwrap();
        if number == 0 {
            read_head(&mut socket).await;
        } else {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let client = client(&url);
    client.queue().await.unwrap();
    client.queue().await.unwrap();
}

#[actix_rt::test]
async fn a_prompt_is_never_sent_twice() {
    let url = raw(move |number, mut socket| async move {
        read_head(&mut socket).await;
        if number > 0 {
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"prompt_id\": \"p\"}";
            socket.write_all(reply).await.unwrap();
        }
    })
    .await;
    let Err(PromptError::Client(error)) = submit(&client(&url)).await else { panic!("an error") };
    assert!(matches!(error, ClientError::BrokenOff { .. }) && !error.is_unreachable(), "{error}");
}

#[actix_rt::test]
async fn redirects_are_not_followed_but_told_without_their_query() {
    let mut server = Server::new_async().await;
    let login = "https://login.example.org/in?token=secret";
    server.mock("GET", "/queue").with_status(302).with_header("location", login).create_async().await;
    let error = client(&server.url()).queue().await.unwrap_err().to_string();
    assert!(
        error.ends_with("with 302: it redirects to https://login.example.org; write the final URL"),
        "{error}"
    );
}

#[actix_rt::test]
async fn an_unknown_prompt_has_no_history_and_no_id_can_leave_its_place() {
    let mut server = Server::new_async().await;
    let empty = server.mock("GET", Matcher::Any).with_body("{}").expect(2).create_async().await;
    let client = client(&server.url());
    for id in ["gone", "..", ".", "", "../queue?x=1"] {
        assert_eq!(client.history(id).await.unwrap(), None);
    }
    empty.assert_async().await;
    let inside = Matcher::Regex("^/history/(gone|..%2Fqueue%3Fx%3D1)$".into());
    server.mock("GET", inside).with_body("{}").create_async().await;
    assert_eq!(client.history("../queue?x=1").await.unwrap(), None);
}

#[actix_rt::test]
async fn the_history_of_a_prompt_is_its_entry() {
    let entry =
        json!({"p": {"prompt": [], "outputs": {}, "status": {"status_str": "success", "completed": true}}});
    let (_server, client) = answering("GET", "/history/p", 200, &entry.to_string()).await;
    assert!(client.history("p").await.unwrap().unwrap().succeeded());
}

#[actix_rt::test]
async fn interrupting_and_deleting_name_the_one_prompt() {
    let mut server = Server::new_async().await;
    let interrupt = server.mock("POST", "/interrupt").match_body(Matcher::Json(json!({"prompt_id": "p"})));
    let interrupt = interrupt.create_async().await;
    let delete = server.mock("POST", "/queue").match_body(Matcher::Json(json!({"delete": ["q"]})));
    let delete = delete.create_async().await;
    let client = client(&server.url());
    client.interrupt("p").await.unwrap();
    client.delete_pending("q").await.unwrap();
    interrupt.assert_async().await;
    delete.assert_async().await;
}

#[actix_rt::test]
async fn node_schemas_of_a_real_comfyui_are_read() {
    let path = format!("{}/../../fixtures/object_info/0.3.64.json", env!("CARGO_MANIFEST_DIR"));
    let (_server, client) =
        answering("GET", "/object_info", 200, &std::fs::read_to_string(path).unwrap()).await;
    assert_eq!(client.object_info().await.unwrap().len(), 478);
}

#[actix_rt::test]
async fn system_stats_tell_the_version() {
    let stats = json!({"system": {"comfyui_version": "0.3.64", "argv": []}, "devices": [{"name": "cpu"}]});
    let (_server, client) = answering("GET", "/system_stats", 200, &stats.to_string()).await;
    assert_eq!(client.system_stats().await.unwrap().comfyui_version(), Some("0.3.64"));
}

#[actix_rt::test]
async fn nan_and_infinity_of_others_are_read_as_null() {
    let entry = r#"{"p": {"prompt": [1, "p", {"1": {"inputs": {"value": NaN}}}, {}, []], "outputs": {},
        "status": {"status_str": "error", "completed": false, "messages": [
            ["execution_error", {"node_id": "1", "exception_message": "NaN!", "current_inputs": {"value": [-Infinity]}}]]}}}"#;
    let (_server, client) = answering("GET", "/history/p", 200, entry).await;
    let entry = client.history("p").await.unwrap().unwrap();
    assert_eq!(entry.error().unwrap().exception_message, "NaN!");
    assert_eq!(entry.prompt[2]["1"]["inputs"]["value"], Value::Null);

    let queue =
        r#"{"queue_running": [[NaN, "a", {"1": {"inputs": {"value": NaN}}}, {}, []]], "queue_pending": []}"#;
    let (_server, client) = answering("GET", "/queue", 200, queue).await;
    assert!(client.queue().await.unwrap().is_running("a"));
}

/// Answers `GET /queue` with 80 prompts of 1 MiB each, as they are read.
async fn large_queue() -> String {
    raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let mut send = async |piece: &[u8]| {
            socket.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
            socket.write_all(piece).await.unwrap();
            socket.write_all(b"\r\n").await.unwrap();
        };
        let text = vec![b'x'; 1 << 20];
        for number in 0..80 {
            let begin = if number == 0 { r#"{"queue_running": [], "queue_pending": ["# } else { "," };
            send(format!("{begin}[{number}, \"p{number}\", {{\"1\": \"").as_bytes()).await;
            send(&text).await;
            send(b"\"}, {}, []]").await;
        }
        send(b"]}").await;
        send(b"").await;
    })
    .await
}

#[actix_rt::test]
async fn a_queue_of_large_graphs_is_read_for_its_ids() {
    let queue = client(&large_queue().await).queue().await.unwrap();
    assert_eq!(queue.queue_pending.len(), 80);
    assert!(queue.is_pending("p79"));
}

#[actix_rt::test]
async fn a_queue_that_ends_in_the_middle_is_an_error() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 48\r\n\r\n{\"queue_running\": [], \"queue_pending\": [[1, \"a\"   ";
        socket.write_all(reply).await.unwrap();
    })
    .await;
    let error = client(&url).queue().await.unwrap_err();
    assert!(matches!(error, ClientError::BrokenOff { .. }), "{error}");
}

#[actix_rt::test]
async fn a_history_of_millions_of_values_is_not_held() {
    let values = "0,".repeat(1_000_000);
    let entry = format!(r#"{{"p": {{"outputs": {{"1": {{"text": [{values}0]}}}}}}}}"#);
    let (_server, client) = answering("GET", "/history/p", 200, &entry).await;
    let error = client.history("p").await.unwrap_err();
    assert!(error.to_string().contains("it holds more than 1000000 values"), "{error}");
}

#[actix_rt::test]
async fn one_job_is_asked_for_where_comfyui_can_say() {
    let state = async |status, body: &str| {
        let (_server, client) = answering("GET", "/api/jobs/p", status, body).await;
        client.job_state("p").await
    };
    for (status, expected) in [
        ("pending", JobState::Pending),
        ("in_progress", JobState::InProgress),
        ("completed", JobState::Ended),
        ("failed", JobState::Ended),
        ("cancelled", JobState::Ended),
    ] {
        let body = json!({"id": "p", "status": status, "priority": 3}).to_string();
        assert_eq!(state(200, &body).await, Ok(Supported::Yes(expected)));
    }
    let unknown = r#"{"error": "Job not found"}"#;
    assert_eq!(state(404, unknown).await, Ok(Supported::Yes(JobState::Unknown)));
    // Older versions.
    assert_eq!(state(404, "404: Not Found").await, Ok(Supported::No));
    assert_eq!(state(405, "405: Method Not Allowed").await, Ok(Supported::No));
    assert!(state(200, r#"{"status": "dreaming"}"#).await.is_err());
    assert!(state(500, "").await.is_err());
}

#[actix_rt::test]
async fn one_job_is_cancelled_where_comfyui_can() {
    let cancel = async |status, body: &str| {
        let (_server, client) = answering("POST", "/api/jobs/p/cancel", status, body).await;
        client.cancel_job("p").await
    };
    assert_eq!(cancel(200, r#"{"cancelled": false}"#).await, Ok(Supported::Yes(())));
    assert_eq!(cancel(405, "405: Method Not Allowed").await, Ok(Supported::No));
    assert!(cancel(500, "").await.is_err());
}

#[actix_rt::test]
async fn a_probe_asks_once_for_many_and_names_no_address() {
    let mut server = Server::new_async().await;
    let one = server.mock("GET", "/prompt").with_body(r#"{"exec_info": {"queue_remaining": 7}}"#).expect(1);
    let one = one.create_async().await;
    let (probe, client) = (Probe::new(Duration::from_secs(3600)), client(&server.url()));
    let answers = futures::future::join_all((0..100).map(|_| probe.check(&client))).await;
    assert!(answers.iter().all(Result::is_ok));
    one.assert_async().await;

    let away = support::client("http://127.0.0.1:9");
    let error = Probe::default().check(&away).await.unwrap_err();
    assert_eq!(
        error.without_address(),
        "ComfyUI cannot be reached: connection refused (is ComfyUI running, and is this its port?)"
    );
}

#[actix_rt::test]
async fn a_url_that_is_not_comfyuis_root_is_told_apart_from_a_comfyui() {
    let stats = json!({"system": {"comfyui_version": "0.33.0"}, "devices": []}).to_string();
    let (_server, comfyui) = answering("GET", "/system_stats", 200, &stats).await;
    assert_eq!(comfyui.identify().await.unwrap().comfyui_version(), Some("0.33.0"));

    for (status, content_type, body, answer) in [
        (404, "text/plain", "404: Not Found", "404"),
        (405, "text/plain", "405: Method Not Allowed", "405"),
        (200, "text/html", "<html>", "an HTML page"),
        (200, "application/json", r#"{"system": 3}"#, "200, but not ComfyUI's answer"),
    ] {
        let mut server = Server::new_async().await;
        let mock = server.mock("GET", "/prompt/system_stats").with_status(status);
        mock.with_header("content-type", content_type).with_body(body).create_async().await;
        let url = format!("{}/prompt", server.url());
        let error = client(&url).identify().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{url} does not look like a ComfyUI (GET {url}/system_stats: {answer}); give its root URL"
            )
        );
        assert_eq!(
            error.without_address(),
            format!(
                "the configured URL does not look like a ComfyUI (GET /system_stats: {answer}); give its root URL"
            )
        );
    }
}

#[actix_rt::test]
async fn every_call_to_a_wrong_url_ends_with_the_error_that_says_so() {
    let mut server = Server::new_async().await;
    server.mock("GET", Matcher::Any).with_status(404).with_body("404: Not Found").create_async().await;
    server.mock("POST", Matcher::Any).with_status(405).create_async().await;
    let client = client(&format!("{}/prompt", server.url()));
    let upload = Upload::new("a.png", "image/png");
    let file = || futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"PNG"))]);
    let Err(PromptError::Client(prompt)) = submit(&client).await else { panic!("an error") };
    for error in [
        prompt,
        client.ping().await.unwrap_err(),
        client.queue().await.unwrap_err(),
        client.object_info().await.unwrap_err(),
        client.history("p").await.unwrap_err(),
        client.interrupt("p").await.unwrap_err(),
        client.upload(&upload, file()).await.unwrap_err(),
    ] {
        assert!(error.is_not_comfyui() && error.to_string().contains("give its root URL"), "{error}");
    }
    let reason = match client.events("c").next().await {
        Some(SocketEvent::Disconnected { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason.contains("give its root URL"), "{reason}");
}

#[actix_rt::test]
async fn a_status_that_a_proxy_gives_for_a_comfyui_that_is_down_says_nothing_about_the_url() {
    for status in [401, 403, 500, 502, 503] {
        let (_server, client) = answering("GET", "/system_stats", status, "<html>").await;
        let error = client.identify().await.unwrap_err();
        assert!(error.status() == Some(status as u16) && !error.is_not_comfyui(), "{error}");
    }
    let error = client("http://127.0.0.1:9").identify().await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}

#[actix_rt::test]
async fn a_comfy_runner_is_recognised_behind_any_path() {
    let mut server = Server::new_async().await;
    let health = r#"{"status": "ok", "program": "comfy-runner", "version": "1.0.0"}"#;
    let mock = server.mock("GET", "/health").with_header("content-type", "application/json");
    mock.with_body(health).create_async().await;
    server.mock("GET", Matcher::Regex("system_stats$".into())).with_status(404).create_async().await;
    for url in [server.url(), format!("{}/api", server.url())] {
        let error = client(&url).identify().await.unwrap_err();
        assert_eq!(error, ClientError::ComfyRunner { url: url.clone() });
        assert!(error.to_string().starts_with(&format!("{url} is a comfy-runner server, not a ComfyUI")));
        assert!(error.without_address().starts_with("the configured URL is a comfy-runner"), "{error}");
    }
}
