//! The inputs that a node has when its dynamic inputs are resolved with its values.

use std::borrow::Cow;

use serde_json::Value;

use super::{DynamicInput, InputSpec, NodeInputs, NodeSchema, Requirement};

/// The rules by which a release of ComfyUI resolves dynamic inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expansion {
    /// Dynamic inputs are ordinary inputs (0.3.64).
    None,
    /// An autogrow input creates the inputs that have a value, so its `min` is never enforced (0.8.0).
    Given,
    /// An autogrow input creates all inputs that it can, and requires the first `min` of them (0.33.0).
    #[default]
    All,
}

/// An input that a node has for the given values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExpandedInput<'s> {
    /// The input's full name, with dots: `model.resolution`.
    pub name: Cow<'s, str>,
    /// The spec of the input.
    pub spec: &'s InputSpec,
    /// Whether the input is required.
    pub requirement: Requirement,
    /// Whether the input is a dynamic choice or slot, or a dynamic input created it.
    pub dynamic: bool,
}

impl ExpandedInput<'_> {
    /// Returns the last part of the name: `resolution` of `model.resolution`. ComfyUI's messages use it.
    pub fn own_name(&self) -> &str {
        if self.dynamic { self.name.rsplit('.').next().unwrap_or_default() } else { &self.name }
    }
}

impl NodeSchema {
    /// Lists the inputs that ComfyUI's server sees for the given values, in the order in which they are declared.
    ///
    /// A dynamic choice exists only while its value is one of its keys, and comes before the inputs of this
    /// key; with any other value, or none, ComfyUI drops it without an error. An autogrow input is replaced by the
    /// inputs that it creates. A dynamic slot exists while it has a value. Where a name is declared twice, the
    /// required one counts.
    pub fn expanded_inputs<'s, 'v>(
        &'s self,
        expansion: Expansion,
        value: &dyn Fn(&str) -> Option<&'v Value>,
    ) -> Vec<ExpandedInput<'s>> {
        let mut expander = Expander { expansion, value, inputs: Vec::new() };
        expander.all(&self.input, None);
        expander.inputs
    }
}

struct Expander<'s, 'f, 'v> {
    expansion: Expansion,
    value: &'f dyn Fn(&str) -> Option<&'v Value>,
    inputs: Vec<ExpandedInput<'s>>,
}

impl<'s> Expander<'s, '_, '_> {
    fn all(&mut self, inputs: &'s NodeInputs, prefix: Option<&str>) {
        for (name, spec, requirement) in inputs.iter() {
            let full = match prefix {
                Some(prefix) => Cow::Owned(format!("{prefix}.{name}")),
                None => Cow::Borrowed(name),
            };
            match spec.dynamic().filter(|_| self.expansion != Expansion::None) {
                Some(dynamic) => self.dynamic(full, spec, requirement, dynamic),
                None => self.push(ExpandedInput { name: full, spec, requirement, dynamic: prefix.is_some() }),
            }
        }
    }

    fn dynamic(
        &mut self,
        name: Cow<'s, str>,
        spec: &'s InputSpec,
        requirement: Requirement,
        dynamic: &'s DynamicInput,
    ) {
        let itself = |name| ExpandedInput { name, spec, requirement, dynamic: true };
        match dynamic {
            DynamicInput::Combo(options) => {
                let Some(value) = (self.value)(&name) else { return };
                let Some(chosen) = options.iter().find(|option| option.key == *value) else { return };
                self.push(itself(name.clone()));
                self.all(&chosen.inputs, Some(&name));
            }
            DynamicInput::Slot(slot) => {
                if (self.value)(&name).is_some() {
                    self.push(itself(name.clone()));
                    self.all(&slot.inputs, Some(&name));
                }
            }
            DynamicInput::Autogrow(autogrow) => {
                for (position, created) in autogrow.names.iter().enumerate() {
                    let created = format!("{name}.{created}");
                    if self.expansion == Expansion::All || (self.value)(&created).is_some() {
                        self.push(ExpandedInput {
                            name: Cow::Owned(created),
                            spec: &autogrow.template,
                            requirement: autogrow.requirement(position),
                            dynamic: true,
                        });
                    }
                }
            }
        }
    }

