//! What a client sent to Comfy's own front, sent to this server instead: the answers are the same, or truer ones.
//!
//! `fixtures/api-v2/` holds the requests of recorded runs with the status, the code and the ids of each answer.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::streams::Sse;
use support::{Api, Reply, fixtures, settings, simulator};

/// The answers that differ, by recording and request, with the status and code of this server and the reason.
const DIFFERENT: &[(&str, usize, u16, &str, &str)] = &[
    ("validation_errors", 19, 201, "", "labels are metadata"),
    ("validation_errors", 20, 422, "metadata_invalid", "the code of the hosted API"),
    (
        "validation_errors",
        22,
        400,
        "invalid_request",
        "a list is a wrong request, and no failure of the server",
    ),
    ("list_jobs", 13, 201, "", "labels are metadata"),
    ("list_and_unknown_raw", 13, 400, "invalid_cursor", "there are cursors"),
    ("list_and_unknown_raw", 18, 404, "not_found", "the route is /health"),
    ("list_and_unknown_raw", 19, 404, "not_found", "an unknown path has the envelope"),
    ("list_and_unknown_raw", 20, 405, "method_not_allowed", "a wrong method has the envelope"),
    ("list_and_unknown_raw", 21, 405, "method_not_allowed", "a wrong method has the envelope"),
    ("download_output", 8, 416, "range_not_satisfiable", "the range is outside of the file"),
    ("download_output", 11, 206, "", "of several ranges, ComfyUI returns the first"),
    ("false_expired", 0, 404, "not_found", "it is a job of an earlier recording"),
    ("auth_and_origin", 5, 401, "unauthorized", "the route is /health"),
    ("auth_and_origin", 7, 401, "unauthorized", "the key is looked at first"),
    ("auth_and_origin", 8, 401, "unauthorized", "the key is looked at first"),
    ("auth_and_origin", 9, 401, "unauthorized", "the key is looked at first"),
    ("auth_and_origin", 10, 401, "unauthorized", "without --allow-origin no page needs OPTIONS"),
];

/// A recorded run that is played again.
struct Replay {
    api: Api,
    /// Our ids of recorded jobs and assets.
    ids: HashMap<String, String>,
    /// Answers that are not what they should be.
    wrong: Vec<String>,
}

impl Replay {
    /// Sends a recorded request with our ids.
    async fn send(&self, recorded: &Value) -> Reply {
        let mut target = recorded["target"].as_str().unwrap().to_owned();
        for (theirs, ours) in &self.ids {
            target = target.replace(theirs, ours);
        }
        let method = recorded["method"].as_str().unwrap().parse().unwrap();
        let mut request = self.api.http.request(method, format!("{}{target}", self.api.base)).no_decompress();
        for (name, value) in recorded["headers"].as_object().into_iter().flatten() {
            request = request.insert_header((name.as_str(), value.as_str().unwrap()));
        }
        let body = recorded.get("body").map(Value::to_string).unwrap_or_default();
        Reply::from_response(request.send_body(body).await.unwrap()).await
    }

