//! `frontend-check editor`: writes the editor's prompt for each file of a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::Batch;
use crate::editor::{Editor, Opened};

pub async fn run(options: Batch) -> anyhow::Result<ExitCode> {
    let files = graph_files(&options.graphs)?;
    fs::create_dir_all(&options.out)?;
    let mut editor = Editor::open(&options.source).await?;
    let mut failed = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let graph = fs::read_to_string(file)?;
        match editor.load(&name, &graph).await? {
            Ok(opened) => write(&options, &name, &opened)?,
            Err(error) => {
                fs::write(options.out.join(format!("{name}.warnings.txt")), format!("{error}\n"))?;
                failed.push(format!("{name}: {error}"));
            }
        }
    }
    println!(
        "{} of {} graphs opened; results in {}",
        files.len() - failed.len(),
        files.len(),
        options.out.display()
    );
    for failure in &failed {
        eprintln!("{failure}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(options: &Batch, name: &str, opened: &Opened) -> anyhow::Result<()> {
    let to = |ending: &str| options.out.join(format!("{name}.{ending}"));
    fs::write(to("api.json"), serde_json::to_string_pretty(&opened.prompt)?)?;
    if options.saved {
        fs::write(to("saved.json"), serde_json::to_string_pretty(&opened.saved)?)?;
    }
    if !opened.warnings.is_empty() {
        fs::write(to("warnings.txt"), opened.warnings.join("\n") + "\n")?;
    }
    Ok(())
}

/// Returns every `NAME.json` of a folder, by name.
pub fn graph_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}
