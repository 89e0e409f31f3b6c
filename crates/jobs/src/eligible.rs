//! Which ComfyUIs can run a graph: those with the required tags whose node schemas accept it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_runner_client::ClientError;
use comfy_runner_protocol::{Graph, NodeErrors, ObjectInfo, PromptRefused};
use comfy_runner_store::{Record, StoreError};
use futures::future::join_all;

use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::pool::Member;
use crate::refusal::{Refusal, left_out, warnings, without_tracebacks};
use crate::submit_error::SubmitError;

/// The age from which the schemas by which jobs are given to ComfyUIs are fetched again: models may be installed while a ComfyUI
/// runs.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The largest age of schemas that still count while newer ones are fetched, if they accept the graph. Fetching takes a ComfyUI
/// seconds, for which no caller should have to wait.
const MAX_AGE_MEANWHILE: Duration = Duration::from_secs(600);

/// The number of nodes that are validated without a thread of their own, which takes longer to wake.
const NODES_AT_ONCE: usize = 200;

/// Predicts the answer of a ComfyUI to a graph, by its node schemas.
pub trait GraphValidator: Send + Sync + std::fmt::Debug {
    /// Returns the prediction. For a large graph, it is called on a thread for work that takes long. `files` are in the input
    /// folder, or will be, although the schemas may not list them.
    fn validate(&self, graph: &Graph, schemas: &ObjectInfo, files: &[String]) -> Prediction;
}

/// The predicted answer of a ComfyUI to a graph.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Prediction {
    /// It runs the graph, less the outputs that depend on the nodes with errors.
    Accepted(NodeErrors),
    /// It runs nothing of it.
    Refused(PromptRefused),
}

/// The ComfyUIs that can run a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Eligible {
    /// Their names, in the order of the settings.
    pub names: Arc<[Arc<str>]>,
    /// The state of all schemas by which this was found out.
    pub as_of: u64,
    /// A sentence for each part of the graph that they do not run.
    pub warnings: Vec<String>,
    /// Their errors about those parts.
    pub node_errors: NodeErrors,
}

/// Finds the ComfyUIs that can run a graph.
///
/// A single ComfyUI is not asked for its schemas unless the job must be `checked` before it waits: it decides itself. Of
/// several, those are chosen that run the whole graph; else those that run a part of it; else those that cannot be asked.
///
/// # Errors
/// None can run it, or the schemas of the only one cannot be fetched.
pub(crate) async fn find(
    jobs: &Jobs,
    clients: &Clients,
    record: &Record,
    checked: bool,
) -> Result<Eligible, SubmitError> {
    let (graph, tags) = (&record.graph, record.required_tags.as_slice());
    let (candidates, count, as_of) = {
        let mut state = jobs.lock();
        (state.pool.with_tags(tags), state.pool.len(), state.pool.schemas())
    };
    if candidates.is_empty() {
        return Err(SubmitError::NoComfyUi(without_tags(jobs, tags)));
    }
    let validator = match &jobs.config().validator {
        Some(validator) if checked || count > 1 => validator,
        _ => return Ok(Eligible { names: candidates, as_of, ..Eligible::default() }),
    };
    let files = uploads(jobs, record, count).await?;
    if let Some(known) = known_schemas(jobs, &candidates) {
        let predictions = predict(validator, graph, &files, &known.schemas).await;
        let decides = known.is_young && known.names.len() == candidates.len();
        if decides || predictions.iter().any(accepts_all) {
            if !known.is_young {
                refresh(jobs, clients, &known.names);
            }
            let answers = known.names.into_iter().zip(predictions.into_iter().map(Ok)).collect();
            return Ok(decide(answers, graph, count, as_of)?.sharing(jobs));
        }
    }
    // One that never answered is asked only if no other one runs the whole graph: it may take long to fail.
    let connected = connected(jobs, &candidates);
    if connected.len() < candidates.len() && !connected.is_empty() {
        let answers = ask(jobs, clients, validator, graph, &files, &connected).await;
        if answers.iter().any(|(_, answer)| answer.as_ref().is_ok_and(accepts_all)) {
            return Ok(decide(answers, graph, count, as_of)?.sharing(jobs));
        }
    }
    let answers = ask(jobs, clients, validator, graph, &files, &candidates).await;
    Ok(decide(answers, graph, count, as_of)?.sharing(jobs))
}

