//! How long jobs take, learned from those that completed.

use std::collections::HashMap;
use std::time::Duration;

use crate::placement::Estimate;

/// A new job has at least this part in a mean, so that the mean follows a machine that changed.
const LEAST_WEIGHT: f64 = 0.1;
/// The part that a new job has in the slowness of its ComfyUI.
const SLOWNESS_WEIGHT: f64 = 0.2;
/// The number of sets of models whose loading times are known. Jobs with others have the times of their workflow.
const MODEL_SETS: usize = 1000;

/// The durations of completed jobs, by workflow and by whether models had to be loaded, how long models take to load, and how
/// slow each ComfyUI is compared with the others.
#[derive(Debug, Clone, Default)]
pub struct JobTimes {
    workflows: HashMap<String, WorkflowTimes>,
    /// How long the models of a job take to load, whatever its workflow.
    loads: HashMap<Vec<String>, Mean>,
    /// The duration of jobs on a ComfyUI, divided by the mean of all.
    slowness: HashMap<String, f64>,
}

/// How long the jobs of a workflow took, on a ComfyUI of the usual speed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WorkflowTimes {
    /// Those for which a model had to be loaded.
    pub cold: Mean,
    /// The others.
    pub warm: Mean,
}

/// A mean of seconds, mostly of the last ten jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    /// The mean.
    pub seconds: f64,
    /// The number of jobs.
    pub count: u32,
}

impl Mean {
    fn get(self) -> Option<f64> {
        (self.count > 0).then_some(self.seconds)
    }

    fn is_duration(self) -> bool {
        self.seconds.is_finite() && self.seconds >= 0.0
    }

    fn add(&mut self, seconds: f64) {
        self.count = self.count.saturating_add(1);
        let weight = (1.0 / f64::from(self.count)).max(LEAST_WEIGHT);
        self.seconds += (seconds - self.seconds) * weight;
    }
}

impl JobTimes {
    /// Learns from a job that completed: `cold` says whether its ComfyUI had to load one of its models.
    pub fn learn(&mut self, workflow: &str, models: &[String], comfyui: &str, cold: bool, took: Duration) {
        let times = self.workflows.entry(workflow.to_owned()).or_default();
        let slowness = self.slowness.entry(comfyui.to_owned()).or_insert(1.0);
        let took = took.as_secs_f64();
        let load = self.loads.get(models).and_then(|load| load.get());
        let usual = match (cold, times.warm.get()) {
            (true, Some(warm)) => load.map(|load| load + warm),
            (true, None) => times.cold.get(),
            (false, warm) => warm,
        };
        if let Some(usual) = usual.filter(|usual| *usual > 0.0) {
            *slowness += (took / usual - *slowness) * SLOWNESS_WEIGHT;
        }
        // A ComfyUI that answers in no time says nothing of the others.
        let took = took / slowness.max(0.01);
        if cold {
            times.cold.add(took)
        } else {
            times.warm.add(took)
        }
        let (cold_before, warm) = (times.cold.get(), times.warm.get());
        let load = match cold {
            true => warm.map(|warm| took - warm),
            // The first job that shows how much of the earlier ones was loading.
            false if !self.loads.contains_key(models) => cold_before.map(|cold| cold - took),
            false => None,
        };
        if let Some(load) = load
            && (self.loads.len() < MODEL_SETS || self.loads.contains_key(models))
        {
            self.loads.entry(models.to_vec()).or_default().add(load.max(0.0));
        }
    }

    /// Returns what is known, by workflow, in no order.
    pub fn workflows(&self) -> impl Iterator<Item = (&str, WorkflowTimes)> {
        self.workflows.iter().map(|(workflow, times)| (workflow.as_str(), *times))
    }

    /// Replaces what is known of a workflow, as an earlier process learned it. Means that are no durations are left out.
    pub fn set_workflow(&mut self, workflow: String, mut times: WorkflowTimes) {
        for mean in [&mut times.cold, &mut times.warm] {
            if !mean.is_duration() {
                *mean = Mean::default();
            }
        }
        self.workflows.insert(workflow, times);
    }

    /// Returns how long models take to load on a usual ComfyUI, by the models of a job, in no order.
    pub fn loads(&self) -> impl Iterator<Item = (&[String], Mean)> {
        self.loads.iter().map(|(models, load)| (models.as_slice(), *load))
    }