    /// Sends a request for a job until the job is over.
    async fn until_over(&self, recorded: &Value) -> Reply {
        loop {
            let reply = self.send(recorded).await;
            let body = reply.json();
            if !matches!(body["status"].as_str(), Some("queued" | "running" | "canceling")) {
                return reply;
            }
            actix_rt::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Compares the answer to a request with the recorded one.
    async fn play(&mut self, name: &str, index: usize, recorded: &Value) {
        let at = format!("{name} {index}: {} {}", recorded["method"], recorded["target"]);
        let different = DIFFERENT.iter().find(|(of, request, ..)| (*of, *request) == (name, index));
        if let Some(last) = recorded.get("last") {
            let mut target = recorded["target"].as_str().unwrap().to_owned();
            for (theirs, ours) in &self.ids {
                target = target.replace(theirs, ours);
            }
            let events = Sse::open_at(&self.api, &target).await.all().await;
            assert_eq!(events.last().unwrap().data["status"], *last, "{at}");
            return;
        }
        let reply = match recorded.get("job") {
            Some(_) => self.until_over(recorded).await,
            None => self.send(recorded).await,
        };
        let (status, code) = match different {
            Some((_, _, status, code, _)) => (u64::from(*status), *code),
            None => (recorded["status"].as_u64().unwrap(), recorded["code"].as_str().unwrap_or_default()),
        };
        let has_code = reply.status.as_u16() >= 400 && recorded["method"] != "HEAD";
        let found = if has_code {
            reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
        } else {
            String::new()
        };
        if u64::from(reply.status.as_u16()) != status || (has_code && found != code) {
            let found = reply.text();
            return self.wrong.push(format!("{at}: not {status} {code}, but {} {found:.200}", reply.status));
        }
        if different.is_some() || status >= 400 {
            return;
        }
        if let Some(theirs) = recorded["id"].as_str().filter(|_| recorded["method"] == "POST") {
            self.ids.insert(theirs.to_owned(), reply.json()["id"].as_str().unwrap().to_owned());
        }
        if let Some(theirs) = recorded.get("job") {
            // What they call expired has succeeded.
            let expected = if theirs == "expired" { &json!("succeeded") } else { theirs };
            assert_eq!(reply.json()["status"], *expected, "{at}");
            assert!(reply.json()["completed_at"].is_string(), "{at}");
        }
        if let Some(theirs) = recorded["outputs"].as_array() {
            let ours = reply.json()["outputs"].as_array().unwrap().clone();
            assert_eq!(ours.len(), theirs.len(), "{at}");
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_eq!((&ours["node_id"], &ours["type"]), (&theirs["node_id"], &theirs["type"]), "{at}");
                assert!(ours["size_bytes"].as_u64().unwrap() > 0 && ours["hash"].is_string(), "{at}");
                let id = |output: &Value| output["id"].as_str().unwrap().to_owned();
                self.ids.insert(id(theirs), id(ours));
            }
        }
        if let Some(theirs) = recorded.get("workflow") {
            assert_eq!(reply.json()["workflow"], *theirs, "{at}");
        }
        // Theirs does not know filters by label.
        let filters = recorded["target"].as_str().unwrap().contains("metadata");
        if let Some(theirs) = recorded["listed"].as_array().filter(|_| !filters) {
            // Theirs had jobs of earlier runs as well.
            let known: Option<Vec<_>> =
                theirs.iter().map(|id| Some(json!(self.ids.get(id.as_str().unwrap())?))).collect();
            let ours = reply.json()["jobs"].as_array().unwrap().clone();
            let ours: Vec<_> = ours.iter().map(|job| job["id"].clone()).collect();
            assert!(known.is_none_or(|known| known == ours), "{at}: {ours:?}");
        }
    }
}

async fn replay(name: &str) {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    if name == "auth_and_origin" {
        settings.api_keys = vec!["secret-for-the-recording".into()];
    }
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let recording = std::fs::read_to_string(fixtures().join(format!("api-v2/{name}.json"))).unwrap();
    let recording: Value = serde_json::from_str(&recording).unwrap();
    let mut replay = Replay { api, ids: HashMap::new(), wrong: Vec::new() };
    for (index, recorded) in recording["exchanges"].as_array().unwrap().iter().enumerate() {
        replay.play(name, index, recorded).await;
    }
    replay.api.stop().await;
    assert!(replay.wrong.is_empty(), "{}", replay.wrong.join("\n"));
}

#[actix_rt::test]
async fn runs_that_succeed_and_fail() {
    for name in ["success_with_preview", "failing_node", "false_expired", "partner_key"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn requests_that_are_refused() {
    replay("validation_errors").await;
}

#[actix_rt::test]
async fn lists_and_unknown_paths() {
    for name in ["list_jobs", "list_and_unknown_raw"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn downloads() {
    replay("download_output").await;
}

#[actix_rt::test]
async fn repeated_requests() {
    replay("idempotent_repeat").await;
}

#[actix_rt::test]
async fn keys_and_origins() {
    replay("auth_and_origin").await;
}
