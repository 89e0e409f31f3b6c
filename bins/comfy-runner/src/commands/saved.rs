//! A graph that somebody saved: JSON of either format, or a picture that ComfyUI wrote it into.

use std::path::Path;

use anyhow::Context as _;
use comfy_runner_editor::embedded::{EmbeddedError, read_embedded};
use comfy_runner_editor::saved::{Saved, SavedError};

use crate::cli::GraphFormat;
use crate::terminal::errln;

/// Reads the graph. Of a picture that carries both formats, the one that is `wanted` is taken.
pub fn read(file: &Path, wanted: GraphFormat) -> anyhow::Result<Saved> {
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    match read_embedded(&bytes) {
        Ok(embedded) => {
            let (prompt, workflow) = (("prompt", embedded.prompt), ("workflow", embedded.workflow));
            let order = if wanted == GraphFormat::Api { [prompt, workflow] } else { [workflow, prompt] };
            let texts = order.into_iter().filter_map(|(key, text)| Some((key, text?)));
            first_readable(texts.collect()).with_context(|| format!("the picture {name}"))
        }
        Err(EmbeddedError::UnsupportedFormat) => {
            let text = String::from_utf8(bytes).ok().with_context(|| {
                format!("{name} is neither JSON nor a PNG or WebP picture; give a graph that ComfyUI saved")
            })?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            Saved::from_json(text).with_context(|| format!("{name} is no graph"))
        }
        Err(error) => Err(error).with_context(|| format!("{name}")),
    }
}

/// ComfyUI writes NaN into the prompts of some pictures, which is no JSON: then the other text counts.
fn first_readable(texts: Vec<(&str, String)>) -> anyhow::Result<Saved> {
    let mut refused: Option<(&str, SavedError)> = None;
    for (key, text) in texts {
        match Saved::from_json(&text) {
            Ok(saved) => {
                if let Some((refused, error)) = refused {
                    errln!(
                        "warning: the picture's `{refused}` cannot be read ({error}); its `{key}` is used"
                    );
                }
                return Ok(saved);
            }
            Err(error) => refused = refused.or(Some((key, error))),
        }
    }
    let (key, error) = refused.context("carries no graph")?;
    Err(error).with_context(|| format!("its `{key}` is no graph"))
}
