//! Holds JSON against a rule, in one pass over its text: nothing is copied, and no tree is built of it.

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    rule::{Form, Kinds, Rule, is_name},
    shown::{Count, Quoted, Start},
};
use crate::api::openai::request::Name;

/// What is wrong with a body.
pub(in crate::api::openai) struct Fault {
    /// The path of the field, as OpenAI writes it: `messages[1].content[0].image_url.url`.
    pub(in crate::api::openai) param: String,
    pub(in crate::api::openai) wrong: Wrong,
}

pub(in crate::api::openai) enum Wrong {
    /// It has to be there.
    Missing,
    /// What it is, and what it must be.
    Value { is: String, must: String },
}

/// The first fault that was found. The walk goes on to the end of the text, which has to be JSON in any case.
pub(in crate::api::openai) struct Check {
    first: RefCell<Option<Fault>>,
    is_quick: bool,
}

impl Check {
    /// Reads everything once. What it lets through is in order; what it does not may be so still, for a careful one: half a
    /// surrogate pair in a text is none of the gateway's business.
    pub(in crate::api::openai) fn quick() -> Self {
        Self { first: RefCell::default(), is_quick: true }
    }

    /// Looks at the beginning of what may be a text before it is read, once more in each list and object around it.
    pub(in crate::api::openai) fn careful() -> Self {
        Self { first: RefCell::default(), is_quick: false }
    }

    /// Whether all that has been walked over fits.
    pub(in crate::api::openai) fn is_clean(&self) -> bool {
        self.first.borrow().is_none()
    }

    /// Whether all that was walked over fits.
    pub(in crate::api::openai) fn finish(self) -> Result<(), Fault> {
        self.first.into_inner().map_or(Ok(()), Err)
    }

    /// For a field of the body.
    pub(in crate::api::openai) fn field<'a>(&'a self, name: &'a str, rule: &'a Rule) -> Walk<'a> {
        Walk { rule, at: At { above: None, step: Step::Field(name) }, check: self }
    }

    /// Holds the text of a field against its rule.
    pub(in crate::api::openai) fn text(
        &self,
        name: &str,
        rule: &Rule,
        text: &RawValue,
    ) -> Result<(), serde_json::Error> {
        self.field(name, rule).deserialize(&mut serde_json::Deserializer::from_str(text.get())).map(drop)
    }

    fn note(&self, at: &At<'_>, wrong: impl FnOnce() -> Wrong) {
        let mut first = self.first.borrow_mut();
        first.get_or_insert_with(|| Fault { param: at.to_string(), wrong: wrong() });
    }
}

/// Where in the body something stands.
#[derive(Clone, Copy)]
struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
    /// Of an object whose keys are the client's own.
    Key(&'a str),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        let dot = if self.above.is_some() { "." } else { "" };
        match self.step {
            Step::Field(name) => write!(f, "{dot}{name}"),
            Step::Item(number) => write!(f, "[{number}]"),
            Step::Key(key) if key.len() <= 64 && key.bytes().all(|b| b.is_ascii_graphic()) => {
                write!(f, "{dot}{key}")
            }
            // It would make the path unreadable.
            Step::Key(_) => Ok(()),
        }
    }
}

/// What stood somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::api::openai) enum Found {
    Null,
    EmptyList,
    Something,
}

/// A rule, held against one value.
#[derive(Clone, Copy)]
pub(in crate::api::openai) struct Walk<'a> {
    rule: &'a Rule,
    at: At<'a>,
    check: &'a Check,
}

impl<'a> Walk<'a> {
    fn refuse(&self, is: impl fmt::Display) -> Found {
        self.refuse_as(is, self.rule)
    }

    fn refuse_as(&self, is: impl fmt::Display, must: impl fmt::Display) -> Found {
        self.check.note(&self.at, || Wrong::Value { is: is.to_string(), must: must.to_string() });
        Found::Something
    }

    fn below(&'a self, step: Step<'a>, rule: &'a Rule) -> Self {
        Self { rule, at: At { above: Some(&self.at), step }, check: self.check }
    }

