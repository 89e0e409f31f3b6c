//! What callers may send, and the error for each mistake.

use comfy_runner_manifest::{Manifest, Params, SEED_LIMIT, Uploads};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const MANIFEST: &str = "
id: w
defaults: {fps: 16}
inputs:
- {id: prompt, type: text, required: true, default: hello}
- {id: steps, type: int, min: 1, max: 100, step: 5, default: 30}
- {id: cfg, type: float, min: 0, max: 20}
- {id: hires, type: boolean, default: false}
- {id: mode, type: select, options: [fast, {label: Best, value: 2}]}
- {id: seed, type: seed, default: -1}
- {id: other_seed, type: seed, default: 7, max: 100}
- {id: image, type: image}
- {id: face, type: mask}
- {id: lora, type: lora_picker}
- {id: loras, type: lora_picker_dynamic}
- {id: size, type: resolution_picker, default: 512x512, min: 64, max: 2048}
- id: scenes
  type: scene_list
  max: 2
  per_scene: [{id: text, type: text, required: true}, {id: duration, type: int, min: 1, default: 5}]
- {id: anything, type: odd}
";

fn manifest() -> Manifest {
    Manifest::parse(MANIFEST, "w").unwrap().0
}

fn object(given: Value) -> Map<String, Value> {
    given.as_object().unwrap().clone()
}

fn uploads(files: &[(&str, &str)]) -> Uploads {
    files.iter().map(|(part, file)| ((*part).to_owned(), (*file).to_owned())).collect()
}

fn check(given: Value) -> Params {
    Params::check(&manifest(), &object(given), &Uploads::new(), &mut || u64::MAX)
        .unwrap_or_else(|e| panic!("{e}"))
}

