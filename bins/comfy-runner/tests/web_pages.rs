//! What pages of other origins may do: CORS and tokens.

mod support;

use actix_web::http::StatusCode;
use comfy_runner::server::{AllowedOrigins, Settings};
use serde_json::{Value, json};
use support::{Api, Reply, fixtures, settings, simulator};

const APP: &str = "https://app.example";

fn with_origins(comfyui: &str, origins: &[&str], keys: &[&str]) -> Settings {
    Settings {
        allow_origins: AllowedOrigins::new(origins.iter().map(|origin| origin.parse().unwrap()).collect()),
        api_keys: keys.iter().map(|&key| key.into()).collect(),
        ..settings(comfyui)
    }
}

fn start(origins: &[&str], keys: &[&str]) -> Api {
    Api::start_with(&with_origins("http://127.0.0.1:9", origins, keys), &fixtures().join("workflows"))
}

async fn preflight(api: &Api, path: &str, origin: &str, headers: &str) -> Reply {
    api.send_raw(
        format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: {headers}\r\n\r\n"
        )
        .as_bytes(),
    )
    .await
}

async fn token(api: &Api, key: &str, body: Value) -> Reply {
    let request = api.http.post(format!("{}/api/token", api.base)).insert_header(("X-API-Key", key));
    Reply::from_response(request.send_json(&body).await.unwrap()).await
}

async fn issue(api: &Api, body: Value) -> String {
    let reply = token(api, "key", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["token"].as_str().unwrap().to_owned()
}

async fn status(api: &Api, path: &str, token: &str) -> StatusCode {
    let separator = if path.contains('?') { '&' } else { '?' };
    api.get(&format!("{path}{separator}token={token}")).await.status
}

#[actix_rt::test]
async fn a_preflight_request_needs_no_key_and_is_answered_for_allowed_origins_only() {
    let api = start(&[APP, "http://localhost:3000"], &["key"]);
    let reply = preflight(&api, "/api/run/x/execute", APP, "content-type,x-api-key,idempotency-key").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), APP);
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    let allowed = reply.header("access-control-allow-headers").to_ascii_lowercase();
    for header in ["content-type", "x-api-key", "idempotency-key"] {
        assert!(allowed.contains(header), "{allowed}");
    }
    let other = preflight(&api, "/api/run/x/execute", "https://evil.example", "x-api-key").await;
    assert_eq!((other.status.as_u16(), other.header("access-control-allow-origin")), (400, ""));
    api.stop().await;
}

#[actix_rt::test]
async fn a_page_of_an_allowed_origin_reads_answers_errors_and_their_headers() {
    let api = start(&[APP], &["key"]);
    for headers in [&[("Origin", APP), ("X-API-Key", "key")][..], &[("Origin", APP)]] {
        let reply = api.get_with("/api/workflows", headers).await;
        assert_eq!(reply.header("access-control-allow-origin"), APP, "{}", reply.status);
        assert!(reply.header("access-control-expose-headers").to_ascii_lowercase().contains("x-request-id"));
        assert_eq!(reply.header("cross-origin-resource-policy"), "cross-origin");
    }
    let other =
        api.get_with("/api/workflows", &[("Origin", "https://evil.example"), ("X-API-Key", "key")]).await;
    assert_eq!((other.status.as_u16(), other.header("access-control-allow-origin")), (200, ""));
    api.stop().await;
}

#[actix_rt::test]
async fn any_origin_is_allowed_with_keys_and_never_with_credentials() {
    let api = start(&["*"], &["key"]);
    let reply = api.get_with("/api/workflows", &[("Origin", APP), ("X-API-Key", "key")]).await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    api.stop().await;
}

#[actix_rt::test]
async fn without_allowed_origins_nothing_says_that_other_pages_may_read() {
    let api = start(&[], &[]);
    let reply = api.get_with("/health", &[("Origin", APP)]).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
    assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
    api.stop().await;
}

