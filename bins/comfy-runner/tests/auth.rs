//! Who may call, and the id that each answer carries.

mod support;

use std::sync::Arc;

use comfy_runner::server::{AuthConfigError, Server, Settings, StartError};
use comfy_runner_workflow::Workflows;
use support::{Api, fixtures, settings};

/// Every path of the API, with its method.
const PATHS: [(&str, &str); 13] = [
    ("GET", "/api/workflows"),
    ("GET", "/api/run/text-to-image"),
    ("POST", "/api/run/upload-image"),
    ("POST", "/api/run/text-to-image/build"),
    ("POST", "/api/run/text-to-image/execute"),
    ("GET", "/api/run/status/x"),
    ("GET", "/api/run/result/x"),
    ("HEAD", "/api/run/result/x"),
    ("GET", "/api/run/ws"),
    ("GET", "/api/run/events/x"),
    ("GET", "/api/run/preview/x"),
    ("POST", "/api/run/cancel/x"),
    ("GET", "/api/comfyui/view?filename=a.png"),
];

fn with_keys(keys: &[&str]) -> Settings {
    let mut settings = settings("http://127.0.0.1:9");
    settings.api_keys = keys.iter().map(|&key| key.into()).collect();
    // What happens to a single wrong key is tested with many.
    settings.limits.failed_keys_per_minute = u32::MAX;
    settings
}

fn start(keys: &[&str]) -> Api {
    Api::start_with(&with_keys(keys), &fixtures().join("workflows"))
}

fn request(method: &str, path: &str, header: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{header}\r\n")
        .into_bytes()
}

