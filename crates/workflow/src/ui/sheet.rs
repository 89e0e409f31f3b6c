//! A graph as it stands in the editor once it is opened: each drawing's nodes with their slots and widgets, and the
//! uses of subgraphs opened into scopes.

use std::borrow::Cow;
use std::collections::HashMap;

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};
use serde_json::Value;

use super::drawn::{Catalogue, Drawn, Given, Widget, named};
use super::edition::Edition;
use super::graph::{Mode, SUBGRAPH_OUTPUT, Subgraph, UiGraph, UiLink, UiNode, UiNodeId};
use super::primitive;
use super::promoted::Promoted;
use super::to_api::ToApiError;

/// How deep subgraphs may lie in each other.
pub(super) const MAX_DEPTH: usize = 64;
/// How many nodes a graph may have once its subgraphs are opened.
pub(super) const MAX_NODES: usize = 1_000_000;

/// One drawing: the graph itself, or the inside of a subgraph, which all its uses share.
pub(super) struct Sheet<'g> {
    pub definition: Option<&'g Subgraph>,
    pub nodes: Vec<Placed<'g>>,
    pub by_id: HashMap<&'g UiNodeId, usize>,
    pub links: HashMap<i64, &'g UiLink>,
    /// The link to each of a subgraph's outputs.
    pub results: HashMap<i64, &'g UiLink>,
}

/// A node on a sheet.
pub(super) struct Placed<'g> {
    pub node: &'g UiNode,
    pub class_type: &'g str,
    pub role: Role<'g>,
    edition: Edition,
    pub inputs: Vec<Input<'g>>,
    pub widgets: Vec<Widget<'g>>,
}

/// What a node is.
#[derive(Clone, Copy)]
pub(super) enum Role<'g> {
    /// One that ComfyUI runs.
    Runs(&'g NodeSchema),
    /// A use of the subgraph that has this sheet.
    Uses(usize),
    /// A value that it gives to the widgets linked to it.
    Primitive,
    /// One that links pass through.
    Reroute,
    /// A text for people.
    Note,
    /// A type without a schema.
    Unknown,
}

/// An input slot of a placed node.
pub(super) struct Input<'g> {
    pub name: Cow<'g, str>,
    pub kind: Cow<'g, str>,
    pub link: Option<i64>,
}

/// A sheet in use: the graph, or one use of a subgraph.
pub(super) struct Scope {
    pub sheet: usize,
    /// What stands before the ids of its nodes: empty, or `12:`.
    pub prefix: String,
    depth: usize,
    /// The scope around it, and the node there that is its use.
    pub parent: Option<(usize, usize)>,
    /// The scopes of the uses of subgraphs in it.
    pub inner: HashMap<usize, usize>,
}

/// A graph with its subgraphs opened. The first scope is the graph itself.
pub(super) struct Opened<'g> {
    pub sheets: Vec<Sheet<'g>>,
    pub scopes: Vec<Scope>,
    pub promoted: Promoted,
    /// How many slots there are in all scopes: more than any trace passes that does not go in a circle.
    pub places: usize,
}

