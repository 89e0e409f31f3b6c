//! A path of the API and the methods that it answers.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, web};

use super::auth;
use super::error::ApiError;
use super::excerpt::excerpt;

/// As much of a path as an answer repeats, in bytes.
const PATH_SHOWN: usize = 200;
/// As much of a method, which a caller may make up.
const METHOD_SHOWN: usize = 32;

/// A path of the API. GET answers HEAD as well, and any method that it does not have is answered with 405 and with those
/// that it has in `Allow`.
pub struct Endpoint {
    resource: Resource,
    methods: Vec<Method>,
    own_pages_only: bool,
}

/// Creates an endpoint at a path, which has no method yet.
pub fn endpoint(path: &str) -> Endpoint {
    Endpoint { resource: web::resource(path), methods: Vec::new(), own_pages_only: false }
}

impl Endpoint {
    /// Answers GET, and HEAD in the same way without the body.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    /// Answers POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// Answers DELETE.
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    /// Refuses pages of other sites, for what a browser opens across sites without asking first.
    pub fn own_pages_only(self) -> Self {
        Self { own_pages_only: true, ..self }
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push(method.clone());
        Self { resource: self.resource.route(web::method(method).to(handler)), ..self }
    }
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let allow = self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let usable = allow.replace(", ", " or ");
        let resource = self.resource.default_service(web::to(move |request: HttpRequest| {
            let detail = format!(
                "{} is not a method of {}; use {usable}",
                excerpt(request.method().as_str(), METHOD_SHOWN),
                excerpt(request.path(), PATH_SHOWN)
            );
            std::future::ready(Err::<HttpResponse, _>(ApiError::WrongMethod { detail, allow: allow.clone() }))
        }));
        if self.own_pages_only {
            resource.wrap(from_fn(auth::refuse_other_sites)).register(config);
        } else {
            resource.register(config);
        }
    }
}

/// Answers a path that is none of the API's.
pub async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound(format!("there is nothing at {}", excerpt(request.path(), PATH_SHOWN))))
}
