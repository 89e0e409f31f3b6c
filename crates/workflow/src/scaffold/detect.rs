//! Which fields of a graph callers will want to set.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use comfy_runner_protocol::graph::{Graph, Link, Node};
use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema, ObjectInfo};
use serde_json::Value;

use super::authored::{Authored, Choice, NodeField};
use super::roles::{self, Role};
use super::{names, negative, spec};
use crate::validate::is_model_file;

/// More choices than these are no help in a form, unless the author wants them there. ComfyUI's samplers are some forty.
const MOST_CHOICES: usize = 60;
/// More choices than these are not listed; the input takes any string.
const MOST_LISTED: usize = 300;
/// How many nodes a value or file is followed through.
const MAX_STEPS: usize = 12;

/// A field of a node, with the node's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'g> {
    pub node: &'g str,
    pub title: &'g str,
    pub field: &'g str,
}

/// An input of the manifest to be.
#[derive(Debug, Clone)]
pub struct Found<'g> {
    /// Its id, as long as no other input has it.
    pub base: String,
    /// What tells it from others of that id: the title of its node.
    pub qualifier: Option<String>,
    /// Of several without a qualifier, the order.
    pub order: usize,
    /// The type's name.
    pub kind: &'static str,
    /// The author's words; none if the id says it all.
    pub label: Option<String>,
    /// Where it is listed.
    pub rank: u8,
    /// Whether an equal value of the same id elsewhere is the same input.
    pub shared: bool,
    /// Whether the author put it there; what was only detected gives way.
    pub chosen: bool,
    /// Whether the editor keeps this seed from run to run.
    pub fixed: bool,
    pub targets: Vec<Place<'g>>,
    /// The graph's own value.
    pub value: &'g Value,
    pub spec: Option<Cow<'g, InputSpec>>,
}

impl<'g> Found<'g> {
    /// Takes these targets, too.
    fn take(&mut self, targets: Vec<Place<'g>>) {
        for target in targets {
            if !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
    }

    /// The subgraph's instance that the input's first node is in: `12:`.
    fn scope(&self) -> &'g str {
        let node = self.targets[0].node;
        &node[..node.rfind(':').map_or(0, |at| at + 1)]
    }
}

/// A graph, and what is known about it.
pub struct Detector<'g> {
    graph: &'g Graph,
    schemas: &'g ObjectInfo,
    authored: &'g Authored,
    negative: HashSet<&'g str>,
    users: HashMap<&'g str, Vec<(&'g str, &'g str, usize)>>,
}

/// What a field is to callers.
struct Meaning {
    id: String,
    kind: &'static str,
    rank: u8,
    shared: bool,
}

impl Meaning {
    fn new(role: Role, field: &str, kind: &'static str) -> Self {
        let last = field.rsplit('.').next().unwrap_or(field);
        let id = if role.id.is_empty() { names::identifier(last) } else { role.id.to_owned() };
        Self { id, kind, rank: role.rank, shared: role.shared }
    }
}

