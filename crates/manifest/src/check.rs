//! Checks a value against an input: coerces it, or refuses it.

use serde_json::{Map, Number, Value, json};

use crate::diagnostic;
use crate::fields::{compare, plain};
use crate::first_ten::Counted;
use crate::input::{Input, InputKind};
use crate::nearest::did_you_mean;

/// Integers up to here are exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Sentences about what is wrong with a value.
pub(crate) type Wrong = Counted<String>;

impl Input {
    /// Returns the value in the form that the graph gets, coerced where nothing is lost.
    ///
    /// Returns `None` if the value counts as not given (null; an empty string for types other than strings), or if it
    /// is refused; then a sentence that begins with `subject` is added to `wrong`.
    pub(crate) fn check(&self, subject: &str, value: &Value, wrong: &mut Wrong) -> Option<Value> {
        if value.is_null() {
            return None;
        }
        let empty = value.as_str().is_some_and(|text| text.trim().is_empty());
        match &self.kind {
            InputKind::Text | InputKind::Other(_) | InputKind::LoraPicker => {}
            InputKind::Select if self.options.iter().any(|choice| choice.value == *value) => {}
            _ if empty => return None,
            _ => {}
        }
        let checked = match &self.kind {
            InputKind::Text => text(value).and_then(|value| self.one_of(value)),
            InputKind::Int => self.int(value).and_then(|value| self.one_of(value)),
            InputKind::Float => self.float(value).and_then(|value| self.one_of(value)),
            InputKind::Boolean => boolean(value),
            InputKind::Select => self.one_of(value.clone()),
            InputKind::Seed => self.seed(value),
            InputKind::Image | InputKind::Mask => file_name(value).and_then(image_name),
            InputKind::Video | InputKind::Audio | InputKind::ThreeD => file_name(value),
            InputKind::CheckpointPicker | InputKind::VaePicker => {
                model(value).and_then(|value| self.one_of(value))
            }
            InputKind::LoraPicker => self.lora(value),
            InputKind::LoraPickerDynamic => self.loras(value),
            InputKind::ResolutionPicker => self.resolution(value),
            InputKind::SceneList => return self.scenes(subject, value, wrong),
            InputKind::Other(_) => Ok(value.clone()),
        };
        match checked {
            Ok(value) => Some(value),
            Err(reason) => {
                wrong.push(format!("{subject} {reason}"));
                None
            }
        }
    }

    fn int(&self, value: &Value) -> Result<Value, String> {
        let number = whole(value).ok_or_else(|| self.not_in_range("a whole number", value))?;
        self.in_range(number, "a whole number", value)
    }

