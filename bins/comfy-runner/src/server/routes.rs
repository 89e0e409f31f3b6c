//! The routes: paths, methods and handlers.

use actix_web::middleware::from_fn;
use actix_web::web;

use super::endpoint::{endpoint, no_such_path};
use super::error::ApiError;
use super::{
    add_workflow, auth, build, cancel, docs, download, execute, files, health, inspect, jobs, live,
    manifest_source, models, openapi, page, pool, session, status, token, unsaved, v2, workflows,
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
        .service(endpoint("/openapi.json").get(openapi::document).with_key())
        .service(endpoint("/docs").get(docs::page))
        .service(endpoint("/docs/{file}").get(docs::file))
        // Signing in needs no key but the one in the body.
        .service(endpoint("/api/session").get(session::show).post(session::sign_in).delete(session::sign_out))
        .service(endpoint("/api/v2/health").get(v2::health).own_pages_only())
        .service(
            web::scope("/api")
                .wrap(from_fn(auth::require_key))
                // First, as the router looks at one after the other.
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
                        .service(endpoint("/{workflow_id}/schema").get(workflows::params_schema))
                        .service(endpoint("/{workflow_id}").get(workflows::manifest)),
                )
                .service(endpoint("/workflows").get(workflows::list))
                .service(endpoint("/broken-workflows").get(workflows::broken))
                .service(endpoint("/workflows/inspect").post(inspect::inspect))
                .service(endpoint("/workflows/{workflow_id}").put(add_workflow::add))
                .service(endpoint("/workflows/{workflow_id}/check").get(workflows::check))
                .service(endpoint("/workflows/{workflow_id}/graph").get(manifest_source::graph))
                .service(
                    endpoint("/workflows/{workflow_id}/manifest")
                        .get(manifest_source::show)
                        .put(manifest_source::replace),
                )
                .service(endpoint("/manifest/edit").post(unsaved::edit))
                .service(endpoint("/manifest/execute").post(unsaved::execute))
                .service(endpoint("/files").get(files::list))
                .service(endpoint("/files/gc").post(files::collect))
                .service(endpoint("/files/{filename}").delete(files::delete))
                .service(endpoint("/models").get(models::list))
                .service(endpoint("/models/{kind}").get(models::of_kind))
                .service(endpoint("/comfyui/view").get(download::view))
                .service(endpoint("/comfyui").get(pool::list))
                .service(endpoint("/comfyui/{name}/drain").post(pool::drain))
                .service(endpoint("/comfyui/{name}/resume").post(pool::resume))
                .service(endpoint("/token").post(token::issue))
                .service(endpoint("/queue").get(jobs::queue))
                .service(endpoint("/jobs").get(jobs::list))
                .service(endpoint("/jobs/{prompt_id}").get(jobs::show).delete(jobs::delete))
                .service(endpoint("/jobs/{prompt_id}/retry").post(jobs::retry))
                .service(endpoint("/jobs/{prompt_id}/files").get(jobs::files))
                .service(endpoint("/jobs/{prompt_id}/package").get(jobs::package))
                .service(v2::routes())
                .default_service(web::to(no_such_path)),
        )
        .configure(page::routes)
        .default_service(web::to(no_such_path));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::introspection::{IntrospectionReportItem, IntrospectionTree};
    use actix_web::test::{TestRequest, call_and_read_body, init_service};
    use actix_web::{App, HttpResponse};

    use super::*;

    /// Returns the method and path of each route, as the server has registered them.
    async fn registered() -> BTreeSet<String> {
        let report = async |tree: web::Data<IntrospectionTree>| {
            let routes: Vec<IntrospectionReportItem> = (&tree.root).into();
            let routes = routes
                .iter()
                .flat_map(|route| route.methods.iter().map(|method| format!("{method} {}", route.full_path)));
            HttpResponse::Ok().json(routes.collect::<BTreeSet<String>>())
        };
        let app = init_service(App::new().configure(routes).route("/routes-of-this-test", web::to(report)));
        let request = TestRequest::with_uri("/routes-of-this-test").to_request();
        serde_json::from_slice(&call_and_read_body(&app.await, request).await).unwrap()
    }

    #[actix_web::test]
    async fn every_route_is_described_in_the_openapi_document_and_no_other() {
        let document = comfy_runner_openapi::document([], false);
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        // The document describes the API; the page is for people.
        let of_the_page = |route: &&String| {
            let path = route.rsplit(' ').next().unwrap_or_default();
            path.starts_with("/assets/") || page::ADDRESSES.contains(&path)
        };
        let registered = registered().await;
        // HEAD is wherever GET is, and described where it is alone.
        let is_of_get = |route: &str| {
            route.strip_prefix("HEAD ").is_some_and(|path| registered.contains(&format!("GET {path}")))
        };
        let registered: BTreeSet<String> = registered
            .iter()
            .filter(|route| !is_of_get(route))
            .filter(|route| !of_the_page(route))
            .cloned()
            .collect();
        let missing: Vec<_> = registered.difference(&described).collect();
        assert!(missing.is_empty(), "describe these routes in crates/openapi/src/routes: {missing:?}");
        let unknown: Vec<_> = described.difference(&registered).collect();
        assert!(unknown.is_empty(), "these routes are described and do not exist: {unknown:?}");
    }
}
