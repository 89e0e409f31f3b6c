//! The behaviour of the frontend's widgets that node schemas do not describe, as data: one table per frontend version.
//!
//! The tables state facts about `comfyui-frontend-package`: the input types that its widgets and extensions register, and
//! the inputs and widgets that its extensions add to node types. A node type that no table names follows its schema.

mod v1_27;
mod v1_35;
mod v1_49;
mod v1_58;

pub(crate) use v1_27::V1_27;
pub(crate) use v1_35::V1_35;
pub(crate) use v1_49::V1_49;
pub(crate) use v1_58::V1_58;

/// The rules of one frontend version.
pub(crate) struct Rules {
    /// The input types that have a widget, in addition to INT, FLOAT, STRING, BOOLEAN, COMBO and
    /// `COMFY_DYNAMICCOMBO_V3`, which have one in every version. The first table with a type takes precedence.
    pub widget_types: &'static [&'static [WidgetType]],
    /// Inputs that extensions add to node types, in order.
    pub added_inputs: &'static [&'static [AddedInput]],
    /// Widgets that extensions add to a node after those of its inputs.
    pub added_widgets: &'static [AddedWidgets],
    /// Titles of node types that differ from the `display_name` of the schema.
    pub titles: &'static [Title],
    /// The types whose `filename_prefix` may contain `%node.widget%` patterns.
    pub filename_patterns: &'static [&'static str],
    /// The number of groups of slots that an autogrow input has in addition to the `min` of its template.
    pub spare_groups: u64,
    /// The normalization of a value that is assigned to a widget.
    pub normalization: Normalization,
    /// Whether FLOAT inputs may have a `control_after_generate` widget.
    pub controls_floats: bool,
    /// Whether a muted or bypassed subgraph of the root graph is left out with everything in it. One inside a subgraph is
    /// expanded in any case.
    pub skips_inactive_subgraphs: bool,
    /// Whether a node inside a subgraph gets a new id if another node of the graph has its id.
    pub unique_node_ids: bool,
    /// Whether an input of the subgraph replaces a primitive node inside it when an instance promotes the node's widget.
    pub promotes_primitives: bool,
    /// Whether the values of promoted widgets are listed in the order of the subgraph's inputs.
    pub promoted_in_input_order: bool,
    /// Whether a promoted widget also gives its value to linked inputs that have no widget.
    pub promotes_to_slots: bool,
    /// Whether `_meta` has the node pack of a node and its version, as the node's properties have them.
    pub sends_node_pack: bool,
}

/// The normalization of a value that is assigned to a widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Normalization {
    /// None.
    None,
    /// A text area converts other values to strings.
    TextAreas,
    /// A text area converts values to strings with `\n` line ends, and a file widget normalizes paths.
    TextAreasAndPaths,
}

/// An input type that has a widget.
pub(crate) struct WidgetType {
    /// The type's name.
    pub name: &'static str,
    /// The value of a new widget as JSON, for a schema without a `default`.
    pub value: &'static str,
    /// Whether a `default` of the schema takes precedence over `value`.
    pub reads_default: bool,
    /// Whether `widgets_values` has an entry for it.
    pub saved: bool,
    /// Whether and how a prompt has an entry for it.
    pub sent: Sent,
    /// Widgets before it.
    pub before: &'static [ExtraWidget],
    /// The widgets before it exist only on nodes that have a widget of this name.
    pub before_if: Option<&'static str>,
    /// Widgets after it.
    pub after: &'static [ExtraWidget],
}

