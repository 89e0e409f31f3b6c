//! A node as the editor draws it: the slots and widgets that it makes from a type's schema, in its order.
//!
//! The rules are those of ComfyUI's editor (1.27 to 1.35), found by asking it; `docs/ui-format.md` lists them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema};
use serde_json::{Map, Value, json};

use super::edition::Edition;
use super::text::{as_textarea, upload_path};

/// How deep choices may lie in choices of a `COMFY_DYNAMICCOMBO_V3`.
const MAX_CHOICES: usize = 16;
/// How many slots a `COMFY_AUTOGROW_V3` input may begin with.
const MAX_GROWN: u64 = 1_000;

/// The slots and widgets of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawn<'s> {
    /// What links end in: those without a widget first.
    pub slots: Vec<Slot<'s>>,
    /// What people set, from top to bottom.
    pub widgets: Vec<Widget<'s>>,
    /// The names of inputs that grow: slots called `name.` and more may be added by links.
    pub growing: Vec<String>,
    /// The names of widgets whose choice decides on the slots and widgets called `name.` and more.
    pub deciding: Vec<String>,
}

/// An input slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot<'s> {
    /// The input's name.
    pub name: Cow<'s, str>,
    /// The type of what it takes; several with commas between them.
    pub kind: Cow<'s, str>,
    /// Whether the node runs without it.
    pub optional: bool,
    /// Whether a widget of the same name gives its value when nothing is linked.
    pub widget: bool,
}

/// A widget.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget<'s> {
    /// Its name: that of the input, or the editor's own.
    pub name: Cow<'s, str>,
    /// The schema of its input; none for the widgets that the editor adds.
    pub spec: Option<Cow<'s, InputSpec>>,
    /// What it holds. None is what JavaScript calls undefined: a list of choices without any.
    pub value: Option<Value>,
    /// Whether `widgets_values` has a place for it.
    pub saved: bool,
    /// Whether a prompt carries it.
    pub sent: bool,
}

/// Where widgets get their values.
pub enum Given<'v> {
    /// Nowhere: all keep their defaults.
    Nothing,
    /// The list of a file, in the order of the widgets that are saved.
    List(&'v [Value]),
    /// By name, as some custom nodes save them, and as prompts carry them.
    Named(&'v dyn Fn(&str) -> Option<Value>),
}

/// The types of a graph's nodes as the editor sees them, each looked at once.
pub struct Catalogue<'s> {
    edition: Edition,
    entries: HashMap<&'s str, Rc<[(&'s str, Entry<'s>)]>>,
}

impl<'s> Catalogue<'s> {
    /// Nothing looked at yet.
    pub fn new(edition: Edition) -> Self {
        Self { edition, entries: HashMap::new() }
    }

    fn entries(&mut self, class_type: &'s str, schema: &'s NodeSchema) -> Rc<[(&'s str, Entry<'s>)]> {
        Rc::clone(self.entries.entry(class_type).or_insert_with(|| entries(class_type, schema).into()))
    }
}

impl<'s> Drawn<'s> {
    /// The node of this type and schema, with the values that a file or a prompt gives to its widgets.
    pub fn new(
        types: &mut Catalogue<'s>,
        class_type: &'s str,
        schema: &'s NodeSchema,
        given: Given<'_>,
    ) -> Self {
        let entries = types.entries(class_type, schema);
        let mut pen = Pen { edition: types.edition, drawn: Self::default(), given, taken: 0 };
        pen.draw(class_type, &entries);
        pen.drawn
    }

    /// The node of a file, from the list in `widgets_values`.
    ///
    /// Files from before 1.16 hold a value also for each input that only links fill; the editor knows them by their
    /// number and passes those values over.
    pub fn from_list(
        types: &mut Catalogue<'s>,
        class_type: &'s str,
        schema: &'s NodeSchema,
        values: &[Value],
    ) -> Self {
        match without_forced(types, class_type, schema, values) {
            Some(values) => Self::new(types, class_type, schema, Given::List(&values)),
            None => Self::new(types, class_type, schema, Given::List(values)),
        }
    }

