//! Validation against the node schemas of a ComfyUI.
//!
//! [`Validator`] predicts ComfyUI's answer to `POST /prompt` for a graph. [`validate`] checks a whole workflow,
//! and reports each error with its location in the workflow's files.

mod blocks;
mod custom;
mod library;
mod node;
mod prompt;
pub mod python;
mod release;
mod types;
mod value;
mod verdict;
mod walk;

use std::collections::HashMap;

use comfy_runner_protocol::{
    ExpandedInput, Graph, Node, NodeError, NodeId, NodeSchema, ObjectInfo, PromptError,
};
use serde_json::{Value, json};

pub use custom::KnownFiles;
pub(crate) use library::is_upload;
pub use library::validate;
pub use release::Release;
pub use value::converted;
pub use verdict::{FileName, Question, Unknown, Verdict};

use custom::CustomCheck;
use node::{Checked, NodeCheck};
use prompt::{Class, Nodes, Title};
use python::Exception;
use release::Rules;
use verdict::{input_error, prompt_error};

/// Paths of this many nodes fit on any thread's stack.
const SHALLOW: usize = 200;
/// Enough for the longest path, also in a build without optimization.
const STACK: usize = 32 << 20;

/// Validates graphs as a ComfyUI with these node schemas does.
///
/// The answer differs from ComfyUI's in what depends on chance or on the machine there: tracebacks are empty, and
/// errors come in the order of the schema and the graph (ComfyUI's sets have an order of their own in each process,
/// which also decides on the order of `dependent_outputs`).
pub struct Validator<'i> {
    info: &'i ObjectInfo,
    release: Release,
    checks: HashMap<&'static str, &'static CustomCheck>,
    files: KnownFiles,
    targets: Option<Vec<NodeId>>,
}

impl<'i> Validator<'i> {
    /// Creates a validator for the release that wrote these schemas, as far as they show it.
    pub fn new(info: &'i ObjectInfo) -> Self {
        Self::with_release(info, Release::detect(info))
    }

    /// Creates a validator for this release.
    pub fn with_release(info: &'i ObjectInfo, release: Release) -> Self {
        Self { info, release, checks: custom::checks(release), files: KnownFiles::new(), targets: None }
    }

    /// Adds files that are known to exist or not to exist.
    #[must_use]
    pub fn with_files(mut self, files: KnownFiles) -> Self {
        self.files.extend(files);
        self
    }

    /// Limits the outputs to these nodes, as `partial_execution_targets` of a prompt does.
    #[must_use]
    pub fn with_targets(mut self, targets: &[NodeId]) -> Self {
        self.targets = Some(targets.to_vec());
        self
    }

    /// Returns ComfyUI's answer to the graph.
    pub fn validate(&self, graph: &Graph) -> Verdict {
        self.validate_nodes(&prompt::from_graph(graph))
    }

    /// Returns what ComfyUI would answer to any JSON as `prompt`. What makes the server fail without an answer in JSON
    /// is an error of type `internal_server_error`.
    pub fn validate_json(&self, prompt: &Value) -> Verdict {
        match prompt::from_json(prompt, &self.release.rules()) {
            Ok(nodes) => self.validate_nodes(&nodes),
            Err(exception) => crashed(&exception),
        }
    }

    /// Validates on this thread's stack when it surely suffices, and else on that of a thread of its own: a path of
    /// nodes may be as long as Python's recursion goes.
    fn validate_nodes(&self, nodes: &Nodes<'_>) -> Verdict {
        if nodes.len() <= SHALLOW && self.release.rules().cycles {
            return self.validate_here(nodes);
        }
        std::thread::scope(|scope| {
            let deep = std::thread::Builder::new().stack_size(STACK);
            deep.spawn_scoped(scope, || self.validate_here(nodes)).ok()?.join().ok()
        })
        .unwrap_or_else(|| crashed(&Exception::new("RuntimeError", "can't start new thread")))
    }

    fn validate_here(&self, nodes: &Nodes<'_>) -> Verdict {
        let outputs = match self.outputs(nodes) {
            Ok(outputs) => outputs,
            Err(verdict) => return *verdict,
        };
        let mut check = NodeCheck::new(self, nodes);
        let mut verdict = Verdict::default();
        let mut messages = Vec::new();
        for output in outputs {
            let valid = check.node(output).unwrap_or_else(|exception| {
                check.validated.insert(output, Checked { valid: false, errors: vec![raised(&exception)] });
                false
            });
            if valid {
                verdict.outputs.push(output.to_owned());
                continue;
            }
            let errors = check.validated.get(output).map_or(&[][..], |checked| &checked.errors);
            messages.extend(errors.iter().map(|error| format!("{}: {}", error.message, error.details)));
            self.blame(output, &check, nodes, &mut verdict);
        }
        if verdict.outputs.is_empty() {
            verdict.error = Some(prompt_error(
                "prompt_outputs_failed_validation",
                "Prompt outputs failed validation",
                messages.join("\n"),
            ));
        }
        verdict.unknown = check.unknown;
        verdict
    }

