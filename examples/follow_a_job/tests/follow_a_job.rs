//! The example against the simulator.

use std::path::Path;
use std::time::Duration;

use comfy_runner_runner::Runner;
use comfy_runner_simulator::Simulator;
use follow_a_job::follow_a_job;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_printed_and_the_file_is_saved() {
    let simulator = Simulator::builder().step_delay(Duration::ZERO).start().unwrap();
    let workflows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows");
    let runner = Runner::builder(simulator.url()).workflows(workflows).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut printed = Vec::new();
    let params = json!({"steps": 20, "delay_ms": 20});
    let saved = follow_a_job(&runner, "test-progress", params, folder.path(), &mut printed).await.unwrap();
    let printed = String::from_utf8(printed).unwrap();
    for expected in ["submitted ", " of 20\n", "a preview of ", "made 1 files\n", "job.completed: "] {
        assert!(printed.contains(expected), "{expected:?} in {printed}");
    }
    let [saved] = &saved[..] else { panic!("one file: {saved:?}") };
    assert!(std::fs::read(saved).unwrap().starts_with(b"\x89PNG"));
    runner.shutdown().await.unwrap();
}
