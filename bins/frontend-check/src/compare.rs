//! `frontend-check compare`: compares our conversions with the editor's.

use std::fs;
use std::process::ExitCode;

use comfy_runner_editor::FrontendVersion;
use comfy_runner_protocol::ObjectInfo;
use serde_json::Value;

use crate::Compare;
use crate::browser_values::{is_about_the_graph, without_views};
use crate::conversion::{frontend_version, schemas, to_prompt, to_workflow};
use crate::difference::differences;
use crate::editor::{Editor, Opened};
use crate::expectation::{Expectation, surprises};
use crate::templates::{Template, known_templates};

/// The number of differences that are printed for a template.
const SHOWN: usize = 5;

/// The differences in each direction; empty if there are none.
struct Outcome {
    ui_to_api: Vec<String>,
    api_to_ui: Vec<String>,
}

pub async fn run(options: Compare) -> anyhow::Result<ExitCode> {
    let schemas = schemas(&options.source.object_info)?;
    let mut templates = known_templates(&options.templates, &schemas)?;
    let expectation = options.expect.as_deref().map(Expectation::read).transpose()?;
    let found = templates.len();
    if !options.only.is_empty() {
        templates.retain(|template| options.only.contains(&template.name));
    }
    let frontend = frontend_version(&options.source.frontend);
    let frontend = frontend.unwrap_or_else(|| FrontendVersion::detect(&schemas));
    let mut editor = Editor::open(&options.source).await?;
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for template in &templates {
        let outcome = check(&mut editor, template, &schemas, frontend, &options).await?;
        print_failure("UI to API", template, &outcome.ui_to_api, &mut there);
        print_failure("API to UI", template, &outcome.api_to_ui, &mut back);
    }
    let count = templates.len();
    println!("UI to API: {} of {count} templates give the editor's prompt", count - there.len());
    println!("API to UI: {} of {count} templates give the same prompt again", count - back.len());
    let Some(expectation) = expectation.filter(|_| options.only.is_empty()) else {
        return Ok(ExitCode::from(u8::from(!there.is_empty() || !back.is_empty())));
    };
    let mut unexpected = surprises("UI to API", &there, &expectation.ui_to_api_fails);
    unexpected.extend(surprises("API to UI", &back, &expectation.api_to_ui_fails));
    if found != expectation.templates {
        unexpected.push(format!("{found} templates have schemas, {} were expected", expectation.templates));
    }
    for surprise in &unexpected {
        eprintln!("{surprise}");
    }
    Ok(ExitCode::from(u8::from(!unexpected.is_empty())))
}

fn print_failure(direction: &str, template: &Template, wrong: &[String], failed: &mut Vec<String>) {
    if wrong.is_empty() {
        return;
    }
    failed.push(template.name.clone());
    println!("{direction}: {}", template.name);
    for line in wrong.iter().take(SHOWN) {
        println!("    {line}");
    }
    if wrong.len() > SHOWN {
        println!("    and {} more", wrong.len() - SHOWN);
    }
}

/// Checks both directions for a template. API to UI begins with the editor's prompt, so that it does not depend on the
/// other direction.
async fn check(
    editor: &mut Editor,
    template: &Template,
    schemas: &ObjectInfo,
    frontend: FrontendVersion,
    options: &Compare,
) -> anyhow::Result<Outcome> {
    let (failures, prompts) = (options.failures.as_deref(), options.prompts.as_deref());
    let prompt = match editor.load(&template.name, &template.graph).await? {
        Ok(opened) => opened.prompt,
        Err(error) => {
            let wrong = vec![format!("the template itself: {error}")];
            return Ok(Outcome { ui_to_api: wrong.clone(), api_to_ui: wrong });
        }
    };
    if let Some(folder) = prompts {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.api.json", template.name)), serde_json::to_string(&prompt)?)?;
    }
    let ours = to_prompt(&template.graph, schemas, frontend);
    let ui_to_api = match &ours {
        Ok(ours) => prompt_differences(ours, &prompt),
        Err(error) => vec![format!("{error:#}")],
    };
    let workflow = to_workflow(&prompt, schemas, frontend);
    let api_to_ui = match &workflow {
        Ok(workflow) => round_trip_differences(&prompt, editor.load(&template.name, workflow).await?),
        Err(error) => vec![format!("{error:#}")],
    };
    let is_failure = !ui_to_api.is_empty() || !api_to_ui.is_empty();
    if let Some(folder) = failures.filter(|_| is_failure) {
        fs::create_dir_all(folder)?;
        let write =
            |ending: &str, text: &str| fs::write(folder.join(format!("{}.{ending}", template.name)), text);
        write("json", &template.graph)?;
        write("editor.api.json", &serde_json::to_string_pretty(&prompt)?)?;
        if let Ok(ours) = &ours {
            write("ours.api.json", &serde_json::to_string_pretty(ours)?)?;
        }
        if let Ok(workflow) = &workflow {
            write("ours.json", workflow)?;
        }
    }
    Ok(Outcome { ui_to_api, api_to_ui })
}

/// Returns the differences of two prompts, except in values that the browser renders.
fn prompt_differences(ours: &Value, editors: &Value) -> Vec<String> {
    differences(&without_views(ours.clone()), &without_views(editors.clone()))
}

/// Returns what is wrong with a converted graph that the editor opened.
fn round_trip_differences(prompt: &Value, opened: Result<Opened, String>) -> Vec<String> {
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => return vec![error],
    };
    let mut wrong = prompt_differences(prompt, &opened.prompt);
    wrong.extend(opened.warnings.into_iter().filter(|warning| is_about_the_graph(warning)));
    wrong.extend(opened.overlaps.iter().map(|pair| format!("nodes overlap: {pair}")));
    wrong
}
