use super::*;

/// The input types that differ from those of 1.49.
const TYPES: &[WidgetType] = &[
    WidgetType {
        sent: Sent::AlwaysTyped("CURVE"),
        ..widget("CURVE", r#"{"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}"#)
    },
    WidgetType {
        reads_default: false,
        saved: false,
        sent: Sent::No,
        ..widget("CAMERA_ANGLE_VIEW", "\"camera\"")
    },
    WidgetType { reads_default: false, saved: false, sent: Sent::No, ..widget("CAMERA_INFO_STATE", "null") },
    widget("LIGHT_INFO_PREVIEW", "[]"),
    WidgetType { reads_default: false, saved: false, sent: Sent::No, ..widget("RESOLUTION_PREVIEW", "null") },
];

/// Frontend 1.58. Its names of node types count only where a schema has none.
pub(crate) static V1_58: Rules = Rules {
    widget_types: &[TYPES, v1_49::TYPES],
    titles: &[
        missing_title("StableCascade_EmptyLatentImage", "Empty Stable Cascade Latent Image"),
        missing_title("StableCascade_StageC_VAEEncode", "Stable Cascade Stage C VAE Encode"),
        missing_title("EmptyHunyuanImageLatent", "Empty Hunyuan Image Latent"),
        missing_title("EmptyLTXVLatentVideo", "Empty LTXV Latent Video"),
        missing_title("EmptyCosmosLatentVideo", "Empty Cosmos Latent Video"),
        missing_title("EmptyLatentHunyuan3Dv2", "Empty Hunyuan 3D v2 Latent"),
        missing_title("VAEDecodeHunyuan3D", "Hunyuan 3D VAE Decode"),
        missing_title("TextEncodeQwenImageEdit", "Text Encode Qwen Image Edit"),
        missing_title("TextEncodeQwenImageEditPlus", "Text Encode Qwen Image Edit Plus"),
        missing_title("Trellis2Conditioning", "Trellis2 Conditioning"),
        missing_title("Pixal3DConditioning", "Pixal3D Conditioning"),
        missing_title("Trellis2ShapeStage", "Trellis2 Shape Stage"),
        missing_title("EmptyTrellis2LatentStructure", "Empty Trellis2 Latent Structure"),
        missing_title("Trellis2TextureStage", "Trellis2 Texture Stage"),
        missing_title("VaeDecodeTextureTrellis", "Trellis2 VAE Decode Texture"),
        missing_title("VaeDecodeShapeTrellis", "Trellis2 VAE Decode Shape"),
        missing_title("VaeDecodeStructureTrellis2", "Trellis2 VAE Decode Structure"),
    ],
    normalization: Normalization::TextAreas,
    sends_node_pack: true,
    ..V1_49
};
