//! Creates the slots and widgets of a node from its schema and the rules of the frontend, and assigns their values.
//!
//! The editor creates a node with default values first and assigns the saved ones afterwards. A value may add widgets (a
//! dynamic combo), and so may a link (an autogrow input). Creation and assignment are therefore one pass here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use comfy_runner_protocol::object_info::{
    DynamicInput, InputKind, InputSpec, NodeSchema, POWER_LORA_LOADER, POWER_LORA_LOADER_WIDGETS, Requirement,
};
use serde_json::{Value, json};

use crate::autogrow::Group;
use crate::rules::{AddedWidgets, ExtraWidget, Nodes, Rules, Sent, WidgetType};
use crate::widgets::{EditorNode, Slot, Widget, WidgetValues, flag, truthy};

/// The depth to which dynamic inputs may be nested.
const MAX_DEPTH: usize = 16;

/// The largest number of a slot of rgthree's loader of LoRAs.
const MOST_LORAS: usize = 100;

/// The node types of a graph, each prepared once.
pub struct NodeTypes<'s> {
    rules: &'static Rules,
    entries: HashMap<&'s str, Rc<[Entry<'s>]>>,
}

/// An input of a node type, or one that an extension adds.
struct Entry<'s> {
    name: &'s str,
    spec: Cow<'s, InputSpec>,
    optional: bool,
}

impl<'s> NodeTypes<'s> {
    /// Creates an empty cache.
    pub fn new(rules: &'static Rules) -> Self {
        Self { rules, entries: HashMap::new() }
    }

    /// Returns the rules for creating nodes.
    pub fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// Creates a node and assigns its values. `linked` lists the inputs with a link, in the order of the node.
    pub fn create(
        &mut self,
        class_type: &'s str,
        schema: &'s NodeSchema,
        values: WidgetValues<'_>,
        linked: &[&str],
    ) -> EditorNode<'s> {
        let rules = self.rules;
        let entries =
            self.entries.entry(class_type).or_insert_with(|| entries(rules, class_type, schema).into());
        let entries = Rc::clone(entries);
        let mut builder =
            Builder { rules, node: EditorNode::default(), groups: Vec::new(), values, assigned: 0, linked };
        builder.build(class_type, &entries);
        builder.node
    }

    /// Creates a node of a file, from the list in `widgets_values`.
    ///
    /// Files from before frontend 1.16 have a value also for each input with `forceInput`. As the editor does, this
    /// detects them by the number of values, and skips those values.
    pub fn create_from_list(
        &mut self,
        class_type: &'s str,
        schema: &'s NodeSchema,
        values: &[Value],
        linked: &[&str],
    ) -> EditorNode<'s> {
        match self.without_forced(class_type, schema, values) {
            Some(values) => self.create(class_type, schema, WidgetValues::List(&values), linked),
            None => self.create(class_type, schema, WidgetValues::List(values), linked),
        }
    }

    /// Returns the values without those of `forceInput` inputs. None if there is nothing to skip.
    fn without_forced(
        &mut self,
        class_type: &'s str,
        schema: &'s NodeSchema,
        values: &[Value],
    ) -> Option<Vec<Value>> {
        if !schema.inputs().any(|(_, spec, _)| spec.forces_input()) {
            return None;
        }
        let node = self.create(class_type, schema, WidgetValues::Defaults, &[]);
        let upload = node.widgets.iter().filter(|widget| {
            matches!(&*widget.name, "upload" | "audioUI") && schema.input(&widget.name).is_none()
        });
        let extra = upload.count();
        let original: Vec<_> = schema
            .inputs()
            .filter(|(name, spec, _)| spec.forces_input() || node.widget(name).is_some())
            .collect();
        // With its control widget, a seed has two values.
        let count: usize = original
            .iter()
            .map(|(name, spec, _)| {
                if flag(spec, "control_after_generate") || matches!(*name, "seed" | "noise_seed") {
                    2
                } else {
                    1
                }
            })
            .sum();
        if count + extra != values.len() {
            return None;
        }
        let forced: Vec<bool> = original.iter().map(|(_, spec, _)| spec.forces_input()).collect();
        let kept = values.iter().enumerate().filter(|(at, _)| !forced.get(*at).copied().unwrap_or(false));
        Some(kept.map(|(_, value)| value.clone()).collect())
    }
}

