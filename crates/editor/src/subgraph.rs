//! Loads a graph as the editor does, each node with its slots and widgets, and expands its subgraph instances.

use std::borrow::Cow;
use std::collections::HashMap;

use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};
use serde_json::Value;

use crate::graph::{Mode, SUBGRAPH_OUTPUT, Subgraph, UiGraph, UiLink, UiNode, UiNodeId};
use crate::node_builder::NodeTypes;
use crate::node_ids;
use crate::primitive;
use crate::promoted::Promoted;
use crate::rules::Rules;
use crate::to_api::ToApiError;
use crate::widgets::{EditorNode, Widget, WidgetValues, named};

/// The depth to which subgraphs may be nested.
pub(crate) const MAX_DEPTH: usize = 64;
/// The number of nodes that an expanded graph may have.
pub(crate) const MAX_NODES: usize = 1_000_000;

/// The nodes and links of the root graph, or of a subgraph definition, which its instances share.
pub(crate) struct Definition<'g> {
    pub subgraph: Option<&'g Subgraph>,
    pub nodes: Vec<LoadedNode<'g>>,
    pub by_id: HashMap<&'g UiNodeId, usize>,
    pub links: HashMap<i64, &'g UiLink>,
    /// The link to each output of the subgraph.
    pub results: HashMap<i64, &'g UiLink>,
}

/// A node of a definition.
pub(crate) struct LoadedNode<'g> {
    pub node: &'g UiNode,
    pub class_type: &'g str,
    pub role: NodeRole<'g>,
    /// Its id in the prompt, if that differs from the id in the file.
    new_id: Option<UiNodeId>,
    pub rules: &'static Rules,
    pub inputs: Vec<InputSlot<'g>>,
    pub widgets: Vec<Widget<'g>>,
}

/// The role of a node in the conversion.
#[derive(Clone, Copy)]
pub(crate) enum NodeRole<'g> {
    /// ComfyUI executes it.
    Executed(&'g NodeSchema),
    /// It is an instance of the subgraph with this definition.
    Subgraph(usize),
    /// It assigns its value to the widgets that are linked to it.
    Primitive,
    /// Links go through it.
    Reroute,
    /// It is a comment.
    Note,
    /// Its type has no schema.
    Unknown,
}

/// An input slot of a loaded node.
pub(crate) struct InputSlot<'g> {
    pub name: Cow<'g, str>,
    pub kind: Cow<'g, str>,
    pub link: Option<i64>,
}

/// An instance of a definition: the root graph, or one subgraph node.
pub(crate) struct SubgraphInstance {
    pub definition: usize,
    /// The prefix of the ids of its nodes in the prompt: empty, or `12:`.
    pub prefix: String,
    depth: usize,
    /// The parent instance, and the index of the subgraph node in it.
    pub parent: Option<(usize, usize)>,
    /// The instances inside, by the index of their subgraph node.
    pub inner: HashMap<usize, usize>,
}

/// A graph with its subgraphs expanded. The first instance is the root graph.
pub(crate) struct Expanded<'g> {
    pub rules: &'static Rules,
    pub definitions: Vec<Definition<'g>>,
    pub instances: Vec<SubgraphInstance>,
    pub promoted: Promoted,
    /// The number of slots in all instances: an upper bound for the steps of a link resolution without a cycle.
    pub slot_count: usize,
}

