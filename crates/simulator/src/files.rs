//! The folders of a ComfyUI: input, output and temp. Every name that a caller gives passes through here.

use std::io;
use std::path::{Component, Path, PathBuf};

use time::OffsetDateTime;

/// One of ComfyUI's three folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// What callers upload.
    Input,
    /// What prompts make.
    Output,
    /// What prompts show in passing.
    Temp,
}

impl Folder {
    /// The folder of this name, `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Input, Self::Output, Self::Temp].into_iter().find(|folder| folder.name() == name)
    }

    /// `input`, `output` or `temp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }
}

/// The three folders on disk.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

/// Where the next file of a prefix goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder on disk; it exists.
    pub path: PathBuf,
    /// The folder below ComfyUI's own, as it is reported.
    pub subfolder: String,
    /// The last part of the prefix.
    pub stem: String,
    /// The next free number.
    pub counter: u32,
}

/// Why a file cannot be placed or found.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A name that leaves its folder.
    #[error("**** ERROR: Saving image outside the output folder is not allowed.\n prefix: {0}")]
    Outside(String),
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Files {
    /// Makes the folders that are missing below `root`, and empties the one for passing things.
    pub fn create(root: &Path) -> io::Result<Self> {
        let files = Self { root: root.to_owned() };
        let temp = files.path(Folder::Temp);
        if temp.exists() {
            std::fs::remove_dir_all(&temp)?;
        }
        for folder in [Folder::Input, Folder::Output, Folder::Temp] {
            std::fs::create_dir_all(files.path(folder))?;
        }
        Ok(files)
    }

    /// The folder that holds the three.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder on disk.
    pub fn path(&self, folder: Folder) -> PathBuf {
        self.root.join(folder.name())
    }

    /// A path inside a folder; `None` when it would lead out of it.
    pub fn inside(&self, folder: Folder, subfolder: &str, name: &str) -> Option<PathBuf> {
        let mut path = self.path(folder);
        for part in [subfolder, name] {
            path.push(normal(part)?);
        }
        Some(path)
    }

    /// The file that `LoadImage` means: a name, perhaps with a subfolder, and perhaps with `[output]` at its end.
    pub fn annotated(&self, name: &str) -> Option<PathBuf> {
        let (name, folder) = annotation(name);
        let path = self.inside(folder.unwrap_or(Folder::Input), "", name)?;
        path.is_file().then_some(path)
    }

    /// The images that `LoadImage` offers: those at the top of the input folder, by name.
    pub fn input_images(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(Folder::Input)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| image::ImageFormat::from_path(name).is_ok())
            .collect();
        names.sort();
        names
    }

    /// The next free place for a prefix such as `job/final`: ComfyUI counts up per folder and stem. `pattern` says how
    /// a number follows the stem.
    pub fn next(
        &self,
        folder: Folder,
        prefix: &str,
        (width, height): (u32, u32),
        pattern: Counting,
    ) -> Result<Place, FileError> {
        let prefix = expand(prefix, width, height, OffsetDateTime::now_utc());
        let outside = || FileError::Outside(prefix.clone());
        let relative = normal(&prefix).ok_or_else(outside)?;
        let stem = relative.file_name().and_then(|name| name.to_str()).unwrap_or("").to_owned();
        let subfolder = relative.parent().and_then(Path::to_str).unwrap_or("").to_owned();
        let path = self.path(folder).join(&subfolder);
        std::fs::create_dir_all(&path)?;
        let mut counter = 0;
        for entry in std::fs::read_dir(&path)?.flatten() {
            let taken = entry.file_name().to_str().and_then(|name| pattern.number(name, &stem));
            counter = counter.max(taken.unwrap_or(0));
        }
        Ok(Place { path, subfolder, stem, counter: counter.saturating_add(1) })
    }
}

/// How a file's number is written into its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// `stem_00001_.png`, as ComfyUI's own nodes.
    Underscored,
    /// `stem_00001.gif`, as the Video Helper Suite.
    Plain,
}

impl Counting {
    /// The number in a file's name, if the name is of this stem.
    fn number(self, name: &str, stem: &str) -> Option<u32> {
        let rest = name.strip_prefix(stem)?.strip_prefix('_')?;
        let digits = &rest[..rest.find(|character: char| !character.is_ascii_digit())?];
        let tail = &rest[digits.len()..];
        (self == Self::Plain || tail.starts_with('_')).then(|| digits.parse().ok())?
    }
}

