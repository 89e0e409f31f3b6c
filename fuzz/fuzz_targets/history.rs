//! ComfyUI's history from any bytes, taken as the end of a job: never a panic, and the job ends.

#![no_main]

use std::time::Duration;

use comfy_runner_progress::Progress;
use comfy_runner_protocol::{Graph, History};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(history) = serde_json::from_slice::<History>(input) else { return };
    for (prompt_id, entry) in &history {
        let graph = entry.graph().unwrap_or_else(|| Graph::from_json("{}").expect("a graph"));
        let mut progress = Progress::new(prompt_id, &graph, None);
        let _ = (entry.error(), entry.cached(), entry.times(), entry.extra_data(), entry.interrupted());
        progress.finish(entry);
        let _ = (progress.results(), progress.final_files(), progress.node_outputs());
        serde_json::to_string(&progress.snapshot(Duration::ZERO)).expect("a snapshot is JSON");
    }
});
