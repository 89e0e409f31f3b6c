//! Our verdict on 2,000 graphs against a real ComfyUI with the three test nodes, when `COMFYUI_URL` names one that
//! nothing else uses: `COMFYUI_URL=http://127.0.0.1:8188 cargo test -p comfy-runner-workflow --test live -- --nocapture`.
//!
//! No graph runs: a first prompt keeps ComfyUI busy, and whatever is accepted meanwhile is deleted from the queue before
//! the next graph is sent. `VERDICT_SEED` names the first seed and `VERDICT_COUNT` the number of graphs.

mod mutations;
mod verdicts;

use std::collections::BTreeMap;

use comfy_runner_protocol::{NodeSchema, ObjectInfo};
use comfy_runner_workflow::validate::{KnownFiles, Question, Release, Validator, Verdict};
use mutations::Random;
use serde_json::{Map, Value, json};
use verdicts::normalized;

/// The number of orders of outputs and inputs that are tried, because the order of ComfyUI's sets is unknown.
const ORDERS: u64 = 3000;

struct ComfyUi {
    url: String,
    http: awc::Client,
}

impl ComfyUi {
    async fn get(&self, path: &str) -> Value {
        let mut response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        serde_json::from_slice(&response.body().limit(64 << 20).await.unwrap()).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut response = self.http.post(format!("{}{path}", self.url)).send_json(body).await.unwrap();
        let bytes = response.body().limit(64 << 20).await.unwrap();
        let text = finite(std::str::from_utf8(&bytes).unwrap());
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }

    /// Keeps ComfyUI busy until the prompt is interrupted.
    async fn occupy(&self) -> String {
        let prompt = json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "RunnerTestProgress", "inputs":
                {"image": ["1", 0], "steps": 10000, "delay_ms": 1000, "seed": 1, "preview": false}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        });
        let (status, answer) = self.post("/prompt", &json!({"prompt": prompt})).await;
        assert_eq!(status, 200, "the test nodes must be installed: {answer}");
        let id = answer["prompt_id"].as_str().unwrap().to_owned();
        while self.get("/queue").await["queue_running"].as_array().is_none_or(Vec::is_empty) {
            actix_rt::task::yield_now().await;
        }
        id
    }

    /// Which of the files that a verdict does not know are there.
    async fn files(&self, verdict: &Verdict) -> KnownFiles {
        let mut known = KnownFiles::new();
        for unknown in &verdict.unknown {
            let Question::File(file) = &unknown.question else { continue };
            let query = [("filename", &*file.filename), ("subfolder", &*file.subfolder), ("type", file.root)];
            let request = self.http.get(format!("{}/view", self.url)).query(&query).unwrap();
            let response = request.send().await.unwrap();
            known.insert(file.clone(), response.status().is_success());
        }
        known
    }

    /// The answer to a graph, which does not run.
    async fn ask(&self, prompt: &Value) -> (u16, Value) {
        let (status, answer) = self.post("/prompt", &json!({"prompt": prompt})).await;
        if status == 200 {
            self.post("/queue", &json!({"delete": [answer["prompt_id"]]})).await;
        }
        (status, answer)
    }
}

/// Python's JSON with the numbers that JSON does not have as null, as our client reads it.
fn finite(text: &str) -> String {
    let mut text = text.to_owned();
    for number in ["-Infinity", "Infinity", "NaN"] {
        for before in [": ", "[", ", "] {
            text = text.replace(&format!("{before}{number}"), &format!("{before}null"));
        }
    }
    text
}