    /// A value whose first byte tells enough.
    fn raw(&self, raw: &RawValue) -> Result<Found, serde_json::Error> {
        let text = raw.get();
        match (self.rule, text.as_bytes().first()) {
            (_, Some(b'n')) => Ok(Found::Null),
            (Rule::Any, _) | (Rule::Text | Rule::TextOr(_) | Rule::Input(_), Some(b'"')) => {
                Ok(Found::Something)
            }
            (Rule::Object, Some(b'{')) => Ok(Found::Something),
            (Rule::TextOr(rule @ Rule::List(..)), Some(b'['))
            | (Rule::TextOr(rule @ Rule::Fields(_)), Some(b'{')) => {
                serde_json::Deserializer::from_str(text).deserialize_any(Walk { rule, ..*self })
            }
            (Rule::Input(_), Some(b'[')) => serde_json::Deserializer::from_str(text).deserialize_any(*self),
            (_, Some(b'[')) => Ok(self.refuse("a list")),
            (_, Some(b'{')) => Ok(self.refuse("an object")),
            (_, Some(b'"')) => Ok(self.refuse("a string")),
            _ => Ok(self.refuse(Start(text))),
        }
    }

    fn number(&self, is: impl fmt::Display, value: f64, whole: Option<i128>) -> Found {
        let fits = match *self.rule {
            Rule::Int(min, max) => whole.is_some_and(|n| (i128::from(min)..=i128::from(max)).contains(&n)),
            Rule::Number(min, max) => (min..=max).contains(&value),
            _ => false,
        };
        if fits { Found::Something } else { self.refuse(is) }
    }

    fn items<'de, A: SeqAccess<'de>>(
        self,
        mut list: A,
        rule: &Rule,
        sizes: (usize, usize),
    ) -> Result<Found, A::Error> {
        let mut count = 0;
        loop {
            let item = self.below(Step::Item(count), rule);
            match list.next_element_seed(item)? {
                None => break,
                Some(Found::Null) => drop(item.refuse("null")),
                Some(_) => {}
            }
            count += 1;
        }
        let (min, max) = sizes;
        if (min..=max).contains(&count) {
            return Ok(if count == 0 { Found::EmptyList } else { Found::Something });
        }
        Ok(self.refuse(Count(count)))
    }

    /// The first item says what the list is of.
    fn input<'de, A: SeqAccess<'de>>(self, mut list: A, max: usize) -> Result<Found, A::Error> {
        const TOKENS: Rule = Rule::List(1, usize::MAX, &TOKEN);
        const TOKEN: Rule = Rule::Int(0, i64::MAX);
        const ITEM: Rule = Rule::TextOr(&TOKENS);
        let Some(first) = list.next_element::<&RawValue>()? else { return Ok(self.refuse(Count(0))) };
        let rule = match first.get().as_bytes().first() {
            Some(b'"') => &Rule::Text,
            Some(b'[') => &TOKENS,
            Some(b'0'..=b'9' | b'-') => &TOKEN,
            _ => &ITEM,
        };
        let item = self.below(Step::Item(0), rule);
        let first = item.deserialize(&mut serde_json::Deserializer::from_str(first.get()));
        let mut what = Some(first.map_err(A::Error::custom)?);
        let mut count = 0;
        while let Some(found) = what {
            if found == Found::Null {
                self.below(Step::Item(count), rule).refuse("null");
            }
            count += 1;
            what = list.next_element_seed(self.below(Step::Item(count), rule))?;
        }
        // A list of tokens is one input, however long it is.
        let is_one = matches!(rule, Rule::Int(..));
        if is_one || count <= max { Ok(Found::Something) } else { Ok(self.refuse(Count(count))) }
    }

