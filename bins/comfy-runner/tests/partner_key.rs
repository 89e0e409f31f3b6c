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
    Reply::of(request.send_json(&body).await.unwrap()).await
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