    fn float(&self, value: &Value) -> Result<Value, String> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        // `from_f64` refuses infinity and NaN, which JSON cannot hold.
        let number = number.and_then(Number::from_f64).ok_or_else(|| self.not_in_range("a number", value))?;
        self.in_range(number, "a number", value)
    }

    fn seed(&self, value: &Value) -> Result<Value, String> {
        let refuse = |range: String| {
            format!("must be a whole number{range}, or -1 for a random one, not {}", shown(value))
        };
        let range = || match (&self.min, &self.max) {
            (None, None) => " from 0".to_owned(),
            _ => self.range(),
        };
        let number = whole(value).ok_or_else(|| refuse(range()))?;
        if number.as_i64() == Some(-1) {
            return Ok(number.into());
        }
        if number.as_u64().is_none() || !self.is_in_range(&number) {
            return Err(refuse(range()));
        }
        Ok(number.into())
    }

    fn in_range(&self, number: Number, what: &str, value: &Value) -> Result<Value, String> {
        if self.is_in_range(&number) { Ok(number.into()) } else { Err(self.not_in_range(what, value)) }
    }

    fn is_in_range(&self, number: &Number) -> bool {
        let low = self.min.as_ref().is_some_and(|min| compare(number, min).is_lt());
        let high = self.max.as_ref().is_some_and(|max| compare(number, max).is_gt());
        !low && !high
    }

    fn not_in_range(&self, what: &str, value: &Value) -> String {
        format!("must be {what}{}, not {}", self.range(), shown(value))
    }

    /// Returns the range for a message: ` from 1 to 100`, ` of at least 1`, or an empty string.
    fn range(&self) -> String {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (None, None) => String::new(),
        }
    }

    /// Returns the option that equals the value, with the type that the manifest gives it.
    fn one_of(&self, value: Value) -> Result<Value, String> {
        if self.options.is_empty() {
            return Ok(value);
        }
        let values = || self.options.iter().map(|choice| &choice.value);
        let means =
            |option: &&Value| **option == value || scalar(option).is_some_and(|o| Some(o) == scalar(&value));
        // A default may be none of the options.
        let values_and_default = || values().chain(&self.default);
        let found = values_and_default().find(|option| **option == value);
        if let Some(option) = found.or_else(|| values_and_default().find(means)) {
            return Ok(option.clone());
        }
        // JSON has one kind of number: 1 and 1.0 are the same.
        if let Some(number) = value.as_f64()
            && let Some(option) =
                values().find(|option| (value.is_f64() || option.is_f64()) && option.as_f64() == Some(number))
        {
            return Ok(if self.kind == InputKind::Float { value } else { option.clone() });
        }
        let by_label = self.options.iter().find(|choice| Some(choice.label.as_str()) == value.as_str());
        let hint = by_label.map_or_else(String::new, |choice| {
            format!(" (\"{}\" is the label of {})", choice.label, shown(&choice.value))
        });
        Err(format!("must be one of {}, not {}{hint}", listed(values()), shown(&value)))
    }

    fn lora(&self, value: &Value) -> Result<Value, String> {
        const WHAT: &str = "must be a LoRA's file name, `{file, strength}`, a list of LoRAs, or \"none\"";
        match &*parsed(value) {
            Value::String(text) if text.trim().is_empty() || text.eq_ignore_ascii_case("none") => {
                Ok(Value::Null)
            }
            value @ Value::String(_) => model(value).and_then(|value| self.one_of(value)),
            value @ Value::Object(_) if is_empty_lora(value) => Ok(Value::Null),
            Value::Object(entry) => self.lora_entry(entry).map(Value::Object),
            Value::Array(list) => {
                let entries = list.iter().filter(|entry| !is_empty_lora(entry)).map(|entry| match entry {
                    Value::String(_) => model(entry).and_then(|file| self.one_of(file)),
                    Value::Object(entry) => self.lora_entry(entry).map(Value::Object),
                    other => Err(format!("{WHAT}, not {}", shown(other))),
                });
                entries.collect::<Result<_, _>>().map(Value::Array)
            }
            other => Err(format!("{WHAT}, not {}", shown(other))),
        }
    }

    fn loras(&self, value: &Value) -> Result<Value, String> {
        const WHAT: &str = "must be a list of `{file, strength}`";
        let value = parsed(value);
        let list = value.as_array().ok_or_else(|| format!("{WHAT}, not {}", shown(&value)))?;
        let entries = list.iter().filter(|entry| !is_empty_lora(entry)).map(|entry| match entry {
            Value::String(_) => {
                let file = model(entry).and_then(|file| self.one_of(file))?;
                Ok(json!({"file": file, "strength": 1.0}))
            }
            Value::Object(entry) if entry.contains_key("file") => {
                let mut entry = self.lora_entry(entry)?;
                entry.entry("strength").or_insert_with(|| 1.0.into());
                Ok(Value::Object(entry))
            }
            other => Err(format!("{WHAT}; {} is not one", shown(other))),
        });
        entries.collect::<Result<_, _>>().map(Value::Array)
    }

    /// `{file, strength}`, or the pairs of a dynamic workflow: `{high, low, strength_high, strength_low}`, `{pair_id}`.
    fn lora_entry(&self, entry: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        if !LORA_NAMES.iter().any(|key| entry.contains_key(*key)) {
            return Err("must name each LoRA's `file`".to_owned());
        }
        let mut checked = Map::with_capacity(entry.len());
        for (key, value) in entry {
            let value = match key.as_str() {
                "file" => model(value).and_then(|value| self.one_of(value))?,
                "high" | "low" if is_empty(value) => Value::Null,
                "high" | "low" => model(value)?,
                key if key.starts_with("strength") => {
                    self.float(value).map_err(|reason| format!("`{key}` {reason}"))?
                }
                _ => value.clone(),
            };
            checked.insert(key.clone(), value);
        }
        Ok(checked)
    }

    fn resolution(&self, value: &Value) -> Result<Value, String> {
        let wrong = |value: &Value| {
            format!(
                "must be a size such as \"832x1216\" or {{\"w\": 832, \"h\": 1216}}, not {}",
                shown(value)
            )
        };
        let (w, h) = sides(value).ok_or_else(|| wrong(value))?;
        for side in [&w, &h] {
            if side.as_u64().is_none_or(|side| side == 0) {
                return Err(wrong(value));
            }
            let name = if std::ptr::eq(side, &w) { "width" } else { "height" };
            self.in_range(side.clone(), "a number of pixels", &side.clone().into())
                .map_err(|reason| format!("has a {name} that {reason}"))?;
        }
        let offered = |choice: &crate::Choice| {
            sides(&choice.value).is_some_and(|sides| sides == (w.clone(), h.clone()))
        };
        let is_default = || self.default.as_ref() == Some(&json!({"w": w, "h": h}));
        if !self.options.is_empty() && !self.options.iter().any(offered) && !is_default() {
            let options = listed(self.options.iter().map(|choice| &choice.value));
            return Err(format!("must be one of {options}, not {}", shown(value)));
        }
        Ok(json!({"w": w, "h": h}))
    }

    fn scenes(&self, subject: &str, value: &Value, wrong: &mut Wrong) -> Option<Value> {
        let value = parsed(value);
        let Some(list) = value.as_array() else {
            wrong.push(format!("{subject} must be a list of scenes, not {}", shown(&value)));
            return None;
        };
        let before = wrong.len();
        if let Err(reason) = self.in_range(list.len().into(), "a number of scenes", &list.len().into()) {
            wrong.push(format!("{subject} {}", reason.replacen("must be", "must have", 1)));
        }
        let mut scenes = Vec::with_capacity(list.len());
        for (index, scene) in list.iter().enumerate() {
            let place = format!("{subject}, scene {}:", index + 1);
            match scene {
                Value::Object(scene) => scenes.push(Value::Object(self.scene(&place, scene, wrong))),
                other => wrong.push(format!("{place} must be an object, not {}", shown(other))),
            }
        }
        (wrong.len() == before).then_some(Value::Array(scenes))
    }

    /// Returns the scenes of a request that gives none: one, with an empty prompt and five seconds as in ComfyUI Studio,
    /// completed with the defaults of its fields, or `open` if the fields are not described. `None` if a scene needs more
    /// than that, or if one is too few.
    pub(crate) fn single_scene(&self, open: impl FnOnce() -> Value) -> Option<Value> {
        let one = Number::from(1);
        if self.min.as_ref().is_some_and(|min| compare(&one, min).is_lt()) {
            return None;
        }
        if self.per_scene.is_empty() {
            return Some(json!([open()]));
        }
        let known = |id: &str| match id {
            "prompt" => Some(json!("")),
            "duration" => Some(json!(5)),
            _ => None,
        };
        let mut scene = Map::new();
        for field in &self.per_scene {
            let value = known(&field.id).and_then(|value| field.check("", &value, &mut Wrong::default()));
            match value.or_else(|| field.default.clone()) {
                Some(value) => {
                    scene.insert(field.id.clone(), value);
                }
                None if field.required => return None,
                None => {}
            }
        }
        Some(json!([scene]))
    }

    fn scene(&self, place: &str, scene: &Map<String, Value>, wrong: &mut Wrong) -> Map<String, Value> {
        let mut checked = Map::with_capacity(scene.len());
        for field in &self.per_scene {
            let subject = format!("{place} \"{}\"", field.id);
            let before = wrong.len();
            let given = scene.get(&field.id).and_then(|value| field.check(&subject, value, wrong));
            let value = given.or_else(|| field.default.clone());
            if field.required && wrong.len() == before && value.as_ref().is_none_or(is_empty) {
                wrong.push(format!("{subject} is required and must not be empty"));
            }
            if let Some(value) = value {
                checked.insert(field.id.clone(), value);
            }
        }
        for (key, value) in scene {
            if self.per_scene.iter().any(|field| field.id == *key) {
                continue;
            }
            if self.per_scene.is_empty() || key.starts_with('_') {
                checked.insert(key.clone(), value.clone());
            } else {
                let hint = did_you_mean(key, self.per_scene.iter().map(|field| field.id.as_str()));
                wrong.push(format!("{place} {} is not a field of a scene.{hint}", shown_name(key)));
            }
        }
        checked
    }
}