/// A literal value where it is set.
#[derive(Clone)]
struct At<'g> {
    id: &'g str,
    node: &'g Node,
    schema: Option<&'g NodeSchema>,
    field: &'g str,
    value: &'g Value,
    spec: Option<Cow<'g, InputSpec>>,
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

    /// The inputs of the manifest, best first.
    pub fn inputs(&self) -> Vec<Found<'g>> {
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
        let mut found = merge(self.join(found));
        found.sort_by_key(|found| found.rank);
        // A seed that the author keeps beside one that changes is a part of the workflow.
        if found.iter().any(|input| input.kind == "seed" && !input.fixed) {
            found.retain(|input| input.kind != "seed" || !input.fixed || input.chosen);
        }
        found
    }

    /// Every literal field that a manifest could offer and that none of these inputs takes.
    pub fn left_out(&self, inputs: &[Found<'g>]) -> Vec<Found<'g>> {
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
        inside && !matches!(meaning.kind, "seed" | "image" | "video" | "audio" | "mask")
    }

    fn literals(&self) -> impl Iterator<Item = At<'g>> + '_ {
        self.graph
            .nodes
            .iter()
            .flat_map(move |(id, node)| node.inputs.keys().filter_map(move |field| self.at(id, field)))
    }

    /// The field, if it holds a plain value.
    fn at(&self, id: &str, field: &str) -> Option<At<'g>> {
        let (_, id, node) = self.graph.nodes.get_full(id)?;
        let (field, value) = node.inputs.get_key_value(field)?;
        if value.is_array() || value.is_object() || value.is_null() {
            return None;
        }
        let schema = self.schemas.get(&node.class_type);
        let spec = self.own_choices(id, node, field).map(Cow::Owned);
        let spec = spec.or_else(|| schema.and_then(|schema| spec::spec(schema, node, field)));
        Some(At { id, node, schema, field, value, spec })
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
    fn holder(&self, target: &NodeField) -> Option<At<'g>> {
        let (mut id, mut field) = (target.node.as_str(), target.field.as_str());
        for _ in 0..MAX_STEPS {
            if let Some(at) = self.at(id, field) {
                return Some(at);
            }
            let link = Link::of(self.graph.node(id)?.inputs.get(field)?)?;
            let source = self.graph.node(link.node)?;
            if !source.class_type.starts_with("Primitive") && source.class_type != "CustomCombo" {
                return None;
            }
            id = link.node;
            field = if source.class_type == "CustomCombo" { "choice" } else { "value" };
        }
        None
    }

    /// The inputs for what the author chose, as far as it holds values that a caller can give.
    fn chosen(&self, choices: &[Choice], taken: &mut HashSet<(&'g str, &'g str)>) -> Vec<Found<'g>> {
        let mut inputs = Vec::new();
        for choice in choices {
            let mut first: Option<Found<'g>> = None;
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

    fn found(&self, at: At<'g>, meaning: Meaning, choice: Option<&Choice>) -> Found<'g> {
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
            let id = names::of_title(title);
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
        let qualifier = title.map(names::of_title).filter(|id| !id.is_empty() && *id != base);
        let fixed = self.authored.fixed_seeds.contains(&own);
        let chosen = choice.is_some();
        let Meaning { kind, shared, .. } = meaning;
        let (value, spec) = (at.value, at.spec);
        Found { base, qualifier, order, kind, label, rank, shared, chosen, fixed, targets, value, spec }
    }

    /// Whether the node's title can only be about this value: it has no other that callers set.
    fn is_only_value(&self, at: &At<'g>) -> bool {
        let others = at.node.inputs.keys().filter(|field| *field != at.field);
        let mut others = others.filter_map(|field| self.at(at.id, field));
        !others.any(|other| self.meaning(&other).is_some())
    }

    /// Values that one primitive of the editor gives to several fields are one input, under the primitive's title.
    fn join(&self, found: Vec<Found<'g>>) -> Vec<Found<'g>> {
        let mut joined: Vec<Found<'g>> = Vec::with_capacity(found.len());
        let mut group_of: HashMap<usize, usize> = HashMap::new();
        for mut input in found {
            let hangs = |choice: &Choice| {
                let first = &input.targets[0];
                choice.targets.iter().any(|target| target.node == first.node && target.field == first.field)
            };
            let Some(group) = self.authored.shared.iter().position(hangs) else {
                joined.push(input);
                continue;
            };
            let choice = &self.authored.shared[group];
            if let Some(&at) = group_of.get(&group) {
                if joined[at].value == input.value {
                    joined[at].take(input.targets);
                    continue;
                }
            } else {
                group_of.insert(group, joined.len());
                // The other fields that hang on it hold the same value, also those that nobody would look for.
                for target in &choice.targets {
                    let Some(at) = self.at(&target.node, &target.field) else { continue };
                    if at.value == input.value {
                        input.take(vec![at.place()]);
                    }
                }
                if let Some(title) = choice.title.as_deref().filter(|title| *title != "Primitive") {
                    let id = names::of_title(title);
                    if !id.is_empty() && !input.chosen {
                        input.label = Some(names::label_of_title(title));
                        if input.kind != "text" {
                            input.base = id;
                        }
                    }
                }
            }
            joined.push(input);
        }
        joined
    }

    /// What a value is to callers, if it is worth showing.
    fn meaning(&self, at: &At<'g>) -> Option<Meaning> {
        let meaning = match is_value_node(&at.node.class_type) {
            true => self.of_value_node(at),
            false => self.of_field(at, at.id),
        };
        meaning.filter(|meaning| fits(meaning.kind, at.value))
    }

    /// What a value is to callers, worth showing or not.
    fn any_meaning(&self, at: &At<'g>) -> Option<Meaning> {
        if let Some(meaning) = self.meaning(at) {
            return Some(meaning);
        }
        let model = at.value.as_str().is_some_and(is_model_file);
        let role = if model { roles::of_any_model(&at.node.class_type, at.field) } else { None };
        let role = role.unwrap_or(Role {
            id: "",
            rank: if model { roles::MODEL + 5 } else { roles::SETTING },
            shared: model,
        });
        let plain = at.spec.as_ref().and_then(|spec| roles::plain_type(&spec.kind));
        let plain = match &at.spec {
            Some(spec) if matches!(&spec.kind, InputKind::Combo(choices) if choices.len() > MOST_LISTED) => {
                Some("text")
            }
            _ => plain,
        };
        let by_value = match at.value {
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "float",
            Value::Number(_) => "int",
            _ => "text",
        };
        let kind = plain.filter(|kind| fits(kind, at.value)).unwrap_or(by_value);
        let kind = if model && kind == "text" { "select" } else { kind };
        let title = at.own_title().filter(|_| is_value_node(&at.node.class_type)).map(names::of_title);
        let mut meaning = Meaning::new(role, at.field, kind);
        if let Some(title) = title.filter(|title| !title.is_empty()) {
            meaning.id = title;
        }
        Some(meaning)
    }

    /// What a primitive's value is: what its user makes of it. A title of its own says that it is to be set.
    fn of_value_node(&self, at: &At<'g>) -> Option<Meaning> {
        if !matches!(at.field, "value" | "choice") {
            return None;
        }
        let users = self.users.get(at.id).map(Vec::as_slice).unwrap_or_default();
        let kind = at.spec.as_ref().map(|spec| &spec.kind);
        let of_user = users.iter().find_map(|(id, field, _)| {
            let node = self.graph.node(id)?;
            let schema = self.schemas.get(&node.class_type)?;
            let spec = spec::spec(schema, node, field)?;
            // A number that goes where a string is wanted, or the other way round, is another thing.
            let same =
                kind.is_some_and(|kind| std::mem::discriminant(kind) == std::mem::discriminant(&spec.kind));
            let user = At { node, schema: Some(schema), field, spec: Some(spec), ..at.clone() };
            self.of_field(&user, id).filter(|_| same)
        });
        if of_user.is_some() {
            return of_user;
        }
        let kind = at.spec.as_ref().and_then(|spec| roles::plain_type(&spec.kind))?;
        let id = names::of_title(at.own_title()?);
        let rank = if kind == "text" { roles::PROMPT + 2 } else { roles::SETTING };
        (!id.is_empty()).then_some(Meaning { id, kind, rank, shared: false })
    }

    /// What a field is to callers. `reader` is the node that reads the value.
    fn of_field(&self, at: &At<'g>, reader: &str) -> Option<Meaning> {
        let (field, class) = (at.field, at.node.class_type.as_str());
        let spec = at.spec.as_deref()?;
        if let Some(kind) = at.upload(spec) {
            return Some(Meaning::new(Role { id: kind, rank: roles::FILE, shared: false }, field, kind));
        }
        let is_api = at.schema.is_some_and(is_partner_node);
        let titled = at.own_title().is_some();
        if roles::is_plumbing(class) && !titled
            || at.schema.is_some_and(|schema| schema.output_node) && !is_api
        {
            return None;
        }
        let found = match &spec.kind {
            InputKind::String => return self.text(at, reader, is_api),
            InputKind::Int | InputKind::Float => at.number(spec),
            InputKind::Combo(choices) => at.choice(choices),
            InputKind::Boolean => None,
            InputKind::Other(kind) if kind == "COLOR" => {
                roles::of_number(class, field).map(|role| Meaning::new(role, field, "text"))
            }
            InputKind::Other(_) => None,
        };
        let advanced = spec.options.get("advanced") == Some(&Value::Bool(true));
        let offered = is_api && !advanced && !at.value.as_str().is_some_and(is_model_file);
        found.or_else(|| {
            let kind = roles::plain_type(&spec.kind).filter(|_| offered)?;
            let few = !matches!(&spec.kind, InputKind::Combo(choices) if choices.len() < 2 || choices.len() > MOST_LISTED);
            few.then(|| Meaning::new(Role { id: "", rank: roles::SETTING + 2, shared: false }, field, kind))
        })
    }

    fn text(&self, at: &At<'g>, reader: &str, is_api: bool) -> Option<Meaning> {
        let spec = at.spec.as_deref()?;
        let many_lines = spec.options.get("multiline") == Some(&Value::Bool(true));
        let advanced = spec.options.get("advanced") == Some(&Value::Bool(true));
        let plain = roles::is_prompt(at.field);
        if roles::is_machinery(at.field) || !(many_lines || plain || is_api) || advanced && !plain {
            return None;
        }
        let named = |id: &str, rank| Some(Meaning { id: id.to_owned(), kind: "text", rank, shared: true });
        if self.negative.contains(reader) || self.negative.contains(at.id) || at.field.contains("negative") {
            named("negative_prompt", roles::PROMPT + 1)
        } else if plain && !roles::is_plumbing(&at.node.class_type) {
            named("prompt", roles::PROMPT)
        } else {
            Some(Meaning::new(Role { id: "", rank: roles::PROMPT + 2, shared: false }, at.field, "text"))
        }
    }

    /// What the file that this node loads is used for: the name of the first input that says more than `image`, and the
    /// number at its end.
    fn usage(&self, node: &str) -> Option<(Option<String>, Option<usize>)> {
        let mut open = vec![node];
        let mut seen = HashSet::new();
        for _ in 0..MAX_STEPS {
            let mut next = Vec::new();
            for id in open {
                for (user, field, output) in self.users.get(id).into_iter().flatten() {
                    // The mask beside an image says nothing of the image, nor does a look at it.
                    if !seen.insert((*user, *field))
                        || !self.passes_media(id, *output, id == node)
                        || self.is_output(user)
                    {
                        continue;
                    }
                    let name = field.rsplit('.').next().unwrap_or(field);
                    let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
                    let number = name[word.len()..].trim_start_matches('_').parse().ok();
                    if !is_general(word) {
                        return Some((Some(names::identifier(word)), number));
                    }
                    if number.is_some() {
                        return Some((None, number));
                    }
                    next.push(*user);
                }
            }
            open = next;
        }
        None
    }
}

impl Detector<'_> {
    /// Whether this output of a node carries the file on: any of a node in between, the first of the one that loads it.
    fn passes_media(&self, node: &str, output: usize, loads: bool) -> bool {
        const MEDIA: [&str; 5] = ["IMAGE", "MASK", "VIDEO", "AUDIO", "COMFY_MATCHTYPE_V3"];
        let schema = self.graph.node(node).and_then(|node| self.schemas.get(&node.class_type));
        let kind = schema.and_then(|schema| schema.output.get(output));
        kind.is_some_and(|kind| MEDIA.contains(&kind.as_str())) && (!loads || output == 0)
    }

    fn is_output(&self, node: &str) -> bool {
        let schema = self.graph.node(node).and_then(|node| self.schemas.get(&node.class_type));
        schema.is_some_and(|schema| schema.output_node && !is_partner_node(schema))
    }
}

impl<'g> At<'g> {
    fn place(&self) -> Place<'g> {
        Place { node: self.id, title: self.graph_title(), field: self.field }
    }

    fn graph_title(&self) -> &'g str {
        self.node.title()
    }

    /// The type of the file that callers send for this field.
    fn upload(&self, spec: &InputSpec) -> Option<&'static str> {
        let flag = |name| spec.options.get(name) == Some(&Value::Bool(true));
        // What lies in another folder than that of uploads cannot be sent.
        if spec.options.get("image_folder").is_some_and(|folder| folder != "input") {
            return None;
        }
        let class = self.node.class_type.as_str();
        if flag("image_upload") {
            return Some(if class == "LoadImageMask" || self.field == "mask" { "mask" } else { "image" });
        }
        if flag("video_upload") || class.contains("LoadVideo") && matches!(self.field, "video" | "file") {
            return Some("video");
        }
        (flag("audio_upload") || class == "LoadAudio" && self.field == "audio").then_some("audio")
    }

    fn number(&self, spec: &InputSpec) -> Option<Meaning> {
        let (class, field) = (self.node.class_type.as_str(), self.field);
        let name = field.rsplit('.').next().unwrap_or(field);
        let kind = if spec.kind == InputKind::Int { "int" } else { "float" };
        let kept = self.node.inputs.get("add_noise") == Some(&"disable".into());
        let seed = matches!(name, "seed" | "noise_seed")
            || name.contains("seed") && spec.options.contains_key("control_after_generate");
        if kind == "int" && seed {
            return (!kept)
                .then(|| Meaning::new(Role { id: "seed", rank: roles::SEED, shared: true }, field, "seed"));
        }
        let both = ["width", "height"].iter().all(|side| {
            let sibling = format!("{}{side}", &field[..field.len() - name.len()]);
            self.node.inputs.contains_key(&sibling)
        });
        let role = if both { roles::of_size(class, field) } else { None };
        role.or_else(|| roles::of_number(class, field)).map(|role| Meaning::new(role, field, kind))
    }

    fn choice(&self, choices: &[Value]) -> Option<Meaning> {
        let (class, field) = (self.node.class_type.as_str(), self.field);
        if let Some(role) = roles::of_model(class, field) {
            let none = role.id == "lora"
                && self
                    .value
                    .as_str()
                    .is_none_or(|name| name.eq_ignore_ascii_case("none") || name.is_empty());
            return (!none).then(|| Meaning::new(role, field, roles::picker(role.id)));
        }
        // Text encoders and the like go with a model; callers do not choose them.
        let files =
            choices.iter().chain([self.value]).any(|choice| choice.as_str().is_some_and(is_model_file));
        if files || choices.len() > MOST_CHOICES {
            return None;
        }
        let known = choices.len() > 1 && choices.contains(self.value);
        let role = roles::of_choice(class, field).filter(|_| known)?;
        Some(Meaning::new(role, field, "select"))
    }

    /// The title that the author gave the node, without the type that the editor's templates put before it.
    fn own_title(&self) -> Option<&'g str> {
        let title = self.node.title();
        let usual = self.schema.and_then(|schema| schema.display_name.as_deref()).unwrap_or_default();
        if title == usual || title == self.node.class_type {
            return None;
        }
        let inner = title.strip_prefix("CLIP Text Encode (").and_then(|rest| rest.strip_suffix(')'));
        Some(inner.unwrap_or(title)).filter(|title| !title.trim().is_empty() && *title != "Prompt")
    }
}

