//! Files that callers send: what is taken, what is refused, and what is left of it on ComfyUI.

mod support;

use std::collections::HashSet;

use actix_web::rt::net::TcpStream;
use comfy_runner_simulator::Simulator;
use serde_json::json;
use support::{
    Api, Form, Reply, Shelf, eventually, files_below, fixtures, png, settings, simulator, uploaded,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const UPLOAD: &str = "/api/run/upload-image";
const MIB: usize = 1 << 20;

/// Returns a PNG file of this many bytes, padded after its end.
fn png_of_size(length: usize) -> Vec<u8> {
    let mut bytes = png();
    bytes.resize(length, 0);
    bytes
}

fn file(bytes: &[u8]) -> Form {
    Form::new().file("file", "photo.png", bytes)
}

/// A whole request, as a client sends it that does not wait for an answer.
fn request(path: &str, form: Form) -> Vec<u8> {
    let content_type = form.content_type();
    let body = form.body();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

fn assert_too_large(reply: &Reply) {
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.detail().contains("larger than the limit of 1048576 bytes"), "{}", reply.detail());
}

async fn assert_nothing_uploaded(simulator: &Simulator) {
    eventually("ComfyUI's input folder is as it was", || uploaded(simulator).is_empty()).await;
}

#[actix_rt::test]
async fn a_file_may_have_as_many_bytes_as_the_limit_says_and_not_one_more() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let reply = api.post(UPLOAD, file(&png_of_size(MIB + 1))).await;
    assert_too_large(&reply);
    assert_nothing_uploaded(&simulator).await;
    let reply = api.post(UPLOAD, file(&png_of_size(MIB))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    api.stop().await;
}

#[actix_rt::test]
async fn a_request_that_announces_too_much_is_refused_and_the_caller_hears_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for path in [UPLOAD, "/api/run/image-to-image/execute", "/api/run/image-to-image/build"] {
        let name = if path == UPLOAD { "file" } else { "input_image" };
        let form = Form::new().file(name, "photo.png", &png_of_size(8 * MIB));
        assert_too_large(&api.send_raw(&request(path, form)).await);
    }
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_body_without_length_is_cut_at_the_limit_and_the_caller_hears_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    assert_too_large(&api.post_unmeasured(UPLOAD, file(&png_of_size(8 * MIB))).await);
    let form = Form::new().params(json!({"prompt": "a fox"})).file(
        "input_image",
        "photo.png",
        &png_of_size(8 * MIB),
    );
    assert_too_large(&api.post_unmeasured("/api/run/image-to-image/execute", form).await);
    assert_nothing_uploaded(&simulator).await;
    let reply = api.post_unmeasured(UPLOAD, file(&png())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_whose_content_is_no_image_video_audio_or_3d_model_is_refused() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let refused: [(&str, &[u8]); 7] = [
        ("text", b"just a few words, and a few more so that they are not too few"),
        ("html", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
        ("svg", b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
        ("bare svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>"),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj"),
        ("zip", b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txt"),
        ("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0>\0"),
    ];
    for (kind, bytes) in refused {
        let reply = api.post(UPLOAD, file(bytes)).await;
        assert_eq!(reply.status, 400, "{kind}: {}", reply.text());
        let detail = reply.detail();
        assert!(
            detail.contains("\"photo.png\"") && detail.contains("an image, a video, audio or a 3D model"),
            "{kind}: {detail}"
        );
    }
    let empty = api.post(UPLOAD, file(b"")).await;
    assert_eq!(empty.status, 400);
    assert!(empty.detail().contains("is empty"), "{}", empty.detail());
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn films_and_sounds_are_taken_too() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let taken: [(&str, &[u8]); 4] = [
        ("video.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp41\0\0\0\x08free"),
        ("video.webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm"),
        ("sound.mp3", b"ID3\x03\0\0\0\0\0\x0fTSSE\0\0"),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0"),
    ];
    for (name, head) in taken {
        let mut bytes = head.to_vec();
        bytes.resize(1000, 0);
        let reply = api.post(UPLOAD, Form::new().file("file", name, &bytes)).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert!(reply.json()["filename"].as_str().unwrap().ends_with(&format!("_{name}")));
    }
    api.stop().await;
}

#[actix_rt::test]
async fn an_input_for_images_takes_no_video_whatever_it_is_called() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut film = b"\0\0\0\x18ftypisom\0\0\0\0isommp41\0\0\0\x08free".to_vec();
    film.resize(1000, 0);
    for name in ["film.mp4", "film.png"] {
        let form = Form::new().params(json!({"prompt": "a fox"})).file("input_image", name, &film);
        let reply = api.post("/api/run/image-to-image/execute", form).await;
        let error = format!("input \"image\" takes an image: the file \"{name}\" is video/mp4, not an image");
        assert_eq!((reply.status.as_u16(), reply.detail()), (400, error));
    }
    assert_nothing_uploaded(&simulator).await;

    let stored = api.post(UPLOAD, Form::new().file("file", "film.mp4", &film)).await.json();
    let stored = stored["filename"].as_str().unwrap();
    for key in ["_existing_input_image", "image"] {
        let form = Form::new().params(json!({"prompt": "a fox", key: stored}));
        let reply = api.post("/api/run/image-to-image/execute", form).await;
        let error = format!("input \"image\" must be an image; \"{stored}\" is named as a mp4 file");
        assert_eq!((reply.status.as_u16(), reply.detail()), (400, error));
    }
    api.stop().await;
}

#[actix_rt::test]
async fn whatever_a_file_calls_itself_it_gets_a_name_of_its_own_inside_the_input_folder() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let before: HashSet<_> = files_below(&simulator.data_dir()).into_iter().collect();
    let long = "x".repeat(1000) + ".png";
    // As they stand in the header: a quote is escaped by a backslash (curl) or as %22 (browsers).
    let names = [
        "../../evil.png",
        "..%2f..%2fevil.png",
        "/etc/passwd",
        "..\\\\..\\\\evil.png",
        "C:\\\\evil.png",
        "a\\\"b.png",
        "a%22b.png",
        "a%0d%0aX-Evil: 1.png",
        "a;b=c.png",
        "füchse 狐.png",
        ".",
        "..",
        "",
        ".htaccess",
        "page.html",
        "ui_graph.svg",
        &long,
        "same.png",
        "same.png",
    ];
    let mut given = HashSet::new();
    for name in names {
        let reply = api.post(UPLOAD, Form::new().file("file", name, &png())).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let stored = reply.json()["filename"].as_str().unwrap().to_owned();
        let harmless = |c: char| c.is_alphanumeric() || "._-".contains(c);
        assert!(stored.chars().all(harmless) && !stored.contains(".."), "{name}: {stored}");
        assert!(stored.len() < 200 && !stored.starts_with('.'), "{name}: {stored}");
        assert!(stored.ends_with(".png"), "{name}: {stored}");
        let view = api.get(&format!("/api/comfyui/view?filename={}", escaped(&stored))).await;
        assert_eq!((view.status.as_u16(), &view.body), (200, &png()), "{name}: {stored}");
        assert!(given.insert(stored.clone()), "{stored} twice");
    }
    let after: HashSet<_> = files_below(&simulator.data_dir()).into_iter().collect();
    let input = simulator.data_dir().join("input");
    let expected: HashSet<_> = given.iter().map(|name| input.join(name)).collect();
    assert_eq!(after.difference(&before).cloned().collect::<HashSet<_>>(), expected);
    api.stop().await;
}

/// Percent-encodes everything that is not ASCII.
fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[actix_rt::test]
async fn a_line_break_in_a_part_header_smuggles_nothing() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let reply = api.post(UPLOAD, Form::new().file("file", "a\r\nX-Evil: 1\r\n\r\n.png", &png())).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_body_that_breaks_off_in_the_middle_leaves_no_file() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let whole = request(UPLOAD, file(&png_of_size(MIB / 2)));
    for length in [whole.len() / 2, whole.len() - 5] {
        let mut socket = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
        socket.write_all(&whole[..length]).await.unwrap();
        socket.shutdown().await.unwrap();
        // The server has done with it when it closes; an answer may or may not come.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    // A caller that vanishes.
    let mut socket = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
    socket.set_zero_linger().unwrap();
    socket.write_all(&whole[..whole.len() / 2]).await.unwrap();
    drop(socket);
    // A caller that closes a form too early, in a request that is whole.
    let mut body = file(&png_of_size(MIB / 2)).body();
    body.truncate(MIB / 4);
    let reply = api.post_body(UPLOAD, file(b"").content_type(), body).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.detail().contains("broke off"), "{}", reply.detail());
    assert_nothing_uploaded(&simulator).await;
    assert_eq!(api.post(UPLOAD, file(&png())).await.status, 200);
    assert_eq!(uploaded(&simulator).len(), 1);
    api.stop().await;
}

#[actix_rt::test]
async fn a_large_file_passes_through_whole() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.max_upload = 64 << 20;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut bytes = png();
    bytes.extend((0u32..10 << 20).flat_map(u32::to_le_bytes));
    let reply = api.post(UPLOAD, file(&bytes)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let stored = simulator.data_dir().join("input").join(reply.json()["filename"].as_str().unwrap());
    assert!(std::fs::read(stored).unwrap() == bytes, "other bytes arrived");
    api.stop().await;
}

#[actix_rt::test]
async fn an_upload_without_its_part_says_which_is_missing() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let cases = [
        (Form::new(), "has no parts"),
        (Form::new().file("image", "a.png", &png()).text("note", "x"), "it has `image`, `note`"),
    ];
    for (form, parts) in cases {
        let reply = api.post(UPLOAD, form).await;
        assert_eq!(reply.status, 400);
        assert!(reply.detail().contains("`file`") && reply.detail().contains(parts), "{}", reply.detail());
    }
    for (content_type, body, status) in
        [("text/plain", "hello", 415), ("multipart/form-data", "no boundary", 400)]
    {
        let reply = api.post_body(UPLOAD, content_type.into(), body).await;
        assert_eq!(reply.status, status, "{content_type}");
        assert!(reply.detail().contains("form"), "{}", reply.detail());
    }
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn params_may_stand_before_or_behind_the_file_and_the_part_may_have_the_inputs_name() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let params = json!({"prompt": "a fox"});
    let forms = [
        Form::new().params(params.clone()).file("input_image", "fox.png", &png()),
        Form::new().file("input_image", "fox.png", &png()).params(params.clone()),
        Form::new().file("image", "fox.png", &png()).params(params),
    ];
    for form in forms {
        let reply = api.post("/api/run/image-to-image/build", form).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let graph = reply.json();
        assert!(graph["1"]["inputs"]["image"].as_str().unwrap().ends_with("_fox.png"));
        assert_eq!(graph["6"]["inputs"]["text"], "a fox");
    }
    assert_eq!(uploaded(&simulator).len(), 3);
    api.stop().await;
}

