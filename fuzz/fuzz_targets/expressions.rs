//! Expressions from any bytes, over variables of each type: a value of bounded size, or an error. Never a panic, and
//! libFuzzer's limits on time and memory hold.

#![no_main]

use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_workflow::{Limits, OutputFolder, Workflow};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use time::macros::datetime;

const MANIFEST: &str = "
id: w
type: dynamic
defaults: {n: 1000000, f: 0.5, s: some text, l: [1, [2, x], {a: b}], m: {k: [1, 2], w: 8}, t: true, none: null}
pipeline: [{block: b, file: b.json}]
";

fuzz_target!(|expression: &str| {
    let block =
        json!({"nodes": {"k": {"class_type": "T", "inputs": {"v": format!("{{{{ {expression} }}}}")}}}})
            .to_string();
    let (manifest, _) = Manifest::parse(MANIFEST, "w").expect("a manifest");
    let Ok(compiled) = Workflow::from_blocks(manifest, &mut |_| Ok(block.clone())) else { return };
    let workflow = compiled.workflow;
    let given = json!({"s": "a".repeat(10_000), "l": vec![json!(["x", 1]); 1000]});
    let params =
        Params::check(workflow.manifest(), given.as_object().expect("a map"), &Uploads::new(), &mut || 7);
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    let assembled = workflow.assemble_within(&params.expect("params"), &folder, &Limits::default());
    if let Ok(assembled) = assembled {
        assert!(assembled.graph.to_string().len() < 32 << 20, "a result is bounded");
    }
});