/// Equal values of the same role are one input, and so are the same strings of one node: the encoders of some models take
/// the prompt twice.
fn merge(found: Vec<Found<'_>>) -> Vec<Found<'_>> {
    let mut merged: Vec<Found<'_>> = Vec::with_capacity(found.len());
    for mut input in found {
        let twin = merged.iter_mut().find(|other| is_same(other, &input));
        match twin {
            Some(twin) => {
                if input.kind == "int" && twin.kind == "float" {
                    (twin.kind, twin.spec, twin.value) = (input.kind, input.spec.take(), input.value);
                }
                twin.fixed &= input.fixed;
                twin.take(input.targets);
            }
            None => merged.push(input),
        }
    }
    merged
}

fn is_same(one: &Found<'_>, other: &Found<'_>) -> bool {
    let number = |kind| matches!(kind, "int" | "float");
    let kinds = one.kind == other.kind || number(one.kind) && number(other.kind);
    let equal = one.value == other.value
        || one.value.as_f64().is_some_and(|value| Some(value) == other.value.as_f64());
    // What the author shows twice on one instance is meant to differ.
    if !kinds || !equal || one.chosen && other.chosen && one.scope() == other.scope() {
        return false;
    }
    let same_node = one.targets.iter().any(|place| place.node == other.targets[0].node);
    let empty = one.value.as_str().is_some_and(|text| text.trim().is_empty());
    match one.kind {
        "text" => same_node || one.base == other.base && one.shared && !empty,
        _ => one.shared && other.shared && one.base == other.base,
    }
}

/// Whether a value can be the default of an input of this type as it is.
fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "int" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|value| value.fract() == 0.0 && value.abs() < 2f64.powi(53))
        }
        "float" => value.is_number(),
        "seed" => value.is_number(),
        "boolean" => value.is_boolean(),
        "select" => true,
        _ => value.is_string(),
    }
}

