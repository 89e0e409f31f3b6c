//! The slots and widgets that the editor creates for a node from the schema of its type, in order.
//!
//! The rules are those of the frontend (1.27 to 1.35), found by asking it; `docs/ui-format.md` lists them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema};
use serde_json::{Map, Value, json};

use crate::frontend::FrontendVersion;
use crate::text::{as_textarea, upload_path};

/// How deep `COMFY_DYNAMICCOMBO_V3` inputs may be nested.
const MAX_CHOICES: usize = 16;
/// How many slots a `COMFY_AUTOGROW_V3` input may begin with.
const MAX_GROWN: u64 = 1_000;

/// The slots and widgets of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EditorNode<'s> {
    /// The input slots: those without a widget first.
    pub slots: Vec<Slot<'s>>,
    /// The widgets, from top to bottom.
    pub widgets: Vec<Widget<'s>>,
    /// The names of inputs that grow: links may add slots called `name.` and more.
    pub growing: Vec<String>,
    /// The names of widgets whose value determines the slots and widgets called `name.` and more.
    pub deciding: Vec<String>,
}

/// An input slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot<'s> {
    /// The input's name.
    pub name: Cow<'s, str>,
    /// The types that it accepts, separated by commas.
    pub kind: Cow<'s, str>,
    /// Whether the input is optional.
    pub optional: bool,
    /// Whether a widget of the same name has the value when nothing is linked.
    pub widget: bool,
}

/// A widget.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget<'s> {
    /// The name of the input, or that of a widget that the editor adds.
    pub name: Cow<'s, str>,
    /// The schema of the input; None for a widget that the editor adds.
    pub spec: Option<Cow<'s, InputSpec>>,
    /// The value. None is JavaScript's undefined: a combo without any options.
    pub value: Option<Value>,
    /// Whether `widgets_values` has an entry for it.
    pub saved: bool,
    /// Whether a prompt has an entry for it.
    pub sent: bool,
}

/// The values to assign to widgets.
pub enum WidgetValues<'v> {
    /// None: all widgets keep their defaults.
    Defaults,
    /// A list, in the order of the widgets that are saved.
    List(&'v [Value]),
    /// By name, as some custom nodes save them, and as prompts have them.
    Named(&'v dyn Fn(&str) -> Option<Value>),
}

/// The node types of a graph, each prepared once.
pub struct NodeTypes<'s> {
    frontend: FrontendVersion,
    entries: HashMap<&'s str, Rc<[(&'s str, Entry<'s>)]>>,
}

impl<'s> NodeTypes<'s> {
    /// Creates an empty cache.
    pub fn new(frontend: FrontendVersion) -> Self {
        Self { frontend, entries: HashMap::new() }
    }

    fn entries(&mut self, class_type: &'s str, schema: &'s NodeSchema) -> Rc<[(&'s str, Entry<'s>)]> {
        Rc::clone(self.entries.entry(class_type).or_insert_with(|| entries(class_type, schema).into()))
    }
}

impl<'s> EditorNode<'s> {
    /// Creates the node of this type and schema, and assigns the values of a file or a prompt to its widgets.
    pub fn new(
        types: &mut NodeTypes<'s>,
        class_type: &'s str,
        schema: &'s NodeSchema,
        given: WidgetValues<'_>,
    ) -> Self {
        let entries = types.entries(class_type, schema);
        let mut builder = Builder { frontend: types.frontend, node: Self::default(), given, taken: 0 };
        builder.build(class_type, &entries);
        builder.node
    }

    /// Creates the node of a file, from the list in `widgets_values`.
    ///
    /// Files from before frontend 1.16 have a value also for each input with `forceInput`. As the editor does, this detects
    /// them by the number of values, and skips those values.
    pub fn from_list(
        types: &mut NodeTypes<'s>,
        class_type: &'s str,
        schema: &'s NodeSchema,
        values: &[Value],
    ) -> Self {
        match without_forced(types, class_type, schema, values) {
            Some(values) => Self::new(types, class_type, schema, WidgetValues::List(&values)),
            None => Self::new(types, class_type, schema, WidgetValues::List(values)),
        }
    }

    /// Finds the widget of this name.
    pub fn widget(&self, name: &str) -> Option<&Widget<'s>> {
        self.widgets.iter().find(|widget| widget.name == name)
    }

    /// Finds the slot of this name.
    pub fn slot(&self, name: &str) -> Option<&Slot<'s>> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}

impl Widget<'_> {
    /// Assigns a value, normalized as the editor does.
    pub fn assign(&mut self, value: Value) {
        self.value = Some(match &self.spec {
            Some(spec) if is_textarea(spec) => as_textarea(value),
            Some(spec) if uploads(spec) => upload_path(value, self.value.as_ref(), spec),
            _ => value,
        });
    }
}

