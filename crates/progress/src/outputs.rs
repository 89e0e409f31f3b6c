//! The files and texts that nodes reported so far, by node, in the graph's order.

use std::collections::{BTreeMap, BTreeSet};

use comfy_runner_api::{NodeFiles, ReportedFile, ReportedNode};
use comfy_runner_protocol::{Media, NodeId, NodeOutput, OutputFile};
use indexmap::IndexMap;

use crate::outline::{Outline, Position};

/// The maximum length of a text in bytes. Longer ones are cut: they are kept in memory with the job.
const LONGEST_TEXT: usize = 1 << 20;

/// Reported files and texts, by the position of the graph's node and by the node that reported them, which differ when a node
/// expands. Nodes that are not in the graph come last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outputs {
    files: BTreeMap<(Position, NodeId), Vec<ReportedFile>>,
    texts: BTreeMap<(Position, NodeId), Vec<String>>,
}

impl Outputs {
    /// Replaces the files and texts of a node by those that it reported, and returns whether they differ.
    pub(crate) fn report(&mut self, node: &str, graph_node: Option<Position>, output: &NodeOutput) -> bool {
        let files: Vec<_> = output.files().map(|file| ReportedFile { media: file.media(), file }).collect();
        let texts: Vec<_> = output.texts().map(|text| cut(text).to_owned()).collect();
        let key = (graph_node.unwrap_or(Position::MAX), node.to_owned());
        let texts_differ = replace(&mut self.texts, key.clone(), texts);
        replace(&mut self.files, key, files) || texts_differ
    }

    /// Sets the files of a node as a record has them.
    pub(crate) fn put(&mut self, node: &str, graph_node: Option<Position>, files: &[OutputFile]) {
        let files = files.iter().map(|file| ReportedFile { media: file.media(), file: file.clone() });
        self.files.insert((graph_node.unwrap_or(Position::MAX), node.to_owned()), files.collect());
    }

    /// Sets the texts of a node as a record has them.
    pub(crate) fn put_texts(&mut self, node: &str, graph_node: Option<Position>, texts: &[String]) {
        self.texts.insert((graph_node.unwrap_or(Position::MAX), node.to_owned()), texts.to_vec());
    }

    /// Returns the texts by node.
    pub(crate) fn texts_by_node(&self, outline: &Outline) -> IndexMap<NodeId, Vec<String>> {
        let mut nodes: IndexMap<NodeId, Vec<String>> = IndexMap::new();
        for ((position, reporter), texts) in &self.texts {
            let id = if *position < outline.len() { outline.id(*position) } else { reporter };
            nodes.entry(id.to_owned()).or_default().extend_from_slice(texts);
        }
        nodes
    }

    /// Returns what each node reported.
    pub(crate) fn reported(&self, outline: &Outline) -> Vec<ReportedNode> {
        let keys: BTreeSet<_> = self.files.keys().chain(self.texts.keys()).collect();
        let mut nodes: Vec<ReportedNode> = Vec::new();
        for key in keys {
            let id = if key.0 < outline.len() { outline.id(key.0) } else { &key.1 };
            // Nodes that the same node expanded into follow each other.
            if nodes.last().is_none_or(|last| last.node_id != id) {
                nodes.push(ReportedNode { node_id: id.to_owned(), ..ReportedNode::default() });
            }
            if let Some(node) = nodes.last_mut() {
                let files = self.files.get(key).into_iter().flatten();
                node.files.extend(files.map(|reported| reported.file.clone()));
                node.texts.extend(self.texts.get(key).into_iter().flatten().cloned());
            }
        }
        nodes
    }

    /// Returns the files by node.
    pub(crate) fn by_node(&self, outline: &Outline) -> IndexMap<NodeId, NodeFiles> {
        let mut nodes: IndexMap<NodeId, NodeFiles> = IndexMap::new();
        for ((position, reporter), files) in &self.files {
            let known = *position < outline.len();
            let id = if known { outline.id(*position) } else { reporter };
            let node = nodes.entry(id.to_owned()).or_insert_with(|| NodeFiles {
                node_title: if known { outline.title(*position) } else { reporter }.to_owned(),
                node_type: if known { outline.class_type(*position) } else { "" }.to_owned(),
                items: Vec::new(),
            });
            node.items.extend_from_slice(files);
        }
        nodes
    }

