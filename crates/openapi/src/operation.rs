//! A description of one method of one path, put together from types.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use comfy_runner_api::ErrorBody;
use comfy_runner_api_v2::ErrorEnvelope;

use crate::schemas::Schemas;

/// What the names of common responses of the Comfy API v2 begin with.
pub(crate) const V2: &str = "V2";

const JSON: &str = "application/json";

/// The paths that are described.
pub(crate) struct Paths {
    pub schemas: Schemas,
    json: Map<String, Value>,
    requires_key: bool,
}

impl Paths {
    /// `requires_key` says whether the server has API keys.
    pub fn new(requires_key: bool) -> Self {
        Self { schemas: Schemas::new(), json: Map::new(), requires_key }
    }

    /// Describes GET of a path. A server answers HEAD there too, with the same headers.
    pub fn get(
        &mut self,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        self.add("get", path, id, summary, describe);
    }

    /// Describes HEAD of a path that has no GET.
    pub fn head(
        &mut self,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        self.add("head", path, id, summary, describe);
    }

    /// Describes POST of a path.
    pub fn post(
        &mut self,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        self.add("post", path, id, summary, describe);
    }

    /// Describes PUT of a path.
    pub fn put(
        &mut self,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        self.add("put", path, id, summary, describe);
    }

    /// Describes DELETE of a path.
    pub fn delete(
        &mut self,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        self.add("delete", path, id, summary, describe);
    }

    /// Describes a method of a path under a name of its own, which becomes the name of a function in generated clients.
    fn add(
        &mut self,
        method: &str,
        path: &str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'_>) -> Operation<'_>,
    ) {
        let operation = Operation::new(&mut self.schemas, path, id, summary);
        let operation = describe(operation).finish(self.requires_key);
        let methods = self.json.entry(path).or_insert_with(|| json!({}));
        methods[method] = operation;
    }

    /// Returns the paths, and the schemas to which they refer.
    pub fn finish(self) -> (Map<String, Value>, Schemas) {
        (self.json, self.schemas)
    }
}

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Everybody.
    Open,
    /// Callers with a key, if the server has keys.
    Key,
    /// The same, and those with a token.
    KeyOrToken,
}

/// A description that is being put together. Methods that describe a response also say what the examples and headers after
/// them belong to.
pub(crate) struct Operation<'s> {
    schemas: &'s mut Schemas,
    json: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    access: Access,
    /// The status of the response that was described last.
    last: String,
    /// Whether it belongs to the Comfy API v2, whose errors have another body.
    is_v2: bool,
}

impl<'s> Operation<'s> {
    fn new(schemas: &'s mut Schemas, path: &str, id: &str, summary: &str) -> Self {
        let json =
            Map::from_iter([("operationId".to_owned(), id.into()), ("summary".to_owned(), summary.into())]);
        let access = if path.starts_with("/api/") { Access::Key } else { Access::Open };
        let parameters = path_parameters(path).map(path_parameter).collect();
        Self {
            schemas,
            json,
            parameters,
            responses: Map::new(),
            access,
            last: String::new(),
            is_v2: path.starts_with("/api/v2/"),
        }
    }

    /// Says that the operation needs no key although its path is below `/api`.
    pub fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// Returns the schemas of the document, for those that are put together by hand.
    pub fn schemas(&mut self) -> &mut Schemas {
        self.schemas
    }

    /// Puts the operation into a section of the document.
    pub fn tag(mut self, tag: &str) -> Self {
        self.json.insert("tags".to_owned(), json!([tag]));
        self
    }

    /// Explains more than the summary says, in Markdown.
    pub fn explain(mut self, text: &str) -> Self {
        self.json.insert("description".to_owned(), text.into());
        self
    }

    /// Requires the API key outside of `/api`.
    pub fn with_key(mut self) -> Self {
        self.access = Access::Key;
        self
    }

    /// Permits tokens as well.
    pub fn with_token(mut self) -> Self {
        self.access = Access::KeyOrToken;
        self
    }

    /// Adds something that OpenAPI has no word for.
    pub fn extension(mut self, name: &str, value: Value) -> Self {
        self.json.insert(format!("x-{name}"), value);
        self
    }

    /// Takes each field of a type as a parameter of the query string.
    pub fn query<T: JsonSchema>(mut self) -> Self {
        let (properties, required) = self.schemas.properties::<T>();
        for (name, mut schema) in properties {
            let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
            self.parameters.push(json!({
                "name": name, "in": "query", "required": required.contains(&name),
                "description": description.unwrap_or_default(), "schema": schema,
            }));
        }
        self
    }