    /// The widget of this name.
    pub fn widget(&self, name: &str) -> Option<&Widget<'s>> {
        self.widgets.iter().find(|widget| widget.name == name)
    }

    /// The slot of this name.
    pub fn slot(&self, name: &str) -> Option<&Slot<'s>> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}

impl Widget<'_> {
    /// Puts a value in, as the editor does when a file is opened or a primitive node gives its value.
    pub fn assign(&mut self, value: Value) {
        self.value = Some(match &self.spec {
            Some(spec) if is_textarea(spec) => as_textarea(value),
            Some(spec) if uploads(spec) => upload_path(value, self.value.as_ref(), spec),
            _ => value,
        });
    }
}

/// An input as the editor's own extensions see it.
#[derive(Clone, Copy)]
enum Entry<'s> {
    Spec(&'s InputSpec, bool),
    /// A player for sounds: not saved, sent as an empty text.
    Player,
    /// A view of a solid: saved and sent as an empty text.
    View,
    /// A button that opens a file.
    Button(&'static str),
}

/// The inputs in the editor's order: that of `input_order` where it is given, then the others.
fn entries<'s>(class_type: &str, schema: &'s NodeSchema) -> Vec<(&'s str, Entry<'s>)> {
    let required =
        || schema.input.required.iter().map(|(name, spec)| (name.as_str(), Entry::Spec(spec, false)));
    let optional = schema.input.optional.iter().map(|(name, spec)| (name.as_str(), Entry::Spec(spec, true)));
    let mut extra: Vec<(&str, Entry<'_>)> = Vec::new();
    if ["LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus"].contains(&class_type) {
        extra.push(("audioUI", Entry::Player));
    }
    if ["Preview3D", "Preview3DAnimation", "SaveGLB"].contains(&class_type) {
        extra.push(("image", Entry::View));
    }
    let sound = schema.input.required.get("audio").is_some_and(|spec| flag(spec, "audio_upload"));
    if schema.input.required.values().any(uploads) {
        extra.push(("upload", Entry::Button("image")));
    } else if sound {
        extra.push(("upload", Entry::Button("")));
    }
    extra.retain(|(name, _)| !schema.input.required.contains_key(*name));
    let all: Vec<_> = required().chain(extra).chain(optional).collect();
    let order = |section: &str| -> Vec<&str> {
        let order = schema.other.get("input_order").and_then(|order| order.get(section));
        order.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let mut places = HashMap::new();
    for (section, of_optional) in [("required", false), ("optional", true)] {
        for name in order(section) {
            let next = places.len();
            places.entry((name, of_optional)).or_insert(next);
        }
    }
    let mut all: Vec<_> = all.into_iter().enumerate().collect();
    all.sort_by_key(|(at, (name, entry))| {
        let of_optional = matches!(entry, Entry::Spec(_, true));
        (places.get(&(*name, of_optional)).copied().unwrap_or(usize::MAX), *at)
    });
    all.into_iter().map(|(_, entry)| entry).collect()
}

/// Draws one node, from top to bottom.
struct Pen<'s, 'v> {
    edition: Edition,
    drawn: Drawn<'s>,
    given: Given<'v>,
    /// How many values of the list are taken.
    taken: usize,
}

impl<'s> Pen<'s, '_> {
    fn draw(&mut self, class_type: &str, entries: &[(&'s str, Entry<'s>)]) {
        for (name, entry) in entries {
            if let Entry::Spec(spec, optional) = entry {
                self.socket(Cow::Borrowed(name), Cow::Borrowed(spec), *optional, 0);
            }
        }
        for (name, entry) in entries {
            match entry {
                Entry::Spec(spec, optional) => {
                    self.widget(Cow::Borrowed(name), Cow::Borrowed(spec), *optional, 0);
                }
                Entry::Player => self.editor_widget(name, json!(""), false, true),
                Entry::View => self.editor_widget(name, json!(""), true, true),
                Entry::Button(value) => self.editor_widget(name, json!(value), true, false),
            }
        }
        match class_type {
            "PreviewAny" => self.preview(),
            "CustomCombo" => self.own_options(),
            _ => {}
        }
    }

    /// A slot that has no widget, or the slots that stand for an input of a newer kind.
    fn socket(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if has_widget(&spec) && !flag(&spec, "forceInput") {
            return;
        }
        match type_name(&spec) {
            "COMFY_AUTOGROW_V3" => self.growing(&name, &spec, depth),
            "COMFY_MATCHTYPE_V3" => {
                let allowed = template(&spec, "allowed_types").and_then(Value::as_str).unwrap_or("*");
                let mut raw = vec![json!(allowed)];
                raw.push(Value::Object(spec.options.clone()));
                if let Ok(spec) = serde_json::from_value::<InputSpec>(Value::Array(raw)) {
                    self.input(name, Cow::Owned(spec), optional, depth + 1);
                }
            }
            _ => {
                let kind = kind_of(&spec);
                self.slot(Slot { name, kind, optional, widget: false });
            }
        }
    }

    /// A slot, or a widget with its slot.
    fn input(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if depth > MAX_CHOICES {
            return;
        }
        self.socket(name.clone(), spec.clone(), optional, depth);
        self.widget(name, spec, optional, depth);
    }

    fn slot(&mut self, slot: Slot<'s>) {
        if self.drawn.slot(&slot.name).is_none() {
            self.drawn.slots.push(slot);
        }
    }

    fn widget(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if !has_widget(&spec) || flag(&spec, "forceInput") {
            return;
        }
        let mut widget = Widget {
            name: name.clone(),
            value: default_of(&spec),
            spec: Some(spec.clone()),
            saved: true,
            sent: true,
        };
        if let Some(value) = self.take(&name) {
            widget.assign(value);
        }
        let chosen = widget.value.clone();
        self.drawn.widgets.push(widget);
        let kind = kind_of(&spec);
        if !flag(&spec, "socketless") {
            self.slot(Slot { name: name.clone(), kind, optional, widget: true });
        }
        if let InputKind::Combo(_) | InputKind::Other(_) = spec.kind
            && let Some(remote) = spec.options.get("remote").and_then(Value::as_object)
        {
            self.editor_widget("Auto-refresh after generation", json!(false), true, false);
            if remote.get("refresh_button").and_then(Value::as_bool) == Some(true) {
                self.editor_widget("refresh", json!("refresh"), true, true);
            }
        }
        if is_controlled(&name, &spec) {
            self.editor_widget("control_after_generate", json!("randomize"), true, false);
            if !matches!(spec.kind, InputKind::Int) {
                self.editor_widget("control_filter_list", json!(""), true, false);
            }
        }
        if type_name(&spec) == "COMFY_DYNAMICCOMBO_V3" {
            self.drawn.deciding.push(name.to_string());
            self.chosen(&name, &spec, chosen.as_ref(), depth);
        }
    }

    /// The inputs that a choice brings with it.
    fn chosen(&mut self, name: &str, spec: &InputSpec, chosen: Option<&Value>, depth: usize) {
        let options = spec.options.get("options").and_then(Value::as_array).into_iter().flatten();
        let option = options.rev().find(|option| option.get("key") == chosen);
        for (section, optional) in [("required", false), ("optional", true)] {
            let inputs = option.and_then(|option| option.get("inputs")?.get(section)?.as_object());
            for (key, raw) in inputs.into_iter().flatten() {
                if let Ok(spec) = serde_json::from_value::<InputSpec>(raw.clone()) {
                    self.input(Cow::Owned(format!("{name}.{key}")), Cow::Owned(spec), optional, depth + 1);
                }
            }
        }
    }

    /// The first slots of an input that grows.
    fn growing(&mut self, name: &str, spec: &InputSpec, depth: usize) {
        self.drawn.growing.push(name.to_owned());
        let least = template(spec, "min").and_then(Value::as_u64).unwrap_or(1).min(MAX_GROWN);
        for ordinal in 0..least {
            for (key, inner, optional) in grown_specs(spec) {
                let Some(slot) = grown_name(name, spec, ordinal, key) else { continue };
                self.input(Cow::Owned(slot), Cow::Owned(inner), optional, depth + 1);
            }
        }
    }

    /// `PreviewAny`: a view of the text; in newer editors two, and a switch between them.
    fn preview(&mut self) {
        self.editor_widget("preview", json!(""), false, true);
        if self.edition == Edition::Newer {
            self.editor_widget("preview", json!(""), false, true);
            self.editor_widget("previewMode", json!(false), true, true);
        }
    }

    /// `CustomCombo`: a text for each choice, and an empty one behind them.
    fn own_options(&mut self) {
        let most = if let Given::List(list) = &self.given { list.len() + 1 } else { 1 };
        for number in 1..=most {
            let value = self.take(&format!("option{number}")).unwrap_or_else(|| json!(""));
            let empty = value.as_str().is_some_and(str::is_empty) || value.is_null();
            let name = Cow::Owned(format!("option{number}"));
            self.drawn.widgets.push(Widget { name, spec: None, value: Some(value), saved: true, sent: true });
            if empty {
                break;
            }
        }
    }

    fn editor_widget(&mut self, name: &str, default: Value, saved: bool, sent: bool) {
        // A prompt has values under the names of those that it carries, and under no others.
        let named = matches!(self.given, Given::Named(_));
        let value = if saved && (sent || !named) { self.take(name) } else { None };
        let value = Some(value.unwrap_or(default));
        self.drawn.widgets.push(Widget { name: Cow::Owned(name.to_owned()), spec: None, value, saved, sent });
    }

    /// The next value: of a list whatever comes next.
    fn take(&mut self, name: &str) -> Option<Value> {
        match &self.given {
            Given::Nothing => None,
            Given::List(list) => {
                self.taken += 1;
                list.get(self.taken - 1).cloned()
            }
            Given::Named(named) => named(name),
        }
    }
}

/// The inputs of which one group of an input that grows is made: name, schema, and whether it is optional.
pub fn grown_specs(spec: &InputSpec) -> Vec<(&str, InputSpec, bool)> {
    let input = template(spec, "input");
    let mut specs = Vec::new();
    for (section, optional) in [("required", false), ("optional", true)] {
        let inputs = input.and_then(|input| input.get(section)?.as_object());
        for (key, raw) in inputs.into_iter().flatten() {
            if let Ok(spec) = serde_json::from_value(raw.clone()) {
                specs.push((key.as_str(), spec, optional));
            }
        }
    }
    specs
}

/// The name of a slot of an input that grows; none past its end.
pub fn grown_name(group: &str, spec: &InputSpec, ordinal: u64, key: &str) -> Option<String> {
    if let Some(names) = template(spec, "names").and_then(Value::as_array) {
        let name = names.get(usize::try_from(ordinal).ok()?)?.as_str()?;
        return Some(format!("{group}.{name}"));
    }
    let prefix = template(spec, "prefix").and_then(Value::as_str).unwrap_or("");
    let stem = if grown_specs(spec).len() == 1 { prefix } else { key };
    Some(format!("{group}.{stem}{ordinal}"))
}

fn template<'a>(spec: &'a InputSpec, key: &str) -> Option<&'a Value> {
    spec.options.get("template")?.get(key)
}

