//! A block: nodes, with imports from other blocks and exports to them.

use std::collections::HashSet;

use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics, Lines, typo};
use comfy_runner_protocol::Link;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::message::pointer;
use crate::template::{Expression, ExpressionError, Names, OPENING, Template, ValueTemplate};

/// The largest block file that is read, in bytes.
pub(crate) const LARGEST_BLOCK: usize = 1 << 20;

/// A block file, parsed and checked on its own.
#[derive(Debug)]
pub(crate) struct Block {
    /// The file, relative to the workflow's folder.
    pub file: String,
    pub lines: Lines,
    /// The nodes by local id.
    pub nodes: IndexMap<String, BlockNode>,
    pub imports: Vec<String>,
    pub exports: IndexMap<String, Export>,
    /// Names that the file says it uses.
    pub variables: Vec<String>,
}

/// One node of a block.
#[derive(Debug)]
pub(crate) struct BlockNode {
    pub class_type: String,
    pub inputs: Vec<BlockInput>,
    pub meta: Option<ValueTemplate>,
    /// Keys that ComfyUI ignores, kept unchanged.
    pub other: Map<String, Value>,
}

/// One input of a node: its name and its value or reference.
#[derive(Debug)]
pub(crate) struct BlockInput {
    /// The key as written in the file, to find its line.
    pub written: String,
    pub name: Template,
    pub source: BlockSource,
}

/// The source of an input's value.
#[derive(Debug)]
pub(crate) enum BlockSource {
    Content(ValueTemplate),
    /// An output of a node of this block.
    Local(String, u64),
    /// An export of an earlier block.
    Import(String),
    /// An output of a node, or an import, whose name is an expression.
    Named(Template, u64),
}

/// An export of a block: an output of one of its nodes.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    pub node: String,
    pub output: u64,
}

