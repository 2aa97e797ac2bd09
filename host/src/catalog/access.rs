//! Who may use a cluster or an endpoint.

use crate::auth::Caller;

/// FIRST's two rules. An empty list lets everybody pass; where both are given, both must hold.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The caller is in one of these groups.
    pub groups: Vec<String>,
    /// The caller's identity is of one of these domains.
    pub domains: Vec<String>,
}

impl Access {
    /// Whether the rules let this caller pass.
    pub fn allows(&self, caller: &Caller) -> bool {
        let groups = self.groups.is_empty() || self.groups.iter().any(|g| caller.groups.contains(g));
        let domains = self.domains.is_empty()
            || caller
                .domain
                .as_ref()
                .is_some_and(|own| self.domains.iter().any(|d| d.eq_ignore_ascii_case(own)));
        groups && domains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, Scopes};

    #[test]
    fn every_rule_that_is_given_must_hold() {
        let caller = |groups: &[&str], domain: Option<&str>| Caller {
            key_id: "k".into(),
            name: "n".into(),
            tenant: "default".into(),
            user: "k".into(),
            role: Role::User,
            scopes: Scopes::default(),
            expires_at: None,
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            domain: domain.map(Into::into),
            identity: None,
        };
        let rules = Access { groups: vec!["g1".into()], domains: vec!["anl.gov".into()] };
        assert!(Access::default().allows(&caller(&[], None)));
        assert!(rules.allows(&caller(&["g0", "g1"], Some("ANL.gov"))));
        assert!(!rules.allows(&caller(&["g1"], None)));
        assert!(!rules.allows(&caller(&[], Some("anl.gov"))));
    }
}
