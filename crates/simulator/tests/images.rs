//! What the nodes make, and the files that come and go.

mod comfy;

use std::io::Cursor;

use comfy::{Comfy, simulator, text_to_image, view};
use image::{AnimationDecoder, ImageFormat, Rgb, RgbImage, RgbaImage};
use serde_json::{Value, json};

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The pixels of the first file that a node reported.
async fn pixels(comfy: &Comfy, ended: &Value, node: &str) -> RgbImage {
    let answer = comfy.get(&view(&ended["outputs"][node]["images"][0])).await;
    assert_eq!(answer.status, 200);
    image::load_from_memory(&answer.body).unwrap().to_rgb8()
}

#[actix_rt::test]
async fn the_same_seed_paints_the_same_pixels_and_another_one_others() {
    let mut paintings = Vec::new();
    for seed in [7, 7, 8] {
        // A simulator of its own each, so that nothing comes out of a cache.
        let simulator = simulator();
        let comfy = Comfy::at(simulator.url());
        let ended = comfy.run(&text_to_image("a fox in the snow", seed)).await;
        paintings.push(pixels(&comfy, &ended, "9").await);
    }
    assert_eq!(paintings[0].dimensions(), (128, 96));
    assert_eq!(paintings[0], paintings[1]);
    assert_ne!(paintings[0], paintings[2]);
}

#[actix_rt::test]
async fn an_upload_is_loaded_inverted_and_saved_with_its_prompt() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let image = RgbImage::from_fn(30, 20, |x, y| Rgb([x as u8, y as u8, 9]));
    let answer = comfy.upload("/upload/image", "mine.png", &png(&image), &[("subfolder", "a/b")]).await;
    assert_eq!(answer.json(), json!({"name": "mine.png", "subfolder": "a/b", "type": "input"}));
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "a/b/mine.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "ü"}},
    });
    let body = json!({"prompt": graph, "extra_data": {"extra_pnginfo": {"workflow": {"note": "ü"}}}});
    let id = comfy.post("/prompt", &body).await.json()["prompt_id"].as_str().unwrap().to_owned();
    let ended = comfy.ended(&id).await;
    let file = &ended["outputs"]["3"]["images"][0];
    let path = simulator.data_dir().join("output").join(file["filename"].as_str().unwrap());
    let bytes = std::fs::read(path).unwrap();
    let saved = image::load_from_memory(&bytes).unwrap().to_rgb8();
    assert!(saved.pixels().zip(image.pixels()).all(|(a, b)| (0..3).all(|part| a[part] == 255 - b[part])));
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let texts = &reader.info().uncompressed_latin1_text;
    let text = |keyword: &str| texts.iter().find(|text| text.keyword == keyword).unwrap().text.clone();
    assert_eq!(serde_json::from_str::<Value>(&text("prompt")).unwrap(), graph);
    assert_eq!(text("workflow"), r#"{"note":"\u00fc"}"#);
    assert!(text("Software").contains("simulator"));
}

#[actix_rt::test]
async fn a_file_that_changes_is_loaded_again() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    for colour in [10, 20] {
        let image = RgbImage::from_pixel(4, 4, Rgb([colour; 3]));
        comfy.upload("/upload/image", "x.png", &png(&image), &[("overwrite", "true")]).await;
        let ended = comfy.run(&graph).await;
        assert_eq!(pixels(&comfy, &ended, "2").await.get_pixel(0, 0)[0], colour);
    }
}

#[actix_rt::test]
async fn an_upload_with_an_existing_name_gets_another_unless_it_is_the_same_image() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let one = png(&RgbImage::from_pixel(4, 4, Rgb([1; 3])));
    let two = png(&RgbImage::from_pixel(4, 4, Rgb([2; 3])));
    let mut names = Vec::new();
    for bytes in [&one, &one, &two, &two] {
        names.push(comfy.upload("/upload/image", "x.png", bytes, &[]).await.json()["name"].clone());
    }
    assert_eq!(names, ["x.png", "x.png", "x (1).png", "x (1).png"]);
}

#[actix_rt::test]
async fn a_mask_becomes_the_alpha_channel_of_its_image() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    comfy.upload("/upload/image", "x.png", &png(&RgbImage::from_pixel(4, 4, Rgb([7; 3]))), &[]).await;
    let mut mask = Cursor::new(Vec::new());
    RgbaImage::from_pixel(4, 4, image::Rgba([0, 0, 0, 99])).write_to(&mut mask, ImageFormat::Png).unwrap();
    let original = json!({"filename": "x.png", "type": "input"}).to_string();
    let values = [("original_ref", original.as_str())];
    let answer = comfy.upload("/upload/mask", "masked.png", &mask.into_inner(), &values).await;
    assert_eq!(answer.json()["name"], "masked.png");
    let kept = image::open(simulator.data_dir().join("input/masked.png")).unwrap().to_rgba8();
    assert_eq!(kept.get_pixel(1, 1).0, [7, 7, 7, 99]);
}

