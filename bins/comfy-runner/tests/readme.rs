//! What README.md tells people to write works.

use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_workflow::{OutputFolder, Workflow};
use serde_json::json;
use time::OffsetDateTime;

const README: &str = include_str!("../../../README.md");

/// The first fenced block of this language, without the indentation of the list that it stands in.
fn block(language: &str) -> String {
    let (_, rest) = README.split_once(&format!("```{language}\n")).expect("a fenced block");
    let (block, _) = rest.split_once("```").expect("the end of the block");
    block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_workflow_of_the_readme_fits_comfyuis_default_graph() {
    let (manifest, warnings) = Manifest::parse(&block("yaml"), "my-image").unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let graph = json!({
        "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["6", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a bottle"}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["3", 0]}},
    });
    let compiled = Workflow::new(manifest, &graph.to_string(), None).unwrap();
    assert!(compiled.warnings.is_empty(), "{}", compiled.warnings);
    let given = json!({"prompt": "a red fox", "steps": 30});
    let workflow = compiled.workflow;
    let params =
        Params::check(workflow.manifest(), given.as_object().unwrap(), &Uploads::new(), &mut || 7).unwrap();
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0xa1b2c3);
    let graph = workflow.assemble(&params, &folder).unwrap().graph;
    assert_eq!(
        (&graph.nodes["6"].inputs["text"], &graph.nodes["3"].inputs["steps"]),
        (&json!("a red fox"), &json!(30))
    );
}
