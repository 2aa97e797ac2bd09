//! A server that is asked about each token (RFC 7662), and what its answers have to say.

use serde_json::Value;

use super::{
    ask::{Ask, Away},
    claims::{self, text},
    jwt::Claims,
    rules::{Person, Rules},
    verdicts::Verdict,
};
use crate::{
    auth::AuthError,
    config::{ClientAccount, IntrospectionSection},
    store::now,
};

/// Such a server.
pub(super) struct Introspection {
    pub(super) section: IntrospectionSection,
    pub(super) account: ClientAccount,
    pub(super) rules: Rules,
    pub(super) skew: i64,
}

impl Introspection {
    /// Asks who shows this token.
    pub(super) async fn look_up(&self, ask: &Ask, token: &str) -> Result<Verdict, Away> {
        let form = [("token", token), ("token_type_hint", "access_token")];
        let answer = ask.post(&self.section.url, &self.account, &form).await?.good()?;
        let claims: Claims = answer.json()?;
        match is_active(&claims) {
            Some(true) => Ok(self.verdict(&claims)),
            Some(false) => {
                Ok(Err(AuthError::Token("whoever gives out tokens does not know it any more, or never did")))
            }
            None => Err(answer.away("and does not say whether the token is active")),
        }
    }

    fn verdict(&self, claims: &Claims) -> Verdict {
        let until = claims::valid_until(claims, now(), self.skew)?;
        claims::check_audience(claims, &self.section.audience)?;
        claims::check_scopes(claims, &self.section.required_scopes)?;
        let issuer = text(claims, "iss");
        if let (Some(own), Some(issuer)) = (&self.section.issuer, issuer)
            && own != issuer
        {
            return Err(AuthError::Token("another issuer has made it"));
        }
        let client = text(claims, "client_id");
        let subject = claims::subject(text(claims, "sub").or(client))?;
        let name = ["username", "preferred_username", "email", "name"];
        let username = claims::name(name.iter().find_map(|claim| text(claims, claim)).unwrap_or(&subject));
        self.rules.caller(Person {
            is_service: client == Some(&*subject),
            aliases: Vec::new(),
            full_name: text(claims, "name").map_or_else(|| username.clone(), claims::name),
            username,
            groups: claims::groups(claims, &self.section.groups_claim)?,
            domain: claims::domain(claims, &self.section.domain_claims),
            provider: (self.rules.issuer().to_owned(), issuer.unwrap_or_default().to_owned()),
            expires_at: until,
            subject,
        })
    }
}

/// Whether a token counts; `None` where that is not said with `true` or `false`.
pub(super) fn is_active(claims: &Claims) -> Option<bool> {
    claims.get("active").and_then(Value::as_bool)
}
