//! Files that go to callers: in part and in whole, and never more than they may have.

mod support;

use std::path::PathBuf;

use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Api, Reply, Shelf, png, settings, simulator};

/// Puts a file into one of ComfyUI's folders.
fn put(simulator: &Simulator, place: &str, bytes: &[u8]) -> PathBuf {
    let path = simulator.data_dir().join(place);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn range_headers(reply: &Reply) -> (u16, &str, &str) {
    (reply.status.as_u16(), reply.header("content-range"), reply.header("content-length"))
}

/// A server, and the path of a finished job's result.
async fn finished(simulator: &Simulator) -> (Api, String) {
    let api = Api::start(&simulator.url());
    let job = api.execute("no-model", json!({})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    (api, format!("/api/run/result/{prompt_id}"))
}

#[actix_rt::test]
async fn a_part_of_a_file_can_be_had_from_both_paths() {
    let simulator = simulator();
    put(&simulator, "input/a.png", &png());
    let (api, result) = finished(&simulator).await;
    for path in [result.as_str(), "/api/comfyui/view?filename=a.png"] {
        let whole = api.get(path).await;
        assert_eq!(whole.status, 200);
        assert_eq!(whole.header("accept-ranges"), "bytes");
        let length = whole.body.len();
        assert_eq!(whole.header("content-length"), length.to_string());

        let part = api.get_with(path, &[("range", "bytes=10-19")]).await;
        assert_eq!(range_headers(&part), (206, format!("bytes 10-19/{length}").as_str(), "10"));
        assert_eq!(part.body, whole.body[10..20]);
        assert_eq!(part.header("content-type"), "image/png");

        let tail = api.get_with(path, &[("range", "bytes=-7")]).await;
        let expected = format!("bytes {}-{}/{length}", length - 7, length - 1);
        assert_eq!(range_headers(&tail), (206, expected.as_str(), "7"));
        assert_eq!(tail.body, whole.body[length - 7..]);

        let rest = api.get_with(path, &[("range", "bytes=20-")]).await;
        assert_eq!(rest.status, 206);
        assert_eq!(rest.body, whole.body[20..]);

        let beyond = api.get_with(path, &[("range", "bytes=99999999-")]).await;
        assert_eq!(
            (beyond.status.as_u16(), beyond.header("content-range")),
            (416, format!("bytes */{length}").as_str())
        );
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_that_the_caller_has_already_is_not_sent_again() {
    let simulator = simulator();
    put(&simulator, "input/a.png", &png());
    let (api, result) = finished(&simulator).await;
    for path in [result.as_str(), "/api/comfyui/view?filename=a.png"] {
        let whole = api.get(path).await;
        let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
        assert!(!etag.is_empty() && !modified.is_empty(), "{:?}", whole.headers);
        for headers in [("if-none-match", etag), ("if-modified-since", modified)] {
            let reply = api.get_with(path, &[headers]).await;
            assert_eq!(reply.status, 304, "{headers:?}");
            assert!(reply.body.is_empty());
            assert_eq!(reply.header("etag"), etag);
        }
        assert_eq!(api.get_with(path, &[("if-none-match", "\"other\"")]).await.status, 200);
        assert_eq!(api.get_with(path, &[("if-match", "\"other\"")]).await.status, 412);

        let range = ("range", "bytes=0-3");
        let same = api.get_with(path, &[range, ("if-range", modified)]).await;
        assert_eq!((same.status.as_u16(), &same.body[..]), (206, &whole.body[..4]));
    }
    api.stop().await;
}

#[actix_rt::test]
async fn head_tells_of_a_file_without_sending_it() {
    let simulator = simulator();
    put(&simulator, "input/a.png", &png());
    let (api, result) = finished(&simulator).await;
    for path in [result.as_str(), "/api/comfyui/view?filename=a.png"] {
        let whole = api.get(path).await;
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let head = api.send_raw(request.as_bytes()).await;
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty(), "{} bytes", head.body.len());
        for name in
            ["content-length", "content-type", "content-disposition", "etag", "x-content-type-options"]
        {
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
    }
    assert_eq!(api.head("/api/comfyui/view?filename=none.png").await.status, 404);
    assert_eq!(api.head("/api/run/result/none").await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn nothing_that_could_run_is_shown_in_our_name() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let page = b"<html><script>alert(1)</script></html>";
    for name in [
        "a.html", "a.svg", "a.js", "a.xhtml", "a.xml", "a.css", "a.HTML", "a", "a.json", "a.wasm", "a.m3u8",
        "a.pls", "a.asx",
    ] {
        put(&simulator, &format!("output/{name}"), page);
        let reply = api.get(&format!("/api/comfyui/view?filename={name}&type=output")).await;
        assert_eq!(reply.status, 200, "{name}");
        assert_eq!(reply.header("content-type"), "application/octet-stream", "{name}");
        assert_eq!(reply.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{name}");
        assert_eq!(reply.header("content-security-policy"), "sandbox allow-same-origin", "{name}");
        assert_eq!(reply.body, page);
    }
    // A page that is declared as an image stays one: browsers must not guess its type.
    put(&simulator, "output/page.png", page);
    let reply = api.get("/api/comfyui/view?filename=page.png&type=output").await;
    assert_eq!(
        (reply.header("content-type"), reply.header("x-content-type-options")),
        ("image/png", "nosniff")
    );
    api.stop().await;
}

#[actix_rt::test]
async fn errors_are_not_for_browsers_to_guess_at_either() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for path in
        ["/api/comfyui/view?filename=<script>.html", "/api/comfyui/view", "/api/run/result/x", "/nowhere"]
    {
        let reply = api.get_raw(path.replace('<', "%3C").replace('>', "%3E").as_str()).await;
        assert!(reply.status.is_client_error(), "{path}");
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn no_name_folder_or_type_climbs_out_of_comfyuis_folders() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    put(&simulator, "secret.png", &png());
    put(&simulator, "input/inner/a.png", &png());
    put(&simulator, "output/a.png", &png());
    let inside = api.get("/api/comfyui/view?filename=a.png&subfolder=inner").await;
    assert_eq!(inside.status, 200);
    let climbing = [
        "filename=../secret.png",
        "filename=..%2fsecret.png",
        "filename=%2e%2e%2fsecret.png",
        "filename=%2e%2e/secret.png",
        "filename=..%5csecret.png",
        "filename=..\\secret.png",
        "filename=inner/../../secret.png",
        "filename=/etc/passwd",
        "filename=%2fetc%2fpasswd",
        "filename=C:%5csecret.png",
        "filename=..",
        "filename=.",
        "filename=",
        "filename=secret.png%00",
        "filename=a.png%0d%0aX-Evil:%201",
        "filename=secret.png&subfolder=..",
        "filename=secret.png&subfolder=%2e%2e",
        "filename=secret.png&subfolder=inner/../..",
        "filename=secret.png&subfolder=inner%2f..%2f..",
        "filename=secret.png&subfolder=..%5c",
        "filename=passwd&subfolder=/etc",
        "filename=passwd&subfolder=%2fetc",
        "filename=secret.png&type=..",
        "filename=secret.png&type=",
        "filename=secret.png&type=%2e%2e",
        "filename=secret.png&type=output/..",
        "filename=secret.png&type=models",
    ];
    for query in climbing {
        let reply = api.get_raw(&format!("/api/comfyui/view?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(!reply.detail().is_empty());
        assert!(reply.headers.get("x-evil").is_none());
    }
    // Encoded twice, it is an ordinary name that no file has.
    for query in ["filename=%252e%252e%252fsecret.png", "filename=secret.png&subfolder=%252e%252e"] {
        let reply = api.get_raw(&format!("/api/comfyui/view?{query}")).await;
        assert_eq!(reply.status, 404, "{query}: {}", reply.text());
    }
    let repeated = api.get_raw("/api/comfyui/view?filename=a.png&filename=../secret.png").await;
    assert_eq!(repeated.status, 400);
    api.stop().await;
}

#[actix_rt::test]
async fn a_name_stays_inside_its_header_and_reaches_the_caller_in_its_own_letters() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let cases = [
        (
            "füchse 狐.png",
            "f%C3%BCchse%20%E7%8B%90.png",
            "inline; filename=\"f_chse _.png\"; filename*=UTF-8''f%C3%BCchse%20%E7%8B%90.png",
        ),
        ("100%.png", "100%25.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("a;b=c.png", "a%3Bb%3Dc.png", "inline; filename=\"a;b=c.png\""),
    ];
    for (name, encoded, disposition) in cases {
        put(&simulator, &format!("input/{name}"), &png());
        let reply = api.get(&format!("/api/comfyui/view?filename={encoded}")).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert_eq!(reply.header("content-disposition"), disposition);
        assert_eq!(reply.body, png());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn what_comfyui_says_of_a_file_beyond_its_bytes_is_not_passed_on() {
    let mut comfyui = mockito::Server::new_async().await;
    comfyui
        .mock("GET", "/view")
        .match_query(mockito::Matcher::Any)
        .with_header("content-type", "text/html")
        .with_header("content-disposition", "inline; filename=\"evil.html\"")
        .with_header("set-cookie", "session=1")
        .with_header("access-control-allow-origin", "*")
        .with_header("refresh", "0; url=https://evil.example")
        .with_header("x-content-type-options", "sniff")
        .with_body("<script>alert(1)</script>")
        .create_async()
        .await;
    let api = Api::start(&comfyui.url());
    let reply = api.get("/api/comfyui/view?filename=a%22b.html").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(
        reply.header("content-disposition"),
        "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%22b.html"
    );
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    for name in ["set-cookie", "access-control-allow-origin", "refresh"] {
        assert_eq!(reply.header(name), "", "{name}");
    }
    api.stop().await;
}

/// A workflow that makes an image and a video.
fn image_and_video(shelf: &Shelf, id: &str, outputs: &str) {
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "still"}},
        "3": {"class_type": "VHS_VideoCombine", "inputs": {
            "images": ["1", 0], "frame_rate": 8, "loop_count": 0, "filename_prefix": "video", "format": "image/gif",
            "pingpong": false, "save_output": true}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    shelf.put(id, &format!("id: {id}\nname: Both\n{outputs}"), &graph);
}

async fn run(api: &Api, workflow: &str) -> (String, Value) {
    let job = api.execute(workflow, json!({})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap().to_owned();
    let status = api.wait(&prompt_id).await;
    assert_eq!(status["status"], "completed", "{status}");
    (format!("/api/run/result/{prompt_id}"), status)
}

#[actix_rt::test]
async fn the_result_is_of_the_kind_asked_for_unless_the_manifest_names_a_node() {
    let simulator = simulator();
    let shelf = Shelf::new();
    image_and_video(&shelf, "both", "");
    image_and_video(&shelf, "named", "outputs: [{type: image, node_id: 2}]\n");
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let (both, status) = run(&api, "both").await;
    let outputs = &status["outputs"];
    assert_eq!(outputs.as_object().unwrap().keys().collect::<Vec<_>>(), ["video", "image"], "{status}");
    for (query, begin) in [
        ("", &b"GIF8"[..]),
        ("?output_type=video", b"GIF8"),
        ("?output_type=image", b"\x89PNG"),
        ("?output_type=audio", b"GIF8"),
    ] {
        let reply = api.get(&format!("{both}{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        assert!(reply.body.starts_with(begin), "{query}: {}", reply.header("content-type"));
    }
    let wrong = api.get(&format!("{both}?output_type=hologram")).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.detail().contains("hologram") && wrong.detail().contains("video"), "{}", wrong.detail());

    let (named, _) = run(&api, "named").await;
    for query in ["", "?output_type=video"] {
        assert!(api.get(&format!("{named}{query}")).await.body.starts_with(b"\x89PNG"), "{query}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_that_is_not_there_is_404() {
    let simulator = simulator();
    let (api, result) = finished(&simulator).await;
    let reply = api.get("/api/comfyui/view?filename=none.png&type=output").await;
    assert_eq!(reply.status, 404);
    assert!(reply.detail().contains("\"none.png\""), "{}", reply.detail());
    // The job is known, but its file was removed.
    for file in support::files_below(&simulator.data_dir().join("output")) {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(api.get(&result).await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn a_view_without_comfyui_is_404_and_says_so() {
    let api = Api::start("http://127.0.0.1:9");
    let reply = api.get("/api/comfyui/view?filename=a.png").await;
    assert_eq!(reply.status, 404);
    assert!(reply.detail().contains("127.0.0.1:9 cannot be reached"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn an_answer_that_ends_too_soon_is_no_whole_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut socket in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = socket.read(&mut request).unwrap_or(0);
            if request[..length].starts_with(b"GET /view") {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it");
            }
        }
    });
    let api = Api::start(&url);
    let url = format!("{}/api/comfyui/view?filename=a.png", api.base);
    // awc takes a body that ends early for a whole one: the length that was promised tells.
    if let Ok(mut reply) = api.http.get(url).send().await {
        let promised = reply.headers().get("content-length").expect("a length").to_str().unwrap().to_owned();
        assert_eq!(promised, "1000");
        if let Ok(body) = reply.body().await {
            assert!(body.len() < 1000, "half a file must not look like a whole one");
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_smaller_encoding_of_an_image_comes_from_comfyui_and_is_kept_by_browsers() {
    let simulator = simulator();
    put(&simulator, "input/a.png", &png());
    put(&simulator, "input/broken.png", b"no image");
    put(&simulator, "input/b.mp4", b"a video");
    let api = Api::start(&simulator.url());
    for (preview, media_type) in [("webp", "image/webp"), ("webp;50", "image/webp"), ("jpeg;9", "image/jpeg")]
    {
        let reply = api.get(&format!("/api/comfyui/view?filename=a.png&preview={preview}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, media_type), "{preview}");
        assert_eq!(reply.header("cache-control"), "private, max-age=86400");
        assert!(reply.body.starts_with(if media_type.ends_with("webp") {
            b"RIFF"
        } else {
            b"\xff\xd8\xff\xe0"
        }));
    }
    // What ComfyUI cannot decode comes as it is.
    let broken = api.get("/api/comfyui/view?filename=broken.png&preview=webp").await;
    assert_eq!((broken.status.as_u16(), broken.body.as_slice()), (200, &b"no image"[..]));
    assert_eq!(api.get("/api/comfyui/view?filename=none.png&preview=webp").await.status, 404);
    for (query, named) in [
        ("a.png&preview=png", "webp"),
        ("a.png&preview=webp;101", "1 to 100"),
        ("a.png&preview=webp;50%26type=temp", "1 to 100"),
        ("b.mp4&preview=webp", "b.mp4"),
    ] {
        let reply = api.get(&format!("/api/comfyui/view?filename={query}")).await;
        assert_eq!((reply.status.as_u16(), reply.detail().contains(named)), (400, true), "{}", reply.text());
    }
}

#[actix_rt::test]
async fn texts_that_nodes_report_are_listed_beside_the_files() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": "a fox"}, "_meta": {"title": "Caption"}},
    });
    let body = json!({"manifest": "id: caption\n", "graph": graph}).to_string();
    let submitted = api.post_body("/api/manifest/execute", "application/json".to_owned(), body).await;
    let id = submitted.json()["prompt_id"].as_str().unwrap().to_owned();
    assert_eq!(api.wait(&id).await["status"], "completed");
    let listed = api.get(&format!("/api/jobs/{id}/files")).await.json();
    let text =
        json!({"node_id": "2", "node_title": "Caption", "node_type": "RunnerTestText", "text": "a fox"});
    assert_eq!(listed, json!({"files": [], "texts": [text]}));
}
