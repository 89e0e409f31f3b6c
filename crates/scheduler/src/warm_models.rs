//! The models that a ComfyUI has in memory, as far as the prompts that it was given show.

use std::collections::VecDeque;

/// An estimate of the models that a ComfyUI has in memory. ComfyUI does not report them; it keeps what was used last, and
/// drops the models that were not used for the longest time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmModels {
    /// The model that was used last comes last.
    models: VecDeque<String>,
    capacity: usize,
}

impl WarmModels {
    /// Creates an estimate for a ComfyUI that keeps this number of models. Those of one prompt always count as kept.
    pub fn new(capacity: usize) -> Self {
        Self { models: VecDeque::new(), capacity }
    }

    /// Notes that a prompt with these models runs.
    pub fn use_models<'a>(&mut self, models: impl IntoIterator<Item = &'a str>) {
        let mut used = 0;
        for model in models {
            self.models.retain(|warm| warm != model);
            self.models.push_back(model.to_owned());
            used += 1;
        }
        if used > 0 {
            let dropped = self.models.len().saturating_sub(self.capacity.max(used));
            self.models.drain(..dropped);
        }
    }

    /// Returns whether this model is in memory.
    pub fn is_warm(&self, model: &str) -> bool {
        self.models.iter().any(|warm| warm == model)
    }

    /// Returns the models, the one that was used last at the end.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str)
    }

    /// Forgets everything: the ComfyUI was restarted, or freed its memory.
    pub fn clear(&mut self) {
        self.models.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_that_were_not_used_for_the_longest_time_are_dropped() {
        let mut warm = WarmModels::new(2);
        warm.use_models(["a"]);
        warm.use_models(["b"]);
        warm.use_models(["a"]);
        warm.use_models(["c"]);
        assert_eq!(warm.iter().collect::<Vec<_>>(), ["a", "c"]);
        assert!(warm.is_warm("c") && !warm.is_warm("b"));
    }

    #[test]
    fn the_models_of_one_prompt_are_kept_together() {
        let mut warm = WarmModels::new(1);
        warm.use_models(["checkpoint", "lora", "vae"]);
        assert_eq!(warm.iter().count(), 3);
        warm.use_models([]);
        assert_eq!(warm.iter().count(), 3, "a prompt without models needs no memory");
        warm.use_models(["vae"]);
        assert_eq!(warm.iter().collect::<Vec<_>>(), ["vae"]);
        warm.clear();
        assert_eq!(warm.iter().count(), 0);
    }
}
