//! What the holder of a key is, and what the key may be used for. Both are stored as words.

use std::fmt;

/// What the holder of a key is. Who is more may do all that others may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Uses the tenant's endpoints.
    User,
    /// Brings adaptors and endpoints of the tenant.
    Developer,
    /// Decides about the tenant: its members, keys and secrets.
    Admin,
    /// Decides about the gateway and all of its tenants.
    Operator,
}

impl Role {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::User, Self::Developer, Self::Admin, Self::Operator];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }

    /// The role with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Asking models.
    Inference,
    /// Reading what the role may read.
    Read,
    /// Changing what the role may change.
    Write,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inference, Self::Read, Self::Write];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The scope with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether a scope is in it.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    /// The set that is written like this: words, separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',').filter(|word| !word.is_empty()).map(Scope::parse).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(scope.bit())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_written_as_words() {
        assert!(
            Role::User < Role::Developer && Role::Developer < Role::Admin && Role::Admin < Role::Operator
        );
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn sets_of_scopes_are_written_and_read() {
        for bits in 0..8 {
            let set: Scopes = Scope::ALL.into_iter().filter(|scope| bits & scope.bit() != 0).collect();
            assert_eq!(Scopes::parse(&set.to_string()), Some(set));
            assert_eq!(set.iter().count(), set.0.count_ones() as usize);
        }
        assert_eq!(Scopes::from(Scope::Read).to_string(), "read");
        assert_eq!(Scopes::parse("inference,everything"), None);
    }
}
