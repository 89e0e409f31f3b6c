//! A description of a workflow from the notes that its author left in the graph.

use comfy_runner_editor::graph::{UiGraph, UiNode};

/// Words in a note's title, or at the beginning of a paragraph, that make it something other than a description: links
/// to models, instructions for the editor, advice on one node.
const OTHER: [&str; 36] = [
    "model link",
    "links",
    "about api",
    "api key",
    "tutorial",
    "guide",
    "report",
    "please",
    "note:",
    "tip",
    "ctrl",
    "download",
    "to use the api",
    "http",
    "click",
    "select",
    "enable",
    "if you",
    "you can",
    "make sure",
    "when ",
    "increase",
    "example",
    "this group",
    "this node",
    "this section",
    "right-click",
    "try ",
    "at least",
    "connect ",
    "some ",
    "provided ",
    "using the",
    "use this group",
    "this one",
    "batch size",
];
/// Words that mark advice anywhere in a paragraph.
const ADVICE: [&str; 9] = [
    "denoise value",
    "slow",
    "requires you",
    "ctrl",
    "must be",
    "should be",
    "bypass",
    "load image node",
    "this node",
];
/// A shorter paragraph is not a description; a longer one is cut at the end of a sentence.
const SHORTEST: usize = 40;
const LONGEST: usize = 300;

/// Returns the first paragraph of prose in the graph's notes that describes the workflow.
pub fn description(graph: &UiGraph) -> Option<String> {
    let notes = graph.nodes.iter().filter(|node| matches!(node.kind.as_str(), "MarkdownNote" | "Note"));
    notes.filter(|note| !is_other(note.title.as_deref().unwrap_or_default())).find_map(paragraph)
}

fn is_other(text: &str) -> bool {
    let text = text.to_lowercase();
    let text = text.strip_prefix("note: ").unwrap_or(&text);
    OTHER.iter().any(|word| text.starts_with(word)) || text.contains("model link")
}

fn paragraph(note: &UiNode) -> Option<String> {
    let values = note.widgets_values.as_ref()?;
    let text = values.get(0).or_else(|| values.get("text"))?.as_str()?;
    // A note about the whole graph has a heading or a title; others are about the nodes beside them.
    let title = note.title.as_deref().unwrap_or_default().to_lowercase();
    if !text.trim_start().starts_with('#') && !title.starts_with("about") && !title.starts_with("note: ") {
        return None;
    }
    // A list of models, or advice on one node, begins otherwise than with its subject.
    let paragraphs = text.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
    let mut prose = paragraphs.filter(|part| !part.starts_with('#') || part.contains('\n')).map(|part| {
        let lines = part.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    });
    let first = prose.find(|part| !part.is_empty())?;
    let marked = first.starts_with(['-', '*', '|', '`', '>', '!', '[', '<', '1']) && !first.starts_with("**");
    let plain = plain(&first);
    let ends = plain.ends_with(['.', '!', '。']);
    let fits =
        !marked && ends && plain.chars().count() >= SHORTEST && !is_other(&plain) && !plain.contains("http");
    let lower = plain.to_lowercase();
    let fits = fits && !ADVICE.iter().any(|word| lower.contains(word));
    fits.then(|| shortened(&plain))
}

/// Returns the text without Markdown's markup; links become their text.
fn plain(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['[', '*', '`']) {
        words.push_str(&rest[..at]);
        let mark = &rest[at..];
        rest = &mark[1..];
        if let Some((name, after)) = mark.strip_prefix('[').and_then(|inner| inner.split_once("](")) {
            words.push_str(name);
            rest = after.split_once(')').map_or("", |(_, after)| after);
        }
    }
    words.push_str(rest);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    match text[..end].rfind(". ") {
        Some(at) => text[..=at].to_owned(),
        None => format!("{}…", text[..end].trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn from_notes(notes: serde_json::Value) -> Option<String> {
        description(&serde_json::from_value(json!({"nodes": notes})).unwrap())
    }

    #[test]
    fn the_description_is_prose_about_the_workflow() {
        let note = |title: &str, text: &str| json!({"id": title, "type": "MarkdownNote", "title": title, "widgets_values": [text]});
        assert_eq!(
            from_notes(json!([
                note("Model Links", "Everything about the models that this graph loads stands here."),
                note(
                    "About",
                    "# Swap\n\n**Swap** puts the [product](https://x.y) into the hands of a person."
                ),
            ]))
            .as_deref(),
            Some("Swap puts the product into the hands of a person.")
        );
        assert_eq!(
            from_notes(json!([note(
                "Note",
                "Increase the shift if you get too many blurry or dark images."
            )])),
            None
        );
        assert_eq!(
            from_notes(json!([note("Note", "- a list of things that would be long enough otherwise.")])),
            None
        );
        let long =
            from_notes(json!([note("About", &"This sentence has some words in it. ".repeat(20))])).unwrap();
        assert!(long.len() <= LONGEST && long.ends_with("it."), "{long}");
    }
}