/// Whether the editor makes a widget for this kind of input.
pub fn has_widget(spec: &InputSpec) -> bool {
    match &spec.kind {
        InputKind::Other(kind) => matches!(
            kind.as_str(),
            "COMBO"
                | "COLOR"
                | "MARKDOWN"
                | "TEXTAREA"
                | "COMFY_DYNAMICCOMBO_V3"
                | "LOAD_3D"
                | "LOAD_3D_ANIMATION"
                | "WEBCAM"
                | "AUDIO_RECORD"
        ),
        _ => true,
    }
}

/// The type as slots show it, borrowed where the schema is.
fn kind_of<'s>(spec: &Cow<'s, InputSpec>) -> Cow<'s, str> {
    match spec {
        Cow::Borrowed(spec) => Cow::Borrowed(type_name(spec)),
        Cow::Owned(spec) => Cow::Owned(type_name(spec).to_owned()),
    }
}

/// The type as slots show it.
pub fn type_name(spec: &InputSpec) -> &str {
    match &spec.kind {
        InputKind::Int => "INT",
        InputKind::Float => "FLOAT",
        InputKind::String => "STRING",
        InputKind::Boolean => "BOOLEAN",
        InputKind::Combo(_) => "COMBO",
        InputKind::Other(kind) => kind,
    }
}

