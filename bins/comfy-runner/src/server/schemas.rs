//! Workflows and conversions that need ComfyUI's node schemas.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use comfy_runner_api::WorkflowReadiness;
use comfy_runner_client::ClientError;
use comfy_runner_editor::from_api::{ConversionWarning, UiConversion, from_api};
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
                    let first = schemas.first().map(|(_, schemas)| Arc::clone(schemas));
                    self.workflows.library().set_context(first);
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

    /// Returns the schemas whose choices a form offers.
    pub async fn schemas_for_options(&self) -> Result<Arc<ObjectInfo>, ApiError> {
        self.fresh_schemas(CHECK_AGE).await.map_err(|error| no_schemas(&error))
    }

    /// Returns the schemas of every ComfyUI that answers, of at most this age, and since its connection was last opened or
    /// lost.
    ///
    /// # Errors
    /// None answers.
    async fn all_schemas(&self, age: Duration) -> Result<Vec<(Arc<str>, Arc<ObjectInfo>)>, ClientError> {
        let names: Vec<_> = self.jobs.comfyuis().into_iter().map(|comfyui| comfyui.name).collect();
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

    /// Returns the schemas of the first ComfyUI that answers.
    async fn fresh_schemas(&self, age: Duration) -> Result<Arc<ObjectInfo>, ClientError> {
        let mut failed = ClientError::NotConfigured("comfyui".to_owned());
        for comfyui in self.jobs.comfyuis() {
            match self.jobs.schemas(&self.clients, &comfyui.name, age).await {
                Ok(schemas) => return Ok(schemas),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Converts a graph of a workflow to UI format.
    pub async fn draw(&self, workflow: &Workflow, assembled: &Assembled) -> Result<UiConversion, ApiError> {
        let annotations = workflow.annotations(assembled);
        let convert = |schemas: &ObjectInfo| {
            from_api(&assembled.graph, schemas, &annotations).map_err(|error| {
                ApiError::BrokenWorkflow(format!("the graph cannot be converted to UI format: {error}"))
            })
        };
        let schemas = self.fresh_schemas(Duration::MAX).await.map_err(|error| no_schemas(&error))?;
        let converted = convert(&schemas)?;
        if !converted.warnings.iter().any(|warning| matches!(warning, ConversionWarning::UnknownType { .. }))
        {
            return Ok(converted);
        }
        // A custom node may have been installed since. If not, the first conversion is used.
        match self.fresh_schemas(CHECK_AGE).await {
            Ok(newer) if !Arc::ptr_eq(&newer, &schemas) => convert(&newer),
            Ok(_) => Ok(converted),
            Err(error) => Err(no_schemas(&error)),
        }
    }

    /// Fetches the present node schemas, because a custom node may have been installed.
    pub async fn latest_schemas(&self) -> Result<Arc<ObjectInfo>, ApiError> {
        self.fresh_schemas(CHECK_AGE).await.map_err(|error| no_schemas(&error))
    }

    /// Compiles workflows with the newest schemas from now on.
    async fn learn_schemas(&self) -> Result<(), ApiError> {
        let known = self.workflows.library().context();
        let newer = self.fresh_schemas(CHECK_AGE).await;
        let newer = newer.map_err(|error| no_schemas(&error))?;
        if known.as_ref().as_ref().is_none_or(|known| !Arc::ptr_eq(known, &newer)) {
            self.workflows.library().set_context(Some(newer));
        }
        Ok(())
    }
}

fn needs_schemas(problems: &[Diagnostic]) -> bool {
    problems.iter().any(|problem| problem.kind == DiagnosticKind::NeedsSchemas)
}

fn unknown_because(error: &ClientError) -> String {
    format!("ComfyUI's node schemas cannot be fetched: {error}")
}

fn no_schemas(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::ComfyUi(format!("ComfyUI's node schemas are needed here and cannot be had: {error}"))
}
