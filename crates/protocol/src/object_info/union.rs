//! The node schemas of several ComfyUIs together.

use std::collections::HashSet;

use super::input::{InputKind, InputSpec};
use super::{NodeInputs, NodeSchema, ObjectInfo};
use serde_json::Value;

/// Returns the node types that any of several ComfyUIs has. A type that several have is that of the first, with the choices that
/// any of them offers.
pub fn union_of_schemas<'s>(all: impl IntoIterator<Item = &'s ObjectInfo>) -> ObjectInfo {
    let mut all = all.into_iter();
    let mut union = all.next().cloned().unwrap_or_default();
    for other in all {
        for (class, schema) in other {
            match union.get_mut(class) {
                Some(known) => known.add_choices(schema),
                None => {
                    union.insert(class.clone(), schema.clone());
                }
            }
        }
    }
    union
}

impl NodeSchema {
    fn add_choices(&mut self, other: &Self) {
        let NodeInputs { required, optional, .. } = &mut self.input;
        for (name, spec) in required.iter_mut().chain(optional) {
            if let Some((other, _)) = other.input(name) {
                spec.add_choices(other);
            }
        }
    }
}

impl InputSpec {
    /// Adds the choices that only the other one has, if both are lists of choices.
    fn add_choices(&mut self, other: &Self) {
        let (InputKind::Combo(choices), InputKind::Combo(others)) = (&self.kind, &other.kind) else { return };
        if choices == others {
            return;
        }
        let known: HashSet<&Value> = choices.iter().collect();
        let new: Vec<_> = others.iter().filter(|choice| !known.contains(choice)).cloned().collect();
        let mut raw = self.raw().clone();
        let list =
            if self.raw_type().is_array() { raw.pointer_mut("/0") } else { raw.pointer_mut("/1/options") };
        if let Some(Value::Array(list)) = list {
            list.extend(new);
            *self = Self::from(raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas(schemas: Value) -> ObjectInfo {
        serde_json::from_value(schemas).unwrap()
    }

    fn loader(spec: Value) -> Value {
        json!({"input": {"required": {"name": spec, "strength": ["FLOAT", {"max": 1.0}]}}, "output": ["MODEL"]})
    }

    #[test]
    fn the_union_has_every_node_type_and_every_choice_in_the_order_of_the_first() {
        let one = schemas(json!({"Old": loader(json!([["a", "b"], {"default": "b"}])),
            "New": loader(json!(["COMBO", {"options": ["a"]}]))}));
        let two = schemas(json!({"Other": loader(json!([["x"]])), "Old": loader(json!([["c", "b", "d"]])),
            "New": loader(json!([["z", "a"]]))}));
        let both = union_of_schemas([&one, &two]);
        assert_eq!(both.keys().collect::<Vec<_>>(), ["Old", "New", "Other"]);
        let choices = |class: &str| both[class].input("name").unwrap().0.clone();
        assert_eq!(choices("Old"), InputSpec::from(json!([["a", "b", "c", "d"], {"default": "b"}])));
        assert_eq!(choices("New"), InputSpec::from(json!(["COMBO", {"options": ["a", "z"]}])));
        assert_eq!(both["Other"], two["Other"]);
        assert_eq!(union_of_schemas([&one, &one.clone()]), one);
        assert_eq!(union_of_schemas([]), ObjectInfo::default());
    }

    #[test]
    fn what_is_a_list_on_one_only_stays_that_of_the_first() {
        let one = schemas(json!({"A": loader(json!(["STRING", {}]))}));
        let two = schemas(json!({"A": loader(json!([["x"]]))}));
        assert_eq!(union_of_schemas([&one, &two]), one);
        assert_eq!(union_of_schemas([&two, &one]), two);
    }
}
