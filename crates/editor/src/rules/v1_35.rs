use super::*;

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
        title("ByteDanceSeedreamNode", "ByteDance Seedream 4.5", "ByteDance Seedream 4"),
        title(
            "FluxKontextMultiReferenceLatentMethod",
            "Edit Model Reference Method",
            "FluxKontextMultiReferenceLatentMethod",
        ),
    ],
    ..V1_27
};
