//! How long jobs take, learned from those that completed.

use std::collections::HashMap;
use std::time::Duration;

use crate::placement::Estimate;

/// A new job has at least this part in a mean, so that the mean follows a machine that changed.
const LEAST_WEIGHT: f64 = 0.1;
/// The part that a new job has in the slowness of its ComfyUI.
const SLOWNESS_WEIGHT: f64 = 0.2;

/// The durations of completed jobs, by workflow and by whether models had to be loaded, and how slow each ComfyUI is
/// compared with the others.
#[derive(Debug, Clone, Default)]
pub struct JobTimes {
    workflows: HashMap<String, WorkflowTimes>,
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

    fn add(&mut self, seconds: f64) {
        self.count = self.count.saturating_add(1);
        let weight = (1.0 / f64::from(self.count)).max(LEAST_WEIGHT);
        self.seconds += (seconds - self.seconds) * weight;
    }
}

impl JobTimes {
    /// Learns from a job that completed: `cold` says whether its ComfyUI had to load one of its models.
    pub fn learn(&mut self, workflow: &str, comfyui: &str, cold: bool, took: Duration) {
        let times = self.workflows.entry(workflow.to_owned()).or_default();
        let mean = if cold { &mut times.cold } else { &mut times.warm };
        let slowness = self.slowness.entry(comfyui.to_owned()).or_insert(1.0);
        let took = took.as_secs_f64();
        if let Some(usual) = mean.get().filter(|usual| *usual > 0.0) {
            *slowness += (took / usual - *slowness) * SLOWNESS_WEIGHT;
        }
        // A ComfyUI that answers in no time says nothing of the others.
        mean.add(took / slowness.max(0.01));
    }

    /// Returns what is known, by workflow, in no order.
    pub fn workflows(&self) -> impl Iterator<Item = (&str, WorkflowTimes)> {
        self.workflows.iter().map(|(workflow, times)| (workflow.as_str(), *times))
    }

    /// Replaces what is known of a workflow, as an earlier process learned it. Means that are no durations are left out.
    pub fn set_workflow(&mut self, workflow: String, mut times: WorkflowTimes) {
        for mean in [&mut times.cold, &mut times.warm] {
            if !(mean.seconds.is_finite() && mean.seconds >= 0.0) {
                *mean = Mean::default();
            }
        }
        self.workflows.insert(workflow, times);
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

    /// Returns how long a job of this workflow takes on this ComfyUI, or `None` before the first one completed.
    pub fn estimate(&self, workflow: &str, comfyui: &str) -> Option<Estimate> {
        Some(self.usual(workflow)?.times(self.slowness_of(comfyui)))
    }

    /// Returns how long a job of this workflow takes on a usual ComfyUI, or `None` before the first one completed.
    ///
    /// The time to load models is known when jobs completed both with and without that. Until then it is assumed to be that of
    /// the run: if it counted as nothing, the first jobs would be given to any ComfyUI, and each would load every model.
    pub fn usual(&self, workflow: &str) -> Option<Estimate> {
        let times = self.workflows.get(workflow)?;
        let (load, run) = match (times.cold.get(), times.warm.get()) {
            (Some(cold), Some(warm)) => ((cold - warm).max(0.0), warm),
            (Some(cold), None) => (cold / 2.0, cold / 2.0),
            (None, warm) => (warm?, warm?),
        };
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Some(Estimate { load: duration(load), run: duration(run) })
    }

    /// Returns the duration of jobs on this ComfyUI, divided by the usual one.
    pub fn slowness_of(&self, comfyui: &str) -> f64 {
        self.slowness.get(comfyui).copied().unwrap_or(1.0)
    }

    /// Returns the mean of what is known of all workflows, for one about which nothing is.
    pub fn typical(&self) -> Option<Estimate> {
        let known: Vec<_> = self.workflows.keys().filter_map(|workflow| self.usual(workflow)).collect();
        let count = u32::try_from(known.len()).ok().filter(|count| *count > 0)?;
        let sum = |part: fn(&Estimate) -> Duration| known.iter().map(part).sum::<Duration>() / count;
        Some(Estimate { load: sum(|estimate| estimate.load), run: sum(|estimate| estimate.run) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_time_to_load_is_the_difference_between_cold_and_warm_jobs() {
        let mut times = JobTimes::default();
        assert_eq!(times.estimate("w", "a"), None);
        assert_eq!(times.typical(), None);
        times.learn("w", "a", true, seconds(30));
        assert_eq!(times.estimate("w", "a"), Some(Estimate { load: seconds(15), run: seconds(15) }));
        times.learn("w", "a", false, seconds(10));
        assert_eq!(times.estimate("w", "a"), Some(Estimate { load: seconds(20), run: seconds(10) }));
        assert_eq!(times.typical(), times.estimate("w", "b"));
    }

    #[test]
    fn loading_is_not_free_before_a_cold_job_completed() {
        let mut times = JobTimes::default();
        times.learn("w", "a", false, seconds(10));
        assert_eq!(times.estimate("w", "a"), Some(Estimate { load: seconds(10), run: seconds(10) }));
    }

    #[test]
    fn a_slow_comfyui_is_expected_to_be_slow_also_with_another_workflow() {
        let mut times = JobTimes::default();
        for _ in 0..40 {
            times.learn("w", "fast", false, seconds(10));
            times.learn("w", "slow", false, seconds(30));
        }
        times.learn("v", "fast", false, seconds(10));
        let run = |comfyui| times.estimate("v", comfyui).unwrap().run.as_secs_f64();
        let ratio = run("slow") / run("fast");
        assert!((2.7..3.3).contains(&ratio), "{ratio}");
        assert!((9.0..11.0).contains(&run("fast")), "{}", run("fast"));
    }

    #[test]
    fn what_was_learned_can_be_stored_and_what_makes_no_sense_is_left_out() {
        let mut times = JobTimes::default();
        times.learn("w", "a", true, seconds(30));
        times.learn("w", "a", false, seconds(10));
        times.learn("w", "b", false, seconds(40));
        let mut restored = JobTimes::default();
        times.workflows().for_each(|(workflow, known)| restored.set_workflow(workflow.to_owned(), known));
        times.slowness().for_each(|(comfyui, slowness)| restored.set_slowness(comfyui.to_owned(), slowness));
        for comfyui in ["a", "b", "new"] {
            assert_eq!(restored.estimate("w", comfyui), times.estimate("w", comfyui), "{comfyui}");
        }
        for wrong in [f64::NAN, -1.0, f64::INFINITY] {
            restored.set_slowness("a".to_owned(), wrong);
            let mean = Mean { seconds: wrong, count: 3 };
            restored.set_workflow("v".to_owned(), WorkflowTimes { cold: mean, warm: mean });
            assert_eq!(restored.estimate("v", "a"), None, "{wrong}");
        }
        assert_eq!(restored.estimate("w", "a"), times.estimate("w", "a"));
    }

    #[test]
    fn a_mean_follows_a_machine_that_changed() {
        let mut times = JobTimes::default();
        (0..50).for_each(|_| times.learn("w", "a", false, seconds(10)));
        (0..50).for_each(|_| times.learn("w", "a", false, seconds(20)));
        let run = times.estimate("w", "a").unwrap().run.as_secs_f64();
        assert!((19.0..21.0).contains(&run), "{run}");
    }
}
