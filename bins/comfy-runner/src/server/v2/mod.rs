//! The Comfy API v2, under `/api/v2`: the jobs of this server as the official clients expect them.

mod asset_form;
mod assets;
mod cancel;
pub mod envelope;
mod error;
mod events;
mod health;
mod inputs;
mod jobs;
mod links;
mod list;
mod outputs;
mod partner_key;
mod submit;

use actix_web::web;

use super::endpoint::{endpoint, no_such_path};
pub use health::health;
pub use links::{ParseProxyError, PublicUrl, TrustedProxy};
pub use outputs::OutputFacts;

/// Adds the routes below `/v2`, inside of the scope `/api`.
pub fn routes() -> actix_web::Scope {
    web::scope("/v2")
        .service(endpoint("/jobs").get(list::list).post(submit::submit))
        .service(endpoint("/jobs/{id}").get(jobs::show))
        .service(endpoint("/jobs/{id}/workflow").get(jobs::workflow))
        .service(endpoint("/jobs/{id}/logs").get(jobs::logs))
        .service(endpoint("/jobs/{id}/events").get(events::events).own_pages_only())
        .service(endpoint("/jobs/{id}/cancel").post(cancel::cancel))
        .service(endpoint("/assets").post(assets::upload))
        .service(endpoint("/assets/from-hash").post(assets::from_hash))
        .service(endpoint("/assets/by-hash/{hash}").head(assets::by_hash))
        .service(endpoint("/assets/{id}").get(assets::show).delete(assets::delete))
        .service(endpoint("/assets/{id}/content").get(assets::content))
        .default_service(web::to(no_such_path))
}
