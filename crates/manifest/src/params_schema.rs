//! The JSON Schema of a workflow's params.

use serde_json::{Map, Number, Value, json};

use crate::check::{NOT_IMAGES, Wrong, is_empty};
use crate::count::{COUNT_KEY, MOST_JOBS};
use crate::fields::compare;
use crate::input::{Input, InputKind};
use crate::manifest::Manifest;
use crate::params::{EXISTING, Params};
use crate::preset::{PRESET_KEY, Preset};

/// Characters that no name of a file or model has.
const CONTROL: &str = r"[\x00-\x1f\x7f-\x9f]";

impl Manifest {
    /// Returns the JSON Schema (2020-12) of a request's params: an object from input ids to values.
    ///
    /// It describes each value in the form that [`Params`] gives it. What the schema accepts, [`Params::check`] accepts; it
    /// also takes other spellings of the same values, such as `"30"` for 30, `width` and `height` for a resolution, or
    /// `_existing_<id>` for a file. A key that begins with `x-` is for form pages: `x-input-type`, `x-group`, `x-step` and
    /// `x-option-labels`.
    ///
    /// ```
    /// use comfy_runner_manifest::Manifest;
    ///
    /// let manifest = "id: fox\ninputs: [{id: steps, type: int, min: 1, max: 50, default: 20}]\n";
    /// let (manifest, _) = Manifest::parse(manifest, "fox").unwrap();
    /// let schema = manifest.params_schema();
    /// assert_eq!(schema["properties"]["steps"]["maximum"], 50);
    /// assert_eq!(schema["additionalProperties"], false);
    /// ```
    pub fn params_schema(&self) -> Map<String, Value> {
        let mut properties = Map::new();
        for input in &self.inputs {
            let mut schema = input.schema(true);
            if let Some(group) = self.group_of(input) {
                schema.insert("x-group".to_owned(), group.into());
            }
            properties.insert(input.id.clone(), schema.into());
        }
        for (key, default) in self.defaults.iter().filter(|(key, _)| self.input(key).is_none()) {
            properties.insert(key.clone(), json!({"default": default}));
        }
        let presets: Vec<(&String, &Preset)> = self
            .presets
            .iter()
            .filter(|(_, preset)| Params::check_given(self, &preset.params).is_empty())
            .collect();
        if !presets.is_empty() {
            let names: Vec<&String> = presets.iter().map(|(name, _)| *name).collect();
            properties.insert(
                PRESET_KEY.to_owned(),
                json!({"description": "The preset whose values apply where the params give none.", "enum": names}),
            );
        }
        properties.insert(
            COUNT_KEY.to_owned(),
            json!({"description": "The number of jobs to submit. `build` answers the graph of the first.",
                   "type": "integer", "minimum": 1, "maximum": MOST_JOBS}),
        );
        let (mut required, mut conditions) = (Vec::new(), Vec::new());
        for input in self.inputs.iter().filter(|input| input.must_be_given() && input.kind != InputKind::Seed)
        {
            let id = &input.id;
            let given: Vec<&String> = presets
                .iter()
                .filter(|(_, preset)| self.gives(preset, input))
                .map(|(name, _)| *name)
                .collect();
            if given.is_empty() {
                required.push(id);
            } else {
                let by_preset =
                    json!({"properties": {PRESET_KEY: {"enum": given}}, "required": [PRESET_KEY]});
                conditions.push(json!({"anyOf": [{"required": [id]}, by_preset]}));
            }
        }
        let mut schema = Map::new();
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), self.name.clone().into());
        if let Some(description) = &self.description {
            schema.insert("description".to_owned(), description.clone().into());
        }
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if !conditions.is_empty() {
            schema.insert("allOf".to_owned(), conditions.into());
        }
        schema.insert("additionalProperties".to_owned(), false.into());
        schema
    }

    /// Returns the headings of the groups in which an input is, from the outermost.
    fn group_of(&self, input: &Input) -> Option<String> {
        let json = Value::Object(self.json().clone());
        let pointer = input.pointer();
        let groups = pointer
            .match_indices("/items/")
            .filter_map(|(end, _)| json.pointer(&pointer[..end])?.get("group"));
        let headings: Vec<String> = groups.map(crate::fields::plain).collect();
        (!headings.is_empty()).then(|| headings.join(" / "))
    }

    /// Returns whether a preset has a value of an input that is not empty.
    fn gives(&self, preset: &Preset, input: &Input) -> bool {
        let is_given = |key: &str| preset.params.get(key).is_some_and(|value| !is_empty(value));
        let value =
            preset.params.get(&input.id).and_then(|value| input.check("", value, &mut Wrong::default()));
        let as_file = || {
            let keys = preset.params.keys().filter(|key| is_given(key));
            let mut parts = keys.filter_map(|key| key.strip_prefix(EXISTING));
            parts.any(|part| self.file_input(part).is_some_and(|named| named.id == input.id))
        };
        let as_sides = || {
            self.resolution_input().is_some_and(|first| first.id == input.id)
                && ["width", "height"].iter().all(|side| is_given(side) && self.input(side).is_none())
        };
        value.is_some_and(|value| !is_empty(&value)) || as_file() || as_sides()
    }
}

