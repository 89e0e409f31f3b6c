//! What callers may say, how it reaches the graph, and what they hear when they may not. No ComfyUI is needed for it.

mod support;

use serde_json::{Map, Value, json};
use support::{Api, Form, Shelf, settings};

/// The workflow `plate`, with an input of each plain type.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    let manifest = r#"
id: plate
name: Plate
inputs:
  - {id: prompt, type: text, required: true, node_id: 2, field: filename_prefix, default: a plate}
  - {id: width, type: int, node_id: 1, field: width, default: 64, min: 16, max: 4096}
  - {id: strength, type: float, node_id: 1, field: strength, default: 0.5, min: 0, max: 1}
  - {id: invert, type: boolean, node_id: 1, field: invert, default: false}
  - {id: method, type: select, node_id: 1, field: method, default: area, options: [area, {label: Nearest, value: nearest}]}
  - {id: seed, type: seed, node_id: 1, field: seed, default: -1}
  - {id: noise, type: seed, node_id: 1, field: noise, default: 7}
  - {id: size, type: resolution_picker, node_id: 3, default: 512x768, min: 16, max: 2048}
  - {id: note, type: text}
"#;
    let graph = json!({
        "1": {"class_type": "Work", "inputs": {"width": 1, "strength": 1.0, "invert": false, "method": "", "seed": 0,
              "noise": 0}},
        "2": {"class_type": "Save", "inputs": {"images": ["1", 0], "filename_prefix": "x", "text": "note: {{note}}!"}},
        "3": {"class_type": "Empty", "inputs": {"width": 1, "height": 1}},
        "4": {"class_type": "Again", "inputs": {"seed": "{{seed}}", "width": "{{width}}"}},
    });
    shelf.put("plate", manifest, &graph);
    shelf
}

fn serve(shelf: &Shelf) -> Api {
    Api::start_with(&settings("http://127.0.0.1:9"), shelf.path())
}

async fn build(api: &Api, params: &Value) -> Value {
    let reply = api.post("/api/run/plate/build", Form::new().params(params.clone())).await;
    assert_eq!(reply.status, 200, "{params}: {}", reply.text());
    reply.json()
}

/// Posts `params` as they are written, also what `serde_json` would not write.
async fn refused(api: &Api, params: &str) -> String {
    let reply = api.post("/api/run/plate/build", Form::new().text("params", params)).await;
    assert_eq!(reply.status, 400, "{params}: {}", reply.text());
    let executed = api.post("/api/run/plate/execute", Form::new().text("params", params)).await;
    assert_eq!((executed.status.as_u16(), executed.detail()), (400, reply.detail()), "{params}");
    reply.detail()
}

