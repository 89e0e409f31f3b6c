//! Validates a workflow against the node schemas of a ComfyUI.

use std::collections::HashSet;

use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{DiagnosticKind, Diagnostics, FileDiagnostics, Input, Manifest, Severity};
use comfy_runner_protocol::{Graph, InputKind, InputSpec, Link, Node, NodeSchema, ObjectInfo, is_model_file};
use serde_json::Value;

use super::Validator;
use super::custom::CustomCheck;
use super::types::{Type, fits};
use super::value::{self, unwrapped};
use super::walk::{Walked, walk};
use crate::message::{called, pointer};
use crate::static_workflow::{FieldSource, StaticWorkflow, canonical};
use crate::workflow::{Plan, Workflow};

/// Types that only links carry: a plain value can never be one.
const LINKED_TYPES: [&str; 10] =
    ["MODEL", "CLIP", "VAE", "IMAGE", "LATENT", "CONDITIONING", "MASK", "AUDIO", "VIDEO", "CONTROL_NET"];

/// How many choices a message lists.
const SHOWN_CHOICES: usize = 10;

/// Inputs that the editor sends beside those of a node's schema, by node type. `*` stands for all.
const EDITOR_INPUTS: [(&str, &[&str]); 4] = [
    ("CustomCombo", &["*"]),
    ("Load3D", &["clear", "upload 3d model", "upload extra resources"]),
    ("Preview3D", &["image"]),
    ("SaveGLB", &["image"]),
];

/// Returns everything in the workflow that this ComfyUI refuses or lacks.
pub fn validate(workflow: &Workflow, info: &ObjectInfo) -> Diagnostics {
    match &workflow.plan {
        Plan::Static(workflow) => validate_static(workflow, info),
        Plan::Dynamic(workflow) => super::blocks::validate(workflow, info),
    }
}

fn validate_static(workflow: &StaticWorkflow, info: &ObjectInfo) -> Diagnostics {
    let mut graph = FileDiagnostics::new(&workflow.manifest.workflow_file, &workflow.lines);
    let mut manifest = workflow.manifest.diagnostics();
    let validator = Validator::new(info);
    let mut check = Validation {
        workflow,
        info,
        validator: &validator,
        graph: &mut graph,
        manifest: &mut manifest,
        missing_models: MissingModels::default(),
        unknown_nodes: false,
    };
    check.nodes();
    check.output_nodes();
    let unknown_nodes = check.unknown_nodes;
    check.required_models();
    let mut problems = required_nodes(&workflow.manifest, info, unknown_nodes);
    problems.extend(manifest.finish());
    problems.sort_by_key(|problem| problem.line);
    problems.extend(graph.finish());
    problems
}

struct Validation<'v, 'l> {
    workflow: &'v StaticWorkflow,
    info: &'v ObjectInfo,
    validator: &'v Validator<'v>,
    graph: &'v mut FileDiagnostics<'l>,
    manifest: &'v mut FileDiagnostics<'l>,
    missing_models: MissingModels,
    unknown_nodes: bool,
}

/// The missing models that were reported: an input's options, its default, the graph and `required_models` may all name the
/// same one.
#[derive(Default)]
pub(crate) struct MissingModels(HashSet<String>);

impl MissingModels {
    /// Returns whether this model was not reported before.
    pub fn is_new(&mut self, model: &str) -> bool {
        self.0.insert(base_name(model).to_owned())
    }
}

/// An error in one value.
pub(crate) struct Mismatch {
    pub severity: Severity,
    pub kind: DiagnosticKind,
    pub reason: String,
    /// The name of a model that is not installed.
    pub missing: Option<String>,
}

