//! Which ComfyUI runs which waiting job.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::waiting_job::WaitingJob;
use crate::warm_models::WarmModels;

/// The number of waiting jobs that one call of [`place`] looks at.
const LOOK_AHEAD: usize = 512;

/// A job is overtaken until the others have kept all ComfyUIs busy this many times as long as loading its models takes.
const PATIENCE: u32 = 10;

/// A ComfyUI as [`place`] sees it.
#[derive(Debug, Clone)]
pub struct ComfyUi {
    /// The number of prompts that it may be given now.
    pub room: usize,
    /// The time until it will have run the prompts that it was given.
    pub busy_for: Duration,
    /// The models that it will then have in memory.
    pub warm: WarmModels,
}

/// How long a job is expected to take on a ComfyUI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The time to load its models, if one of them is not in memory.
    pub load: Duration,
    /// The time to run it once they are.
    pub run: Duration,
}

impl Estimate {
    /// Returns the estimate for a ComfyUI that takes this many times as long.
    pub fn times(self, slowness: f64) -> Self {
        let slower = |time: Duration| {
            Duration::try_from_secs_f64(time.as_secs_f64() * slowness).unwrap_or(Duration::MAX)
        };
        Self { load: slower(self.load), run: slower(self.run) }
    }
}

/// What is known about jobs.
pub trait Workload {
    /// Returns the models that a job uses.
    fn models(&self, job: &WaitingJob) -> &[String];

    /// Returns how long a job takes on a ComfyUI, given by its index, or `None` if it cannot run there.
    fn estimate(&self, job: &WaitingJob, comfyui: usize) -> Option<Estimate>;
}

/// Gives jobs to ComfyUIs, and returns those that can be handed over now, each with the index of its ComfyUI.
///
/// In the order of `jobs`, each job gets the ComfyUI on which it is expected to finish first, counting what goes before it
/// there. If that ComfyUI has no room, the job waits and its place there is kept: later jobs cannot delay it, and may use the
/// ComfyUIs that it did not choose. A job that no ComfyUI can run waits as well.
///
/// A job for which models would have to be loaded lets later jobs of the same caller and priority go first that need no
/// loading there, until they have kept all ComfyUIs busy ten times as long as the loading takes. So the more ComfyUIs there are,
/// the less of their time goes into loading, and no job is overtaken for longer than on a single one.
pub fn place<'a>(
    workload: &impl Workload,
    jobs: impl IntoIterator<Item = &'a WaitingJob>,
    comfyuis: Vec<ComfyUi>,
) -> Vec<(&'a WaitingJob, usize)> {
    if comfyuis.iter().all(|comfyui| comfyui.room == 0) {
        return Vec::new();
    }
    let mut waiting: VecDeque<_> = jobs.into_iter().take(LOOK_AHEAD).collect();
    let mut pool = Pool { workload, comfyuis };
    let patience = PATIENCE.saturating_mul(u32::try_from(pool.comfyuis.len()).unwrap_or(u32::MAX));
    let mut overtaken_now = HashMap::new();
    let mut placed = Vec::new();
    while pool.comfyuis.iter().any(|comfyui| comfyui.room > 0)
        && let Some(job) = waiting.pop_front()
    {
        let Some(choice) = pool.best(job) else { continue };
        let overtaken = job.overtaken + overtaken_now.get(job.id.as_str()).copied().unwrap_or(0);
        let is_patient = choice.load > Duration::ZERO
            && choice.run.saturating_mul(overtaken) < choice.load.saturating_mul(patience);
        if is_patient
            && !choice.is_full
            && let Some(position) = waiting.iter().position(|other| pool.may_overtake(other, job, &choice))
            && let Some(other) = waiting.remove(position)
            && let Some(warm) = pool.choice(other, choice.comfyui)
        {
            pool.give(other, &warm);
            placed.push((other, choice.comfyui));
            *overtaken_now.entry(job.id.as_str()).or_insert(0) += 1;
            waiting.push_front(job);
            continue;
        }
        pool.give(job, &choice);
        if !choice.is_full {
            placed.push((job, choice.comfyui));
        }
    }
    placed
}

