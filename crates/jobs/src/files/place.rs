//! Whether the name of a file stays inside ComfyUI's folders.

use comfy_runner_protocol::OutputFile;

/// Checks that a file is inside ComfyUI's folders, independently of ComfyUI's own checks. A ComfyUI on Windows separates
/// folders by backslashes.
///
/// # Errors
/// What is wrong with the name, for callers.
pub fn check_place(file: &OutputFile) -> Result<(), &'static str> {
    let climbs = |part: &str| matches!(part, "." | "..");
    let odd = |text: &str| text.contains(':') || text.chars().any(char::is_control);
    if file.filename.is_empty()
        || file.filename.contains(['/', '\\'])
        || climbs(&file.filename)
        || odd(&file.filename)
    {
        return Err("`filename` must be the plain name of a file; its folder goes into `subfolder`");
    }
    let separators = ['/', '\\'];
    if file.subfolder.starts_with(separators)
        || odd(&file.subfolder)
        || file.subfolder.split(separators).any(climbs)
    {
        return Err("`subfolder` must be a path below ComfyUI's folder, without `..`");
    }
    if !matches!(file.kind.as_str(), "input" | "output" | "temp") {
        return Err("`type` is `input`, `output` or `temp`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(filename: &str, subfolder: &str) -> OutputFile {
        OutputFile { filename: filename.into(), subfolder: subfolder.into(), kind: "output".into() }
    }

    #[test]
    fn no_name_or_subfolder_climbs_out() {
        assert!(check_place(&place("a b.png", "20260324_143052_a1b2c3/final")).is_ok());
        for name in ["", "..", "a/b.png", "..\\b.png", "/etc/passwd", "C:b.png", "a\r\nb.png", "a\0.png"] {
            assert!(check_place(&place(name, "")).is_err(), "{name:?}");
        }
        for subfolder in ["..", "a/../..", "/etc", "a\\..\\b", "a/./b", "C:/x", "a\nb"] {
            assert!(check_place(&place("a.png", subfolder)).is_err(), "{subfolder:?}");
        }
        assert!(check_place(&place("a.png", r"job\final")).is_ok(), "a ComfyUI on Windows");
        assert!(check_place(&place("a.png", r"\\host\share")).is_err());
        let elsewhere = OutputFile { kind: "models".into(), ..place("a.png", "") };
        assert!(check_place(&elsewhere).is_err());
    }
}