/// The keys of a LoRA's entry that name what is loaded.
const LORA_NAMES: [&str; 4] = ["file", "high", "low", "pair_id"];

/// Returns whether an entry of a list of LoRAs names nothing, as forms send for a row that is not filled in.
fn is_empty_lora(entry: &Value) -> bool {
    match entry {
        Value::Object(fields) => {
            let mut named = LORA_NAMES.iter().filter_map(|key| fields.get(*key)).peekable();
            named.peek().is_some() && named.all(is_empty)
        }
        entry => is_empty(entry),
    }
}

/// Returns whether a value counts as empty where one is required.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns why this is not the name of a file in ComfyUI's folders, or `None` if it is one.
///
/// A file may lie in a subfolder (`a/b.png`) and may name ComfyUI's directory at its end (`b.png [output]`).
fn refuse_file_name(name: &str) -> Option<&'static str> {
    let bare =
        [" [input]", " [output]", " [temp]"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    if bare.is_empty() {
        Some("it is empty")
    } else if bare.len() > 1024 {
        Some("it is too long")
    } else if bare.chars().any(char::is_control) {
        Some("it contains a control character")
    } else if bare.contains('\\') {
        Some("it contains a backslash; write `/` between folder and file")
    } else if bare.starts_with('/') || bare.get(1..2) == Some(":") {
        Some("it is an absolute path; name a file in ComfyUI's input folder")
    } else if bare.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("it leaves ComfyUI's input folder, or has an empty part")
    } else {
        None
    }
}