/// The name without its `[input]`, `[output]` or `[temp]`, and the folder that these mean.
pub fn annotation(name: &str) -> (&str, Option<Folder>) {
    for folder in [Folder::Input, Folder::Output, Folder::Temp] {
        let bare = name.strip_suffix(']').and_then(|name| name.strip_suffix(folder.name()));
        if let Some(bare) = bare.and_then(|name| name.strip_suffix('[')) {
            return (bare.trim_end(), Some(folder));
        }
    }
    (name, None)
}

/// A relative path with its `.` and `a/..` resolved; `None` if it climbs out, is absolute, or holds a NUL or a
/// backslash, which is a separator elsewhere.
fn normal(path: &str) -> Option<PathBuf> {
    if path.contains(['\0', '\\']) {
        return None;
    }
    let mut parts = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !parts.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts)
}

/// Fills in ComfyUI's placeholders. The time is UTC.
fn expand(prefix: &str, width: u32, height: u32, now: OffsetDateTime) -> String {
    if !prefix.contains('%') {
        return prefix.to_owned();
    }
    prefix
        .replace("%width%", &width.to_string())
        .replace("%height%", &height.to_string())
        .replace("%year%", &now.year().to_string())
        .replace("%month%", &format!("{:02}", u8::from(now.month())))
        .replace("%day%", &format!("{:02}", now.day()))
        .replace("%hour%", &format!("{:02}", now.hour()))
        .replace("%minute%", &format!("{:02}", now.minute()))
        .replace("%second%", &format!("{:02}", now.second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::create(folder.path()).unwrap();
        (folder, files)
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        let (_folder, files) = files();
        for (subfolder, name) in [
            ("", "../x"),
            ("..", "x"),
            ("a/../..", "x"),
            ("/etc", "passwd"),
            ("", "/etc/passwd"),
            ("a\\..\\..", "x"),
            ("", "a\0b"),
        ] {
            assert_eq!(files.inside(Folder::Output, subfolder, name), None, "{subfolder} {name}");
        }
        let path = files.inside(Folder::Output, "a/./b/..", "x").unwrap();
        assert!(path.ends_with("output/a/x"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_names_a_path_stays_inside(subfolder in "[./a\\\\]{0,12}", name in "[./a\\\\]{0,12}") {
            let files = Files { root: PathBuf::from("/root") };
            if let Some(path) = files.inside(Folder::Output, &subfolder, &name) {
                proptest::prop_assert!(path.starts_with("/root/output"));
                proptest::prop_assert!(path.components().all(|part| part != Component::ParentDir));
            }
        }
    }

    #[test]
    fn numbers_count_up_per_folder_and_stem() {
        let (_folder, files) = files();
        let next = |prefix, pattern| files.next(Folder::Output, prefix, (8, 6), pattern).unwrap();
        let place = next("job/final", Counting::Underscored);
        assert_eq!((place.subfolder.as_str(), place.stem.as_str(), place.counter), ("job", "final", 1));
        for name in ["final_00007_.png", "final_00003.gif", "finale_00020_.png", "final_x_.png"] {
            std::fs::write(place.path.join(name), "").unwrap();
        }
        assert_eq!(next("job/final", Counting::Underscored).counter, 8);
        assert_eq!(next("job/final", Counting::Plain).counter, 8);
        assert_eq!(next("final", Counting::Underscored).counter, 1);
        assert_eq!(next("%width%x%height%", Counting::Underscored).stem, "8x6");
    }

    #[test]
    fn a_prefix_that_climbs_out_is_refused() {
        let (_folder, files) = files();
        for prefix in ["../x", "a/../../x", "/tmp/x"] {
            let refused = files.next(Folder::Output, prefix, (1, 1), Counting::Underscored);
            assert!(matches!(refused, Err(FileError::Outside(_))), "{prefix}");
        }
    }

    #[test]
    fn an_annotation_names_another_folder() {
        assert_eq!(annotation("a.png [output]"), ("a.png", Some(Folder::Output)));
        assert_eq!(annotation("a.png"), ("a.png", None));
    }
}
