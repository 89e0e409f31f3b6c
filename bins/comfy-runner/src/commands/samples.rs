//! `comfy-runner samples`: the sample workflows, which an installed binary holds too.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::Samples;
use crate::terminal::outln;

macro_rules! sample {
    ($path:literal) => {
        ($path, include_str!(concat!("../../samples/", $path)))
    };
}

const SAMPLES: [(&str, &str); 29] = [
    sample!("text-to-image/manifest.yaml"),
    sample!("text-to-image/workflow.json"),
    sample!("text-to-image/tests/too_many_steps.yaml"),
    sample!("text-to-image/tests/values.yaml"),
    sample!("image-to-image/manifest.yaml"),
    sample!("image-to-image/workflow.json"),
    sample!("wan-i2v-14b/manifest.yaml"),
    sample!("wan-i2v-14b/workflow.json"),
    sample!("no-model/manifest.yaml"),
    sample!("no-model/workflow.json"),
    sample!("text-to-image-studio/manifest.yaml"),
    sample!("text-to-image-studio/blocks/empty_latent.json"),
    sample!("text-to-image-studio/blocks/hires.json"),
    sample!("text-to-image-studio/blocks/model.json"),
    sample!("text-to-image-studio/blocks/picture_latent.json"),
    sample!("text-to-image-studio/blocks/prompt.json"),
    sample!("text-to-image-studio/blocks/sample.json"),
    sample!("text-to-image-studio/blocks/save.json"),
    sample!("text-to-image-studio/tests/batch_with_loras.json"),
    sample!("text-to-image-studio/tests/batch_with_loras.yaml"),
    sample!("multi-scene-video/manifest.yaml"),
    sample!("multi-scene-video/blocks/film.json"),
    sample!("multi-scene-video/blocks/first_frame.json"),
    sample!("multi-scene-video/blocks/join.json"),
    sample!("multi-scene-video/blocks/last_frame.json"),
    sample!("multi-scene-video/blocks/scene.json"),
    sample!("multi-scene-video/blocks/wan.json"),
    sample!("multi-scene-video/tests/two_scenes.json"),
    sample!("multi-scene-video/tests/two_scenes.yaml"),
];

/// Writes the samples, unless a folder of one of their names is there.
pub fn samples(options: &Samples) -> anyhow::Result<ExitCode> {
    let mut ids: Vec<_> = SAMPLES.iter().filter_map(|(path, _)| path.split('/').next()).collect();
    ids.dedup();
    if let Some(taken) =
        ids.iter().map(|id| options.dir.join(id)).find(|path| path.symlink_metadata().is_ok())
    {
        bail!("{} is there already; name another folder, or move that one away", taken.display());
    }
    write(&options.dir)?;
    for id in ids {
        outln!("{}", options.dir.join(id).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the samples into a folder of workflows.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    for (path, text) in SAMPLES {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_below(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
    }

    #[test]
    fn every_sample_is_there_but_the_one_that_needs_the_test_nodes() {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        assert_eq!(SAMPLES.len(), files_below(&library) - files_below(&library.join("test-progress")));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        assert_eq!(files_below(folder.path()), SAMPLES.len());
    }
}
