//! What earlier jobs teach of percent and time left: how far the two are from the truth with that and without, on the
//! recordings of a real ComfyUI and on jobs made up after real ones. With `--nocapture` it prints the figures that
//! `docs/benchmarks.md` shows.

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::{JobStatus, Status};
use comfy_runner_progress::{Durations, Progress};
use comfy_runner_protocol::{Graph, Message};
use serde_json::{Value, json};
use support::{Recorded, Recording, recordings_of};

/// How far estimates were from the truth, over the time that a job ran.
#[derive(Debug, Default, Clone, Copy)]
struct Error {
    /// The mean distance of percent from the part of the time that had passed, in points.
    percent: f64,
    /// The mean distance of the time left from the truth, in hundredths of the time that the job took.
    left: f64,
    /// The part of the time with no word of the time left, in hundredths.
    unknown: f64,
}

/// One job: its messages with their times, the first of which starts it and the last of which ends it.
struct Run {
    graph: Graph,
    messages: Vec<(Duration, Message)>,
}

/// Looks at a job at a thousand moments of its time, as a caller would, and lets it have a tick
/// each second as the server does. Returns what it came to, for others to learn from.
fn watch(run: &Run, prompt_id: &str, history: &Durations) -> (Progress, Error) {
    let mut progress = Progress::new(prompt_id, &run.graph, None);
    progress.expect(Arc::new(history.clone()));
    let (start, end) = (run.messages[0].0, run.messages.last().unwrap().0);
    let took = (end - start).as_secs_f64();
    let mut error = Error::default();
    let (mut applied, mut ticks, mut known) = (0, 1, 0);
    for moment in 0..1000 {
        let now = start + (end - start) * moment / 1000;
        while run.messages[applied].0 <= now {
            progress.apply(&run.messages[applied].1, run.messages[applied].0);
            applied += 1;
        }
        while start + Duration::from_secs(ticks) <= now {
            progress.tick(start + Duration::from_secs(ticks));
            ticks += 1;
        }
        let JobStatus::Running(running) = progress.snapshot(now) else { panic!("it runs until the end") };
        let passed = f64::from(moment) / 1000.0;
        error.percent += (f64::from(running.percent) - passed * 100.0).abs() / 1000.0;
        // The snapshot rounds to seconds, which are much of a short job.
        match progress.time_left(now) {
            Some(left) => {
                error.left += (left.as_secs_f64() / took - (1.0 - passed)).abs() * 100.0;
                known += 1;
            }
            None => error.unknown += 0.1,
        }
    }
    error.left /= f64::from(known.max(1));
    for (at, message) in &run.messages[applied..] {
        progress.apply(message, *at);
    }
    assert_eq!(progress.status(), Status::Completed);
    (progress, error)
}

fn mean(errors: &[Error]) -> Error {
    let of = |part: fn(&Error) -> f64| errors.iter().map(part).sum::<f64>() / errors.len() as f64;
    Error { percent: of(|e| e.percent), left: of(|e| e.left), unknown: of(|e| e.unknown) }
}

/// The errors of jobs of one workflow, one after the other: without any history, and with what those before each taught.
/// The first one has nothing to go by and does not count.
fn compare(name: &str, runs: &[(Run, String)]) -> (Error, Error) {
    let mut history = Durations::default();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for (run, prompt_id) in runs {
        let (_, plain) = watch(run, prompt_id, &Durations::default());
        let (progress, taught) = watch(run, prompt_id, &history);
        if !history.is_empty() {
            without.push(plain);
            with.push(taught);
        }
        assert!(history.learn_from(&progress));
    }
    let (without, with) = (mean(&without), mean(&with));
    println!(
        "{name}: percent {:.1} -> {:.1}, time left {:.1} -> {:.1}, unknown {:.1} -> {:.1}",
        without.percent, with.percent, without.left, with.left, without.unknown, with.unknown
    );
    (without, with)
}

/// The jobs of a recording that completed.
fn recorded(recording: Recording) -> Vec<(Run, String)> {
    let completed = recording.jobs.into_iter().filter(|job| {
        job.history.as_ref().is_some_and(|entry| entry.succeeded() && entry.cached().len() < job.graph.len())
    });
    let about = |id: &str| {
        let messages = recording.frames.iter().filter_map(|(at, frame)| match frame {
            Recorded::Text(message) if message.prompt_id() == Some(id) => Some((*at, message.clone())),
            _ => None,
        });
        let mut messages: Vec<_> = messages.collect();
        let end = messages.iter().position(|(_, message)| matches!(message, Message::ExecutionSuccess(_)));
        messages.truncate(end.unwrap() + 1);
        messages
    };
    completed.map(|job| (Run { messages: about(&job.prompt_id), graph: job.graph }, job.prompt_id)).collect()
}

#[test]
fn on_the_recordings_the_error_falls() {
    let names =
        ["success_with_preview", "success_with_preview_metadata", "partly_cached", "three_jobs_one_deleted"];
    // The other versions were recorded on a busy machine.
    let recordings =
        names.into_iter().flat_map(recordings_of).filter(|recording| recording.version == "0.3.64");
    let runs: Vec<_> = recordings.flat_map(recorded).collect();
    assert_eq!(runs.len(), 5);
    let (without, with) = compare("recordings", &runs);
    assert!(with.percent < without.percent && with.left < without.left && with.unknown < without.unknown);
}