#[actix_rt::test]
async fn a_3d_model_goes_to_comfyuis_folder_for_models() {
    let (simulator, library) = (simulator(), Shelf::new());
    let manifest = "id: turntable\nname: Turntable\ninputs:\n  - {id: model_3d, type: 3d, node_id: 1, field: model_file}\n";
    let graph =
        json!({"1": {"class_type": "Load3D", "inputs": {"model_file": "none", "width": 64, "height": 64}}});
    library.put("turntable", manifest, &graph);
    let api = Api::start_with(&settings(&simulator.url()), library.path());
    let glb = b"glTF\x02\0\0\0\x0c\0\0\0";
    let built = |reply: Reply| reply.json()["1"]["inputs"]["model_file"].as_str().unwrap().to_owned();
    let reply = api.post("/api/run/turntable/build", Form::new().file("model_3d", "Red Fox.glb", glb)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let stored = built(reply);
    assert!(stored.starts_with("3d/") && stored.ends_with("_Red_Fox.glb"), "{stored}");
    assert_eq!(uploaded(&simulator), [stored]);
    // The same in two steps.
    let reply = api.post(UPLOAD, Form::new().file("file", "fox.glb", glb)).await;
    let stored = reply.json()["filename"].as_str().unwrap().to_owned();
    assert!(stored.starts_with("3d/"), "{stored}");
    let params = Form::new().params(json!({"_existing_model_3d": stored}));
    assert_eq!(built(api.post("/api/run/turntable/build", params).await), stored);
    api.stop().await;
}

#[actix_rt::test]
async fn wrong_params_before_the_file_are_refused_before_anything_is_uploaded() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let wrong = [
        (json!({"prompt": "a fox", "steps": 1000}), "\"steps\""),
        (json!({"promt": "a fox"}), "Did you mean \"prompt\"?"),
        (json!({"prompt": ""}), "\"prompt\" is required"),
        (json!({"prompt": "a fox", "_existing_input_image": "example.png"}), "two files"),
        (json!({"prompt": "a fox", "image": "example.png"}), "given twice"),
    ];
    for action in ["build", "execute"] {
        for (params, expected) in &wrong {
            let form = Form::new().params(params.clone()).file("input_image", "fox.png", &png());
            let reply = api.post(&format!("/api/run/image-to-image/{action}"), form).await;
            assert_eq!(reply.status, 400, "{params}: {}", reply.text());
            assert!(reply.detail().contains(expected), "{params}: {}", reply.detail());
        }
    }
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_part_that_cannot_be_placed_is_refused_by_name() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let image = png();
    let params = || Form::new().params(json!({"prompt": "a fox"}));
    let cases = [
        ("image-to-image", params().file("mask", "a.png", &image), vec!["\"mask\"", "`image`"]),
        ("image-to-image", params().text("prompt", "a fox"), vec!["\"prompt\"", "`params`"]),
        ("image-to-image", params().params(json!({"steps": 5})), vec!["two", "`params`"]),
        ("text-to-image", params().file("input_image", "a.png", &image), vec!["\"input_image\"", "no files"]),
        ("image-to-image", params(), vec!["\"image\" is required", "\"_existing_image\""]),
    ];
    for (workflow, form, expected) in cases {
        let reply = api.post(&format!("/api/run/{workflow}/build"), form).await;
        assert_eq!(reply.status, 400, "{expected:?}: {}", reply.text());
        let detail = reply.detail();
        assert!(expected.iter().all(|part| detail.contains(part)), "{expected:?}: {detail}");
    }
    assert_nothing_uploaded(&simulator).await;
    for second in ["image", "input_image"] {
        let form = params().file("input_image", "a.png", &image).file(second, "b.png", &image);
        let reply = api.post("/api/run/image-to-image/execute", form).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.detail().contains("two files for the input \"image\""), "{}", reply.detail());
    }
    assert_eq!(uploaded(&simulator).len(), 2, "only the first of each");
    api.stop().await;
}

