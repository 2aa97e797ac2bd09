//! What an answer is known by.

use airlock_adaptor::{EndpointInfo, Operation};
use sha2::{Digest as _, Sha256};

/// A key that two requests share only where they are the same: at the same endpoint in the same configuration, of
/// the same operation, with the same body, byte for byte. The store is shared by all endpoints of a tenant.
pub(crate) fn of(endpoint: &EndpointInfo, operation: &Operation, body: &[u8]) -> String {
    let EndpointInfo { slug, cluster, framework, model, config } = endpoint;
    let mut hash = Sha256::new();
    let names = [slug, cluster, framework, model, config].map(String::as_bytes);
    for part in names.into_iter().chain([operation.path().as_bytes(), body]) {
        // With its length, so that nothing can move from one part into the next.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("response-cache:{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(slug: &str, config: &str) -> EndpointInfo {
        EndpointInfo {
            slug: slug.to_owned(),
            cluster: "c".to_owned(),
            framework: "f".to_owned(),
            model: "m".to_owned(),
            config: config.to_owned(),
        }
    }

    #[test]
    fn only_the_same_request_at_the_same_endpoint_has_the_same_key() {
        let chat = Operation::ChatCompletions;
        let key = of(&endpoint("a", "{}"), &chat, b"body");
        assert_eq!(key, of(&endpoint("a", "{}"), &chat, b"body"));
        assert!(key.len() < 256 && key.starts_with("response-cache:"), "{key}");
        for other in [
            of(&endpoint("b", "{}"), &chat, b"body"),
            of(&endpoint("a", "{} "), &chat, b"body"),
            of(&endpoint("a", "{}"), &Operation::Completions, b"body"),
            of(&endpoint("a", "{}"), &chat, b"body "),
            of(&endpoint("", "{}"), &chat, b"abody"),
        ] {
            assert_ne!(key, other);
        }
    }
}