/// Numbers from 0 to 1 that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// How one node behaves.
struct Behaviour {
    id: &'static str,
    /// Before its first step, or in all where it makes none.
    seconds: f64,
    /// What the first job of all waits longer.
    first: f64,
    /// For each step.
    step: f64,
    /// Whether all jobs but the first are spared it.
    cached: bool,
}

const fn node(id: &'static str, seconds: f64) -> Behaviour {
    Behaviour { id, seconds, first: 0.0, step: 0.0, cached: false }
}

/// A job that is made up: each time is up to a fifth more or less than it should be.
fn made_up(graph: &Value, nodes: &[Behaviour], first: bool, dice: &mut Dice) -> Run {
    let graph = Graph::from_value(graph.clone()).unwrap();
    let mut messages = Vec::new();
    let mut now = 0.0;
    let mut tell = |now: f64, kind: &str, mut data: Value| {
        data["prompt_id"] = "p".into();
        let text = json!({"type": kind, "data": data}).to_string();
        messages.push((Duration::from_secs_f64(now), Message::parse(&text).unwrap()));
    };
    let mut about = |seconds: f64| seconds * (0.8 + 0.4 * dice.roll());
    tell(now, "execution_start", json!({}));
    let cached: Vec<_> = nodes.iter().filter(|node| node.cached && !first).map(|node| node.id).collect();
    tell(now, "execution_cached", json!({"nodes": cached}));
    for node in nodes.iter().filter(|node| first || !node.cached) {
        tell(now, "executing", json!({"node": node.id}));
        now += about(node.seconds + if first { node.first } else { 0.0 });
        let steps = graph.nodes[node.id].inputs.get("steps").and_then(Value::as_u64).unwrap_or(0);
        let pace = about(node.step);
        for step in 1..=steps {
            now += pace * (0.9 + 0.2 * about(0.5));
            tell(now, "progress", json!({"node": node.id, "value": step, "max": steps}));
        }
    }
    tell(now, "execution_success", json!({}));
    Run { graph, messages }
}

fn made_up_runs(graph: impl Fn(u64) -> Value, nodes: &[Behaviour]) -> Vec<(Run, String)> {
    let mut dice = Dice(7);
    (0..20).map(|job| (made_up(&graph(job), nodes, job == 0, &mut dice), "p".to_owned())).collect()
}

#[test]
fn on_images_the_error_falls() {
    let graph = |steps: u64| {
        json!({
            "load": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
            "good": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["load", 1]}},
            "bad": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["load", 1]}},
            "size": {"class_type": "EmptyLatentImage", "inputs": {}},
            "sample": {"class_type": "KSampler", "inputs": {
                "steps": steps, "model": ["load", 0], "positive": ["good", 0], "negative": ["bad", 0],
                "latent_image": ["size", 0],
            }},
            "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["sample", 0], "vae": ["load", 2]}},
            "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0]}},
        })
    };
    let nodes = [
        Behaviour { cached: true, ..node("load", 6.0) },
        node("good", 0.3),
        Behaviour { cached: true, ..node("bad", 0.3) },
        Behaviour { cached: true, ..node("size", 0.001) },
        Behaviour { first: 3.0, step: 0.4, ..node("sample", 0.5) },
        node("decode", 1.0),
        node("save", 0.4),
    ];
    let same_steps = made_up_runs(|_| graph(20), &nodes);
    let (without, with) = compare("images", &same_steps);
    assert!(with.percent < without.percent / 2.0 && with.left < without.left && with.unknown < 1.0);
    let other_steps = made_up_runs(|job| graph(10 + 10 * (job % 4)), &nodes);
    let (without, with) = compare("images, 10 to 40 steps", &other_steps);
    assert!(with.percent < without.percent / 2.0 && with.left < without.left && with.unknown < 1.0);
}

#[test]
fn on_videos_the_error_falls() {
    let graph = json!({
        "load": {"class_type": "UNETLoader", "inputs": {}},
        "text": {"class_type": "CLIPTextEncode", "inputs": {}},
        "start": {"class_type": "WanImageToVideo", "inputs": {"positive": ["text", 0]}},
        "high": {"class_type": "KSamplerAdvanced", "inputs": {"steps": 10, "model": ["load", 0], "latent_image": ["start", 2]}},
        "low": {"class_type": "KSamplerAdvanced", "inputs": {"steps": 10, "model": ["load", 0], "latent_image": ["high", 0]}},
        "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["low", 0]}},
        "video": {"class_type": "CreateVideo", "inputs": {"images": ["decode", 0]}},
        "save": {"class_type": "SaveVideo", "inputs": {"video": ["video", 0]}},
    });
    let nodes = [
        Behaviour { cached: true, ..node("load", 20.0) },
        node("text", 2.0),
        node("start", 6.0),
        Behaviour { first: 8.0, step: 8.0, ..node("high", 4.0) },
        Behaviour { step: 8.0, ..node("low", 4.0) },
        node("decode", 45.0),
        node("video", 0.001),
        node("save", 12.0),
    ];
    let runs = made_up_runs(|_| graph.clone(), &nodes);
    let (without, with) = compare("videos", &runs);
    assert!(with.percent < without.percent / 2.0 && with.left < without.left && with.unknown < 1.0);
}
