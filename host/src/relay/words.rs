//! What events are searched for before any is parsed. Most hold nothing of it.

use memchr::memmem::Finder;

/// The words, made ready once for a stream: to make them ready costs more than to search an event.
pub(super) struct Words {
    usage: Finder<'static>,
    done: Finder<'static>,
    error: Finder<'static>,
}

impl Default for Words {
    fn default() -> Self {
        Self { usage: Finder::new("\"usage\""), done: Finder::new("[DONE]"), error: Finder::new("error") }
    }
}

impl Words {
    /// Whether a `"usage"` that is not null may be in here; text that merely quotes it costs a parse.
    pub(super) fn may_hold_usage(&self, events: &[u8]) -> bool {
        self.usage.find_iter(events).any(|at| !is_null(events.get(at + 7..).unwrap_or_default()))
    }

    /// Whether `[DONE]` is in here.
    pub(super) fn hold_done(&self, events: &[u8]) -> bool {
        self.done.find(events).is_some()
    }

    /// Whether events without names may tell of an error; text that merely quotes the word costs a parse.
    pub(super) fn may_tell_error(&self, events: &[u8]) -> bool {
        self.error.find_iter(events).any(|at| {
            let (before, after) = events.split_at(at);
            match after.get(5..).and_then(<[u8]>::split_first) {
                Some((b'"', after)) => before.ends_with(b"\"") && !is_null(after),
                Some((b'\n' | b'\r' | b' ', _)) => before.trim_ascii_end().ends_with(b"event:"),
                _ => false,
            }
        })
    }
}

/// Whether `null` is the value of a member whose name ends right before this.
fn is_null(after_name: &[u8]) -> bool {
    let value = after_name.trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_error_is_not_parsed() {
        for (events, may) in [
            ("data: {\"error\":{}}", true),
            ("data: {\"object\":\"error\"}", true),
            ("event: error\ndata: 1", true),
            ("event:error\rdata: 1", true),
            ("data: {\"error\" : null}", false),
            ("data: {\"content\":\"an error\"}", false),
            ("data: {\"content\":\"\\\"error\\\"\"}", false),
            ("event: errors\ndata: 1", false),
        ] {
            assert_eq!(Words::default().may_tell_error(events.as_bytes()), may, "{events}");
        }
    }

    #[test]
    fn a_usage_that_is_null_is_none() {
        for (events, may) in [
            ("data: {\"usage\":{}}", true),
            ("data: {\"usage\" : null}", false),
            ("data: {\"usage\":null,\"x\":{\"usage\":1}}", true),
            ("data: {\"content\":\"usage\"}", true),
            ("data: {}", false),
        ] {
            assert_eq!(Words::default().may_hold_usage(events.as_bytes()), may, "{events}");
        }
    }
}
