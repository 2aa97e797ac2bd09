//! What a manifest has to say for what it names to be a component: the "WASM OCI artifact" layout of CNCF's TAG Runtime,
//! which `wkg` and `oci-wasm` push, and the one before it.

use oci_spec::image::{Descriptor, DigestAlgorithm, ImageManifest, MediaType};
use serde::Deserialize;

use super::PullError;

/// The media types of a manifest that is asked for: a list is asked for too, to say that it is one.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
                                 application/vnd.oci.image.index.v1+json, \
                                 application/vnd.docker.distribution.manifest.v2+json";
/// Pairs of a config's type and its one layer's.
const LAYOUTS: [(&str, &str); 2] = [
    ("application/vnd.wasm.config.v0+json", "application/wasm"),
    ("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm"),
];

/// What all manifests have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Any {
    media_type: Option<MediaType>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads the manifest of one image. `what` is how messages call it.
pub(super) fn image(bytes: &[u8], content_type: &str, what: &str) -> Result<ImageManifest, PullError> {
    let strange = |error: &dyn std::fmt::Display| {
        PullError::Refused(format!("the registry's answer is no manifest of {what}: {error}"))
    };
    let any: Any = serde_json::from_slice(bytes).map_err(|error| strange(&error))?;
    let media_type = any.media_type.map_or_else(|| content_type.to_owned(), |own| own.to_string());
    if any.manifests.is_some() || media_type != MediaType::ImageManifest.as_ref() {
        return Err(other(what, &format!("`{media_type}`")));
    }
    serde_json::from_slice(bytes).map_err(|error| strange(&error))
}

/// The layer that is the component.
pub(super) fn component(manifest: &ImageManifest, what: &str) -> Result<Descriptor, PullError> {
    let config = manifest.config().media_type().to_string();
    let layers: Vec<String> = manifest.layers().iter().map(|layer| layer.media_type().to_string()).collect();
    let is_known = |(of_config, of_layer): &(&str, &str)| config == *of_config && layers == [*of_layer];
    match manifest.layers().as_slice() {
        [layer] if LAYOUTS.iter().any(is_known) => check_digest(layer, what).map(|()| layer.clone()),
        _ => {
            let layers = layers.iter().map(|layer| format!("`{layer}`")).collect::<Vec<_>>().join(", ");
            Err(other(what, &format!("the config `{config}` with the layers {layers}")))
        }
    }
}

/// Only SHA-256 is computed of what comes.
pub(super) fn check_digest(layer: &Descriptor, what: &str) -> Result<(), PullError> {
    match layer.digest().algorithm() {
        DigestAlgorithm::Sha256 => Ok(()),
        other => Err(PullError::Refused(format!("{what} has a digest of {other}; push it with SHA-256"))),
    }
}

fn other(what: &str, found: &str) -> PullError {
    let [(config, layer), _] = LAYOUTS;
    PullError::Refused(format!(
        "{what} is no component: it is {found}. A component is one image manifest with the config `{config}` and one layer \
         `{layer}`: push it with `wkg oci push {what} FILE.wasm`"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(manifest: &serde_json::Value) -> Result<Descriptor, PullError> {
        let bytes = manifest.to_string();
        component(&image(bytes.as_bytes(), "application/vnd.oci.image.manifest.v1+json", "r/n:1")?, "r/n:1")
    }

    #[test]
    fn one_layer_of_wasm_is_a_component_and_nothing_else_is() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let part = |media_type: &str| json!({ "mediaType": media_type, "digest": digest, "size": 1 });
        let manifest = |config: &str, layers: &[&str]| {
            let layers: Vec<_> = layers.iter().map(|layer| part(layer)).collect();
            json!({ "schemaVersion": 2, "config": part(config), "layers": layers })
        };
        for (config, layer) in LAYOUTS {
            assert!(read(&manifest(config, &[layer])).is_ok(), "{layer}");
            for other in [
                manifest(config, &[]),
                manifest(config, &[layer, layer]),
                manifest(config, &["application/vnd.oci.image.layer.v1.tar+gzip"]),
                manifest("application/vnd.oci.image.config.v1+json", &[layer]),
                json!({ "schemaVersion": 2, "manifests": [] }),
                json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] }),
            ] {
                let refused = read(&other).unwrap_err().to_string();
                assert!(refused.contains("wkg oci push r/n:1"), "{refused}");
            }
        }
        let mut other = manifest(LAYOUTS[0].0, &[LAYOUTS[0].1]);
        other["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        assert!(read(&other).unwrap_err().to_string().contains("SHA-256"));
        assert!(read(&json!("no manifest")).is_err());
    }
}
