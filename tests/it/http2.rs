//! Clients that speak HTTP/2 to the gateway: many requests on one connection, each on its own.

use airlock::ledger::Outcome;
use airlock_tests::{Gate, TestGateway, Upstream, chat_body, eventually, feed, guest, sse, within};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

#[tokio::test]
async fn answers_and_errors_are_the_same_over_http2() {
    let gateway = TestGateway::with(guest("echo"), json!({})).await;
    let url = gateway.url("/v1/chat/completions");
    let post = |body: Value| client().post(&url).bearer_auth(&gateway.key).json(&body).send();
    let response = post(chat_body(false)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    assert_eq!(response.json::<Value>().await.unwrap()["body"], chat_body(false));
    airlock_tests::error(post(json!({})).await.unwrap(), 400, "missing_required_parameter").await;
}

/// Of two streams on one connection one is dropped: its backend's connection closes, the other goes on.
#[tokio::test]
async fn a_client_that_drops_one_stream_of_its_connection_ends_that_one() {
    for adaptor in ["direct-api".into(), guest("rewrite")] {
        let (kept, gone) = (Gate::new(), Gate::new());
        let (finish, told) = (kept.clone(), gone.clone());
        let upstream = Upstream::start(move |seen| {
            let (finish, told) = (finish.clone(), told.clone());
            async move {
                let (feed, stream) = feed();
                feed.send("data: {}\n\n");
                let is_kept = seen.json()["user"] == "kept";
                tokio::spawn(async move {
                    if is_kept {
                        finish.pass().await;
                        feed.send("data: [DONE]\n\n");
                    } else {
                        feed.closed().await;
                        told.open();
                    }
                });
                sse(stream)
            }
        })
        .await;
        let gateway = TestGateway::with(&adaptor, json!({ "api_url": upstream.url() })).await;
        let client = client();
        let ask = async |user: &str| {
            let mut body = chat_body(true);
            body["user"] = json!(user);
            let request =
                client.post(gateway.url("/v1/chat/completions")).bearer_auth(&gateway.key).json(&body);
            let mut response = within(request.send()).await.unwrap();
            assert_eq!(within(response.chunk()).await.unwrap().unwrap(), "data: {}\n\n");
            response
        };
        let (one, other) = (ask("kept").await, ask("dropped").await);
        assert_eq!(upstream.open_connections(), 2);
        drop(other);
        within(gone.pass()).await;
        eventually(|| upstream.open_connections() == 1).await;
        let record = gateway.ledger.one().await;
        assert_eq!((record.outcome, record.status), (Outcome::ClientGone, 200));
        kept.open();
        assert_eq!(within(one.text()).await.unwrap(), "data: [DONE]\n\n");
        assert_eq!(gateway.ledger.nth(2).await.outcome, Outcome::Completed);
        gateway.idle().await;
    }
}