#[actix_rt::test]
async fn a_refused_file_in_a_form_runs_nothing() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let form = Form::new().params(json!({"prompt": "a fox"})).file("input_image", "a.png", b"<html></html>");
    let reply = api.post("/api/run/image-to-image/execute", form).await;
    assert_eq!(reply.status, 400);
    assert!(reply.detail().contains("upload an image"), "{}", reply.detail());
    let queue =
        api.http.get(format!("{}/history", simulator.url())).send().await.unwrap().body().await.unwrap();
    assert_eq!(queue, "{}");
    assert_nothing_uploaded(&simulator).await;
    api.stop().await;
}

#[actix_rt::test]
async fn params_that_are_no_object_or_too_long_are_refused() {
    let api = Api::start("http://127.0.0.1:9");
    let build = |params: String| {
        let form = Form::new().text("params", &params);
        let api = &api;
        async move { api.post("/api/run/text-to-image/build", form).await }
    };
    for params in ["[]", "\"a\"", "3", "{", "{\"prompt\": }"] {
        let reply = build(params.to_owned()).await;
        assert_eq!(reply.status, 400, "{params}");
        assert!(reply.detail().contains("`params`") && reply.detail().contains("JSON"), "{}", reply.detail());
    }
    assert_eq!(build(String::new()).await.status, 200);
    let reply = build(json!({"prompt": "x".repeat(MIB)}).to_string()).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.detail().contains("`params`"));
    api.stop().await;
}
