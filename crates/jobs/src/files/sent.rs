//! Which contents of the file store each ComfyUI has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comfy_runner_files::ContentHash;
use tokio::sync::OnceCell;

/// The number of contents that are remembered of a ComfyUI. Beyond it they are forgotten, and ComfyUI is asked again.
const REMEMBERED: usize = 10_000;

/// The name under which a ComfyUI has a content; empty while that is being found out.
type Name = Arc<OnceCell<String>>;

/// The contents that were sent to each ComfyUI.
#[derive(Default)]
pub(crate) struct SentFiles {
    names: Mutex<HashMap<String, HashMap<ContentHash, Name>>>,
}

impl SentFiles {
    /// Returns the cell for the name of a content. Those who need the same content at the same time share the cell, so that it
    /// is sent once.
    pub fn name(&self, comfyui: &str, hash: ContentHash) -> Name {
        let mut names = self.lock();
        if !names.contains_key(comfyui) {
            names.insert(comfyui.to_owned(), HashMap::new());
        }
        let Some(names) = names.get_mut(comfyui) else { return Name::default() };
        if names.len() >= REMEMBERED && !names.contains_key(&hash) {
            names.clear();
        }
        Arc::clone(names.entry(hash).or_default())
    }

    /// Forgets what a ComfyUI has.
    pub fn forget(&self, comfyui: &str) {
        self.lock().remove(comfyui);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<ContentHash, Name>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comfyui_that_restarted_has_nothing_and_others_keep_theirs() {
        let sent = SentFiles::default();
        let hash = ContentHash::of(b"a fox");
        for comfyui in ["a", "b"] {
            sent.name(comfyui, hash).set("fox.png".to_owned()).unwrap();
            assert!(sent.name(comfyui, hash).initialized());
        }
        sent.forget("a");
        assert!(!sent.name("a", hash).initialized());
        assert!(sent.name("b", hash).initialized());
    }

    #[test]
    fn the_number_of_remembered_contents_is_limited() {
        let sent = SentFiles::default();
        for n in 0..=REMEMBERED as u64 {
            sent.name("a", ContentHash::of(&n.to_le_bytes()));
        }
        assert_eq!(sent.lock()["a"].len(), 1);
    }
}