#[actix_rt::test]
async fn two_thousand_mutated_graphs_get_the_verdict_of_a_real_comfyui() {
    let Ok(url) = std::env::var("COMFYUI_URL") else {
        println!("skipped: COMFYUI_URL names no ComfyUI");
        return;
    };
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("VERDICT_SEED", 1), number("VERDICT_COUNT", 2000));
    let http = awc::Client::builder().timeout(std::time::Duration::from_secs(120)).finish();
    let comfyui = ComfyUi { url: url.trim_end_matches('/').to_owned(), http };
    let stats = comfyui.get("/system_stats").await;
    let version = stats["system"]["comfyui_version"].as_str().unwrap().to_owned();
    let release = Release::parse(&version).unwrap();
    let info: ObjectInfo = serde_json::from_value(comfyui.get("/object_info").await).unwrap();
    let server = Server { info, release };
    let blocker = comfyui.occupy().await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut different, mut in_part) = (Vec::new(), 0);
    for seed in first..first + count {
        let mut random = Random::new(seed);
        let mut graph = mutations::graph(&mut random, &server.info);
        let mut changes = Vec::new();
        for _ in 0..random.below(4) {
            changes.push(mutations::mutate(&mut random, &server.info, &mut graph));
        }
        let prompt = Value::Object(graph);
        let (status, answer) = comfyui.ask(&prompt).await;
        tally(status, &answer, &mut seen);
        let files = comfyui.files(&server.verdict(&prompt, &server.info, &KnownFiles::new())).await;
        match server.compare(&prompt, &files, status, &answer) {
            Comparison::Equal => {}
            Comparison::EqualInPart => in_part += 1,
            Comparison::Different(ours) => different.push(format!(
                "seed {seed} ({changes:?})\n  {prompt}\n  ours    {}\n  ComfyUI {}",
                normalized(&ours),
                normalized(&answer)
            )),
        }
    }
    comfyui.post("/queue", &json!({"clear": true})).await;
    comfyui.post("/interrupt", &json!({"prompt_id": blocker})).await;
    println!("{count} graphs on ComfyUI {version}: {seen:#?}");
    println!(
        "{} equal, {in_part} equal in part, {} different",
        count - in_part - different.len() as u64,
        different.len()
    );
    assert!(
        different.is_empty(),
        "{} of {count} differ:\n{}",
        different.len(),
        different.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}

fn tally(status: u16, answer: &Value, seen: &mut BTreeMap<String, usize>) {
    let mut count = |what: String| *seen.entry(what).or_default() += 1;
    count(format!("status {status}"));
    if let Some(kind) = answer["error"]["type"].as_str() {
        count(format!("error {kind}"));
    }
    for problem in answer["node_errors"].as_object().into_iter().flatten().map(|(_, problem)| problem) {
        for error in problem["errors"].as_array().into_iter().flatten() {
            count(format!("node error {}", error["type"].as_str().unwrap_or_default()));
        }
    }
}

/// What a verdict depends on besides the graph.
struct Server {
    info: ObjectInfo,
    release: Release,
}

impl Server {
    fn verdict(&self, prompt: &Value, info: &ObjectInfo, files: &KnownFiles) -> Verdict {
        Validator::with_release(info, self.release).with_files(files.clone()).validate_json(prompt)
    }

    /// Compares our verdict with the answer, in some order of outputs and inputs.
    fn compare(&self, prompt: &Value, files: &KnownFiles, status: u16, answer: &Value) -> Comparison {
        let ours = self.verdict(prompt, &self.info, files);
        let crashed = ours.error.as_ref().is_some_and(|error| error.kind == "internal_server_error");
        if crashed || status == 500 {
            return if crashed && status == 500 {
                Comparison::Equal
            } else {
                Comparison::Different(json!(ours))
            };
        }
        let ordered = in_order_of(answer, prompt);
        let ours = self.verdict(&ordered, &self.info, files);
        let expected = normalized(answer);
        let mut random = Random::new(1);
        for attempt in 0..ORDERS {
            let info = if attempt == 0 { self.needed(prompt) } else { self.shuffled(prompt, &mut random) };
            let prompt = if attempt % 2 == 0 { ordered.clone() } else { shuffled_nodes(prompt, &mut random) };
            if normalized(&json!(self.verdict(&prompt, &info, files))) == expected {
                return Comparison::Equal;
            }
        }
        // Python stopped within a node: which inputs it had looked at before depends on its hash seed, and so do the
        // errors of the nodes behind them. Where a cycle ended in Python's recursion limit, that depends on the depth of
        // the calls within nodes. What both found must be the same.
        let ours_normalized = normalized(&json!(ours));
        let same =
            outcome(&ours_normalized) == outcome(&expected) && same_errors(&ours_normalized, &expected);
        let stopped =
            [answer, &ours_normalized].map(|answer| answer.to_string().contains("\"exception_during_"));
        if stopped.contains(&true) && same {
            Comparison::EqualInPart
        } else {
            Comparison::Different(json!(ours))
        }
    }