/// An input of a type, or a widget that one of the editor's extensions adds.
#[derive(Clone, Copy)]
enum Entry<'s> {
    Spec(&'s InputSpec, bool),
    /// An audio player: not saved, sent as an empty string.
    Player,
    /// A 3D view: saved and sent as an empty string.
    View,
    /// A button that opens a file.
    Button(&'static str),
}

/// The inputs in the order of the editor: that of `input_order` where it is given, then the others.
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

/// Creates one node, from top to bottom.
struct Builder<'s, 'v> {
    frontend: FrontendVersion,
    node: EditorNode<'s>,
    given: WidgetValues<'v>,
    /// How many values of the list are assigned.
    taken: usize,
}

impl<'s> Builder<'s, '_> {
    fn build(&mut self, class_type: &str, entries: &[(&'s str, Entry<'s>)]) {
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

    /// Adds the slot of an input without a widget, or the slots of a V3 input.
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

    /// Adds a slot, or a widget with its slot.
    fn input(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if depth > MAX_CHOICES {
            return;
        }
        self.socket(name.clone(), spec.clone(), optional, depth);
        self.widget(name, spec, optional, depth);
    }

    fn slot(&mut self, slot: Slot<'s>) {
        if self.node.slot(&slot.name).is_none() {
            self.node.slots.push(slot);
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
        self.node.widgets.push(widget);
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
            self.node.deciding.push(name.to_string());
            self.chosen(&name, &spec, chosen.as_ref(), depth);
        }
    }

    /// Adds the inputs of the selected option.
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

    /// Adds the first slots of an input that grows.
    fn growing(&mut self, name: &str, spec: &InputSpec, depth: usize) {
        self.node.growing.push(name.to_owned());
        let least = template(spec, "min").and_then(Value::as_u64).unwrap_or(1).min(MAX_GROWN);
        for ordinal in 0..least {
            for (key, inner, optional) in grown_specs(spec) {
                let Some(slot) = grown_name(name, spec, ordinal, key) else { continue };
                self.input(Cow::Owned(slot), Cow::Owned(inner), optional, depth + 1);
            }
        }
    }

    /// `PreviewAny`: a text preview; in newer frontends two, and a switch between them.
    fn preview(&mut self) {
        self.editor_widget("preview", json!(""), false, true);
        if self.frontend == FrontendVersion::V1_35 {
            self.editor_widget("preview", json!(""), false, true);
            self.editor_widget("previewMode", json!(false), true, true);
        }
    }

    /// `CustomCombo`: a string for each option, and an empty one at the end.
    fn own_options(&mut self) {
        let most = if let WidgetValues::List(list) = &self.given { list.len() + 1 } else { 1 };
        for number in 1..=most {
            let value = self.take(&format!("option{number}")).unwrap_or_else(|| json!(""));
            let empty = value.as_str().is_some_and(str::is_empty) || value.is_null();
            let name = Cow::Owned(format!("option{number}"));
            self.node.widgets.push(Widget { name, spec: None, value: Some(value), saved: true, sent: true });
            if empty {
                break;
            }
        }
    }

    fn editor_widget(&mut self, name: &str, default: Value, saved: bool, sent: bool) {
        // A prompt has values for widgets that are sent, and for no others.
        let named = matches!(self.given, WidgetValues::Named(_));
        let value = if saved && (sent || !named) { self.take(name) } else { None };
        let value = Some(value.unwrap_or(default));
        self.node.widgets.push(Widget { name: Cow::Owned(name.to_owned()), spec: None, value, saved, sent });
    }

    /// Takes the next value. With a list, the name does not matter.
    fn take(&mut self, name: &str) -> Option<Value> {
        match &self.given {
            WidgetValues::Defaults => None,
            WidgetValues::List(list) => {
                self.taken += 1;
                list.get(self.taken - 1).cloned()
            }
            WidgetValues::Named(named) => named(name),
        }
    }
}

/// The inputs in one group of an input that grows: name, schema, and whether it is optional.
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

/// The name of a slot of an input that grows. None beyond its end.
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

/// Returns whether the editor creates a widget for this kind of input.
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

/// The type that slots show, borrowed where the schema is.
fn kind_of<'s>(spec: &Cow<'s, InputSpec>) -> Cow<'s, str> {
    match spec {
        Cow::Borrowed(spec) => Cow::Borrowed(type_name(spec)),
        Cow::Owned(spec) => Cow::Owned(type_name(spec).to_owned()),
    }
}

/// The type that slots show.
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

/// Returns whether the widget is a text area, which converts every value to a string.
pub fn is_textarea(spec: &InputSpec) -> bool {
    match &spec.kind {
        InputKind::String => flag(spec, "multiline"),
        InputKind::Other(kind) => matches!(kind.as_str(), "MARKDOWN" | "TEXTAREA"),
        _ => false,
    }
}

/// Returns whether files can be uploaded for this combo.
pub fn uploads(spec: &InputSpec) -> bool {
    type_name(spec) == "COMBO"
        && ["image_upload", "video_upload", "animated_image_upload"]
            .iter()
            .any(|key| spec.options.get(*key) == Some(&Value::Bool(true)))
}

/// Returns whether an option is truthy in JavaScript.
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

/// The value of a new widget for this input.
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

/// The values without those of `forceInput` inputs. None if there is nothing to skip.
fn without_forced<'s>(
    types: &mut NodeTypes<'s>,
    class_type: &'s str,
    schema: &'s NodeSchema,
    values: &[Value],
) -> Option<Vec<Value>> {
    if !schema.inputs().any(|(_, spec, _)| flag(spec, "forceInput")) {
        return None;
    }
    let inputs: Vec<_> = schema.inputs().collect();
    let fresh = EditorNode::new(types, class_type, schema, WidgetValues::Defaults);
    let upload = fresh
        .widgets
        .iter()
        .filter(|widget| matches!(&*widget.name, "upload" | "audioUI") && widget.spec.is_none());
    let extra = upload.count();
    let original: Vec<_> = inputs
        .iter()
        .filter(|(name, spec, _)| flag(spec, "forceInput") || fresh.widget(name).is_some())
        .collect();
    // With its control widget, a seed has two values.
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

/// Looks up the values of `widgets_values` when it is a map.
pub fn named(map: &Map<String, Value>) -> impl Fn(&str) -> Option<Value> {
    |name| map.get(name).cloned()
}
