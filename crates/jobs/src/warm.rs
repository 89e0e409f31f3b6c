//! The models that ComfyUIs have in memory when this process starts, by what they ran last.

use std::collections::HashMap;

use comfy_runner_api::Status;
use comfy_runner_store::{Filter, StoreError, Summary};

use crate::jobs::Jobs;
use crate::models::models_of;

/// The number of recorded jobs that are looked at, and further ones for each ComfyUI.
const RECENT: (usize, usize) = (50, 4);

/// Notes which models the ComfyUIs have in memory, as far as the records of the latest jobs show.
pub(crate) async fn load_warm_models(jobs: &Jobs) -> Result<(), StoreError> {
    let models: HashMap<_, _> = {
        let state = jobs.lock();
        state
            .pool
            .members()
            .map(|member| (member.settings.name.to_string(), member.settings.models))
            .collect()
    };
    let limit = u32::try_from(RECENT.0 + RECENT.1 * models.len()).unwrap_or(u32::MAX);
    let statuses = vec![Status::Pending, Status::Running, Status::Completed];
    let filter = Filter::default().with_statuses(statuses).with_page(limit, None);
    for (comfyui, prompt_ids) in last_on_each(jobs.store().list(filter).await?.jobs, &models) {
        for prompt_id in prompt_ids {
            let Some(record) = jobs.store().get(&prompt_id).await? else { continue };
            if let Some(member) = jobs.lock().pool.get_mut(&comfyui) {
                member.warm.use_models(models_of(&record.graph).iter().map(String::as_str));
            }
        }
    }
    Ok(())
}

/// Returns the jobs that ran last on each ComfyUI, or will run next there, in that order: as many as it keeps models, at most.
fn last_on_each(recent: Vec<Summary>, models: &HashMap<String, usize>) -> HashMap<String, Vec<String>> {
    let mut on_each: HashMap<String, Vec<Summary>> = HashMap::new();
    for job in recent {
        if let Some(comfyui) = job.outcome.comfyui.clone().filter(|comfyui| models.contains_key(comfyui)) {
            on_each.entry(comfyui).or_default().push(job);
        }
    }
    let last = on_each.into_iter().map(|(comfyui, mut jobs)| {
        jobs.sort_by_key(|job| (job.outcome.started_at.unwrap_or(i64::MAX), job.queued_at));
        // Jobs without models leave what is there, so a few more may be needed.
        let count = models.get(&comfyui).map_or(0, |models| models.saturating_mul(2).max(RECENT.1));
        let jobs = jobs.split_off(jobs.len().saturating_sub(count));
        (comfyui, jobs.into_iter().map(|job| job.prompt_id).collect())
    });
    last.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use comfy_runner_protocol::Graph;
    use comfy_runner_store::{Outcome, Record, Sqlite, Store as _};
    use serde_json::json;

    use super::*;
    use crate::config::JobsConfig;
    use crate::jobs::tests::{COMFYUI, empty};

    #[actix_rt::test]
    async fn a_new_process_knows_what_each_comfyui_ran_last() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        for (number, model, comfyui, status) in [
            (1, "a.safetensors", COMFYUI, Status::Completed),
            (2, "b.safetensors", COMFYUI, Status::Completed),
            (3, "", COMFYUI, Status::Completed),
            (4, "c.safetensors", COMFYUI, Status::Error),
            (5, "d.safetensors", "elsewhere", Status::Completed),
        ] {
            let graph =
                json!({"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}}});
            let mut summary = Summary::new(format!("p{number}"), "c", "w", number);
            summary.outcome = Outcome::new(status, true);
            summary.outcome.comfyui = Some(comfyui.to_owned());
            summary.outcome.started_at = Some(100 + number);
            let record = Record::new(summary, Arc::new(Graph::from_value(graph).unwrap()));
            store.create(record).await.unwrap();
        }
        let jobs = empty(JobsConfig::default(), store as _);
        jobs.load().await.unwrap();
        assert_eq!(jobs.comfyuis()[0].warm_models, ["b.safetensors"]);
    }
}
