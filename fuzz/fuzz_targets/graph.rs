//! A manifest and a graph from any bytes, parted by a line of `----`: a filled graph, or problems. Never a panic.

#![no_main]

use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_workflow::{OutputFolder, Workflow};
use libfuzzer_sys::fuzz_target;
use serde_json::Map;
use time::macros::datetime;

fuzz_target!(|input: &str| {
    let (manifest, graph) = input.split_once("\n----\n").unwrap_or((input, ""));
    let (Some(mut manifest), _) = Manifest::parse_partly(manifest, "w") else { return };
    manifest.id = "w".to_owned();
    let Ok(compiled) = Workflow::new(manifest, graph, None) else { return };
    let workflow = compiled.workflow;
    let Ok(params) = Params::check(workflow.manifest(), &Map::new(), &Uploads::new(), &mut || 7) else {
        return;
    };
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    if let Ok(assembled) = workflow.assemble(&params, &folder) {
        let again = workflow.assemble(&params, &folder).expect("it worked before");
        assert_eq!(again.graph.to_string(), assembled.graph.to_string());
    }
});