impl<'v> Validation<'v, '_> {
    fn nodes(&mut self) {
        for (index, (id, node)) in self.workflow.graph.nodes.iter().enumerate() {
            walk(self.validator, node, &mut |finding| match finding {
                Walked::UnknownNode => {
                    self.unknown_nodes = true;
                    let message = unknown_node(&self.called(id), &node.class_type, self.info);
                    let at = pointer(&[id, "class_type"]);
                    self.graph.missing(DiagnosticKind::UnknownNodeType, &at, &node.class_type, message);
                }
                Walked::Missing { name, spec } => {
                    let message = missing_field(&self.called(id), name, spec);
                    self.graph.error(DiagnosticKind::MissingField, &pointer(&[id, "inputs"]), message);
                }
                Walked::Input { name, value, spec } => self.field(index, id, name, value, spec),
                Walked::Unknown { name, schema } => self.unknown_field(index, id, node, name, schema),
            });
        }
    }

    /// ComfyUI ignores inputs that a node does not have, and some nodes accept any: an error only if an input of
    /// the manifest depends on it.
    fn unknown_field(&mut self, index: usize, id: &str, node: &Node, field: &str, schema: &NodeSchema) {
        if is_of_the_editor(node, field) {
            return;
        }
        let message = unknown_input(&self.called(id), node, field, schema);
        let at = pointer(&[id, "inputs", field]);
        match self.workflow.source(index, field) {
            FieldSource::Graph => self.graph.warning(DiagnosticKind::UnknownField, &at, message),
            _ => self.graph.error(DiagnosticKind::UnknownField, &at, message),
        }
    }

    fn field(&mut self, index: usize, id: &str, field: &str, value: &Value, spec: &InputSpec) {
        let subject = format!("node {} (`{field}`)", self.called(id));
        let workflow = self.workflow;
        let at = pointer(&[id, "inputs", field]);
        let taken = Taken::new(self.validator, &workflow.graph, id, field, spec);
        match workflow.source(index, field) {
            FieldSource::Request => {}
            FieldSource::Graph => {
                let wrong = match Link::from_value(value) {
                    Some(link) => taken.check_link(link),
                    None => taken.check_value(value),
                };
                if let Some(wrong) = wrong {
                    let wrong = if is_upload(spec) { wrong.into_warning() } else { wrong };
                    self.in_graph(wrong, &at, &subject);
                }
            }
            FieldSource::Default(value) => {
                if let Some(wrong) = taken.check_value(value) {
                    self.in_manifest(wrong, "/defaults", &subject);
                }
            }
            FieldSource::Input(input, part) => {
                if is_upload(spec) || input.kind.is_file() {
                    if !input.required && input.default.is_none() && lacks_file(spec, value) {
                        let message = format!(
                            "without a file for the input \"{}\", node {} takes {value}, which this ComfyUI does not have; \
                             send a file, or make the input required",
                            input.id,
                            self.called(id)
                        );
                        self.graph.warning(DiagnosticKind::BadValue, &at, message);
                    }
                    return;
                }
                self.input(input, part, &taken, &subject);
                // The graph's own value stays where neither caller nor manifest gives one.
                let stays = input.default.is_none() && !input.required && Link::from_value(value).is_none();
                let own = !value.as_str().is_some_and(|text| text.contains("{{"));
                if let Some(wrong) = taken.check_value(value).filter(|_| stays && own) {
                    self.in_graph(wrong, &at, &subject);
                }
            }
        }
    }

    fn in_graph(&mut self, wrong: Mismatch, at: &str, subject: &str) {
        if wrong.is_new(&mut self.missing_models) {
            wrong.report(self.graph, at, subject);
        }
    }

    fn in_manifest(&mut self, wrong: Mismatch, at: &str, subject: &str) {
        if wrong.is_new(&mut self.missing_models) {
            wrong.report(self.manifest, at, subject);
        }
    }

    /// Compares the range of an input with that of the node.
    fn input(&mut self, input: &Input, part: Option<&str>, taken: &Taken<'_>, node: &str) {
        let spec = taken.spec;
        let subject = format!("input \"{}\" for {node}", input.id);
        let of_part = |value: &'_ Value| match part {
            Some("file") if value.is_string() => Some(value.clone()),
            Some(part) => value.get(canonical(&input.kind, part)).cloned(),
            None => Some(value.clone()),
        };
        let default = input.default.as_ref().and_then(of_part).filter(|value| !value.is_null());
        // -1 is not what the node gets: a random seed is.
        let random = |value: &Value| input.kind == comfy_runner_manifest::InputKind::Seed && *value == -1;
        if let Some(wrong) =
            default.filter(|value| !random(value)).and_then(|value| taken.check_value(&value))
        {
            let subject = format!("the default of {subject}");
            self.in_manifest(wrong, &format!("{}/default", input.pointer()), &subject);
        }
        for (index, choice) in input.options.iter().enumerate() {
            if let Some(wrong) = of_part(&choice.value).and_then(|value| taken.check_value(&value)) {
                self.in_manifest(wrong, &format!("{}/options/{index}", input.pointer()), &subject);
            }
        }
        if !matches!(spec.kind, InputKind::Int | InputKind::Float) {
            return;
        }
        let bounds =
            [("min", &input.min, spec.number("min"), true), ("max", &input.max, spec.number("max"), false)];
        for (key, ours, theirs, below) in bounds {
            let (Some(ours), Some(theirs)) = (ours.as_ref().and_then(serde_json::Number::as_f64), theirs)
            else {
                continue;
            };
            if if below { ours < theirs } else { ours > theirs } {
                let bound = if below { "at least" } else { "at most" };
                let message = format!("{subject}: `{key}` is {ours}, but the node takes {bound} {theirs}");
                self.manifest.warning(DiagnosticKind::Range, &format!("{}/{key}", input.pointer()), message);
            }
        }
    }

    fn output_nodes(&mut self) {
        let saves = |node: &Node| self.info.get(&node.class_type).is_none_or(|schema| schema.output_node);
        if !self.workflow.graph.nodes.values().any(saves) {
            let message = "no node of the graph saves or shows anything; ComfyUI refuses such a prompt";
            self.graph.error(DiagnosticKind::Graph, "", message);
        }
    }

    fn required_models(&mut self) {
        for (index, model) in self.workflow.manifest.required_models.iter().enumerate() {
            if !is_installed(self.info, model) && self.missing_models.is_new(model) {
                let message = format!("the model \"{model}\" is not installed in this ComfyUI");
                let at = format!("/required_models/{index}");
                self.manifest.missing(DiagnosticKind::MissingModel, &at, model, message);
            }
        }
    }

    fn called(&self, id: &str) -> String {
        called(&self.workflow.graph, id)
    }
}

