//! Records of uploaded files.

use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_protocol::Graph;
use comfy_runner_store::{Outcome, Record, Sqlite, Store as _, Summary, Upload, UploadUse};

#[tokio::test]
async fn files_are_listed_newest_first_in_pages() {
    let store = Sqlite::in_memory().unwrap();
    for n in 0..5 {
        store.add_upload(Upload::new(format!("{n}.png"), n, 1000 + n as i64)).await.unwrap();
    }
    store.add_upload(Upload::new("4.png", 9, 2000)).await.unwrap();
    let page = store.uploads(2, None).await.unwrap();
    assert_eq!(page.uploads, [Upload::new("4.png", 9, 2000), Upload::new("3.png", 3, 1003)]);
    let page = store.uploads(3, page.next).await.unwrap();
    assert_eq!(page.uploads.len(), 3);
    assert_eq!(page.next, None);
    assert!(store.delete_upload("3.png").await.unwrap());
    assert!(!store.delete_upload("3.png").await.unwrap());
    assert_eq!(store.uploads(9, None).await.unwrap().uploads.len(), 4);
}

#[tokio::test]
async fn a_file_is_in_use_while_a_job_that_is_not_over_reads_it() {
    let store = Sqlite::in_memory().unwrap();
    store.add_upload(Upload::new("a\"b.png", 1, 0)).await.unwrap();
    assert_eq!(store.upload_use("x.png").await.unwrap(), UploadUse::Unknown);
    assert_eq!(store.upload_use("a\"b.png").await.unwrap(), UploadUse::Unused);
    let mut record = Record::new(Summary::new("p", "c", "w", 0), Arc::new(Graph::default()));
    record.input_files = vec!["other.png".to_owned(), "a\"b.png".to_owned()];
    store.create(record).await.unwrap();
    assert_eq!(store.upload_use("a\"b.png").await.unwrap(), UploadUse::InUse("p".to_owned()));
    let over = Outcome::new(Status::Completed, true);
    store.update(vec![("p".to_owned(), over)]).await.unwrap();
    assert_eq!(store.upload_use("a\"b.png").await.unwrap(), UploadUse::Unused);
}
