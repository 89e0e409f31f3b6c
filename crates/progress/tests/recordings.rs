//! Every recording of a real ComfyUI, replayed: the right end, percent that never falls, and the history's files.

mod support;

use std::time::Duration;

use comfy_runner_api::{JobStatus, Status};
use comfy_runner_progress::Progress;
use comfy_runner_protocol::{BinaryFrame, Message};
use serde_json::{Value, json};
use support::{Recorded, Recording, recordings, recordings_of};

/// Feeds a job everything that was on the wire, and looks at it after each frame.
fn replay(progress: &mut Progress, recording: &Recording, mut look: impl FnMut(&Progress, Duration)) {
    for (at, frame) in &recording.frames {
        match frame {
            Recorded::Text(message) => {
                progress.apply(message, *at);
            }
            Recorded::Binary(bytes) => {
                if let BinaryFrame::Preview(preview) = BinaryFrame::parse(bytes).unwrap()
                    && progress.status() == Status::Running
                {
                    let image = bytes.slice_ref(preview.image);
                    progress.preview(preview.format, image, preview.metadata.as_ref());
                }
            }
        }
        look(progress, *at);
    }
}

fn running(progress: &Progress, now: Duration) -> Value {
    match progress.snapshot(now) {
        snapshot @ JobStatus::Running(_) => serde_json::to_value(snapshot).unwrap(),
        other => panic!("it does not run: {other:?}"),
    }
}

#[test]
fn every_job_ends_as_it_did_and_percent_never_falls_on_the_way() {
    for recording in recordings() {
        for job in &recording.jobs {
            let mut progress = Progress::new(&job.prompt_id, &job.graph, job.outputs.as_deref());
            let (mut percent, mut revision) = (0, 0);
            replay(&mut progress, &recording, |progress, now| {
                assert!(progress.percent() >= percent, "{}: percent fell", recording.name);
                assert!(progress.percent() < 100 || progress.status() == Status::Completed);
                assert!(progress.revision() >= revision);
                (percent, revision) = (progress.percent(), progress.revision());
                if let JobStatus::Running(running) = progress.snapshot(now) {
                    assert!(running.nodes_done <= running.effective_total, "{}", recording.name);
                    assert!(running.effective_total <= running.total_nodes);
                    assert!(running.step <= running.total_steps);
                }
            });
            assert_eq!(
                progress.status(),
                job.expected().unwrap_or(Status::Pending),
                "{} {}",
                recording.version,
                recording.name
            );
        }
    }
}

#[test]
fn the_history_alone_tells_the_same_as_the_messages() {
    let mut compared = 0;
    for recording in recordings() {
        for job in &recording.jobs {
            let Some(history) = &job.history else { continue };
            let mut live = Progress::new(&job.prompt_id, &job.graph, job.outputs.as_deref());
            replay(&mut live, &recording, |_, _| {});
            let mut late = Progress::new(&job.prompt_id, &job.graph, job.outputs.as_deref());
            late.finish(history);
            assert_eq!((late.status(), late.error()), (live.status(), live.error()), "{}", recording.name);
            assert_eq!(late.node_outputs(), live.node_outputs(), "{}", recording.name);
            assert_eq!(late.snapshot(Duration::ZERO), live.snapshot(Duration::ZERO));
            compared += 1;
        }
    }
    assert!(compared > 8);
}

#[test]
fn what_only_a_dropped_output_needs_is_not_among_the_nodes_that_run() {
    for recording in recordings_of("validation_errors") {
        let job = &recording.jobs[0];
        let in_all = |mut progress: Progress| {
            progress.started();
            running(&progress, Duration::ZERO)["effective_total"].as_u64()
        };
        let all = Progress::new(&job.prompt_id, &job.graph, None);
        let mut without_preview = all.clone();
        // The reply drops the preview of an image that cannot be scaled.
        without_preview.leave_out(["6"]);
        assert_eq!((in_all(all), in_all(without_preview)), (Some(6), Some(4)));
        assert_eq!(in_all(Progress::new(&job.prompt_id, &job.graph, job.outputs.as_deref())), Some(4));
    }
}

#[test]
fn a_running_job_shows_the_contracts_fields_in_the_contracts_order() {
    for recording in recordings_of("success_with_preview") {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        let mut at_step_three = None;
        replay(&mut progress, &recording, |progress, now| {
            if let JobStatus::Running(snapshot) = progress.snapshot(now)
                && snapshot.step == 3
            {
                at_step_three = Some((
                    serde_json::to_string(&JobStatus::Running(snapshot)).unwrap(),
                    running(progress, now),
                ));
            }
        });
        let (text, value) = at_step_three.expect("step three");
        assert_eq!(
            value.as_object().unwrap().keys().collect::<Vec<_>>(),
            [
                "status",
                "node_title",
                "node_type",
                "step",
                "total_steps",
                "percent",
                "nodes_done",
                "total_nodes",
                "effective_total",
                "cached_count",
                "eta_seconds",
                "step_rate",
                "node_outputs"
            ]
        );
        assert!(
            text.starts_with(
                r#"{"status":"running","node_title":"Work","node_type":"RunnerTestProgress","step":3,"total_steps":5,"percent":65,"nodes_done":3,"total_nodes":4,"effective_total":4,"cached_count":0,"eta_seconds":0,"step_rate":1"#
            ),
            "{text}"
        );
        assert_eq!(progress.snapshot(Duration::ZERO).status(), Status::Completed);
    }
}

