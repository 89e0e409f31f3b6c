//! A ComfyUI to run jobs on: its name and its settings.

use std::sync::Arc;

use comfy_runner_client::Config;

/// The number of prompts that a ComfyUI gets at once, unless its settings say otherwise: one runs, and one waits, so that
/// the GPU is never idle between them.
pub const DEFAULT_DEPTH: usize = 2;

/// The number of models that a ComfyUI is assumed to keep in memory, unless its settings say otherwise. A number that is too
/// large would have jobs sent where they wait for a model.
pub const DEFAULT_MODELS: usize = 1;

/// The longest name of a ComfyUI.
const LONGEST_NAME: usize = 64;

/// The settings of a ComfyUI.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ComfyUi {
    /// Its name: what jobs and the API call it.
    pub name: Arc<str>,
    /// How to reach it.
    pub client: Config,
    /// Its tags. A job runs only on a ComfyUI that has all tags that the job requires.
    pub tags: Vec<String>,
    /// The number of our prompts that it has at once, at least one.
    pub depth: usize,
    /// The number of models that it is assumed to keep in memory. ComfyUI does not report it. Those of one prompt always count
    /// as kept.
    pub models: usize,
}

/// A string that cannot be the name of a ComfyUI.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" cannot be the name of a ComfyUI: use 1 to 64 ASCII letters, digits, `-`, `_` and `.`, the first one a letter or digit"
)]
pub struct InvalidName(String);

impl ComfyUi {
    /// Creates the settings of a ComfyUI that is the only one. Its name is `comfyui`.
    pub fn only(client: Config) -> Self {
        Self {
            name: "comfyui".into(),
            client,
            tags: Vec::new(),
            depth: DEFAULT_DEPTH,
            models: DEFAULT_MODELS,
        }
    }

    /// Creates the settings of a ComfyUI without tags, with a depth of two and one model in memory.
    ///
    /// # Errors
    /// The name has other characters than ASCII letters, digits, `-`, `_` and `.`, or is too long.
    pub fn new(name: &str, client: Config) -> Result<Self, InvalidName> {
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            return Err(InvalidName(name.chars().take(LONGEST_NAME).collect()));
        }
        Ok(Self { name: name.into(), ..Self::only(client) })
    }

    /// Sets [`ComfyUi::tags`].
    pub fn with_tags(mut self, tags: Vec<String>) -> Self {
        self.tags = tags;
        self
    }

    /// Sets [`ComfyUi::depth`]; 0 counts as 1.
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth.max(1);
        self
    }

    /// Sets [`ComfyUi::models`].
    pub fn with_models(mut self, models: usize) -> Self {
        self.models = models;
        self
    }

    /// Returns whether it has all of these tags.
    pub(crate) fn has_tags(&self, required: &[String]) -> bool {
        required.iter().all(|tag| self.tags.contains(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_word_that_needs_no_escape_in_a_path() {
        let config = || Config::new("http://127.0.0.1:8188".parse().unwrap());
        for name in ["gpu1", "A", "rack-3.gpu_0", &"n".repeat(64)] {
            assert_eq!(&*ComfyUi::new(name, config()).unwrap().name, name);
        }
        for name in ["", ".", "-gpu", "a b", "a/b", "größe", &"n".repeat(65)] {
            assert!(ComfyUi::new(name, config()).is_err(), "{name:?}");
        }
    }
}
