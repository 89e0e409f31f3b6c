//! The file store in a bucket. The server is moto's, an S3 in Python: see [`S3::start`].

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::web::Bytes;
use comfy_runner::server::Settings;
use comfy_runner_files::{ContentHash, FileError, FileStore, ObjectFiles, Put, PutError, StoredFile, put};
use comfy_runner_jobs::FilesConfig;
use comfy_runner_store::{Sqlite, Store as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use support::s3::S3;
use support::{Api, Form, Reply, fixtures, png, settings, simulator, until, uploaded};

/// More than two parts of an upload.
const LARGE: usize = 20 << 20;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

async fn store(files: &ObjectFiles, content: &[u8]) -> Result<StoredFile, PutError<std::io::Error>> {
    let pieces: Vec<_> = content.chunks(300_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    put(files, stream::iter(pieces), Put::at_most(u64::MAX)).await
}

async fn read(files: &ObjectFiles, hash: &ContentHash, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let content = files.get(hash, range).await.unwrap().expect("the file exists");
    content.bytes.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

/// Waits until the outputs of this many jobs that are over are not copied.
async fn until_unkept(records: &Sqlite, jobs: usize) {
    let unkept = async || records.unkept(None, 9).await.unwrap().len();
    until("the number of jobs", unkept, |unkept| *unkept == jobs).await;
}

fn with_files(files: ObjectFiles, comfyui: &str, store: &Sqlite) -> Settings {
    let files = FilesConfig::new(Arc::new(files)).with_uploads(true).with_outputs(true);
    Settings { files, store: Arc::new(store.clone()), ..settings(comfyui) }
}

#[actix_rt::test]
async fn a_bucket_stores_files_as_a_folder_does() {
    let Some(s3) = S3::start().await else { return };
    let files = s3.files(&s3.connect().await);
    files.check().await.unwrap();
    assert_eq!(s3.listing().await, (1, 0));
    for length in [0, 1000, LARGE] {
        let content = content(length);
        let stored = store(&files, &content).await.unwrap();
        assert_eq!((stored.hash, stored.size), (ContentHash::of(&content), length as u64));
        assert_eq!(read(&files, &stored.hash, None).await, content);
        let (from, to) = (length / 3, length / 2);
        assert_eq!(read(&files, &stored.hash, Some(from as u64..to as u64)).await, &content[from..to]);
        let beyond = files.get(&stored.hash, Some(0..length as u64 + 1)).await.unwrap_err();
        assert!(matches!(beyond, FileError::Range { size } if size == length as u64));
        store(&files, &content).await.unwrap();
    }
    assert_eq!(files.list().count().await, 3);
    assert_eq!(s3.listing().await, (4, 0), "nothing temporary is left");

    let hash = ContentHash::of(&content(1000));
    assert!(!files.delete_older(&hash, SystemTime::now() - Duration::from_secs(3600)).await.unwrap());
    assert!(files.delete_older(&hash, SystemTime::now() + Duration::from_secs(3600)).await.unwrap());
    assert!(files.head(&hash).await.unwrap().is_none());
    assert!(files.get(&hash, None).await.unwrap().is_none());
    assert!(!files.delete(&hash).await.unwrap());
}

#[actix_rt::test]
async fn a_stream_that_breaks_off_leaves_no_parts_in_the_bucket() {
    let Some(s3) = S3::start().await else { return };
    let files = s3.files(&s3.connect().await);
    let broken =
        stream::iter([Ok(Bytes::from(content(LARGE))), Err(std::io::Error::other("the caller left"))]);
    let error = put(&files, broken, Put::at_most(u64::MAX)).await.unwrap_err();
    assert!(matches!(error, PutError::Source(_)));
    while s3.listing().await != (0, 0) {
        actix_rt::time::sleep(Duration::from_millis(20)).await;
    }
    // A process that is killed drops nothing. Parts are for the bucket's lifecycle; what was complete is for us.
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(files.unfinished(later, true).await.unwrap(), 0);
}

#[actix_rt::test]
async fn a_bucket_that_does_not_exist_is_an_error_of_the_configuration() {
    let Some(s3) = S3::start().await else { return };
    let connection = s3.connect().await;
    let location = "s3://other".parse().unwrap();
    let endpoint = format!("http://{}", connection.address);
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let error = ObjectFiles::open_with(&location, &settings).unwrap().check().await.unwrap_err();
    assert!(error.to_string().contains("bucket does not exist"), "{error}");
    assert!(ObjectFiles::open_with(&location, &[("AWS_NO_SUCH_SETTING", "x")]).is_err());
}

#[actix_rt::test]
async fn uploads_and_outputs_pass_through_a_bucket_and_downloads_can_be_redirected_to_it() {
    let (Some(s3), simulator, records) = (S3::start().await, simulator(), Sqlite::in_memory().unwrap())
    else {
        return;
    };
    let files = s3.files(&s3.connect().await);
    let api = Api::start_with(
        &with_files(files.clone(), &simulator.url(), &records),
        &fixtures().join("workflows"),
    );
    let reply = api.post("/api/run/upload-image", Form::new().file("file", "fox.png", &png())).await;
    let name = reply.json()["filename"].as_str().unwrap().to_owned();
    assert!(uploaded(&simulator).is_empty());
    let job = api.execute("image-to-image", json!({"prompt": "a fox", "_existing_image": name})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    assert_eq!(uploaded(&simulator), [name]);
    let result = format!("/api/run/result/{prompt_id}");
    let made = api.get(&result).await.body;
    until("what is in the bucket", async || s3.listing().await, |listing| *listing == (2, 0)).await;
    // The record is written after the file.
    until_unkept(&records, 0).await;
    drop(simulator);
    assert_eq!(api.get(&result).await.body, made);
    let part = api.get_with(&result, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &made[10..20]));
    api.stop().await;

    let redirecting =
        Settings { redirect_downloads: true, ..with_files(files, "http://127.0.0.1:9", &records) };
    let api = Api::start_with(&redirecting, &fixtures().join("workflows"));
    let redirect = api.get(&result).await;
    assert_eq!((redirect.status.as_u16(), redirect.header("cache-control")), (307, "no-store"));
    let location = redirect.header("location");
    assert!(location.contains("/bucket/a/prefix/content/"), "{location}");
    let file = Reply::from_response(api.http.get(location).send().await.unwrap()).await;
    assert_eq!((file.status.as_u16(), &file.body), (200, &made));
    assert_eq!(file.header("content-type"), "image/png");
    assert!(file.header("content-disposition").starts_with("inline; filename="));
    let part = api.http.get(location).insert_header(("range", "bytes=10-19")).send().await.unwrap();
    let part = Reply::from_response(part).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &made[10..20]));
    let head = api.head(&result).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*made.len().to_string()));
    api.stop().await;
}

