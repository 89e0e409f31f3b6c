//! Which of the files that a prompt made are its results.

use comfy_runner_protocol::{Media, NodeId, NodeOutput, OutputFile};
use indexmap::IndexMap;

use crate::output_folder::INTERMEDIATE;

/// The files that count as a prompt's results, in the order in which nodes reported them.
///
/// Files of `result_nodes` (a manifest's `outputs[].node_id`) are the results whenever there are any, in the order of
/// those nodes. Of several sorts of files only the best is taken: saved ones, else intermediate ones, else temporary
/// ones.
pub fn results(outputs: &IndexMap<NodeId, NodeOutput>, result_nodes: &[NodeId]) -> Vec<OutputFile> {
    let named = result_nodes.iter().filter_map(|node| outputs.get(node)).flat_map(NodeOutput::files);
    let mut files: Vec<OutputFile> = named.collect();
    if files.is_empty() {
        files = outputs.values().flat_map(NodeOutput::files).collect();
    }
    let best = files.iter().map(sort_of).min();
    files.retain(|file| Some(sort_of(file)) == best);
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

/// The first result of each kind of media, films before pictures: `outputs` of the contract's status.
pub fn by_media(results: &[OutputFile]) -> IndexMap<Media, OutputFile> {
    let mut first: IndexMap<Media, OutputFile> = IndexMap::new();
    for file in results {
        first.entry(file.media()).or_insert_with(|| file.clone());
    }
    first.sort_keys();
    first
}

/// The one file that is the result: of the preferred kind if there is one, else a film, a picture, a sound, anything.
pub fn choose(results: &[OutputFile], preferred: Media) -> Option<&OutputFile> {
    let first = |media: Media| results.iter().find(|file| file.media() == media);
    let order = [preferred, Media::Video, Media::Image, Media::Audio, Media::File];
    order.into_iter().find_map(first)
}

/// How much a file is a result: the lowest is best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Final,
    Intermediate,
    Temporary,
}

fn sort_of(file: &OutputFile) -> Sort {
    if file.kind != "output" {
        Sort::Temporary
    } else if file.subfolder.split(['/', '\\']).any(|part| part == INTERMEDIATE) {
        Sort::Intermediate
    } else {
        Sort::Final
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outputs(value: serde_json::Value) -> IndexMap<NodeId, NodeOutput> {
        serde_json::from_value(value).unwrap()
    }

    fn file(name: &str, subfolder: &str, kind: &str) -> serde_json::Value {
        json!({"filename": name, "subfolder": subfolder, "type": kind})
    }

    #[test]
    fn a_film_is_preferred_to_a_picture_whatever_key_it_came_under() {
        let outputs = outputs(json!({
            "1": {"images": [file("a.png", "j/final", "output")]},
            "2": {"images": [file("b.mp4", "j/final", "output")], "animated": [true]},
        }));
        let results = results(&outputs, &[]);
        assert_eq!(choose(&results, Media::Video).unwrap().filename, "b.mp4");
        assert_eq!(choose(&results, Media::Image).unwrap().filename, "a.png");
        assert_eq!(choose(&results, Media::Audio).unwrap().filename, "b.mp4");
        let by_media = by_media(&results);
        assert_eq!(by_media.keys().collect::<Vec<_>>(), [&Media::Video, &Media::Image]);
    }

    #[test]
    fn an_intermediate_film_never_wins_over_a_final_picture() {
        let outputs = outputs(json!({
            "1": {"gifs": [file("i.mp4", "j/intermediate", "output")]},
            "2": {"images": [file("p.png", "", "temp")]},
            "3": {"images": [file("f.png", "j/final", "output")]},
        }));
        assert_eq!(choose(&results(&outputs, &[]), Media::Video).unwrap().filename, "f.png");
    }

    #[test]
    fn intermediate_files_are_results_when_there_is_nothing_better() {
        let mut outputs = outputs(json!({
            "1": {"images": [file("p.png", "", "temp")]},
            "2": {"gifs": [file("i.gif", "j/intermediate", "output")]},
        }));
        assert_eq!(results(&outputs, &[]).len(), 1);
        outputs.shift_remove("2");
        assert_eq!(results(&outputs, &[])[0].filename, "p.png");
        assert!(results(&IndexMap::new(), &[]).is_empty());
    }

    #[test]
    fn the_manifests_node_comes_before_everything_and_is_passed_over_when_it_made_nothing() {
        let outputs = outputs(json!({
            "1": {"images": [file("b.mp4", "j/final", "output")]},
            "2": {"images": [file("a.png", "", "temp")]},
            "3": {"text": ["hello"]},
        }));
        assert_eq!(choose(&results(&outputs, &["2".into()]), Media::Video).unwrap().filename, "a.png");
        assert_eq!(choose(&results(&outputs, &["3".into()]), Media::Video).unwrap().filename, "b.mp4");
    }
}
