//! Schemas in the form that programs which read OpenAPI documents understand best.
//!
//! The schemas that schemars makes are right, but generators of clients read only a part of JSON Schema. The changes here
//! keep what the schemas accept:
//!
//! - a choice of constants is an `enum`;
//! - a choice of objects that a field tells apart is a list of references with a `discriminator`;
//! - a field that may be absent is not null as well, since the server leaves it out, except in what others write;
//! - descriptions have no links to Rust items.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::schemas::{for_each_object, name_of, reference};

/// The types whose content people and clients write: null is a key without a value there.
const WRITTEN_BY_OTHERS: [&str; 3] = ["Manifest", "TokenRequest", "V2FromHash"];

/// Changes the schemas of types, by name.
pub(crate) fn normalize(schemas: &mut Map<String, Value>) {
    let mut by_others = BTreeSet::new();
    for name in WRITTEN_BY_OTHERS {
        by_others.extend(reachable(schemas, name));
    }
    for (name, schema) in schemas.iter_mut() {
        for_each_schema(schema, &mut |object| {
            plain_description(object);
            plain_values(object);
            enumerate(object);
            if !by_others.contains(name) {
                absent_is_not_null(object);
            }
        });
    }
    let unions: Vec<String> =
        schemas.iter().filter(|(_, schema)| tag(schema).is_some()).map(|(name, _)| name.clone()).collect();
    for name in unions {
        name_variants(schemas, &name);
    }
}

/// Calls a function with a schema and each schema in it, outer ones first.
fn for_each_schema(schema: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    act(object);
    for (key, value) in object {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| for_each_schema(schema, act));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| for_each_schema(schema, act));
            }
            ("items" | "additionalProperties" | "not", schema) => for_each_schema(schema, act),
            _ => {}
        }
    }
}

/// Returns the names of the schemas that one refers to, directly or not, and its own.
fn reachable(schemas: &Map<String, Value>, start: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name)
            && found.insert(name)
        {
            open.extend(references(schema));
        }
    }
    found
}

/// Returns the names of the schemas to which a value refers.
pub(crate) fn references(value: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut value = value.clone();
    for_each_object(&mut value, &mut |object| {
        let reference = object.get("$ref").and_then(Value::as_str);
        names.extend(reference.and_then(name_of).map(str::to_owned));
    });
    names
}