#[actix_rt::test]
async fn no_upload_view_or_prefix_climbs_out_of_its_folder() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    std::fs::write(simulator.data_dir().join("secret.png"), "secret").unwrap();
    for query in [
        "filename=../secret.png",
        "filename=..%2fsecret.png",
        "filename=%2fetc%2fpasswd",
        "filename=secret.png&subfolder=..",
        "filename=secret.png&subfolder=a%2f..%2f..",
        "filename=secret.png&subfolder=%2fetc",
        "filename=..%5csecret.png",
        "filename=x.png&type=elsewhere",
        "filename=",
    ] {
        let answer = comfy.get(&format!("/view?{query}")).await;
        assert!([400, 403].contains(&answer.status), "{query}: {}", answer.status);
    }
    for (name, subfolder) in
        [("../x.png", ""), ("/x.png", ""), ("x.png", "../.."), ("x.png", "/tmp"), ("..", "")]
    {
        let answer = comfy.upload("/upload/image", name, b"x", &[("subfolder", subfolder)]).await;
        assert_eq!(answer.status, 400, "{name} in {subfolder}");
    }
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../x"}},
    });
    let id = comfy.submit(&graph, "c").await;
    let ended = comfy.ended(&id).await;
    let error = &ended["status"]["messages"][2];
    assert_eq!(error[0], "execution_error");
    assert!(error[1]["exception_message"].as_str().unwrap().contains("outside the output folder"));
}

#[actix_rt::test]
async fn an_upload_beyond_the_limit_is_refused_and_leaves_nothing_behind() {
    let simulator = comfy_runner_simulator::Simulator::builder().max_upload_size(1000).start().unwrap();
    let comfy = Comfy::at(simulator.url());
    assert_eq!(comfy.upload("/upload/image", "big.png", &[0; 2000], &[]).await.status, 413);
    assert_eq!(std::fs::read_dir(simulator.data_dir().join("temp")).unwrap().count(), 0);
    assert!(!simulator.data_dir().join("input/big.png").exists());
}

#[actix_rt::test]
async fn a_file_can_be_had_in_parts_conditionally_and_by_its_head() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let path = "/api/view?filename=example.png&type=input";
    let whole = comfy.get(path).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "image/png"));
    assert_eq!(whole.header("content-disposition"), "filename=\"example.png\"");
    let head = comfy.send("HEAD", path, &[], Vec::new()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    let part = comfy.send("GET", path, &[("range", "bytes=10-19")], Vec::new()).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", whole.body.len()));
    let beyond = comfy.send("GET", path, &[("range", "bytes=99999999-")], Vec::new()).await;
    assert_eq!(beyond.status, 416);
    let etag = [("if-none-match", whole.header("etag"))];
    assert_eq!(comfy.send("GET", path, &etag, Vec::new()).await.status, 304);
    let date = [("if-modified-since", whole.header("last-modified"))];
    assert_eq!(comfy.send("GET", path, &date, Vec::new()).await.status, 304);
    let preview = comfy.get(&format!("{path}&preview=jpeg;50")).await;
    assert_eq!(preview.header("content-type"), "image/jpeg");
    assert!(image::load_from_memory(&preview.body).is_ok());
    assert_eq!(comfy.get("/view?filename=nope.png").await.status, 404);
}

#[actix_rt::test]
async fn a_video_is_made_frame_by_frame_and_moves() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut graph = json!({
        "1": {"class_type": "UNETLoader", "inputs": {
            "unet_name": "wan2.1_i2v_720p_14B_fp16.safetensors", "weight_dtype": "default"}},
        "2": {"class_type": "CLIPLoader", "inputs": {
            "clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "type": "wan"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "wan_2.1_vae.safetensors"}},
        "4": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": "clip_vision_h.safetensors"}},
        "5": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "6": {"class_type": "CLIPVisionEncode", "inputs": {
            "clip_vision": ["4", 0], "image": ["5", 0], "crop": "none"}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "the sea moves", "clip": ["2", 0]}},
        "8": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["2", 0]}},
        "9": {"class_type": "WanImageToVideo", "inputs": {
            "positive": ["7", 0], "negative": ["8", 0], "vae": ["3", 0], "width": 64, "height": 48, "length": 9,
            "batch_size": 1, "clip_vision_output": ["6", 0], "start_image": ["5", 0]}},
        "10": {"class_type": "ModelSamplingSD3", "inputs": {"model": ["1", 0], "shift": 8.0}},
        "11": {"class_type": "KSampler", "inputs": {
            "model": ["10", 0], "positive": ["9", 0], "negative": ["9", 1], "latent_image": ["9", 2], "seed": 1,
            "steps": 2, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple", "denoise": 1.0}},
        "12": {"class_type": "VAEDecode", "inputs": {"samples": ["11", 0], "vae": ["3", 0]}},
        "13": {"class_type": "VHS_VideoCombine", "inputs": {
            "images": ["12", 0], "frame_rate": 16, "loop_count": 0, "filename_prefix": "video", "format": "image/gif",
            "pingpong": false, "save_output": true}},
    });
    let ended = comfy.run(&graph).await;
    let video = &ended["outputs"]["13"]["gifs"][0];
    assert_eq!((&video["filename"], &video["format"]), (&json!("video_00001.gif"), &json!("image/gif")));
    let bytes = comfy.get(&view(video)).await.body;
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 9);
    assert_ne!(frames[0].buffer(), frames[8].buffer());

    let again = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "video_00001.gif [output]"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let ended = comfy.run(&again).await;
    assert_eq!(ended["outputs"]["2"]["images"].as_array().unwrap().len(), 9);

    graph["13"]["inputs"]["format"] = json!("video/h264-mp4");
    let refused = comfy.post("/prompt", &json!({"prompt": graph})).await;
    assert_eq!(refused.status, 400);
    let error = &refused.json()["node_errors"]["13"]["errors"][0];
    assert_eq!(error["type"], "value_not_in_list");
}

