//! What the frontend does with widgets beyond what node schemas say, as data: one table per frontend version.
//!
//! The tables state facts about `comfyui-frontend-package`: the input types that its widgets and extensions register, and
//! the inputs and widgets that its extensions add to node types. A node type that no table names follows its schema.

/// The rules of one frontend version.
pub(crate) struct Rules {
    /// The input types that have a widget, in addition to INT, FLOAT, STRING, BOOLEAN, COMBO and
    /// `COMFY_DYNAMICCOMBO_V3`, which have one in every version.
    pub widget_types: &'static [WidgetType],
    /// Inputs that extensions add to node types.
    pub added_inputs: &'static [AddedInput],
    /// Widgets that extensions add to a node after those of its inputs.
    pub added_widgets: &'static [AddedWidgets],
    /// Titles of node types that differ from the `display_name` of the schema.
    pub titles: &'static [Title],
    /// The types whose `filename_prefix` may contain `%node.widget%` patterns.
    pub filename_patterns: &'static [&'static str],
    /// How many groups of slots an autogrow input has beyond the `min` of its template.
    pub spare_groups: u64,
    /// Whether a text area converts values to strings with `\n` line ends, and a file widget normalizes paths.
    pub normalizes_values: bool,
    /// Whether FLOAT inputs may have a `control_after_generate` widget.
    pub controls_floats: bool,
    /// Whether a muted or bypassed subgraph of the root graph is left out with everything in it. One inside a subgraph is
    /// expanded in any case.
    pub skips_inactive_subgraphs: bool,
    /// Whether nodes inside subgraphs get new ids where another node of the graph has theirs.
    pub unique_node_ids: bool,
    /// Whether a primitive node inside a subgraph gives way to an input of the subgraph when an instance promotes its widget.
    pub promotes_primitives: bool,
    /// Whether the values of promoted widgets are listed in the order of the subgraph's inputs.
    pub promoted_in_input_order: bool,
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

/// How a prompt carries the value of a widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Not at all.
    No,
    /// As it is. A list is wrapped in `{"__value__": ...}`.
    Yes,
    /// As it is. A list is wrapped with this type: `{"__type__": ..., "__value__": ...}`.
    Typed(&'static str),
    /// As a 3D view: the camera of the node's properties, and images that the browser renders for some nodes.
    View,
    /// As a value that the browser makes of a device: a camera image, a recording.
    Browser,
}

/// A widget that belongs to no input.
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