/// The form of a widget's value in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is not sent.
    No,
    /// Unchanged. A list is wrapped in `{"__value__": ...}`.
    Yes,
    /// Unchanged. A list is wrapped with this type: `{"__type__": ..., "__value__": ...}`.
    Typed(&'static str),
    /// Wrapped with this type, unless it is null.
    AlwaysTyped(&'static str),
    /// As a 3D view: the camera of the node's properties, and images that the browser renders for some nodes.
    View,
    /// As a value that the browser creates from a device: a camera image, a recording.
    Browser,
}

/// A widget that does not belong to an input.
pub(crate) struct ExtraWidget {
    pub name: &'static str,
    /// Its value as JSON.
    pub value: &'static str,
    pub saved: bool,
    pub sent: bool,
}

/// An input that an extension adds to the required inputs of node types.
pub(crate) struct AddedInput {
    pub nodes: Nodes,
    pub name: &'static str,
    pub input_type: &'static str,
}

/// The node types that an extension changes.
pub(crate) enum Nodes {
    /// By name.
    Named(&'static [&'static str]),
    /// Those that have a required combo with one of these options set to true.
    WithComboOption(&'static [&'static str]),
    /// Those that have this required input with this option set to true.
    WithInputOption(&'static str, &'static str),
}

/// Widgets that an extension adds to nodes of a type.
pub(crate) struct AddedWidgets {
    pub node: &'static str,
    pub widgets: &'static [ExtraWidget],
    /// The names of further string widgets begin with this, followed by a number from 1. There is one more than there are
    /// values: the last one is empty.
    pub numbered: Option<&'static str>,
    /// One of `widgets` that holds the position of the first widget's value among the numbered ones, from 0.
    pub position: Option<&'static str>,
}

/// A title of a node type that differs from the `display_name` of its schema: the frontend has its own names, from the
/// version of ComfyUI that it was built for.
pub(crate) struct Title {
    pub node: &'static str,
    /// The `display_name` that the frontend replaces. None for a schema without one.
    pub declared: Option<&'static str>,
    pub title: &'static str,
}

impl Rules {
    /// Returns the entry of an input type, if it has one.
    pub fn widget_type(&self, name: &str) -> Option<&'static WidgetType> {
        self.widget_types.iter().copied().flatten().find(|row| row.name == name)
    }
}

const fn widget(name: &'static str, value: &'static str) -> WidgetType {
    let (before, after) = (&[], &[]);
    WidgetType {
        name,
        value,
        reads_default: true,
        saved: true,
        sent: Sent::Yes,
        before,
        before_if: None,
        after,
    }
}

const fn extra(name: &'static str, value: &'static str, saved: bool, sent: bool) -> ExtraWidget {
    ExtraWidget { name, value, saved, sent }
}

const fn title(node: &'static str, declared: &'static str, title: &'static str) -> Title {
    Title { node, declared: Some(declared), title }
}

const fn missing_title(node: &'static str, title: &'static str) -> Title {
    Title { node, declared: None, title }
}

/// The options that mark combos of media files.
const MEDIA_UPLOADS: &[&str] = &["image_upload", "video_upload", "animated_image_upload"];

/// The upload buttons, which every version adds.
const UPLOADS: &[AddedInput] = &[
    AddedInput { nodes: Nodes::WithComboOption(MEDIA_UPLOADS), name: "upload", input_type: "IMAGEUPLOAD" },
    AddedInput {
        nodes: Nodes::WithInputOption("audio", "audio_upload"),
        name: "upload",
        input_type: "AUDIOUPLOAD",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_tables_is_json() {
        for rules in [&V1_27, &V1_35, &V1_49, &V1_58] {
            let types = rules.widget_types.iter().copied().flatten();
            let extras = types.clone().flat_map(|widget| widget.before.iter().chain(widget.after));
            let extras = extras.chain(rules.added_widgets.iter().flat_map(|added| added.widgets));
            for value in types.map(|widget| widget.value).chain(extras.map(|extra| extra.value)) {
                assert!(serde_json::from_str::<serde_json::Value>(value).is_ok(), "{value}");
            }
            assert!(
                rules
                    .added_inputs
                    .iter()
                    .copied()
                    .flatten()
                    .all(|added| rules.widget_type(added.input_type).is_some())
            );
        }
    }
}
