//! Routes and what is said of them, made together: no route can be added without a description, and nothing is described
//! that is not there. The description is OpenAPI 3.1.

mod about;
mod answers;
mod document;
mod fixtures;
mod schemas;

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use http::HeaderMap;
use serde_json::{Map, Value};

pub(super) use about::About;
pub(super) use answers::Operations;
pub use document::Document;
pub(super) use fixtures::{ClusterFields, EndpointFields, FederatedFields};
pub(super) use schemas::{Components, List, Source, Thing, named};

use crate::gateway::Worker;

/// Routes with their descriptions. The only place of the surface that gives a path to a handler.
#[derive(Default)]
pub(super) struct Api {
    router: Router<Worker>,
    /// Of each path, what is said of each of its methods.
    paths: Map<String, Value>,
    components: Components,
}

impl Api {
    /// `GET` of a path.
    pub(super) fn get<H: Handler<T, Worker>, T: 'static>(self, path: &str, handler: H, about: About) -> Self {
        self.add(MethodFilter::GET, "get", path, handler, about)
    }

    /// `POST` to a path.
    pub(super) fn post<H: Handler<T, Worker>, T: 'static>(
        self,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.add(MethodFilter::POST, "post", path, handler, about)
    }

    /// `PUT` to a path.
    pub(super) fn put<H: Handler<T, Worker>, T: 'static>(self, path: &str, handler: H, about: About) -> Self {
        self.add(MethodFilter::PUT, "put", path, handler, about)
    }

    /// `DELETE` of a path.
    pub(super) fn delete<H: Handler<T, Worker>, T: 'static>(
        self,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.add(MethodFilter::DELETE, "delete", path, handler, about)
    }

    fn add<H: Handler<T, Worker>, T: 'static>(
        mut self,
        filter: MethodFilter,
        method: &str,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.describe(method, path, about);
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    fn describe(&mut self, method: &str, path: &str, about: About) {
        // The rest of a path, which may hold slashes, is one parameter there.
        let template = path.replace("{*", "{");
        let operation = about.operation(method, &template, &mut self.components);
        let item = self.paths.entry(template).or_insert_with(|| Value::Object(Map::new()));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_owned(), operation);
        }
    }

    /// All of it, and last `/openapi.json`, which describes itself too.
    pub(super) fn finish(mut self) -> (Router<Worker>, Document) {
        const PATH: &str = "/openapi.json";
        self.describe("get", PATH, document::about());
        let document = Document::new(self.paths, self.components);
        let served = document.clone();
        let answer = move |headers: HeaderMap| async move { served.answer(&headers) };
        (self.router.route(PATH, on(MethodFilter::GET, answer)), document)
    }
}