/// A title that differs from the schema's `display_name`.
pub(crate) struct Title {
    pub node: &'static str,
    /// The title; None for the type's own name.
    pub title: Option<&'static str>,
    /// Whether a `display_name` of the schema takes precedence.
    pub is_fallback: bool,
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

const fn title(node: &'static str, title: &'static str) -> Title {
    Title { node, title: Some(title), is_fallback: false }
}

const fn fallback_title(node: &'static str, title: &'static str) -> Title {
    Title { node, title: Some(title), is_fallback: true }
}

/// The option that mark combos of media files.
const MEDIA_UPLOADS: &[&str] = &["image_upload", "video_upload", "animated_image_upload"];

/// Frontend 1.27, as shipped with ComfyUI 0.3.64.
pub(crate) static V1_27: Rules = Rules {
    widget_types: &[
        widget("COLOR", "\"#000000\""),
        widget("MARKDOWN", "\"\""),
        widget("TEXTAREA", "\"\""),
        WidgetType { sent: Sent::Browser, ..widget("LOAD_3D", "\"\"") },
        WidgetType { sent: Sent::Browser, ..widget("LOAD_3D_ANIMATION", "\"\"") },
        WidgetType { sent: Sent::Browser, ..widget("WEBCAM", "\"\"") },
        WidgetType { sent: Sent::Browser, ..widget("AUDIO_RECORD", "\"\"") },
        WidgetType { reads_default: false, saved: false, ..widget("AUDIO_UI", "\"\"") },
        WidgetType { reads_default: false, ..widget("PREVIEW_3D", "\"\"") },
        WidgetType { reads_default: false, sent: Sent::No, ..widget("IMAGEUPLOAD", "\"image\"") },
        WidgetType { reads_default: false, sent: Sent::No, ..widget("AUDIOUPLOAD", "\"\"") },
    ],
    added_inputs: &[
        AddedInput {
            nodes: Nodes::Named(&["LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus"]),
            name: "audioUI",
            input_type: "AUDIO_UI",
        },
        AddedInput {
            nodes: Nodes::Named(&["Preview3D", "Preview3DAnimation", "SaveGLB"]),
            name: "image",
            input_type: "PREVIEW_3D",
        },
        AddedInput {
            nodes: Nodes::WithComboOption(MEDIA_UPLOADS),
            name: "upload",
            input_type: "IMAGEUPLOAD",
        },
        AddedInput {
            nodes: Nodes::WithInputOption("audio", "audio_upload"),
            name: "upload",
            input_type: "AUDIOUPLOAD",
        },
    ],
    added_widgets: &[
        AddedWidgets {
            node: "PreviewAny",
            widgets: &[extra("preview", "\"\"", false, true)],
            numbered: None,
            position: None,
        },
        AddedWidgets { node: "CustomCombo", widgets: &[], numbered: Some("option"), position: None },
    ],
    titles: &[
        fallback_title("ImageBlend", "Image Blend"),
        fallback_title("ImageBlur", "Image Blur"),
        fallback_title("ImageQuantize", "Image Quantize"),
        fallback_title("ImageSharpen", "Image Sharpen"),
        fallback_title("ImageScaleToTotalPixels", "Scale Image to Total Pixels"),
    ],
    filename_patterns: &[
        "SaveImage",
        "SaveVideo",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveAudio",
        "SaveGLB",
        "SaveAnimatedPNG",
        "CLIPSave",
        "VAESave",
        "ModelSave",
        "LoraSave",
        "SaveLatent",
    ],
    spare_groups: 0,
    normalizes_values: true,
    controls_floats: false,
    skips_inactive_subgraphs: false,
    unique_node_ids: false,
    promotes_primitives: false,
    promoted_in_input_order: false,
};

/// Frontend 1.35, as shipped with ComfyUI 0.8.0.
pub(crate) static V1_35: Rules = Rules {
    added_widgets: &[
        AddedWidgets {
            node: "PreviewAny",
            widgets: &[
                extra("preview", "\"\"", false, true),
                extra("preview", "\"\"", false, true),
                extra("previewMode", "false", true, true),
            ],
            numbered: None,
            position: None,
        },
        AddedWidgets { node: "CustomCombo", widgets: &[], numbered: Some("option"), position: None },
    ],
    titles: &[
        title("ByteDanceSeedreamNode", "ByteDance Seedream 4"),
        Title { node: "FluxKontextMultiReferenceLatentMethod", title: None, is_fallback: false },
    ],
    ..V1_27
};

/// The text preview of a node, and the switch between plain text and Markdown.
const TEXT_PREVIEW: &[ExtraWidget] =
    &[extra("preview_text", "\"\"", false, false), extra("preview_mode", "false", false, false)];

/// Frontend 1.49, as shipped with ComfyUI 0.33.0.
pub(crate) static V1_49: Rules = Rules {
    widget_types: &[
        WidgetType {
            after: &[
                extra("x", "0", true, false),
                extra("y", "0", true, false),
                extra("width", "512", true, false),
                extra("height", "512", true, false),
            ],
            ..widget("BOUNDING_BOX", r#"{"x": 0, "y": 0, "width": 512, "height": 512}"#)
        },
        widget("BOUNDING_BOXES", "[]"),
        widget("CHART", "{}"),
        widget("COLOR", "\"#000000\""),
        widget("COLORS", "[]"),
        widget("COMPOSITOR", "{}"),
        WidgetType {
            sent: Sent::Typed("CURVE"),
            ..widget("CURVE", r#"{"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}"#)
        },
        widget("GALLERIA", "[]"),
        WidgetType { reads_default: false, saved: false, ..widget("IMAGECOMPARE", r#"["", ""]"#) },
        widget("MARKDOWN", "\"\""),
        widget("PAINTER", "\"\""),
        widget("RANGE", r#"{"min": 0, "max": 1}"#),
        widget("TEXTAREA", "\"\""),
        widget(
            "VIDEO_EDIT",
            r#"{"trim": {"start_time": 0, "duration": 0}, "crop": {"x": 0, "y": 0, "width": 0, "height": 0}}"#,
        ),
        WidgetType {
            before: &[
                extra("upload 3d model", "\"upload3dmodel\"", true, true),
                extra("upload extra resources", "\"uploadExtraResources\"", true, true),
                extra("clear", "\"clear\"", true, true),
            ],
            before_if: Some("model_file"),
            sent: Sent::View,
            ..widget("LOAD_3D", "\"\"")
        },
        WidgetType { sent: Sent::View, ..widget("LOAD_3D_ADVANCED", "\"\"") },
        WidgetType { sent: Sent::Browser, ..widget("WEBCAM", "\"\"") },
        WidgetType { sent: Sent::Browser, ..widget("AUDIO_RECORD", "\"\"") },
        WidgetType { reads_default: false, saved: false, sent: Sent::No, ..widget("AUDIO_UI", "\"\"") },
        WidgetType { reads_default: false, ..widget("PREVIEW_3D", "\"\"") },
        WidgetType { reads_default: false, sent: Sent::No, ..widget("IMAGEUPLOAD", "\"image\"") },
        WidgetType { reads_default: false, sent: Sent::No, ..widget("AUDIOUPLOAD", "\"\"") },
    ],
    added_inputs: &[
        AddedInput {
            nodes: Nodes::Named(&[
                "LoadAudio",
                "SaveAudio",
                "PreviewAudio",
                "SaveAudioMP3",
                "SaveAudioOpus",
                "SaveAudioAdvanced",
            ]),
            name: "audioUI",
            input_type: "AUDIO_UI",
        },
        AddedInput {
            nodes: Nodes::Named(&["Preview3D", "SaveGLB"]),
            name: "image",
            input_type: "PREVIEW_3D",
        },
        AddedInput {
            nodes: Nodes::Named(&["Load3DAdvanced"]),
            name: "viewport_state",
            input_type: "LOAD_3D_ADVANCED",
        },
        AddedInput {
            nodes: Nodes::WithComboOption(MEDIA_UPLOADS),
            name: "upload",
            input_type: "IMAGEUPLOAD",
        },
        AddedInput {
            nodes: Nodes::WithInputOption("audio", "audio_upload"),
            name: "upload",
            input_type: "AUDIOUPLOAD",
        },
    ],
    added_widgets: &[
        AddedWidgets { node: "PreviewAny", widgets: TEXT_PREVIEW, numbered: None, position: None },
        AddedWidgets { node: "SaveText", widgets: TEXT_PREVIEW, numbered: None, position: None },
        AddedWidgets {
            node: "CustomCombo",
            widgets: &[extra("index", "-1", true, true)],
            numbered: Some("option"),
            position: Some("index"),
        },
    ],
    titles: &[
        title("LTXVConcatAVLatent", "LTXVConcatAVLatent"),
        title("LTXVSeparateAVLatent", "LTXVSeparateAVLatent"),
        title("ByteDanceSeedreamNodeV2", "ByteDance Seedream 4.5 & 5.0"),
        title("ByteDance2ReferenceNode", "ByteDance Seedance 2.5 Reference to Video"),
        title("IdeogramPImage", "Ideogram P-Image"),
        title("TopazImageEnhance", "Topaz Image Enhance"),
    ],
    filename_patterns: &[
        "SaveImage",
        "SaveImageAdvanced",
        "SaveSVGNode",
        "SaveVideo",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveAudio",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveAudioAdvanced",
        "SaveGLB",
        "Save3DAdvanced",
        "SaveGaussianSplat",
        "SavePointCloud",
        "SaveAnimatedPNG",
        "CLIPSave",
        "VAESave",
        "ModelSave",
        "LoraSave",
        "SaveLatent",
    ],
    spare_groups: 1,
    normalizes_values: false,
    controls_floats: true,
    skips_inactive_subgraphs: true,
    unique_node_ids: true,
    promotes_primitives: true,
    promoted_in_input_order: true,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_tables_is_json() {
        for rules in [&V1_27, &V1_35, &V1_49] {
            let types = rules.widget_types.iter();
            let extras = types.clone().flat_map(|widget| widget.before.iter().chain(widget.after));
            let extras = extras.chain(rules.added_widgets.iter().flat_map(|added| added.widgets));
            for value in types.map(|widget| widget.value).chain(extras.map(|extra| extra.value)) {
                assert!(serde_json::from_str::<serde_json::Value>(value).is_ok(), "{value}");
            }
            let known = |name: &str| rules.widget_types.iter().any(|widget| widget.name == name);
            assert!(rules.added_inputs.iter().all(|added| known(added.input_type)));
        }
    }
}
