//! Cached node schemas: when ComfyUI is asked again.

mod support;

use std::sync::Arc;
use std::time::Instant;

use comfy_runner_client::{ClientError, ObjectInfoCache};
use mockito::{Server, ServerGuard};
use support::client;

#[actix_rt::test]
async fn cached_schemas_are_used_until_they_are_too_old_and_a_failure_is_not_asked_about_at_once() {
    let mut server = Server::new_async().await;
    let answers = |server: &mut ServerGuard, status| {
        let mock = server.mock("GET", "/object_info").with_status(status);
        mock.with_header("content-type", "application/json").with_body("{}").expect(1)
    };
    let first = answers(&mut server, 200).create_async().await;
    let (client, cache, start) = (client(&server.url()), ObjectInfoCache::default(), Instant::now());
    let schemas = cache.since(&client, start).await.unwrap();
    assert!(Arc::ptr_eq(&schemas, &cache.since(&client, start).await.unwrap()));
    assert!(Arc::ptr_eq(&schemas, &cache.get(&client).await.unwrap()));
    first.assert_async().await;

    let second = answers(&mut server, 500).create_async().await;
    let later = Instant::now();
    for _ in 0..2 {
        assert!(matches!(cache.since(&client, later).await, Err(ClientError::Status { status: 500, .. })));
    }
    second.assert_async().await;
    assert!(Arc::ptr_eq(&schemas, &cache.since(&client, start).await.unwrap()));
}