fn is_controlled(name: &str, spec: &InputSpec) -> bool {
    let told = spec.options.get("control_after_generate").filter(|told| !told.is_null());
    match (&spec.kind, told) {
        (InputKind::Int | InputKind::Combo(_), Some(told)) => truthy(told),
        (InputKind::Int, None) => matches!(name, "seed" | "noise_seed"),
        _ => false,
    }
}

/// Whether a text area holds the value, which makes a text of everything.
pub fn is_textarea(spec: &InputSpec) -> bool {
    match &spec.kind {
        InputKind::String => flag(spec, "multiline"),
        InputKind::Other(kind) => matches!(kind.as_str(), "MARKDOWN" | "TEXTAREA"),
        _ => false,
    }
}

/// Whether files can be uploaded for this choice.
pub fn uploads(spec: &InputSpec) -> bool {
    type_name(spec) == "COMBO"
        && ["image_upload", "video_upload", "animated_image_upload"]
            .iter()
            .any(|key| spec.options.get(*key) == Some(&Value::Bool(true)))
}

/// Whether an option is set to something that JavaScript takes for true.
pub fn flag(spec: &InputSpec, key: &str) -> bool {
    spec.options.get(key).is_some_and(truthy)
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(told) => *told,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// What a fresh widget for this input holds.
fn default_of(spec: &InputSpec) -> Option<Value> {
    let told = spec.options.get("default").filter(|told| !told.is_null());
    let fallback = match &spec.kind {
        InputKind::Int | InputKind::Float => json!(0),
        InputKind::String => json!(""),
        InputKind::Boolean => json!(false),
        InputKind::Combo(choices) => {
            let first = choices.first().cloned();
            let remote = || spec.options.contains_key("remote").then(|| json!("Loading..."));
            return told.filter(|told| truthy(told)).cloned().or(first).or_else(remote);
        }
        InputKind::Other(kind) => match kind.as_str() {
            "COMBO" => {
                let remote = spec.options.contains_key("remote").then(|| json!("Loading..."));
                return told.filter(|told| truthy(told)).cloned().or(remote);
            }
            "COMFY_DYNAMICCOMBO_V3" => {
                let options = spec.options.get("options").and_then(Value::as_array);
                return options.and_then(|options| options.first()?.get("key").cloned());
            }
            "COLOR" => {
                let nested = spec.options.get("options").and_then(|options| options.get("default"));
                return Some(nested.cloned().unwrap_or_else(|| json!("#000000")));
            }
            _ => json!(""),
        },
    };
    Some(told.cloned().unwrap_or(fallback))
}

/// The values without those of inputs that only links fill by now; none when there is nothing to pass over.
fn without_forced<'s>(
    types: &mut Catalogue<'s>,
    class_type: &'s str,
    schema: &'s NodeSchema,
    values: &[Value],
) -> Option<Vec<Value>> {
    if !schema.inputs().any(|(_, spec, _)| flag(spec, "forceInput")) {
        return None;
    }
    let inputs: Vec<_> = schema.inputs().collect();
    let fresh = Drawn::new(types, class_type, schema, Given::Nothing);
    let upload = fresh
        .widgets
        .iter()
        .filter(|widget| matches!(&*widget.name, "upload" | "audioUI") && widget.spec.is_none());
    let extra = upload.count();
    let original: Vec<_> = inputs
        .iter()
        .filter(|(name, spec, _)| flag(spec, "forceInput") || fresh.widget(name).is_some())
        .collect();
    // With its control a seed has two values.
    let count: usize = original
        .iter()
        .map(|(name, spec, _)| {
            if flag(spec, "control_after_generate") || matches!(*name, "seed" | "noise_seed") { 2 } else { 1 }
        })
        .sum();
    if count + extra != values.len() {
        return None;
    }
    let forced: Vec<bool> = original.iter().map(|(_, spec, _)| flag(spec, "forceInput")).collect();
    let kept = values.iter().enumerate().filter(|(at, _)| !forced.get(*at).copied().unwrap_or(false));
    Some(kept.map(|(_, value)| value.clone()).collect())
}

/// The values of `widgets_values` when it is a map.
pub fn named(map: &Map<String, Value>) -> impl Fn(&str) -> Option<Value> {
    |name| map.get(name).cloned()
}
