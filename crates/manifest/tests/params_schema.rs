//! The JSON Schema of params says what the check says.

use comfy_runner_manifest::{FileSource, Manifest, Params, Uploads, params_of_jobs};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn manifest(json: &Value) -> Option<Manifest> {
    // JSON is YAML.
    Manifest::parse(&json.to_string(), "w").ok().map(|(manifest, _)| manifest)
}

fn validator(manifest: &Manifest) -> Validator {
    let schema = Value::Object(manifest.params_schema());
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}: {schema}"));
    jsonschema::validator_for(&schema).unwrap()
}

/// Checks params as the server does. Returns the values that were given, as they are converted.
fn check(manifest: &Manifest, given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut params = given.clone();
    let sources = FileSource::take_all(manifest, &mut params).map_err(|error| error.to_string())?;
    let uploads: Uploads =
        sources.iter().map(|(input, _)| (input.id.clone(), "sent.png".to_owned())).collect();
    let jobs = params_of_jobs(manifest, &params).map_err(|error| error.to_string())?;
    let params = jobs.map_or(params, |jobs| jobs[0].clone());
    let checked = Params::check(manifest, &params, &uploads, &mut || 7).map_err(|error| error.to_string())?;
    let mut converted = Map::new();
    for (id, value) in checked.iter() {
        let spellings = [id.to_owned(), format!("_existing_{id}"), "_existing_input_image".to_owned()];
        let sides = ["width".to_owned(), "height".to_owned()];
        let is_given = |key: &String| {
            given.get(key).is_some_and(|value| {
                !value.is_null()
                    && *value != json!([])
                    && value.as_str().is_none_or(|text| !text.trim().is_empty())
            })
        };
        let of_resolution = manifest.resolution_input().is_some_and(|input| input.id == id);
        if (spellings.iter().any(is_given) || of_resolution && sides.iter().any(is_given)) && !value.is_null()
        {
            converted.insert(id.to_owned(), value.clone());
        }
    }
    if let Some(preset) = given.get("_preset").filter(|preset| !preset.is_null()) {
        converted.insert("_preset".to_owned(), preset.clone());
    }
    Ok(converted)
}

fn names_broken_preset(manifest: &Manifest, given: &Map<String, Value>) -> bool {
    let names = manifest.params_schema()["properties"]["_preset"]["enum"].clone();
    let is_listed = |preset: &Value| names.as_array().is_some_and(|names| names.contains(preset));
    given.get("_preset").is_some_and(|preset| !preset.is_null() && !is_listed(preset))
}

fn begins_like_json(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim_start().starts_with(['[', '{']))
}

/// Values of every kind, right and wrong.
fn value() -> impl Strategy<Value = Value> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(5),
        json!(7.5),
        json!(8.0),
        json!(100),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("  "),
        json!("abc"),
        json!("7"),
        json!("1"),
        json!("7.5"),
        json!("true"),
        json!("none"),
        json!("8x8"),
        json!("64x32"),
        json!([]),
        json!({}),
        json!({"w": 8, "h": 8}),
        json!({"w": 64, "h": 32}),
        json!({"w": 8.0, "h": 8, "x": 1}),
        json!({"w": 0, "h": 8}),
        json!({"width": 8, "height": 8}),
        json!("a.png"),
        json!("b/c.PNG"),
        json!("a.mp4"),
        json!("a.MP4 [output]"),
        json!("a.mp4 b"),
        json!("a.png [output]"),
        json!("../a.png"),
        json!("a/../b"),
        json!("/a"),
        json!("C:a"),
        json!("a\\b"),
        json!("a//b"),
        json!(" [input]"),
        json!("..."),
        json!(".. [temp]"),
        json!("a\u{7}b"),
        json!("a\u{85}b"),
        json!("ü.png"),
        json!({"url": "https://x.example/a.png"}),
        json!({"base64": "AA=="}),
        json!({"url": 1}),
        json!({"url": "a", "x": 1}),
        json!({"file": "x"}),
        json!({"file": "x", "strength": 0.5}),
        json!({"file": "x", "strength": "0.5"}),
        json!({"file": "x", "strength": "strong"}),
        json!({"file": "x", "strength_high": 900}),
        json!({"file": ""}),
        json!({"file": "", "high": "x"}),
        json!({"high": "x", "low": ""}),
        json!({"high": "", "low": null}),
        json!({"pair_id": "p"}),
        json!({"strength": 1}),
        json!([{"file": "x", "strength": 1}]),
        json!(["x"]),
        json!(["abc", ""]),
        json!([{"file": "abc"}, {"file": ""}]),
        json!([{"pair_id": "p"}]),
        json!([1]),
        json!([{"prompt": "abc"}]),
        json!([{"prompt": "abc", "n": 5}, {"prompt": "abc", "_note": 1}]),
        json!([{"prompt": ""}]),
        json!([{"promt": "abc"}]),
        json!([{"prompt": "abc", "n": 900}]),
        json!([{"prompt": "abc", "s": -1, "i": "a.png"}]),
        json!([{"prompt": "abc", "i": {"url": "u"}}]),
    ];
    prop::sample::select(values.to_vec())
}

