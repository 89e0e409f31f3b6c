//! The order of fields and the presence of null, byte by byte: callers may compare texts.

use comfy_runner_api::{
    Event, EventData, EventKind, EventOutcome, FailedStatus, JobMessage, JobRecord, JobStatus, JobSummary,
    JobUpdate, JobsQuery, Manifest, PendingStatus, PreviewUpdate, Status, Submitted, Timestamp, Update,
};
use serde_json::{Value, json};

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn summary() -> JobSummary {
    JobSummary {
        prompt_id: "p".to_owned(),
        client_id: "c".to_owned(),
        workflow_id: "w".to_owned(),
        workflow_name: "W".to_owned(),
        output_folder: "f".to_owned(),
        retry_of: None,
        automatic: false,
        priority: 0,
        comfyui: None,
        queued_at: Some(Timestamp::new("2026-03-24T14:30:52.123Z")),
        status: Status::Pending,
        started_at: None,
        finished_at: None,
        error: None,
        warnings: Vec::new(),
        node_errors: Default::default(),
        outputs: Default::default(),
    }
}

#[test]
fn a_record_has_the_fields_of_the_list_first_and_writes_null() {
    let record = JobRecord {
        summary: summary(),
        params: Default::default(),
        seeds: [("seed".to_owned(), u64::MAX)].into_iter().collect(),
        input_files: Vec::new(),
        result_nodes: Vec::new(),
        graph: Default::default(),
    };
    assert_eq!(
        text(&record),
        concat!(
            r#"{"prompt_id":"p","client_id":"c","workflow_id":"w","workflow_name":"W","output_folder":"f","#,
            r#""retry_of":null,"automatic":false,"priority":0,"comfyui":null,"queued_at":"2026-03-24T14:30:52.123Z","status":"pending","#,
            r#""started_at":null,"finished_at":null,"error":null,"warnings":[],"outputs":{},"params":{},"#,
            r#""seeds":{"seed":18446744073709551615},"input_files":[],"result_nodes":[],"graph":{}}"#
        )
    );
    assert_eq!(serde_json::from_str::<JobRecord>(&text(&record)).unwrap(), record);
}

#[test]
fn what_only_some_submissions_have_is_left_out_of_the_others() {
    let submitted =
        Submitted { prompt_id: "p".to_owned(), client_id: "c".to_owned(), ..Submitted::default() };
    assert_eq!(text(&submitted), r#"{"prompt_id":"p","client_id":"c","seeds":{}}"#);
}

#[test]
fn an_event_begins_with_its_id_and_a_message_with_its_type() {
    let event = Event {
        id: 7,
        kind: EventKind::Failed,
        timestamp: Timestamp::new("2026-11-24T03:04:05.678Z"),
        severity: EventKind::Failed.severity(),
        message: "w failed".to_owned(),
        data: EventData {
            prompt_id: "p".to_owned(),
            client_id: "c".to_owned(),
            workflow_id: None,
            outcome: EventOutcome::Error(FailedStatus { error: Some("it broke".to_owned()), percent: None }),
        },
    };
    let event_text = concat!(
        r#"{"id":7,"type":"job.failed","timestamp":"2026-11-24T03:04:05.678Z","severity":"error","#,
        r#""message":"w failed","data":{"prompt_id":"p","client_id":"c","workflow_id":null,"status":"error","#,
        r#""error":"it broke"}}"#
    );
    assert_eq!(text(&event), event_text);
    let update: Update = serde_json::from_str(event_text).unwrap();
    assert_eq!((update.event_name(), &update), ("end", &Update::Event(Box::new(event))));

    let (prompt_id, client_id) = ("p".to_owned(), "c".to_owned());
    let data = JobStatus::Pending(PendingStatus::default());
    let message = Update::Message(JobMessage::Progress(JobUpdate { prompt_id, client_id, data }));
    let message_text = concat!(
        r#"{"type":"progress","prompt_id":"p","client_id":"c","#,
        r#""data":{"status":"pending","step":0,"total_steps":0}}"#
    );
    assert_eq!(text(&message), message_text);
    assert_eq!(serde_json::from_str::<Update>(message_text).unwrap(), message);
}

#[test]
fn an_event_of_an_open_job_has_only_its_status() {
    let data = EventData {
        prompt_id: "p".to_owned(),
        client_id: "c".to_owned(),
        workflow_id: Some("w".to_owned()),
        outcome: EventOutcome::Running,
    };
    let expected = r#"{"prompt_id":"p","client_id":"c","workflow_id":"w","status":"running"}"#;
    assert_eq!(text(&data), expected);
    assert_eq!(serde_json::from_str::<EventData>(expected).unwrap(), data);
}

#[test]
fn a_preview_of_an_unknown_node_has_null_for_it() {
    let preview =
        PreviewUpdate { node_id: None, media_type: "image/png".to_owned(), image: "/9g=".to_owned() };
    assert_eq!(text(&preview), r#"{"node_id":null,"media_type":"image/png","image":"/9g="}"#);
}

#[test]
fn a_message_of_an_unknown_type_is_an_error_that_a_reader_can_skip() {
    let unknown = r#"{"type":"weather","prompt_id":"p","client_id":"c","data":{}}"#;
    assert!(serde_json::from_str::<Update>(unknown).is_err());
}

#[test]
fn the_words_of_a_status_are_parsed() {
    for status in Status::ALL {
        assert_eq!(status.as_str().parse(), Ok(status));
        assert_eq!(text(&status), format!("\"{status}\""));
    }
    let error = "done".parse::<Status>().unwrap_err();
    assert_eq!(error.to_string(), "\"done\" is not one of pending, running, completed, error, cancelled");
}

#[test]
fn a_misspelt_filter_of_the_list_of_jobs_is_refused() {
    let query = serde_json::from_value::<JobsQuery>(json!({"state": "running"}));
    assert!(query.unwrap_err().to_string().contains("unknown field `state`"));
}

#[test]
fn a_manifest_keeps_what_its_author_wrote() {
    let manifest = json!({
        "id": "w", "type": "dynamic", "version": 1.5, "icon": "face",
        "inputs": [
            {"id": "a", "type": "text", "default": null, "tooltip": "t"},
            {"id": "b", "type": "my_own", "options": [1, {"value": 2, "label": "two"}, null]},
            {"id": "c", "targets": [{"node_id": "12:3", "field": "x"}, {"node_id": 4, "field": "y", "part": "w"}]},
            {"id": "d", "type": "scene_list", "per_scene": {"prompt": {"type": "text"}}},
            {"id": "e", "type": "scene_list", "per_scene": [{"id": "prompt", "type": "text"}], "min": 0.5},
            {"group": "Model", "collapsed": true, "icon": "chip", "items": [
                {"id": "f", "type": "vae_picker"},
                {"group": "LoRAs", "items": [{"id": "g", "type": "lora_picker"}]},
            ]},
        ],
        "required_models": ["a.safetensors", {"name": "b.safetensors", "url": "https://example.org"}],
        "pipeline": [{"block": "a", "file": "a.json"}],
    });
    let read: Manifest = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), manifest);
    assert_eq!(read.other["pipeline"][0]["block"], Value::from("a"));
    let ids: Vec<&str> = read.flat_inputs().into_iter().map(|input| input.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g"]);
}
