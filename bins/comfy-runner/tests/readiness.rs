//! Whether workflows can run now: `GET /api/workflows` and `GET /api/workflows/{workflow_id}/check`.

mod support;

use std::time::Duration;

use comfy_runner_api::{WorkflowCheck, WorkflowList, WorkflowSummary};
use comfy_runner_simulator::{Simulator, Version};
use serde_json::json;
use support::{Api, Shelf, settings, simulator};

/// Three workflows: one that runs, one without its node type and model, and one of blocks without its model.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    });
    shelf.put("runs", "id: runs\ncategory: image\n", &graph);
    let mut graph = graph;
    graph["3"] = json!({"class_type": "NobodysNode", "inputs": {}});
    graph["4"] = json!({"class_type": "VAELoader", "inputs": {"vae_name": "nobodys.safetensors"}});
    let manifest =
        "id: lacks\ncategory: video\nrequired_models: [other.safetensors]\nrequired_nodes: [Nobodys]\n";
    shelf.put("lacks", manifest, &graph);
    shelf.put_manifest(
        "blocks",
        "id: blocks\ntype: dynamic\ncategory: image\npipeline:\n  - {block: all, file: all.json}\n",
    );
    shelf.put_block(
        "blocks",
        "all.json",
        &json!({"nodes": {
            "c": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nobodys.ckpt"}},
            "e": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "s": {"class_type": "SaveImage", "inputs": {"images": ["e", 0], "filename_prefix": "x"}},
        }}),
    );
    shelf
}

async fn list(api: &Api, query: &str) -> WorkflowList {
    let reply = api.get(&format!("/api/workflows{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

async fn ids(api: &Api, query: &str) -> Vec<String> {
    list(api, query).await.into_iter().map(|workflow| workflow.id).collect()
}

async fn check(api: &Api, id: &str) -> WorkflowCheck {
    let reply = api.get(&format!("/api/workflows/{id}/check")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[actix_rt::test]
async fn the_list_says_which_workflows_can_run_and_what_the_others_lack() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let listed = list(&api, "").await;
    let [blocks, lacks, runs]: [WorkflowSummary; 3] = listed.try_into().unwrap();
    assert_eq!((runs.readiness.ready, &runs.readiness.reason), (Some(true), &None));
    assert_eq!(blocks.readiness.ready, Some(false));
    assert_eq!(blocks.readiness.missing.models, ["nobodys.ckpt"]);
    let missing = &lacks.readiness.missing;
    assert_eq!(missing.node_types, ["NobodysNode"]);
    assert_eq!(missing.models, ["other.safetensors", "nobodys.safetensors"]);
    assert_eq!(missing.packages, ["Nobodys"]);
    let reason = lacks.readiness.reason.unwrap();
    assert!(reason.contains("the node type \"NobodysNode\" and the models"), "{reason}");
    api.stop().await;
}

#[actix_rt::test]
async fn the_list_is_filtered_by_category_type_and_readiness() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    for (query, expected) in [
        ("?category=image", &["blocks", "runs"][..]),
        ("?type=dynamic", &["blocks"]),
        ("?type=static&ready=false", &["lacks"]),
        ("?ready=true", &["runs"]),
        ("?ready=unknown", &[]),
        ("?category=audio", &[]),
    ] {
        assert_eq!(ids(&api, query).await, expected, "{query}");
    }
    for (query, hint) in [
        ("?ready=yes", "`true`, `false` or `unknown`"),
        ("?type=blocks", "`static` or `dynamic`"),
        ("?readdy=true", "unknown field `readdy`"),
    ] {
        let reply = api.get(&format!("/api/workflows{query}")).await;
        assert_eq!(reply.status, 400);
        assert!(reply.detail().contains(hint), "{}", reply.detail());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_check_names_every_finding_with_its_file_and_line() {
    let (simulator, shelf) = (simulator(), shelf());
    shelf.put("broken", "id: broken\ninputs: [{type: int}]\n", &json!({}));
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let lacks = check(&api, "lacks").await;
    assert_eq!(lacks.readiness.ready, Some(false));
    let found = |file: &str, message: &str| {
        lacks.findings.iter().any(|finding| finding.file == file && finding.message.contains(message))
    };
    assert!(found("workflow.json", "no node type \"NobodysNode\""), "{:?}", lacks.findings);
    assert!(found("manifest.yaml", "\"other.safetensors\" is not installed"), "{:?}", lacks.findings);
    assert!(lacks.findings.iter().any(|finding| finding.line == Some(3)), "{:?}", lacks.findings);

    assert_eq!(check(&api, "runs").await.readiness.ready, Some(true));
    let broken = check(&api, "broken").await;
    assert_eq!(broken.readiness.ready, Some(false));
    assert!(broken.findings[0].message.contains("no `id`"), "{:?}", broken.findings);
    let reply = api.get("/api/workflows/run/check").await;
    assert_eq!(reply.status, 404);
    assert!(reply.detail().contains("did you mean \"runs\"?"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn without_schemas_readiness_is_unknown_with_the_reason() {
    let shelf = shelf();
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    for workflow in list(&api, "?ready=unknown").await {
        assert_eq!(workflow.readiness.ready, None);
        let reason = workflow.readiness.reason.unwrap();
        assert!(
            reason.contains("node schemas cannot be fetched: ") && reason.contains("refused"),
            "{reason}"
        );
    }
    assert_eq!(ids(&api, "").await.len(), 3);
    assert_eq!(ids(&api, "?ready=true").await, [""; 0]);
    assert_eq!(check(&api, "runs").await.readiness.ready, None);
    api.stop().await;
}

#[actix_rt::test]
async fn schemas_are_fetched_once_for_many_lists() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    // Schemas from before the WebSocket was open do not count after it.
    support::eventually("the WebSocket is open", || simulator.open_sockets() > 0).await;
    assert_eq!(ids(&api, "?ready=true").await, ["runs"]);
    let before = simulator.requests();
    for _ in 0..20 {
        assert_eq!(ids(&api, "?ready=true").await, ["runs"]);
    }
    assert!(simulator.requests() - before < 5, "{} requests", simulator.requests() - before);
    api.stop().await;
}

#[actix_rt::test]
async fn another_comfyui_at_the_same_address_is_asked_again() {
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        "3": {"class_type": "Flux2Scheduler", "inputs": {"steps": 4, "width": 64, "height": 64}},
    });
    shelf.put("new", "id: new\n", &graph);
    let start = |address: &str, version| {
        Simulator::builder().listen(address).speak_as(version).step_delay(Duration::ZERO).start()
    };
    let old = start("127.0.0.1:0", Version::V0_3_64).unwrap();
    let (address, url) = (old.address().to_string(), old.url());
    let api = Api::start_with(&settings(&url), shelf.path());
    support::eventually("the WebSocket is open", || old.open_sockets() > 0).await;
    assert_eq!(list(&api, "").await[0].readiness.missing.node_types, ["Flux2Scheduler"]);
    old.stop();
    // While no socket listens, the port may be taken for a moment by another test, or by a connection.
    let mut new = None;
    support::eventually("the port is free", || {
        new = start(&address, Version::V0_33_0).ok();
        new.is_some()
    })
    .await;
    let new = new.unwrap();
    support::eventually("the WebSocket is open again", || new.open_sockets() > 0).await;
    assert_eq!(list(&api, "").await[0].readiness.ready, Some(true));
    api.stop().await;
}