    /// The schemas that a prompt needs.
    fn needed(&self, prompt: &Value) -> ObjectInfo {
        let nodes = prompt.as_object().into_iter().flatten();
        let classes = nodes.filter_map(|(_, node)| node["class_type"].as_str());
        classes.filter_map(|class| Some((class.to_owned(), self.info.get(class)?.clone()))).collect()
    }

    /// The schemas that a prompt needs, with inputs in another order.
    fn shuffled(&self, prompt: &Value, random: &mut Random) -> ObjectInfo {
        let schemas = self.needed(prompt);
        schemas
            .iter()
            .map(|(class, schema)| (class.clone(), reordered(class, schema, prompt, random)))
            .collect()
    }
}

/// How our verdict compares with ComfyUI's.
enum Comparison {
    Equal,
    /// Equal in all that does not depend on where Python stopped.
    EqualInPart,
    Different(Value),
}

/// Whether the prompt was refused, and how.
fn outcome(answer: &Value) -> &Value {
    &answer["error"]["type"]
}

/// Whether the errors of all nodes that both answers have are of the same types.
fn same_errors(ours: &Value, theirs: &Value) -> bool {
    let types = |problem: &Value| -> Vec<Value> {
        problem["errors"].as_array().into_iter().flatten().map(|error| error["type"].clone()).collect()
    };
    let ours = ours["node_errors"].as_object().into_iter().flatten();
    ours.filter_map(|(id, problem)| Some((problem, theirs["node_errors"].get(id)?)))
        .all(|(ours, theirs)| types(ours) == types(theirs))
}

/// The prompt with its outputs in ComfyUI's order, as far as the answer tells: the longest list of outputs that a node
/// spoils has all that were refused, or all after the first of them.
fn in_order_of(answer: &Value, prompt: &Value) -> Value {
    let problems = answer["node_errors"].as_object().into_iter().flatten();
    let lists = problems.filter_map(|(_, problem)| problem["dependent_outputs"].as_array());
    let Some(order) = lists.max_by_key(|list| list.len()) else { return prompt.clone() };
    let place = |id: &str| order.iter().position(|output| output == id).unwrap_or(order.len());
    let Value::Object(nodes) = prompt else { return prompt.clone() };
    let mut nodes: Vec<(String, Value)> = nodes.clone().into_iter().collect();
    nodes.sort_by_key(|(id, _)| place(id));
    Value::Object(nodes.into_iter().collect::<Map<_, _>>())
}

fn shuffled_nodes(prompt: &Value, random: &mut Random) -> Value {
    let mut nodes: Vec<(String, Value)> =
        prompt.as_object().into_iter().flatten().map(|(id, node)| (id.clone(), node.clone())).collect();
    random.shuffle(&mut nodes);
    Value::Object(nodes.into_iter().collect::<Map<_, _>>())
}

/// The schema with its inputs in another order. ComfyUI looks at required and optional inputs in one order: an optional
/// input that all nodes of the type have is listed among the required ones.
fn reordered(class: &str, schema: &NodeSchema, prompt: &Value, random: &mut Random) -> NodeSchema {
    let nodes = prompt.as_object().into_iter().flatten().map(|(_, node)| node);
    let nodes: Vec<&Value> = nodes.filter(|node| node["class_type"] == class).collect();
    let mut schema = schema.clone();
    let (given, others): (Vec<_>, Vec<_>) = std::mem::take(&mut schema.input.optional)
        .into_iter()
        .partition(|(name, _)| nodes.iter().all(|node| node["inputs"].get(name).is_some()));
    let mut required: Vec<_> = std::mem::take(&mut schema.input.required).into_iter().chain(given).collect();
    let mut optional = others;
    random.shuffle(&mut required);
    random.shuffle(&mut optional);
    schema.input.required.extend(required);
    schema.input.optional.extend(optional);
    schema
}
