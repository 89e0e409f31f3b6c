//! Two routes: `POST /images` runs a workflow, `GET /images/{id}` answers its status, or its image once it is completed.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use comfy_runner_runner::{JobStatus, Media, Runner, RunnerError};
use serde_json::{Value, json};

/// The workflow that makes the images.
const WORKFLOW: &str = "text-to-image";

/// Creates the routes.
pub fn app(runner: Runner) -> Router {
    Router::new()
        .route("/images", post(create_image))
        .route("/images/{prompt_id}", get(show_image))
        .with_state(runner)
}

async fn create_image(
    State(runner): State<Runner>,
    Json(params): Json<Value>,
) -> Result<impl IntoResponse, AppError> {
    let job = runner.submit(WORKFLOW, params).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": job.prompt_id()}))))
}

async fn show_image(
    State(runner): State<Runner>,
    Path(prompt_id): Path<String>,
) -> Result<Response, AppError> {
    let job = runner.job(&prompt_id).await?;
    let status = job.status().await?;
    if !matches!(status, JobStatus::Completed(_)) {
        return Ok(Json(status).into_response());
    }
    let download = runner.download(&job.result(Media::Image).await?).await?;
    let content_type = download.content_type().unwrap_or("application/octet-stream").to_owned();
    // The image is streamed, as fast as the caller takes it.
    Ok(([(CONTENT_TYPE, content_type)], Body::from_stream(download)).into_response())
}

/// An error of the runner as a response.
struct AppError(RunnerError);

impl From<RunnerError> for AppError {
    fn from(error: RunnerError) -> Self {
        Self(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            RunnerError::Request(_) => StatusCode::BAD_REQUEST,
            RunnerError::Record(_) | RunnerError::NoFile(_) => StatusCode::NOT_FOUND,
            RunnerError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        };
        (status, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}