#[actix_rt::test]
async fn defaults_fill_what_is_left_out() {
    let shelf = shelf();
    let api = serve(&shelf);
    for graph in [build(&api, &json!({})).await, build(&api, &json!({"width": null, "prompt": null})).await] {
        let inputs = &graph["1"]["inputs"];
        assert_eq!(inputs["width"], 64);
        assert_eq!(inputs["strength"], 0.5);
        assert_eq!(inputs["method"], "area");
        assert_eq!(inputs["noise"], 7);
        assert_eq!(graph["3"]["inputs"], json!({"width": 512, "height": 768}));
    }
    let no_body = b"POST /api/run/plate/build HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(api.send_raw(no_body).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn a_refusal_names_the_input_and_what_is_allowed() {
    let shelf = shelf();
    let api = serve(&shelf);
    let cases: [(&str, &[&str]); 17] = [
        (r#"{"width": 8}"#, &["\"width\"", "a whole number from 16 to 4096", "not 8"]),
        (r#"{"width": 5000}"#, &["\"width\"", "from 16 to 4096", "5000"]),
        (r#"{"width": 30.5}"#, &["\"width\"", "a whole number", "30.5"]),
        (r#"{"width": "wide"}"#, &["\"width\"", "a whole number", "\"wide\""]),
        (r#"{"width": [64]}"#, &["\"width\"", "a whole number", "[64]"]),
        (r#"{"strength": 1.01}"#, &["\"strength\"", "a number from 0 to 1", "1.01"]),
        (r#"{"strength": "NaN"}"#, &["\"strength\"", "a number"]),
        (r#"{"strength": "inf"}"#, &["\"strength\"", "a number"]),
        (r#"{"invert": "maybe"}"#, &["\"invert\"", "true or false"]),
        (r#"{"method": "cubic"}"#, &["\"method\"", "one of \"area\", \"nearest\"", "\"cubic\""]),
        (r#"{"method": "Nearest"}"#, &["\"method\"", "\"Nearest\" is the label of \"nearest\""]),
        (r#"{"seed": -2}"#, &["\"seed\"", "-1 for a random one", "-2"]),
        (r#"{"seed": 1.5}"#, &["\"seed\"", "whole number"]),
        (r#"{"seed": 18446744073709551616}"#, &["\"seed\"", "whole number"]),
        (r#"{"size": "huge"}"#, &["\"size\"", "832x1216"]),
        (r#"{"size": {"w": 8, "h": 64}}"#, &["\"size\"", "width", "from 16 to 2048"]),
        (r#"{"prompt": {"text": "a"}}"#, &["\"prompt\"", "a string"]),
    ];
    for (params, parts) in cases {
        let detail = refused(&api, params).await;
        for part in parts {
            assert!(detail.contains(part), "{params}: {part} is not in: {detail}");
        }
    }
    let both = refused(&api, r#"{"width": 8, "method": "cubic"}"#).await;
    assert!(both.contains("\"width\"") && both.contains("\"method\""), "all at once: {both}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_key_that_is_no_input_is_refused_with_a_hint_unless_it_is_private() {
    let shelf = shelf();
    let api = serve(&shelf);
    let detail = refused(&api, r#"{"promt": "a fox"}"#).await;
    assert!(detail.contains("\"promt\"") && detail.contains("Did you mean \"prompt\"?"), "{detail}");
    let detail = refused(&api, r#"{"zzzzzz": 1}"#).await;
    assert!(detail.contains("Its inputs are prompt, width"), "{detail}");
    let detail = refused(&api, &json!({"x".repeat(5000): 1}).to_string()).await;
    assert!(detail.len() < 1000, "{} bytes", detail.len());
    let detail = refused(&api, r#"{"_existing_input_image": "a.png"}"#).await;
    assert!(detail.contains("takes no files"), "{detail}");
    build(&api, &json!({"_form_version": 3})).await;
    api.stop().await;
}

#[actix_rt::test]
async fn values_are_coerced_where_nothing_is_lost() {
    let shelf = shelf();
    let api = serve(&shelf);
    let graph = build(
        &api,
        &json!({"width": " 30 ", "strength": "0.25", "invert": "TRUE", "prompt": 30, "size": "832×1216", "seed": "5"}),
    )
    .await;
    let inputs = &graph["1"]["inputs"];
    assert_eq!(inputs["width"], json!(30));
    assert_eq!(inputs["strength"], json!(0.25));
    assert_eq!(inputs["invert"], json!(true));
    assert_eq!(inputs["seed"], json!(5));
    assert_eq!(graph["3"]["inputs"], json!({"width": 832, "height": 1216}));
    assert_eq!(build(&api, &json!({"width": 30.0})).await["1"]["inputs"]["width"], json!(30));
    assert_eq!(build(&api, &json!({"invert": 1})).await["1"]["inputs"]["invert"], json!(true));
    api.stop().await;
}

#[actix_rt::test]
async fn a_resolution_comes_in_any_of_its_spellings() {
    let shelf = shelf();
    let api = serve(&shelf);
    for (params, size) in [
        (json!({"size": {"w": 640, "h": 480}}), (640, 480)),
        (json!({"size": {"width": 640, "height": "480"}}), (640, 480)),
        (json!({"size": "640x480"}), (640, 480)),
    ] {
        let graph = build(&api, &params).await;
        assert_eq!(graph["3"]["inputs"], json!({"width": size.0, "height": size.1}), "{params}");
    }
    // `width` is an input of its own here; `height` alone takes the other side from the default.
    let graph = build(&api, &json!({"width": 100, "height": 300})).await;
    assert_eq!(graph["1"]["inputs"]["width"], 100);
    assert_eq!(graph["3"]["inputs"], json!({"width": 512, "height": 300}));
    api.stop().await;
}

#[actix_rt::test]
async fn a_text_is_data_whatever_stands_in_it() {
    let shelf = shelf();
    let api = serve(&shelf);
    let texts = [
        "{{seed}} and {{ width }}",
        "{{note}}",
        "{{",
        "}}",
        "{{no such thing}}",
        "{% raw %}",
        "${HOME}",
        "\"quoted\" \\ back",
        "line\nbreak\ttab",
        "狐 🦊 \u{202e}",
        "</script>",
        "../../etc/passwd",
    ];
    for text in texts {
        let graph = build(&api, &json!({"note": text})).await;
        assert_eq!(graph["2"]["inputs"]["text"], format!("note: {text}!"));
    }
    let graph = build(&api, &json!({})).await;
    assert_eq!(graph["2"]["inputs"]["text"], "note: !", "nothing is given, so nothing stands there");
    api.stop().await;
}

#[actix_rt::test]
async fn what_is_required_must_not_be_empty() {
    let shelf = shelf();
    let api = serve(&shelf);
    for empty in ["\"\"", "\"  \\n\""] {
        let detail = refused(&api, &format!("{{\"prompt\": {empty}}}")).await;
        assert!(detail.contains("\"prompt\" is required") && detail.contains("empty"), "{detail}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_seed_that_is_given_passes_untouched_and_minus_one_is_random_below_2_to_the_53() {
    let shelf = shelf();
    let api = serve(&shelf);
    for seed in [0, 1, (1 << 53) + 1, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let graph = build(&api, &json!({"seed": seed})).await;
        assert_eq!(graph["1"]["inputs"]["seed"].as_u64(), Some(seed));
        assert_eq!(graph["4"]["inputs"]["seed"].as_u64(), Some(seed));
    }
    let mut generated = std::collections::HashSet::new();
    for params in
        [json!({"seed": -1}), json!({"seed": "-1"}), json!({"seed": ""}), json!({"seed": null}), json!({})]
    {
        let graph = build(&api, &params).await;
        let seed = graph["1"]["inputs"]["seed"].as_u64().unwrap();
        assert!(seed < 1 << 53);
        assert_eq!(graph["4"]["inputs"]["seed"], seed, "one input, one seed");
        assert!(generated.insert(seed), "{seed} twice");
        assert_eq!(graph["1"]["inputs"]["noise"], 7, "a default that is no -1 stays");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn the_reply_to_execute_says_which_seeds_were_used() {
    let simulator = support::simulator();
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestProgress", "inputs": {"image": ["1", 0], "steps": 1, "delay_ms": 0, "seed": 0,
              "preview": false}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    shelf.put(
        "seeds",
        "id: seeds\nname: Seeds\ninputs:\n  - {id: seed, type: seed, node_id: 2, field: seed}\n  - {id: b, type: seed}\n",
        &graph,
    );
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let job = api.execute("seeds", json!({"seed": u64::MAX, "b": -1})).await;
    let seeds: &Map<String, Value> = job["seeds"].as_object().unwrap();
    assert_eq!(seeds["seed"].as_u64(), Some(u64::MAX));
    assert!(seeds["b"].as_u64().unwrap() < 1 << 53);
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let history = format!("{}/history/{prompt_id}", simulator.url());
    let history = api.http.get(history).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(history[prompt_id]["prompt"][2]["2"]["inputs"]["seed"].as_u64(), Some(u64::MAX));
    api.stop().await;
}