    /// Returns the result of each kind of media: a file of a node in `results` before those of other nodes, a final file before
    /// an intermediate or temporary one, and then the first in the graph's order.
    pub(crate) fn chosen<'a>(
        &'a self,
        outline: &Outline,
        results: &[NodeId],
    ) -> BTreeMap<Media, &'a OutputFile> {
        let mut best: BTreeMap<Media, (Rank, &OutputFile)> = BTreeMap::new();
        for (rank, media, file) in self.ranked(outline, results) {
            let entry = best.entry(media).or_insert((rank, file));
            if rank < entry.0 {
                *entry = (rank, file);
            }
        }
        best.into_iter().map(|(media, (_, file))| (media, file)).collect()
    }

    /// Returns the one file that is the result: chosen as in [`Outputs::chosen`], and among equals one of the `preferred`
    /// media, then a video before an image before audio.
    pub(crate) fn result<'a>(
        &'a self,
        outline: &Outline,
        results: &[NodeId],
        preferred: Media,
    ) -> Option<&'a OutputFile> {
        let ranked = self.ranked(outline, results);
        let best = ranked.min_by_key(|&(rank, media, _)| (rank, media != preferred, media));
        best.map(|(_, _, file)| file)
    }

    /// Returns every file that is meant to stay. If there is none, the intermediate ones, else the temporary ones.
    pub(crate) fn finals(&self) -> Vec<&OutputFile> {
        let files = || self.files.values().flatten().map(|reported| &reported.file);
        let best = files().map(kept).min();
        files().filter(|file| Some(kept(file)) == best).collect()
    }

    fn ranked<'a>(
        &'a self,
        outline: &Outline,
        results: &[NodeId],
    ) -> impl Iterator<Item = (Rank, Media, &'a OutputFile)> {
        self.files.iter().flat_map(move |((position, reporter), files)| {
            let id = if *position < outline.len() { outline.id(*position) } else { reporter };
            let no_result = !results.iter().any(|result| result == id || result == reporter);
            files
                .iter()
                .map(move |ReportedFile { file, media }| (Rank { no_result, kept: kept(file) }, *media, file))
        })
    }
}

