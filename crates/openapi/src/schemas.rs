//! The schemas of the document: those of the types that the server reads and writes.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::normalize::normalize;

/// Where the schemas of types are in the document.
const PLACE: &str = "#/components/schemas/";

/// Names of types that their generic parameters would make awkward.
const RENAMED: [(&str, &str); 1] = [("FinishedJobJobs", "FinishedJobs")];

/// Collects the schemas of types. What a type looks like when it is written differs from what it may look like when it
/// is read, where fields may be left out.
pub(crate) struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
    named: Map<String, Value>,
}

impl Schemas {
    pub fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = PLACE.trim_start_matches('#').to_owned().into();
                settings.meta_schema = None;
            })
        };
        Self {
            written: settings().for_serialize().into_generator(),
            read: settings().for_deserialize().into_generator(),
            named: Map::new(),
        }
    }

    /// Returns the schema of a type that the server writes, usually a reference.
    pub fn written<T: JsonSchema>(&mut self) -> Value {
        renamed(self.written.subschema_for::<T>().to_value())
    }

    /// Returns the schema of a type that the server reads, usually a reference.
    pub fn read<T: JsonSchema>(&mut self) -> Value {
        renamed(self.read.subschema_for::<T>().to_value())
    }

    /// Returns the properties of a type that the server reads, and those that are required.
    pub fn properties<T: JsonSchema>(&mut self) -> (Map<String, Value>, BTreeSet<String>) {
        let mut schema = T::json_schema(&mut self.read).to_value();
        let mut definitions = Map::from_iter([("query".to_owned(), schema.take())]);
        normalize(&mut definitions);
        let mut schema = definitions.remove("query").unwrap_or_default();
        let required = schema["required"].as_array().into_iter().flatten();
        let required = required.filter_map(Value::as_str).map(str::to_owned).collect();
        let properties = match schema["properties"].take() {
            Value::Object(properties) => properties,
            _ => Map::new(),
        };
        (properties, required)
    }

    /// Adds a schema that is no type's, and returns a reference to it.
    pub fn named(&mut self, name: &str, schema: Value) -> Value {
        self.named.insert(name.to_owned(), schema);
        reference(name)
    }

    /// Returns every schema by name. A type that is both written and read has the schema of what is written: types that
    /// look different then have different names.
    pub fn finish(mut self) -> Map<String, Value> {
        let mut schemas = self.read.take_definitions(true);
        let mut written = self.written.take_definitions(true);
        normalize(&mut schemas);
        normalize(&mut written);
        schemas.append(&mut written);
        schemas.append(&mut self.named);
        let schemas = schemas.into_iter().map(|(name, schema)| (new_name(&name), renamed(schema)));
        let mut schemas: Vec<_> = schemas.collect();
        schemas.sort_by(|a, b| a.0.cmp(&b.0));
        schemas.into_iter().collect()
    }
}

/// Returns a reference to the schema of this name.
pub(crate) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{PLACE}{name}")})
}

/// Returns the name of the schema that a reference leads to.
pub(crate) fn name_of(reference: &str) -> Option<&str> {
    reference.strip_prefix(PLACE)
}

fn new_name(name: &str) -> String {
    RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new).to_owned()
}

/// Returns a schema whose references have the names of [`RENAMED`].
fn renamed(mut schema: Value) -> Value {
    for_each_object(&mut schema, &mut |object| {
        if let Some(Value::String(reference)) = object.get_mut("$ref")
            && let Some(name) = name_of(reference)
        {
            *reference = format!("{PLACE}{}", new_name(name));
        }
    });
    schema
}

/// Calls a function with each object of a JSON value, outer ones first.
pub(crate) fn for_each_object(value: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            act(object);
            object.values_mut().for_each(|value| for_each_object(value, act));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| for_each_object(value, act)),
        _ => {}
    }
}
