//! Tenants, as those who run them see them: the admin API with keys of every role.

use airlock::{
    auth::{Role, Scope, Scopes},
    store::KeyOrder,
};
use serde_json::{Value, json};

use super::{TestGateway, within};

/// Somebody with a key.
#[derive(Clone)]
pub struct Person<'a> {
    gateway: &'a TestGateway,
    /// The key.
    pub key: String,
}

impl TestGateway {
    /// Somebody with this role in this tenant, who may do all that the role may.
    pub async fn person(&self, tenant: &str, role: Role) -> Person<'_> {
        self.person_with(tenant, role, &Scope::ALL).await
    }

    /// The same with a key for these things alone.
    pub async fn person_with(&self, tenant: &str, role: Role, scopes: &[Scope]) -> Person<'_> {
        let scopes = scopes.iter().copied().collect::<Scopes>();
        let name = uuid::Uuid::new_v4().to_string();
        let order = KeyOrder { tenant: tenant.to_owned(), role, scopes, ..KeyOrder::named(&name) };
        let key = self.store.create_key(&order).await.unwrap().secret;
        self.gateway.keys().refresh(&self.store).await.unwrap();
        Person { gateway: self, key }
    }

    /// A tenant, made by an operator.
    pub async fn tenant(&self, name: &str) {
        let operator = self.person("default", Role::Operator).await;
        let made = operator.post("/tenants", &json!({ "name": name })).await;
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    }
}

impl Person<'_> {
    /// The same with another key.
    #[must_use]
    pub fn with_key(&self, key: String) -> Self {
        Self { key, ..self.clone() }
    }

    /// A request below `/admin/v1`.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.gateway.anonymous(method, &format!("/admin/v1{path}")).bearer_auth(&self.key)
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> reqwest::Response {
        within(self.request("GET", path).send()).await.unwrap()
    }

    /// What a `GET` that works gives.
    #[track_caller]
    pub fn read(&self, path: &str) -> impl Future<Output = Value> {
        let (caller, asked) = (std::panic::Location::caller(), self.request("GET", path).send());
        async move {
            let response = within(asked).await.unwrap();
            let (status, text) = (response.status(), response.text().await.unwrap());
            assert_eq!(status, 200, "at {caller}: {text}");
            serde_json::from_str(&text).unwrap()
        }
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        within(self.request("POST", path).json(body).send()).await.unwrap()
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> reqwest::Response {
        within(self.request("PUT", path).json(body).send()).await.unwrap()
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str) -> reqwest::Response {
        within(self.request("DELETE", path).send()).await.unwrap()
    }

    /// Uploads a component: `path` is the adaptor's, with a query perhaps.
    pub async fn push(&self, path: &str, component: impl Into<Vec<u8>>) -> reqwest::Response {
        within(self.request("POST", path).body(component.into()).send()).await.unwrap()
    }

    /// A chat with this model.
    pub fn chat(&self, model: &str) -> reqwest::RequestBuilder {
        let mut body = super::chat_body(false);
        body["model"] = json!(model);
        self.gateway.anonymous("POST", "/v1/chat/completions").bearer_auth(&self.key).json(&body)
    }
}

/// A cluster of a tenant, for endpoints of these operations.
pub fn tenant_cluster(name: &str) -> Value {
    json!({
        "cluster_name": name, "cluster_adapter": "static-cluster", "frameworks": ["api"],
        "openai_endpoints": ["chat/completions"],
    })
}

/// An endpoint on it.
pub fn tenant_endpoint(cluster: &str, model: &str, adaptor: &str, config: Value) -> Value {
    json!({ "cluster": cluster, "framework": "api", "model": model, "endpoint_adapter": adaptor, "config": config })
}
