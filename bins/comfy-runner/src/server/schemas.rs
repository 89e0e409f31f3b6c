//! Workflows and conversions that need ComfyUI's node schemas.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use comfy_runner_api::WorkflowReadiness;
use comfy_runner_client::ClientError;
use comfy_runner_editor::from_api::{ConversionWarning, UiConversion, from_api};
use comfy_runner_jobs::ComfyUiState;
use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Diagnostics, LibraryError, Listed};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Assembled, Workflow};
use futures::future::join_all;

use super::State;
use super::error::ApiError;
use super::readiness;

/// The largest age of the schemas that the list of workflows goes by.
const LIST_AGE: Duration = Duration::from_secs(60);
/// The largest age of the schemas that one workflow is checked against.
const CHECK_AGE: Duration = Duration::from_secs(10);

impl State {
    /// Returns the workflow with this id. One whose graph is in UI format is read with ComfyUI's node schemas.
    pub async fn workflow(&self, id: &str) -> Result<Arc<Workflow>, ApiError> {
        match self.workflows.get(id).await? {
            Err(LibraryError::Broken { diagnostics, .. }) if needs_schemas(&diagnostics) => {}
            found => return Ok(found?),
        }
        self.learn_schemas().await?;
        Ok(self.workflows.get(id).await??)
    }

    /// Returns every workflow. Those that need node schemas are broken when ComfyUI does not answer.
    pub async fn list(&self) -> Result<Vec<Listed<Workflow>>, ApiError> {
        let listed = self.workflows.list().await?;
        let waiting = |problems: &Arc<Diagnostics>| needs_schemas(problems);
        if !listed.iter().any(|listed| listed.workflow.as_ref().is_err_and(waiting)) {
            return Ok(listed);
        }
        if let Err(error) = self.learn_schemas().await {
            tracing::warn!("workflows in UI format are not listed: {error}");
            return Ok(listed);
        }
        self.workflows.list().await
    }

    /// Returns whether each of these workflows can run now.
    pub async fn readiness(
        &self,
        workflows: Vec<Arc<Workflow>>,
    ) -> Result<Vec<(Arc<Workflow>, WorkflowReadiness)>, ApiError> {
        let schemas = match self.all_schemas(LIST_AGE).await {
            Ok(schemas) => schemas,
            Err(error) => {
                let unknown = readiness::unknown(unknown_because(&error));
                return Ok(workflows.into_iter().map(|workflow| (workflow, unknown.clone())).collect());
            }
        };
        let findings = Arc::clone(&self.findings);
        let work = web::block(move || {
            let readiness = |workflow: &_| readiness::from_findings(&findings.best(workflow, &schemas));
            workflows.into_iter().map(|workflow| (Arc::clone(&workflow), readiness(&workflow))).collect()
        });
        work.await.map_err(|error| ApiError::Unavailable(error.to_string()))
    }

    /// Returns whether a workflow can run now, and everything that is wrong with it.
    pub async fn check(&self, id: &str) -> Result<(WorkflowReadiness, Diagnostics), ApiError> {
        let mut listed = self.workflows.listed(id).await?;
        let schemas = self.all_schemas(CHECK_AGE).await;
        if listed.workflow.as_ref().is_err_and(|problems| needs_schemas(problems)) {
            match &schemas {
                Ok(schemas) => {
                    let schemas = schemas.iter().map(|(_, schemas)| Arc::clone(schemas)).collect();
                    self.set_context(self.merged(schemas).await?);
                }
                Err(error) => return Ok((readiness::unknown(unknown_because(error)), Diagnostics::new())),
            }
            listed = self.workflows.listed(id).await?;
        }
        let workflow = match listed.workflow {
            Ok(workflow) => workflow,
            Err(problems) => return Ok((readiness::from_findings(&problems), (*problems).clone())),
        };
        let mut found = (*listed.warnings).clone();
        let schemas = match schemas {
            Ok(schemas) => schemas,
            Err(error) => return Ok((readiness::unknown(unknown_because(&error)), found)),
        };
        let cache = Arc::clone(&self.findings);
        let work = web::block(move || cache.best(&workflow, &schemas));
        let findings = work.await.map_err(|error| ApiError::Unavailable(error.to_string()))?;
        let readiness = readiness::from_findings(&findings);
        found.extend(findings.iter().cloned());
        Ok((readiness, found))
    }

    /// Returns the schemas whose choices a form of a workflow offers: those of the ComfyUIs that have its tags.
    pub async fn schemas_for_options(&self, tags: &[String]) -> Result<Arc<ObjectInfo>, ApiError> {
        let has_tags = |comfyui: &ComfyUiState| tags.iter().all(|tag| comfyui.tags.contains(tag));
        if !tags.is_empty() && !self.jobs.comfyuis().iter().any(has_tags) {
            let tags = tags.join(", ");
            return Err(ApiError::ComfyUi(format!(
                "no ComfyUI has the tags that the workflow requires ({tags})"
            )));
        }
        self.union(CHECK_AGE, has_tags).await
    }

