//! The routes: paths, methods and handlers.

use actix_web::middleware::from_fn;
use actix_web::web;

use super::endpoint::{endpoint, no_such_path};
use super::error::ApiError;
use super::{
    auth, build, cancel, download, execute, files, health, inspect, jobs, live, models, status, token,
    workflows,
};

/// Adds every path of the server.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .app_data(
            web::PathConfig::default().error_handler(|error, _| ApiError::NotFound(error.to_string()).into()),
        )
        .service(endpoint("/health").get(health::health))
        .service(endpoint("/ready").get(health::ready))
        .service(
            web::scope("/api")
                .wrap(from_fn(auth::require_key))
                .service(endpoint("/workflows").get(workflows::list))
                .service(endpoint("/workflows/inspect").post(inspect::inspect))
                .service(endpoint("/workflows/{workflow_id}/check").get(workflows::check))
                .service(endpoint("/files").get(files::list))
                .service(endpoint("/files/{filename}").delete(files::delete))
                .service(endpoint("/models").get(models::list))
                .service(endpoint("/models/{kind}").get(models::of_kind))
                .service(endpoint("/comfyui/view").get(download::view))
                .service(endpoint("/token").post(token::issue))
                .service(endpoint("/queue").get(jobs::queue))
                .service(endpoint("/jobs").get(jobs::list))
                .service(endpoint("/jobs/{prompt_id}").get(jobs::show).delete(jobs::delete))
                .service(endpoint("/jobs/{prompt_id}/retry").post(jobs::retry))
                .service(endpoint("/jobs/{prompt_id}/files").get(jobs::files))
                .service(endpoint("/jobs/{prompt_id}/package").get(jobs::package))
                .service(
                    web::scope("/run")
                        .service(endpoint("/upload-image").post(execute::upload_image))
                        .service(endpoint("/status/{prompt_id}").get(status::status))
                        .service(endpoint("/result/{prompt_id}").get(download::result))
                        .service(endpoint("/cancel/{prompt_id}").post(cancel::cancel))
                        .service(endpoint("/ws").get(live::socket).own_pages_only())
                        .service(endpoint("/events/{prompt_id}").get(live::events).own_pages_only())
                        .service(endpoint("/preview/{prompt_id}").get(live::preview).own_pages_only())
                        .service(endpoint("/{workflow_id}/build").post(build::build))
                        .service(endpoint("/{workflow_id}/execute").post(execute::execute))
                        .service(endpoint("/{workflow_id}").get(workflows::manifest)),
                )
                .default_service(web::to(no_such_path)),
        )
        .default_service(web::to(no_such_path));
}
