//! The names of model files.

/// The endings of model files, as ComfyUI's loaders list them.
const ENDINGS: [&str; 11] =
    [".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".pkl", ".bin", ".gguf", ".onnx", ".engine"];

/// Returns whether this is the name of a model file, by its ending.
pub fn is_model_file(name: &str) -> bool {
    ENDINGS.iter().any(|ending| {
        let start = name.len().checked_sub(ending.len());
        start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_files_are_known_by_their_endings() {
        assert!(is_model_file("sd/XL.Safetensors") && is_model_file("a.pt"));
        assert!(!is_model_file("pt") && !is_model_file("a.png") && !is_model_file("ü"));
    }
}