impl<'g> Expanded<'g> {
    pub fn new(
        graph: &'g UiGraph,
        schemas: &'g ObjectInfo,
        rules: &'static Rules,
    ) -> Result<Self, ToApiError> {
        let mut types = NodeTypes::new(rules);
        let definitions = || graph.definitions.iter().flat_map(|definitions| &definitions.subgraphs);
        let definition_of: HashMap<&str, usize> =
            definitions().enumerate().map(|(at, subgraph)| (subgraph.id.as_str(), at + 1)).collect();
        let subgraphs: Vec<&Subgraph> = definitions().collect();
        let mut place = |nodes: &'g [UiNode]| {
            let loaded = nodes
                .iter()
                .map(|node| LoadedNode::new(&mut types, node, schemas, &definition_of, &subgraphs));
            loaded.collect::<Result<Vec<_>, _>>()
        };
        let mut definitions = vec![Definition::new(None, place(&graph.nodes)?, &graph.links)?];
        for subgraph in &subgraphs {
            definitions.push(Definition::new(Some(subgraph), place(&subgraph.nodes)?, &subgraph.links)?);
        }
        if rules.unique_node_ids {
            for (at, mut new) in node_ids::new_ids(graph, &subgraphs).into_iter().enumerate() {
                for loaded in &mut definitions[at + 1].nodes {
                    loaded.new_id = new.remove(&loaded.node.id);
                }
            }
        }
        let replaced = primitive::replace_promoted(&mut definitions, rules);
        for (definition, replaced) in definitions.iter_mut().zip(&replaced) {
            primitive::apply(definition, replaced, rules);
        }
        let promoted = Promoted::new(&definitions);
        let mut expanded = Self { rules, definitions, instances: Vec::new(), promoted, slot_count: 0 };
        expanded.expand()?;
        let slots = |definition: &Definition<'_>| -> usize {
            let slots = |loaded: &LoadedNode<'_>| loaded.inputs.len() + loaded.node.outputs.len() + 1;
            definition.nodes.iter().map(slots).sum()
        };
        let slots: Vec<usize> = expanded.definitions.iter().map(slots).collect();
        expanded.slot_count = expanded.instances.iter().map(|instance| 2 * slots[instance.definition]).sum();
        Ok(expanded)
    }

    /// Creates an instance for each subgraph node. As in the editor, muted and bypassed ones are left out only in the root
    /// graph, and only in newer versions: the nodes inside have their own modes.
    fn expand(&mut self) -> Result<(), ToApiError> {
        let root = SubgraphInstance {
            definition: 0,
            prefix: String::new(),
            depth: 0,
            parent: None,
            inner: HashMap::new(),
        };
        self.instances.push(root);
        let mut total = self.definitions[0].nodes.len();
        let mut at = 0;
        while at < self.instances.len() {
            let definition = self.instances[at].definition;
            for index in 0..self.definitions[definition].nodes.len() {
                let loaded = &self.definitions[definition].nodes[index];
                let NodeRole::Subgraph(used) = loaded.role else { continue };
                let is_inactive = loaded.mode() != Mode::Active;
                if at == 0 && is_inactive && self.rules.skips_inactive_subgraphs {
                    continue;
                }
                let id = self.id(at, index);
                let depth = self.instances[at].depth + 1;
                if depth > MAX_DEPTH {
                    return Err(ToApiError::TooDeep { node: id });
                }
                total += self.definitions[used].nodes.len() + 1;
                if total > MAX_NODES {
                    return Err(ToApiError::TooLarge);
                }
                let inner = self.instances.len();
                self.instances[at].inner.insert(index, inner);
                let (prefix, parent) = (format!("{id}:"), Some((at, index)));
                self.instances.push(SubgraphInstance {
                    definition: used,
                    prefix,
                    depth,
                    parent,
                    inner: HashMap::new(),
                });
            }
            at += 1;
        }
        Ok(())
    }

    pub fn definition(&self, instance: usize) -> &Definition<'g> {
        &self.definitions[self.instances[instance].definition]
    }

    pub fn node(&self, instance: usize, node: usize) -> &LoadedNode<'g> {
        &self.definition(instance).nodes[node]
    }

    /// Returns the id of a node in the prompt.
    pub fn id(&self, instance: usize, node: usize) -> String {
        format!("{}{}", self.instances[instance].prefix, self.node(instance, node).id())
    }
}

impl<'g> Definition<'g> {
    fn new(
        subgraph: Option<&'g Subgraph>,
        nodes: Vec<LoadedNode<'g>>,
        links: &'g [UiLink],
    ) -> Result<Self, ToApiError> {
        let mut by_id = HashMap::with_capacity(nodes.len());
        for (at, loaded) in nodes.iter().enumerate() {
            if by_id.insert(&loaded.node.id, at).is_some() {
                let within = subgraph.map(|subgraph| subgraph.name.clone());
                return Err(ToApiError::DuplicateNode { node: loaded.node.id.to_string(), within });
            }
        }
        let results = links.iter().filter(|link| link.target_id == SUBGRAPH_OUTPUT);
        let results = results.map(|link| (link.target_slot, link)).collect();
        let links = links.iter().map(|link| (link.id, link)).collect();
        Ok(Self { subgraph, nodes, by_id, links, results })
    }
}