fn kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "text",
        "int",
        "float",
        "boolean",
        "select",
        "seed",
        "image",
        "video",
        "audio",
        "mask",
        "3d",
        "checkpoint_picker",
        "vae_picker",
        "lora_picker",
        "lora_picker_dynamic",
        "resolution_picker",
        "scene_list",
        "colour",
    ])
}

fn input() -> impl Strategy<Value = Value> {
    let bound = || {
        prop::option::weighted(
            0.3,
            prop::sample::select(vec![json!(-5), json!(0), json!(1), json!(7.5), json!(64)]),
        )
    };
    let options = || prop::option::weighted(0.3, prop::collection::vec(value(), 1..4));
    let default = || prop::option::weighted(0.3, value());
    (kind(), any::<bool>(), default(), bound(), bound(), options(), any::<bool>()).prop_map(
        |(kind, required, default, min, max, options, per_scene)| {
            let mut input = json!({"type": kind, "required": required});
            let file_names = options.map(|options| match kind {
                // The names of LoRAs are strings.
                "lora_picker" | "lora_picker_dynamic" => options.into_iter().filter(Value::is_string).collect(),
                _ => options,
            });
            let options = file_names.map(Value::from);
            // A LoRA without a strength has 1, whatever the bounds.
            let has_one = |bound: &Value, is_max: bool| {
                kind != "lora_picker_dynamic" || (bound.as_f64().unwrap() >= 1.0) == is_max || *bound == json!(1)
            };
            let (min, max) = (min.filter(|min| has_one(min, false)), max.filter(|max| has_one(max, true)));
            for (key, value) in [("default", default), ("min", min), ("max", max), ("options", options)] {
                if let Some(value) = value {
                    input[key] = value;
                }
            }
            if kind == "scene_list" && per_scene {
                input["per_scene"] = json!({"prompt": {"type": "text", "required": true}, "n": {"type": "int", "max": 64},
                    "s": {"type": "seed"}, "i": {"type": "image"}, "l": {"type": "lora_picker"}});
            }
            input
        },
    )
}

fn workflow() -> impl Strategy<Value = Manifest> {
    let presets =
        prop::collection::btree_map("p[12]", prop::collection::btree_map("[abc]", value(), 0..3), 0..2);
    let workflow = (prop::collection::vec(input(), 1..4), any::<bool>(), presets);
    workflow.prop_filter_map("a manifest", |(inputs, is_dynamic, presets)| {
        let with_id = |(id, mut input): (&str, Value)| {
            input["id"] = id.into();
            input
        };
        let inputs: Vec<Value> = ["a", "b", "c"].into_iter().zip(inputs).map(with_id).collect();
        let mut json = json!({"id": "w", "inputs": inputs, "presets": presets, "defaults": {"extra": 1}});
        if is_dynamic {
            json["type"] = "dynamic".into();
            json["pipeline"] = json!([{"block": "b", "file": "b.json"}]);
        }
        manifest(&json)
    })
}