fn text(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string().into()),
        _ => Err(format!("must be a string, not {}", shown(value))),
    }
}

fn boolean(value: &Value) -> Result<Value, String> {
    let truth = match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    truth.map(Value::Bool).ok_or_else(|| format!("must be true or false, not {}", shown(value)))
}

fn file_name(value: &Value) -> Result<Value, String> {
    let Value::String(name) = value else {
        return Err(format!("must be the name of an uploaded file, not {}", shown(value)));
    };
    match refuse_file_name(name) {
        None => Ok(value.clone()),
        Some(reason) => {
            Err(format!("must be the name of an uploaded file; {} is refused: {reason}", shown(value)))
        }
    }
}

/// Extensions of videos, audio files and 3D models, which no node opens as an image. GIF is not among them: ComfyUI reads its first
/// frame.
pub(crate) const NOT_IMAGES: [&str; 23] = [
    "mp4", "m4v", "mov", "webm", "mkv", "avi", "mpg", "mpeg", "ogv", "wav", "mp3", "flac", "ogg", "oga",
    "opus", "m4a", "aac", "glb", "gltf", "obj", "fbx", "stl", "ply",
];

/// Refuses the name of a video, audio file or 3D model. ComfyUI's annotation of a folder, as in `a.png [output]`, is not part of it.
fn image_name(value: Value) -> Result<Value, String> {
    let name = value.as_str().unwrap_or_default().split(" [").next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.filter(|extension| NOT_IMAGES.contains(&extension.as_str())) {
        Some(extension) => Err(format!("must be an image; {} is named as a {extension} file", shown(&value))),
        None => Ok(value),
    }
}

fn model(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(name) if !name.trim().is_empty() && !name.chars().any(char::is_control) => {
            Ok(value.clone())
        }
        _ => Err(format!("must be the file name of a model, not {}", shown(value))),
    }
}

/// Reads a whole number, also from a string or a float.
pub(crate) fn whole(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) if number.is_f64() => whole_float(number.as_f64()?),
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            let int =
                text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
            int.ok().or_else(|| whole_float(text.parse().ok()?))
        }
        _ => None,
    }
}

fn whole_float(number: f64) -> Option<Number> {
    let exact = number.fract() == 0.0 && number.abs() <= EXACT;
    exact.then(|| Number::from(number as i64))
}

/// Width and height of `"832x1216"`, `{w, h}` or `{width, height}`.
pub(crate) fn sides(value: &Value) -> Option<(Number, Number)> {
    match &*parsed(value) {
        Value::String(text) => {
            let (w, h) = text.split_once(['x', 'X', '×', '*'])?;
            Some((whole(&w.into())?, whole(&h.into())?))
        }
        Value::Object(map) => {
            let side = |short: &str, long: &str| map.get(short).or_else(|| map.get(long)).and_then(whole);
            Some((side("w", "width")?, side("h", "height")?))
        }
        _ => None,
    }
}

/// A list or object that came as text: form fields know nothing else.
pub(crate) fn parsed(value: &Value) -> std::borrow::Cow<'_, Value> {
    let structured = value.as_str().filter(|text| text.trim_start().starts_with(['[', '{']));
    match structured.and_then(|text| serde_json::from_str(text).ok()) {
        Some(value) => std::borrow::Cow::Owned(value),
        None => std::borrow::Cow::Borrowed(value),
    }
}

/// Returns a string, number or boolean as a string, so that `"30"` and 30 are the same choice.
fn scalar(value: &Value) -> Option<String> {
    (!value.is_array() && !value.is_object() && !value.is_null()).then(|| plain(value))
}

/// A value as an error message shows it, cut when it is long.
pub(crate) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A name that a caller gave, in quotes.
pub(crate) fn shown_name(name: &str) -> String {
    // Cut before it is quoted: a name may have a megabyte.
    shown(&cut(name).into())
}

/// The start of a name or of a value, as an error message shows it.
pub(crate) fn cut(text: &str) -> String {
    diagnostic::cut(text, 80)
}

/// The options for an error message: the first twenty.
fn listed<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let values: Vec<String> = values.map(shown).collect();
    let more = if values.len() > 20 { format!(" and {} more", values.len() - 20) } else { String::new() };
    format!("{}{more}", values[..values.len().min(20)].join(", "))
}