#[actix_rt::test]
async fn an_image_shows_through_when_half_denoised() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let white = RgbImage::from_pixel(64, 64, Rgb([255; 3]));
    comfy.upload("/upload/image", "white.png", &png(&white), &[]).await;
    let mut means = Vec::new();
    for denoise in [0.2, 1.0] {
        let mut graph = text_to_image("night", 3);
        graph["10"] = json!({"class_type": "LoadImage", "inputs": {"image": "white.png"}});
        graph["5"] = json!({"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}});
        graph["3"]["inputs"]["denoise"] = json!(denoise);
        let painted = pixels(&comfy, &comfy.run(&graph).await, "9").await;
        let sum: u32 = painted.pixels().map(|pixel| u32::from(pixel[1])).sum();
        means.push(sum / (64 * 64));
    }
    assert!(means[0] > means[1] + 30, "{means:?}");
}

#[actix_rt::test]
async fn an_image_of_absurd_size_is_refused_clearly() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16384, "height": 16384, "batch_size": 4096, "color": 0}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let id = comfy.submit(&graph, "c").await;
    let message = comfy.ended(&id).await["status"]["messages"][2][1]["exception_message"].to_string();
    assert!(message.contains("at most 128 megapixels"), "{message}");
}

#[actix_rt::test]
async fn images_are_scaled_cropped_and_joined_in_batches() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 40, "height": 20, "batch_size": 2, "color": 255}},
        "2": {"class_type": "ImageScale", "inputs": {
            "image": ["1", 0], "upscale_method": "lanczos", "width": 10, "height": 0, "crop": "disabled"}},
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["2", 0], "image2": ["1", 0]}},
        "4": {"class_type": "ImageScaleBy", "inputs": {
            "image": ["3", 0], "upscale_method": "nearest-exact", "scale_by": 2.0}},
        "5": {"class_type": "SaveAnimatedPNG", "inputs": {
            "images": ["4", 0], "filename_prefix": "anim", "fps": 6.0, "compress_level": 4}},
        "6": {"class_type": "SaveAnimatedWEBP", "inputs": {
            "images": ["4", 0], "filename_prefix": "anim", "fps": 6.0, "lossless": true, "quality": 80,
            "method": "default"}},
    });
    let ended = comfy.run(&graph).await;
    assert_eq!(ended["outputs"]["5"]["animated"], json!([true]));
    let animated = comfy.get(&view(&ended["outputs"]["5"]["images"][0])).await.body;
    let decoder = image::codecs::png::PngDecoder::new(Cursor::new(animated)).unwrap();
    assert_eq!(decoder.apng().unwrap().into_frames().collect_frames().unwrap().len(), 4);
    let image = pixels(&comfy, &ended, "6").await;
    assert_eq!((image.dimensions(), image.get_pixel(0, 0).0), ((20, 10), [0, 0, 255]));
}

#[actix_rt::test]
async fn a_file_of_a_few_bytes_that_announces_gigabytes_fails_its_node_and_nothing_else() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let bomb = b"GIF89a\xff\xff\xff\xff\0\0\0\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;";
    assert_eq!(comfy.upload("/upload/image", "bomb.gif", bomb, &[]).await.status, 200);
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "bomb.gif"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let id = comfy.submit(&graph, "c").await;
    let ended = comfy.ended(&id).await;
    let messages = ended["status"]["messages"].to_string();
    assert!(messages.contains("PIL.Image.DecompressionBombError"), "{messages}");
    assert!(messages.contains("65535x65535 pixels exceeds"), "{messages}");
    let preview = comfy.get("/view?filename=bomb.gif&type=input&preview=jpeg").await;
    assert_eq!(preview.status, 500);
}
