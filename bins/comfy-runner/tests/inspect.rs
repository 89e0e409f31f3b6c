//! `POST /api/workflows/inspect`: what a saved file would become.

mod support;

use serde_json::json;
use support::{Api, Form, fixtures, png, simulator, uploaded};

const INSPECT: &str = "/api/workflows/inspect";

fn file(name: &str, bytes: &[u8]) -> Form {
    Form::new().file("file", name, bytes)
}

#[actix_rt::test]
async fn an_image_that_comfyui_saved_gives_manifest_graph_and_findings_and_nothing_is_stored() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let image = std::fs::read(fixtures().join("embedded/image.png")).unwrap();
    let reply = api.post(&format!("{INSPECT}?id=plate"), file("image.png", &image)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["manifest"]["id"], "plate");
    // The graph's author built an app of one input.
    let inputs = reply["manifest"]["inputs"].as_array().unwrap();
    assert_eq!((inputs.len(), &inputs[0]["field"], &inputs[0]["default"]), (1, &json!("color"), &json!(255)));
    assert_eq!(reply["manifest"]["outputs"][0]["node_id"], 9);
    assert_eq!(reply["graph"]["1"]["class_type"], "EmptyImage");
    assert!(reply["yaml"].as_str().unwrap().contains("id: plate\n"));
    let others = reply["others"].as_array().unwrap();
    assert!(others.iter().any(|input| input["field"] == "batch_size" && input["max"] == 4096), "{others:?}");
    assert!(reply["findings"].is_array());
    assert_eq!(api.get("/api/run/plate").await.status, 404);
    assert!(uploaded(&simulator).is_empty());
    api.stop().await;
}

#[actix_rt::test]
async fn json_of_either_format_is_inspected() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let graph = json!({"7": {"class_type": "Nowhere", "inputs": {"seed": 3}},
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}}});
    let reply = api.post(INSPECT, file("graph.json", graph.to_string().as_bytes())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let findings = reply.json()["findings"].to_string();
    assert!(findings.contains("Nowhere") && findings.contains("\"severity\":\"warning\""), "{findings}");
    assert_eq!(reply.json()["manifest"]["id"], "workflow");
    let saved =
        json!({"nodes": [{"id": 3, "type": "EmptyImage", "widgets_values": [64, 32, 1, 5]}], "links": []});
    let reply = api.post(INSPECT, file("saved.json", saved.to_string().as_bytes())).await;
    assert_eq!(reply.json()["graph"]["3"]["inputs"]["height"], 32, "{}", reply.text());
    api.stop().await;
}

#[actix_rt::test]
async fn what_is_no_graph_is_refused_with_the_reason() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let cases: [(&[u8], &str); 6] = [
        (b"", "not valid JSON"),
        (b"hello", "not valid JSON"),
        (b"[1, 2]", "this is a list"),
        (b"{}", "no nodes"),
        (b"\xff\xfe\x00", "neither JSON nor"),
        (b"{\"nodes\": [{\"id\": 3, \"type\": \"Nowhere\"}]}", "type \"Nowhere\" has no schema"),
    ];
    for (bytes, reason) in cases {
        let reply = api.post(INSPECT, file("x", bytes)).await;
        assert_eq!(reply.status, 400, "{reason}: {}", reply.text());
        assert!(reply.detail().contains(reason), "{reason}: {}", reply.detail());
    }
    let reply = api.post(INSPECT, file("plain.png", &png())).await;
    assert_eq!(
        (reply.status.as_u16(), reply.detail().contains("contains no graph")),
        (400, true),
        "{}",
        reply.text()
    );
    let reply = api.post(INSPECT, Form::new().text("other", "x")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.detail().contains("no part `file`")),
        (400, true),
        "{}",
        reply.text()
    );
    let reply = api.post(&format!("{INSPECT}?id=a%2Fb"), file("x", b"{}")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.detail().contains("cannot be a workflow's id")),
        (400, true),
        "{}",
        reply.text()
    );
    assert_eq!(api.get(INSPECT).await.status, 405);
    api.stop().await;
}

#[actix_rt::test]
async fn the_limit_for_uploads_holds() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let large = vec![b' '; (1 << 20) + 1];
    for reply in [
        api.post(INSPECT, file("large.json", &large)).await,
        api.post_unmeasured(INSPECT, file("large.json", &vec![b' '; 4 << 20])).await,
    ] {
        assert_eq!(reply.status, 413, "{}", reply.text());
        assert!(reply.detail().contains("1048576 bytes"), "{}", reply.detail());
    }
    api.stop().await;
}