impl<'g> LoadedNode<'g> {
    fn new(
        types: &mut NodeTypes<'g>,
        node: &'g UiNode,
        schemas: &'g ObjectInfo,
        definition_of: &HashMap<&str, usize>,
        subgraphs: &[&'g Subgraph],
    ) -> Result<Self, ToApiError> {
        let class_type = current_type(&node.kind);
        let by_file = || node.inputs.iter().map(InputSlot::from_file).collect();
        let role = match class_type {
            kind if definition_of.contains_key(kind) => NodeRole::Subgraph(definition_of[kind]),
            "PrimitiveNode" => NodeRole::Primitive,
            "Reroute" => NodeRole::Reroute,
            "Note" | "MarkdownNote" => NodeRole::Note,
            kind => schemas.get(kind).map_or(NodeRole::Unknown, NodeRole::Executed),
        };
        let (inputs, widgets) = match role {
            NodeRole::Executed(schema) => {
                let editor_node = load_editor_node(types, node, class_type, schema)?;
                (inputs_of(node, &editor_node), editor_node.widgets)
            }
            NodeRole::Subgraph(definition) => (subgraph_inputs(node, subgraphs[definition - 1]), Vec::new()),
            _ => (by_file(), Vec::new()),
        };
        let mut loaded = Self { node, class_type, role, new_id: None, rules: types.rules(), inputs, widgets };
        loaded.rename_old_values();
        Ok(loaded)
    }

    /// Returns the type of an output. A bypassed node finds the input to pass on by this type.
    pub fn output_kind(&self, slot: usize) -> Option<&str> {
        let saved_kind = || self.node.outputs.get(slot).map(|output| output.kind.as_str().unwrap_or("*"));
        match self.role {
            NodeRole::Executed(schema) => schema.output.get(slot).map(String::as_str).or_else(saved_kind),
            _ => saved_kind(),
        }
    }

    /// Returns its id in the editor.
    fn id(&self) -> &UiNodeId {
        self.new_id.as_ref().unwrap_or(&self.node.id)
    }

    /// Returns the title that the editor shows.
    pub fn title(&self) -> &str {
        let given = self.node.title.as_deref().filter(|title| !title.is_empty());
        given.unwrap_or_else(|| match self.role {
            NodeRole::Executed(schema) => self.rules.title(self.class_type, schema),
            _ => self.class_type,
        })
    }

    /// Renames samplers, which old files call `sample_...`.
    fn rename_old_values(&mut self) {
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

    /// Returns whether the node takes part in the prompt.
    pub fn mode(&self) -> Mode {
        self.node.mode()
    }
}

impl<'g> InputSlot<'g> {
    fn from_file(input: &'g crate::graph::UiInput) -> Self {
        Self {
            name: Cow::Borrowed(&input.name),
            kind: Cow::Borrowed(input.kind.as_str().unwrap_or("*")),
            link: input.link,
        }
    }
}

/// Replaces type names of old files.
fn current_type(kind: &str) -> &str {
    match kind {
        "T2IAdapterLoader" => "ControlNetLoader",
        "ConditioningAverage " => "ConditioningAverage",
        "SDV_img2vid_Conditioning" => "SVD_img2vid_Conditioning",
        kind => kind,
    }
}

fn load_editor_node<'g>(
    types: &mut NodeTypes<'g>,
    node: &UiNode,
    class_type: &'g str,
    schema: &'g NodeSchema,
) -> Result<EditorNode<'g>, ToApiError> {
    let linked = node.inputs.iter().filter(|input| input.link.is_some());
    let linked: Vec<&str> = linked.map(|input| input.name.as_str()).collect();
    Ok(match &node.widgets_values {
        None | Some(Value::Null) => types.create(class_type, schema, WidgetValues::Defaults, &linked),
        Some(Value::Array(values)) => types.create_from_list(class_type, schema, values, &linked),
        Some(Value::Object(map)) => {
            types.create(class_type, schema, WidgetValues::Named(&named(map)), &linked)
        }
        Some(_) => return Err(ToApiError::WidgetValues { node: node.id.to_string() }),
    })
}

/// Returns the slots of the type, then those that links added, each with its link from the file.
fn inputs_of<'g>(node: &'g UiNode, editor_node: &EditorNode<'g>) -> Vec<InputSlot<'g>> {
    let of_file: HashMap<&str, &crate::graph::UiInput> =
        node.inputs.iter().map(|input| (input.name.as_str(), input)).collect();
    let mut inputs: Vec<InputSlot<'g>> = Vec::with_capacity(editor_node.slots.len());
    for slot in &editor_node.slots {
        let found = of_file.get(&*slot.name);
        // If the type no longer has the widget that the file names, the slot is dropped as well.
        let widget = found.and_then(|input| input.widget.as_ref()?.get("name")?.as_str());
        if !slot.widget && widget.is_some_and(|name| editor_node.widget(name).is_none()) {
            continue;
        }
        let link = found.and_then(|input| input.link);
        inputs.push(InputSlot { name: slot.name.clone(), kind: slot.kind.clone(), link });
    }
    let within = |names: &[String], name: &str| {
        names.iter().any(|group| name.strip_prefix(group.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    for input in &node.inputs {
        if editor_node.slot(&input.name).is_some() {
            continue;
        }
        let grown = within(&editor_node.growing, &input.name);
        if !grown && (input.widget.is_some() || within(&editor_node.deciding, &input.name)) {
            continue;
        }
        inputs.push(InputSlot::from_file(input));
    }
    inputs
}

/// Returns the slots of a subgraph node, in the order of its definition.
fn subgraph_inputs<'g>(node: &'g UiNode, definition: &'g Subgraph) -> Vec<InputSlot<'g>> {
    let slots = definition.inputs.iter().map(|slot| {
        let given = node.inputs.iter().rev().find(|input| input.name == slot.name);
        let kind = slot.other.get("type").and_then(Value::as_str).unwrap_or("*");
        InputSlot {
            name: Cow::Borrowed(slot.name.as_str()),
            kind: Cow::Borrowed(kind),
            link: given.and_then(|input| input.link),
        }
    });
    slots.collect()
}