/// Writes ``[`Status::Ended`](crate::Status)`` as `` `Status::Ended` ``, and joins the lines of each paragraph.
fn plain_description(object: &mut Map<String, Value>) {
    let Some(Value::String(text)) = object.get_mut("description") else { return };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        plain += before;
        plain += &format!("`{name}`");
        rest = match after.strip_prefix('(').and_then(|target| target.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain += rest;
    let paragraphs: Vec<String> = plain.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    *text = paragraphs.join("\n\n");
}

/// Writes a schema that accepts anything as an object, and drops what only Rust distinguishes.
fn plain_values(object: &mut Map<String, Value>) {
    let is_unsigned = |format: &Value| format.as_str().is_some_and(|format| format.starts_with("uint"));
    if object.get("format").is_some_and(is_unsigned) {
        object.shift_remove("format");
    }
    // A response has no defaults; those of requests are in their descriptions.
    if object.contains_key("type") || object.contains_key("$ref") {
        object.shift_remove("default");
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for property in properties.values_mut().filter(|property| **property == Value::Bool(true)) {
            *property = json!({});
        }
    }
    if object.get("items") == Some(&Value::Bool(true)) {
        object.insert("items".to_owned(), json!({}));
    }
}

/// Replaces a choice of constant strings by an `enum`, and one that also accepts any other string by a string.
fn enumerate(object: &mut Map<String, Value>) {
    let Some(key) = ["oneOf", "anyOf"].into_iter().find(|key| object.contains_key(*key)) else { return };
    let choices = object[key].as_array().cloned().unwrap_or_default();
    if choices.iter().any(|choice| choice["type"] != "string") {
        return;
    }
    let constants: Vec<&Value> = choices.iter().filter_map(|choice| choice.get("const")).collect();
    let mut description = object.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    description += "\n\n";
    for choice in &choices {
        let text = choice["description"].as_str().unwrap_or_default().replace('\n', " ");
        match choice["const"].as_str() {
            Some(word) => description += &format!("- `{word}`: {text}\n"),
            None => description += &format!("- any other string: {text}\n"),
        }
    }
    let mut new = Map::from_iter([("type".to_owned(), json!("string"))]);
    if constants.len() == choices.len() {
        new.insert("enum".to_owned(), json!(constants));
    }
    new.insert("description".to_owned(), json!(description.trim()));
    object.shift_remove(key);
    object.extend(new);
}

fn absent_is_not_null(object: &mut Map<String, Value>) {
    let required: Vec<String> = match object.get("required").and_then(Value::as_array) {
        Some(required) => required.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !required.contains(name)) {
        if let Some(types) = property.get("type").and_then(Value::as_array) {
            let types: Vec<&Value> = types.iter().filter(|word| *word != "null").collect();
            if let [word] = types[..] {
                property["type"] = word.clone();
            }
        }
        let Some(choices) = property.get("anyOf").and_then(Value::as_array) else { continue };
        let choices: Vec<&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
        if let [choice] = choices[..]
            && let (Value::Object(choice), Value::Object(property)) = (choice.clone(), property)
        {
            property.shift_remove("anyOf");
            property.extend(choice);
        }
    }
}

/// Returns the field that tells the variants of a choice apart, and its value in each.
fn tag(schema: &Value) -> Option<(String, Vec<String>)> {
    let variants = schema.get("oneOf")?.as_array()?;
    let tag_of = |variant: &Value| {
        let (name, value) =
            variant.get("properties")?.as_object()?.iter().find_map(|(name, property)| {
                Some((name.clone(), property.get("const")?.as_str()?.to_owned()))
            })?;
        Some((name, value))
    };
    let tags: Vec<(String, String)> = variants.iter().map(tag_of).collect::<Option<_>>()?;
    let (name, _) = tags.first()?.clone();
    Some((name, tags.into_iter().map(|(_, value)| value).collect()))
}

/// Gives each variant of a choice a name of its own. The fields that all variants have are in each of them.
fn name_variants(schemas: &mut Map<String, Value>, name: &str) {
    let Some((tag, values)) = tag(&schemas[name]) else { return };
    let Some(Value::Object(mut union)) = schemas.get(name).cloned() else { return };
    let common = Fields::take(&mut union);
    let variants = union.shift_remove("oneOf").unwrap_or_default();
    let (mut choices, mut mapping) = (Vec::new(), Map::new());
    for (variant, value) in variants.as_array().into_iter().flatten().zip(values) {
        let variant_name = format!("{name}{}", pascal(&value));
        let variant = whole_variant(schemas, variant, &common);
        let reference = reference(&variant_name);
        mapping.insert(value, reference["$ref"].clone());
        schemas.insert(variant_name, variant);
        choices.push(reference);
    }
    union.shift_remove("type");
    union.insert("oneOf".to_owned(), choices.into());
    union.insert("discriminator".to_owned(), json!({"propertyName": tag, "mapping": mapping}));
    schemas.insert(name.to_owned(), union.into());
}

/// The fields of an object's schema.
#[derive(Default, Clone)]
struct Fields {
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Fields {
    fn take(schema: &mut Map<String, Value>) -> Self {
        let properties = match schema.shift_remove("properties") {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        };
        let required = match schema.shift_remove("required") {
            Some(Value::Array(required)) => required,
            _ => Vec::new(),
        };
        Self { properties, required }
    }

    fn add(&mut self, other: Self) {
        self.properties.extend(other.properties);
        self.required.extend(other.required);
    }
}

/// Returns a variant as an object with all of its fields: the common ones, its own, and those of the type to which it
/// refers.
fn whole_variant(schemas: &Map<String, Value>, variant: &Value, common: &Fields) -> Value {
    let mut variant = variant.as_object().cloned().unwrap_or_default();
    let mut fields = Fields::take(&mut variant);
    fields.add(common.clone());
    let content = variant.shift_remove("$ref");
    let content = content.as_ref().and_then(Value::as_str).and_then(name_of);
    if let Some(Value::Object(content)) = content.and_then(|name| schemas.get(name)) {
        let mut content = content.clone();
        fields.add(Fields::take(&mut content));
        variant = content;
    }
    variant.insert("type".to_owned(), json!("object"));
    variant.insert("properties".to_owned(), fields.properties.into());
    variant.insert("required".to_owned(), fields.required.into());
    variant.into()
}

/// Returns words with their first letters in upper case and nothing between them, as names of types are written.
pub(crate) fn pascal(words: &str) -> String {
    let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_rust_items_are_plain_code_and_lines_are_joined() {
        let mut object = Map::from_iter([(
            "description".to_owned(),
            json!("See [`Status::Ended`](crate::Status),\nor [`Map`].\n\nAs [0, 1)."),
        )]);
        plain_description(&mut object);
        assert_eq!(object["description"], "See `Status::Ended`, or `Map`.\n\nAs [0, 1).");
    }

    #[test]
    fn a_choice_of_constants_is_an_enum_that_explains_each() {
        let mut object = json!({"description": "A kind.", "oneOf": [
            {"type": "string", "const": "a", "description": "The first."},
            {"type": "string", "const": "b", "description": "The second."}]});
        enumerate(object.as_object_mut().unwrap());
        assert_eq!(
            object,
            json!({"type": "string", "enum": ["a", "b"],
                   "description": "A kind.\n\n- `a`: The first.\n- `b`: The second."})
        );
    }

    #[test]
    fn the_variants_of_a_union_have_names_and_all_of_their_fields() {
        let union = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "oneOf": [
            {"type": "object", "properties": {"status": {"type": "string", "const": "done"}}, "required": ["status"],
             "$ref": "#/components/schemas/Done"}]});
        let done =
            json!({"type": "object", "properties": {"files": {"type": "array"}}, "required": ["files"]});
        let mut schemas = Map::from_iter([("Job".to_owned(), union), ("Done".to_owned(), done)]);
        normalize(&mut schemas);
        assert_eq!(schemas["Job"]["oneOf"], json!([{"$ref": "#/components/schemas/JobDone"}]));
        assert_eq!(schemas["Job"]["discriminator"]["propertyName"], "status");
        assert_eq!(schemas["JobDone"]["required"], json!(["status", "id", "files"]));
        assert_eq!(schemas["JobDone"]["properties"].as_object().unwrap().len(), 3);
    }

    #[test]
    fn a_field_that_is_left_out_is_not_null_as_well() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": ["string", "null"]}, "b": {"type": ["string", "null"]},
            "c": {"anyOf": [{"$ref": "#/components/schemas/C"}, {"type": "null"}]}}, "required": ["a"]});
        let mut schemas = Map::from_iter([("S".to_owned(), schema)]);
        normalize(&mut schemas);
        let properties = &schemas["S"]["properties"];
        assert_eq!(properties["a"]["type"], json!(["string", "null"]));
        assert_eq!(properties["b"]["type"], "string");
        assert_eq!(properties["c"], json!({"$ref": "#/components/schemas/C"}));
    }
}
