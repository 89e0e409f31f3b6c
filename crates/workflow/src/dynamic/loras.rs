//! The LoRAs that a caller selects: single ones and pairs.

use comfy_runner_manifest::{InputKind, LORA_PAIRS_FILE, LoraPair, Manifest};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::template::Variables;

/// One LoRA to load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lora {
    pub file: String,
    pub strength: Value,
    /// The strength for the text encoder, if it differs.
    pub strength_clip: Option<Value>,
}

/// The names of lists with the LoRAs for the two models of a pair.
const SIDES: [&str; 2] = ["loras_high", "loras_low"];

/// Returns the LoRAs that the caller selects, in the order of the manifest's inputs: every LoRA input but those for
/// pairs, and `loras` of the `defaults`.
pub(crate) fn picked(manifest: &Manifest, variables: &Variables<'_>) -> Result<Vec<Lora>, String> {
    let is_lora = |kind: &InputKind| matches!(kind, InputKind::LoraPicker | InputKind::LoraPickerDynamic);
    let inputs = manifest.inputs.iter().filter(|input| is_lora(&input.kind)).map(|input| input.id.as_str());
    let inputs = inputs.filter(|id| !SIDES.contains(id));
    let fallback =
        (manifest.input("loras").is_none() && manifest.defaults.contains_key("loras")).then_some("loras");
    let mut loras = Vec::new();
    for id in inputs.chain(fallback) {
        for entry in entries(variables.get(id)) {
            loras.extend(single(id, entry)?);
        }
    }
    Ok(loras)
}

/// Returns the LoRAs for the high-noise and for the low-noise model.
pub(crate) fn paired(manifest: &Manifest, variables: &Variables<'_>) -> Result<[Vec<Lora>; 2], String> {
    let mut sides = [Vec::new(), Vec::new()];
    for (side, id) in sides.iter_mut().zip(SIDES) {
        for entry in entries(variables.get(id)) {
            side.extend(single(id, entry)?);
        }
    }
    let pickers = manifest.inputs.iter().filter(|input| input.kind == InputKind::LoraPicker);
    for input in pickers.filter(|input| !SIDES.contains(&input.id.as_str())) {
        for entry in entries(variables.get(&input.id)) {
            let [high, low] = pair(&input.id, entry, &manifest.lora_pairs)?;
            sides[0].extend(high);
            sides[1].extend(low);
        }
    }
    Ok(sides)
}

/// Returns the entries of a list, or the value itself.
fn entries(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(list)) => list,
        Some(one) => std::slice::from_ref(one),
    }
}

fn is_none(file: &str) -> bool {
    file.trim().is_empty() || file.eq_ignore_ascii_case("none")
}

fn lora(file: &str, strength: Option<&Value>, strength_clip: Option<&Value>) -> Option<Lora> {
    let strength = strength.filter(|strength| !strength.is_null()).cloned().unwrap_or_else(|| json!(1.0));
    let lora = Lora { file: file.to_owned(), strength, strength_clip: strength_clip.cloned() };
    (!is_none(file)).then_some(lora)
}

/// Parses a single LoRA: a file name or `{file, strength}`.
fn single(id: &str, entry: &Value) -> Result<Option<Lora>, String> {
    match entry {
        Value::Null => Ok(None),
        Value::String(file) => Ok(lora(file, None, None)),
        Value::Object(fields) => match fields.get("file") {
            Some(Value::String(file)) => Ok(lora(file, fields.get("strength"), fields.get("strength_clip"))),
            _ => Err(format!("\"{id}\" takes LoRAs as file names or as {{file, strength}}, not {entry}")),
        },
        other => Err(format!("\"{id}\" takes LoRAs as file names or as {{file, strength}}, not {other}")),
    }
}

/// Parses a pair of LoRAs: their files, or an id in `lora_pairs`.
fn pair(id: &str, entry: &Value, pairs: &IndexMap<String, LoraPair>) -> Result<[Option<Lora>; 2], String> {
    let none = Map::new();
    let (fields, named) = match entry {
        Value::Null => return Ok([None, None]),
        Value::String(name) if is_none(name) => return Ok([None, None]),
        Value::String(name) => (&none, Some(name.as_str())),
        Value::Object(fields) => {
            (fields, fields.get("pair_id").and_then(Value::as_str).filter(|name| !is_none(name)))
        }
        other => return Err(format!("\"{id}\" takes pairs as {{high, low}} or {{pair_id}}, not {other}")),
    };
    let known = match named.map(|name| (name, pairs.get(name))) {
        None => None,
        Some((_, Some(pair))) => Some(pair),
        Some((name, None)) => {
            let known: Vec<&str> = pairs.keys().take(30).map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!(
                "\"{id}\": neither `lora_pairs` nor the file {LORA_PAIRS_FILE} beside the workflows has \"{name}\"; \
                 there is {known}"
            ));
        }
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).filter(|file| !is_none(file));
    let side = |key: &str, own: fn(&LoraPair) -> Option<&String>| {
        let of_pair = known.and_then(|pair| own(pair).or(pair.both.as_ref())).map(String::as_str);
        let strength = fields.get(&format!("strength_{key}")).or_else(|| fields.get("strength"));
        text(key).or(of_pair).and_then(|file| lora(file, strength, None))
    };
    let sides = [side("high", |pair| pair.high.as_ref()), side("low", |pair| pair.low.as_ref())];
    if known.is_none() && text("high").is_none() && text("low").is_none() && !fields.contains_key("high") {
        return Err(format!("\"{id}\": a pair needs `high` and `low`, or `pair_id`; {entry} has none"));
    }
    Ok(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let text = "id: w\ntype: dynamic\npipeline: [{block: a, file: a.json}]\ninputs:\n- {id: loras_high, type: lora_picker_dynamic}\n\
                    - {id: pick, type: lora_picker}\nlora_pairs:\n  ink: {high: h, low: l}\n  one: {both: b}\n";
        Manifest::parse(text, "w").unwrap().0
    }

    fn sides(given: Value) -> Result<Value, String> {
        let variables = Variables::from_map(given.as_object().unwrap().clone());
        let shown =
            |loras: Vec<Lora>| loras.iter().map(|lora| json!([lora.file, lora.strength])).collect::<Value>();
        paired(&manifest(), &variables).map(|[high, low]| json!([shown(high), shown(low)]))
    }

    #[test]
    fn pairs_come_from_lists_from_pickers_and_by_their_id() {
        let given = json!({"loras_high": [{"file": "x", "strength": 0.5}], "loras_low": ["y"],
            "pick": [{"high": "a", "low": null, "strength_high": 0.3}, {"pair_id": "ink", "strength_low": 0.2},
                {"pair_id": "one", "strength": 0.9}, "ink", "none"]});
        let high = json!([["x", 0.5], ["a", 0.3], ["h", 1.0], ["b", 0.9], ["h", 1.0]]);
        let low = json!([["y", 1.0], ["l", 0.2], ["b", 0.9], ["l", 1.0]]);
        assert_eq!(sides(given), Ok(json!([high, low])));
    }

    #[test]
    fn what_is_no_pair_is_refused_by_name() {
        assert!(sides(json!({"pick": {"pair_id": "inc"}})).unwrap_err().contains("there is ink, one"));
        assert!(sides(json!({"pick": {"file": "x"}})).unwrap_err().contains("needs `high` and `low`"));
        assert!(sides(json!({"loras_high": [{"high": "x"}]})).unwrap_err().contains("{file, strength}"));
    }
}