fn params() -> impl Strategy<Value = Map<String, Value>> {
    let keys = prop::sample::select(vec![
        "a",
        "a",
        "a",
        "b",
        "b",
        "c",
        "extra",
        "unknown",
        "_preset",
        "_count",
        "_existing_a",
        "_note",
        "width",
        "height",
    ]);
    let value = |key: &'static str| match key {
        "_preset" => {
            prop::sample::select(vec![json!("p1"), json!("p2"), json!("p3"), json!(1), json!(null)]).boxed()
        }
        "_count" => {
            prop::sample::select(vec![json!(1), json!(3), json!(101), json!("2"), json!(null)]).boxed()
        }
        _ => value().boxed(),
    };
    prop::collection::vec(keys.prop_flat_map(move |key| (Just(key.to_owned()), value(key))), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_schema_accepts_what_the_check_accepts_up_to_the_spelling(
        workflow in workflow(), all in prop::collection::vec(params(), 20)
    ) {
        let validator = validator(&workflow);
        for given in all {
        let value = Value::Object(given.clone());
        let checked = check(&workflow, &given);
        match validator.validate(&value) {
            Ok(()) => prop_assert!(checked.is_ok(), "the schema accepts {value}: {}\n{}", checked.unwrap_err(),
                                   Value::Object(workflow.json().clone())),
            // A text that begins like JSON may be JSON or the odd name of a LoRA, which no pattern tells apart.
            Err(_) if given.values().any(begins_like_json) => {}
            // The schema leaves out presets with a wrong value, which a request may replace.
            Err(_) if names_broken_preset(&workflow, &given) => {}
            Err(reason) => {
                // The server takes other spellings too. What it converts them to is what the schema describes.
                if let Ok(converted) = checked {
                    let converted = Value::Object(converted);
                    prop_assert!(validator.is_valid(&converted), "{value} is refused by the schema ({reason}) and converted to \
                                 {converted}\n{}", Value::Object(workflow.json().clone()));
                }
            }
        }
        }
    }
}

#[test]
fn a_form_finds_what_it_needs_in_the_schema() {
    let manifest = manifest(&json!({"id": "w", "inputs": [
        {"id": "prompt", "type": "text", "label": "Prompt", "tooltip": "What to paint.", "required": true},
        {"group": "Sampling", "items": [
            {"id": "steps", "type": "int", "min": 1, "max": 50, "step": 5, "default": 20},
            {"id": "sampler", "type": "select", "options": [{"label": "Euler", "value": "euler"}, "ddim"]}]}]}))
    .unwrap();
    let schema = manifest.params_schema();
    assert_eq!(schema["required"], json!(["prompt"]));
    let properties = &schema["properties"];
    assert_eq!(
        properties["prompt"],
        json!({"title": "Prompt", "description": "What to paint.", "x-input-type": "text", "type": "string", "pattern": r"\S"})
    );
    assert_eq!(
        properties["steps"],
        json!({"x-input-type": "int", "type": "integer", "minimum": 1, "maximum": 50, "default": 20, "x-step": 5,
               "x-group": "Sampling"})
    );
    assert_eq!(properties["sampler"]["enum"], json!(["euler", "ddim"]));
    assert_eq!(properties["sampler"]["x-option-labels"], json!(["Euler", "ddim"]));
}

#[test]
fn an_input_that_a_preset_gives_is_required_without_that_preset_only() {
    let manifest =
        manifest(&json!({"id": "w", "inputs": [{"id": "prompt", "type": "text", "required": true}],
        "presets": {"fox": {"prompt": "a red fox"}, "empty": {"params": {"prompt": ""}}}}))
        .unwrap();
    let validator = validator(&manifest);
    for (params, is_valid) in [
        (json!({"prompt": "a cat"}), true),
        (json!({"_preset": "fox"}), true),
        (json!({}), false),
        (json!({"_preset": "empty"}), false),
        (json!({"_preset": "cat", "prompt": "a cat"}), false),
    ] {
        assert_eq!(validator.is_valid(&params), is_valid, "{params}");
        assert_eq!(check(&manifest, params.as_object().unwrap()).is_ok(), is_valid, "{params}");
    }
}

#[test]
fn a_lora_pair_may_lack_one_of_its_files() {
    let manifest = manifest(&json!({"id": "w", "inputs": [{"id": "lora", "type": "lora_picker"}]})).unwrap();
    let validator = validator(&manifest);
    for (pair, is_valid) in [
        (json!({"high": "x", "low": null}), true),
        (json!({"high": null, "low": "x"}), true),
        (json!({"high": "a\u{7}b", "low": null}), false),
    ] {
        let params = json!({"lora": pair});
        assert_eq!(validator.is_valid(&params), is_valid, "{params}");
        assert_eq!(check(&manifest, params.as_object().unwrap()).is_ok(), is_valid, "{params}");
    }
}
