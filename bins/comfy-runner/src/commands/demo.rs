//! `comfy-runner demo`: a simulator and a server in one process, and two workflows run through the server's own HTTP API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use comfy_runner_api::{ErrorBody, JobStatus, Submitted};
use comfy_runner_client::{Config, Endpoint};
use comfy_runner_files::{Location, ObjectFiles};
use comfy_runner_jobs::{ComfyUi, FilesConfig, JobsConfig};
use comfy_runner_scheduler::Priority;
use comfy_runner_simulator::Simulator;
use comfy_runner_store::Sqlite;
use comfy_runner_workflow::Workflows;
use serde_json::{Value, json};

use super::progress_bar::{Display, Report};
use super::{block_on, samples};
use crate::cli::Demo;
use crate::server::{AllowedOrigins, ComfyUiFolders, Limits, PublicUrl, Server, Settings};
use crate::terminal::{errln, outln};

const WORKFLOW: &str = "text-to-image";
const PROMPT: &str = "a lighthouse above a calm sea at dusk, warm light";
/// A workflow whose graph is assembled from blocks.
const DYNAMIC: &str = "text-to-image-studio";
const POLL: Duration = Duration::from_millis(50);

pub fn demo(options: Demo) -> anyhow::Result<ExitCode> {
    let workflows = tempfile::tempdir().context("cannot create a temporary folder")?;
    samples::write(workflows.path())?;
    let simulator =
        Simulator::builder().listen("127.0.0.1:0").step_delay(Duration::from_millis(60)).start()?;
    let settings = Settings {
        listen: options.listen,
        api_keys: Vec::new(),
        allow_origins: AllowedOrigins::default(),
        max_upload: 100 << 20,
        allow_input_hosts: Vec::new(),
        limits: Limits::default(),
        max_priority: Priority::MAX,
        workers: Some(2),
        comfyuis: vec![ComfyUi::only(Config::new(simulator.url().parse::<Endpoint>()?))],
        folders: ComfyUiFolders::default(),
        public_url: PublicUrl::default(),
        jobs: JobsConfig::default(),
        store: Arc::new(Sqlite::in_memory()?),
        files: FilesConfig::new(Arc::new(ObjectFiles::open(&Location::Temporary)?)),
        redirect_downloads: false,
        allow_edit: true,
    };
    block_on(async {
        let workflows = Arc::new(Workflows::open(workflows.path())?);
        let server = Server::bind(&settings, workflows)
            .context("cannot start the demo's server; --listen 127.0.0.1:0 takes a free port")?;
        let (address, handle) = (server.address(), server.handle());
        let serving = actix_rt::spawn(server.run());
        errln!("open the page:     http://{address}/");
        errln!("ComfyUI simulator: {} (no models: it paints its own images)", simulator.url());
        errln!("comfy-runner API:  http://{address}");
        let images = Api::new(address).make_images(&options.output).await;
        if images.is_err() {
            handle.stop(true).await;
        }
        let images = images?;
        errln!("the images are saved at");
        for image in images {
            outln!("{}", image.display());
        }
        if options.once {
            handle.stop(true).await;
        } else {
            errln!("{}", what_next(address).trim_end());
        }
        serving.await??;
        Ok(ExitCode::SUCCESS)
    })
}

fn what_next(address: SocketAddr) -> String {
    format!(
        "\nThe demo keeps running. Open http://{address}/ in a browser, or in another terminal:\n  \
        curl http://{address}/api/workflows\n  \
        curl http://{address}/api/run/{WORKFLOW}\n  \
        curl -X POST http://{address}/api/run/{WORKFLOW}/execute -F 'params={{\"prompt\": \"a red fox in the snow\", \"steps\": 30}}'\n  \
        curl http://{address}/api/run/status/PROMPT_ID\n  \
        curl http://{address}/api/run/result/PROMPT_ID -o result.png\n\n\
        With your own ComfyUI and workflows:\n  \
        comfy-runner serve --workflows ./workflows --comfyui http://127.0.0.1:8188\n\n\
        Ctrl-C ends the demo.\n"
    )
}

/// The server's own HTTP API, as a caller sees it.
struct Api {
    base: String,
    http: awc::Client,
}

impl Api {
    fn new(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}/api/run"), http: awc::Client::default() }
    }

    /// Runs the sample workflows and saves their images.
    async fn make_images(&self, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
        errln!("running \"{WORKFLOW}\": {PROMPT}");
        let first = self.make_image(WORKFLOW, &json!({"prompt": PROMPT}), folder).await?;
        errln!("running \"{DYNAMIC}\", assembled from blocks, with a LoRA and a high-resolution pass");
        let loras = json!([{"file": "add_detail.safetensors", "strength": 0.6}]);
        let params = json!({"prompt": PROMPT, "loras": loras, "hires_enabled": true});
        Ok([first, self.make_image(DYNAMIC, &params, folder).await?])
    }

    /// Runs a workflow and saves its image.
    async fn make_image(&self, workflow: &str, params: &Value, folder: &Path) -> anyhow::Result<PathBuf> {
        let prompt_id = self.execute(workflow, params).await?;
        self.wait(&prompt_id).await?;
        let mut result =
            self.http.get(format!("{}/result/{prompt_id}", self.base)).send().await.map_err(http_error)?;
        ensure!(result.status().is_success(), "there is no result: {}", result.status());
        let image = result.body().limit(64 << 20).await?;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let path = folder.join(format!("{workflow}_{}.png", &prompt_id[..8.min(prompt_id.len())]));
        std::fs::write(&path, image).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    async fn execute(&self, workflow: &str, params: &Value) -> anyhow::Result<String> {
        let boundary = "comfy-runner-demo";
        let form = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"params\"\r\n\r\n{params}\r\n--{boundary}--\r\n"
        );
        let mut reply = self
            .http
            .post(format!("{}/{workflow}/execute", self.base))
            .content_type(format!("multipart/form-data; boundary={boundary}"))
            .send_body(form)
            .await
            .map_err(http_error)?;
        if !reply.status().is_success() {
            bail!("the workflow was refused: {}", reply.json::<ErrorBody>().await?.detail);
        }
        Ok(reply.json::<Submitted>().await?.prompt_id)
    }

    async fn wait(&self, prompt_id: &str) -> anyhow::Result<()> {
        let mut display = Display::new();
        loop {
            let url = format!("{}/status/{prompt_id}", self.base);
            let status: JobStatus = self.http.get(url).send().await.map_err(http_error)?.json().await?;
            match &status {
                JobStatus::Pending(_) => {}
                JobStatus::Running(_) => display.show(Report::from(&status)),
                JobStatus::Completed(_) => {
                    display.end();
                    return Ok(());
                }
                JobStatus::Error(failed) | JobStatus::Cancelled(failed) => {
                    display.end();
                    let reason = failed.error.as_deref().unwrap_or("it was cancelled");
                    bail!("the workflow did not complete: {reason}");
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Converts awc's error, which is not `Send`, as anyhow requires.
fn http_error(error: awc::error::SendRequestError) -> anyhow::Error {
    anyhow::anyhow!("the demo's own server does not answer: {error}")
}