    /// Replaces what is known of the loading of models. A mean that is no duration is left out.
    pub fn set_load(&mut self, models: Vec<String>, load: Mean) {
        if load.is_duration() && self.loads.len() < MODEL_SETS {
            self.loads.insert(models, load);
        }
    }

    /// Returns how long these models take to load on a usual ComfyUI, or `None` before that was seen.
    pub fn load_of(&self, models: &[String]) -> Option<Duration> {
        Some(duration(self.loads.get(models)?.get()?))
    }

    /// Returns how slow each ComfyUI is: how long its jobs take, divided by how long they usually take.
    pub fn slowness(&self) -> impl Iterator<Item = (&str, f64)> {
        self.slowness.iter().map(|(comfyui, slowness)| (comfyui.as_str(), *slowness))
    }

    /// Replaces how slow a ComfyUI is. A number that is not positive is left out.
    pub fn set_slowness(&mut self, comfyui: String, slowness: f64) {
        if slowness.is_finite() && slowness > 0.0 {
            self.slowness.insert(comfyui, slowness);
        }
    }

    /// Returns how long a job of this workflow with these models takes on a usual ComfyUI, or `None` before the first one
    /// completed. On a certain ComfyUI it takes [`slowness_of`](Self::slowness_of) times as long.
    ///
    /// The time to load models is known when jobs of a workflow completed both with and without that; then it counts for the jobs
    /// of all workflows that use the same models. Until then it is assumed to be that of the run: if it counted as nothing, the
    /// first jobs would be given to any ComfyUI, and each would load every model.
    pub fn usual(&self, workflow: &str, models: &[String]) -> Option<Estimate> {
        let times = self.workflows.get(workflow)?;
        let known = self.loads.get(models).and_then(|load| load.get());
        let (load, run) = match (times.cold.get(), times.warm.get()) {
            (Some(cold), Some(warm)) => (known.unwrap_or((cold - warm).max(0.0)), warm),
            (Some(cold), None) => {
                let load = known.unwrap_or(cold / 2.0).min(cold);
                (load, cold - load)
            }
            (None, warm) => (known.or(warm)?, warm?),
        };
        Some(Estimate { load: duration(load), run: duration(run) })
    }

    /// Returns the duration of jobs on this ComfyUI, divided by the usual one.
    pub fn slowness_of(&self, comfyui: &str) -> f64 {
        self.slowness.get(comfyui).copied().unwrap_or(1.0)
    }

