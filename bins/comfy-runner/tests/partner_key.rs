//! The key for partner nodes: it reaches ComfyUI and nothing else.

mod support;

use comfy_runner_jobs::PartnerKey;
use mockito::{Matcher, Mock, ServerGuard};
use serde_json::{Value, json};
use support::{Api, Reply, Shelf, settings};

const SECRET: &str = "comfyui-0123456789abcdef";
const DEFAULT: &str = "comfyui-of-the-server";

/// Accepts prompts with this key, and counts them.
async fn accepts(comfyui: &mut ServerGuard, key: &str, count: usize) -> Mock {
    let body = json!({"extra_data": {"api_key_comfy_org": key}});
    comfyui
        .mock("POST", "/prompt")
        .match_body(Matcher::PartialJson(body))
        .with_body_from_request(|request| {
            let prompt: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            let accepted = json!({"prompt_id": prompt["prompt_id"], "number": 1, "node_errors": {}});
            accepted.to_string().into_bytes()
        })
        .expect(count)
        .create_async()
        .await
}

fn shelf() -> Shelf {
    let shelf = Shelf::new();
    let manifest =
        "id: paid\nname: Paid\ninputs: [{id: width, type: int, node_id: 1, field: width, default: 64}]\n";
    let graph = json!({"1": {"class_type": "Partner", "inputs": {"width": 1}}});
    shelf.put("paid", manifest, &graph);
    shelf
}

async fn post(api: &Api, path: &str, header: Option<&str>, body: Value) -> Reply {
    let request = api.http.post(format!("{}{path}", api.base));
    let request = match header {
        Some(key) => request.insert_header(("X-Comfy-Api-Key", key)),
        None => request,
    };
    Reply::from_response(request.send_json(&body).await.unwrap()).await
}

#[actix_rt::test]
async fn a_key_reaches_comfyui_and_is_neither_recorded_nor_part_of_a_graph() {
    let mut comfyui = mockito::Server::new_async().await;
    let accepted = accepts(&mut comfyui, SECRET, 2).await;
    let shelf = shelf();
    let api = Api::start_with(&settings(&comfyui.url()), shelf.path());
    for (header, params) in [(Some(SECRET), json!({})), (None, json!({"_api_key_comfy_org": SECRET}))] {
        let reply = post(&api, "/api/run/paid/execute", header, params.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let job = reply.json()["prompt_id"].as_str().unwrap().to_owned();
        let record = api.get(&format!("/api/jobs/{job}")).await;
        assert!(!record.text().contains(SECRET) && record.text().contains(&job), "{}", record.text());
        let built = post(&api, "/api/run/paid/build", header, params).await;
        assert!(built.status == 200 && !built.text().contains(SECRET), "{}", built.text());
    }
    accepted.assert_async().await;
    api.stop().await;
}

#[actix_rt::test]
async fn the_servers_key_is_for_jobs_that_bring_none() {
    let mut comfyui = mockito::Server::new_async().await;
    let own = accepts(&mut comfyui, SECRET, 1).await;
    let default = accepts(&mut comfyui, DEFAULT, 1).await;
    let shelf = shelf();
    let mut settings = settings(&comfyui.url());
    settings.jobs.partner_key = Some(PartnerKey::new(DEFAULT).unwrap());
    let api = Api::start_with(&settings, shelf.path());
    for header in [Some(SECRET), None] {
        assert_eq!(post(&api, "/api/run/paid/execute", header, json!({})).await.status, 200);
    }
    own.assert_async().await;
    default.assert_async().await;
    api.stop().await;
}

/// Says of every prompt that it has completed.
async fn completes_everything(comfyui: &mut ServerGuard) {
    let queue = r#"{"queue_running": [], "queue_pending": []}"#;
    comfyui.mock("GET", "/queue").with_body(queue).create_async().await;
    comfyui
        .mock("GET", Matcher::Regex("^/history/".into()))
        .with_body_from_request(|request| {
            let id = request.path().trim_start_matches("/history/");
            let status = json!({"status_str": "success", "completed": true, "messages": []});
            let entry = json!({"prompt": [1, id, {}, {}, ["1"]], "outputs": {}, "status": status});
            json!({id: entry}).to_string().into_bytes()
        })
        .create_async()
        .await;
}

#[actix_rt::test]
async fn a_retry_needs_the_key_again() {
    let mut comfyui = mockito::Server::new_async().await;
    completes_everything(&mut comfyui).await;
    let with_key = accepts(&mut comfyui, SECRET, 2).await;
    let shelf = shelf();
    let api = Api::start_with(&settings(&comfyui.url()), shelf.path());
    let job = post(&api, "/api/run/paid/execute", Some(SECRET), json!({})).await.json();
    let job = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(job).await["status"], "completed");
    let retry = format!("/api/jobs/{job}/retry");

    let repeated = post(&api, &retry, Some(SECRET), json!({})).await;
    assert_eq!((repeated.status.as_u16(), &repeated.json()["retry_of"]), (200, &json!(job)));
    with_key.assert_async().await;

    let without = comfyui
        .mock("POST", "/prompt")
        .match_request(|request| !request.utf8_lossy_body().unwrap().contains("api_key_comfy_org"))
        .with_status(400)
        .with_body(
            r#"{"error": {"type": "t", "message": "Unauthorized: Please login first"}, "node_errors": {}}"#,
        )
        .create_async()
        .await;
    let refused = post(&api, &retry, None, json!({})).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    without.assert_async().await;

    let wrong = post(&api, &retry, Some("two words"), json!({})).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.detail().contains("X-Comfy-Api-Key"), "{}", wrong.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_a_key_is_refused_without_repeating_it() {
    let shelf = shelf();
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    for (header, params, place) in [
        (Some("two words"), json!({}), "X-Comfy-Api-Key"),
        (None, json!({"_api_key_comfy_org": "two words"}), "_api_key_comfy_org"),
        (None, json!({"_api_key_comfy_org": 7}), "_api_key_comfy_org"),
    ] {
        let reply = post(&api, "/api/run/paid/execute", header, params).await;
        assert_eq!(reply.status, 400);
        assert!(
            reply.detail().contains(place) && !reply.detail().contains("two words"),
            "{}",
            reply.detail()
        );
    }
    api.stop().await;
}
