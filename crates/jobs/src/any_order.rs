//! Messages in any order, lost and doubled, connections cut, looks at the queue and the history at any time: in the end a
//! job's status is what ComfyUI's history says.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use comfy_runner_api::{EventKind, Status};
use comfy_runner_client::SocketEvent;
use comfy_runner_protocol::{Graph, HistoryEntry, ImageFormat, Message};
use comfy_runner_store::Sqlite;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::JobsConfig;
use crate::follow::apply_event;
use crate::job::Job;
use crate::job::tests::job;
use crate::jobs::Jobs;
use crate::jobs::tests::COMFYUI;
use crate::reconcile::due;
use crate::remote_state::RemoteState;

/// Nothing is written to it.
static STORE: LazyLock<Arc<Sqlite>> = LazyLock::new(|| Arc::new(Sqlite::in_memory().unwrap()));

/// What truly became of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Truth {
    Success,
    Failure,
    Interruption,
    /// It was deleted from the queue while it waited.
    Deletion,
}

/// How far ComfyUI is with it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Waits,
    Runs,
    Ended,
}

/// What may happen.
#[derive(Debug, Clone)]
enum Happening {
    /// One of the messages that ComfyUI has for the prompt comes, at whatever time.
    Message(prop::sample::Index),
    Preview,
    Connected,
    Disconnected,
    /// ComfyUI gets on with it.
    Onward,
    /// Jobs are held against the queue and the history.
    Reconciled,
}

impl Truth {
    /// The messages about it. Versions that are not `modern` only close what went well.
    fn messages(self, modern: bool) -> Vec<Message> {
        let mut messages = vec![
            json!({"type": "execution_start", "data": {"prompt_id": "p"}}),
            json!({"type": "execution_cached", "data": {"nodes": ["1"], "prompt_id": "p"}}),
            json!({"type": "executing", "data": {"node": "2", "prompt_id": "p"}}),
            json!({"type": "progress", "data": {"node": "2", "value": 3, "max": 4, "prompt_id": "p"}}),
            json!({"type": "executed", "data": {"node": "2", "output": {"images": [
                {"filename": "a.png", "subfolder": "", "type": "output"}]}, "prompt_id": "p"}}),
        ];
        let node = json!({"prompt_id": "p", "node_id": "2", "node_type": "SaveImage", "executed": []});
        match self {
            Self::Success if modern => {
                messages.push(json!({"type": "execution_success", "data": {"prompt_id": "p"}}));
            }
            Self::Success => {}
            Self::Failure => messages.push(json!({"type": "execution_error", "data": node})),
            Self::Interruption => messages.push(json!({"type": "execution_interrupted", "data": node})),
            // There is no message about it.
            Self::Deletion => return Vec::new(),
        }
        messages.push(json!({"type": "executing", "data": {"node": null, "prompt_id": "p"}}));
        messages.iter().map(|message| Message::parse(&message.to_string()).unwrap()).collect()
    }

    fn history(self) -> Option<Box<HistoryEntry>> {
        let (status, messages) = match self {
            Self::Success => ("success", json!([])),
            Self::Failure => {
                ("error", json!([["execution_error", {"node_id": "2", "node_type": "SaveImage"}]]))
            }
            Self::Interruption => ("error", json!([["execution_interrupted", {"node_id": "2"}]])),
            Self::Deletion => return None,
        };
        let entry = json!({"prompt": Value::Null, "outputs": {},
            "status": {"status_str": status, "completed": status == "success", "messages": messages}});
        Some(serde_json::from_value(entry).unwrap())
    }

    /// What the queue and the history say.
    fn state(self, stage: Stage) -> RemoteState {
        match (stage, self.history()) {
            (Stage::Waits, _) => RemoteState::Pending,
            (Stage::Runs, Some(_)) => RemoteState::Running,
            (Stage::Ended, Some(entry)) => RemoteState::Ended(entry),
            (_, None) => RemoteState::Unknown,
        }
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        8 => any::<prop::sample::Index>().prop_map(Happening::Message),
        1 => Just(Happening::Preview),
        1 => Just(Happening::Connected),
        1 => Just(Happening::Disconnected),
        1 => Just(Happening::Onward),
        2 => Just(Happening::Reconciled),
    ];
    prop::collection::vec(happening, 0..40)
}

