//! Presets, and several jobs from one request.

use std::path::Path;

use comfy_runner_manifest::{Library, Listed, Manifest, Params, Uploads, params_of_jobs};
use serde_json::{Map, Value, json};

const MANIFEST: &str = "id: w
inputs:
  - {id: prompt, type: text}
  - {id: steps, type: int, min: 1, max: 50, default: 20}
  - {id: size, type: resolution_picker, default: 512x512}
  - {id: image, type: image}
  - {id: seed, type: seed, default: -1}
presets:
  portrait:
    label: Portrait
    params: {steps: 30, size: 832x1216, image: old.png}
  fast: {steps: 4, seed: 7}
";

fn write(folder: &Path, file: &str, text: &str) {
    std::fs::create_dir_all(folder.join("w")).unwrap();
    std::fs::write(folder.join("w").join(file), text).unwrap();
}

fn load(manifest: &str, presets: Option<&str>) -> Listed<Manifest> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "manifest.yaml", manifest);
    if let Some(presets) = presets {
        write(folder.path(), "presets.yaml", presets);
    }
    Library::<Manifest>::open(folder.path()).unwrap().listed("w").unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn check(params: Value, uploads: &[(&str, &str)]) -> Result<Params, String> {
    let manifest = load(MANIFEST, None).workflow.unwrap();
    let uploads: Uploads = uploads.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
    Params::check(&manifest, &object(params), &uploads, &mut || 5).map_err(|error| error.to_string())
}