/// Returns whether a ComfyUI runs the whole graph.
fn accepts_all(prediction: &Prediction) -> bool {
    matches!(prediction, Prediction::Accepted(errors) if errors.is_empty())
}

/// Returns those of these ComfyUIs that are connected.
fn connected(jobs: &Jobs, names: &[Arc<str>]) -> Vec<Arc<str>> {
    let state = jobs.lock();
    let is_connected = |name: &&Arc<str>| state.pool.get(name).is_some_and(Member::is_connected);
    names.iter().filter(is_connected).cloned().collect()
}

/// Predicts the answers of these ComfyUIs to a graph, by node schemas that are fetched if they are too old.
async fn ask(
    jobs: &Jobs,
    clients: &Clients,
    validator: &Arc<dyn GraphValidator>,
    graph: &Arc<Graph>,
    files: &[String],
    names: &[Arc<str>],
) -> Vec<(Arc<str>, Result<Prediction, ClientError>)> {
    let fetches = names.iter().map(|name| async move {
        match schemas(jobs, clients, name, MAX_AGE).await {
            // While it cannot be reached, its earlier answer is the best estimate.
            Err(error) => jobs.known_schemas(name).ok_or(error),
            schemas => schemas,
        }
    });
    let (mut known, mut fetched) = (Vec::new(), Vec::new());
    for answer in join_all(fetches).await {
        fetched.push(answer.map(|schemas| known.push(schemas)));
    }
    let mut predictions = predict(validator, graph, files, &known).await.into_iter();
    let answers = names.iter().cloned().zip(fetched).filter_map(|(name, answer)| {
        let answer = match answer {
            Ok(()) => Ok(predictions.next()?),
            Err(error) => Err(error),
        };
        Some((name, answer))
    });
    answers.collect()
}

impl Eligible {
    /// Shares the list of names with other jobs.
    fn sharing(mut self, jobs: &Jobs) -> Self {
        self.names = jobs.lock().pool.share(self.names.to_vec());
        self
    }
}

/// The node schemas of ComfyUIs.
#[derive(Default)]
struct KnownSchemas {
    names: Vec<Arc<str>>,
    /// Those of each of them.
    schemas: Vec<Arc<ObjectInfo>>,
    /// Whether none of them is to be fetched again.
    is_young: bool,
}

/// Returns the node schemas of these ComfyUIs, or `None` if some must be fetched first. One that is not connected is not asked:
/// its earlier answer is the best estimate, and without one it is left out.
fn known_schemas(jobs: &Jobs, names: &[Arc<str>]) -> Option<KnownSchemas> {
    let now = Instant::now();
    let before = |age| now.checked_sub(age);
    let state = jobs.lock();
    let mut known = KnownSchemas { is_young: true, ..KnownSchemas::default() };
    for name in names {
        let member = state.pool.get(name)?;
        if !member.is_connected() {
            if let Some(schemas) = member.schemas.latest_known() {
                known.names.push(Arc::clone(name));
                known.schemas.push(schemas);
            }
            continue;
        }
        let connected = member.connection.since;
        let earliest = before(MAX_AGE_MEANWHILE).map_or(connected, |earliest| earliest.max(connected));
        let (schemas, since) = member.schemas.known_since(earliest)?;
        known.is_young &= before(MAX_AGE).is_none_or(|earliest| since >= earliest);
        known.names.push(Arc::clone(name));
        known.schemas.push(schemas);
    }
    Some(known)
}

/// Fetches the node schemas of these ComfyUIs that are too old, while the caller goes on.
fn refresh(jobs: &Jobs, clients: &Clients, names: &[Arc<str>]) {
    let caches: Vec<_> = {
        let state = jobs.lock();
        let members = names.iter().filter_map(|name| Some((name, state.pool.get(name)?)));
        let connected = members.filter(|(_, member)| member.is_connected());
        connected.map(|(name, member)| (Arc::clone(name), Arc::clone(&member.schemas))).collect()
    };
    for (name, cache) in caches {
        let is_young =
            Instant::now().checked_sub(MAX_AGE).is_none_or(|earliest| cache.known_since(earliest).is_some());
        if !is_young
            && !cache.is_being_fetched()
            && let Some(client) = clients.get(&name)
        {
            actix_rt::spawn(async move { cache.refresh(&client).await });
        }
    }
}

