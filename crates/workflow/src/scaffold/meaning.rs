//! The meaning of a value to callers: its id, type and rank, and whether it is offered at all.

use comfy_runner_protocol::object_info::InputKind;
use serde_json::Value;

use super::detect::Detector;
use super::literal::{Literal, fits, is_partner_node, is_value_node};
use super::roles::{self, Role};
use super::{names, spec};
use comfy_runner_protocol::is_model_file;

/// More choices than these are not listed; the input takes any string.
const MOST_LISTED: usize = 300;

/// The meaning of a field to callers.
pub struct Meaning {
    pub id: String,
    pub kind: &'static str,
    pub rank: u8,
    pub shared: bool,
}

impl Meaning {
    pub fn new(role: Role, field: &str, kind: &'static str) -> Self {
        let last = field.rsplit('.').next().unwrap_or(field);
        let id = if role.id.is_empty() { names::identifier(last) } else { role.id.to_owned() };
        Self { id, kind, rank: role.rank, shared: role.shared }
    }
}

impl<'g> Detector<'g> {
    /// Returns the meaning of a value, if callers should see it.
    pub(super) fn meaning(&self, at: &Literal<'g>) -> Option<Meaning> {
        let meaning = match is_value_node(&at.node.class_type) {
            true => self.value_node_meaning(at),
            false => self.field_meaning(at, at.id),
        };
        meaning.filter(|meaning| fits(meaning.kind, at.value))
    }

    /// Returns the meaning of a value, even if callers should not see it.
    pub(super) fn any_meaning(&self, at: &Literal<'g>) -> Option<Meaning> {
        if let Some(meaning) = self.meaning(at) {
            return Some(meaning);
        }
        let model = at.value.as_str().is_some_and(is_model_file);
        let role = if model { roles::any_model_role(&at.node.class_type, at.field) } else { None };
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
        let title = at.own_title().filter(|_| is_value_node(&at.node.class_type)).map(names::from_title);
        let mut meaning = Meaning::new(role, at.field, kind);
        if let Some(title) = title.filter(|title| !title.is_empty()) {
            meaning.id = title;
        }
        Some(meaning)
    }

    /// Returns the meaning of a primitive's value: that of the node that uses it. A title given by the author marks it
    /// as an input.
    fn value_node_meaning(&self, at: &Literal<'g>) -> Option<Meaning> {
        if !matches!(at.field, "value" | "choice") {
            return None;
        }
        let users = self.users.get(at.id).map(Vec::as_slice).unwrap_or_default();
        let kind = at.spec.as_ref().map(|spec| &spec.kind);
        let of_user = users.iter().find_map(|(id, field, _)| {
            let node = self.graph.node(id)?;
            let schema = self.schemas.get(&node.class_type)?;
            let spec = spec::spec(schema, node, field)?;
            // A number linked to a string input, or the reverse, has a different meaning.
            let same =
                kind.is_some_and(|kind| std::mem::discriminant(kind) == std::mem::discriminant(&spec.kind));
            let user = Literal { node, schema: Some(schema), field, spec: Some(spec), ..at.clone() };
            self.field_meaning(&user, id).filter(|_| same)
        });
        if of_user.is_some() {
            return of_user;
        }
        let kind = at.spec.as_ref().and_then(|spec| roles::plain_type(&spec.kind))?;
        let id = names::from_title(at.own_title()?);
        let rank = if kind == "text" { roles::PROMPT + 2 } else { roles::SETTING };
        (!id.is_empty()).then_some(Meaning { id, kind, rank, shared: false })
    }

    /// The meaning of a field to callers. `reader` is the node that reads the value.
    fn field_meaning(&self, at: &Literal<'g>, reader: &str) -> Option<Meaning> {
        let (field, class) = (at.field, at.node.class_type.as_str());
        let spec = at.spec.as_deref()?;
        if let Some(kind) = at.upload(spec) {
            let id = if kind == "3d" { "model_3d" } else { kind };
            return Some(Meaning::new(Role { id, rank: roles::FILE, shared: false }, field, kind));
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
            InputKind::Other(kind) if kind == "COLOR" => {
                roles::number_role(class, field).map(|role| Meaning::new(role, field, "text"))
            }
            _ => None,
        };
        let advanced = spec.options.get("advanced") == Some(&Value::Bool(true));
        let offered = is_api && !advanced && !at.value.as_str().is_some_and(is_model_file);
        found.or_else(|| {
            let kind = roles::plain_type(&spec.kind).filter(|_| offered)?;
            let few = !matches!(&spec.kind, InputKind::Combo(choices) if choices.len() < 2 || choices.len() > MOST_LISTED);
            few.then(|| Meaning::new(Role { id: "", rank: roles::SETTING + 2, shared: false }, field, kind))
        })
    }

    fn text(&self, at: &Literal<'g>, reader: &str, is_api: bool) -> Option<Meaning> {
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
}
