//! `GET /openapi.json`: what the server says about itself, and whether that is true.

mod support;

use comfy_runner::server::{ComfyUiFolders, Settings};
use serde_json::{Value, json};
use support::described::Described;
use support::{Api, Form, Reply, Shelf, fixtures, png, settings, simulator};

const MANIFEST: &str = "id: w\ninputs: [{id: prompt, type: text}]\n";

fn graph() -> Value {
    json!({"1": {"class_type": "EmptyImage", "inputs": {"prompt": "{{prompt}}"}}})
}

#[actix_rt::test]
async fn the_document_has_a_tag_and_is_not_sent_again() {
    let api = Api::start("http://127.0.0.1:9");
    let first = api.get("/openapi.json").await;
    assert_eq!((first.status.as_u16(), first.header("content-type")), (200, "application/json"));
    assert_eq!(first.json()["openapi"], "3.1.0");
    let tag = first.header("etag");
    for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}")] {
        let again = api.get_with("/openapi.json", &[("If-None-Match", known)]).await;
        assert_eq!((again.status.as_u16(), again.header("etag"), again.body.len()), (304, tag, 0), "{known}");
    }
    let other = api.get_with("/openapi.json", &[("If-None-Match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn the_document_needs_a_key_when_the_server_has_one() {
    let settings = Settings { api_keys: vec!["key".into()], ..settings("http://127.0.0.1:9") };
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let key = [("X-API-Key", "key")];
    let described = Described::fetch(&api, &key).await;
    assert_eq!(
        described.document["paths"]["/api/jobs"]["get"]["security"],
        json!([{"ApiKey": []}, {"Bearer": []}])
    );
    for path in ["/openapi.json", "/api/jobs", "/api/queue"] {
        let refused = api.get(path).await;
        assert_eq!(refused.status, 401);
        described.check("get", path, &refused);
    }
    described.check("get", "/api/jobs", &api.get_with("/api/jobs", &key).await);
    assert_eq!(api.get("/docs").await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn the_document_follows_the_library() {
    let shelf = Shelf::new();
    shelf.put("w", MANIFEST, &graph());
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let first = api.get("/openapi.json").await;
    let path = "/api/run/w/execute";
    assert_eq!(first.json()["paths"][path]["post"]["operationId"], "run_w");
    let properties = |document: &Value| {
        let properties = document["components"]["schemas"]["RunWParams"]["properties"].as_object().unwrap();
        properties.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(properties(&first.json()), ["prompt", "_count"]);

    shelf.put("w", "id: w\ninputs: [{id: prompt, type: text}, {id: steps, type: int}]\n", &graph());
    let second = api.get_with("/openapi.json", &[("If-None-Match", first.header("etag"))]).await;
    assert_eq!(
        (second.status.as_u16(), properties(&second.json())),
        (200, vec!["prompt".into(), "steps".into(), "_count".into()])
    );

    std::fs::remove_dir_all(shelf.path().join("w")).unwrap();
    assert_eq!(api.get("/openapi.json").await.json()["paths"][path], Value::Null);
    api.stop().await;
}

#[actix_rt::test]
async fn the_page_asks_no_other_host() {
    let api = Api::start("http://127.0.0.1:9");
    let described = Described::fetch(&api, &[]).await;
    let page = api.get("/docs").await;
    described.check("get", "/docs", &page);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
    let text = page.text();
    assert!(!text.contains("//"), "the page names another host: {text}");
    let files: Vec<&str> =
        text.split("\"/docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(files, ["page.css", "rapidoc-min.js", "page.js"]);
    for file in files.into_iter().chain(["rapidoc-min.js.LICENSE.txt"]) {
        let reply = api.get(&format!("/docs/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
        described.check("get", "/docs/{file}", &reply);
        let again = api.get_with(&format!("/docs/{file}"), &[("If-None-Match", reply.header("etag"))]).await;
        described.check("get", "/docs/{file}", &again);
        assert_eq!(again.status, 304);
    }
    described.check("get", "/docs/{file}", &api.get("/docs/other.js").await);
    api.stop().await;
}

#[test]
fn the_viewer_is_the_pinned_one() {
    use sha2::Digest as _;
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/docs");
    let sums = std::fs::read_to_string(assets.join("SHA256SUMS")).unwrap();
    let (sum, name) = sums.trim_end().split_once("  ").unwrap();
    assert_eq!(
        format!("{:x}", sha2::Sha256::digest(std::fs::read(assets.join(name)).unwrap())),
        sum,
        "{name}"
    );
}

/// Sends JSON.
async fn post(api: &Api, path: &str, body: &Value) -> Reply {
    let request = api.http.post(format!("{}{path}", api.base));
    Reply::from_response(request.send_json(body).await.unwrap()).await
}

#[actix_rt::test]
async fn answers_are_what_the_document_says() {
    let simulator = simulator();
    let folders = ComfyUiFolders {
        input: Some(simulator.data_dir().join("input")),
        output: Some(simulator.data_dir().join("output")),
    };
    let api =
        Api::start_with(&Settings { folders, ..settings(&simulator.url()) }, &fixtures().join("workflows"));
    let described = Described::fetch(&api, &[]).await;
    let get = async |path: &str, of: &str| {
        let reply = api.get(path).await;
        described.check("get", of, &reply);
        reply
    };

    for path in [
        "/health",
        "/ready",
        "/openapi.json",
        "/api/workflows",
        "/api/broken-workflows",
        "/api/models",
        "/api/jobs",
        "/api/queue",
        "/api/files",
    ] {
        assert_eq!(get(path, path).await.status, 200, "{path}");
    }
    for listed in get("/api/workflows", "/api/workflows").await.json().as_array().unwrap() {
        let id = listed["id"].as_str().unwrap();
        for (path, of) in [
            (format!("/api/run/{id}"), "/api/run/{workflow_id}"),
            (format!("/api/run/{id}?resolve=true"), "/api/run/{workflow_id}"),
            (format!("/api/run/{id}/schema"), "/api/run/{workflow_id}/schema"),
            (format!("/api/workflows/{id}/check"), "/api/workflows/{workflow_id}/check"),
        ] {
            assert_eq!(get(&path, of).await.status, 200, "{path}");
        }
    }
    for (path, of, status) in [
        ("/api/run/none", "/api/run/{workflow_id}", 404),
        ("/api/run/no-model?resolve=perhaps", "/api/run/{workflow_id}", 400),
        ("/api/run/none/schema", "/api/run/{workflow_id}/schema", 404),
        ("/api/workflows?ready=perhaps", "/api/workflows", 400),
        ("/api/models/checkpoints", "/api/models/{kind}", 200),
        ("/api/models/none", "/api/models/{kind}", 404),
        ("/api/jobs?limit=0", "/api/jobs", 400),
        ("/api/jobs/none", "/api/jobs/{prompt_id}", 404),
        ("/api/run/status/none", "/api/run/status/{prompt_id}", 404),
        ("/api/run/ws", "/api/run/ws", 400),
        ("/api/comfyui/view?filename=..", "/api/comfyui/view", 400),
        ("/api/comfyui/view?filename=example.png", "/api/comfyui/view", 200),
        ("/api/comfyui/view?filename=none.png", "/api/comfyui/view", 404),
    ] {
        assert_eq!(get(path, of).await.status, status, "{path}");
    }

    let build = "/api/run/{workflow_id}/build";
    for query in ["", "?format=workflow", "?format=other"] {
        let reply =
            post(&api, &format!("/api/run/text-to-image/build{query}"), &json!({"prompt": "a red fox"}))
                .await;
        described.check("post", build, &reply);
    }
    let execute = "/api/run/text-to-image/execute";
    for (query, body, status) in [
        ("?wait=60", json!({"steps": 2}), 200),
        ("?wait=60&result=true&output_type=image", json!({"steps": 2}), 200),
        ("?wait=60", json!({"_count": 2, "steps": 2}), 200),
        ("", json!({"_count": 2, "steps": 2}), 200),
        ("", json!({"steps": 0}), 400),
        ("?wait=0", json!({}), 400),
        ("?result=true", json!({}), 400),
    ] {
        let reply = post(&api, &format!("{execute}{query}"), &body).await;
        assert_eq!(reply.status, status, "{query} {}", reply.text());
        described.check("post", execute, &reply);
    }

    let job = post(&api, &format!("{execute}?wait=60"), &json!({"steps": 2})).await.json();
    let job = job["prompt_id"].as_str().unwrap();
    for (path, of) in [
        (format!("/api/run/status/{job}"), "/api/run/status/{prompt_id}"),
        (format!("/api/run/result/{job}"), "/api/run/result/{prompt_id}"),
        (format!("/api/run/events/{job}"), "/api/run/events/{prompt_id}"),
        (format!("/api/run/preview/{job}"), "/api/run/preview/{prompt_id}"),
        (format!("/api/jobs/{job}"), "/api/jobs/{prompt_id}"),
        (format!("/api/jobs/{job}/files"), "/api/jobs/{prompt_id}/files"),
        (format!("/api/jobs/{job}/package"), "/api/jobs/{prompt_id}/package"),
        ("/api/jobs?limit=2".to_owned(), "/api/jobs"),
    ] {
        get(&path, of).await;
    }
    let part = api.get_with(&format!("/api/run/result/{job}"), &[("Range", "bytes=0-3")]).await;
    assert_eq!(part.status, 206);
    described.check("get", "/api/run/result/{prompt_id}", &part);
    let cancelled = post(&api, &format!("/api/run/cancel/{job}"), &json!({})).await;
    assert_eq!(cancelled.status, 409);
    described.check("post", "/api/run/cancel/{prompt_id}", &cancelled);
    let retried = post(&api, &format!("/api/jobs/{job}/retry"), &json!({})).await;
    assert_eq!(retried.status, 200);
    described.check("post", "/api/jobs/{prompt_id}/retry", &retried);
    for query in ["?files=perhaps", "?files=true", ""] {
        described.check(
            "delete",
            "/api/jobs/{prompt_id}",
            &api.delete(&format!("/api/jobs/{job}{query}")).await,
        );
    }

    let upload = api.post("/api/run/upload-image", Form::new().file("file", "fox.png", &png())).await;
    described.check("post", "/api/run/upload-image", &upload);
    get("/api/files", "/api/files").await;
    let filename = upload.json()["filename"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        described.check(
            "delete",
            "/api/files/{filename}",
            &api.delete(&format!("/api/files/{filename}")).await,
        );
    }
    let saved = graph().to_string();
    for content in [saved.as_bytes(), b"no graph"] {
        let inspected = api.post("/api/workflows/inspect", Form::new().file("file", "w.json", content)).await;
        described.check("post", "/api/workflows/inspect", &inspected);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn answers_of_the_comfy_api_v2_are_what_the_document_says() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let described = Described::fetch(&api, &[]).await;
    let submit = async |workflow: Value, status: u16| {
        let reply = post(&api, "/api/v2/jobs", &json!({"workflow": workflow})).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        described.check("post", "/api/v2/jobs", &reply);
        reply.json()
    };
    submit(json!({"1": {"class_type": "NoSuchNode", "inputs": {}}}), 422).await;
    submit(json!([]), 422).await;
    let library = json!({"__type": "runner/WORKFLOW", "id": "text-to-image", "params": {"steps": 2}});
    let job = submit(library, 201).await["id"].as_str().unwrap().to_owned();

    let events = api.get(&format!("/api/v2/jobs/{job}/events")).await;
    described.check("get", "/api/v2/jobs/{id}/events", &events);
    let schemas = &described.document["paths"]["/api/v2/jobs/{id}/events"]["get"]["x-event-data"];
    let text = events.text();
    let mut messages = 0;
    for event in text.split("\n\n").filter_map(|event| event.strip_prefix("event: ")) {
        let (name, data) = event.split_once("\ndata: ").unwrap();
        described.validate(name, &schemas[name], &serde_json::from_str(data).unwrap());
        messages += 1;
    }
    assert!(messages >= 3, "{text}");

    let shown = api.get(&format!("/api/v2/jobs/{job}")).await.json();
    let asset = shown["outputs"][0]["id"].as_str().unwrap();
    for (path, of, status) in [
        ("/api/v2/jobs?limit=2&status=succeeded,failed".to_owned(), "/api/v2/jobs", 200),
        ("/api/v2/jobs?limit=0".to_owned(), "/api/v2/jobs", 400),
        (format!("/api/v2/jobs/{job}"), "/api/v2/jobs/{id}", 200),
        ("/api/v2/jobs/none".to_owned(), "/api/v2/jobs/{id}", 404),
        (format!("/api/v2/jobs/{job}/workflow"), "/api/v2/jobs/{id}/workflow", 200),
        (format!("/api/v2/jobs/{job}/logs"), "/api/v2/jobs/{id}/logs", 204),
        (format!("/api/v2/assets/{asset}"), "/api/v2/assets/{id}", 200),
        (format!("/api/v2/assets/{asset}/content"), "/api/v2/assets/{id}/content", 200),
        ("/api/v2/assets/none".to_owned(), "/api/v2/assets/{id}", 404),
    ] {
        let reply = api.get(&path).await;
        assert_eq!(reply.status, status, "{path} {}", reply.text());
        described.check("get", of, &reply);
    }
    let upload = Form::new().text("file_path", "fox.png").file("file", "fox.png", &png());
    let upload = api.post("/api/v2/assets", upload).await;
    assert_eq!(upload.status, 201, "{}", upload.text());
    described.check("post", "/api/v2/assets", &upload);
    let refused = api.post("/api/v2/assets", Form::new().text("file_path", "../fox.png")).await;
    assert_eq!(refused.status, 422);
    described.check("post", "/api/v2/assets", &refused);
    let (id, hash) = (upload.json()["id"].clone(), upload.json()["hash"].clone());
    for (hash, status) in [(hash, 201), (json!("blake3:00"), 404)] {
        let reply =
            post(&api, "/api/v2/assets/from-hash", &json!({"hash": hash, "file_path": "again.png"})).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        described.check("post", "/api/v2/assets/from-hash", &reply);
    }
    for status in [204, 404] {
        let deleted = api.delete(&format!("/api/v2/assets/{}", id.as_str().unwrap())).await;
        assert_eq!(deleted.status, status);
        described.check("delete", "/api/v2/assets/{id}", &deleted);
    }
    let cancelled = post(&api, &format!("/api/v2/jobs/{job}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 200);
    described.check("post", "/api/v2/jobs/{id}/cancel", &cancelled);
    api.stop().await;
}

#[actix_rt::test]
async fn what_the_document_shows_as_a_request_is_accepted() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let described = Described::fetch(&api, &[]).await;
    let job = api.execute("no-model", json!({})).await["prompt_id"].as_str().unwrap().to_owned();
    let examples = described.request_examples();
    assert!(examples.len() >= 6, "{examples:?}");
    for (method, path, example) in examples {
        assert_eq!(method, "post");
        let example = example.to_string().replace("abc12345-6789-4def-8123-456789abcdef", &job);
        let example: Value = serde_json::from_str(&example).unwrap();
        let reply = post(&api, &path.replace("{workflow_id}", "text-to-image"), &example).await;
        assert!(reply.status.is_success(), "{path} {example}: {}", reply.text());
        described.check(&method, &path, &reply);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn messages_of_streams_are_what_the_document_says() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let described = Described::fetch(&api, &[]).await;
    let job = api.execute("text-to-image", json!({"steps": 3})).await;
    let events = api.get(&format!("/api/run/events/{}", job["prompt_id"].as_str().unwrap())).await;
    described.check("get", "/api/run/events/{prompt_id}", &events);
    let schema = &described.document["paths"]["/api/run/events/{prompt_id}"]["get"]["x-event-data"];
    let text = events.text();
    let messages: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(messages.len() >= 3, "{text}");
    for message in messages {
        described.validate("an event", schema, &message);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn the_schema_of_params_is_that_of_the_manifest() {
    let api = Api::start("http://127.0.0.1:9");
    let reply = api.get("/api/run/text-to-image/schema").await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/schema+json"));
    let schema = reply.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["steps"]["maximum"], 100);
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({"prompt": "a red fox", "steps": 20})));
    assert!(!validator.is_valid(&json!({"prompt": "a red fox", "steps": 101})));
    api.stop().await;
}
