//! Has its task's `item` looked up together with those of others: `POST {"items":[…]}` to `api_url` of its
//! configuration, whose answer `{"items":{…}}` has a value for each that is done. Replies `{"result", "leads"}`.
//! Also from the configuration: `gather_ms`, `interval_ms`, `max_items`, `calls` (of a budget per second).

use airlock_adaptor::coalescing::{Budget, Member, Pace, Ticket, Turn};
use airlock_adaptor::serde_json::{self, Value, json};
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, UpstreamRequest, upstream};
use airlock_guests::settings;

struct Meet;

impl EndpointAdaptor for Meet {
    fn validate(_: &EndpointInfo) -> Result<(), AdaptorError> {
        Ok(())
    }

    fn submit_task(endpoint: EndpointInfo, task: Task) -> Result<Reply, AdaptorError> {
        let config = settings(&endpoint);
        let number = |key: &str| config[key].as_u64().unwrap_or_default() as u32;
        let body: Value = serde_json::from_slice(&task.body).unwrap_or_default();
        let budget = Budget { name: "b".into(), calls: number("calls"), per_ms: 1000 };
        let pace = Pace {
            gather_ms: number("gather_ms"),
            interval_ms: number("interval_ms"),
            max_items: config["max_items"].as_u64().unwrap_or(1000) as u32,
            budget: config["calls"].is_u64().then_some(budget),
        };
        let item = body["item"].as_str().unwrap_or_default().as_bytes();
        let member = Member::join(body["group"].as_str().unwrap_or("g"), item, &pace)?;
        let mut leads = 0;
        loop {
            match member.next(15_000) {
                Some(Turn::Lead(tickets)) => {
                    leads += 1;
                    call(&member, &tickets, config["api_url"].as_str().unwrap_or_default())?;
                }
                Some(Turn::Settled(outcome)) => {
                    let result = String::from_utf8_lossy(&outcome?).into_owned();
                    return Reply::json(&json!({ "result": result, "leads": leads }));
                }
                None => return Err(AdaptorError::new(504, "no_turn", "nobody settled it")),
            }
        }
    }
}

fn call(member: &Member, tickets: &[Ticket], url: &str) -> Result<(), AdaptorError> {
    let text = |ticket: &Ticket| String::from_utf8_lossy(&ticket.item).into_owned();
    let items: Vec<String> = tickets.iter().map(text).collect();
    let response = upstream::send(&UpstreamRequest {
        method: "POST".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Some(json!({ "items": items }).to_string().into_bytes()),
        timeout_ms: None,
    })?;
    let said: Value = serde_json::from_slice(&upstream::read_all(&response, 1 << 20)?).unwrap_or_default();
    for ticket in tickets {
        match &said["items"][text(ticket)] {
            Value::Null => {}
            Value::String(done) => assert!(member.settle(ticket.id, Ok(done.as_bytes()))),
            other => {
                let error = AdaptorError::new(418, "refused", other.to_string());
                assert!(member.settle(ticket.id, Err(&error)));
            }
        }
    }
    Ok(())
}

airlock_adaptor::export_endpoint!(Meet);
