//! The language of rules. A rule is held against JSON by `walk` and told as JSON Schema by `schema`.

use std::fmt;

/// What a value must be. `null` is an absent value, wherever it stands.
#[derive(Clone, Copy)]
pub(in crate::api::openai) enum Rule {
    /// Anything.
    Any,
    Bool,
    /// A string. Its contents are not looked at: it may be megabytes.
    Text,
    /// A string of so many characters.
    Chars(usize, usize),
    /// What something is called: 1 to 128 characters that are neither white space nor control characters. OpenAI's own
    /// models take fewer; others take these.
    Name,
    /// A whole number within these bounds; `5.0` is one, as it is for Python clients.
    Int(i64, i64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    /// Any object.
    Object,
    /// An object of which some fields are known. Others pass.
    Fields(&'static Form),
    /// A list of so many.
    List(usize, usize, &'static Rule),
    /// An object of so many pairs at most, with keys of so many characters.
    Map(usize, usize, &'static Rule),
    /// A string, or what the other rule says: a list or an object.
    TextOr(&'static Rule),
    /// A string, a list of tokens, or a list of so many strings or lists of tokens.
    Input(usize),
}

/// The known fields of an object.
pub(in crate::api::openai) struct Form {
    pub(in crate::api::openai) fields: &'static [(&'static str, Rule)],
    /// Those that must be there.
    pub(in crate::api::openai) needs: &'static [&'static str],
    /// What else must be there depends on what this field says.
    pub(in crate::api::openai) kinds: Option<Kinds>,
}

/// What the kinds of an object need. All kinds share one list of fields, so that an object is read in one pass, in
/// whatever order its fields come.
#[derive(Clone, Copy)]
pub(in crate::api::openai) struct Kinds {
    /// The field that names the kind.
    pub(in crate::api::openai) tag: &'static str,
    /// Of each kind, the fields that must be there; a list among them must not be empty.
    pub(in crate::api::openai) of: &'static [(&'static str, &'static [&'static str])],
    /// Whether there may be other kinds, of which nothing is known.
    pub(in crate::api::openai) is_open: bool,
}

impl Kinds {
    /// What a kind needs; `None` for one that is not known.
    pub(super) fn needs(&self, kind: &str) -> Option<&'static [&'static str]> {
        self.of.iter().find(|(name, _)| *name == kind).map(|(_, needs)| *needs)
    }

    pub(in crate::api::openai) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.of.iter().map(|(name, _)| *name)
    }
}

impl Form {
    /// The rule of a field, where it is known.
    pub(super) fn rule(&self, name: &str) -> Option<&'static (&'static str, Rule)> {
        self.fields.iter().find(|(known, _)| *known == name)
    }
}

/// Longest name.
pub(in crate::api::openai) const NAME: usize = 128;

/// Whether a string can be a [`Rule::Name`].
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME).contains(&text.chars().take(NAME + 1).count())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// What is allowed, to follow on "must be".
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => f.write_str("any value"),
            Self::Bool => f.write_str("true or false"),
            Self::Text => f.write_str("a string"),
            Self::Chars(1, usize::MAX) => f.write_str("a string that is not empty"),
            Self::Chars(min, max) => write!(f, "a string of {min} to {max} characters"),
            Self::Name => write!(f, "a name of 1 to {NAME} characters without white space"),
            Self::Int(i64::MIN, i64::MAX) => f.write_str("an integer"),
            Self::Int(min, i64::MAX) => write!(f, "an integer of at least {min}"),
            Self::Int(min, max) => write!(f, "an integer from {min} to {max}"),
            Self::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Self::Object | Self::Fields(_) | Self::Map(..) => f.write_str("an object"),
            Self::List(0, usize::MAX, _) => f.write_str("a list"),
            Self::List(1, usize::MAX, _) => f.write_str("a list that is not empty"),
            Self::List(min, max, item) => write!(f, "a list of {min} to {max} items, each {item}"),
            Self::TextOr(other) => write!(f, "a string or {other}"),
            Self::Input(usize::MAX) => {
                f.write_str("a string, a list of strings, a list of tokens or a list of such lists")
            }
            Self::Input(max) => {
                write!(f, "a string, a list of tokens, or a list of 1 to {max} strings or lists of tokens")
            }
        }
    }
}
