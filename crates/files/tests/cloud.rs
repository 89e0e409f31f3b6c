//! Object storage of cloud providers, as far as it can be tested without one.

#![cfg(feature = "cloud")]

use std::sync::Barrier;

use comfy_runner_files::ObjectFiles;

/// Alone in this file: the first call of the process is the one that matters.
#[test]
fn many_callers_open_storage_for_the_first_time_at_once_from_their_own_runtimes() {
    const CALLERS: usize = 16;
    let location = "s3://bucket/prefix".parse().unwrap();
    let settings =
        [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")];
    let together = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    together.wait();
                    ObjectFiles::open_with(&location, &settings).unwrap();
                });
            });
        }
    });
}
