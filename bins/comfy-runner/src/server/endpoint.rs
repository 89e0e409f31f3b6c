//! A path of the API with its methods.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, web};

use super::auth;
use super::error::ApiError;
use super::excerpt::excerpt;

/// The maximum length of a path that an error repeats, in bytes.
const PATH_SHOWN: usize = 200;
/// The maximum length of a method that an error repeats, in bytes: a caller may send any.
const METHOD_SHOWN: usize = 32;

/// A path of the API. With GET it also has HEAD. A method that it does not have is answered with 405; `Allow` names those
/// that it has.
pub struct Endpoint {
    resource: Resource,
    methods: Vec<Method>,
    own_pages_only: bool,
    requires_key: bool,
}

/// Creates an endpoint without methods.
pub fn endpoint(path: &str) -> Endpoint {
    Endpoint {
        resource: web::resource(path),
        methods: Vec::new(),
        own_pages_only: false,
        requires_key: false,
    }
}

impl Endpoint {
    /// Answers GET, and HEAD with the same headers and no body.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    /// Answers HEAD alone.
    pub fn head<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::HEAD, handler)
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

    /// Answers PUT.
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
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

    /// Refuses pages of other sites, for routes that a browser opens across sites without a preflight request.
    pub fn own_pages_only(self) -> Self {
        Self { own_pages_only: true, ..self }
    }

    /// Requires a key, for routes outside of the scope that does.
    pub fn with_key(self) -> Self {
        Self { requires_key: true, ..self }
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
        } else if self.requires_key {
            resource.wrap(from_fn(auth::require_key)).register(config);
        } else {
            resource.register(config);
        }
    }
}

/// Answers a path that does not exist.
pub async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound(format!("there is nothing at {}", excerpt(request.path(), PATH_SHOWN))))
}
