//! From what a provider says of somebody to a caller: whose they are and what they may do, as the operator has written it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    auth::{AuthError, Caller, Identity, Role, Scope, Scopes, tokens::verdicts::Verdict},
    config::{AuthSection, ConfigError, RightsSection, ServiceAccountSection},
};

/// What a provider says of who shows a token. All of it is checked.
pub(super) struct Person {
    /// Who it is, for ever the same at this provider.
    pub(super) subject: String,
    /// Whether it is a program of its own, with nobody behind it.
    pub(super) is_service: bool,
    /// Further ids by which a service account may be listed. Only those that no person can have.
    pub(super) aliases: Vec<String>,
    /// What it is called in short.
    pub(super) username: String,
    /// What it is called.
    pub(super) full_name: String,
    pub(super) groups: Vec<String>,
    pub(super) domain: Option<String>,
    /// Id and name of where it has logged in.
    pub(super) provider: (String, String),
    /// When the token ends, in Unix seconds.
    pub(super) expires_at: Option<i64>,
}

/// What is written of the people of one provider.
pub(super) struct Rules {
    issuer: String,
    service: &'static str,
    rights: Vec<Rights>,
    accounts: HashMap<String, Account>,
}

struct Rights {
    group: Option<String>,
    grant: Grant,
}

struct Account {
    name: Arc<str>,
    groups: Vec<String>,
    grant: Grant,
}

/// Whose somebody is, and what they may do.
#[derive(Clone)]
struct Grant {
    tenant: Arc<str>,
    role: Role,
    scopes: Scopes,
}

impl Rules {
    /// Those of a section for this issuer, of this kind of service.
    pub(super) fn read(
        section: &AuthSection,
        issuer: &str,
        service: &'static str,
    ) -> Result<Self, ConfigError> {
        let is_ours = |named: &Option<String>| named.as_deref().is_none_or(|named| named == issuer);
        let mut rights = Vec::new();
        for one in section.rights.iter().filter(|one| is_ours(&one.issuer)) {
            rights.push(Rights { group: one.group.clone(), grant: Grant::of_rights("auth.rights", one)? });
        }
        let all = RightsSection::default();
        rights.push(Rights { group: None, grant: Grant::of_rights("auth.rights", &all)? });
        let mut accounts = HashMap::new();
        for one in section.service_accounts.iter().filter(|one| is_ours(&one.issuer)) {
            let ServiceAccountSection { id, name, tenant, role, scopes, groups, .. } = one;
            let what = format!("auth.service_accounts {name}");
            let grant = Grant::read(&what, tenant, role, scopes)?;
            let account = Account { name: name.as_str().into(), groups: groups.clone(), grant };
            if accounts.insert(id.clone(), account).is_some() {
                return Err(ConfigError(format!("{what}: the id {id} is listed twice; keep one of them")));
            }
        }
        Ok(Self { issuer: issuer.to_owned(), service, rights, accounts })
    }

    /// Whose tokens these are.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The service account that is listed for this person, if it is one.
    fn account(&self, person: &Person) -> Option<&Account> {
        let ids = std::iter::once(&person.subject).chain(&person.aliases);
        ids.filter_map(|id| self.accounts.get(id)).next()
    }

    /// Whether a service account is listed for them.
    pub(super) fn lists(&self, person: &Person) -> bool {
        self.account(person).is_some()
    }

    /// The caller that this person is.
    pub(super) fn caller(&self, person: Person) -> Verdict {
        let (name, grant, groups) = match self.account(&person) {
            Some(account) => {
                let groups = person.groups.iter().chain(&account.groups).cloned().collect();
                (Arc::clone(&account.name), account.grant.clone(), groups)
            }
            None if person.is_service => {
                let why = "it is a program's own, and no service account is listed for that";
                return Err(AuthError::Token(why));
            }
            None => (person.username.as_str().into(), self.grant(&person.groups)?, person.groups),
        };
        let user: Arc<str> = format!("{}#{}", self.issuer, person.subject).into();
        let (provider_id, provider_name) = person.provider;
        let Grant { tenant, role, scopes } = grant;
        let identity = Identity {
            subject: person.subject,
            username: person.username,
            full_name: person.full_name,
            provider_id,
            provider_name,
            service: self.service,
        };
        Ok(Caller {
            key_id: Arc::clone(&user),
            name,
            tenant,
            user,
            role,
            scopes,
            expires_at: person.expires_at,
            groups: groups.into(),
            domain: person.domain.map(Into::into),
            identity: Some(Arc::new(identity)),
        })
    }

    /// The first that fits; the last one fits everybody.
    fn grant(&self, groups: &[String]) -> Result<Grant, AuthError> {
        let fits = |one: &&Rights| one.group.as_ref().is_none_or(|group| groups.contains(group));
        self.rights.iter().find(fits).map(|one| one.grant.clone()).ok_or(AuthError::Invalid)
    }
}

impl Grant {
    fn of_rights(what: &str, section: &RightsSection) -> Result<Self, ConfigError> {
        Self::read(what, &section.tenant, &section.role, &section.scopes)
    }

    fn read(what: &str, tenant: &str, role: &str, scopes: &[String]) -> Result<Self, ConfigError> {
        let known_roles = Role::ALL.map(Role::as_str).join(", ");
        let role = Role::parse(role)
            .ok_or_else(|| ConfigError(format!("{what}: {role:?} is no role; there are {known_roles}")))?;
        let known_scopes = Scope::ALL.map(Scope::as_str).join(", ");
        let scope = |word: &String| {
            let unknown = || ConfigError(format!("{what}: {word:?} is no scope; there are {known_scopes}"));
            Scope::parse(word).ok_or_else(unknown)
        };
        Ok(Self { tenant: tenant.into(), role, scopes: scopes.iter().map(scope).collect::<Result<_, _>>()? })
    }
}
