//! Signing in on the page.

mod support;

use awc::ws::{Frame, Message};
use comfy_runner::server::Settings;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use support::{Api, Reply, fixtures, settings};

fn start(keys: &[&str]) -> Api {
    let mut settings =
        Settings { api_keys: keys.iter().map(|&key| key.into()).collect(), ..settings("http://127.0.0.1:9") };
    settings.limits.failed_keys_per_minute = 3;
    Api::start_with(&settings, &fixtures().join("workflows"))
}

async fn sign_in(api: &Api, key: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = api.http.post(format!("{}/api/session", api.base));
    for &(name, value) in headers {
        request = request.insert_header((name, value));
    }
    Reply::from_response(request.send_json(&json!({"key": key})).await.unwrap()).await
}

/// The cookie that a response sets, without its attributes.
fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[actix_rt::test]
async fn a_key_is_exchanged_for_a_cookie_that_opens_the_api_and_no_script_reads() {
    let api = start(&["first-key", "second-key"]);
    assert_eq!(api.get("/api/jobs").await.status, 401);
    let reply = sign_in(&api, "second-key", &[]).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["signed_in"]), (200, &json!(true)));
    let set = reply.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"] {
        assert!(set.split("; ").any(|part| part == attribute), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("second-key"), "{set}");
    let cookie = cookie(&reply);
    let with = |headers: &[(&'static str, String)]| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.clone())).collect();
        let api = &api;
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            api.get_with("/api/jobs", &headers).await.status.as_u16()
        }
    };
    assert_eq!(with(&[("Cookie", format!("other=1; {cookie}"))]).await, 200);
    // A page of another site gets nothing by it, and a wrong key is not helped by it.
    assert_eq!(with(&[("Cookie", cookie.clone()), ("Origin", "https://evil.example".to_owned())]).await, 403);
    assert_eq!(with(&[("Cookie", cookie.clone()), ("Sec-Fetch-Site", "cross-site".to_owned())]).await, 403);
    assert_eq!(with(&[("Cookie", cookie.clone()), ("X-API-Key", "wrong".to_owned())]).await, 401);
    let (name, value) = cookie.split_once('=').unwrap();
    let mut parts: Vec<_> = value.split('.').map(str::to_owned).collect();
    parts[1] = (parts[1].parse::<u64>().unwrap() + 1).to_string();
    for forged in
        [format!("{name}={}", parts.join(".")), format!("{name}=crs2.99999999999.a."), format!("{name}=")]
    {
        assert_eq!(with(&[("Cookie", forged.clone())]).await, 401, "{forged}");
    }
    let shown = api.get_with("/api/session", &[("Cookie", &cookie)]).await.json();
    assert_eq!((&shown["required"], &shown["signed_in"]), (&json!(true), &json!(true)));
    assert!(shown["expires_at"].as_str().unwrap().ends_with('Z'));
    let out = api.delete("/api/session").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").starts_with("comfy_runner_session=; Path=/; Max-Age=0;"));
}

#[actix_rt::test]
async fn a_session_outlives_the_server_and_ends_with_its_key() {
    let session = cookie(&sign_in(&start(&["kept", "dropped"]), "dropped", &[]).await);
    let restarted = start(&["kept", "dropped"]);
    assert_eq!(restarted.get_with("/api/jobs", &[("Cookie", &session)]).await.status, 200);
    let without = start(&["kept"]);
    assert_eq!(without.get_with("/api/jobs", &[("Cookie", &session)]).await.status, 401);
    assert_eq!(without.get_with("/api/session", &[("Cookie", &session)]).await.json()["signed_in"], false);
}

#[actix_rt::test]
async fn signing_out_ends_one_session_with_its_streams_also_for_the_next_process() {
    let workflows = fixtures().join("workflows");
    let settings = Settings { api_keys: vec!["a-key".into()], ..settings("http://127.0.0.1:9") };
    let api = Api::start_with(&settings, &workflows);
    let (phone, desk) =
        (cookie(&sign_in(&api, "a-key", &[]).await), cookie(&sign_in(&api, "a-key", &[]).await));
    assert_ne!(phone, desk);
    let socket = async |session: &str| {
        let url = format!("{}/api/run/ws", api.base);
        awc::Client::new().ws(url).set_header("Cookie", session).connect().await.unwrap().1
    };
    let (mut of_phone, mut of_desk) = (socket(&phone).await, socket(&desk).await);
    let out = api.http.delete(format!("{}/api/session", api.base)).insert_header(("Cookie", phone.as_str()));
    assert_eq!(out.send().await.unwrap().status(), 204);
    let status = async |api: &Api, session: &str| {
        api.get_with("/api/jobs", &[("Cookie", session)]).await.status.as_u16()
    };
    assert_eq!((status(&api, &phone).await, status(&api, &desk).await), (401, 200));
    while let Some(Ok(frame)) = of_phone.next().await {
        if matches!(frame, Frame::Close(_)) {
            break;
        }
    }
    of_desk.send(Message::Ping("still here".into())).await.unwrap();
    while !matches!(of_desk.next().await.unwrap().unwrap(), Frame::Pong(_)) {}

    let restarted = Api::start_with(&settings, &workflows);
    assert_eq!((status(&restarted, &phone).await, status(&restarted, &desk).await), (401, 200));
}

#[actix_rt::test]
async fn behind_https_the_cookie_is_secure() {
    let reply = sign_in(&start(&["a-key"]), "a-key", &[("X-Forwarded-Proto", "https")]).await;
    assert!(reply.header("set-cookie").ends_with("; Secure"));
}

#[actix_rt::test]
async fn wrong_keys_are_refused_and_counted_and_pages_of_other_sites_cannot_sign_in() {
    let api = start(&["a-key"]);
    assert_eq!(sign_in(&api, "a-key", &[("Origin", "https://evil.example")]).await.status, 403);
    for _ in 0..3 {
        let wrong = sign_in(&api, "no-key", &[]).await;
        assert_eq!((wrong.status.as_u16(), wrong.header("set-cookie")), (401, ""));
    }
    assert_eq!(sign_in(&api, "no-key", &[]).await.status, 429);
    assert_eq!(sign_in(&api, "a-key", &[]).await.status, 200);
}

#[actix_rt::test]
async fn without_keys_nobody_signs_in() {
    let shown = start(&[]).get("/api/session").await.json();
    assert_eq!(shown, json!({"required": false, "signed_in": true, "expires_at": null, "allow_edit": false}));
}