/// The ComfyUIs, with the jobs that they have been given so far.
struct Pool<'a, W> {
    workload: &'a W,
    comfyuis: Vec<ComfyUi>,
}

/// A job on a ComfyUI. The order is that of preference: of equally good ones, one that is warm, then one with room, then the
/// first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    finish: Duration,
    /// Whether one of its models is not in memory. How long loading takes may not be known yet.
    is_cold: bool,
    /// Zero if its models are in memory.
    load: Duration,
    is_full: bool,
    comfyui: usize,
    run: Duration,
}

impl<W: Workload> Pool<'_, W> {
    fn choice(&self, job: &WaitingJob, index: usize) -> Option<Choice> {
        let comfyui = self.comfyuis.get(index)?;
        let estimate = self.workload.estimate(job, index)?;
        let is_cold = !self.is_warm(job, index);
        let load = if is_cold { estimate.load } else { Duration::ZERO };
        let finish = comfyui.busy_for.saturating_add(load).saturating_add(estimate.run);
        Some(Choice { finish, is_cold, load, is_full: comfyui.room == 0, comfyui: index, run: estimate.run })
    }

    fn best(&self, job: &WaitingJob) -> Option<Choice> {
        (0..self.comfyuis.len()).filter_map(|index| self.choice(job, index)).min()
    }

    fn is_warm(&self, job: &WaitingJob, index: usize) -> bool {
        self.workload.models(job).iter().all(|model| self.comfyuis[index].warm.is_warm(model))
    }

    /// Returns whether a job may go before an earlier one that would have to load models.
    fn may_overtake(&self, job: &WaitingJob, earlier: &WaitingJob, choice: &Choice) -> bool {
        job.caller == earlier.caller
            && job.priority == earlier.priority
            && self.is_warm(job, choice.comfyui)
            && self.workload.estimate(job, choice.comfyui).is_some()
    }

    fn give(&mut self, job: &WaitingJob, choice: &Choice) {
        let comfyui = &mut self.comfyuis[choice.comfyui];
        comfyui.busy_for = choice.finish;
        comfyui.room = comfyui.room.saturating_sub(1);
        comfyui.warm.use_models(self.workload.models(job).iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting_job::Priority;

    /// A job's id begins with the name of its model. Numbers are seconds.
    struct Models {
        names: Vec<[String; 1]>,
        load: u64,
        run: u64,
        /// The models that a ComfyUI does not have, by its index.
        missing: Vec<(usize, &'static str)>,
    }

    impl Workload for Models {
        fn models(&self, job: &WaitingJob) -> &[String] {
            self.names.iter().find(|[name]| job.id.starts_with(name)).map_or(&[], |name| name.as_slice())
        }

        fn estimate(&self, job: &WaitingJob, comfyui: usize) -> Option<Estimate> {
            let is_missing =
                self.missing.iter().any(|(index, model)| *index == comfyui && job.id.starts_with(model));
            let estimate =
                Estimate { load: Duration::from_secs(self.load), run: Duration::from_secs(self.run) };
            (!is_missing).then_some(estimate)
        }
    }

    fn models(load: u64) -> Models {
        let names = ["sdxl", "flux", "wan"].map(|name| [name.to_owned()]).into();
        Models { names, load, run: 10, missing: Vec::new() }
    }

    fn comfyui(room: usize, busy_for: u64, warm_model: &str) -> ComfyUi {
        let mut warm = WarmModels::new(1);
        warm.use_models([warm_model]);
        ComfyUi { room, busy_for: Duration::from_secs(busy_for), warm }
    }

    /// Places jobs, each of a caller: `id@caller`.
    fn placed(workload: &Models, jobs: &[&str], comfyuis: Vec<ComfyUi>) -> Vec<(String, usize)> {
        let job = |job: &&str| {
            let (id, caller) = job.split_once('@').unwrap();
            WaitingJob::new(id, caller, Priority::default(), 0)
        };
        let jobs: Vec<_> = jobs.iter().map(job).collect();
        place(workload, &jobs, comfyuis).into_iter().map(|(job, at)| (job.id.clone(), at)).collect()
    }

    fn is(placed: &[(String, usize)], expected: &[(&str, usize)]) {
        let placed: Vec<_> = placed.iter().map(|(id, comfyui)| (id.as_str(), *comfyui)).collect();
        assert_eq!(placed, expected);
    }

    #[test]
    fn a_job_goes_where_it_finishes_first() {
        let comfyuis = || vec![comfyui(1, 8, "sdxl"), comfyui(1, 0, "flux")];
        is(&placed(&models(9), &["sdxl@a"], comfyuis()), &[("sdxl", 0)]);
        is(&placed(&models(7), &["sdxl@a"], comfyuis()), &[("sdxl", 1)]);
        // Warm if all else is equal, and while it is not known how long loading takes.
        is(&placed(&models(8), &["sdxl@a"], comfyuis()), &[("sdxl", 0)]);
        let idle = || vec![comfyui(1, 0, "sdxl"), comfyui(1, 0, "flux")];
        is(&placed(&models(0), &["flux@a"], idle()), &[("flux", 1)]);
    }

    #[test]
    fn a_job_waits_for_a_full_comfyui_that_is_faster_and_a_later_job_uses_the_other_one() {
        let comfyuis = || vec![comfyui(0, 5, "sdxl"), comfyui(1, 0, "flux")];
        is(&placed(&models(20), &["sdxl1@a", "flux1@b"], comfyuis()), &[("flux1", 1)]);
        // The third one finds the first ComfyUI reserved by two others.
        is(&placed(&models(20), &["sdxl1@a", "sdxl2@b", "sdxl3@c"], comfyuis()), &[("sdxl3", 1)]);
    }

    #[test]
    fn a_comfyui_that_cannot_run_a_job_is_never_chosen() {
        let mut workload = models(1);
        workload.missing = vec![(0, "flux"), (1, "wan"), (0, "wan")];
        let idle = vec![comfyui(2, 0, "sdxl"), comfyui(2, 1000, "sdxl")];
        is(&placed(&workload, &["wan@a", "flux@b", "sdxl@c"], idle), &[("flux", 1), ("sdxl", 0)]);
    }

    #[test]
    fn a_cold_job_is_overtaken_by_a_warm_one_of_the_same_caller_only_and_not_for_ever() {
        let warm = || vec![comfyui(1, 0, "flux")];
        is(&placed(&models(5), &["sdxl@a", "flux@b"], warm()), &[("sdxl", 0)]);
        is(&placed(&models(5), &["sdxl@a", "flux@a"], warm()), &[("flux", 0)]);
        // Five jobs take ten times as long as loading.
        let mut jobs = vec!["sdxl@a".to_owned()];
        jobs.extend((0..9).map(|number| format!("flux{number}@a")));
        let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
        let placed = placed(&models(5), &jobs, vec![comfyui(6, 0, "flux")]);
        assert_eq!(placed.last().unwrap().0, "sdxl");
    }

    #[test]
    fn with_more_comfyuis_more_jobs_go_first_in_the_same_time() {
        let mut jobs = vec!["sdxl@a".to_owned()];
        jobs.extend((0..19).map(|number| format!("flux{number}@a")));
        let jobs: Vec<_> = jobs.iter().map(String::as_str).collect();
        let comfyuis = || vec![comfyui(6, 0, "flux"), comfyui(6, 0, "flux")];
        let placed = placed(&models(5), &jobs, comfyuis());
        assert_eq!(placed.iter().position(|(job, _)| job == "sdxl"), Some(10), "ten jobs on two: {placed:?}");
    }

    #[test]
    fn nothing_is_placed_without_room() {
        assert!(placed(&models(1), &["sdxl@a"], vec![comfyui(0, 0, "sdxl")]).is_empty());
        assert!(placed(&models(1), &["sdxl@a"], Vec::new()).is_empty());
    }
}
