//! A manifest and its blocks from any bytes: a graph whose every reference resolves, or problems. Never a panic.
//!
//! The input is the manifest, then each block, parted by lines of `----` (as `just fuzz` writes the samples). The n-th
//! block is the n-th file that is asked for.

#![no_main]

use std::collections::HashMap;

use comfy_runner_manifest::{Manifest, Params, Diagnostic, DiagnosticKind, Uploads};
use comfy_runner_workflow::{Limits, OutputFolder, Workflow};
use libfuzzer_sys::fuzz_target;
use serde_json::Map;
use time::macros::datetime;

fuzz_target!(|input: &str| {
    let mut parts = input.split("\n----\n");
    let manifest = parts.next().unwrap_or_default();
    let (Some(mut manifest), _) = Manifest::parse_partly(manifest, "w") else { return };
    // Most inputs spoil the id, which is not what this is about.
    manifest.id = "w".to_owned();
    let mut blocks: HashMap<String, &str> = HashMap::new();
    let mut read = |file: &str| {
        if !blocks.contains_key(file) {
            let text = parts.next().ok_or_else(|| Diagnostic::error(DiagnosticKind::File, file, "no such file"))?;
            blocks.insert(file.to_owned(), text);
        }
        Ok(blocks[file].to_owned())
    };
    let Ok(compiled) = Workflow::from_blocks(manifest, &mut read) else { return };
    let workflow = compiled.workflow;
    let Ok(params) = Params::check(workflow.manifest(), &Map::new(), &Uploads::new(), &mut || 7) else {
        return;
    };
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    let limits = Limits::default().nodes(500).text(1 << 20);
    let Ok(assembled) = workflow.assemble_within(&params, &folder, &limits) else { return };
    assert_eq!(assembled.graph.dangling_links().count(), 0);
    let again = workflow.assemble_within(&params, &folder, &limits).expect("it worked before");
    assert_eq!(again.graph.to_string(), assembled.graph.to_string());
});
