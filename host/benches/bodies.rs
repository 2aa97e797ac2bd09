//! What does it cost to check a body of 10 MB, beside copying it? `cargo bench -p airlock --bench bodies`

#![allow(clippy::print_stdout, reason = "a bench tells its figures")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use airlock::api::ParsedRequest;
use airlock_sandbox::Operation;
use bytes::Bytes;
use serde_json::{Value, json};

const SIZE: usize = 10 << 20;
const ROUNDS: usize = 21;

fn main() {
    let bodies = [
        ("a picture in base64", picture()),
        ("one text", chat(&json!("x".repeat(SIZE)))),
        ("60,000 messages", messages()),
        ("a field that nobody knows", unknown()),
    ];
    for (what, body) in bodies {
        let body = Bytes::from(body.to_string());
        let copying = median(|| drop(black_box(body.to_vec())));
        let checking =
            median(|| drop(black_box(ParsedRequest::read(Operation::ChatCompletions, body.clone()))));
        println!(
            "{what}: {:.2} MB; copying {copying:.2?}, checking {checking:.2?}, {:.1} times that",
            body.len() as f64 / 1e6,
            checking.as_secs_f64() / copying.as_secs_f64()
        );
    }
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn chat(content: &Value) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": content }] })
}

fn picture() -> Value {
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhEUg".repeat(SIZE / 22));
    chat(
        &json!([{ "type": "text", "text": "What is this?" }, { "type": "image_url", "image_url": { "url": url } }]),
    )
}

fn messages() -> Value {
    let message = json!({ "role": "user", "content": "x".repeat(130) });
    json!({ "model": "m", "messages": vec![message; 60_000] })
}

fn unknown() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }], "other": "x".repeat(SIZE) })
}