impl Mismatch {
    fn new(severity: Severity, kind: DiagnosticKind, reason: String) -> Self {
        Self { severity, kind, reason, missing: None }
    }

    fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Returns whether it is to be reported: a missing model is, once.
    pub fn is_new(&self, missing_models: &mut MissingModels) -> bool {
        self.missing.as_ref().is_none_or(|model| missing_models.is_new(model))
    }

    fn report(self, report: &mut FileDiagnostics<'_>, at: &str, subject: &str) {
        let message = format!("{subject} {}", self.reason);
        match (self.severity, self.missing) {
            (Severity::Error, Some(name)) => report.missing(self.kind, at, name, message),
            (Severity::Error, None) => report.error(self.kind, at, message),
            _ => report.warning(self.kind, at, message),
        }
    }
}

/// Returns the error for a missing node type.
pub(crate) fn unknown_node(node: &str, class_type: &str, info: &ObjectInfo) -> String {
    let hint = did_you_mean(class_type, info.keys().map(String::as_str));
    format!(
        "node {node}: this ComfyUI has no node type \"{class_type}\"; install the custom nodes that provide it.{hint}"
    )
}

/// Returns the error for an input that the node type does not have.
pub(crate) fn unknown_input(called: &str, node: &Node, field: &str, schema: &NodeSchema) -> String {
    let hint = did_you_mean(field, schema.inputs().map(|(name, _, _)| name));
    format!("node {called}: {} has no input `{field}`.{hint}", node.class_type)
}

/// Returns the error for a missing required input.
pub(crate) fn missing_field(node: &str, field: &str, spec: &InputSpec) -> String {
    format!("node {node}: the required input `{field}` ({}) is missing", spec.type_name())
}