fn values(params: Value, uploads: &[(&str, &str)]) -> Value {
    check(params, uploads)
        .unwrap()
        .iter()
        .map(|(id, value)| (id.to_owned(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

#[test]
fn a_preset_gives_the_values_that_the_caller_does_not() {
    let found = values(json!({"_preset": "portrait", "prompt": "a fox", "steps": "40"}), &[]);
    assert_eq!(
        found,
        json!({"prompt": "a fox", "steps": 40, "size": {"w": 832, "h": 1216}, "image": "old.png", "seed": 5})
    );
    assert_eq!(values(json!({"_preset": "fast", "steps": null}), &[])["steps"], 4, "null is not given");
    assert_eq!(values(json!({"_preset": null}), &[])["steps"], 20);
    assert_eq!(check(json!({"_preset": "fast"}), &[]).unwrap().get("_preset"), None);
}

#[test]
fn a_value_that_the_caller_gives_in_another_way_replaces_that_of_the_preset() {
    for (params, uploads) in [
        (json!({"_preset": "portrait", "_existing_image": "new.png"}), &[][..]),
        (json!({"_preset": "portrait", "_existing_input_image": "new.png"}), &[]),
        (json!({"_preset": "portrait"}), &[("input_image", "new.png")]),
        (json!({"_preset": "portrait"}), &[("image", "new.png")]),
    ] {
        assert_eq!(values(params, uploads)["image"], "new.png");
    }
    let found = values(json!({"_preset": "portrait", "width": 640}), &[]);
    assert_eq!(found["size"], json!({"w": 640, "h": 1216}));
    let found = values(json!({"_preset": "portrait", "size": "64x64"}), &[]);
    assert_eq!(found["size"], json!({"w": 64, "h": 64}));
}

#[test]
fn an_unknown_preset_is_an_error_that_names_those_there_are() {
    assert_eq!(
        check(json!({"_preset": "portrat"}), &[]).unwrap_err(),
        "there is no preset \"portrat\"; workflow \"w\" has \"portrait\", \"fast\". Did you mean \"portrait\"?"
    );
    let error = check(json!({"_preset": ["fast"]}), &[]).unwrap_err();
    assert_eq!(error, "`_preset` must be the name of a preset, not [\"fast\"]");
    let without = load("id: w\n", None).workflow.unwrap();
    let given = object(json!({"_preset": "fast"}));
    let error = Params::check(&without, &given, &Uploads::new(), &mut || 0).unwrap_err();
    assert_eq!(error.to_string(), "there is no preset \"fast\": workflow \"w\" has none");
}

#[test]
fn presets_of_both_files_are_listed_in_one_form() {
    let listed =
        load(MANIFEST, Some("square: {size: 512x512}\nlong:\n  description: d\n  icon: x\n  params: {}\n"));
    assert_eq!(listed.warnings.to_string(), "");
    let manifest = listed.workflow.unwrap();
    assert_eq!(
        manifest.json()["presets"],
        json!({
            "portrait": {"label": "Portrait", "params": {"steps": 30, "size": "832x1216", "image": "old.png"}},
            "fast": {"params": {"steps": 4, "seed": 7}},
            "square": {"params": {"size": "512x512"}},
            "long": {"description": "d", "icon": "x", "params": {}},
        })
    );
    let names: Vec<_> = manifest.presets.keys().collect();
    assert_eq!(names, ["portrait", "fast", "square", "long"]);
}

#[test]
fn wrong_presets_are_found_with_their_lines_and_leave_the_workflow_usable() {
    let manifest = "id: w
inputs:
  - {id: steps, type: int, min: 1, max: 50}
presets:
  a:
    params:
      stepps: 3
      steps: 99
  b: 7
  c: {_count: 3}
";
    let listed = load(manifest, Some("a: {steps: 1}\nd:\n  steps: many\n"));
    let found: Vec<String> = listed.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "manifest.yaml:7: the preset \"a\": \"stepps\" is not an input of workflow \"w\". Did you mean \"steps\"?",
        "manifest.yaml:8: the preset \"a\": input \"steps\" must be a whole number from 1 to 50, not 99",
        "manifest.yaml:9: the preset \"b\" must be a map from input ids to values, or have that map as `params`; this is a number",
        "manifest.yaml:10: the preset \"c\": `_count` is a key of requests; a preset has values of inputs",
        "presets.yaml:1: the manifest has a preset \"a\" too; remove one",
        "presets.yaml:3: the preset \"d\": input \"steps\" must be a whole number from 1 to 50, not \"many\"",
    ];
    assert_eq!(found, expected);
    assert!(listed.warnings.iter().all(|found| found.is_error()));
    let workflow = listed.workflow.unwrap();
    let used = Params::check(&workflow, &object(json!({"_preset": "d"})), &Uploads::new(), &mut || 0);
    assert!(used.unwrap_err().to_string().contains("from 1 to 50"));
}

#[test]
fn presets_that_are_no_map_and_files_that_cannot_be_read_are_found() {
    let found = |manifest: &str, presets: Option<&str>| load(manifest, presets).warnings.to_string();
    assert!(found("id: w\npresets: [a]\n", None).starts_with("manifest.yaml:2: presets are a map"));
    assert!(found("id: w\n", Some("[a")).starts_with("presets.yaml:"));
    assert!(found("id: w\n", Some("- a")).starts_with("presets.yaml: presets are a map"));
    assert_eq!(found("id: w\n", Some("")), "");
    assert_eq!(found("id: w\npresets:\n", None), "");
}

#[test]
fn a_file_of_presets_that_appears_or_changes_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "manifest.yaml", "id: w\n");
    let library = Library::<Manifest>::open(folder.path()).unwrap();
    assert!(library.get("w").unwrap().presets.is_empty());
    write(folder.path(), "presets.yaml", "a: {}\n");
    assert_eq!(library.get("w").unwrap().presets.len(), 1);
    std::fs::remove_file(folder.path().join("w/presets.yaml")).unwrap();
    assert!(library.get("w").unwrap().presets.is_empty());
}

fn jobs(params: Value) -> Result<Option<Vec<Value>>, String> {
    let manifest = load(MANIFEST, None).workflow.unwrap();
    let jobs = params_of_jobs(&manifest, &object(params)).map_err(|error| error.to_string())?;
    Ok(jobs.map(|jobs| jobs.into_iter().map(Value::Object).collect()))
}

#[test]
fn a_given_seed_counts_up_from_job_to_job_and_an_open_one_stays_open() {
    let seeds = |params| {
        let jobs = jobs(params).unwrap().unwrap();
        jobs.into_iter().map(|job| job.get("seed").cloned()).collect::<Vec<_>>()
    };
    assert_eq!(seeds(json!({"_count": 3, "seed": "9"})), [json!("9"), json!(10), json!(11)].map(Some));
    assert_eq!(seeds(json!({"_count": 2, "seed": -1})), [json!(-1), json!(-1)].map(Some));
    assert_eq!(seeds(json!({"_count": 2})), [None, None]);
    assert_eq!(seeds(json!({"_count": 2, "_preset": "fast"})), [None, Some(json!(8))]);
    assert_eq!(jobs(json!({"prompt": "x"})), Ok(None));
    assert_eq!(jobs(json!({"_count": null})), Ok(None));
    assert_eq!(jobs(json!({"_count": 1, "prompt": "x"})), Ok(Some(vec![json!({"prompt": "x"})])));
}

#[test]
fn a_count_that_cannot_be_is_refused() {
    for count in [json!(0), json!(101), json!(-1), json!(1.5), json!("many"), json!([]), json!(true)] {
        let error = jobs(json!({"_count": count})).unwrap_err();
        assert!(error.starts_with("`_count` must be a whole number from 1 to 100"), "{error}");
    }
    let error = jobs(json!({"_count": 2, "seed": u64::MAX})).unwrap_err();
    assert!(error.contains("cannot count up 2 seeds"), "{error}");
    let error = check(json!({"_count": 2}), &[]).unwrap_err();
    assert!(error.contains("/execute"), "{error}");
}
