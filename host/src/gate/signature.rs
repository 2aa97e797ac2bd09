//! Whether somebody whom the tenant trusts has made a component. It comes first: what nobody signed is not even read.

use bytes::Bytes;

use super::report::Finding;
use crate::tenants::Signer;

/// What shows who made a component.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What was signed, and the signatures.
    pub signed: Vec<Signed>,
    /// What there is instead, where something is, in words.
    pub instead: Option<String>,
}

/// One signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it is over. `None`: the component.
    pub message: Option<Bytes>,
    /// The signature itself.
    pub signature: Vec<u8>,
}

/// Who signed it, or what the report says where nobody did whom the tenant trusts.
pub(super) fn check(component: &[u8], signers: &[Signer], evidence: &Evidence) -> Result<String, Finding> {
    if signers.is_empty() {
        return Err(Finding::Skipped {
            message: "the tenant has no signers: signatures are not looked at".into(),
            remedy: "an admin of the tenant who stores a signer's public key makes them a duty".into(),
        });
    }
    let is_by = |signer: &Signer, signed: &Signed| {
        signer.signed(signed.message.as_deref().unwrap_or(component), &signed.signature)
    };
    let made_by = signers.iter().find(|signer| evidence.signed.iter().any(|signed| is_by(signer, signed)));
    made_by.map(|signer| signer.name.clone()).ok_or_else(|| refusal(signers, evidence))
}

fn refusal(signers: &[Signer], evidence: &Evidence) -> Finding {
    let names: Vec<&str> = signers.iter().map(|signer| signer.name.as_str()).collect();
    let names = names.join(", ");
    let message = match (evidence.signed.len(), &evidence.instead) {
        (0, Some(instead)) => format!("the tenant wants a signature, and {instead}"),
        (0, None) => "the tenant wants a signature, and there is none".into(),
        (1, _) => format!("its signature is not over these bytes with the key of a signer ({names})"),
        (count, _) => {
            format!("none of its {count} signatures is over these bytes with the key of a signer ({names})")
        }
    };
    let remedy = format!(
        "sign exactly these bytes with the key of one of {names}: `cosign sign-blob --key` or `openssl dgst -sha256 -sign` \
         makes what `airlock adaptor push --signature FILE` sends; what is pulled, `cosign sign --key` signs in its registry"
    );
    Finding::fails(message, remedy)
}