/// Replaces what a node reported, and returns whether it differs.
fn replace<T: PartialEq + Clone>(
    reported: &mut BTreeMap<(Position, NodeId), Vec<T>>,
    key: (Position, NodeId),
    new: Vec<T>,
) -> bool {
    match reported.get(&key) {
        Some(before) if *before == new => false,
        None if new.is_empty() => false,
        _ if new.is_empty() => reported.remove(&key).is_some(),
        _ => {
            reported.insert(key, new);
            true
        }
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

/// The rank of a file. A smaller one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    no_result: bool,
    kept: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Final,
    Intermediate,
    Temporary,
}

/// Returns whether a file is meant to stay. Intermediate files are in a folder of that name.
fn kept(file: &OutputFile) -> Kept {
    if file.kind != "output" {
        Kept::Temporary
    } else if file.subfolder.split(['/', '\\']).any(|part| part == "intermediate") {
        Kept::Intermediate
    } else {
        Kept::Final
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comfy_runner_protocol::Graph;
    use serde_json::json;

    fn outline() -> Outline {
        let node = |title: &str| json!({"class_type": "Save", "inputs": {}, "_meta": {"title": title}});
        let graph = json!({"9": node("first"), "1": node("second")});
        Outline::new(&Graph::from_value(graph).unwrap(), None)
    }

    fn images(files: &[(&str, &str, &str)]) -> NodeOutput {
        let images: Vec<_> = files
            .iter()
            .map(|(filename, subfolder, kind)| json!({"filename": filename, "subfolder": subfolder, "type": kind}))
            .collect();
        serde_json::from_value(json!({ "images": images })).unwrap()
    }

    #[test]
    fn nodes_come_in_the_graphs_order_however_they_reported() {
        let outline = outline();
        let mut outputs = Outputs::default();
        assert!(outputs.report("1", Some(1), &images(&[("b.png", "", "output")])));
        assert!(outputs.report("9", Some(0), &images(&[("a.png", "", "output")])));
        assert!(outputs.report("9.0.1", Some(0), &images(&[("c.png", "", "temp")])));
        assert!(!outputs.report("1", Some(1), &images(&[("b.png", "", "output")])), "unchanged");
        assert_eq!(
            serde_json::to_value(outputs.by_node(&outline)).unwrap(),
            json!({
                "9": {"node_title": "first", "node_type": "Save", "items": [
                    {"filename": "a.png", "subfolder": "", "type": "output", "media": "image"},
                    {"filename": "c.png", "subfolder": "", "type": "temp", "media": "image"},
                ]},
                "1": {"node_title": "second", "node_type": "Save", "items": [
                    {"filename": "b.png", "subfolder": "", "type": "output", "media": "image"},
                ]},
            })
        );
    }

    #[test]
    fn texts_are_kept_by_node_and_a_long_one_is_cut() {
        let outline = outline();
        let mut outputs = Outputs::default();
        let output = |text: &str| serde_json::from_value(json!({"text": [text]})).unwrap();
        assert!(outputs.report("1", Some(1), &output("ü")));
        assert!(!outputs.report("1", Some(1), &output("ü")), "unchanged");
        assert!(outputs.report("9", Some(0), &output(&"ü".repeat(LONGEST_TEXT))));
        let texts = outputs.texts_by_node(&outline);
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["9", "1"]);
        assert_eq!((texts["9"][0].len(), texts["1"].as_slice()), (LONGEST_TEXT, &["ü".to_owned()][..]));
        assert!(outputs.report("1", Some(1), &serde_json::from_value(json!({})).unwrap()));
        assert!(!outputs.texts_by_node(&outline).contains_key("1"));
    }

    #[test]
    fn final_files_win_over_intermediate_and_temporary_ones_and_named_results_over_all() {
        let outline = outline();
        let mut outputs = Outputs::default();
        outputs.report(
            "9",
            Some(0),
            &images(&[("t.png", "", "temp"), ("i.mp4", "j/intermediate", "output")]),
        );
        let chosen = |outputs: &Outputs, results: &[NodeId]| -> Vec<(String, String)> {
            let chosen = outputs.chosen(&outline, results);
            chosen
                .into_iter()
                .map(|(media, file)| (media.as_str().to_owned(), file.filename.clone()))
                .collect()
        };
        let pair = |media: &str, name: &str| (media.to_owned(), name.to_owned());
        assert_eq!(chosen(&outputs, &[]), [pair("video", "i.mp4"), pair("image", "t.png")]);
        outputs.report(
            "1",
            Some(1),
            &images(&[("f.png", "j/final", "output"), ("f.mp4", "j/final", "output")]),
        );
        assert_eq!(chosen(&outputs, &[]), [pair("video", "f.mp4"), pair("image", "f.png")]);
        assert_eq!(chosen(&outputs, &["9".into()]), [pair("video", "i.mp4"), pair("image", "t.png")]);
    }

    #[test]
    fn the_one_result_is_of_the_preferred_kind_but_never_an_intermediate_file_beside_a_final_one() {
        let outline = outline();
        let mut outputs = Outputs::default();
        let final_files = [("f.png", "j/final", "output"), ("f.flac", "j/final", "output")];
        outputs.report("9", Some(0), &images(&[("i.mp4", "j/intermediate", "output")]));
        outputs.report("1", Some(1), &images(&final_files));
        let result = |outputs: &Outputs, results: &[NodeId], preferred| {
            outputs.result(&outline, results, preferred).map(|file| file.filename.clone())
        };
        assert_eq!(result(&outputs, &[], Media::Video).as_deref(), Some("f.png"));
        assert_eq!(result(&outputs, &[], Media::Audio).as_deref(), Some("f.flac"));
        assert_eq!(result(&outputs, &["9".into()], Media::Image).as_deref(), Some("i.mp4"));
        assert_eq!(result(&Outputs::default(), &[], Media::Video), None);
        let names: Vec<_> = outputs.finals().into_iter().map(|file| file.filename.as_str()).collect();
        assert_eq!(names, ["f.png", "f.flac"]);
    }
}
