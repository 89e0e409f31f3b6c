//! The simulated GPU: how long work takes, and which models are in its memory.

use std::collections::VecDeque;
use std::time::Duration;

/// How fast a GPU is, and how many models it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuOptions {
    /// The time of a step of a model, at speed 1.
    pub step: Duration,
    /// The time to load a model that is not in memory, at speed 1.
    pub model_load: Duration,
    /// The number of models that are in memory at once, at least 1.
    pub models: usize,
    /// How many times as fast as the given times it is.
    pub speed: f64,
}

impl GpuOptions {
    /// Returns how long work takes on this GPU that takes this long at speed 1.
    pub fn duration(&self, work: Duration) -> Duration {
        Duration::try_from_secs_f64(work.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }
}

/// The models in the memory of a GPU.
#[derive(Debug, Default)]
pub struct LoadedModels {
    /// The one that was used last comes last.
    names: VecDeque<String>,
    loads: usize,
}

impl LoadedModels {
    /// Notes that a model is used, and returns whether it had to be loaded. The models that were not used for the longest
    /// time make room for it. A LoRA does not make another model.
    pub fn use_model(&mut self, description: &str, capacity: usize) -> bool {
        let name = description.split(" + ").next().unwrap_or(description);
        let known = self.names.iter().position(|loaded| loaded == name);
        let is_loaded = known.and_then(|position| self.names.remove(position)).is_some();
        self.names.push_back(name.to_owned());
        while self.names.len() > capacity.max(1) {
            self.names.pop_front();
        }
        self.loads += usize::from(!is_loaded);
        !is_loaded
    }

    /// Returns the names of the models, the one that was used last at the end.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns how often a model was loaded.
    pub fn loads(&self) -> usize {
        self.loads
    }

    /// Removes every model from memory.
    pub fn unload(&mut self) {
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_that_were_not_used_for_the_longest_time_are_unloaded() {
        let mut loaded = LoadedModels::default();
        let loads: Vec<_> = ["a", "b", "a", "a + style x 0.5", "c", "a", "b"]
            .iter()
            .map(|name| loaded.use_model(name, 2))
            .collect();
        assert_eq!(loads, [true, true, false, false, true, false, true]);
        assert_eq!(loaded.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(loaded.loads(), 4);
        loaded.unload();
        assert!(loaded.use_model("a", 2), "it is loaded again");
    }

    #[test]
    fn a_gpu_of_twice_the_speed_takes_half_the_time() {
        let second = Duration::from_secs(1);
        let gpu = GpuOptions { step: second, model_load: second, models: 1, speed: 2.0 };
        assert_eq!(gpu.duration(second), second / 2);
    }
}