impl Block {
    /// Parses a block file.
    ///
    /// Returns the block with every diagnostic that could be found. If there are errors, the block lacks the parts that
    /// are wrong and serves only to find further errors.
    pub fn parse(text: &str, file: &str, names: &Names) -> (Option<Self>, Diagnostics) {
        if text.len() > LARGEST_BLOCK {
            let message = format!("the file has {} bytes; a block has at most {LARGEST_BLOCK}", text.len());
            return (None, Diagnostic::error(DiagnosticKind::Limit, file, message).into());
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let mut problem =
                    Diagnostic::error(DiagnosticKind::Syntax, file, format!("not valid JSON: {error}"));
                (problem.line, problem.column) = (Some(error.line()), Some(error.column()));
                return (None, problem.into());
            }
        };
        let lines = Lines::parse(text);
        let mut report = FileDiagnostics::new(file, &lines);
        let block = Self::read(&value, file, names, &mut report);
        let problems = report.finish();
        (block.map(|block| Self { lines, ..block }), problems)
    }

    fn read(value: &Value, file: &str, names: &Names, report: &mut FileDiagnostics<'_>) -> Option<Self> {
        let nodes = value.get("nodes");
        let Some(Value::Object(nodes)) = nodes else {
            report.error(DiagnosticKind::Block, "/nodes", not_a_block(value));
            return None;
        };
        warn_of_typos(value, &BLOCK_KEYS, &[], "", report);
        let imports = read_names(value, "imports", report);
        let variables = read_names(value, "variables", report);
        let mut block = Self {
            file: file.to_owned(),
            lines: Lines::default(),
            nodes: IndexMap::with_capacity(nodes.len()),
            imports,
            exports: IndexMap::new(),
            variables,
        };
        for (id, node) in nodes {
            warn_of_typos(node, &NODE_KEYS, &[id], &format!("node \"{id}\": "), report);
            if let Some(node) = block.read_node(id, node, nodes, names, report) {
                block.nodes.insert(id.clone(), node);
            }
        }
        block.exports = read_exports(value, nodes, report);
        for import in block.imports.iter().filter(|import| nodes.contains_key(*import)) {
            let message =
                format!("\"{import}\" is an import and a node; a reference to it means the node. Rename one");
            report.warning(DiagnosticKind::Block, "/imports", message);
        }
        block.report_cycles(report);
        Some(block)
    }

    fn read_node(
        &self,
        id: &str,
        node: &Value,
        nodes: &Map<String, Value>,
        names: &Names,
        report: &mut FileDiagnostics<'_>,
    ) -> Option<BlockNode> {
        let mut fail = |at: &[&str], kind: DiagnosticKind, reason: String| {
            report.error(kind, &pointer(&[&["nodes", id], at].concat()), format!("node \"{id}\": {reason}"));
        };
        let Value::Object(entry) = node else {
            fail(&[], DiagnosticKind::Block, "a node is an object with `class_type` and `inputs`".to_owned());
            return None;
        };
        if id.contains(OPENING) {
            fail(
                &[],
                DiagnosticKind::Block,
                "a node's id cannot contain a placeholder; an input's name can".to_owned(),
            );
        }
        let class_type = match entry.get("class_type") {
            Some(Value::String(class)) if class.contains(OPENING) => {
                let reason = "`class_type` cannot contain a placeholder; use `switch` to pick a block";
                fail(&["class_type"], DiagnosticKind::Block, reason.to_owned());
                class.clone()
            }
            Some(Value::String(class)) if !class.is_empty() => class.clone(),
            _ => {
                fail(&[], DiagnosticKind::Block, "`class_type` must be the name of a node type".to_owned());
                String::new()
            }
        };
        let none = Map::new();
        let entries = match entry.get("inputs") {
            None => &none,
            Some(Value::Object(inputs)) => inputs,
            Some(_) => {
                fail(&["inputs"], DiagnosticKind::Block, "`inputs` must be an object".to_owned());
                &none
            }
        };
        let mut inputs = Vec::with_capacity(entries.len());
        for (written, value) in entries {
            let at = ["inputs", written.as_str()];
            let read = self.read_source(value, nodes, names).and_then(|source| {
                let name = Template::parse(written, names).map_err(Reason::from)?;
                Ok(BlockInput { written: written.clone(), name, source })
            });
            match read {
                Ok(input) => inputs.push(input),
                Err(Reason { kind, text }) => fail(&at, kind, format!("input `{written}`: {text}")),
            }
        }
        let meta =
            entry.get("_meta").map(|meta| ValueTemplate::parse(meta, names)).transpose().unwrap_or_else(
                |error| {
                    fail(&["_meta"], DiagnosticKind::Expression, error.to_string());
                    None
                },
            );
        let other = entry.iter().filter(|(key, _)| !NODE_KEYS.contains(&key.as_str()));
        let other = other.map(|(key, value)| (key.clone(), value.clone())).collect();
        Some(BlockNode { class_type, inputs, meta, other })
    }

    /// Parses an input's value: a reference or content.
    fn read_source(
        &self,
        value: &Value,
        nodes: &Map<String, Value>,
        names: &Names,
    ) -> Result<BlockSource, Reason> {
        if let Some(Link { node, output }) = Link::from_value(value) {
            let output = output as u64;
            let is_import = |name: &str| self.imports.iter().any(|import| import == name);
            return Ok(match Template::parse(node, names)? {
                Template::Plain(node) if nodes.contains_key(&node) => BlockSource::Local(node, output),
                Template::Plain(node) if is_import(&node) => BlockSource::Import(node),
                Template::Whole(expression) if expression.name().is_some_and(is_import) => {
                    BlockSource::Import(expression.source().to_owned())
                }
                Template::Plain(node) => {
                    let known = nodes.keys().chain(&self.imports).map(String::as_str);
                    let hint = did_you_mean(&node, known);
                    let text = format!(
                        "refers to \"{node}\", which is neither a node of this block nor an import.{hint}"
                    );
                    return Err(Reason { kind: DiagnosticKind::Block, text });
                }
                text => BlockSource::Named(text, output),
            });
        }
        let content = ValueTemplate::parse(value, names)?;
        if let ValueTemplate::String(Template::Whole(expression)) = &content
            && let Some(name) =
                expression.name().filter(|name| self.imports.iter().any(|import| import == name))
        {
            return Ok(BlockSource::Import(name.to_owned()));
        }
        Ok(BlockSource::Content(content))
    }

    /// Reports nodes that depend on themselves.
    fn report_cycles(&self, report: &mut FileDiagnostics<'_>) {
        let links = |id: &str| {
            let inputs = self.nodes.get(id).map(|node| node.inputs.as_slice()).unwrap_or_default();
            inputs.iter().filter_map(|input| match &input.source {
                BlockSource::Local(node, _) => Some(node.as_str()),
                _ => None,
            })
        };
        if let Some(cycle) = find_cycle(self.nodes.keys().map(String::as_str), links) {
            let message = format!("the nodes {} depend on each other in a circle", shown_circle(&cycle));
            report.error(DiagnosticKind::Block, &pointer(&["nodes", cycle[0]]), message);
        }
    }

    /// Returns the expressions whose names must all be known, each with its location: node, input as written, JSON
    /// pointer.
    pub fn expressions(&self) -> Vec<(&Expression, &str, Option<&str>, String)> {
        let mut found = Vec::new();
        for (id, node) in &self.nodes {
            for input in &node.inputs {
                let at = pointer(&["nodes", id, "inputs", &input.written]);
                let mut add = |expression| {
                    found.push((expression, id.as_str(), Some(input.written.as_str()), at.clone()))
                };
                if !matches!(input.name, Template::Whole(_)) {
                    input.name.expressions().for_each(&mut add);
                }
                match &input.source {
                    // If the key has no value, the input's value is not evaluated.
                    _ if matches!(input.name, Template::Whole(_)) => {}
                    BlockSource::Content(content) => content.expressions().into_iter().for_each(add),
                    BlockSource::Named(text, _) => text.expressions().for_each(add),
                    BlockSource::Local(..) | BlockSource::Import(_) => {}
                }
            }
            let at = pointer(&["nodes", id, "_meta"]);
            for expression in node.meta.iter().flat_map(ValueTemplate::expressions) {
                found.push((expression, id.as_str(), None, at.clone()));
            }
        }
        found
    }
}

