//! Validates every alternative's graph of a dynamic workflow against the node schemas of a ComfyUI.

use comfy_runner_manifest::{DiagnosticKind, Diagnostics, FileDiagnostics, MANIFEST_FILE, Severity};
use comfy_runner_protocol::{Graph, InputSpec, Link, Node, ObjectInfo};
use time::OffsetDateTime;

use super::Validator;
use super::library::{
    Mismatch, MissingModels, Taken, is_of_the_editor, is_upload, missing_field, unknown_input, unknown_node,
};
use super::walk::{Walked, walk};
use crate::dynamic::{Alternative, Block, BlockSource, DynamicWorkflow, Limits, Origin, alternatives};
use crate::message::{called, pointer};
use crate::output_folder::OutputFolder;

/// Returns everything in a graph of the blocks that this ComfyUI refuses or lacks.
pub(crate) fn validate(workflow: &DynamicWorkflow, info: &ObjectInfo) -> Diagnostics {
    let validator = Validator::new(info);
    let mut check = Validation {
        workflow,
        info,
        validator: &validator,
        problems: Diagnostics::new(),
        reported: Vec::new(),
        missing_models: MissingModels::default(),
        unknown_nodes: false,
    };
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0);
    for alternative in alternatives(workflow) {
        let built = workflow.build(&alternative.params, &folder, &Limits::default());
        if built.problems.is_empty() {
            check.graph(&built.graph, &built.origins, &alternative);
        }
    }
    check.models();
    let mut problems = super::library::required_nodes(&workflow.manifest, info, check.unknown_nodes);
    problems.extend(check.problems);
    problems
}

struct Validation<'v> {
    workflow: &'v DynamicWorkflow,
    info: &'v ObjectInfo,
    validator: &'v Validator<'v>,
    problems: Diagnostics,
    /// What was reported already, by file, place and kind: alternatives and instances have the same mistakes.
    reported: Vec<(String, String, DiagnosticKind)>,
    missing_models: MissingModels,
    unknown_nodes: bool,
}

