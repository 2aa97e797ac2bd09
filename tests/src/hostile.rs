//! Gateways with hostile endpoints and a good one beside them.

use serde_json::{Value, json};

use super::{GatewayBuilder, TestGateway, guest, within};

impl GatewayBuilder {
    /// The endpoint `good`, for [`TestGateway::is_well`].
    #[must_use]
    pub fn beside_a_good_one(self) -> Self {
        self.endpoint("good", guest("echo"), json!({}))
    }
}

/// A chat with this model.
pub fn chat_with(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] })
}

impl TestGateway {
    /// A chat with this model.
    pub fn ask(&self, model: &str) -> reqwest::RequestBuilder {
        self.post("/v1/chat/completions", &chat_with(model))
    }

    /// The body of the answer of this model, which succeeds.
    pub async fn answer(&self, model: &str) -> Value {
        let response = within(self.ask(model).send()).await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{model}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Nothing is left over, and `good` is served.
    pub async fn is_well(&self) {
        self.idle().await;
        self.answer("good").await;
        self.idle().await;
    }
}
