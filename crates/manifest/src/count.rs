//! `_count`: several jobs from one request.

use serde_json::{Map, Value};

use crate::check::{shown, whole};
use crate::input::{Input, InputKind};
use crate::manifest::Manifest;
use crate::params::ParamsError;
use crate::preset::PRESET_KEY;

/// The key of params that says how many jobs a request asks for.
pub const COUNT_KEY: &str = "_count";

/// The largest number of jobs that a request can ask for.
pub const MOST_JOBS: u64 = 100;

/// Returns the params of each job of a request that has a [`COUNT_KEY`], without that key, or `None` if it has none.
///
/// A seed that is given (by the caller, a preset or the manifest's default) counts up from job to job. A seed that is left
/// open stays open: each job gets a random one. The params are otherwise unchecked.
///
/// # Errors
/// The count is not a whole number from 1 to [`MOST_JOBS`], or a seed cannot count so far.
pub fn params_of_jobs(
    manifest: &Manifest,
    given: &Map<String, Value>,
) -> Result<Option<Vec<Map<String, Value>>>, ParamsError> {
    let Some(count) = given.get(COUNT_KEY).filter(|count| !count.is_null()) else { return Ok(None) };
    let jobs = whole(count).and_then(|count| count.as_u64()).filter(|jobs| (1..=MOST_JOBS).contains(jobs));
    let jobs = jobs.ok_or_else(|| {
        let message =
            format!("`{COUNT_KEY}` must be a whole number from 1 to {MOST_JOBS}, not {}", shown(count));
        ParamsError::from_problem(COUNT_KEY, message)
    })?;
    let mut first = given.clone();
    first.shift_remove(COUNT_KEY);
    let seeds = manifest.inputs.iter().filter(|input| input.kind == InputKind::Seed);
    let seeds: Vec<(&str, u64)> =
        seeds.filter_map(|input| Some((input.id.as_str(), given_seed(manifest, input, &first)?))).collect();
    let params = |job: u64| {
        let mut params = first.clone();
        for (id, seed) in seeds.iter().filter(|_| job > 0) {
            let seed = seed.checked_add(job).ok_or_else(|| {
                let message = format!(
                    "input \"{id}\" cannot count up {jobs} seeds from {seed}: they end at {}",
                    u64::MAX
                );
                ParamsError::from_problem(id, message)
            })?;
            params.insert((*id).to_owned(), seed.into());
        }
        Ok(params)
    };
    (0..jobs).map(params).collect::<Result<_, _>>().map(Some)
}

/// Returns the seed that applies to an input, unless it is left open or is no seed.
fn given_seed(manifest: &Manifest, input: &Input, given: &Map<String, Value>) -> Option<u64> {
    let preset = || manifest.presets.get(given.get(PRESET_KEY)?.as_str()?)?.params.get(&input.id);
    let is_given =
        |value: &&Value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
    let value = given.get(&input.id).filter(is_given).or_else(|| preset().filter(is_given));
    value.or(input.default.as_ref()).and_then(whole)?.as_u64()
}

/// Returns the error for a count where only one job can be.
pub(crate) fn not_here() -> String {
    format!("`{COUNT_KEY}` is for POST /api/run/{{workflow_id}}/execute; here there is one job")
}
