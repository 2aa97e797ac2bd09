//! The demo tokenizer, and cutting an answer by `stop` and `max_tokens`.
//!
//! A token is a word of up to twelve letters or digits, or one other character, each together with
//! the white space before it. Joined again, the tokens are the text; that is what a stream relies on.

/// Longer words are several tokens, and so is a text in a script without spaces.
const LONGEST_WORD: usize = 12;

/// The tokens of a text, in order.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, tail) = rest.split_at_checked(token_len(rest))?;
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// How many tokens a text has.
pub(super) fn count(text: &str) -> usize {
    split(text).count()
}

/// The length in bytes of the first token.
fn token_len(text: &str) -> usize {
    let word = text.trim_start();
    let blank = text.len() - word.len();
    let mut chars = word.chars();
    let Some(first) = chars.next() else {
        return text.len();
    };
    if !is_word(first) {
        return blank + first.len_utf8();
    }
    let more = chars.take(LONGEST_WORD - 1).take_while(|c| is_word(*c));
    blank + first.len_utf8() + more.map(char::len_utf8).sum::<usize>()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where an answer has to end.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The answer ends before the first of these.
    pub(super) stop: Vec<String>,
    /// The most tokens an answer may have.
    pub(super) max_tokens: Option<u64>,
}

impl Limits {
    /// Cuts a text and says why it ended: `stop` or `length`.
    pub(super) fn cut(&self, mut text: String) -> (String, &'static str) {
        let stops = self.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = stops.filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
        }
        let Some(max) = self.max_tokens.and_then(|max| usize::try_from(max).ok()) else {
            return (text, "stop");
        };
        let kept = split(&text).take(max).map(str::len).sum();
        if kept == text.len() {
            return (text, "stop");
        }
        text.truncate(kept);
        (text, "length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_and_punctuation_with_the_space_before() {
        let tokens: Vec<_> = split(" Hello, wide  world!\n").collect();
        assert_eq!(tokens, [" Hello", ",", " wide", "  world", "!", "\n"]);
        assert_eq!(count(""), 0);
        assert_eq!(count("internationalization"), 2);
    }

    #[test]
    fn joined_tokens_are_the_text() {
        for text in ["", "  ", "a b", "“Grüße”, 世界世界世界世界世界世界世界!", "x\u{a0}y\t\n"]
        {
            assert_eq!(split(text).collect::<String>(), text);
        }
    }

    #[test]
    fn an_answer_ends_at_the_first_stop() {
        let limits = Limits { stop: vec!["four".into(), "two".into(), String::new()], max_tokens: None };
        assert_eq!(limits.cut("one two three four".into()), ("one ".into(), "stop"));
    }

    #[test]
    fn an_answer_ends_at_the_token_limit_and_only_then_says_length() {
        let limits = |max_tokens| Limits { stop: Vec::new(), max_tokens: Some(max_tokens) };
        assert_eq!(limits(2).cut("one two three".into()), ("one two".into(), "length"));
        assert_eq!(limits(3).cut("one two three".into()), ("one two three".into(), "stop"));
        assert_eq!(limits(0).cut("one".into()), (String::new(), "length"));
    }
}
