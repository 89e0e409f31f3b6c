//! The web page: its addresses, its files, and the headers that protect its readers.

mod support;

use serde_json::json;
use support::{Api, Form};

fn start() -> Api {
    Api::start("http://127.0.0.1:9")
}

/// The addresses in the document that begin with `/assets/`.
fn assets(html: &str) -> Vec<String> {
    let addresses = html.split('"').filter(|part| part.starts_with("/assets/"));
    addresses.map(str::to_owned).collect()
}

#[actix_rt::test]
async fn every_address_of_the_page_answers_the_document() {
    let api = start();
    let home = api.get("/").await;
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    assert!(home.text().starts_with("<!doctype html>"));
    for path in ["/w/text-to-image", "/w/no%20such", "/jobs", "/jobs/x", "/queue", "/jobs?status=error"] {
        let reply = api.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, home.text()), "{path}");
    }
    let head = api.head("/").await;
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(api.get("/w").await.detail(), "there is nothing at /w");
    assert_eq!(api.get("/w/a/b").await.detail(), "there is nothing at /w/a/b");
    let posted = api.post("/", Form::new()).await;
    assert_eq!((posted.status.as_u16(), posted.header("allow")), (405, "GET, HEAD"));
}

#[actix_rt::test]
async fn the_document_may_run_its_own_scripts_only_and_no_other_page_may_frame_it() {
    let api = start();
    let home = api.get("/").await;
    let policy = home.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.split("; ").any(|part| part == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(home.header("cross-origin-opener-policy"), "same-origin");
    // An API answer opened as a page still runs nothing.
    let answer = api.get("/health").await;
    assert_eq!(answer.header("content-security-policy"), "sandbox allow-same-origin");
}

#[actix_rt::test]
async fn every_file_that_the_document_names_is_there_compressed_and_not_sent_twice() {
    let api = start();
    let html = api.get("/").await.text();
    let assets = assets(&html);
    assert!(assets.len() > 20, "{assets:?}");
    for asset in assets {
        let file = api.get(&asset).await;
        assert_eq!(file.status, 200, "{asset}");
        let known = match asset.rsplit_once('.').unwrap().1 {
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(file.header("content-type"), known, "{asset}");
        let etag = file.header("etag");
        let again = api.get_with(&asset, &[("If-None-Match", etag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{asset}");
        let other = api.get_with(&asset, &[("If-None-Match", "\"other\"")]).await;
        assert_eq!(other.status, 200, "{asset}");
        let packed = api.get_with(&asset, &[("Accept-Encoding", "br, gzip;q=0.8")]).await;
        if packed.header("content-encoding") == "gzip" {
            assert!(packed.body.len() < file.body.len(), "{asset}");
        } else {
            assert_eq!(packed.body, file.body, "{asset}");
        }
    }
}

#[actix_rt::test]
async fn a_file_that_the_page_does_not_have_is_404() {
    let api = start();
    for path in [
        "/assets/",
        "/assets/x",
        "/assets/x/nothing.js",
        "/assets/x/..%2f..%2fCargo.toml",
        "/assets/x/../../Cargo.toml",
    ] {
        assert_eq!(api.get_raw(path).await.status, 404, "{path}");
    }
}

#[actix_rt::test]
async fn an_error_of_params_names_each_input_for_a_form() {
    let api = start();
    let params = json!({"steps": 900, "cfg": "much", "colour": "red"});
    let reply = api.post("/api/run/text-to-image/execute", Form::new().params(params)).await;
    assert_eq!(reply.status, 400);
    let body = reply.json();
    let errors = body["param_errors"].as_object().unwrap();
    for key in ["steps", "cfg", "colour"] {
        let message = errors[key].as_str().unwrap();
        assert!(message.contains(key) && body["detail"].as_str().unwrap().contains(message), "{body}");
    }
}
