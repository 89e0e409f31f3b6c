//! Paths in a package that every system can unpack: no path leads out of its folder, paths are unique on file systems
//! that ignore case, and Windows accepts each name.

use std::collections::HashSet;

/// Names of devices on Windows, with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The paths in use, in lower case.
#[derive(Default)]
pub struct Paths {
    files: HashSet<String>,
    folders: HashSet<String>,
}

impl Paths {
    /// Returns the path for a file below a folder of the package. If another file has that path, a numbered folder is
    /// inserted.
    pub fn add(&mut self, top: &str, path: &str) -> String {
        let mut found = format!("{top}/{path}");
        for number in 2.. {
            if self.is_free(&found.to_lowercase()) {
                break;
            }
            found = format!("{top}/{number}/{path}");
        }
        let key = found.to_lowercase();
        self.folders.extend(parents(&key).map(str::to_owned));
        self.files.insert(key);
        found
    }

    /// Returns whether no file and no folder has this path, and none of its folders is a file.
    fn is_free(&self, key: &str) -> bool {
        !self.files.contains(key)
            && !self.folders.contains(key)
            && parents(key).all(|folder| !self.files.contains(folder))
    }
}

/// Returns a path of plain names, which does not lead out of the folder where it is unpacked.
pub fn inside(subfolder: &str, filename: &str) -> String {
    let parts = subfolder.split(['/', '\\']).chain(filename.split(['/', '\\']));
    let names = parts.filter(|part| !matches!(*part, "" | "." | "..")).map(accepted_name);
    let path = names.collect::<Vec<_>>().join("/");
    if path.is_empty() { "_".to_owned() } else { path }
}

/// Returns the name with underscores for characters that Windows refuses.
fn accepted_name(name: &str) -> String {
    let refused = |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    let mut accepted: String = name.chars().map(|c| if refused(c) { '_' } else { c }).collect();
    if accepted.ends_with(['.', ' ']) {
        // Windows removes these.
        accepted.pop();
        accepted.push('_');
    }
    let stem = accepted.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    if is_device(&stem) { format!("_{accepted}") } else { accepted }
}

fn is_device(stem: &str) -> bool {
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let port = |number: &str| {
        let mut digits = number.chars();
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    DEVICES.contains(&stem) || numbered.is_some_and(port)
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_package() {
        assert_eq!(inside("final", "a.png"), "final/a.png");
        assert_eq!(inside("../../etc", "..\\..\\passwd"), "etc/passwd");
        assert_eq!(inside("/C:/x", "a.png"), "C_/x/a.png");
        assert_eq!(inside("", "a.png"), "a.png");
        assert_eq!(inside("..", ".."), "_");
    }

    #[test]
    fn every_name_is_one_that_windows_accepts() {
        for (name, accepted) in [
            ("con", "_con"),
            ("NUL.png", "_NUL.png"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("Lpt²", "_Lpt²"),
            ("aux .png", "_aux .png"),
            ("console.png", "console.png"),
            ("com10.png", "com10.png"),
            ("a. ", "a._"),
            ("a...", "a.._"),
            ("what?*<\">|\x1b\u{9b}.png", "what________.png"),
            ("füchse 狐.png", "füchse 狐.png"),
        ] {
            assert_eq!(accepted_name(name), accepted, "{name:?}");
        }
    }

    #[test]
    fn no_two_files_have_the_same_path_and_no_file_has_that_of_a_folder() {
        let mut paths = Paths::default();
        let mut add = |path: &str| paths.add("output", path);
        assert_eq!(add("A.png"), "output/A.png");
        assert_eq!(add("a.png"), "output/2/a.png");
        assert_eq!(add("a.PNG"), "output/3/a.PNG");
        assert_eq!(add("a.png/b.png"), "output/4/a.png/b.png");
        assert_eq!(add("2"), "output/2/2");
        assert_eq!(add("ÄB/c.png"), "output/ÄB/c.png");
        assert_eq!(add("äb"), "output/2/äb");
    }
}