/// The keys of a block file.
const BLOCK_KEYS: [&str; 4] = ["nodes", "imports", "exports", "variables"];

/// The keys of a node.
const NODE_KEYS: [&str; 3] = ["class_type", "inputs", "_meta"];

/// Warns about each key of a map that looks like a typo of a known one.
fn warn_of_typos(
    value: &Value,
    known: &[&str],
    node: &[&str],
    subject: &str,
    report: &mut FileDiagnostics<'_>,
) {
    for key in value.as_object().into_iter().flat_map(Map::keys) {
        if let Some(message) = typo(key, known, &[]) {
            let parent: &[&str] = if node.is_empty() { &[] } else { &["nodes"] };
            let at = pointer(&[parent, node, &[key]].concat());
            report.warning(DiagnosticKind::UnknownKey, &at, format!("{subject}{message}"));
        }
    }
}

/// An error in an input.
struct Reason {
    kind: DiagnosticKind,
    text: String,
}

impl From<ExpressionError> for Reason {
    fn from(error: ExpressionError) -> Self {
        Self { kind: DiagnosticKind::Expression, text: error.to_string() }
    }
}

fn not_a_block(value: &Value) -> String {
    let is_graph = value
        .as_object()
        .is_some_and(|map| !map.is_empty() && map.values().all(|node| node.get("class_type").is_some()));
    if is_graph {
        "this is a graph, not a block: put its nodes under `nodes`, and add `imports` and `exports`"
            .to_owned()
    } else if value.get("nodes").is_some_and(Value::is_array) {
        "this is ComfyUI's UI format; take nodes from \"Workflow > Export (API)\" and put them under `nodes`"
            .to_owned()
    } else {
        "a block is an object with `nodes` (an object from local id to node), `imports`, `exports` and `variables`"
            .to_owned()
    }
}

