//! What was asked and answered, as far as it is kept. Only clusters that want it have any.

/// Most bytes of a prompt that are kept, and of a result.
pub const MAX_EXCERPT: usize = 64 << 10;

/// The beginning of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    kept: Vec<u8>,
    length: u64,
}

impl Excerpt {
    /// The beginning of this one.
    pub fn of(body: &[u8]) -> Self {
        let mut excerpt = Self::default();
        excerpt.push(body);
        excerpt
    }

    /// The body goes on.
    pub fn push(&mut self, more: &[u8]) {
        let room = MAX_EXCERPT.saturating_sub(self.kept.len()).min(more.len());
        self.kept.extend_from_slice(more.get(..room).unwrap_or_default());
        self.length += more.len() as u64;
    }

    /// How long the whole body is, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is less than the whole body.
    pub fn is_cut(&self) -> bool {
        self.length > self.kept.len() as u64
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.kept.len()
    }

    /// As text. A letter that is cut in two, and what is no UTF-8, is shown by the replacement character.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// What was asked and answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The request's body; of a form its model alone.
    pub prompt: Excerpt,
    /// What went to the client of the answer's body, sound aside.
    pub result: Excerpt,
}

impl Content {
    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.prompt.size() + self.result.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_bounded_and_says_so() {
        let mut excerpt = Excerpt::of(b"abc");
        assert_eq!((excerpt.text().as_str(), excerpt.length(), excerpt.is_cut()), ("abc", 3, false));
        excerpt.push(&vec![b'x'; MAX_EXCERPT]);
        assert_eq!(
            (excerpt.size(), excerpt.length(), excerpt.is_cut()),
            (MAX_EXCERPT, 3 + MAX_EXCERPT as u64, true)
        );
        assert_eq!(Excerpt::of(&[b'a', 0xff]).text(), "a\u{fffd}");
    }
}