/// Predicts the answers of ComfyUIs with these schemas to a graph. Those with the same schemas give the same answer.
async fn predict(
    validator: &Arc<dyn GraphValidator>,
    graph: &Arc<Graph>,
    files: &[String],
    schemas: &[Arc<ObjectInfo>],
) -> Vec<Prediction> {
    let mut different: Vec<Arc<ObjectInfo>> = Vec::new();
    let which: Vec<_> = schemas
        .iter()
        .map(|schemas| {
            let known = different.iter().position(|known| Arc::ptr_eq(known, schemas));
            known.unwrap_or_else(|| {
                different.push(Arc::clone(schemas));
                different.len() - 1
            })
        })
        .collect();
    let predictions: Vec<_> = if graph.len() * different.len() <= NODES_AT_ONCE {
        different.iter().map(|schemas| validator.validate(graph, schemas, files)).collect()
    } else {
        let (validator, graph, files) = (Arc::clone(validator), Arc::clone(graph), files.to_vec());
        let count = different.len();
        let predict = move || -> Vec<_> {
            different.iter().map(|schemas| validator.validate(&graph, schemas, &files)).collect()
        };
        // A validator that panics knows nothing.
        let unknown = |_| vec![Prediction::Accepted(NodeErrors::new()); count];
        tokio::task::spawn_blocking(predict).await.unwrap_or_else(unknown)
    };
    which.into_iter().filter_map(|at| predictions.get(at).cloned()).collect()
}

/// Returns the files of a job that any ComfyUI has when it gets the job: those in the file store are sent before, and a single
/// ComfyUI has every upload.
async fn uploads(jobs: &Jobs, record: &Record, count: usize) -> Result<Vec<String>, StoreError> {
    if record.input_files.is_empty() {
        return Ok(Vec::new());
    }
    let uploads = jobs.store().uploads_named(record.input_files.clone()).await?;
    let has_everywhere = uploads.into_iter().filter(|upload| upload.hash.is_some() || count == 1);
    Ok(has_everywhere.map(|upload| upload.filename).collect())
}