#[actix_rt::test]
async fn streams_open_for_a_page_of_an_allowed_origin() {
    let simulator = simulator();
    let settings = with_origins(&simulator.url(), &[APP], &[]);
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let job = api.execute("no-model", json!({})).await;
    let path = format!("/api/run/events/{}", job["prompt_id"].as_str().unwrap());
    let page = |origin| [("Origin", origin), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(api.get_with(&path, &page(APP)).await.status, 200);
    assert_eq!(api.get_with(&path, &page("https://evil.example")).await.status, 403);
    for (origin, opens) in [(APP, true), ("https://evil.example", false)] {
        let socket = api.http.ws(format!("{}/api/run/ws", api.base)).set_header("Origin", origin);
        assert_eq!(socket.connect().await.is_ok(), opens, "{origin}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_token_opens_what_a_browser_opens_without_headers_and_nothing_else() {
    let simulator = simulator();
    let settings = with_origins(&simulator.url(), &[], &["key"]);
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let request = api.http.post(format!("{}/api/run/no-model/execute", api.base));
    let request = request.insert_header(("X-API-Key", "key"));
    let job = Reply::from_response(request.send_json(&json!({})).await.unwrap()).await.json();
    let job = job["prompt_id"].as_str().unwrap().to_owned();

    let read = issue(&api, json!({})).await;
    let one = issue(&api, json!({"prompt_id": job, "expires_in": 60})).await;
    let events = format!("/api/run/events/{job}");
    // The end of the stream is the end of the job.
    for token in [&read, &one] {
        assert_eq!(status(&api, &events, token).await, 200);
        assert_eq!(status(&api, &format!("/api/run/result/{job}?output_type=image"), token).await, 200);
        for path in
            ["/api/workflows", "/api/jobs", &format!("/api/run/status/{job}"), &format!("/api/jobs/{job}")]
        {
            assert_eq!(status(&api, path, token).await, 403, "{path}");
        }
        let posted = api.post(&format!("/api/run/cancel/{job}?token={token}"), support::Form::new()).await;
        assert_eq!(posted.status, 403);
    }
    assert_eq!(status(&api, "/api/run/events/other", &one).await, 403);
    assert_eq!(status(&api, "/api/run/events/other", &read).await, 404);

    let files = api.get_with(&format!("/api/jobs/{job}/files"), &[("X-API-Key", "key")]).await.json();
    let made = files["files"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(status(&api, &made, &one).await, 200);
    assert_eq!(status(&api, "/api/comfyui/view?filename=example.png", &one).await, 403);
    assert_eq!(status(&api, "/api/comfyui/view?filename=example.png", &read).await, 200);

    let socket = |query: String| api.http.ws(format!("{}/api/run/ws?{query}", api.base)).connect();
    assert!(socket(format!("token={one}&prompt_id={job}")).await.is_ok());
    assert!(socket(format!("token={read}")).await.is_ok());
    assert!(socket(format!("token={one}")).await.is_err());
    api.stop().await;
}

#[actix_rt::test]
async fn a_token_that_was_not_issued_here_is_401_and_counts_as_a_wrong_key() {
    let mut settings = with_origins("http://127.0.0.1:9", &[], &["key"]);
    settings.limits.failed_keys_per_minute = 2;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    for expected in [401, 401, 429] {
        assert_eq!(status(&api, "/api/run/events/x", "cr1.99999999999.read.00").await, expected);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_request_for_a_token_is_checked() {
    let api = start(&[], &["key"]);
    assert_eq!(token(&api, "wrong", json!({})).await.status, 401);
    for (body, part) in [
        (json!({"expires_in": 0}), "from 1 to 86400"),
        (json!({"expires_in": 86401}), "from 1 to 86400"),
        (json!({"job": "x"}), "`prompt_id` and `expires_in`"),
        (json!([1]), "a JSON object"),
    ] {
        let reply = token(&api, "key", body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.detail().contains(part), "{}", reply.detail());
    }
    let reply = token(&api, "key", json!({"expires_in": 60})).await.json();
    assert!(reply["expires_at"].as_str().unwrap().ends_with('Z'), "{reply}");
    api.stop().await;
}