/// Returns the inputs in the order of the editor: those in `input_order`, then the others.
fn entries<'s>(rules: &Rules, class_type: &str, schema: &'s NodeSchema) -> Vec<Entry<'s>> {
    let declared = |wanted: Requirement| {
        schema.inputs().filter(move |(.., requirement)| *requirement == wanted).map(
            |(name, spec, requirement)| Entry {
                name,
                spec: Cow::Borrowed(spec),
                optional: requirement == Requirement::Optional,
            },
        )
    };
    let mut all: Vec<Entry<'s>> = declared(Requirement::Required).collect();
    for added in rules.added_inputs.iter().copied().flatten() {
        if is_changed(&added.nodes, class_type, schema) && !all.iter().any(|entry| entry.name == added.name) {
            // A type name and no options are a valid spec.
            let Ok(spec) = serde_json::from_value(json!([added.input_type, {}])) else { continue };
            all.push(Entry { name: added.name, spec: Cow::Owned(spec), optional: false });
        }
    }
    all.extend(declared(Requirement::Optional));
    let mut places = HashMap::new();
    for (section, optional) in [("required", false), ("optional", true)] {
        let order = schema.other.get("input_order").and_then(|order| order.get(section)?.as_array());
        for name in order.into_iter().flatten().filter_map(Value::as_str) {
            let next = places.len();
            places.entry((name, optional)).or_insert(next);
        }
    }
    all.sort_by_key(|entry| places.get(&(entry.name, entry.optional)).copied().unwrap_or(usize::MAX));
    all
}

/// Returns whether an extension changes the node type.
fn is_changed(nodes: &Nodes, class_type: &str, schema: &NodeSchema) -> bool {
    let is_true = |spec: &InputSpec, key: &str| spec.options.get(key) == Some(&Value::Bool(true));
    match nodes {
        Nodes::Named(names) => names.contains(&class_type),
        Nodes::WithComboOption(keys) => schema
            .input
            .required
            .values()
            .any(|spec| spec.type_name() == "COMBO" && keys.iter().any(|key| is_true(spec, key))),
        Nodes::WithInputOption(name, key) => {
            schema.input.required.get(*name).is_some_and(|spec| is_true(spec, key))
        }
    }
}

/// Creates one node, from top to bottom.
struct Builder<'s, 'v> {
    rules: &'static Rules,
    node: EditorNode<'s>,
    /// The inputs that grow.
    groups: Vec<Group<'s>>,
    values: WidgetValues<'v>,
    /// The number of values of the list that are assigned.
    assigned: usize,
    linked: &'v [&'v str],
}