fn decide(
    answers: Vec<(Arc<str>, Result<Prediction, ClientError>)>,
    graph: &Graph,
    count: usize,
    as_of: u64,
) -> Result<Eligible, SubmitError> {
    let named = |is: fn(&Result<Prediction, ClientError>) -> bool| -> Vec<_> {
        answers.iter().filter(|(_, answer)| is(answer)).map(|(name, _)| Arc::clone(name)).collect()
    };
    let whole = named(|answer| matches!(answer, Ok(Prediction::Accepted(errors)) if errors.is_empty()));
    if !whole.is_empty() {
        return Ok(Eligible { names: whole.into(), as_of, ..Eligible::default() });
    }
    let part = answers.iter().find_map(|(_, answer)| match answer {
        Ok(Prediction::Accepted(errors)) => Some(errors.clone()),
        _ => None,
    });
    if let Some(node_errors) = part {
        let names = named(|answer| matches!(answer, Ok(Prediction::Accepted(_))));
        let node_errors = without_tracebacks(node_errors);
        let names = names.into();
        return Ok(Eligible { names, as_of, warnings: warnings(&node_errors, graph), node_errors });
    }
    let unknown = named(Result::is_err);
    if !unknown.is_empty() && count > 1 {
        return Ok(Eligible { names: unknown.into(), as_of, ..Eligible::default() });
    }
    let mut refusals = Vec::new();
    for (name, answer) in answers {
        match answer {
            Ok(Prediction::Refused(refused)) => refusals.push((name, Refusal::new(refused, graph))),
            Ok(Prediction::Accepted(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(SubmitError::Refused(together(refusals, count)))
}

/// Returns one refusal for those of all ComfyUIs. With a single ComfyUI it is the ComfyUI's own.
fn together(mut refusals: Vec<(Arc<str>, Refusal)>, count: usize) -> Refusal {
    refusals.sort_by_key(|(_, refusal)| refusal.node_errors.len());
    let mut detail = "no ComfyUI can run the workflow".to_owned();
    for (number, (name, refusal)) in refusals.iter().enumerate() {
        let separator = if number == 0 { ':' } else { ';' };
        let _ = write!(detail, "{separator} \"{name}\": {}", refusal.reason());
    }
    let mut nearest = refusals.into_iter().map(|(_, refusal)| refusal).next().unwrap_or_default();
    if count > 1 {
        nearest.detail = detail;
    }
    nearest
}

fn without_tags(jobs: &Jobs, tags: &[String]) -> String {
    let state = jobs.lock();
    let mut message = match tags {
        [] => "no ComfyUI is configured".to_owned(),
        tags => format!("no ComfyUI has the tags that the workflow requires ({})", tags.join(", ")),
    };
    for (number, member) in state.pool.members().enumerate() {
        let separator = if number == 0 { ':' } else { ',' };
        let has = match member.settings.tags.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            has => has,
        };
        let _ = write!(message, "{separator} \"{}\" has {has}", member.settings.name);
    }
    message
}

/// See [`Jobs::schemas`].
pub(crate) async fn schemas(
    jobs: &Jobs,
    clients: &Clients,
    name: &str,
    max_age: Duration,
) -> Result<Arc<ObjectInfo>, ClientError> {
    let (cache, connection) = {
        let state = jobs.lock();
        match state.pool.get(name) {
            Some(member) => (Arc::clone(&member.schemas), member.connection),
            None => return Err(ClientError::NotConfigured(name.to_owned())),
        }
    };
    let Some(client) = clients.get(name) else { return Err(ClientError::NotConfigured(name.to_owned())) };
    let earliest =
        Instant::now().checked_sub(max_age).map_or(connection.since, |young| young.max(connection.since));
    cache.since(&client, earliest).await
}

/// Notes what a job leaves out, as its `node_errors` say.
pub(crate) fn leave_out(job: &mut crate::job::Job, warnings: &[String], node_errors: &NodeErrors) {
    job.progress.leave_out(left_out(node_errors));
    job.warnings = warnings.to_vec();
    job.node_errors.clone_from(node_errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(message: &str) -> Prediction {
        let refused = json!({"error": {"type": "t", "message": message, "details": "", "extra_info": {}},
            "node_errors": {}});
        Prediction::Refused(serde_json::from_value(refused).unwrap())
    }

    fn part() -> Prediction {
        let errors = json!({"1": {"class_type": "A", "dependent_outputs": ["2"],
            "errors": [{"type": "t", "message": "Value not in list", "details": "", "extra_info": {}}]}});
        Prediction::Accepted(serde_json::from_value(errors).unwrap())
    }

    fn unreachable() -> Result<Prediction, ClientError> {
        Err(ClientError::NotConfigured("x".to_owned()))
    }

    fn decided(answers: Vec<(&str, Result<Prediction, ClientError>)>) -> Result<Vec<String>, String> {
        let count = answers.len();
        let answers = answers.into_iter().map(|(name, answer)| (name.into(), answer)).collect();
        match decide(answers, &Graph::default(), count, 1) {
            Ok(eligible) => Ok(eligible.names.iter().map(|name| name.to_string()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn comfyuis_that_run_the_whole_graph_go_before_those_that_run_a_part() {
        let whole = || Ok(Prediction::Accepted(NodeErrors::new()));
        assert_eq!(decided(vec![("a", Ok(part())), ("b", whole()), ("c", unreachable())]).unwrap(), ["b"]);
        assert_eq!(
            decided(vec![("a", Ok(part())), ("b", Ok(refused("no"))), ("c", unreachable())]).unwrap(),
            ["a"]
        );
        assert_eq!(decided(vec![("a", Ok(refused("no"))), ("b", unreachable())]).unwrap(), ["b"]);
    }

    #[test]
    fn a_refusal_by_all_says_why_for_each_and_that_of_a_single_one_is_its_own() {
        assert_eq!(
            decided(vec![("a", Ok(refused("No X"))), ("b", Ok(refused("No Y")))]).unwrap_err(),
            "no ComfyUI can run the workflow: \"a\": No X; \"b\": No Y"
        );
        assert_eq!(
            decided(vec![("a", Ok(refused("No X")))]).unwrap_err(),
            "ComfyUI refuses the workflow: No X"
        );
        assert!(decided(vec![("a", unreachable())]).is_err());
    }
}