impl Validation<'_> {
    fn graph(&mut self, graph: &Graph, origins: &[Origin], alternative: &Alternative) {
        let saves = |node: &Node| self.info.get(&node.class_type).is_none_or(|schema| schema.output_node);
        if !graph.nodes.values().any(saves) {
            let circumstances =
                Some(&alternative.circumstances).filter(|circumstances| !circumstances.is_empty());
            let circumstances =
                circumstances.map_or_else(String::new, |circumstances| format!(" ({circumstances})"));
            let message = format!(
                "no node of the graph saves or shows anything; ComfyUI refuses such a prompt{circumstances}"
            );
            self.error(MANIFEST_FILE, "/pipeline", DiagnosticKind::Graph, Severity::Error, None, message);
        }
        for ((id, node), origin) in graph.nodes.iter().zip(origins) {
            self.node(graph, id, node, origin, alternative);
        }
    }

    fn node(&mut self, graph: &Graph, id: &str, node: &Node, origin: &Origin, alternative: &Alternative) {
        let local = origin.local.as_deref().unwrap_or_default();
        let at = |rest: &[&str]| pointer(&[&["nodes", local], rest].concat());
        let name = called(graph, id);
        let validator = self.validator;
        walk(validator, node, &mut |finding| match finding {
            Walked::UnknownNode => {
                self.unknown_nodes = true;
                let message = unknown_node(&name, &node.class_type, self.info);
                let (place, kind) = (at(&["class_type"]), DiagnosticKind::UnknownNodeType);
                let missing = Some(node.class_type.clone());
                self.error(&origin.file, &place, kind, Severity::Error, missing, message);
            }
            Walked::Missing { name: field, spec } => {
                let message = missing_field(&name, field, spec);
                let (place, kind) = (at(&["inputs", field]), DiagnosticKind::MissingField);
                self.error(&origin.file, &place, kind, Severity::Error, None, message);
            }
            Walked::Input { name: field, value, spec } => {
                let taken = Taken::new(validator, graph, id, field, spec);
                let wrong = match Link::from_value(value) {
                    Some(link) => taken.check_link(link),
                    None if self.is_made_up(origin, field, spec, alternative) => None,
                    None => taken.check_value(value),
                };
                let wrong = wrong.filter(|wrong| wrong.is_new(&mut self.missing_models));
                if let Some(Mismatch { severity, kind, reason, missing }) = wrong {
                    let severity = if is_upload(spec) { Severity::Warning } else { severity };
                    let message = format!("node {name} (`{field}`) {reason}");
                    self.error(&origin.file, &at(&["inputs", field]), kind, severity, missing, message);
                }
            }
            Walked::Unknown { name: field, .. } if is_of_the_editor(node, field) => {}
            Walked::Unknown { name: field, schema } => {
                let message = unknown_input(&name, node, field, schema);
                let (place, kind) = (at(&["inputs", field]), DiagnosticKind::UnknownField);
                self.error(&origin.file, &place, kind, Severity::Warning, None, message);
            }
        });
    }

    /// Returns whether a value comes from a synthesized request and not from the workflow.
    fn is_made_up(&self, origin: &Origin, field: &str, spec: &InputSpec, alternative: &Alternative) -> bool {
        let Some(local) = &origin.local else { return true };
        let input = self.workflow.blocks.get(&origin.file).and_then(|block: &Block| {
            block.nodes.get(local)?.inputs.iter().find(|input| input.written == field)
        });
        let Some(BlockSource::Content(content)) = input.map(|input| &input.source) else { return true };
        if content.is_literal() {
            return false;
        }
        let manifest = &self.workflow.manifest;
        let made_up = |name: &str| {
            let input = manifest.input(name);
            // A scene's field, or what is computed from something.
            let indirect = input.is_none()
                && !manifest.defaults.contains_key(name)
                && !alternative.synthesized.is_empty();
            let file =
                name == "input_image" || name == "_uploaded_image" || input.is_some_and(|i| i.kind.is_file());
            alternative.synthesized.contains(name) || indirect || file
        };
        is_upload(spec) || content.expressions().iter().any(|expression| expression.names().any(made_up))
    }

    fn models(&mut self) {
        let of_stages = self.workflow.manifest.pipeline.iter().enumerate();
        let of_stages = of_stages.flat_map(|(index, stage)| {
            stage.models.all().map(move |model| (format!("/pipeline/{index}/models"), model))
        });
        let of_all = self.workflow.manifest.required_models.iter().enumerate();
        let of_all = of_all.map(|(index, model)| (format!("/required_models/{index}"), model.as_str()));
        for (place, model) in of_all.chain(of_stages).collect::<Vec<_>>() {
            if !super::library::is_installed(self.info, model) && self.missing_models.is_new(model) {
                let message = format!("the model \"{model}\" is not installed in this ComfyUI");
                self.error(
                    MANIFEST_FILE,
                    &format!("{place}/{model}"),
                    DiagnosticKind::MissingModel,
                    Severity::Error,
                    Some(model.to_owned()),
                    message,
                );
            }
        }
    }

    /// Records an error, once for each location.
    fn error(
        &mut self,
        file: &str,
        place: &str,
        kind: DiagnosticKind,
        severity: Severity,
        missing: Option<String>,
        message: String,
    ) {
        let key = (file.to_owned(), place.to_owned(), kind);
        if self.reported.contains(&key) {
            return;
        }
        self.reported.push(key);
        let mut report = match self.workflow.blocks.get(file) {
            Some(block) => FileDiagnostics::new(file, &block.lines),
            None => self.workflow.manifest.diagnostics(),
        };
        match (severity, missing) {
            (Severity::Error, Some(name)) => report.missing(kind, place, name, message),
            (Severity::Error, None) => report.error(kind, place, message),
            _ => report.warning(kind, place, message),
        }
        self.problems.extend(report.finish());
    }
}
