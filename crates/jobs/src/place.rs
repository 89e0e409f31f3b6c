//! Which ComfyUI gets a job, by the scheduler: pure decisions about the locked state.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_scheduler::{self as scheduler, Estimate, JobQueue as _, JobTimes, WaitingJob, Workload};

use crate::job::{Job, Needs};
use crate::pool::Member;
use crate::state::{State, unix_millis};
use crate::table::Table;

/// What a job is expected to take before any job has completed.
const UNKNOWN: Estimate = Estimate { load: Duration::from_secs(10), run: Duration::from_secs(10) };

/// A job that is to be placed and is not in the table yet.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    /// As the queue sees it.
    pub waiting: WaitingJob,
    /// Its workflow.
    pub workflow_id: &'a str,
    /// Its needs.
    pub needs: &'a Needs,
}

/// Returns the jobs of the queue that can be given to a ComfyUI now, each with its ComfyUI. They stay in the queue.
pub(crate) fn next_jobs(state: &State) -> Vec<(String, Arc<str>)> {
    if state.queue.is_empty() || !has_room(state) {
        return Vec::new();
    }
    let (names, comfyuis) = comfyuis(state);
    let workload = Known::new(state, &names, None);
    let placed = scheduler::place(&workload, state.queue.in_order(), comfyuis);
    placed.into_iter().map(|(job, at)| (job.id.clone(), Arc::clone(&names[at]))).collect()
}

/// Returns the ComfyUI that a new job can be given to now, with the turn of the jobs in the queue kept; `None` if it must
/// wait.
pub(crate) fn place_new(state: &mut State, job: &NewJob<'_>) -> Option<Arc<str>> {
    if !has_room(state) {
        return None;
    }
    let (names, comfyuis) = comfyuis(state);
    let id = &job.waiting.id;
    state.queue.push(job.waiting.clone());
    let workload = Known::new(state, &names, Some(job));
    let placed = scheduler::place(&workload, state.queue.in_order(), comfyuis);
    let at = placed.into_iter().find(|(placed, _)| placed.id == *id).map(|(_, at)| at);
    match at {
        Some(_) => state.queue.take(id),
        None => state.queue.remove(id),
    };
    at.map(|at| Arc::clone(&names[at]))
}

/// Notes that a ComfyUI gets a job with these models next. Returns whether it must load one of them.
pub(crate) fn use_models(state: &mut State, comfyui: &str, models: &[String]) -> bool {
    let Some(member) = state.pool.get_mut(comfyui) else { return true };
    let is_cold = !models.iter().all(|model| member.warm.is_warm(model));
    member.warm.use_models(models.iter().map(String::as_str));
    is_cold
}

/// Learns how long a job took that has just completed.
pub(crate) fn learn(state: &mut State, prompt_id: &str) {
    if let Some(job) = state.table.get(prompt_id)
        && job.progress.status() == Status::Completed
        && let (Some(comfyui), Some(started), Some(finished)) =
            (&job.comfyui, job.started_at, job.finished_at)
        && let Some(is_cold) = job.needs.is_cold
        && let Ok(took) = u64::try_from(finished - started)
    {
        let (workflow_id, models) = (job.workflow_id(), &job.needs.models);
        state.times.learn(workflow_id, models, comfyui, is_cold, Duration::from_millis(took));
        state.unwritten_times.note(workflow_id, models, comfyui);
    }
}

/// Returns the jobs of the queue, the next one first, each with the time until it is expected to begin.
pub(crate) fn waits(state: &State) -> Vec<(String, Option<Duration>)> {
    let (names, comfyuis) = comfyuis(state);
    let count = u32::try_from(names.len()).ok().filter(|count| *count > 0);
    let mut ahead: Duration = comfyuis.iter().map(|comfyui| comfyui.busy_for).sum();
    let jobs = state.queue.in_order().filter_map(|waiting| state.table.get(&waiting.id));
    let waits = jobs.map(|job| {
        let wait = count.map(|count| ahead / count);
        ahead += expected(&state.times, job, "").run;
        (job.progress.prompt_id().to_owned(), wait)
    });
    waits.collect()
}

/// Returns the time until the next job of the queue is expected to begin.
pub(crate) fn next_wait(state: &State) -> Duration {
    let (_, comfyuis) = comfyuis(state);
    comfyuis.iter().map(|comfyui| comfyui.busy_for).min().unwrap_or_default()
}

/// Returns whether a usable ComfyUI has room.
fn has_room(state: &State) -> bool {
    let mut usable = state.pool.members().filter(|member| member.is_usable());
    usable.any(|member| room(&state.table, member) > 0)
}

