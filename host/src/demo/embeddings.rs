//! `POST /v1/embeddings`.
//!
//! A vector is the sum of one direction per token and one for the whole text, at unit length. Equal
//! texts have equal vectors, and texts that share words are nearer to each other than to others, so
//! that a search over them does something.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::model_server::Server;
use super::request::{EmbeddingRequest, Parsed};
use super::tokens;

/// The length of a vector unless `dimensions` asks for another one.
const DIMENSIONS: usize = 256;
const MOST_DIMENSIONS: usize = 4096;
/// OpenAI's bound for the inputs of one request.
const MOST_INPUTS: usize = 2048;

/// Embeds one or several texts.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    Parsed(request, _): Parsed<EmbeddingRequest>,
) -> Result<Response, ApiError> {
    server.check_model(&request.model)?;
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        let message = format!("'dimensions' must be between 1 and {MOST_DIMENSIONS}.");
        return Err(ApiError::bad_request(message, Some("dimensions")));
    }
    let encode = match request.encoding_format.as_deref() {
        None | Some("float") => |vector: &[f32]| json!(vector),
        Some("base64") => |vector: &[f32]| json!(base64(&little_endian(vector))),
        Some(_) => {
            let message = "'encoding_format' must be 'float' or 'base64'.";
            return Err(ApiError::bad_request(message, Some("encoding_format")));
        }
    };
    let inputs = request.input.into_prompts();
    if inputs.is_empty() || inputs.len() > MOST_INPUTS || inputs.iter().any(|input| input.text.is_empty()) {
        let message = format!("'input' must hold 1 to {MOST_INPUTS} texts, none of them empty.");
        return Err(ApiError::bad_request(message, Some("input")));
    }
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(&input.text, dimensions);
        json!({ "object": "embedding", "index": index, "embedding": encode(&vector) })
    });
    let data: Vec<Value> = data.collect();
    let count: usize = inputs.iter().map(|input| input.tokens).sum();
    let usage = json!({ "prompt_tokens": count, "total_tokens": count });
    let body = json!({ "object": "list", "data": data, "model": request.model, "usage": usage });
    Ok(Json(body).into_response())
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    add_direction(&mut sum, text);
    for token in tokens::split(text) {
        add_direction(&mut sum, &token.trim_start().to_lowercase());
    }
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    sum.iter().map(|x| (x / length) as f32).collect()
}

/// Adds numbers between -1 and 1 that depend on the text alone. The hash is the seed; the numbers
/// themselves come from splitmix64, because a hash for each would make long inputs slow.
fn add_direction(sum: &mut [f64], text: &str) {
    let mut state =
        Sha256::digest(text).iter().take(8).fold(0_u64, |seed, byte| (seed << 8) | u64::from(*byte));
    for x in sum {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        *x += (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
    }
}

fn little_endian(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut three = group.iter().copied().chain([0, 0]).map(u32::from);
        let bits = (0..3).fold(0, |bits, _| (bits << 8) | three.next().unwrap_or(0));
        for position in 0..4_usize {
            let letter =
                usize::try_from((bits >> (18 - 6 * position)) & 63).ok().and_then(|at| ALPHABET.get(at));
            // A group of n bytes fills n + 1 letters.
            text.push(if position <= group.len() { letter.copied().map_or('=', char::from) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        vector(a, 256).iter().zip(vector(b, 256)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn vectors_have_unit_length_and_depend_on_the_text_alone() {
        assert!((cosine("hello", "hello") - 1.0).abs() < 1e-5);
        assert_eq!(vector("hello", 8), vector("hello", 8));
        assert_eq!(vector("hello", 8).len(), 8);
        assert!(cosine("hello", "goodbye").abs() < 0.5);
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let near = cosine("the weather in Paris", "the weather in Rome");
        assert!(near > cosine("the weather in Paris", "my cat sleeps well") + 0.2, "{near}");
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