fn read_names(value: &Value, key: &str, report: &mut FileDiagnostics<'_>) -> Vec<String> {
    let mut names = Vec::new();
    match value.get(key) {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            for (index, name) in list.iter().enumerate() {
                match name {
                    Value::String(name) => names.push(name.clone()),
                    other => {
                        let message = format!("`{key}` must list names, not {other}");
                        report.error(DiagnosticKind::Block, &format!("/{key}/{index}"), message);
                    }
                }
            }
        }
        // Some libraries add details to each name: only the keys are read.
        Some(Value::Object(map)) => names.extend(map.keys().cloned()),
        Some(other) => {
            report.error(
                DiagnosticKind::Block,
                &format!("/{key}"),
                format!("`{key}` must list names, not {other}"),
            );
        }
    }
    names
}

fn read_exports(
    value: &Value,
    nodes: &Map<String, Value>,
    report: &mut FileDiagnostics<'_>,
) -> IndexMap<String, Export> {
    let mut exports = IndexMap::new();
    let entries = match value.get("exports") {
        None | Some(Value::Null) => return exports,
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let message = format!("`exports` maps names to `{{\"node\", \"output\"}}`, this is {other}");
            report.error(DiagnosticKind::Block, "/exports", message);
            return exports;
        }
    };
    for (name, export) in entries {
        let at = pointer(&["exports", name]);
        let written = match export {
            Value::Object(entry) => match (entry.get("node"), entry.get("output")) {
                (Some(Value::String(node)), None) => Some((node.clone(), 0)),
                (Some(Value::String(node)), Some(output)) => {
                    output.as_u64().map(|output| (node.clone(), output))
                }
                _ => None,
            },
            link => Link::from_value(link).map(|link| (link.node.to_owned(), link.output as u64)),
        };
        let Some((node, output)) = written else {
            let message = format!(
                "export \"{name}\" must be `{{\"node\": local id, \"output\": number}}`, not {export}"
            );
            report.error(DiagnosticKind::Block, &at, message);
            continue;
        };
        if !nodes.contains_key(&node) {
            let hint = did_you_mean(&node, nodes.keys().map(String::as_str));
            let message = format!("export \"{name}\": the block has no node \"{node}\".{hint}");
            report.error(DiagnosticKind::Block, &at, message);
        }
        exports.insert(name.clone(), Export { node, output });
    }
    exports
}

/// Returns the nodes of a cycle of links, if there is one, without repeating the first at the end.
pub(crate) fn find_cycle<'g, L: Iterator<Item = &'g str>>(
    ids: impl Iterator<Item = &'g str>,
    links: impl Fn(&'g str) -> L,
) -> Option<Vec<&'g str>> {
    let mut done: HashSet<&str> = HashSet::new();
    for start in ids {
        if done.contains(start) {
            continue;
        }
        // A walk without recursion: the nodes on the current path, each with its remaining links.
        let mut path: Vec<(&str, L)> = vec![(start, links(start))];
        let mut open: HashSet<&str> = [start].into();
        while let Some((id, left)) = path.last_mut() {
            match left.next() {
                Some(next) if open.contains(next) => {
                    let circle = path.iter().map(|(id, _)| *id).skip_while(|id| *id != next);
                    return Some(circle.collect());
                }
                Some(next) if !done.contains(next) => {
                    open.insert(next);
                    path.push((next, links(next)));
                }
                Some(_) => {}
                None => {
                    open.remove(*id);
                    done.insert(*id);
                    path.pop();
                }
            }
        }
    }
    None
}

