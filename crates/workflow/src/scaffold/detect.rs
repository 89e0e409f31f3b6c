//! Finds the fields of a graph that become inputs of the manifest.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use comfy_runner_protocol::graph::{Graph, Link, Node};
use comfy_runner_protocol::object_info::{InputSpec, ObjectInfo};
use serde_json::Value;

use super::authored::{AuthorChoice, Authored, NodeField};
use super::detected_input::DetectedInput;
use super::literal::{Literal, is_file, is_value_node};
use super::meaning::Meaning;
use super::usage::MAX_STEPS;
use super::{merge, names, negative, roles, spec};

/// A graph with its schemas and its author's choices.
pub struct Detector<'g> {
    pub(super) graph: &'g Graph,
    pub(super) schemas: &'g ObjectInfo,
    pub(super) authored: &'g Authored,
    pub(super) negative: HashSet<&'g str>,
    /// The links from a node: the other node, its field, and the output.
    pub(super) users: HashMap<&'g str, Vec<(&'g str, &'g str, usize)>>,
}

impl<'g> Detector<'g> {
    pub fn new(graph: &'g Graph, schemas: &'g ObjectInfo, authored: &'g Authored) -> Self {
        let mut users: HashMap<&str, Vec<(&str, &str, usize)>> = HashMap::new();
        for (id, node) in &graph.nodes {
            for (field, Link { node, output }) in node.links() {
                users.entry(node).or_default().push((id, field, output));
            }
        }
        Self { graph, schemas, authored, negative: negative::negative(graph, schemas), users }
    }

