//! Lists, a page at a time.

use serde_json::{Value, json};

use crate::api::{
    error::{ApiError, ErrorKind},
    openapi::About,
};

const MAX_LIMIT: u32 = 200;
const DEFAULT_LIMIT: u32 = 50;

impl About {
    /// It gives a page of a list.
    pub(super) fn pages(self) -> Self {
        let limit =
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT });
        self.parameter("query", "limit", "How many at most.", limit)
            .parameter("query", "after", "The `next` of the page before.", json!({ "type": "string" }))
            .fails(&[ErrorKind::InvalidValue])
    }
}

/// What part of a list is wanted: `?limit=50&after=NAME`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: u32,
    pub(super) after: Option<String>,
}

impl Page {
    /// Reads a query; anything else in it is refused.
    pub(super) fn of(query: Option<&str>) -> Result<Self, ApiError> {
        let mut page = Self { limit: DEFAULT_LIMIT, after: None };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let refuse = |message: String| {
                ApiError::new(ErrorKind::InvalidValue, message).param(key.clone().into_owned())
            };
            match &*key {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    page.limit =
                        limit.ok_or_else(|| refuse(format!("`limit` is a number from 1 to {MAX_LIMIT}.")))?;
                }
                // PostgreSQL's text cannot hold it.
                "after" if value.contains('\0') => {
                    return Err(refuse("`after` holds a NUL, and is no `next` of a page.".into()));
                }
                "after" => page.after = Some(value.into_owned()),
                _ => {
                    return Err(refuse(format!(
                        "A list has no parameter `{key}`; it has `limit` and `after`."
                    )));
                }
            }
        }
        Ok(page)
    }

    /// How many to ask for: one more than wanted, to know whether there are more.
    pub(super) fn to_ask(&self) -> u32 {
        self.limit + 1
    }

    /// A page of what was found, with where the next begins.
    pub(super) fn list<T>(
        &self,
        mut found: Vec<T>,
        name: impl Fn(&T) -> String,
        shown: impl Fn(&T) -> Value,
    ) -> Value {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(name);
        let data: Vec<Value> = found.iter().map(shown).collect();
        json!({ "object": "list", "data": data, "has_more": has_more, "next": next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whether_there_is_more() {
        let page = Page::of(Some("limit=2&after=a%2Fb")).unwrap();
        assert_eq!(page, Page { limit: 2, after: Some("a/b".into()) });
        let list = |found: Vec<u8>| page.list(found, ToString::to_string, |n| json!(n));
        assert_eq!(
            list(vec![1, 2, 3]),
            json!({"object": "list", "data": [1, 2], "has_more": true, "next": "2"})
        );
        assert_eq!(list(vec![1]), json!({"object": "list", "data": [1], "has_more": false, "next": null}));
        assert_eq!(Page::of(None).unwrap().limit, DEFAULT_LIMIT);
        for bad in ["limit=0", "limit=201", "limit=x", "page=2", "after=%00"] {
            assert!(Page::of(Some(bad)).is_err(), "{bad}");
        }
    }
}
