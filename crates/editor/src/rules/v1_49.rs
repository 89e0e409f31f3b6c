use super::*;

/// The input types with a widget of their own.
pub(super) const TYPES: &[WidgetType] = &[
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
];

/// The text preview of a node, and the switch between plain text and Markdown.
const TEXT_PREVIEW: &[ExtraWidget] =
    &[extra("preview_text", "\"\"", false, false), extra("preview_mode", "false", false, false)];

/// Frontend 1.49, as shipped with ComfyUI 0.33.0.
pub(crate) static V1_49: Rules = Rules {
    widget_types: &[TYPES],
    added_inputs: &[
        &[
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
        ],
        UPLOADS,
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
        title("LTXVConcatAVLatent", "Concat AV Latent", "LTXVConcatAVLatent"),
        title("LTXVSeparateAVLatent", "Separate AV Latent", "LTXVSeparateAVLatent"),
        title(
            "ByteDanceSeedreamNodeV2",
            "ByteDance Seedream 4.5 & 5.0 (Legacy)",
            "ByteDance Seedream 4.5 & 5.0",
        ),
        title(
            "ByteDance2ReferenceNode",
            "ByteDance Seedance 2.5 Reference to Video (Legacy)",
            "ByteDance Seedance 2.5 Reference to Video",
        ),
        title("IdeogramPImage", "Ideogram & Pruna P-Image", "Ideogram P-Image"),
        title("TopazImageEnhance", "Topaz Image Enhance (Legacy)", "Topaz Image Enhance"),
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
    normalization: Normalization::None,
    controls_floats: true,
    skips_inactive_subgraphs: true,
    unique_node_ids: true,
    promotes_primitives: true,
    promoted_in_input_order: true,
    promotes_to_slots: true,
    sends_node_pack: false,
};