/// Reports packages of custom nodes that are not installed. They are recognized by the folder in a node's module. A
/// folder may have another name than its package, so a missing one is only an error if nodes are missing too.
pub(crate) fn required_nodes(manifest: &Manifest, info: &ObjectInfo, unknown_nodes: bool) -> Diagnostics {
    let mut report = manifest.diagnostics();
    for (index, package) in manifest.required_nodes.iter().enumerate() {
        let wanted = folded(package);
        let module = |schema: &NodeSchema| {
            let module = schema.other.get("python_module").and_then(Value::as_str).unwrap_or_default();
            module.rsplit('.').next().map(folded).unwrap_or_default()
        };
        if info.iter().any(|(name, schema)| folded(name) == wanted || module(schema) == wanted) {
            continue;
        }
        let at = format!("/required_nodes/{index}");
        let message = format!("this ComfyUI does not seem to have the custom nodes \"{package}\"");
        if unknown_nodes {
            report.missing(DiagnosticKind::MissingNodes, &at, package, message);
        } else {
            let message = format!("{message}, but it has every node type of the graph");
            report.warning(DiagnosticKind::MissingNodes, &at, message);
        }
    }
    report.finish()
}

/// An input of a node, as ComfyUI takes it.
pub(crate) struct Taken<'v> {
    validator: &'v Validator<'v>,
    graph: &'v Graph,
    class: &'v str,
    name: &'v str,
    pub spec: &'v InputSpec,
    /// Whether the node's own validation takes the input, which replaces range and choices.
    checked_by_node: bool,
    /// Whether the node's own validation looks at the types of links.
    types_checked_by_node: bool,
}

impl<'v> Taken<'v> {
    pub fn new(
        validator: &'v Validator<'v>,
        graph: &'v Graph,
        node: &str,
        name: &'v str,
        spec: &'v InputSpec,
    ) -> Self {
        let class = graph.node(node).map_or("", |node| node.class_type.as_str());
        let check = validator.custom_check(class);
        Self {
            validator,
            graph,
            class,
            name,
            spec,
            checked_by_node: check.is_some_and(|check| check.takes(name)),
            types_checked_by_node: check.is_some_and(CustomCheck::takes_types),
        }
    }

    /// Returns ComfyUI's error for a link to this input.
    pub fn check_link(&self, link: Link<'_>) -> Option<Mismatch> {
        let source = self.graph.node(link.node)?;
        let schema = self.validator.info.get(&source.class_type)?;
        let from = called(self.graph, link.node);
        let bad = |reason| Some(Mismatch::new(Severity::Error, DiagnosticKind::BadLink, reason));
        let Some(given) = schema.output.get(link.output) else {
            let count = schema.output.len();
            return bad(format!("links to output {} of node {from}, which has {count}", link.output));
        };
        let given_type = match schema.output_choices.get(&link.output) {
            Some(choices) => Type::Choices(choices),
            None => Type::Named(given),
        };
        let wanted = Type::read(self.spec.raw_type());
        if self.types_checked_by_node || fits(given_type, wanted, &self.validator.release.rules()) {
            return None;
        }
        let wanted = self.spec.type_name();
        bad(format!("takes {wanted}, but output {} of node {from} gives {given}", link.output))
    }

    /// Returns ComfyUI's error for a plain value of this input.
    pub fn check_value(&self, value: &Value) -> Option<Mismatch> {
        let value = unwrapped(value);
        let rules = self.validator.release.rules();
        let no_files = super::KnownFiles::new();
        let check = value::ValueCheck {
            class: self.class,
            name: self.name,
            spec: self.spec,
            checked_by_node: self.checked_by_node,
            rules: &rules,
            files: &no_files,
        };
        let reason = match check.check(value) {
            Ok(()) => return self.unlinked(value),
            Err(value::ValueError::Raised(exception)) => {
                format!("takes {}, not {value} ({})", self.spec.type_name(), exception.text)
            }
            Err(value::ValueError::Error(error)) => match error.kind.as_str() {
                "value_not_in_list" => return Some(self.not_a_choice(value)),
                "value_smaller_than_min" => {
                    format!("takes at least {}, not {value}", self.limit("min"))
                }
                "value_bigger_than_max" => format!("takes at most {}, not {value}", self.limit("max")),
                _ => format!("takes {}, not {value}", self.spec.type_name()),
            },
        };
        Some(Mismatch::new(Severity::Error, DiagnosticKind::BadValue, reason))
    }