#[actix_rt::test]
async fn every_path_of_the_api_wants_a_key_and_says_which_header_has_it() {
    let api = start(&["right", "also-right"]);
    let unknown = [
        ("GET", "/api"),
        ("GET", "/api/nowhere"),
        ("DELETE", "/api/run/text-to-image"),
        ("OPTIONS", "/api/workflows"),
    ];
    for (method, path) in PATHS.iter().chain(&unknown) {
        for header in [
            "",
            "X-API-Key: \r\n",
            "X-API-Key: wrong\r\n",
            "X-API-Key: righ\r\n",
            "X-API-Key: right2\r\n",
            "X-API-Key: RIGHT\r\n",
            "X-API-Key: right,also-right\r\n",
            "Authorization: Bearer wrong\r\n",
            "Cookie: comfy_runner_session=right\r\n",
            "Authorization: Bearer righ\r\n",
            "Authorization: Basic right\r\n",
            "Cookie: X-API-Key=right\r\n",
        ] {
            let reply = api.send_raw(&request(method, path, header)).await;
            assert_eq!(reply.status, 401, "{method} {path} {header}");
            if *method != "HEAD" {
                let detail = reply.detail();
                assert!(detail.contains("X-API-Key") && !detail.contains("right"), "{detail}");
            }
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn every_key_opens_every_path() {
    let api = start(&["right", "also-right"]);
    let bearer = api.get_with("/api/workflows", &[("authorization", "Bearer also-right")]).await;
    assert_eq!(bearer.status, 200);
    for (method, path) in PATHS {
        for key in ["right", "also-right"] {
            let reply = api.send_raw(&request(method, path, &format!("x-api-key: {key}\r\n"))).await;
            assert_ne!(reply.status, 401, "{method} {path} {key}");
        }
    }
    assert_eq!(api.get_with("/api/workflows", &[("X-API-Key", "right")]).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn a_wrong_key_is_refused_before_anything_is_told_of_the_request() {
    let api = start(&["right"]);
    // Neither a body that cannot be read nor a workflow that is not there makes a difference.
    let reply = api.post_body("/api/run/none/execute", "text/plain".into(), "junk").await;
    assert_eq!(reply.status, 401);
    let known = api.get("/api/run/text-to-image").await.detail();
    assert_eq!(known, api.get("/api/run/none").await.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn health_and_readiness_are_open() {
    let api = start(&["right"]);
    assert_eq!(api.get("/health").await.status, 200);
    let ready = api.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.detail(),
        "ComfyUI cannot be reached: connection refused (is ComfyUI running, and is this its port?)"
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_server_without_keys_starts_on_loopback_only() {
    let workflows = Arc::new(Workflows::open(fixtures().join("workflows")).unwrap());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let open = Settings { listen: address.parse().unwrap(), ..with_keys(&[]) };
        let Err(error) = Server::bind(&open, Arc::clone(&workflows)) else { panic!("{address} was bound") };
        assert!(matches!(error, StartError::Auth(AuthConfigError::OpenToTheWorld(_))), "{error}");
        let text = error.to_string();
        assert!(text.contains("COMFY_RUNNER_API_KEY") && text.contains("127.0.0.1"), "{text}");
    }
    for key in ["", "two words", "schlüssel"] {
        let error = Server::bind(&with_keys(&[key]), Arc::clone(&workflows)).err().expect("a bad key");
        assert!(matches!(error, StartError::Auth(AuthConfigError::BadKey(_))), "{error}");
    }
    let keyed = Settings { listen: "0.0.0.0:0".parse().unwrap(), ..with_keys(&["right"]) };
    assert!(Server::bind(&keyed, workflows).is_ok());
}

#[actix_rt::test]
async fn an_address_that_is_taken_is_said_to_be() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = Settings { listen: address, ..with_keys(&[]) };
    let workflows = Arc::new(Workflows::open(fixtures().join("workflows")).unwrap());
    let error = Server::bind(&settings, workflows).err().expect("the address is taken").to_string();
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
}

#[actix_rt::test]
async fn without_a_key_pages_of_other_sites_are_kept_out() {
    let api = start(&[]);
    let own = api.base.clone();
    for (method, path) in PATHS {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"]
        {
            let reply = api.send_raw(&request(method, path, &format!("Origin: {origin}\r\n"))).await;
            assert_eq!(reply.status, 403, "{method} {path} {origin}");
            if method != "HEAD" {
                assert!(reply.detail().contains("API key"), "{}", reply.detail());
            }
        }
    }
    assert_eq!(api.get_with("/api/workflows", &[("origin", &own)]).await.status, 200);
    assert_eq!(api.get("/api/workflows").await.status, 200);
    // Requests without an Origin (an image, a link) are distinguished by `Sec-Fetch-Site`.
    for site in ["cross-site", "same-site"] {
        let reply = api.get_with("/api/workflows", &[("sec-fetch-site", site)]).await;
        assert_eq!(reply.status, 403, "{site}");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(api.get_with("/api/workflows", &[("sec-fetch-site", site)]).await.status, 200, "{site}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn without_a_key_a_name_that_somebody_points_at_this_machine_is_not_answered() {
    let api = start(&[]);
    let port = api.base.rsplit(':').next().unwrap().to_owned();
    for host in ["rebound.example".to_owned(), format!("rebound.example:{port}"), "192.0.2.1".to_owned()] {
        let request = format!(
            "GET /api/workflows HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
        );
        let reply = api.send_raw(request.as_bytes()).await;
        assert_eq!(reply.status, 403, "{host}");
    }
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        "localhost".to_owned(),
    ] {
        let request = format!("GET /api/workflows HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(api.send_raw(request.as_bytes()).await.status, 200, "{host}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn with_a_key_other_sites_may_call() {
    let api = start(&["right"]);
    let headers =
        [("x-api-key", "right"), ("origin", "https://frontend.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(api.get_with("/api/workflows", &headers).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn every_answer_carries_a_request_id_and_only_a_harmless_one_comes_back() {
    let api = start(&["right"]);
    for path in ["/health", "/ready", "/nowhere", "/api/workflows", "/api/nowhere", "/api/comfyui/view"] {
        let first = api.get(path).await;
        let second = api.get(path).await;
        let (first, second) = (first.header("x-request-id"), second.header("x-request-id"));
        assert!(first.len() == 16 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{path}: {first}");
        assert_ne!(first, second);
    }
    let ours = "job-7_a.b".to_owned();
    let longest = "a".repeat(64);
    for id in [&ours, &longest] {
        assert_eq!(api.get_with("/health", &[("x-request-id", id)]).await.header("x-request-id"), id);
    }
    let too_long = "a".repeat(65);
    for id in ["", "two words", "a\"b", "<b>", "a;b", &too_long] {
        let reply = api.get_with("/health", &[("x-request-id", id)]).await;
        assert_ne!(reply.header("x-request-id"), id);
        assert_eq!(reply.header("x-request-id").len(), 16);
    }
    api.stop().await;
}