    /// Returns the inputs of the manifest, best first.
    pub fn inputs(&self) -> Vec<DetectedInput<'g>> {
        if let Some(app) = self.authored.app.as_ref().filter(|app| !app.inputs.is_empty()) {
            return self.chosen(&app.inputs, &mut HashSet::new());
        }
        let mut taken = HashSet::new();
        let mut found = self.chosen(&self.authored.promoted, &mut taken);
        found.extend(self.chosen(&self.authored.favourites, &mut taken));
        for at in self.literals() {
            if taken.contains(&(at.id, at.field)) {
                continue;
            }
            let Some(meaning) = self.meaning(&at) else { continue };
            if self.is_hidden(at.id, &meaning) {
                continue;
            }
            found.push(self.found(at, meaning, None));
        }
        let mut found = merge::merge(self.join(found));
        found.sort_by_key(|found| found.rank);
        // A seed that the author keeps beside one that changes is a part of the workflow.
        if found.iter().any(|input| input.kind == "seed" && !input.fixed) {
            found.retain(|input| input.kind != "seed" || !input.fixed || input.chosen);
        }
        found
    }

    /// Returns every literal field that a manifest could offer and that none of these inputs takes.
    pub fn left_out(&self, inputs: &[DetectedInput<'g>]) -> Vec<DetectedInput<'g>> {
        let taken: HashSet<(&str, &str)> =
            inputs.iter().flat_map(|found| &found.targets).map(|place| (place.node, place.field)).collect();
        let free = self.literals().filter(|at| !taken.contains(&(at.id, at.field)));
        free.filter(|at| at.field != "filename_prefix")
            .filter_map(|at| {
                let meaning = self.any_meaning(&at)?;
                Some(self.found(at, meaning, None))
            })
            .collect()
    }

    /// Whether the author decided that this is not seen: it is inside a subgraph that shows other widgets. Files and
    /// seeds are offered all the same, since no two requests have the same.
    fn is_hidden(&self, node: &str, meaning: &Meaning) -> bool {
        let inside = self.authored.chosen_scopes.iter().any(|prefix| node.starts_with(prefix.as_str()));
        inside && !matches!(meaning.kind, "seed" | "image" | "video" | "audio" | "mask" | "3d")
    }

    fn literals(&self) -> impl Iterator<Item = Literal<'g>> + '_ {
        self.graph
            .nodes
            .iter()
            .flat_map(move |(id, node)| node.inputs.keys().filter_map(move |field| self.at(id, field)))
    }

    /// Returns the field if it has a plain value.
    pub(super) fn at(&self, id: &str, field: &str) -> Option<Literal<'g>> {
        let (_, id, node) = self.graph.nodes.get_full(id)?;
        let (field, value) = node.inputs.get_key_value(field)?;
        if value.is_array() || value.is_object() || value.is_null() {
            return None;
        }
        let schema = self.schemas.get(&node.class_type);
        let spec = self.own_choices(id, node, field).map(Cow::Owned);
        let spec = spec.or_else(|| schema.and_then(|schema| spec::spec(schema, node, field)));
        Some(Literal { id, node, schema, field, value, spec })
    }

    /// The choices that the author wrote into a combo of their own. Where its index is used, the choice alone changes
    /// nothing, and there are none.
    fn own_choices(&self, id: &str, node: &Node, field: &str) -> Option<InputSpec> {
        let index_used = || self.users.get(id).into_iter().flatten().any(|(_, _, output)| *output != 0);
        if node.class_type != "CustomCombo" || field != "choice" || index_used() {
            return None;
        }
        let choices =
            node.inputs.iter().filter(|(name, _)| name.starts_with("option")).map(|(_, value)| value);
        let choices: Vec<&Value> =
            choices.filter(|value| value.as_str().is_some_and(|text| !text.is_empty())).collect();
        serde_json::from_value(serde_json::json!([choices])).ok().filter(|_| !choices.is_empty())
    }

    /// The field that holds the value which arrives here: this one, or that of the primitive which it is linked to.
    fn holder(&self, target: &NodeField) -> Option<Literal<'g>> {
        let (mut id, mut field) = (target.node.as_str(), target.field.as_str());
        for _ in 0..MAX_STEPS {
            if let Some(at) = self.at(id, field) {
                return Some(at);
            }
            let link = Link::from_value(self.graph.node(id)?.inputs.get(field)?)?;
            let source = self.graph.node(link.node)?;
            if !source.class_type.starts_with("Primitive") && source.class_type != "CustomCombo" {
                return None;
            }
            id = link.node;
            field = if source.class_type == "CustomCombo" { "choice" } else { "value" };
        }
        None
    }

    /// Returns the inputs for the author's choices, as far as a caller can give their values.
    fn chosen(
        &self,
        choices: &[AuthorChoice],
        taken: &mut HashSet<(&'g str, &'g str)>,
    ) -> Vec<DetectedInput<'g>> {
        let mut inputs = Vec::new();
        for choice in choices {
            let mut first: Option<DetectedInput<'g>> = None;
            for at in choice.targets.iter().filter_map(|target| self.holder(target)) {
                if !taken.insert((at.id, at.field)) {
                    continue;
                }
                match &mut first {
                    Some(found) if found.value == at.value => found.targets.push(at.place()),
                    Some(_) => {}
                    None => {
                        let Some(meaning) = self.any_meaning(&at) else { continue };
                        first = Some(self.found(at, meaning, Some(choice)));
                    }
                }
            }
            if let Some(found) = &first {
                taken.extend(found.targets.iter().map(|place| (place.node, place.field)));
            }
            inputs.extend(first);
        }
        inputs
    }

    fn found(&self, at: Literal<'g>, meaning: Meaning, choice: Option<&AuthorChoice>) -> DetectedInput<'g> {
        let place = at.place();
        let own = NodeField { node: at.id.to_owned(), field: at.field.to_owned() };
        let said = choice
            .and_then(|choice| choice.label.clone())
            .or_else(|| self.authored.labels.get(&own).cloned());
        // A label that only repeats a widget's name is the editor's, not the author's.
        let said = said.filter(|label| !is_plain_name(label, at.field));
        let title = at.own_title();
        let speaks = title.filter(|_| self.is_only_value(&at));
        let (mut base, mut label) = (meaning.id.clone(), None);
        if let Some(said) = &said {
            let id = names::identifier(said);
            if !id.is_empty() {
                base = id;
                label = Some(names::label(said));
            }
        } else if let Some(title) = speaks {
            let id = names::from_title(title);
            label = Some(names::label_of_title(title));
            let prompt = meaning.kind == "text"
                && (id.contains("prompt") || id.contains("positive") || id.contains("negative"));
            if !id.is_empty()
                && !prompt
                && (is_file(meaning.kind) || is_value_node(&at.node.class_type) || meaning.kind == "text")
            {
                base = id;
            }
        }
        let used = is_file(meaning.kind).then(|| self.usage(at.id)).flatten();
        let (usage, order) = match used {
            Some((name, number)) => (name, number.unwrap_or(0)),
            None => (None, 0),
        };
        if said.is_none()
            && speaks.is_none()
            && let Some(usage) = usage
        {
            base = usage;
        }
        let mut targets = vec![place];
        if meaning.kind == "lora_picker"
            && let Some(strength) = self.at(at.id, "strength_model").filter(|at| at.value.is_number())
        {
            targets.push(strength.place());
        }
        let rank = roles::rank_of(&base).filter(|_| meaning.rank == roles::SETTING).unwrap_or(meaning.rank);
        let qualifier = title.map(names::from_title).filter(|id| !id.is_empty() && *id != base);
        let medium = at.medium().filter(|_| !is_file(meaning.kind) && meaning.rank < roles::MODEL);
        let fixed = self.authored.fixed_seeds.contains(&own);
        let chosen = choice.is_some();
        let Meaning { kind, shared, .. } = meaning;
        let (value, spec) = (at.value, at.spec);
        DetectedInput {
            base,
            qualifier,
            medium,
            order,
            kind,
            label,
            rank,
            shared,
            chosen,
            fixed,
            targets,
            value,
            spec,
        }
    }

    /// Returns whether the node's title must describe this value: it has no other that callers set.
    fn is_only_value(&self, at: &Literal<'g>) -> bool {
        let others = at.node.inputs.keys().filter(|field| *field != at.field);
        let mut others = others.filter_map(|field| self.at(at.id, field));
        !others.any(|other| self.meaning(&other).is_some())
    }
}

/// Whether a label is only the widget's name, perhaps with the number that tells it from its like.
fn is_plain_name(label: &str, field: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    let stem = label.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    label == field || label == last || stem == last || matches!(stem, "value" | "string" | "choice" | "text")
}
