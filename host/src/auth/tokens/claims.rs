//! What claims say, of a JWT as of an answer to an introspection: both have them by the same names.

use serde_json::Value;

use super::jwt::Claims;
use crate::auth::AuthError;

/// More groups than anybody needs. Each known caller holds its own.
const MAX_GROUPS: usize = 1000;
/// Longest name of a person, a group or a domain, in bytes.
const MAX_NAME: usize = 256;
/// Longest subject, in bytes (OpenID Connect Core, 2).
const MAX_SUBJECT: usize = 255;

/// A claim by its name; where there is none of it, a dot leads into an object, as in `realm_access.roles`.
fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The text of a claim.
pub(super) fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    find(claims, name)?.as_str().filter(|text| !text.is_empty())
}

/// A time in Unix seconds; `Err` where it is something else.
fn time(claims: &Claims, name: &str) -> Result<Option<i64>, AuthError> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
    #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
    seconds.map(|seconds| Some(seconds as i64)).ok_or(AuthError::Token("one of its times is no time"))
}

/// When a token ends that counts now.
pub(super) fn valid_until(claims: &Claims, now: i64, skew: i64) -> Result<Option<i64>, AuthError> {
    let until = time(claims, "exp")?;
    if until.is_some_and(|until| until + skew <= now) {
        return Err(AuthError::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|from| from - skew > now) {
            return Err(AuthError::Token("its time has not begun"));
        }
    }
    Ok(until)
}

/// A claim that is one text or a list of them.
fn words<'a>(claims: &'a Claims, name: &str) -> Vec<&'a str> {
    match find(claims, name) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Lets pass what was made for this gateway; an empty list lets everything pass.
pub(super) fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), AuthError> {
    let given = words(claims, "aud");
    if accepted.is_empty() || accepted.iter().any(|own| given.contains(&own.as_str())) {
        return Ok(());
    }
    Err(AuthError::Token("it was made for another service"))
}

/// Lets pass what has all these scopes: in one text (RFC 8693, 4.2), or in a list, as some write them.
pub(super) fn check_scopes(claims: &Claims, required: &[String]) -> Result<(), AuthError> {
    let lists = [words(claims, "scope"), words(claims, "scp")].concat();
    let given: Vec<&str> = lists.iter().flat_map(|list| list.split(' ')).collect();
    if required.iter().all(|one| given.contains(&one.as_str())) {
        return Ok(());
    }
    Err(AuthError::Token("it lacks a scope that this gateway asks for"))
}

/// Who it is about, for ever the same.
pub(super) fn subject(text: Option<&str>) -> Result<String, AuthError> {
    let text = text.filter(|text| text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control));
    text.map(str::to_owned).ok_or(AuthError::Token("it does not say whom it is about"))
}

/// A name as it may stand in a line of the log.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !c.is_control()).collect();
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name
}

/// Groups: a list of names, or of objects that have one.
pub(super) fn groups(claims: &Claims, claim: &str) -> Result<Vec<String>, AuthError> {
    let found = match find(claims, claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => {
            let one = |group: &'_ Value| -> Option<String> { Some(group.as_str()?.to_owned()) };
            let named = |group: &Value| group.get("name").and_then(one);
            return checked_groups(
                many.iter().filter_map(|group| one(group).or_else(|| named(group))).collect(),
            );
        }
        Some(_) => return Err(AuthError::Token("its groups are no list")),
    };
    checked_groups(found.into_iter().map(str::to_owned).collect())
}

/// Groups, of which there are not too many.
pub(super) fn checked_groups(groups: Vec<String>) -> Result<Vec<String>, AuthError> {
    if groups.len() > MAX_GROUPS || groups.iter().any(|group| group.len() > MAX_NAME) {
        return Err(AuthError::Token("it has more than 1000 groups, or one with a very long name"));
    }
    Ok(groups)
}

/// The domain of the first address that is there. One in `email` counts where the issuer has verified it.
pub(super) fn domain(claims: &Claims, names: &[String]) -> Option<String> {
    let is_verified = |name: &str| {
        let said = claims.get("email_verified");
        name != "email" || said == Some(&Value::Bool(true)) || said == Some(&Value::String("true".into()))
    };
    let address = names.iter().filter(|name| is_verified(name)).find_map(|name| text(claims, name))?;
    domain_of(address)
}

