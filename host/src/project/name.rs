//! Names: of adaptors, and of projects, which are names of packages and modules too.

use serde::Deserialize;

use super::{ProjectError, packed};

/// The longest name.
const MAX_LENGTH: usize = 64;

/// Words of the languages, and modules that a project's own would hide.
const RESERVED: &[&str] = &[
    "abstract",
    "airlock",
    "alloc",
    "and",
    "as",
    "asyncio",
    "async",
    "await",
    "become",
    "box",
    "break",
    "case",
    "catch",
    "class",
    "collections",
    "const",
    "continue",
    "core",
    "crate",
    "def",
    "default",
    "delete",
    "do",
    "dyn",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "final",
    "finally",
    "fn",
    "for",
    "from",
    "function",
    "gen",
    "global",
    "if",
    "impl",
    "import",
    "in",
    "interface",
    "is",
    "json",
    "lambda",
    "let",
    "logging",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "none",
    "nonlocal",
    "not",
    "null",
    "or",
    "override",
    "package",
    "pass",
    "priv",
    "private",
    "proc-macro",
    "protected",
    "pub",
    "public",
    "raise",
    "re",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "switch",
    "sys",
    "test",
    "this",
    "throw",
    "time",
    "trait",
    "true",
    "try",
    "type",
    "types",
    "typing",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "var",
    "void",
    "where",
    "while",
    "wit-world",
    "with",
    "yield",
];

/// What an adaptor is called: words in lower case and digits, with hyphens between them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// The name as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = ProjectError;

    fn try_from(name: String) -> Result<Self, ProjectError> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let why = match name.bytes().next() {
            Some(first) if !first.is_ascii_lowercase() => "it has to begin with a small letter",
            _ if !name.split('-').all(is_word) => {
                "write small letters, digits and single hyphens between them, as in `my-adaptor`"
            }
            _ if name.len() > MAX_LENGTH => "it is longer than 64 letters",
            _ => return Ok(Self(name)),
        };
        Err(ProjectError::Name { name, why: why.to_owned() })
    }
}

/// A name that a new project can have, in whatever language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName(Name);

impl ProjectName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, ProjectError> {
        let found = Name::try_from(name.to_owned())?;
        let refuse = |why: String| Err(ProjectError::Name { name: name.to_owned(), why });
        if RESERVED.contains(&name) {
            return refuse(
                "the word means something else in Rust, Python or JavaScript; add another to it".to_owned(),
            );
        }
        if packed::crates().any(|other| other == name) {
            return refuse(format!("a project builds with a crate `{name}`; add a word to it"));
        }
        Ok(Self(found))
    }

    /// `my-adaptor`
    pub fn kebab(&self) -> &str {
        self.0.as_str()
    }

    /// `my_adaptor`
    pub fn snake(&self) -> String {
        self.kebab().replace('-', "_")
    }

    /// `MyAdaptor`
    pub fn camel(&self) -> String {
        let capital = |word: &str| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{}{rest}", first.to_uppercase())
        };
        self.kebab().split('-').map(capital).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_small_words_with_hyphens() {
        for name in ["a", "my-adaptor", "vllm-2", "custom-endpoint"] {
            assert!(ProjectName::parse(name).is_ok(), "{name}");
        }
        for name in
            ["", "-a", "a-", "a--b", "A", "2a", "a_b", "a b", "a/b", "../a", "ä", "a.b", &"a".repeat(65)]
        {
            assert!(ProjectName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn words_and_crates_that_are_taken_are_refused() {
        for (name, why) in [
            ("match", "means something else"),
            ("json", "means something else"),
            ("serde", "a crate `serde`"),
            ("airlock-adaptor", "a crate `airlock-adaptor`"),
            ("wit-bindgen", "a crate `wit-bindgen`"),
        ] {
            let error = ProjectName::parse(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_name_has_three_spellings() {
        let name = ProjectName::parse("my-2nd-adaptor").unwrap();
        assert_eq!((name.kebab(), name.snake().as_str()), ("my-2nd-adaptor", "my_2nd_adaptor"));
        assert_eq!(name.camel(), "My2ndAdaptor");
    }
}
