use serde::Deserialize;

use super::*;

/// A request, and the signature that botocore 1.44.5 gives it at 2015-08-30T12:36:00Z with the key of AWS's own
/// examples. Those that are named after a case of AWS's test suite have the signature that is published there.
#[derive(Deserialize)]
struct Vector {
    about: String,
    service: String,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    session_token: Option<String>,
    authorization: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn signer(service: &str, session_token: Option<String>) -> Signer {
    Signer::new(AwsKeys {
        region: "us-east-1".into(),
        service: service.into(),
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token,
    })
    .unwrap()
}

fn request(vector: &Vector) -> Request<()> {
    let mut request = Request::builder().method(vector.method.as_str()).uri(&vector.url);
    let host = request.uri_ref().unwrap().authority().unwrap().to_string();
    for (name, value) in &vector.headers {
        request = request.header(name, value.trim());
    }
    request.header("host", host).header("user-agent", "any").body(()).unwrap()
}

#[test]
fn signatures_are_those_of_botocore() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 11);
    for vector in &vectors {
        let mut request = request(vector);
        let signer = signer(&vector.service, vector.session_token.clone());
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let value = signer.sign_at(&mut request, vector.body.as_bytes(), now).unwrap();
        assert_eq!(value.to_str().unwrap(), vector.authorization, "{}", vector.about);
        assert!(value.is_sensitive());
        assert_eq!(request.headers().contains_key(TOKEN), vector.session_token.is_some());
    }
}

#[test]
fn whatever_is_changed_changes_the_signature() {
    let now = "2015-08-30T12:36:00Z".parse().unwrap();
    let vector = &vectors()[5];
    let sign = |request: &mut Request<()>, body: &str| {
        signer("bedrock", None).sign_at(request, body.as_bytes(), now).unwrap()
    };
    let original = sign(&mut request(vector), &vector.body);
    let mut changed = request(vector);
    changed.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_ne!(sign(&mut changed, &vector.body), original);
    assert_ne!(sign(&mut request(vector), "{}"), original);
    for url in ["https://bedrock-runtime.us-east-1.amazonaws.com/model/x/converse", "https://other/x?y=1"] {
        let mut changed = request(vector);
        *changed.uri_mut() = url.parse().unwrap();
        assert_ne!(sign(&mut changed, &vector.body), original);
    }
}

#[test]
fn a_query_is_encoded_in_one_way() {
    for (query, canonical) in [
        ("", ""),
        ("b&a=", "a=&b="),
        ("a=x/y:z", "a=x%2Fy%3Az"),
        ("a=%2f%2F&&", "a=%2F%2F"),
        ("a=1+1", "a=1%2B1"),
        ("a=%", "a=%25"),
        ("a=%zz%4", "a=%25zz%254"),
    ] {
        assert_eq!(canonical_query(query), canonical, "{query}");
    }
}

#[test]
fn the_signers_headers_are_nobody_elses() {
    for (name, owned) in [
        ("authorization", true),
        ("x-amz-date", true),
        ("x-amz-security-token", true),
        ("x-amz-content-sha256", true),
        ("x-amzn-bedrock-accept", false),
        ("content-type", false),
    ] {
        assert_eq!(Signer::owns(&HeaderName::from_static(name)), owned, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_is_written_as_it_goes_is_gathered_up_to_a_bound() {
    let guest = |length: usize, left: u64| {
        let pieces = vec![Bytes::from(vec![b'x'; 1 << 20]); length >> 20];
        let frames = pieces.into_iter().map(|piece| Ok(http_body::Frame::data(piece)));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        OutgoingBody::Guest { body: body.boxed_unsync(), left }
    };
    assert_eq!(gather(guest(3 << 20, u64::MAX)).await.unwrap().len(), 3 << 20);
    let bound = gather(guest(MAX_GATHERED + (1 << 20), u64::MAX)).await.unwrap_err();
    assert_eq!(bound.code(), "upstream_request_too_large");
    let own = gather(guest(3 << 20, 1 << 20)).await.unwrap_err();
    assert_eq!(own.code(), "upstream_request_too_large");
}

#[test]
fn no_key_shows_in_debug() {
    let keys = signer("bedrock", Some("token-7".into())).keys;
    let shown = format!("{keys:?}");
    assert_eq!(shown, "AwsKeys(bedrock in us-east-1)");
}