    /// Returns the schemas of every ComfyUI that answers, of at most this age, and since its connection was last opened or
    /// lost.
    ///
    /// # Errors
    /// None answers.
    async fn all_schemas(&self, age: Duration) -> Result<Vec<(Arc<str>, Arc<ObjectInfo>)>, ClientError> {
        self.schemas_of(age, |_| true).await
    }

    /// As [`State::all_schemas`], of some of the ComfyUIs.
    async fn schemas_of(
        &self,
        age: Duration,
        is_wanted: impl Fn(&ComfyUiState) -> bool,
    ) -> Result<Vec<(Arc<str>, Arc<ObjectInfo>)>, ClientError> {
        let wanted = self.askable().into_iter().filter(is_wanted);
        let names: Vec<_> = wanted.map(|comfyui| comfyui.name).collect();
        let fetches = names.iter().map(|name| self.jobs.schemas(&self.clients, name, age));
        let mut failed = ClientError::NotConfigured("comfyui".to_owned());
        let mut all = Vec::new();
        for (name, fetched) in names.iter().zip(join_all(fetches).await) {
            match fetched {
                Ok(schemas) => all.push((Arc::clone(name), schemas)),
                Err(error) => failed = error,
            }
        }
        if all.is_empty() { Err(failed) } else { Ok(all) }
    }

    /// Returns the schemas of the ComfyUIs that answer, as one.
    async fn fresh_schemas(&self, age: Duration) -> Result<Arc<ObjectInfo>, ApiError> {
        self.union(age, |_| true).await
    }

    /// As [`State::fresh_schemas`], of some of the ComfyUIs.
    async fn union(
        &self,
        age: Duration,
        is_wanted: impl Fn(&ComfyUiState) -> bool,
    ) -> Result<Arc<ObjectInfo>, ApiError> {
        let all = self.schemas_of(age, is_wanted).await.map_err(|error| no_schemas(&error))?;
        self.merged(all.into_iter().map(|(_, schemas)| schemas).collect()).await
    }

    /// Returns the union of schemas.
    async fn merged(&self, all: Vec<Arc<ObjectInfo>>) -> Result<Arc<ObjectInfo>, ApiError> {
        if let [only] = &all[..] {
            return Ok(Arc::clone(only));
        }
        let cache = Arc::clone(&self.merged_schemas);
        let merged = web::block(move || cache.merge(&all)).await;
        merged.map_err(|error| ApiError::Unavailable(error.to_string()))
    }

    /// Converts a graph of a workflow to UI format.
    pub async fn to_ui_format(
        &self,
        workflow: &Workflow,
        assembled: &Assembled,
    ) -> Result<UiConversion, ApiError> {
        let annotations = workflow.annotations(assembled);
        let convert = |schemas: &ObjectInfo| {
            from_api(&assembled.graph, schemas, &annotations).map_err(|error| {
                ApiError::BrokenWorkflow(format!("the graph cannot be converted to UI format: {error}"))
            })
        };
        let schemas = self.fresh_schemas(Duration::MAX).await?;
        let converted = convert(&schemas)?;
        if !converted.warnings.iter().any(|warning| matches!(warning, ConversionWarning::UnknownType { .. }))
        {
            return Ok(converted);
        }
        // A custom node may have been installed since. If not, the first conversion is used.
        let newer = self.fresh_schemas(CHECK_AGE).await?;
        if Arc::ptr_eq(&newer, &schemas) { Ok(converted) } else { convert(&newer) }
    }

    /// Fetches the present node schemas, because a custom node may have been installed.
    pub async fn latest_schemas(&self) -> Result<Arc<ObjectInfo>, ApiError> {
        self.fresh_schemas(CHECK_AGE).await
    }

    /// Compiles workflows with the newest schemas from now on.
    pub async fn learn_schemas(&self) -> Result<(), ApiError> {
        self.set_context(self.fresh_schemas(CHECK_AGE).await?);
        Ok(())
    }

    fn set_context(&self, schemas: Arc<ObjectInfo>) {
        let known = self.workflows.library().context();
        if known.as_ref().as_ref().is_none_or(|known| !Arc::ptr_eq(known, &schemas)) {
            self.workflows.library().set_context(Some(schemas));
        }
    }
}

/// Returns whether a workflow cannot be compiled for want of node schemas.
pub fn needs_schemas(problems: &[Diagnostic]) -> bool {
    problems.iter().any(|problem| problem.kind == DiagnosticKind::NeedsSchemas)
}

fn unknown_because(error: &ClientError) -> String {
    format!("ComfyUI's node schemas cannot be fetched: {error}")
}

fn no_schemas(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::ComfyUi(format!("ComfyUI's node schemas are needed here and cannot be had: {error}"))
}
