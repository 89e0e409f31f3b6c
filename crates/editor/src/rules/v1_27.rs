use super::*;

/// The input types with a widget of their own.
const TYPES: &[WidgetType] = &[
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
];

/// Frontend 1.27, as shipped with ComfyUI 0.3.64.
pub(crate) static V1_27: Rules = Rules {
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
                ]),
                name: "audioUI",
                input_type: "AUDIO_UI",
            },
            AddedInput {
                nodes: Nodes::Named(&["Preview3D", "Preview3DAnimation", "SaveGLB"]),
                name: "image",
                input_type: "PREVIEW_3D",
            },
        ],
        UPLOADS,
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
        missing_title("ImageBlend", "Image Blend"),
        missing_title("ImageBlur", "Image Blur"),
        missing_title("ImageQuantize", "Image Quantize"),
        missing_title("ImageSharpen", "Image Sharpen"),
        missing_title("ImageScaleToTotalPixels", "Scale Image to Total Pixels"),
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
    normalization: Normalization::TextAreasAndPaths,
    controls_floats: false,
    skips_inactive_subgraphs: false,
    unique_node_ids: false,
    promotes_primitives: false,
    promoted_in_input_order: false,
    promotes_to_slots: false,
    sends_node_pack: false,
};