#[actix_rt::test]
async fn nothing_is_lost_when_the_bucket_cannot_be_reached_for_a_while() {
    let (Some(s3), simulator, records) = (S3::start().await, simulator(), Sqlite::in_memory().unwrap())
    else {
        return;
    };
    let connection = s3.connect().await;
    let settings = with_files(s3.files(&connection), &simulator.url(), &records);
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let upload =
        async || api.post("/api/run/upload-image", Form::new().file("file", "fox.png", &png())).await;
    let name = upload().await.json()["filename"].as_str().unwrap().to_owned();

    connection.cut().await;
    let refused = upload().await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
    let form = || Form::new().params(json!({"prompt": "a fox", "_existing_image": name}));
    let refused = api.post("/api/run/image-to-image/execute", form()).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(api.get("/api/jobs").await.json()["jobs"], json!([]), "ComfyUI does not have it");
    // A job that needs no file runs, and its outputs are copied when that is possible.
    let job = api.execute("no-model", json!({})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let result = format!("/api/run/result/{prompt_id}");
    let made = api.get(&result).await;
    assert_eq!(made.status, 200, "ComfyUI still has it");
    until_unkept(&records, 1).await;

    connection.mend();
    until_unkept(&records, 0).await;
    assert_eq!(api.post("/api/run/image-to-image/execute", form()).await.status, 200);
    drop(simulator);
    assert_eq!(api.get(&result).await.body, made.body);
    // The file is in the bucket, and not on ComfyUI: the answer is about the bucket.
    connection.cut().await;
    let unreachable = api.get(&result).await;
    assert_eq!(unreachable.status, 503, "{}", unreachable.text());
    assert!(unreachable.detail().contains("file store"), "{}", unreachable.detail());
    api.stop().await;
}
