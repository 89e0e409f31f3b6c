//! What every path does: its methods, HEAD, the headers for browsers, and errors of a bounded length.

mod support;

use serde_json::json;
use support::{Api, Reply, fixtures, settings, simulator};

async fn ask(api: &Api, method: &str, path: &str) -> Reply {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    api.send_raw(request.as_bytes()).await
}

fn start(comfyui: &str) -> Api {
    Api::start_with(&settings(comfyui), &fixtures().join("workflows"))
}

/// Every path of the server, and the methods that it has.
const PATHS: [(&str, &str); 26] = [
    ("/health", "GET, HEAD"),
    ("/ready", "GET, HEAD"),
    ("/api/session", "GET, HEAD, POST, DELETE"),
    ("/api/workflows", "GET, HEAD"),
    ("/api/workflows/no-model", "PUT"),
    ("/api/workflows/no-model/check", "GET, HEAD"),
    ("/api/files", "GET, HEAD"),
    ("/api/files/a.png", "DELETE"),
    ("/api/models", "GET, HEAD"),
    ("/api/models/loras", "GET, HEAD"),
    ("/api/comfyui/view?filename=a.png", "GET, HEAD"),
    ("/api/queue", "GET, HEAD"),
    ("/api/jobs", "GET, HEAD"),
    ("/api/jobs/x", "GET, HEAD, DELETE"),
    ("/api/jobs/x/retry", "POST"),
    ("/api/jobs/x/files", "GET, HEAD"),
    ("/api/jobs/x/package", "GET, HEAD"),
    ("/api/run/upload-image", "POST"),
    ("/api/run/status/x", "GET, HEAD"),
    ("/api/run/result/x", "GET, HEAD"),
    ("/api/run/cancel/x", "POST"),
    ("/api/run/ws", "GET, HEAD"),
    ("/api/run/events/x", "GET, HEAD"),
    ("/api/run/preview/x", "GET, HEAD"),
    ("/api/run/text-to-image/build", "POST"),
    ("/api/run/text-to-image/execute", "POST"),
];

#[actix_rt::test]
async fn a_method_that_a_path_does_not_have_is_405_and_allow_names_those_that_it_has() {
    let api = start("http://127.0.0.1:9");
    for (path, allowed) in PATHS.into_iter().chain([("/api/run/text-to-image", "GET, HEAD")]) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let reply = ask(&api, method, path).await;
            if allowed.split(", ").any(|allowed| allowed == method) {
                assert_ne!(reply.status, 405, "{method} {path}");
                continue;
            }
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), allowed, "{method} {path}");
            if method != "HEAD" {
                let usable = format!("use {}", allowed.replace(", ", " or "));
                assert!(
                    reply.detail().contains(method) && reply.detail().contains(&usable),
                    "{}",
                    reply.detail()
                );
            }
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn head_is_answered_as_get_is_without_the_body() {
    let simulator = simulator();
    let api = start(&simulator.url());
    let job = api.execute("no-model", json!({})).await;
    let id = job["prompt_id"].as_str().unwrap();
    api.wait(id).await;
    let of_job =
        ["jobs/ID", "jobs/ID/files", "jobs/ID/package", "run/status/ID", "run/result/ID", "run/events/ID"];
    let of_job = of_job.map(|path| format!("/api/{}", path.replace("ID", id)));
    let paths =
        PATHS.iter().filter(|(_, methods)| methods.starts_with("GET")).map(|(path, _)| (*path).to_owned());
    for path in paths.chain(of_job).chain(["/api/run/text-to-image".to_owned()]) {
        let (get, head) = (ask(&api, "GET", &path).await, ask(&api, "HEAD", &path).await);
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}: {}", head.text());
        if path == "/api/run/ws" {
            // Both are 400: a WebSocket is opened with GET and an upgrade, and the answer says which of them is missing.
            continue;
        }
        for name in ["content-type", "content-length", "content-disposition"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn head_of_a_package_says_whether_comfyui_has_its_files_and_head_of_a_stream_of_events_ends() {
    let simulator = simulator();
    let api = start(&simulator.url());
    let job = api.execute("no-model", json!({})).await;
    let id = job["prompt_id"].as_str().unwrap();
    api.wait(id).await;
    let package = format!("/api/jobs/{id}/package");
    let head = ask(&api, "HEAD", &package).await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "application/zip"));
    drop(simulator);
    assert_eq!(ask(&api, "HEAD", &package).await.status, 502);
    api.stop().await;

    let slow = support::simulator();
    let api = start(&slow.url());
    let job = api.execute("test-progress", json!({"steps": 10_000, "delay_ms": 20, "seed": 1})).await;
    let id = job["prompt_id"].as_str().unwrap();
    let head = ask(&api, "HEAD", &format!("/api/run/events/{id}")).await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/event-stream"));
    api.stop().await;
}

#[actix_rt::test]
async fn every_answer_tells_browsers_not_to_guess_share_or_run() {
    let api = start("http://127.0.0.1:9");
    for (path, _) in PATHS.into_iter().chain([("/nowhere", ""), ("/api/nowhere", "")]) {
        for method in ["GET", "PUT"] {
            let reply = ask(&api, method, path).await;
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{method} {path}");
            assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{method} {path}");
            assert_eq!(
                reply.header("content-security-policy"),
                "sandbox allow-same-origin",
                "{method} {path}"
            );
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn an_error_repeats_a_bounded_part_of_what_was_sent() {
    let api = start("http://127.0.0.1:9");
    let long = "x".repeat(40_000);
    for (method, path) in [
        ("GET", format!("/{long}")),
        ("GET", format!("/api/{long}")),
        ("GET", format!("/api/run/{long}")),
        ("GET", format!("/api/jobs?status={long}")),
        ("GET", format!("/api/jobs?limit={long}")),
        ("PUT", format!("/api/jobs/{long}")),
        ("POST", format!("/api/run/text-to-image/build?format={long}")),
        (&long[..100], "/api/jobs".to_owned()),
    ] {
        let reply = ask(&api, method, &path).await;
        assert!(reply.status.is_client_error() || reply.status == 500, "{}", reply.status);
        assert!(
            reply.detail().len() <= 8300 && reply.detail().contains(" more bytes)"),
            "{}",
            reply.detail()
        );
    }
    api.stop().await;
}
