//! Inputs that custom nodes take without declaring them: their own pages in the editor add the widgets.

use serde_json::{Map, Value, json};

use super::{InputKind, InputSpec, NodeSchema};

/// rgthree's loader of any number of LoRAs, each in a numbered slot.
pub const POWER_LORA_LOADER: &str = "Power Lora Loader (rgthree)";

/// The widgets of [`POWER_LORA_LOADER`] above and below the slots, which the editor sends too.
pub const POWER_LORA_LOADER_WIDGETS: [&str; 2] = ["PowerLoraLoaderHeaderWidget", "➕ Add Lora"];

impl InputSpec {
    /// Returns the widgets that the selected value of a combo adds to the node, by name.
    ///
    /// `VHS_VideoCombine` lists them under `formats` of its `format`: `{"video/h264-mp4": [["crf", "INT", {...}], ...]}`.
    pub fn option_widgets(&self, selected: &Value) -> Vec<(String, InputSpec)> {
        let (InputKind::Combo(_), Some(selected)) = (&self.kind, selected.as_str()) else {
            return Vec::new();
        };
        let widgets = self.options.get("formats").and_then(|formats| formats.get(selected)?.as_array());
        let widgets = widgets.into_iter().flatten().filter_map(|widget| {
            let (name, kind) = (widget.get(0)?.as_str()?, widget.get(1)?);
            let options = widget.get(2).filter(|options| options.is_object());
            let spec = json!([kind, options.unwrap_or(&Value::Object(Map::new()))]);
            Some((name.to_owned(), serde_json::from_value(spec).ok()?))
        });
        widgets.collect()
    }

    /// Returns whether values of the combo may add widgets.
    pub fn has_option_widgets(&self) -> bool {
        matches!(self.kind, InputKind::Combo(_)) && self.options.get("formats").is_some_and(Value::is_object)
    }
}

impl NodeSchema {
    /// Returns whether a node of this type takes an input that the schema does not declare: a widget of a combo's
    /// selected value, or a slot of [`POWER_LORA_LOADER`]. `inputs` are those of the node.
    pub fn takes_undeclared(&self, class_type: &str, name: &str, inputs: &Map<String, Value>) -> bool {
        if class_type == POWER_LORA_LOADER {
            let is_number = |number: &str| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
            return POWER_LORA_LOADER_WIDGETS.contains(&name)
                || name.strip_prefix("lora_").is_some_and(is_number);
        }
        self.inputs().filter(|(_, spec, _)| spec.has_option_widgets()).any(|(combo, spec, _)| {
            let selected = inputs.get(combo).or_else(|| spec.options.get("default"));
            let widgets = selected.map(|selected| spec.option_widgets(selected));
            widgets.into_iter().flatten().any(|(widget, _)| widget == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_formats_add_no_widgets() {
        let spec = |formats: Value| -> InputSpec {
            serde_json::from_value(json!([["a", "b"], {"formats": formats}])).unwrap()
        };
        let names = |formats: Value, selected: Value| -> Vec<String> {
            spec(formats).option_widgets(&selected).into_iter().map(|(name, _)| name).collect()
        };
        let formats =
            json!({"a": [["crf", "INT"], ["x"], "y", [1, "INT"], ["z", ["p", "q"], {"default": "q"}]]});
        assert_eq!(names(formats.clone(), json!("a")), ["crf", "z"]);
        assert!(names(formats.clone(), json!("b")).is_empty() && names(formats, json!(["1", 0])).is_empty());
        assert!(names(json!([1]), json!("a")).is_empty() && names(json!({"a": 3}), json!("a")).is_empty());
    }
}