    fn fields<'de, A: MapAccess<'de>>(self, mut map: A, known: &'static Form) -> Result<Found, A::Error> {
        let mut found = Vec::with_capacity(known.fields.len());
        let mut kind = None;
        while let Some(Name(name)) = map.next_key()? {
            if let Some(kinds) = known.kinds.as_ref().filter(|kinds| kinds.tag == name) {
                let tag = map.next_value::<&RawValue>()?;
                if tag.get() != "null" {
                    found.push((kinds.tag, Found::Something));
                    kind = self.kind(kinds, tag).map_err(A::Error::custom)?;
                }
            } else if let Some((name, rule)) = known.rule(&name) {
                let what = map.next_value_seed(self.below(Step::Field(name), rule))?;
                if what != Found::Null {
                    found.push((*name, what));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        for name in known.needs.iter().chain(kind.unwrap_or_default()) {
            match found.iter().find(|(found, _)| found == name) {
                None => self.check.note(&self.below(Step::Field(name), &Rule::Any).at, || Wrong::Missing),
                Some((_, Found::EmptyList)) => {
                    let field = self.below(Step::Field(name), &Rule::Any);
                    field.refuse_as("an empty list", "a string, or a list that is not empty");
                }
                Some(_) => {}
            }
        }
        Ok(Found::Something)
    }

    /// What the kind of an object needs.
    fn kind(
        &self,
        kinds: &Kinds,
        tag: &RawValue,
    ) -> Result<Option<&'static [&'static str]>, serde_json::Error> {
        let here = self.below(Step::Field(kinds.tag), &Rule::Text);
        if !tag.get().starts_with('"') {
            here.raw(tag)?;
            return Ok(None);
        }
        let Name(kind) = serde_json::from_str(tag.get())?;
        let needs = kinds.needs(&kind);
        if needs.is_none() && !kinds.is_open {
            let names: Vec<&str> = kinds.names().collect();
            here.refuse_as(Quoted(&kind), format_args!("one of {}", names.join(", ")));
        }
        Ok(needs)
    }

    fn pairs<'de, A: MapAccess<'de>>(
        self,
        mut map: A,
        (max, longest): (usize, usize),
        rule: &Rule,
    ) -> Result<Found, A::Error> {
        let mut count = 0;
        while let Some(Name(key)) = map.next_key::<Name<'_>>()? {
            let pair = self.below(Step::Key(&key), rule);
            if longest < usize::MAX && key.chars().count() > longest {
                let is = format_args!("an object with the key {}", Quoted(&key));
                self.refuse_as(is, format_args!("an object with keys of at most {longest} characters"));
            }
            if map.next_value_seed(pair)? == Found::Null {
                pair.refuse("null");
            }
            count += 1;
        }
        if count > max {
            let is = format_args!("an object of {count} pairs");
            return Ok(self.refuse_as(is, format_args!("an object of at most {max} pairs")));
        }
        Ok(Found::Something)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        match self.rule {
            Rule::Text | Rule::TextOr(_) | Rule::Object | Rule::Input(_) if self.check.is_quick => {
                deserializer.deserialize_any(self)
            }
            Rule::Any | Rule::Text | Rule::TextOr(_) | Rule::Object | Rule::Input(_) => {
                self.raw(<&RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.rule, f)
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(if matches!(self.rule, Rule::Bool) { Found::Something } else { self.refuse(value) })
    }

    #[expect(clippy::cast_precision_loss, reason = "ranges of numbers are small")]
    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        Ok(self.number(value, value as f64, Some(value.into())))
    }

    #[expect(clippy::cast_precision_loss, reason = "ranges of numbers are small")]
    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        Ok(self.number(value, value as f64, Some(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        #[expect(clippy::cast_possible_truncation, reason = "checked: whole and within 2^53")]
        let whole = (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i128);
        Ok(self.number(value, value, whole))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        let fits = match *self.rule {
            Rule::Chars(min, max) => {
                let most = max.saturating_add(1);
                (min..=max).contains(&value.chars().take(most).count())
            }
            Rule::Name => is_name(value),
            Rule::OneOf(words) => words.contains(&value),
            Rule::Text | Rule::TextOr(_) | Rule::Input(_) => true,
            _ => false,
        };
        Ok(if fits { Found::Something } else { self.refuse(Quoted(value)) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        match *self.rule {
            Rule::List(min, max, rule) | Rule::TextOr(&Rule::List(min, max, rule)) => {
                self.items(list, rule, (min, max))
            }
            Rule::Input(max) => self.input(list, max),
            _ => {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(self.refuse("a list"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        match *self.rule {
            Rule::Fields(known) | Rule::TextOr(&Rule::Fields(known)) => self.fields(map, known),
            Rule::Map(max, longest, rule) => self.pairs(map, (max, longest), rule),
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                let fits = matches!(self.rule, Rule::Object);
                Ok(if fits { Found::Something } else { self.refuse("an object") })
            }
        }
    }
}