fn refused(given: Value) -> String {
    Params::check(&manifest(), &object(given), &Uploads::new(), &mut || 0)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn values_are_coerced_where_nothing_is_lost() {
    let cases = [
        ("steps", json!("30"), json!(30)),
        ("steps", json!(30.0), json!(30)),
        ("steps", json!(" 30.0 "), json!(30)),
        ("cfg", json!(1), json!(1.0)),
        ("cfg", json!("7.5"), json!(7.5)),
        ("hires", json!("TRUE"), json!(true)),
        ("hires", json!(0), json!(false)),
        ("prompt", json!(30), json!("30")),
        ("mode", json!("2"), json!(2)),
        ("seed", json!("18446744073709551615"), json!(u64::MAX)),
        ("size", json!("832 x 1216"), json!({"w": 832, "h": 1216})),
        ("size", json!({"width": 832.0, "height": "1216"}), json!({"w": 832, "h": 1216})),
        ("lora", json!("none"), Value::Null),
        ("loras", json!(["a.safetensors"]), json!([{"file": "a.safetensors", "strength": 1.0}])),
        ("loras", json!("[{\"file\": \"a\", \"strength\": 1}]"), json!([{"file": "a", "strength": 1.0}])),
        ("scenes", json!([{"text": "x"}]), json!([{"text": "x", "duration": 5}])),
        ("anything", json!({"a": [1]}), json!({"a": [1]})),
        ("fps", json!(24), json!(24)),
    ];
    for (id, given, wanted) in cases {
        let params = check(json!({id: given}));
        assert_eq!(params.get(id), Some(&wanted), "{id}: {given}");
    }
}

#[test]
fn defaults_fill_what_is_absent_null_or_an_empty_form_field() {
    for given in [json!({}), json!({"steps": null}), json!({"steps": ""})] {
        let params = check(given);
        assert_eq!(params.get("steps"), Some(&json!(30)));
        assert_eq!(params.get("fps"), Some(&json!(16)));
        assert_eq!(params.get("cfg"), None);
    }
    let order: Vec<String> = check(json!({})).iter().map(|(id, _)| id.to_owned()).collect();
    assert_eq!(order, ["prompt", "steps", "hires", "seed", "other_seed", "size", "fps"]);
}

#[test]
fn a_refusal_names_the_input_and_says_what_is_allowed() {
    let cases = [
        (json!({"steps": 0}), r#"input "steps" must be a whole number from 1 to 100, not 0"#),
        (json!({"steps": "many"}), r#"input "steps" must be a whole number from 1 to 100, not "many""#),
        (json!({"steps": 1.5}), "not 1.5"),
        (json!({"steps": true}), "not true"),
        (json!({"cfg": "nan"}), r#"input "cfg" must be a number from 0 to 20, not "nan""#),
        (json!({"hires": "maybe"}), r#"input "hires" must be true or false, not "maybe""#),
        (json!({"mode": "Best"}), r#"must be one of "fast", 2, not "Best" ("Best" is the label of 2)"#),
        (json!({"seed": -2}), "-1 for a random one"),
        (json!({"other_seed": 101}), "a whole number of at most 100, or -1 for a random one, not 101"),
        (json!({"prompt": ["a"]}), r#"input "prompt" must be a string"#),
        (json!({"prompt": "  "}), r#"input "prompt" is required: it must not be empty"#),
        (json!({"size": "big"}), "must be a size such as"),
        (json!({"size": "0x64"}), "must be a size such as"),
        (
            json!({"size": "32x64"}),
            r#"input "size" has a width that must be a number of pixels from 64 to 2048, not 32"#,
        ),
        (json!({"lora": 3}), "must be a LoRA's file name"),
        (json!({"loras": [{"strength": 1}]}), r#"input "loras" must be a list of `{file, strength}`"#),
        (
            json!({"scenes": [{"duration": 0}]}),
            r#"input "scenes", scene 1: "duration" must be a whole number of at least 1"#,
        ),
        (json!({"scenes": [{"duration": 1}]}), r#"scene 1: "text" is required"#),
        (json!({"scenes": [{"text": "a", "duratoin": 1}]}), r#"Did you mean "duration"?"#),
        (
            json!({"scenes": [{"text": "a"}, {"text": "a"}, {"text": "a"}]}),
            "must have a number of scenes of at most 2, not 3",
        ),
        (json!({"promt": "x"}), r#""promt" is not an input of workflow "w". Did you mean "prompt"?"#),
        (json!({"width": 10, "height": 512}), "has a width that must be"),
        (json!({"width": 512, "size": "512x512"}), "is given twice"),
    ];
    for (given, reported) in cases {
        let message = refused(given.clone());
        assert!(message.contains(reported), "{given}: {message}");
    }
}

#[test]
fn every_wrong_key_is_told() {
    let message = refused(json!({"steps": 0, "cfg": 99, "zzz": 1}));
    for key in ["\"steps\" must be", "; input \"cfg\" must be", "\"zzz\" is not an input"] {
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn width_and_height_are_a_resolution_and_one_side_keeps_the_others_default() {
    assert_eq!(check(json!({"width": 640, "height": 480})).get("size"), Some(&json!({"w": 640, "h": 480})));
    assert_eq!(check(json!({"width": "640"})).get("size"), Some(&json!({"w": 640, "h": 512})));
}

#[test]
fn seeds_are_drawn_below_two_to_the_53_and_within_the_inputs_range() {
    let params = check(json!({"other_seed": -1}));
    assert_eq!(params.seeds()["seed"], SEED_LIMIT - 1);
    assert!(params.seeds()["other_seed"] <= 100);
    assert!(params.is_generated("seed") && params.is_generated("other_seed"));
    assert_eq!(params.get("seed"), Some(&json!(SEED_LIMIT - 1)));
    let params = check(json!({"seed": 5}));
    assert_eq!((params.seeds()["seed"], params.seeds()["other_seed"]), (5, 7));
    assert!(!params.is_generated("seed"));
}

#[test]
fn a_file_comes_under_any_of_its_names() {
    let of = |given: Value, files: &[(&str, &str)], id: &str| {
        let params = Params::check(&manifest(), &object(given), &uploads(files), &mut || 0).unwrap();
        params.get(id).cloned()
    };
    let cat = Some(json!("a/cat.png [output]"));
    assert_eq!(of(json!({"_existing_input_image": "a/cat.png [output]"}), &[], "image"), cat);
    assert_eq!(of(json!({"_existing_image": "a/cat.png [output]"}), &[], "image"), cat);
    assert_eq!(of(json!({"image": "a/cat.png [output]"}), &[], "image"), cat);
    assert_eq!(of(json!({}), &[("input_image", "a/cat.png [output]")], "image"), cat);
    assert_eq!(of(json!({"_existing_image": ""}), &[("image", "a/cat.png [output]")], "image"), cat);
    assert_eq!(of(json!({"_existing_face": "a/cat.png [output]"}), &[], "face"), cat);
}

#[test]
fn a_file_that_is_doubtful_is_refused() {
    for name in [
        "../a.png",
        "/etc/passwd",
        "a\\b.png",
        "a/../b.png",
        "a\n.png",
        "C:/x.png",
        "a//b",
        "./a",
        " [output]",
    ] {
        let message = refused(json!({"_existing_image": name}));
        assert!(
            message.contains("input \"image\" must be the name of an uploaded file"),
            "{name}: {message}"
        );
    }
    assert!(
        refused(json!({"_existing_imge": "a.png"}))
            .contains("Inputs that take files are \"image\", \"face\"")
    );
    assert!(
        refused(json!({"_existing_image": "a", "_existing_input_image": "b"})).contains("given two files")
    );
    for name in ["a.mp4", "a/b.MOV", "a.flac [output]"] {
        let message = refused(json!({"_existing_image": name}));
        assert!(message.contains("input \"image\" must be an image") && message.contains(name), "{message}");
    }
    let parts = Params::check_before_uploads(&manifest(), &Map::new(), ["imag"]).unwrap_err();
    assert!(parts.to_string().contains("no input takes the file part"), "{parts}");
}

#[test]
fn params_are_checked_before_files_have_come() {
    let manifest = Manifest::parse("id: w\ninputs: [{id: pic, type: image, required: true}]", "w").unwrap().0;
    assert!(Params::check_before_uploads(&manifest, &Map::new(), ["input_image"]).is_ok());
    let missing = Params::check_before_uploads(&manifest, &Map::new(), []).unwrap_err();
    assert!(missing.to_string().contains("send a file as \"pic\""), "{missing}");
    assert!(Params::check_before_uploads(&manifest, &object(json!({"x": 1})), ["pic"]).is_err());
}

#[test]
fn keys_with_an_underscore_are_ignored() {
    assert_eq!(check(json!({"_theme": "dark"})).get("_theme"), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("(file|strength|w|h|text|[a-z]{1,4})", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_params_make_the_check_panic(
        given in prop::collection::hash_map("(prompt|steps|cfg|mode|seed|image|lora|loras|size|scenes|width|_existing_image|\\PC{1,5})", any_json(), 0..5)
    ) {
        let _ = Params::check(&manifest(), &given.into_iter().collect(), &Uploads::new(), &mut || 3);
    }

    #[test]
    fn any_text_comes_through_unchanged(text in "\\PC{1,200}") {
        prop_assume!(!text.trim().is_empty());
        let params = Params::check(&manifest(), &object(json!({"prompt": text})), &Uploads::new(), &mut || 3).unwrap();
        prop_assert_eq!(params.get("prompt").unwrap().as_str().unwrap(), text);
    }
}

#[test]
fn a_thousand_unknown_keys_are_ten_and_a_count() {
    let (manifest, _) = Manifest::parse("id: w\ninputs: [{id: steps, type: int}]\n", "w").unwrap();
    let given: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("key_{n}"), json!(n))).collect();
    let error = Params::check(&manifest, &given, &Uploads::new(), &mut || 1).unwrap_err();
    assert_eq!((error.problems.len(), error.more), (10, 990));
    let message = error.to_string();
    assert!(message.contains("\"key_9\"") && !message.contains("\"key_10\""), "{message}");
    assert!(message.ends_with("; and 990 more"), "{message}");
}

#[test]
fn long_names_and_long_lists_of_mistakes_are_cut() {
    let manifest =
        "id: w\ninputs: [{id: s, type: scene_list, per_scene: [{id: n, type: int}]}, {id: f, type: image}]\n";
    let (manifest, _) = Manifest::parse(manifest, "w").unwrap();
    let long = "x".repeat(100_000);
    let scenes: Vec<Value> = (0..1000).map(|_| json!({"n": "many", &long: 1})).collect();
    for given in [
        json!({&long: 1}),
        json!({format!("_existing_{long}"): "a.png"}),
        json!({"s": scenes}),
        json!({"s": &long}),
    ] {
        let error =
            Params::check(&manifest, given.as_object().unwrap(), &Uploads::new(), &mut || 1).unwrap_err();
        assert!(error.to_string().len() < 3000, "{} bytes", error.to_string().len());
    }
    let part = Uploads::from_iter([(long, "a.png".to_owned())]);
    let error = Params::check(&manifest, &serde_json::Map::new(), &part, &mut || 1).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn what_a_seed_may_be_reads_as_a_sentence() {
    let reported = |range: &str, seed: Value| {
        let (manifest, _) =
            Manifest::parse(&format!("id: w\ninputs: [{{id: seed, type: seed{range}}}]\n"), "w").unwrap();
        let given = json!({"seed": seed});
        Params::check(&manifest, given.as_object().unwrap(), &Uploads::new(), &mut || 1)
            .unwrap_err()
            .to_string()
    };
    let expected = "input \"seed\" must be a whole number from 0, or -1 for a random one, not ";
    assert_eq!(reported("", json!("x")), format!("{expected}\"x\""));
    assert_eq!(reported("", json!(-2)), format!("{expected}-2"));
    let expected = "input \"seed\" must be a whole number from 5 to 9, or -1 for a random one, not ";
    assert_eq!(reported(", min: 5, max: 9", json!(10)), format!("{expected}10"));
    assert_eq!(reported(", min: 5, max: 9", json!(-7)), format!("{expected}-7"));
    let expected = "input \"seed\" must be a whole number of at most 9, or -1 for a random one, not ";
    assert_eq!(reported(", max: 9", json!(1.5)), format!("{expected}1.5"));
}
