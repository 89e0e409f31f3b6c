//! Comfy's official Python client, `comfy-sdk`, against the server.
//!
//! It needs Python 3 with `comfy-sdk`. Without it the test says that it was skipped, unless `COMFY_RUNNER_TEST_PYTHON` names an
//! interpreter: then it fails.

mod support;

use std::process::Command;

use serde_json::json;
use support::python::{python_with, run_to_its_end};
use support::{Api, fixtures, png, settings, simulator};

/// What a program does with the client: it runs a job with an upload and its events, uses the result as the input of another
/// job, cancels one, lists by label, and meets the errors that it knows by name.
const SCRIPT: &str = r#"
import sys, uuid
from comfy_sdk import Comfy, InvalidWorkflow, JobFailed, MissingAsset, NotFound, OutputReady, Preview, Progress, StatusChange

client = Comfy()
team = uuid.uuid4().hex
photo = client.assets.from_file("photo.png")

def loads(image):
    workflow = client.workflows.from_json({
        "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
        "2": {"class_type": "RunnerTestProgress",
              "inputs": {"image": ["1", 0], "steps": 3, "delay_ms": 20, "seed": 1, "preview": True}},
        "3": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "sdk/final"}},
        "5": {"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": "line\u2028separator"}},
    })
    workflow.set_input("1", "image", image)
    return workflow

job = client.submit(loads(photo), metadata={"team": team})
events = list(job.events())
assert isinstance(events[-1], StatusChange) and events[-1].status == "succeeded", events
assert sum(isinstance(event, OutputReady) for event in events[:-1]) == 2, events
values = [event.value for event in events if isinstance(event, Progress)]
assert values == sorted(values) and values[-1] == 1, values

job.result()
image, text = job.outputs
assert (image.node_id, text.node_id) == ("4", "5"), job.outputs
assert text.to_bytes().decode() == "line\u2028separator"
data = image.to_bytes()
assert len(data) == image.size_bytes and data.startswith(b"\x89PNG"), image
assert job.get_workflow().graph["3"]["class_type"] == "ImageInvert"

again = client.assets.from_bytes(data, filename="inverted.png")
second = client.run(loads(again))
second.result()
first_id = again.commit()
assert client.assets.from_bytes(data, filename="inverted.png").commit() == first_id

slow = client.workflows.from_json({
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
    "2": {"class_type": "RunnerTestProgress",
          "inputs": {"image": ["1", 0], "steps": 1000, "delay_ms": 50, "seed": 2, "preview": False}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
})
running = client.submit(slow)
running.cancel()
assert running.wait(timeout=60).status == "canceled", running.status
try:
    running.result()
    sys.exit("a cancelled job has a result")
except JobFailed:
    pass

listed = [entry.id for entry in client.list_jobs(metadata={"team": team})]
assert listed == [job.id], listed
assert len(list(client.list_jobs(limit=1))) >= 3

for wrong, expected in [
    ({"1": {"class_type": "NoSuchNode", "inputs": {}}}, InvalidWorkflow),
    ({"1": {"class_type": "LoadImage", "inputs": {"image": {
        "__type": "core/ASSET", "info": {"id": "11111111-1111-4111-8111-111111111111"}}}}}, MissingAsset),
]:
    try:
        client.submit(client.workflows.from_json(wrong))
        sys.exit(f"{wrong} was accepted")
    except expected:
        pass
try:
    client.jobs.get("11111111-1111-4111-8111-111111111111")
    sys.exit("an unknown job was found")
except NotFound:
    pass
photo.delete()
client.close()
print("done")
"#;

#[actix_rt::test]
async fn the_official_python_client_runs_unchanged() {
    let Some(python) = python_with("comfy_sdk") else { return };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("photo.png"), png()).unwrap();
    let mut settings = settings(&simulator.url());
    settings.api_keys = vec!["the-key".into()];
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut command = Command::new(&python);
    command.args(["-c", SCRIPT]).env("COMFY_BASE_URL", &api.base).env("COMFY_API_KEY", "the-key");
    let printed = run_to_its_end(&mut command, folder.path()).await;
    assert!(printed.ends_with("done\n"), "{printed}");
    api.stop().await;
}

#[actix_rt::test]
async fn the_example_of_the_docs_saves_an_image() {
    let Some(python) = python_with("comfy_sdk") else { return };
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plate"}},
    });
    std::fs::write(folder.path().join("graph.json"), graph.to_string()).unwrap();
    let page = std::fs::read_to_string(fixtures().join("../docs/api-v2.md")).unwrap();
    let example = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let api = Api::start(&simulator.url());
    let mut command = Command::new(&python);
    command.args(["-c", example]).env("COMFY_BASE_URL", &api.base);
    run_to_its_end(&mut command, folder.path()).await;
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let images: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "png")).collect();
    assert_eq!(images.len(), 1, "{images:?}");
    image::open(&images[0]).unwrap();
    api.stop().await;
}