impl<'s> Builder<'s, '_> {
    fn build(&mut self, class_type: &str, entries: &[Entry<'s>]) {
        for entry in entries {
            self.socket(Cow::Borrowed(entry.name), entry.spec.clone(), entry.optional, 0);
        }
        for entry in entries {
            self.widget(Cow::Borrowed(entry.name), entry.spec.clone(), entry.optional, 0);
        }
        for added in self.rules.added_widgets.iter().filter(|added| added.node == class_type) {
            self.added(added);
        }
        if class_type == POWER_LORA_LOADER {
            self.lora_slots();
        }
        self.grow();
    }

    /// Adds the slot of an input without a widget, or the slots of a V3 input.
    fn socket(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if self.rules.has_widget(&spec) && !spec.forces_input() {
            return;
        }
        if let Some(group) = Group::new(&name, &spec) {
            self.node.growing.push(name.into_owned());
            for ordinal in 0..group.initial(self.rules.spare_groups) {
                self.group(&group, ordinal, depth);
            }
            self.groups.push(group);
        } else if let Some(template) = spec.match_template() {
            let options = Value::Object(spec.options.clone());
            if let Ok(spec) = serde_json::from_value(json!([template.allowed_types, options])) {
                self.input(name, Cow::Owned(spec), optional, depth + 1);
            }
        } else {
            let kind = kind_of(&spec);
            self.slot(Slot { name, kind, optional, widget: false });
        }
    }

    /// Adds a slot, or a widget with its slot.
    fn input(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if depth > MAX_DEPTH {
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

    /// Adds the widget of an input, with the widgets that belong to it.
    fn widget(&mut self, name: Cow<'s, str>, spec: Cow<'s, InputSpec>, optional: bool, depth: usize) {
        if !self.rules.has_widget(&spec) || spec.forces_input() {
            return;
        }
        let widget_type = self.rules.widget_type(widget_type_name(&spec));
        if let Some(widget_type) = widget_type {
            let needed = widget_type.before_if;
            if needed.is_none_or(|needed| self.node.widget(needed).is_some()) {
                widget_type.before.iter().for_each(|extra| self.extra(extra, None));
            }
        }
        let mut widget = Widget {
            name: name.clone(),
            value: default_of(&spec, widget_type),
            spec: Some(spec.clone()),
            saved: widget_type.is_none_or(|widget_type| widget_type.saved),
            sent: widget_type.map_or(Sent::Yes, |widget_type| widget_type.sent),
        };
        if let Some(value) = self.next_value(&name, widget.saved, widget.sent) {
            widget.assign(value, self.rules);
        }
        let value = widget.value.clone();
        self.node.widgets.push(widget);
        if !spec.is_socketless() {
            let kind = kind_of(&spec);
            self.slot(Slot { name: name.clone(), kind, optional, widget: true });
        }
        if let Some(widget_type) = widget_type {
            widget_type.after.iter().for_each(|extra| self.extra(extra, value.as_ref()));
        }
        self.companions(&name, &spec);
        for (name, spec) in value.iter().flat_map(|selected| spec.option_widgets(selected)) {
            self.option_widget(name, spec);
        }
        if let Some(DynamicInput::Combo(_)) = spec.dynamic() {
            self.node.deciding.push(name.to_string());
            self.chosen(&name, spec, value.as_ref(), depth);
        }
    }

    /// Adds a widget that the selected value of a combo declares. It has no slot.
    fn option_widget(&mut self, name: String, spec: InputSpec) {
        let value = default_of(&spec, self.rules.widget_type(widget_type_name(&spec)));
        let given = self.next_value(&name, true, Sent::Yes);
        let (name, spec) = (Cow::Owned(name), Some(Cow::Owned(spec)));
        let mut widget = Widget { name, spec, value, saved: true, sent: Sent::Yes };
        if let Some(given) = given {
            widget.assign(given, self.rules);
        }
        self.node.widgets.push(widget);
    }

    /// Adds the numbered slots of rgthree's loader of LoRAs, and the widgets around them where there are values for
    /// them. A list has the slots in order, and they are numbered anew.
    fn lora_slots(&mut self) {
        let is_lora = |value: &Value| value.get("lora").is_some();
        let [header, button] = POWER_LORA_LOADER_WIDGETS;
        let (above, slots, below) = match &self.values {
            WidgetValues::Defaults => return,
            WidgetValues::List(list) => {
                let is_header = |value: &&Value| value.get("type").and_then(Value::as_str) == Some(header);
                let slots = list.iter().filter(|value| is_lora(value)).cloned().zip(1..);
                let slots: Vec<_> = slots.map(|(value, number)| (format!("lora_{number}"), value)).collect();
                let below = list.last().filter(|value| **value == "");
                (list.iter().find(is_header).cloned(), slots, below.cloned())
            }
            WidgetValues::Named(named) => {
                let names = (1..=MOST_LORAS).map(|number| format!("lora_{number}"));
                let slots = names.filter_map(|name| Some((named(&name).filter(is_lora)?, name)));
                (named(header), slots.map(|(value, name)| (name, value)).collect(), named(button))
            }
        };
        let above = above.map(|value| (header.to_owned(), value));
        let below = below.map(|value| (button.to_owned(), value));
        for (name, value) in above.into_iter().chain(slots).chain(below) {
            self.push_extra(Cow::Owned(name), value, true, Sent::Yes);
        }
    }

    /// Adds the widgets that options of the schema ask for.
    fn companions(&mut self, name: &str, spec: &InputSpec) {
        let is_combo = spec.type_name() == "COMBO";
        if let Some(remote) = spec.options.get("remote").and_then(Value::as_object).filter(|_| is_combo) {
            self.editor_widget("Auto-refresh after generation", json!(false), true, false);
            if remote.get("refresh_button").and_then(Value::as_bool) == Some(true) {
                self.editor_widget("refresh", json!("refresh"), true, true);
            }
        }
        if self.is_controlled(name, spec) {
            self.editor_widget("control_after_generate", json!("randomize"), true, false);
            if is_combo {
                self.editor_widget("control_filter_list", json!(""), true, false);
            }
        }
    }

    fn is_controlled(&self, name: &str, spec: &InputSpec) -> bool {
        let declared = spec.options.get("control_after_generate").filter(|declared| !declared.is_null());
        match (&spec.kind, declared) {
            (InputKind::Int | InputKind::Combo(_), Some(declared)) => truthy(declared),
            (InputKind::Float, Some(declared)) => self.rules.controls_floats && truthy(declared),
            (InputKind::Int, None) => matches!(name, "seed" | "noise_seed"),
            _ => false,
        }
    }

    /// Adds the inputs of the selected option.
    fn chosen(&mut self, name: &str, spec: Cow<'s, InputSpec>, value: Option<&Value>, depth: usize) {
        let mut add = |inputs: Vec<(String, Cow<'s, InputSpec>, bool)>| {
            for (name, spec, optional) in inputs {
                self.input(Cow::Owned(name), spec, optional, depth + 1);
            }
        };
        match spec {
            Cow::Borrowed(spec) => add(option_inputs(name, spec, value, Cow::Borrowed)),
            Cow::Owned(spec) => add(option_inputs(name, &spec, value, |spec| Cow::Owned(spec.clone()))),
        }
    }

    /// Adds one group of slots of an input that grows.
    fn group(&mut self, group: &Group<'s>, ordinal: u64, depth: usize) {
        for (name, spec, optional) in group.inputs(ordinal) {
            self.input(Cow::Owned(name), spec, optional, depth + 1);
        }
    }

    /// Adds a group after each one that has a link, as the editor does when it connects the links of a file. The widgets
    /// of these groups come last.
    fn grow(&mut self) {
        for at in 0..self.groups.len() {
            for linked in self.linked {
                let group = self.groups[at].clone();
                let Some(next) = group.ordinal(linked).map(|ordinal| ordinal + 1) else { continue };
                let is_new =
                    group.inputs(next).first().is_some_and(|(name, ..)| self.node.slot(name).is_none());
                if is_new {
                    self.group(&group, next, 0);
                }
            }
        }
    }

    /// Adds the widgets of an extension.
    fn added(&mut self, added: &AddedWidgets) {
        let first = self.node.widgets.first().and_then(|widget| widget.value.clone());
        added.widgets.iter().for_each(|extra| self.extra(extra, None));
        let Some(prefix) = added.numbered else { return };
        let count = if let WidgetValues::List(list) = &self.values { list.len() + 1 } else { usize::MAX };
        let mut options = Vec::new();
        for number in 1..=count {
            let name = format!("{prefix}{number}");
            let value = self.next_value(&name, true, Sent::Yes).unwrap_or_else(|| json!(""));
            let is_last = !truthy(&value);
            options.push(value.clone());
            self.push_extra(Cow::Owned(name), value, true, Sent::Yes);
            if is_last {
                break;
            }
        }
        let position = options.iter().position(|option| Some(option) == first.as_ref());
        let widget = self.node.widgets.iter_mut().find(|widget| Some(&*widget.name) == added.position);
        if let Some(widget) = widget {
            widget.value = Some(position.map_or(json!(-1), |position| json!(position)));
        }
    }

    /// Adds a widget of a table. `owner` is the value of the widget that it belongs to, which may have a field for it.
    fn extra(&mut self, extra: &ExtraWidget, owner: Option<&Value>) {
        let field = owner.and_then(|owner| owner.get(extra.name)).cloned();
        let value = field.or_else(|| serde_json::from_str(extra.value).ok()).unwrap_or_default();
        self.editor_widget(extra.name, value, extra.saved, extra.sent);
    }

    fn editor_widget(&mut self, name: &'static str, default: Value, saved: bool, sent: bool) {
        let sent = if sent { Sent::Yes } else { Sent::No };
        let value = self.next_value(name, saved, sent).unwrap_or(default);
        self.push_extra(Cow::Borrowed(name), value, saved, sent);
    }

    fn push_extra(&mut self, name: Cow<'s, str>, value: Value, saved: bool, sent: Sent) {
        self.node.widgets.push(Widget { name, spec: None, value: Some(value), saved, sent });
    }

    /// Takes the value of the next widget. A list has values for widgets that are saved, whatever their names; a map
    /// has values for those that are sent.
    fn next_value(&mut self, name: &str, saved: bool, sent: Sent) -> Option<Value> {
        match &self.values {
            WidgetValues::List(list) if saved => {
                self.assigned += 1;
                list.get(self.assigned - 1).cloned()
            }
            WidgetValues::Named(named) if sent != Sent::No => named(name),
            _ => None,
        }
    }
}

/// Returns the inputs of the selected option of a dynamic combo: name, schema, and whether it is optional.
fn option_inputs<'a, 's>(
    name: &str,
    spec: &'a InputSpec,
    value: Option<&Value>,
    keep: impl Fn(&'a InputSpec) -> Cow<'s, InputSpec>,
) -> Vec<(String, Cow<'s, InputSpec>, bool)> {
    let Some(DynamicInput::Combo(options)) = spec.dynamic() else { return Vec::new() };
    let option = options.iter().rev().find(|option| Some(&option.key) == value);
    let inputs = option.into_iter().flat_map(|option| option.inputs.iter());
    inputs
        .map(|(key, spec, requirement)| {
            (format!("{name}.{key}"), keep(spec), requirement == Requirement::Optional)
        })
        .collect()
}

impl Rules {
    /// Returns whether the editor creates a widget for this input.
    pub fn has_widget(&self, spec: &InputSpec) -> bool {
        match widget_type_name(spec) {
            "INT" | "FLOAT" | "STRING" | "BOOLEAN" | "COMBO" | "COMFY_DYNAMICCOMBO_V3" => true,
            name => self.widget_type(name).is_some(),
        }
    }
}

/// Returns the type that determines the widget of an input.
fn widget_type_name(spec: &InputSpec) -> &str {
    spec.options.get("widgetType").and_then(Value::as_str).unwrap_or_else(|| spec.type_name())
}

/// Returns the type that slots show, borrowed if the schema is borrowed.
fn kind_of<'s>(spec: &Cow<'s, InputSpec>) -> Cow<'s, str> {
    match spec {
        Cow::Borrowed(spec) => Cow::Borrowed(spec.type_name()),
        Cow::Owned(spec) => Cow::Owned(spec.type_name().to_owned()),
    }
}

/// Returns the value of a new widget for this input.
fn default_of(spec: &InputSpec, widget_type: Option<&WidgetType>) -> Option<Value> {
    let declared = spec.options.get("default").filter(|declared| !declared.is_null());
    if let Some(widget_type) = widget_type {
        let nested = || spec.options.get("options").and_then(|options| options.get("default"));
        let declared = declared.or_else(nested).filter(|_| widget_type.reads_default);
        return declared.cloned().or_else(|| serde_json::from_str(widget_type.value).ok());
    }
    if let Some(DynamicInput::Combo(options)) = spec.dynamic() {
        return options.first().map(|option| option.key.clone());
    }
    let fallback = match widget_type_name(spec) {
        "INT" | "FLOAT" => json!(0),
        "BOOLEAN" => json!(false),
        "COMBO" => {
            if flag(spec, "multi_select") {
                return Some(json!([]));
            }
            let first =
                if let InputKind::Combo(choices) = &spec.kind { choices.first().cloned() } else { None };
            let remote = || spec.options.contains_key("remote").then(|| json!("Loading..."));
            return declared.filter(|declared| truthy(declared)).cloned().or(first).or_else(remote);
        }
        _ => json!(""),
    };
    Some(declared.cloned().unwrap_or(fallback))
}
