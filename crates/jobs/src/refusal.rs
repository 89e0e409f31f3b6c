//! ComfyUI's node errors as sentences for callers.

use comfy_runner_protocol::{Graph, InputError, NodeErrors, PromptRefused};

const REFUSES: &str = "ComfyUI refuses the workflow: ";

/// A prompt that ComfyUI refused, or a part of one.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// What is wrong, with nodes named by title.
    pub detail: String,
    /// ComfyUI's own words, less the tracebacks: those hold paths of its server.
    pub node_errors: NodeErrors,
}

impl Refusal {
    /// Describes the refusal of `graph`.
    pub(crate) fn new(refused: PromptRefused, graph: &Graph) -> Self {
        let node_errors = without_tracebacks(refused.node_errors);
        let mut parts = node_sentences(&node_errors, graph);
        if parts.is_empty() {
            parts.push(phrase(&refused.error.message, &refused.error.details));
        }
        Self { detail: format!("{REFUSES}{}", parts.join("; ")), node_errors }
    }

    /// Returns what is wrong, without saying who refuses.
    pub(crate) fn reason(&self) -> &str {
        self.detail.strip_prefix(REFUSES).unwrap_or(&self.detail)
    }
}

/// Returns a sentence for each node that ComfyUI left out of an accepted prompt.
pub(crate) fn warnings(node_errors: &NodeErrors, graph: &Graph) -> Vec<String> {
    let sentences = node_sentences(node_errors, graph);
    let dropped = |outputs: &[String]| {
        let titles: Vec<_> = outputs.iter().map(|id| format!("\"{}\"", title(graph, id))).collect();
        titles.join(", ")
    };
    sentences
        .into_iter()
        .zip(node_errors.values())
        .map(|(sentence, problem)| match dropped(&problem.dependent_outputs) {
            outputs if outputs.is_empty() => sentence,
            outputs => format!("{sentence}; not run because of it: {outputs}"),
        })
        .collect()
}

/// Returns the output nodes that ComfyUI does not run because of these errors.
pub(crate) fn left_out(node_errors: &NodeErrors) -> impl Iterator<Item = &str> {
    node_errors.values().flat_map(|problem| &problem.dependent_outputs).map(String::as_str)
}

/// Removes tracebacks, which ComfyUI adds when its own validation fails.
pub(crate) fn without_tracebacks(mut node_errors: NodeErrors) -> NodeErrors {
    for error in node_errors.values_mut().flat_map(|problem| &mut problem.errors) {
        error.extra_info.shift_remove("traceback");
    }
    node_errors
}

fn node_sentences(node_errors: &NodeErrors, graph: &Graph) -> Vec<String> {
    node_errors
        .iter()
        .map(|(id, problem)| {
            let errors: Vec<_> = problem.errors.iter().map(input_phrase).collect();
            format!("node \"{}\" ({}, id {id}): {}", title(graph, id), problem.class_type, errors.join(", "))
        })
        .collect()
}

fn input_phrase(error: &InputError) -> String {
    phrase(&error.message, &error.details)
}

fn phrase(message: &str, details: &str) -> String {
    match (message.trim_end_matches('.'), details) {
        (message, "") => message.to_owned(),
        (message, details) => format!("{message} ({details})"),
    }
}

fn title<'a>(graph: &'a Graph, id: &'a str) -> &'a str {
    graph.node(id).map_or(id, |node| node.title())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn recorded(case: usize) -> (Graph, Value) {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/recordings/0.3.64/validation_errors.json");
        let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let prompt = &recording["prompts"][case];
        let nodes = prompt["request"].as_object().unwrap();
        // One recorded request holds a node without a type; it is not among those used here.
        (Graph::from_value(Value::Object(nodes.clone())).unwrap(), prompt["response"].clone())
    }

    fn detail(case: usize) -> String {
        let (graph, reply) = recorded(case);
        Refusal::new(serde_json::from_value(reply).unwrap(), &graph).detail
    }

    #[test]
    fn a_refusal_names_the_node_by_its_title_and_says_what_is_wrong() {
        let refusal = "ComfyUI refuses the workflow: ";
        let steps = "node \"Work\" (RunnerTestProgress, id 3): Value 0 smaller than min of 1 (steps)";
        assert_eq!(detail(0), format!("{refusal}{steps}"));
        assert_eq!(
            detail(1),
            format!("{refusal}Cannot execute because node NoSuchNode does not exist (Node ID '#9')")
        );
    }

    #[test]
    fn no_traceback_reaches_a_caller() {
        let (graph, reply) = recorded(4);
        assert!(reply.to_string().contains("traceback"));
        let refusal = Refusal::new(serde_json::from_value(reply).unwrap(), &graph);
        assert!(!serde_json::to_string(&refusal.node_errors).unwrap().contains("traceback"));
        assert_eq!(refusal.node_errors["4"].errors[0].kind, "exception_during_validation");
    }

    #[test]
    fn a_partly_accepted_prompt_warns_of_what_was_dropped() {
        let (graph, reply) = recorded(10);
        let errors: NodeErrors = serde_json::from_value(reply["node_errors"].clone()).unwrap();
        let [warning] = &warnings(&errors, &graph)[..] else { panic!("one warning") };
        assert!(
            warning.starts_with("node \"ImageScale\" (ImageScale, id 5): Value not in list"),
            "{warning}"
        );
        assert!(warning.ends_with("not run because of it: \"PreviewImage\""), "{warning}");
        assert_eq!(json!(errors)["5"], reply["node_errors"]["5"]);
    }
}