    /// Takes a parameter of the query string, which may be left out.
    pub fn parameter(mut self, name: &str, description: &str, schema: Value) -> Self {
        // A list is one value with commas.
        self.parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": description, "schema": schema,
            "style": "form", "explode": false,
        }));
        self
    }

    /// Takes a header, which may be left out.
    pub fn header(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "header", "required": false, "description": description, "schema": schema}),
        );
        self
    }

    /// Takes a body in one of these media types, each with its schema and examples.
    pub fn body(mut self, required: bool, description: &str, content: Value) -> Self {
        self.json.insert(
            "requestBody".to_owned(),
            json!({"required": required, "description": description, "content": content}),
        );
        self
    }

    /// Answers a type as JSON.
    pub fn json<T: JsonSchema>(self, status: u16, description: &str) -> Self {
        let schema = self.schemas.written::<T>();
        self.json_of(status, description, schema)
    }

    /// Answers JSON with this schema.
    pub fn json_of(self, status: u16, description: &str, schema: Value) -> Self {
        self.respond(status, description, Some(json!({JSON: {"schema": schema}})))
    }

    /// Answers bytes in one of these media types.
    pub fn bytes(self, status: u16, description: &str, media_types: &[&str]) -> Self {
        let content: Map<String, Value> =
            media_types.iter().map(|name| ((*name).to_owned(), json!({"schema": binary()}))).collect();
        self.respond(status, description, Some(content.into()))
    }

    /// Answers with a body in one of these media types, each with its schema.
    pub fn content(self, status: u16, description: &str, content: Value) -> Self {
        self.respond(status, description, Some(content))
    }

    /// Answers without a body.
    pub fn empty(self, status: u16, description: &str) -> Self {
        self.respond(status, description, None)
    }

    /// Answers an error. Those that every operation has are added without this.
    pub fn error(self, status: u16, description: &str) -> Self {
        match self.is_v2 {
            true => self.json::<ErrorEnvelope>(status, description),
            false => self.json::<ErrorBody>(status, description),
        }
    }

    fn respond(mut self, status: u16, description: &str, content: Option<Value>) -> Self {
        let mut response =
            json!({"description": description, "headers": {"X-Request-Id": header_of("RequestId")}});
        if let Some(content) = content {
            response["content"] = content;
        }
        self.last = status.to_string();
        self.responses.insert(self.last.clone(), response);
        self
    }

    /// Adds a header to the response before.
    pub fn response_header(mut self, name: &str, description: &str, schema: Value) -> Self {
        if let Some(response) = self.responses.get_mut(&self.last) {
            response["headers"][name] = json!({"description": description, "schema": schema});
        }
        self
    }

    /// Adds an example to the JSON of the response before.
    pub fn example(mut self, name: &str, value: Value) -> Self {
        if let Some(response) = self.responses.get_mut(&self.last) {
            response["content"][JSON]["examples"][name] = json!({"value": value});
        }
        self
    }

    fn finish(mut self, requires_key: bool) -> Value {
        let mut common = vec![(503, "TooManyConnections")];
        if self.access != Access::Open {
            common.extend([(401, "Unauthorized"), (403, "Forbidden"), (429, "TooManyWrongKeys")]);
        }
        if self.json.contains_key("requestBody") {
            common.push((408, "BodyTimeout"));
        }
        for (status, name) in common {
            let prefix = if self.is_v2 { V2 } else { "" };
            let response = json!({"$ref": format!("#/components/responses/{prefix}{name}")});
            self.responses.entry(status.to_string()).or_insert(response);
        }
        self.responses.sort_keys();
        let mut security = match self.access {
            Access::Open => Vec::new(),
            Access::Key => vec![json!({"ApiKey": []}), json!({"Bearer": []})],
            Access::KeyOrToken => vec![json!({"ApiKey": []}), json!({"Bearer": []}), json!({"Token": []})],
        };
        if !requires_key && !security.is_empty() {
            security.push(json!({}));
        }
        self.json.insert("security".to_owned(), security.into());
        if !self.parameters.is_empty() {
            self.json.insert("parameters".to_owned(), self.parameters.into());
        }
        self.json.insert("responses".to_owned(), self.responses.into());
        self.json.into()
    }
}

/// The schema of bytes. OpenAPI 3.1 needs none; generators of clients look for this format.
pub(crate) fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

fn header_of(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// Returns the names in braces of a path.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn path_parameter(name: &str) -> Value {
    let description = match name {
        "workflow_id" => "The workflow's id, as `GET /api/workflows` lists it.",
        "prompt_id" => "The job's id, as `execute` answers it.",
        "filename" => "The file's name, as the upload answered it.",
        "kind" => "The kind of models: the name of a folder such as `checkpoints` or `loras`.",
        "file" => "The file's name.",
        "hash" => "`blake3:` and 64 hexadecimal digits.",
        "name" => "The name of the ComfyUI, as `GET /api/comfyui` lists it.",
        "id" => "The id, as another response has it.",
        _ => "",
    };
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string"}})
}