/// Returns a cycle for an error message: its first ten nodes.
pub(crate) fn shown_circle(circle: &[&str]) -> String {
    let shown: Vec<String> = circle.iter().take(10).map(|id| format!("\"{id}\"")).collect();
    let more = if circle.len() > 10 { format!(" and {} more", circle.len() - 10) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(block: Value) -> Vec<String> {
        let text = serde_json::to_string_pretty(&block).unwrap();
        let (_, problems) = Block::parse(&text, "blocks/b.json", &Names::default());
        assert!(problems.iter().any(Diagnostic::is_error), "must be refused");
        problems.iter().map(ToString::to_string).collect()
    }

    fn node(inputs: Value) -> Value {
        json!({"class_type": "T", "inputs": inputs})
    }

    #[test]
    fn references_are_told_from_values_in_every_spelling() {
        let block = json!({
            "nodes": {
                "a": node(json!({"m": ["model", 0], "n": "{{ model }}", "l": ["b", 1], "v": "{{steps}}", "p": ["x", "y"], "d": ["{{which}}", 0]})),
                "b": node(json!({})),
            },
            "imports": ["model"], "exports": {"out": {"node": "b"}, "short": ["a", 2]},
        });
        let (block, warnings) = Block::parse(&block.to_string(), "b", &Names::default());
        let block = block.unwrap();
        assert_eq!(warnings, Diagnostics::new());
        let source =
            |name: &str| &block.nodes["a"].inputs.iter().find(|input| input.written == name).unwrap().source;
        assert!(matches!(source("m"), BlockSource::Import(name) if name == "model"));
        assert!(matches!(source("n"), BlockSource::Import(name) if name == "model"));
        assert!(matches!(source("l"), BlockSource::Local(name, 1) if name == "b"));
        assert!(matches!(source("v"), BlockSource::Content(ValueTemplate::String(_))));
        assert!(matches!(source("p"), BlockSource::Content(ValueTemplate::Literal(_))));
        assert!(matches!(source("d"), BlockSource::Named(_, 0)));
        assert_eq!((block.exports["out"].output, block.exports["short"].output), (0, 2));
    }

    #[test]
    fn every_mistake_of_a_block_is_told_with_node_input_and_line() {
        let reported = refused(json!({
            "nodes": {"sampler": node(json!({"model": ["modle", 0], "steps": "{{ steps + }}"})), "empty": {}},
            "imports": ["model"], "exports": {"image": {"node": "decode", "output": 0}, "odd": 3}, "variables": [1],
        }));
        assert_eq!(reported.len(), 6, "{reported:#?}");
        assert!(reported.iter().all(|reported| reported.starts_with("blocks/b.json:")), "{reported:#?}");
        let has = |part: &str| {
            assert!(reported.iter().any(|reported| reported.contains(part)), "{part}: {reported:#?}")
        };
        has("node \"sampler\": input `model`: refers to \"modle\"");
        has("Did you mean \"model\"?");
        has("input `steps`: the expression `steps +` cannot be read");
        has("export \"image\": the block has no node \"decode\"");
        has("`class_type` must be the name of a node type");
    }

    #[test]
    fn keys_that_look_like_typos_are_warnings() {
        let block = json!({"nodes": {"a": {"class_type": "T", "inptus": {}, "note": 1}}, "export": {}, "comment": ""});
        let (_, found) = Block::parse(&serde_json::to_string_pretty(&block).unwrap(), "b", &Names::default());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "b:5: warning: node \"a\": `inptus` has no meaning here. Did you mean `inputs`?",
                "b:9: warning: `export` has no meaning here. Did you mean `exports`?",
            ]
        );
    }

    #[test]
    fn circles_are_found() {
        let reported =
            refused(json!({"nodes": {"a": node(json!({"x": ["b", 0]})), "b": node(json!({"x": ["a", 0]}))}}));
        assert!(reported[0].contains("\"a\", \"b\" depend on each other in a circle"), "{reported:?}");
        let reported = refused(json!({"nodes": {"a": node(json!({"x": ["a", 0]}))}}));
        assert!(reported[0].contains("circle"), "{reported:?}");
    }

    #[test]
    fn what_is_no_block_is_told_for_what_it_is() {
        assert!(refused(json!({"3": node(json!({}))}))[0].contains("this is a graph, not a block"));
        assert!(refused(json!({"nodes": [], "links": []}))[0].contains("UI format"));
        assert!(refused(json!([]))[0].contains("a block is an object"));
        assert!(Block::parse("{", "b", &Names::default()).1[0].message.contains("not valid JSON"));
    }
}