/// Returns the number of jobs of the queue that a usable ComfyUI may get now.
fn room(table: &Table, member: &Member) -> usize {
    if member.sending {
        return 0;
    }
    member.room(table.given(&member.settings.name).filter(|job| job.recorded).count())
}

/// Returns the usable ComfyUIs, by name and as the scheduler sees them.
fn comfyuis(state: &State) -> (Vec<Arc<str>>, Vec<scheduler::ComfyUi>) {
    let now = unix_millis();
    let usable = state.pool.members().filter(|member| member.is_usable());
    let seen = usable.map(|member| {
        let name = &member.settings.name;
        let given = state.table.given(name);
        let busy_for = given.map(|job| left(&state.times, job, name, now)).sum();
        let room = room(&state.table, member);
        (Arc::clone(name), scheduler::ComfyUi { room, busy_for, warm: member.warm.clone() })
    });
    seen.unzip()
}

/// Returns how long a job will still take on its ComfyUI.
fn left(times: &JobTimes, job: &Job, comfyui: &str, now: i64) -> Duration {
    let Estimate { load, run } = expected(times, job, comfyui);
    let whole = if job.needs.is_cold == Some(true) { load + run } else { run };
    let passed = job.started_at.and_then(|started| u64::try_from(now - started).ok());
    whole.saturating_sub(Duration::from_millis(passed.unwrap_or(0)))
}

fn expected(times: &JobTimes, job: &Job, comfyui: &str) -> Estimate {
    let typical = || times.typical().unwrap_or(UNKNOWN);
    usual(times, typical, job.workflow_id(), &job.needs.models).times(times.slowness_of(comfyui))
}

/// Returns how long a job takes on a usual ComfyUI. One of a workflow that has not run yet is like those of the others, and its
/// models load as they did for those.
fn usual(times: &JobTimes, typical: impl Fn() -> Estimate, workflow_id: &str, models: &[String]) -> Estimate {
    times.usual(workflow_id, models).unwrap_or_else(|| {
        let typical = typical();
        Estimate { load: times.load_of(models).unwrap_or(typical.load), run: typical.run }
    })
}

/// What is known about the jobs to be placed. What is needed for each job on each ComfyUI is looked up once.
struct Known<'a> {
    table: &'a Table,
    times: &'a JobTimes,
    names: &'a [Arc<str>],
    new: Option<&'a NewJob<'a>>,
    /// How slow each ComfyUI is.
    slowness: Vec<f64>,
    /// The estimate of a job whose workflow is unknown.
    typical: Estimate,
    /// For each list of ComfyUIs of [`Needs::eligible`], by its address, which ComfyUIs are in it.
    eligible: RefCell<HashMap<*const Arc<str>, Rc<[bool]>>>,
}

impl<'a> Known<'a> {
    fn new(state: &'a State, names: &'a [Arc<str>], new: Option<&'a NewJob<'a>>) -> Self {
        let times = &state.times;
        let slowness = names.iter().map(|name| times.slowness_of(name)).collect();
        let typical = times.typical().unwrap_or(UNKNOWN);
        Self { table: &state.table, times, names, new, slowness, typical, eligible: RefCell::default() }
    }

    /// Returns whether a ComfyUI, given by its index, can run a job.
    fn is_eligible(&self, needs: &Needs, comfyui: usize) -> bool {
        let mut lists = self.eligible.borrow_mut();
        let list = lists.entry(needs.eligible.as_ptr()).or_insert_with(|| {
            let eligible: HashSet<&str> = needs.eligible.iter().map(|name| &**name).collect();
            self.names.iter().map(|name| eligible.contains(&**name)).collect()
        });
        list[comfyui]
    }

    /// Returns a job's workflow and needs. A job of the queue that is not in the table is just being recorded.
    fn job(&self, id: &str) -> Option<(&str, &Needs)> {
        if let Some(new) = self.new.filter(|new| new.waiting.id == id) {
            return Some((new.workflow_id, new.needs));
        }
        let job = self.table.get(id).filter(|job| job.is_waiting())?;
        Some((job.workflow_id(), &job.needs))
    }
}

impl Workload for Known<'_> {
    fn models(&self, job: &WaitingJob) -> &[String] {
        self.job(&job.id).map_or(&[], |(_, needs)| &needs.models)
    }

    fn estimate(&self, job: &WaitingJob, comfyui: usize) -> Option<Estimate> {
        let (workflow_id, needs) = self.job(&job.id)?;
        let usual = || usual(self.times, || self.typical, workflow_id, &needs.models);
        self.is_eligible(needs, comfyui).then(|| usual().times(self.slowness[comfyui]))
    }
}