    fn limit(&self, key: &str) -> &Value {
        self.spec.options.get(key).unwrap_or(&Value::Null)
    }

    /// Returns the warning for a value that ComfyUI accepts but the node cannot use.
    fn unlinked(&self, value: &Value) -> Option<Mismatch> {
        let reason = match &self.spec.kind {
            InputKind::Other(kind) if LINKED_TYPES.contains(&kind.as_str()) => {
                format!("takes a link to a node that gives {kind}, not the value {value}")
            }
            InputKind::String if value.is_array() || value.is_object() => {
                format!("takes a string, not {value}")
            }
            _ => return None,
        };
        Some(Mismatch::new(Severity::Warning, DiagnosticKind::BadValue, reason))
    }

    fn not_a_choice(&self, value: &Value) -> Mismatch {
        let choices = match &self.spec.kind {
            InputKind::Combo(choices) => choices.as_slice(),
            _ => &[],
        };
        let names = || choices.iter().filter_map(Value::as_str);
        let shown: Vec<String> = choices.iter().take(SHOWN_CHOICES).map(Value::to_string).collect();
        let more = choices.len().saturating_sub(SHOWN_CHOICES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let offered = if shown.is_empty() { "no value".to_owned() } else { shown.join(", ") + &more };
        let hint = value.as_str().map_or_else(String::new, |value| did_you_mean(value, names()));
        let missing = value.as_str().filter(|name| is_model_file(name)).map(str::to_owned);
        let (kind, reason) = if missing.is_some() {
            let reason = if choices.is_empty() {
                format!("needs the model {value}; no model of this kind is installed.")
            } else {
                format!("needs the model {value}, which is not installed; installed are {offered}.{hint}")
            };
            (DiagnosticKind::MissingModel, reason)
        } else {
            (DiagnosticKind::BadValue, format!("takes one of {offered}, not {value}.{hint}"))
        };
        Mismatch { severity: Severity::Error, kind, reason, missing }
    }
}

/// Returns whether an input of any node offers a model of this file name, in whichever folder.
pub(crate) fn is_installed(info: &ObjectInfo, model: &str) -> bool {
    let specs = info.values().flat_map(NodeSchema::inputs).map(|(_, spec, _)| spec);
    let mut choices = specs.filter_map(|spec| match &spec.kind {
        InputKind::Combo(choices) => Some(choices),
        _ => None,
    });
    let is_it = |choice: &Value| choice.as_str().is_some_and(|name| base_name(name) == base_name(model));
    choices.any(|choices| choices.iter().any(is_it))
}

/// Returns whether the editor sends this input although the node's schema does not have it.
pub(crate) fn is_of_the_editor(node: &Node, field: &str) -> bool {
    let inputs = EDITOR_INPUTS.iter().find(|(class_type, _)| *class_type == node.class_type);
    inputs.is_some_and(|(_, names)| names.contains(&"*") || names.contains(&field))
}

/// Whether the choices are uploaded files, which come and go.
pub(crate) fn is_upload(spec: &InputSpec) -> bool {
    spec.options.iter().any(|(key, value)| key.ends_with("_upload") && *value == true)
}

/// Returns whether a ComfyUI that offers these choices does not have the file. It lists only those that are in no subfolder.
fn lacks_file(spec: &InputSpec, value: &Value) -> bool {
    let InputKind::Combo(choices) = &spec.kind else { return false };
    value.as_str().is_some_and(|name| !name.contains(['/', '\\', '[', '{'])) && !choices.contains(value)
}

fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}