impl<'g> Opened<'g> {
    pub fn new(graph: &'g UiGraph, schemas: &'g ObjectInfo) -> Result<Self, ToApiError> {
        let edition = Edition::of(schemas);
        let mut types = Catalogue::new(edition);
        let definitions = || graph.definitions.iter().flat_map(|definitions| &definitions.subgraphs);
        let sheet_of: HashMap<&str, usize> =
            definitions().enumerate().map(|(at, subgraph)| (subgraph.id.as_str(), at + 1)).collect();
        let by_sheet: Vec<&Subgraph> = definitions().collect();
        let mut place = |nodes: &'g [UiNode]| {
            let placed = nodes
                .iter()
                .map(|node| Placed::new(&mut types, edition, node, schemas, &sheet_of, &by_sheet));
            placed.collect::<Result<Vec<_>, _>>()
        };
        let mut sheets = vec![Sheet::new(None, place(&graph.nodes)?, &graph.links)?];
        for subgraph in &by_sheet {
            sheets.push(Sheet::new(Some(subgraph), place(&subgraph.nodes)?, &subgraph.links)?);
        }
        for sheet in &mut sheets {
            primitive::apply(sheet);
        }
        let promoted = Promoted::of(&sheets);
        let mut opened = Self { sheets, scopes: Vec::new(), promoted, places: 0 };
        opened.open()?;
        let slots = |sheet: &Sheet<'_>| -> usize {
            let slots = |placed: &Placed<'_>| placed.inputs.len() + placed.node.outputs.len() + 1;
            sheet.nodes.iter().map(slots).sum()
        };
        let slots: Vec<usize> = opened.sheets.iter().map(slots).collect();
        opened.places = opened.scopes.iter().map(|scope| 2 * slots[scope.sheet]).sum();
        Ok(opened)
    }

    /// Makes a scope for each use of a subgraph. One that is muted or bypassed is opened too: its nodes have modes of
    /// their own.
    fn open(&mut self) -> Result<(), ToApiError> {
        let root = Scope { sheet: 0, prefix: String::new(), depth: 0, parent: None, inner: HashMap::new() };
        self.scopes.push(root);
        let mut total = self.sheets[0].nodes.len();
        let mut at = 0;
        while at < self.scopes.len() {
            let sheet = self.scopes[at].sheet;
            for index in 0..self.sheets[sheet].nodes.len() {
                let Role::Uses(used) = self.sheets[sheet].nodes[index].role else { continue };
                let id = self.id(at, index);
                let depth = self.scopes[at].depth + 1;
                if depth > MAX_DEPTH {
                    return Err(ToApiError::TooDeep { node: id });
                }
                total += self.sheets[used].nodes.len() + 1;
                if total > MAX_NODES {
                    return Err(ToApiError::TooLarge);
                }
                let inner = self.scopes.len();
                self.scopes[at].inner.insert(index, inner);
                let (prefix, parent) = (format!("{id}:"), Some((at, index)));
                self.scopes.push(Scope { sheet: used, prefix, depth, parent, inner: HashMap::new() });
            }
            at += 1;
        }
        Ok(())
    }

    pub fn sheet(&self, scope: usize) -> &Sheet<'g> {
        &self.sheets[self.scopes[scope].sheet]
    }

    pub fn node(&self, scope: usize, node: usize) -> &Placed<'g> {
        &self.sheet(scope).nodes[node]
    }

    /// The id that this node has in the prompt.
    pub fn id(&self, scope: usize, node: usize) -> String {
        format!("{}{}", self.scopes[scope].prefix, self.node(scope, node).node.id)
    }
}

impl<'g> Sheet<'g> {
    fn new(
        definition: Option<&'g Subgraph>,
        nodes: Vec<Placed<'g>>,
        links: &'g [UiLink],
    ) -> Result<Self, ToApiError> {
        let mut by_id = HashMap::with_capacity(nodes.len());
        for (at, placed) in nodes.iter().enumerate() {
            if by_id.insert(&placed.node.id, at).is_some() {
                let within = definition.map(|subgraph| subgraph.name.clone());
                return Err(ToApiError::DuplicateNode { node: placed.node.id.to_string(), within });
            }
        }
        let results = links.iter().filter(|link| link.target_id == SUBGRAPH_OUTPUT);
        let results = results.map(|link| (link.target_slot, link)).collect();
        let links = links.iter().map(|link| (link.id, link)).collect();
        Ok(Self { definition, nodes, by_id, links, results })
    }
}