impl Input {
    /// Returns whether a request must have a value for this input, in the params or in a scene.
    fn must_be_given(&self) -> bool {
        self.required && self.default.as_ref().is_none_or(is_empty)
    }

    /// Returns the schema of the input's values. Only an input of the workflow, not one of a scene, takes an object that
    /// brings a file.
    fn schema(&self, takes_files: bool) -> Map<String, Value> {
        let mut schema = Map::new();
        if let Some(label) = &self.label {
            schema.insert("title".to_owned(), label.clone().into());
        }
        let texts =
            ["description", "tooltip", "help"].iter().filter_map(|key| self.other.get(*key)?.as_str());
        if let Some(description) = texts.into_iter().next() {
            schema.insert("description".to_owned(), description.into());
        }
        schema.insert("x-input-type".to_owned(), self.kind.as_str().into());
        let values = match self.value_schema(takes_files) {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        schema.extend(values);
        if let Some(default) = self.default.as_ref().filter(|default| !default.is_null()) {
            schema.insert("default".to_owned(), default.clone());
        }
        if let Some(step) = &self.step {
            schema.insert("x-step".to_owned(), step.clone().into());
        }
        schema
    }

    fn value_schema(&self, takes_files: bool) -> Value {
        match &self.kind {
            InputKind::ResolutionPicker if !self.options.is_empty() => self.choices(),
            InputKind::Text
            | InputKind::Int
            | InputKind::Float
            | InputKind::Select
            | InputKind::CheckpointPicker
            | InputKind::VaePicker
                if !self.options.is_empty() =>
            {
                self.choices()
            }
            InputKind::Text if self.required => json!({"type": "string", "pattern": r"\S"}),
            InputKind::Text => json!({"type": "string"}),
            InputKind::Int => {
                let (lowest, highest) = (Number::from(i64::MIN), Number::from(u64::MAX));
                let (min, max) = (self.min.clone().unwrap_or(lowest), self.max.clone().unwrap_or(highest));
                json!({"type": "integer", "minimum": min, "maximum": max})
            }
            InputKind::Float => self.number(),
            InputKind::Boolean => json!({"type": "boolean"}),
            InputKind::Seed => self.seed_schema(),
            kind if kind.is_file() => file_schema(kind.is_image(), takes_files),
            InputKind::CheckpointPicker | InputKind::VaePicker => name(),
            InputKind::LoraPicker => self.lora_schema(),
            InputKind::LoraPickerDynamic => {
                let mut entry = self.lora_entry_schema();
                entry["required"] = json!(["file"]);
                let least = u64::from(self.required);
                json!({"type": "array", "items": entry, "minItems": least})
            }
            InputKind::ResolutionPicker => {
                let one = Number::from(1);
                let min = self.min.clone().filter(|min| compare(min, &one).is_gt()).unwrap_or(one);
                let max = self.max.clone().unwrap_or(u64::MAX.into());
                let side = json!({"type": "integer", "minimum": min, "maximum": max});
                json!({"type": "object", "properties": {"w": side, "h": side}, "required": ["w", "h"],
                       "additionalProperties": false})
            }
            InputKind::SceneList => self.scenes_schema(),
            _ if self.required => not_empty(),
            _ => json!({}),
        }
    }

    /// Returns the options that the input accepts, as they are written and as they are converted.
    fn choices(&self) -> Value {
        let (mut values, mut labels): (Vec<Value>, Vec<&str>) = (Vec::new(), Vec::new());
        let options = self.options.iter().map(|choice| (&choice.value, Some(choice.label.as_str())));
        for (value, label) in options.chain(self.default.iter().map(|default| (default, None))) {
            let mut wrong = Wrong::default();
            let converted = self.check("", value, &mut wrong);
            if !wrong.is_empty() || (self.required && is_empty(value)) {
                continue;
            }
            for value in converted.into_iter().chain([value.clone()]) {
                if !values.contains(&value) && !value.is_null() {
                    labels.push(label.unwrap_or_default());
                    values.push(value);
                }
            }
        }
        let same =
            |(value, label): (&Value, &&str)| label.is_empty() || crate::fields::plain(value) == **label;
        let is_plain = values.iter().zip(&labels).all(same);
        let mut schema = json!({"enum": values});
        if values.iter().all(Value::is_string) && !values.is_empty() {
            schema = json!({"type": "string", "enum": values});
        }
        if !is_plain {
            schema["x-option-labels"] = json!(labels);
        }
        schema
    }

    fn number(&self) -> Value {
        let mut schema = json!({"type": "number"});
        if let Some(min) = &self.min {
            schema["minimum"] = min.clone().into();
        }
        if let Some(max) = &self.max {
            schema["maximum"] = max.clone().into();
        }
        schema
    }

    fn seed_schema(&self) -> Value {
        let zero = Number::from(0);
        let max = self.max.clone().unwrap_or(u64::MAX.into());
        let text = "-1 for a random one.";
        match &self.min {
            _ if compare(&max, &zero).is_lt() => json!({"type": "integer", "const": -1}),
            Some(min) if compare(min, &zero).is_gt() => {
                json!({"description": text, "type": "integer", "anyOf": [
                {"const": -1}, {"minimum": min, "maximum": max}]})
            }
            _ => json!({"description": text, "type": "integer", "minimum": -1, "maximum": max}),
        }
    }

    fn lora_schema(&self) -> Value {
        // Text that begins like JSON is read as JSON.
        let text = json!({"type": "string", "pattern": r"^\s*[^\s\[{]", "not": {"pattern": CONTROL}});
        let (file, listed) = match self.file_options() {
            Value::Null => (text, name()),
            options => (options.clone(), options),
        };
        let entry = self.lora_entry_schema();
        let list = json!({"type": "array", "items": {"anyOf": [listed, entry]}});
        if self.required {
            let list = json!({"allOf": [list], "type": "array", "minItems": 1});
            let none = json!({"pattern": "^[nN][oO][nN][eE]$"});
            return json!({"anyOf": [{"allOf": [file], "not": none}, entry, list]});
        }
        json!({"description": "A file name, `{file, strength}`, a list of LoRAs, or null for none.",
               "anyOf": [file, entry, list, {"type": "null"}]})
    }

    /// Returns the file names that are offered, or null if any is accepted.
    fn file_options(&self) -> Value {
        if self.options.is_empty() {
            return Value::Null;
        }
        let options = self.options.iter().map(|choice| &choice.value).chain(&self.default);
        let mut files: Vec<&Value> = Vec::new();
        for file in options.filter(|value| value.is_string() && !is_empty(value)) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        json!({"type": "string", "enum": files})
    }

    /// `{file, strength}`, or a pair of a dynamic workflow.
    fn lora_entry_schema(&self) -> Value {
        let file = match self.file_options() {
            Value::Null => name(),
            options => options,
        };
        // `null` matches every pattern.
        let control = json!({"type": "string", "pattern": CONTROL});
        let one_of_pair = json!({"type": ["string", "null"], "pattern": r"\S", "not": control});
        let empty = json!({"anyOf": [{"enum": [null, [], {}]}, {"type": "string", "pattern": r"^\s*$"}]});
        json!({
            "type": "object",
            "properties": {"file": file, "high": one_of_pair, "low": one_of_pair, "pair_id": {}, "strength": self.number()},
            "patternProperties": {"^strength": self.number()},
            // One of these names a LoRA.
            "not": {"properties": {"file": empty, "high": empty, "low": empty, "pair_id": empty}},
        })
    }

    fn scenes_schema(&self) -> Value {
        let whole = |number: &Number| number.as_f64().unwrap_or_default();
        let least = self.min.as_ref().map_or(0, |min| whole(min).ceil().max(0.0) as u64);
        let least = least.max(u64::from(self.required));
        let mut items = json!({"type": "object"});
        if !self.per_scene.is_empty() {
            let fields = self.per_scene.iter().map(|field| (field.id.clone(), field.schema(false).into()));
            let required: Vec<&String> =
                self.per_scene.iter().filter(|field| field.must_be_given()).map(|field| &field.id).collect();
            items["properties"] = Value::Object(fields.collect());
            items["required"] = json!(required);
            items["patternProperties"] = json!({"^_": {}});
            items["additionalProperties"] = false.into();
        }
        let mut schema = json!({"type": "array", "items": items, "minItems": least});
        if let Some(max) = &self.max {
            schema["maxItems"] = json!(whole(max).floor().max(0.0) as u64);
        }
        schema
    }
}

/// The name of a file or model.
fn name() -> Value {
    json!({"type": "string", "pattern": r"\S", "not": {"pattern": CONTROL}})
}

fn not_empty() -> Value {
    json!({"type": ["boolean", "number", "string", "array", "object"], "pattern": r"\S", "minItems": 1,
           "minProperties": 1})
}

/// The name of an uploaded file, or an object that brings the file.
fn file_schema(is_image: bool, takes_files: bool) -> Value {
    let mut refused = vec![
        json!({"pattern": CONTROL}),
        json!({"pattern": r"\\"}),
        json!({"pattern": r"^/|^[\x00-\x7f]:"}),
        json!({"pattern": r"(^|/)\.{0,2}(/|( \[(input|output|temp)\])?$)"}),
    ];
    if is_image {
        let any_case = |extension: &&str| -> String {
            let letters = extension.chars().map(|c| match c.is_ascii_alphabetic() {
                true => format!("[{c}{}]", c.to_ascii_uppercase()),
                false => c.to_string(),
            });
            letters.collect()
        };
        let extensions: Vec<String> = NOT_IMAGES.iter().map(any_case).collect();
        // Up to ComfyUI's annotation of a folder.
        let pattern = format!(r"^([^ ]| +[^ \[])* *\.({})( \[.*)?$", extensions.join("|"));
        refused.push(json!({"pattern": pattern}));
    }
    let uploaded = json!({"description": "The name of an uploaded file.", "type": "string", "pattern": r"\S",
                          "maxLength": 1024, "not": {"anyOf": refused}});
    if !takes_files {
        return uploaded;
    }
    let object = |key: &str, description: &str| {
        json!({"description": description, "type": "object", "properties": {key: {"type": "string"}}, "required": [key],
               "additionalProperties": false})
    };
    json!({"anyOf": [uploaded, object("url", "The server fetches the file."), object("base64", "The file itself.")]})
}