#[test]
fn cached_nodes_do_not_count_among_those_that_run() {
    for recording in recordings_of("partly_cached") {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        let mut seen = Vec::new();
        replay(&mut progress, &recording, |progress, now| {
            if let JobStatus::Running(now) = progress.snapshot(now) {
                seen.push((now.cached_count, now.effective_total, now.nodes_done));
            }
        });
        seen.dedup();
        assert_eq!(seen, [(0, 4, 0), (2, 2, 0), (2, 2, 1), (2, 2, 2)]);
    }
}

#[test]
fn a_job_whose_every_node_is_cached_completes_with_its_files() {
    for recording in recordings_of("fully_cached") {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |progress, now| {
            if let JobStatus::Running(now) = progress.snapshot(now) {
                assert_eq!(now.nodes_done, 0);
            }
        });
        assert_eq!(
            serde_json::to_value(progress.snapshot(Duration::ZERO)).unwrap(),
            json!({"status": "completed", "outputs": {
                "image": {"filename": "final_00002_.png", "subfolder": "rec", "type": "output"},
            }, "percent": 100})
        );
    }
}

#[test]
fn a_video_that_is_reported_under_images_is_a_video() {
    for recording in recordings_of("video_image_text_outputs") {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |_, _| {});
        let names: Vec<_> = progress
            .results()
            .into_iter()
            .map(|(media, file)| (media.as_str(), file.filename.as_str()))
            .collect();
        assert_eq!(names, [("video", "video_00001_.mp4"), ("image", "frames_00001_.png")]);
        let nodes = progress.node_outputs();
        assert_eq!(nodes.keys().collect::<Vec<_>>(), [&"3", &"4", &"5", &"6", &"7"], "the text has no file");
        assert_eq!(serde_json::to_value(&nodes["6"].items[0]).unwrap()["media"], "video");
    }
}

#[test]
fn sounds_text_and_3d_models_are_kinds_of_their_own() {
    let recordings = recordings_of("output_kinds");
    assert_eq!(recordings.len(), 1);
    for recording in recordings {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |_, _| {});
        let names: Vec<_> = progress
            .results()
            .into_iter()
            .map(|(media, file)| (media.as_str(), file.filename.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("audio", "sound_00001.flac"),
                ("3d", "mesh_00001_.obj"),
                ("text", "words_00001.txt"),
                ("file", "latent_00001_.latent"),
            ]
        );
    }
}

#[test]
fn a_failure_is_told_by_node_and_reason_without_the_traceback() {
    for recording in recordings_of("runtime_error") {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |_, _| {});
        assert_eq!(
            serde_json::to_value(progress.snapshot(Duration::ZERO)).unwrap(),
            json!({"status": "error", "error": "node \"Breaks\" (RunnerTestFail) failed: ValueError: it broke", "percent": 100})
        );
    }
}

#[test]
fn the_latest_preview_is_kept_and_says_whose_it_is() {
    let names = ["success_with_preview", "success_with_preview_metadata"];
    for recording in names.into_iter().flat_map(recordings_of) {
        let job = &recording.jobs[0];
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |_, _| {});
        let preview = progress.preview_image().expect("a preview image");
        assert!(preview.image.starts_with(b"\xff\xd8\xff"));
        assert_eq!(preview.node_id.as_deref(), Some("3"), "{}", recording.name);
        assert_eq!(progress.preview_revision(), 5, "{}", recording.name);
    }
}

#[test]
fn a_deleted_job_waits_until_it_is_told_so_and_hears_nothing_of_the_others() {
    for recording in recordings_of("three_jobs_one_deleted") {
        let job = recording.jobs.iter().find(|job| job.history.is_none()).expect("the deleted one");
        let mut progress = Progress::new(&job.prompt_id, &job.graph, None);
        replay(&mut progress, &recording, |_, _| {});
        assert_eq!(progress.revision(), 0);
        assert_eq!(
            serde_json::to_string(&progress.snapshot(Duration::ZERO)).unwrap(),
            r#"{"status":"pending","step":0,"total_steps":0,"percent":0}"#
        );
        assert!(progress.cancelled());
        assert_eq!(
            serde_json::to_value(progress.snapshot(Duration::ZERO)).unwrap(),
            json!({"status": "cancelled", "percent": 100})
        );
    }
}

/// As ComfyUI was before it had `progress_state`: the same run without it.
#[test]
fn a_version_without_progress_state_shows_the_same() {
    for recording in recordings() {
        for job in &recording.jobs {
            let outcome = |keep: fn(&Message) -> bool| {
                let mut progress = Progress::new(&job.prompt_id, &job.graph, job.outputs.as_deref());
                let mut seen = Vec::new();
                for (at, frame) in &recording.frames {
                    let Recorded::Text(message) = frame else { continue };
                    if keep(message) {
                        progress.apply(message, *at);
                        if let JobStatus::Running(now) = progress.snapshot(*at) {
                            let title = now.node_title.clone();
                            seen.push((title, now.step, now.nodes_done, now.effective_total));
                        }
                    }
                }
                seen.dedup();
                (progress.status(), seen)
            };
            let both = outcome(|_| true);
            let old = outcome(|message| !matches!(message, Message::ProgressState { .. }));
            let new =
                outcome(|message| !matches!(message, Message::Executing { .. } | Message::Progress { .. }));
            assert_eq!(old, both, "{}", recording.name);
            assert_eq!(new, both, "{}", recording.name);
        }
    }
}
