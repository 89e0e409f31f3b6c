//! Resolves an instance's imports and references by name.

use std::collections::HashMap;

use comfy_runner_manifest::{ConnectionSource, DiagnosticKind, nearest};
use serde_json::{Value, json};

use super::assemble::{Instance, NodeOutput, Walk, expression_problem};
use crate::template::{Template, Variables};

/// The exports that instances of a repetition can import.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Exports from before the repetition.
    pub before: HashMap<String, NodeOutput>,
    /// Exports of the last instance of each stage.
    pub by_stage: HashMap<(usize, String), NodeOutput>,
    /// Exports of the completed rounds, the latest of each name.
    pub by_name: HashMap<String, NodeOutput>,
}

impl<'a> Walk<'a> {
    /// Returns the output that a stage's import refers to.
    pub(super) fn import(&self, stage: usize, import: &str) -> Result<Value, (DiagnosticKind, String)> {
        let spec = &self.workflow.stages[stage].spec;
        let connection = spec.connections.get(import);
        let chained = connection.filter(|connection| connection.source == ConnectionSource::Previous);
        let chained = spec.chain_imports.get(import).or(chained.map(|connection| &connection.export));
        let connected = || match &connection?.source {
            ConnectionSource::Stage(source) => self.exports_of.get(source)?.get(&connection?.export),
            _ => self.exports.get(&connection?.export),
        };
        let output = match chained {
            None => connected().or_else(|| self.exports.get(import)),
            Some(export) => {
                let Chain { before, by_stage, by_name } = &self.chain;
                let last = by_stage.get(&(stage, export.clone())).or_else(|| by_name.get(export));
                last.or_else(|| before.get(import)).or_else(|| before.get(export))
            }
        };
        match output {
            Some((node, output)) => Ok(json!([node, output])),
            None => {
                let mut known: Vec<&str> = self.exports.keys().map(String::as_str).collect();
                known.sort_unstable();
                let hint = nearest::did_you_mean(import, known);
                let chained = chained.map_or_else(String::new, |export| {
                    format!(" (nor \"{export}\", which it is chained to)")
                });
                let reason = format!("no stage before this one exports \"{import}\"{chained}.{hint}");
                Err((DiagnosticKind::Import, reason))
            }
        }
    }

    /// Resolves a reference whose node name is an expression; `None` if that has no value.
    pub(super) fn named(
        &self,
        instance: &Instance<'a>,
        text: &Template,
        output: u64,
        variables: &Variables<'_>,
    ) -> Result<Option<Value>, (DiagnosticKind, String)> {
        let name = text.render(variables).map_err(expression_problem)?;
        if name.is_empty() {
            return Ok(None);
        }
        if instance.block.nodes.contains_key(&name) {
            return Ok(Some(json!([format!("{}{name}", instance.prefix), output])));
        }
        if instance.block.imports.contains(&name) {
            return self.import(instance.stage, &name).map(Some);
        }
        let reason = format!("refers to \"{name}\", which is neither a node of this block nor an import");
        Err((DiagnosticKind::Block, reason))
    }
}
