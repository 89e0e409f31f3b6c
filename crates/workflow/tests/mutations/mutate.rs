//! What goes wrong with a graph: links rewired, values out of range, inputs dropped, types changed, wrong shapes.

use comfy_runner_protocol::{InputKind, ObjectInfo};
use serde_json::{Map, Value, json};

use super::random::Random;

/// Changes one thing. Returns what, for messages.
pub fn mutate(random: &mut Random, info: &ObjectInfo, graph: &mut Map<String, Value>) -> &'static str {
    let ids: Vec<String> = graph.keys().cloned().collect();
    let Some(id) = random.pick(&ids).cloned() else { return "nothing" };
    if !graph[&id].is_object() {
        return "nothing";
    }
    let class = graph[&id]["class_type"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> =
        graph[&id]["inputs"].as_object().map(|inputs| inputs.keys().cloned().collect()).unwrap_or_default();
    let name = random.pick(&names).cloned();
    match random.below(14) {
        0 => {
            if let (Some(name), Some(inputs)) = (&name, inputs(graph, &id)) {
                inputs.shift_remove(name);
            }
            "an input is dropped"
        }
        1..=3 => {
            let value = odd_value(random, &ids);
            set(graph, &id, name, value);
            "an input has an odd value"
        }
        4 | 5 => {
            let value = out_of_range(random, info, &class, name.as_deref());
            set(graph, &id, name, value);
            "a value is out of range"
        }
        6 | 7 => {
            let value = link(random, &ids);
            set(graph, &id, name, value);
            "an input is linked to another node"
        }
        8 => {
            let declared: Vec<String> = info
                .get(&class)
                .map(|s| s.inputs().map(|(name, ..)| name.to_owned()).collect())
                .unwrap_or_default();
            let value = link(random, &ids);
            set(graph, &id, random.pick(&declared).cloned(), value);
            "a declared input is linked"
        }
        9 => {
            let classes: Vec<&String> = info.keys().collect();
            if let Some(class) = random.pick(&classes) {
                graph[&id]["class_type"] = json!(class);
            }
            "a node has another type"
        }
        10 => {
            if random.once_in(3) {
                graph[&id]["class_type"] = json!("NoSuchNode");
            } else {
                graph.shift_remove(&id);
            }
            "a node is gone or unknown"
        }
        11 => {
            wrong_shape(random, graph, &id);
            "a node has a wrong shape"
        }
        12 => {
            if let (Some(name), Some(inputs)) = (&name, inputs(graph, &id)) {
                let value = inputs.shift_remove(name).unwrap_or_default();
                inputs.insert(format!("{name}{}", random.pick(&["x", ".a", "0", ""]).unwrap_or(&"")), value);
            }
            "an input has another name"
        }
        _ => {
            let value = odd_value(random, &ids);
            let wrapped = json!({"__value__": value});
            set(graph, &id, name, wrapped);
            "an input has a wrapped value"
        }
    }
}

fn inputs<'g>(graph: &'g mut Map<String, Value>, id: &str) -> Option<&'g mut Map<String, Value>> {
    graph.get_mut(id)?.get_mut("inputs")?.as_object_mut()
}

fn set(graph: &mut Map<String, Value>, id: &str, name: Option<String>, value: Value) {
    if let (Some(name), Some(inputs)) = (name, inputs(graph, id)) {
        inputs.insert(name, value);
    }
}

fn odd_value(random: &mut Random, ids: &[String]) -> Value {
    let id = random.pick(ids).cloned().unwrap_or_default();
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(7.9),
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!(" 12 "),
        json!("1_000"),
        json!("-0.5e1"),
        json!("nan"),
        json!("-inf"),
        json!("99999999999999999999999999"),
        json!("it's \"quoted\"\n\u{a0}ü"),
        json!("no such file.png"),
        json!([]),
        json!([1, 2, 3]),
        json!(["x"]),
        json!([id]),
        json!([id, 0, 0]),
        json!({}),
        json!({"a": [1, null]}),
        json!("none"),
        json!("16:9"),
        json!("16:0"),
        json!("1:9"),
        json!("wide"),
    ];
    random.pick(&values).cloned().unwrap_or_default()
}

fn out_of_range(random: &mut Random, info: &ObjectInfo, class: &str, name: Option<&str>) -> Value {
    let spec = name.and_then(|name| Some(info.get(class)?.input(name)?.0));
    let Some(spec) = spec else { return json!(-5) };
    let min = spec.options.get("min").and_then(Value::as_f64);
    let max = spec.options.get("max").and_then(Value::as_f64);
    match spec.kind {
        InputKind::Int if random.once_in(2) => json!(min.unwrap_or(0.0) as i64 - 1),
        InputKind::Int => json!((max.unwrap_or(9.0) as u64).saturating_add(1)),
        InputKind::Float if random.once_in(2) => json!(min.unwrap_or(0.0) - 0.001),
        InputKind::Float => json!(max.unwrap_or(9.0) + 0.5),
        InputKind::Combo(_) => json!("no such choice"),
        _ => json!(random.below(1000)),
    }
}

fn link(random: &mut Random, ids: &[String]) -> Value {
    let id = random.pick(ids).cloned().unwrap_or_default();
    let slots = [
        json!(0),
        json!(0),
        json!(0),
        json!(0),
        json!(1),
        json!(1),
        json!(2),
        json!(99),
        json!(-1),
        json!(-9),
    ];
    let odd = [json!(0.0), json!(1.5), json!("0"), json!(null), json!(true), json!([0])];
    let slot = if random.once_in(6) { random.pick(&odd) } else { random.pick(&slots) };
    let odd_ids = [json!("404"), json!(1), json!(null), json!([1]), json!({}), json!(1.0), json!(true)];
    let id = if random.once_in(8) { random.pick(&odd_ids).cloned() } else { Some(json!(id)) };
    json!([id, slot])
}

fn wrong_shape(random: &mut Random, graph: &mut Map<String, Value>, id: &str) {
    let node = &mut graph[id];
    match random.below(10) {
        0 => *node = json!(null),
        1 => *node = json!("KSampler"),
        2 => *node = json!([]),
        3 => node["inputs"] = json!([]),
        4 => node["inputs"] = json!(null),
        5 => node["class_type"] = json!(5),
        6 => node["class_type"] = json!(["KSampler"]),
        7 => node["_meta"] = json!(null),
        key => {
            let key = if key == 8 { "inputs" } else { "class_type" };
            if let Some(node) = node.as_object_mut() {
                node.shift_remove(key);
            }
        }
    }
}