/// What stands behind the `@`.
pub(super) fn domain_of(address: &str) -> Option<String> {
    let (_, domain) = address.rsplit_once('@')?;
    let is_one =
        !domain.is_empty() && domain.len() <= MAX_NAME && domain.chars().all(|c| c.is_ascii_graphic());
    is_one.then(|| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn times_are_numbers_and_clocks_may_differ() {
        let until = |value: Value| valid_until(&claims(value), 1000, 60);
        assert_eq!(until(json!({ "exp": 1000, "nbf": 1060, "iat": 1060.5 })), Ok(Some(1000)));
        assert_eq!(until(json!({ "exp": 941.9 })), Ok(Some(941)));
        assert_eq!(until(json!({})), Ok(None));
        assert_eq!(until(json!({ "exp": 940 })), Err(AuthError::Expired));
        for early in [json!({ "nbf": 1061 }), json!({ "iat": 1061 })] {
            assert_eq!(until(early), Err(AuthError::Token("its time has not begun")));
        }
        for bad in [json!("2000"), json!([2000]), json!(true), json!(-1), json!(1e300), json!({})] {
            for name in ["exp", "nbf", "iat"] {
                let error = until(json!({ name: bad })).unwrap_err();
                assert_eq!(error, AuthError::Token("one of its times is no time"), "{name}: {bad}");
            }
        }
    }

    #[test]
    fn a_domain_is_that_of_an_address_that_counts() {
        let of = |value: Value, names: &[&str]| {
            domain(&claims(value), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        let both = ["email", "preferred_username"];
        let person = |verified: Value| json!({ "email": "a@B.org", "email_verified": verified, "preferred_username": "a@c.org" });
        assert_eq!(of(person(json!(true)), &both).unwrap(), "b.org");
        assert_eq!(of(person(json!("true")), &both).unwrap(), "b.org");
        assert_eq!(of(person(json!(false)), &both).unwrap(), "c.org");
        assert_eq!(of(person(json!(false)), &["email"]), None);
        assert_eq!(of(json!({ "email": "a@b.org" }), &["email"]), None);
        assert_eq!(of(json!({ "preferred_username": "b.org" }), &both), None);
    }

    #[test]
    fn groups_are_names_wherever_they_stand() {
        let of = |value: Value, claim: &str| groups(&claims(value), claim);
        assert_eq!(of(json!({ "groups": ["a", "b"] }), "groups").unwrap(), ["a", "b"]);
        assert_eq!(of(json!({ "groups": [{ "name": "a" }, 7] }), "groups").unwrap(), ["a"]);
        assert_eq!(of(json!({ "r": { "s": ["a"] } }), "r.s").unwrap(), ["a"]);
        assert_eq!(of(json!({ "https://x.org/g": "a" }), "https://x.org/g").unwrap(), ["a"]);
        assert!(of(json!({}), "groups").unwrap().is_empty());
        assert!(of(json!({ "groups": { "a": 1 } }), "groups").is_err());
        assert!(of(json!({ "groups": vec!["a"; 1001] }), "groups").is_err());
    }

    #[test]
    fn audiences_and_scopes_are_words_of_a_text_or_a_list() {
        let own = ["a".to_owned(), "b".to_owned()];
        for good in [json!("b"), json!(["x", "a"])] {
            assert_eq!(check_audience(&claims(json!({ "aud": good })), &own), Ok(()));
        }
        for bad in [json!("x"), json!([]), json!("a b"), json!({ "a": 1 }), Value::Null] {
            assert!(check_audience(&claims(json!({ "aud": bad })), &own).is_err(), "{bad}");
        }
        assert_eq!(check_scopes(&claims(json!({ "scope": "x b a" })), &own), Ok(()));
        assert_eq!(check_scopes(&claims(json!({ "scp": ["a", "b"] })), &own), Ok(()));
        assert!(check_scopes(&claims(json!({ "scope": "a" })), &own).is_err());
        assert!(check_scopes(&claims(json!({})), &own).is_err());
    }
}