fn is_file(kind: &str) -> bool {
    matches!(kind, "image" | "video" | "audio" | "mask")
}

/// Whether nodes of this type hold a value for others.
fn is_value_node(class: &str) -> bool {
    class.starts_with("Primitive") || class == "CustomCombo"
}

/// Whether the node calls a paid service: its fields are the service's own parameters.
fn is_partner_node(schema: &NodeSchema) -> bool {
    schema.other.get("api_node") == Some(&Value::Bool(true))
        || schema
            .other
            .get("python_module")
            .and_then(Value::as_str)
            .is_some_and(|module| module.starts_with("comfy_api_nodes"))
}

/// Input names that do not say what a file is for.
fn is_general(word: &str) -> bool {
    const GENERAL: [&str; 26] = [
        "image",
        "images",
        "pixels",
        "input",
        "video",
        "audio",
        "mask",
        "value",
        "source",
        "file",
        "files",
        "video_frames",
        "samples",
        "on_true",
        "on_false",
        "any",
        "frames",
        "latent",
        "destination",
        "model",
        "latent_image",
        "video_latent",
        "image_a",
        "positive",
        "input_image",
        "alpha",
    ];
    GENERAL.contains(&word)
}

/// Whether a label is only the widget's name, perhaps with the number that tells it from its like.
fn is_plain_name(label: &str, field: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    let stem = label.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    label == field || label == last || stem == last || matches!(stem, "value" | "string" | "choice" | "text")
}