    /// Adds the errors of every node that was found invalid so far to the answer, and puts each down to this output,
    /// whether it depends on the node or not: ComfyUI does so.
    fn blame(&self, output: &str, check: &NodeCheck<'_, '_>, nodes: &Nodes<'_>, verdict: &mut Verdict) {
        for (id, checked) in &check.validated {
            if checked.valid || checked.errors.is_empty() {
                continue;
            }
            let problem = verdict.node_errors.entry((*id).to_owned()).or_insert_with(|| NodeError {
                errors: checked.errors.clone(),
                dependent_outputs: Vec::new(),
                class_type: nodes.get(id).map_or_else(String::new, |node| node.class_name().to_owned()),
            });
            problem.dependent_outputs.push(output.to_owned());
        }
    }

    /// The output nodes, or the refusal of a prompt whose nodes are not all known.
    fn outputs<'p>(&self, nodes: &Nodes<'p>) -> Result<Vec<&'p str>, Box<Verdict>> {
        let rules = self.release.rules();
        let mut outputs = Vec::new();
        for (id, node) in nodes {
            let schema = match node.class {
                Class::Named(name) => self.info.get(name),
                Class::Missing | Class::Other(_) => None,
                Class::Unhashable(class) => return Err(Box::new(crashed(&prompt::unhashable(class)))),
                Class::Broken(entry) => return Err(Box::new(crashed(&prompt::not_iterable(entry)))),
            };
            match schema {
                None => return Err(Box::new(unknown_type(id, node.class, node.title, &rules))),
                Some(schema) if schema.output_node && self.is_target(id) => outputs.push(*id),
                Some(_) => {}
            }
        }
        if outputs.is_empty() {
            return Err(Box::new(Verdict::refused(prompt_error(
                "prompt_no_outputs",
                "Prompt has no outputs",
                "",
            ))));
        }
        Ok(outputs)
    }

    fn is_target(&self, id: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.iter().any(|target| target == id))
    }

    /// The inputs of a node for the values that it has.
    fn declared(&self, schema: &'i NodeSchema, node: &Node) -> Vec<ExpandedInput<'i>> {
        schema.expanded_inputs(self.release.rules().expansion, &|name| node.inputs.get(name))
    }

    fn custom_check(&self, class: &str) -> Option<&'static CustomCheck> {
        self.checks.get(class).copied()
    }
}

fn unknown_type(id: &str, class: Class<'_>, title: Title<'_>, rules: &Rules) -> Verdict {
    let class = match class {
        Class::Missing => None,
        Class::Named(name) => Some(Value::from(name)),
        Class::Other(value) | Class::Unhashable(value) | Class::Broken(value) => Some(value.clone()),
    };
    let named = class.as_ref().map(python::str);
    let details = format!("Node ID '#{id}'");
    if !rules.missing_node_type {
        let message = match named {
            None => "Cannot execute because a node is missing the class_type property.".to_owned(),
            Some(name) => format!("Cannot execute because node {name} does not exist."),
        };
        return Verdict::refused(prompt_error("invalid_prompt", message, details));
    }
    let title = match title {
        Title::Missing => class.clone().unwrap_or_default(),
        Title::Given(title) => title.clone(),
        Title::Broken(meta) => return crashed(&prompt::no_attribute(meta, "get")),
    };
    let message = match &class {
        None => {
            let name = if python::bool(&title) { python::str(&title) } else { format!("ID #{id}") };
            format!(
                "Node '{name}' has no class_type. The workflow may be corrupted or a custom node is missing."
            )
        }
        Some(_) => {
            format!("Node '{}' not found. The custom node may not be installed.", python::str(&title))
        }
    };
    let extra_info = json!({"node_id": id, "class_type": class, "node_title": title});
    let error = input_error("missing_node_type", message, details, extra_info);
    Verdict::refused(PromptError {
        kind: error.kind,
        message: error.message,
        details: error.details,
        extra_info: error.extra_info,
    })
}

fn crashed(exception: &Exception) -> Verdict {
    Verdict::refused(prompt_error(
        "internal_server_error",
        "ComfyUI fails on this prompt and answers 500",
        format!("{}: {}", exception.kind, exception.text),
    ))
}

fn raised(exception: &Exception) -> comfy_runner_protocol::InputError {
    input_error(
        "exception_during_validation",
        "Exception when validating node",
        exception.text.as_str(),
        json!({"exception_type": exception.kind, "traceback": []}),
    )
}