    fn push(&mut self, input: ExpandedInput<'s>) {
        let same = self.inputs.iter_mut().filter(|_| input.dynamic).find(|known| known.name == input.name);
        match same {
            Some(known)
                if known.requirement == Requirement::Optional
                    || input.requirement == Requirement::Required =>
            {
                *known = input;
            }
            Some(_) => {}
            None => self.inputs.push(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn schema(input: Value) -> NodeSchema {
        serde_json::from_value(json!({"input": input})).unwrap()
    }

    /// Each input's name, with `!` after those that are required.
    fn names(schema: &NodeSchema, expansion: Expansion, values: Value) -> Vec<String> {
        let values: Map<String, Value> = serde_json::from_value(values).unwrap();
        let inputs = schema.expanded_inputs(expansion, &|name| values.get(name));
        let mark = |requirement| if requirement == Requirement::Required { "!" } else { "" };
        inputs.iter().map(|input| format!("{}{}", input.name, mark(input.requirement))).collect()
    }

    fn nested_choice() -> NodeSchema {
        let quality = json!(["COMFY_DYNAMICCOMBO_V3", {"options": [
            {"key": "custom", "inputs": {"required": {"crf": ["INT", {}]}}},
        ]}]);
        schema(json!({"required": {
            "format": ["COMFY_DYNAMICCOMBO_V3", {"options": [
                {"key": "auto", "inputs": {"required": {}}},
                {"key": "mp4", "inputs": {"required": {"fps": ["FLOAT", {}]}, "optional": {"quality": quality}}},
            ]}],
            "seed": ["INT", {}],
        }}))
    }

    #[test]
    fn a_dynamic_choice_brings_the_inputs_of_the_key_that_is_chosen() {
        let schema = nested_choice();
        let all = |values| names(&schema, Expansion::All, values);
        assert_eq!(all(json!({"format": "auto"})), ["format!", "seed!"]);
        assert_eq!(all(json!({"format": "mp4"})), ["format!", "format.fps!", "seed!"]);
        assert_eq!(
            all(json!({"format": "mp4", "format.quality": "custom"})),
            ["format!", "format.fps!", "format.quality", "format.quality.crf!", "seed!"]
        );
    }

    #[test]
    fn a_dynamic_choice_without_a_known_key_does_not_exist() {
        let schema = nested_choice();
        for values in [json!({}), json!({"format": "gif"}), json!({"format": ["1", 0]})] {
            assert_eq!(names(&schema, Expansion::All, values), ["seed!"]);
        }
    }

    #[test]
    fn an_autogrow_input_requires_its_first_names() {
        let schema = schema(json!({"required": {"images": ["COMFY_AUTOGROW_V3", {"template": {
            "input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 2, "max": 4,
        }}]}}));
        let values = json!({"images.image0": ["1", 0], "images.image3": ["2", 0]});
        assert_eq!(
            names(&schema, Expansion::All, values.clone()),
            ["images.image0!", "images.image1!", "images.image2", "images.image3"]
        );
        assert_eq!(names(&schema, Expansion::Given, values.clone()), ["images.image0!", "images.image3"]);
        assert_eq!(names(&schema, Expansion::None, values), ["images!"]);
    }

    #[test]
    fn an_autogrow_input_with_an_optional_template_requires_nothing() {
        let schema = schema(json!({"required": {"values": ["COMFY_AUTOGROW_V3", {"template": {
            "input": {"required": {}, "optional": {"value": ["*", {}]}}, "names": ["a", "b"], "min": 1,
        }}]}}));
        assert_eq!(names(&schema, Expansion::All, json!({})), ["values.a", "values.b"]);
    }

    #[test]
    fn a_dynamic_slot_exists_while_it_has_a_value() {
        let schema = schema(json!({"optional": {"mask": ["COMFY_DYNAMICSLOT_V3", {
            "slotType": "MASK", "inputs": {"required": {"invert": ["BOOLEAN", {}]}}, "forceInput": true,
        }]}}));
        assert_eq!(names(&schema, Expansion::All, json!({})), Vec::<String>::new());
        assert_eq!(names(&schema, Expansion::All, json!({"mask": ["1", 0]})), ["mask", "mask.invert!"]);
    }

    #[test]
    fn every_dynamic_input_of_the_recorded_schemas_is_understood() {
        let info: crate::ObjectInfo =
            serde_json::from_str(include_str!("../../../../fixtures/object_info/0.33.0.json")).unwrap();
        fn check(inputs: &NodeInputs, count: &mut usize) {
            for (_, spec, _) in inputs.iter() {
                let name = spec.type_name();
                let is_dynamic = name.starts_with("COMFY_") && name != "COMFY_MATCHTYPE_V3";
                assert_eq!(spec.dynamic().is_some(), is_dynamic, "{name}");
                match spec.dynamic() {
                    Some(DynamicInput::Combo(options)) => {
                        options.iter().for_each(|option| check(&option.inputs, count));
                    }
                    Some(DynamicInput::Autogrow(autogrow)) => assert!(!autogrow.names.is_empty()),
                    _ => {}
                }
                *count += usize::from(is_dynamic);
            }
        }
        let mut count = 0;
        info.values().for_each(|schema| check(&schema.input, &mut count));
        assert!(count > 250, "{count}");
    }
}