/// A job that ComfyUI accepted and that is looked up at once.
fn jobs(missed_messages: bool, cancel_asked: bool) -> Jobs {
    let config = JobsConfig::default().with_silence(Duration::ZERO);
    let jobs = crate::jobs::tests::empty(config, STORE.clone());
    let node = |link: Value| json!({"class_type": "SaveImage", "inputs": {"images": link}});
    let graph = Graph::from_value(json!({"1": node(json!(1)), "2": node(json!(["1", 0]))})).unwrap();
    let progress = comfy_runner_progress::Progress::new("p", &graph, None);
    jobs.insert(Job { progress, missed_messages, ..job("p") });
    jobs.change("p", |job| job.cancel_asked = cancel_asked);
    jobs
}

fn reconcile(jobs: &Jobs, truth: Truth, stage: Stage, all: bool) {
    for prompt_id in due(jobs, COMFYUI, all) {
        jobs.change(&prompt_id, |job| {
            if job.settle(truth.state(stage), Duration::ZERO, jobs.config()).is_some() {
                // As without a second try.
                job.progress.failed("lost");
                job.close_history();
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn in_the_end_the_status_is_what_the_history_says(
        truth in prop_oneof![
            Just(Truth::Success), Just(Truth::Failure), Just(Truth::Interruption), Just(Truth::Deletion),
        ],
        modern in any::<bool>(),
        missed_before in any::<bool>(),
        cancel_asked in any::<bool>(),
        happenings in happenings(),
    ) {
        let jobs = jobs(missed_before, cancel_asked);
        let messages = truth.messages(modern);
        let mut stage = Stage::Waits;
        let mut missed = missed_before;
        for happening in happenings {
            let was = jobs.with_progress("p", |progress, _| (progress.status(), progress.percent()));
            match happening {
                Happening::Message(_) if messages.is_empty() => {}
                Happening::Message(pick) => {
                    apply_event(&jobs, COMFYUI, SocketEvent::Message(pick.get(&messages).clone()));
                }
                Happening::Preview => {
                    apply_event(&jobs, COMFYUI, SocketEvent::Preview { format: ImageFormat::Png, image: (&b"x"[..]).into(), metadata: None });
                }
                Happening::Connected => {
                    apply_event(&jobs, COMFYUI, SocketEvent::Connected);
                    reconcile(&jobs, truth, stage, true);
                }
                Happening::Disconnected => {
                    apply_event(&jobs, COMFYUI, SocketEvent::Disconnected { reason: "cut".into() });
                    missed = missed || !was.unwrap().0.is_over();
                }
                Happening::Onward => stage = if stage == Stage::Waits { Stage::Runs } else { Stage::Ended },
                Happening::Reconciled => reconcile(&jobs, truth, stage, false),
            }
            let is = jobs.with_progress("p", |progress, _| (progress.status(), progress.percent()));
            prop_assert!(is.unwrap().1 >= was.unwrap().1 || was.unwrap().0.is_over());
        }
        // Sooner or later it has ended, and silence leads to a look.
        reconcile(&jobs, truth, Stage::Ended, false);
        let status = jobs.with_progress("p", |progress, _| progress.status()).unwrap();
        match truth {
            Truth::Success => prop_assert_eq!(status, Status::Completed),
            Truth::Failure => prop_assert_eq!(status, Status::Error),
            Truth::Interruption => prop_assert_eq!(status, Status::Cancelled),
            // No history reports it. Unless we asked for it, a restart of ComfyUI looks the same if messages were missed.
            Truth::Deletion if missed && !cancel_asked => prop_assert_eq!(status, Status::Error),
            Truth::Deletion => prop_assert_eq!(status, Status::Cancelled),
        }
        let state = jobs.lock();
        prop_assert_eq!(state.table.open().count(), 0, "nothing is left to ask about");
        // The last event says the same, the first one that the job was queued, and ids grow.
        let events = &state.table.get("p").unwrap().events;
        prop_assert_eq!(events.first().unwrap().kind, EventKind::Queued);
        prop_assert_eq!(events.last().unwrap().kind, EventKind::from(status));
        prop_assert!(events.is_sorted_by(|one, next| one.id < next.id));
    }
}
