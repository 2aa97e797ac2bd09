//! What a registry that asks for it is shown: a token, or a user and a password. The tenant's secrets go to their own
//! origins alone, so that a registry that names another's place for tokens gains nothing by it.

use airlock_sandbox::{Credential, Origin};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode, header};
use http_auth::ChallengeRef;
use serde::Deserialize;
use url::Url;

use super::{
    PullError,
    fetch::{Session, check_scheme, host, whole},
};

/// Longest answer of a place for tokens.
const MAX_ANSWER: usize = 64 << 10;

/// What a tenant has for an origin.
enum Secret<'a> {
    /// `USER:PASSWORD`
    Pair(&'a str),
    Token(&'a str),
}

/// What such a place answers: one of the two (Docker's token authentication).
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// The credential that a registry asks for by its 401 (RFC 9110, 11.6.1).
pub(super) async fn credential(session: &Session<'_>, headers: &HeaderMap) -> Result<Credential, PullError> {
    let registry = session.url();
    let own = origin(registry)?;
    let texts: Vec<&str> =
        headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let challenges: Vec<ChallengeRef<'_>> =
        texts.iter().filter_map(|text| http_auth::parse_challenges(text).ok()).flatten().collect();
    let of = |scheme: &str| challenges.iter().find(|one| one.scheme.eq_ignore_ascii_case(scheme));
    let secret = secret(session, &own)?;
    let value = match (of("bearer"), of("basic"), secret) {
        (Some(_), _, Some(Secret::Token(token))) => format!("Bearer {token}"),
        (Some(bearer), _, _) => format!("Bearer {}", token(session, bearer).await?),
        (None, Some(_), Some(Secret::Pair(pair))) => basic(pair),
        (None, Some(_), _) => return Err(wanted(registry, &own)),
        (None, None, _) => {
            let host = host(registry);
            return Err(PullError::Refused(format!(
                "{host} wants a credential, and neither a token nor a user and a password"
            )));
        }
    };
    bound(own, &value)
}

/// A token for reading this repository, and for nothing else, whatever the registry says that it is to be for.
async fn token(session: &Session<'_>, challenge: &ChallengeRef<'_>) -> Result<String, PullError> {
    let text = |name: &str| {
        let param = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        param.map(|(_, value)| value.to_unescaped())
    };
    let registry = session.url();
    let strange =
        |why: &str| PullError::Refused(format!("{} says where tokens are, and {why}", host(registry)));
    let realm = text("realm").ok_or_else(|| strange("names no place"))?;
    let mut realm = Url::parse(&realm).map_err(|_| strange("it is no address"))?;
    check_scheme(registry, &realm)?;
    if let Some(service) = text("service") {
        realm.query_pairs_mut().append_pair("service", &service);
    }
    let scope = format!("repository:{}:pull", session.reference().repository());
    realm.query_pairs_mut().append_pair("scope", &scope);
    let own = origin(&realm)?;
    let credential = match secret(session, &own)? {
        Some(Secret::Pair(pair)) => Some(bound(own.clone(), &basic(pair))?),
        Some(Secret::Token(token)) => Some(bound(own.clone(), &format!("Bearer {token}"))?),
        None => None,
    };
    let response = session.get(&realm, "application/json", credential).await?;
    match response.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(wanted(&realm, &own)),
        status => return Err(PullError::Refused(format!("{} answered {status} and no token", host(&realm)))),
    }
    let bytes = whole(response.body, MAX_ANSWER, "the registry's token").await?;
    let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
    answer
        .and_then(|answer| answer.token.or(answer.access_token))
        .ok_or_else(|| PullError::Refused(format!("what {} answered is no token", host(&realm))))
}

/// The tenant's one secret for this origin, in the header `authorization`.
fn secret<'a>(session: &Session<'a>, origin: &Origin) -> Result<Option<Secret<'a>>, PullError> {
    let is_for = |text: &str| Origin::parse(text).is_ok_and(|own| own == *origin);
    let mut found = session.means.secrets.iter().filter(|(_, secret)| {
        secret.header.eq_ignore_ascii_case(header::AUTHORIZATION.as_str()) && is_for(&secret.origin)
    });
    let Some((name, secret)) = found.next() else { return Ok(None) };
    if let Some((other, _)) = found.next() {
        let why =
            format!("the secrets {name} and {other} are both for {origin}: delete the one that is not meant");
        return Err(PullError::Refused(why));
    }
    let value =
        secret.value.as_deref().map_err(|why| PullError::Refused(format!("the secret {name}: {why}")))?;
    Ok(Some(if value.contains(':') { Secret::Pair(value) } else { Secret::Token(value) }))
}

fn wanted(place: &Url, origin: &Origin) -> PullError {
    PullError::Refused(format!(
        "{} wants a user and a password: store USER:PASSWORD as a secret for it (`airlock secret set NAME --origin {origin}`), \
         or correct the one that is there",
        host(place)
    ))
}

fn origin(url: &Url) -> Result<Origin, PullError> {
    Origin::parse(url.as_str()).map_err(|error| PullError::Refused(error.to_string()))
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn bound(origin: Origin, value: &str) -> Result<Credential, PullError> {
    let place = origin.to_string();
    Credential::header(origin, header::AUTHORIZATION, value)
        .ok_or_else(|| PullError::Refused(format!("what {place} is to be shown cannot stand in a header")))
}
