//! `lora_pairs.yaml`: LoRA pairs for all workflows of a library, in a file beside them.

use indexmap::IndexMap;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics};
use crate::fields::{Fields, kind_of};
use crate::lines::Lines;
use crate::manifest::Manifest;
use crate::stage::{self, LoraInjection, LoraPair};
use crate::workflow_dir::WorkflowDir;
use crate::yaml;

/// The name of the file beside the workflows' folders.
pub const LORA_PAIRS_FILE: &str = "lora_pairs.yaml";

impl Manifest {
    /// Adds the pairs of the file beside the workflow's folder, if a stage may need them. The manifest's own take
    /// precedence. Returns errors in the file.
    pub(crate) fn add_shared_lora_pairs(&mut self, folder: &mut WorkflowDir) -> Diagnostics {
        let is_paired = |loras: &Option<LoraInjection>| matches!(loras, Some(LoraInjection::Paired { .. }));
        if !self.pipeline.iter().any(|stage| is_paired(&stage.loras)) {
            return Diagnostics::new();
        }
        let (pairs, problems) = match folder.read_beside(LORA_PAIRS_FILE) {
            Ok(None) => return Diagnostics::new(),
            Ok(Some(text)) => parse(&text),
            Err(problem) => return problem.into(),
        };
        for (id, pair) in pairs {
            self.lora_pairs.entry(id).or_insert(pair);
        }
        problems
    }
}

/// Parses the file: a map from id to `{high, low}` or `{both}`.
fn parse(text: &str) -> (IndexMap<String, LoraPair>, Diagnostics) {
    let file = format!("../{LORA_PAIRS_FILE}");
    let entry = match yaml::parse(text, &file) {
        Ok(Value::Object(entry)) => entry,
        Ok(Value::Null) => return Default::default(),
        Ok(other) => {
            let message = format!(
                "LoRA pairs are a map from id to `high` and `low`, or `both`; this is {}",
                kind_of(&other)
            );
            let problem = Diagnostic::error(DiagnosticKind::WrongType, file, message);
            return (IndexMap::new(), problem.into());
        }
        Err(problem) => return (IndexMap::new(), problem.into()),
    };
    let lines = Lines::parse(text);
    let mut report = FileDiagnostics::new(&file, &lines);
    let pairs = stage::read_pair_map(&mut Fields::new(&entry, String::new(), "", &mut report));
    (pairs, report.finish())
}
