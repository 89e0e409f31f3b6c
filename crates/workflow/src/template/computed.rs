//! The manifest's `computed`: names whose values are expressions.

use comfy_runner_manifest::{DiagnosticKind, FileDiagnostics, Manifest};

use super::expression::Expression;
use super::names::Names;
use super::string::without_braces;
use crate::message::pointer;

/// Parses the manifest's `computed`, in its order.
pub(crate) fn compile_computed(
    manifest: &Manifest,
    names: &Names,
    diagnostics: &mut FileDiagnostics<'_>,
) -> Vec<(String, Expression)> {
    let mut computed = Vec::with_capacity(manifest.computed.len());
    for (position, (name, source)) in manifest.computed.iter().enumerate() {
        let at = pointer(&["computed", name]);
        let expression = match Expression::parse(without_braces(source), names) {
            Ok(expression) => expression,
            Err(error) => {
                diagnostics.error(
                    DiagnosticKind::Expression,
                    &at,
                    format!("`computed`, \"{name}\": {error}"),
                );
                continue;
            }
        };
        for used in expression.names() {
            let later = manifest.computed.get_index_of(used).is_some_and(|later| later >= position);
            let elsewhere = manifest.input(used).is_some() || manifest.defaults.contains_key(used);
            if !names.knows(used) {
                let message = format!(
                    "`computed`, \"{name}\": nothing provides `{used}`; add an input or a key of `defaults`.{}",
                    names.hint(used)
                );
                diagnostics.error(DiagnosticKind::Expression, &at, message);
            } else if later && !elsewhere {
                let message =
                    format!("`computed`, \"{name}\": `{used}` is computed later; put it before \"{name}\"");
                diagnostics.error(DiagnosticKind::Expression, &at, message);
            }
        }
        computed.push((name.clone(), expression));
    }
    computed
}