    /// Returns the mean of what is known of all workflows, for one about which nothing is.
    pub fn typical(&self) -> Option<Estimate> {
        let known: Vec<_> = self.workflows.keys().filter_map(|workflow| self.usual(workflow, &[])).collect();
        let count = u32::try_from(known.len()).ok().filter(|count| *count > 0)?;
        let sum = |part: fn(&Estimate) -> Duration| known.iter().map(part).sum::<Duration>() / count;
        Some(Estimate { load: sum(|estimate| estimate.load), run: sum(|estimate| estimate.run) })
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns how long a job without models takes on a ComfyUI.
    fn expected(times: &JobTimes, workflow: &str, comfyui: &str) -> Option<Estimate> {
        Some(times.usual(workflow, &[])?.times(times.slowness_of(comfyui)))
    }

    #[test]
    fn the_time_to_load_is_the_difference_between_cold_and_warm_jobs() {
        let mut times = JobTimes::default();
        assert_eq!(expected(&times, "w", "a"), None);
        assert_eq!(times.typical(), None);
        times.learn("w", &[], "a", true, seconds(30));
        assert_eq!(expected(&times, "w", "a"), Some(Estimate { load: seconds(15), run: seconds(15) }));
        times.learn("w", &[], "a", false, seconds(10));
        assert_eq!(expected(&times, "w", "a"), Some(Estimate { load: seconds(20), run: seconds(10) }));
        assert_eq!(times.typical(), expected(&times, "w", "b"));
    }

    #[test]
    fn loading_is_not_free_before_a_cold_job_completed() {
        let mut times = JobTimes::default();
        times.learn("w", &[], "a", false, seconds(10));
        assert_eq!(expected(&times, "w", "a"), Some(Estimate { load: seconds(10), run: seconds(10) }));
    }

    #[test]
    fn what_loading_takes_counts_for_every_workflow_with_the_same_models() {
        let mut times = JobTimes::default();
        let (large, small) = ([String::from("large.safetensors")], [String::from("small.safetensors")]);
        times.learn("w", &large, "a", true, seconds(50));
        times.learn("w", &large, "a", false, seconds(10));
        times.learn("w", &small, "a", true, seconds(15));
        assert_eq!(times.load_of(&large), Some(seconds(40)));
        assert_eq!(times.usual("w", &large), Some(Estimate { load: seconds(40), run: seconds(10) }));
        assert_eq!(times.usual("w", &small), Some(Estimate { load: seconds(5), run: seconds(10) }));
        // One job of another workflow is enough, cold or warm.
        times.learn("v", &large, "a", false, seconds(3));
        assert_eq!(times.usual("v", &large), Some(Estimate { load: seconds(40), run: seconds(3) }));
        times.learn("u", &large, "a", true, seconds(42));
        assert_eq!(times.usual("u", &large), Some(Estimate { load: seconds(40), run: seconds(2) }));
    }

    #[test]
    fn loading_times_of_so_many_sets_of_models_are_known_and_no_more() {
        let mut times = JobTimes::default();
        times.learn("w", &[], "a", false, seconds(1));
        for number in 0..MODEL_SETS + 10 {
            times.learn("w", &[number.to_string()], "a", true, seconds(3));
        }
        assert_eq!(times.loads().count(), MODEL_SETS);
        assert!(times.usual("w", &[(MODEL_SETS + 5).to_string()]).is_some());
    }

    #[test]
    fn a_slow_comfyui_is_expected_to_be_slow_also_with_another_workflow() {
        let mut times = JobTimes::default();
        for _ in 0..40 {
            times.learn("w", &[], "fast", false, seconds(10));
            times.learn("w", &[], "slow", false, seconds(30));
        }
        times.learn("v", &[], "fast", false, seconds(10));
        let run = |comfyui| expected(&times, "v", comfyui).unwrap().run.as_secs_f64();
        let ratio = run("slow") / run("fast");
        assert!((2.7..3.3).contains(&ratio), "{ratio}");
        assert!((9.0..11.0).contains(&run("fast")), "{}", run("fast"));
    }

    #[test]
    fn what_was_learned_can_be_stored_and_what_makes_no_sense_is_left_out() {
        let mut times = JobTimes::default();
        times.learn("w", &[], "a", true, seconds(30));
        times.learn("w", &[], "a", false, seconds(10));
        times.learn("w", &[], "b", false, seconds(40));
        let mut restored = JobTimes::default();
        times.workflows().for_each(|(workflow, known)| restored.set_workflow(workflow.to_owned(), known));
        times.loads().for_each(|(models, load)| restored.set_load(models.to_vec(), load));
        times.slowness().for_each(|(comfyui, slowness)| restored.set_slowness(comfyui.to_owned(), slowness));
        for comfyui in ["a", "b", "new"] {
            assert_eq!(expected(&restored, "w", comfyui), expected(&times, "w", comfyui), "{comfyui}");
        }
        for wrong in [f64::NAN, -1.0, f64::INFINITY] {
            restored.set_slowness("a".to_owned(), wrong);
            let mean = Mean { seconds: wrong, count: 3 };
            restored.set_load(vec!["m".to_owned()], mean);
            assert_eq!(restored.load_of(&["m".to_owned()]), None, "{wrong}");
            restored.set_workflow("v".to_owned(), WorkflowTimes { cold: mean, warm: mean });
            assert_eq!(expected(&restored, "v", "a"), None, "{wrong}");
        }
        assert_eq!(expected(&restored, "w", "a"), expected(&times, "w", "a"));
    }

    #[test]
    fn a_mean_follows_a_machine_that_changed() {
        let mut times = JobTimes::default();
        (0..50).for_each(|_| times.learn("w", &[], "a", false, seconds(10)));
        (0..50).for_each(|_| times.learn("w", &[], "a", false, seconds(20)));
        let run = expected(&times, "w", "a").unwrap().run.as_secs_f64();
        assert!((19.0..21.0).contains(&run), "{run}");
    }
}