impl<'g> Placed<'g> {
    fn new(
        types: &mut Catalogue<'g>,
        edition: Edition,
        node: &'g UiNode,
        schemas: &'g ObjectInfo,
        sheet_of: &HashMap<&str, usize>,
        subgraphs: &[&'g Subgraph],
    ) -> Result<Self, ToApiError> {
        let class_type = current_type(&node.kind);
        let by_file = || node.inputs.iter().map(Input::of_file).collect();
        let role = match class_type {
            kind if sheet_of.contains_key(kind) => Role::Uses(sheet_of[kind]),
            "PrimitiveNode" => Role::Primitive,
            "Reroute" => Role::Reroute,
            "Note" | "MarkdownNote" => Role::Note,
            kind => schemas.get(kind).map_or(Role::Unknown, Role::Runs),
        };
        let (inputs, widgets) = match role {
            Role::Runs(schema) => {
                let drawn = drawn_of(types, node, class_type, schema)?;
                (inputs_of(node, &drawn), drawn.widgets)
            }
            Role::Uses(sheet) => (use_inputs(node, subgraphs[sheet - 1]), Vec::new()),
            _ => (by_file(), Vec::new()),
        };
        let mut placed = Self { node, class_type, role, edition, inputs, widgets };
        placed.mend();
        Ok(placed)
    }

    /// The type of an output, by which bypassed nodes find the input to pass on.
    pub fn output_kind(&self, slot: usize) -> Option<&str> {
        let of_file = || self.node.outputs.get(slot).map(|output| output.kind.as_str().unwrap_or("*"));
        match self.role {
            Role::Runs(schema) => schema.output.get(slot).map(String::as_str).or_else(of_file),
            _ => of_file(),
        }
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        let given = self.node.title.as_deref().filter(|title| !title.is_empty());
        given.unwrap_or_else(|| match self.role {
            Role::Runs(schema) => self.edition.title(self.class_type, schema),
            _ => self.class_type,
        })
    }

    /// Samplers were once called `sample_...`.
    fn mend(&mut self) {
        if !matches!(self.class_type, "KSampler" | "KSamplerAdvanced") {
            return;
        }
        for widget in self.widgets.iter_mut().filter(|widget| widget.name == "sampler_name") {
            if let Some(name) =
                widget.value.as_ref().and_then(Value::as_str).and_then(|n| n.strip_prefix("sample_"))
            {
                widget.value = Some(Value::from(name));
            }
        }
    }

    /// Whether it takes part.
    pub fn mode(&self) -> Mode {
        self.node.mode()
    }
}

impl<'g> Input<'g> {
    fn of_file(input: &'g super::graph::UiInput) -> Self {
        Self {
            name: Cow::Borrowed(&input.name),
            kind: Cow::Borrowed(input.kind.as_str().unwrap_or("*")),
            link: input.link,
        }
    }
}

/// Types that once had another name.
fn current_type(kind: &str) -> &str {
    match kind {
        "T2IAdapterLoader" => "ControlNetLoader",
        "ConditioningAverage " => "ConditioningAverage",
        "SDV_img2vid_Conditioning" => "SVD_img2vid_Conditioning",
        kind => kind,
    }
}

fn drawn_of<'g>(
    types: &mut Catalogue<'g>,
    node: &UiNode,
    class_type: &'g str,
    schema: &'g NodeSchema,
) -> Result<Drawn<'g>, ToApiError> {
    Ok(match &node.widgets_values {
        None | Some(Value::Null) => Drawn::new(types, class_type, schema, Given::Nothing),
        Some(Value::Array(values)) => Drawn::from_list(types, class_type, schema, values),
        Some(Value::Object(map)) => Drawn::new(types, class_type, schema, Given::Named(&named(map))),
        Some(_) => return Err(ToApiError::WidgetValues { node: node.id.to_string() }),
    })
}

/// The slots of the type, then those that links added to it, each with its link from the file.
fn inputs_of<'g>(node: &'g UiNode, drawn: &Drawn<'g>) -> Vec<Input<'g>> {
    let of_file: HashMap<&str, &super::graph::UiInput> =
        node.inputs.iter().map(|input| (input.name.as_str(), input)).collect();
    let mut inputs: Vec<Input<'g>> = Vec::with_capacity(drawn.slots.len());
    for slot in &drawn.slots {
        let found = of_file.get(&*slot.name);
        // A widget of the file that the type no longer has takes its slot along.
        let widget = found.and_then(|input| input.widget.as_ref()?.get("name")?.as_str());
        if !slot.widget && widget.is_some_and(|name| drawn.widget(name).is_none()) {
            continue;
        }
        let link = found.and_then(|input| input.link);
        inputs.push(Input { name: slot.name.clone(), kind: slot.kind.clone(), link });
    }
    let within = |names: &[String], name: &str| {
        names.iter().any(|group| name.strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    for input in &node.inputs {
        if drawn.slot(&input.name).is_some() {
            continue;
        }
        let grown = within(&drawn.growing, &input.name);
        if !grown && (input.widget.is_some() || within(&drawn.deciding, &input.name)) {
            continue;
        }
        inputs.push(Input::of_file(input));
    }
    inputs
}

/// The slots of a subgraph's use: in the order of its definition.
fn use_inputs<'g>(node: &'g UiNode, definition: &'g Subgraph) -> Vec<Input<'g>> {
    let slots = definition.inputs.iter().map(|slot| {
        let given = node.inputs.iter().rev().find(|input| input.name == slot.name);
        let kind = slot.other.get("type").and_then(Value::as_str).unwrap_or("*");
        Input {
            name: Cow::Borrowed(slot.name.as_str()),
            kind: Cow::Borrowed(kind),
            link: given.and_then(|input| input.link),
        }
    });
    slots.collect()
}
