//! Mutations of a corpus without a guide: the same ones in every run.

/// The longest input that comes out.
const MAX_LENGTH: usize = 64 << 10;

/// Makes inputs out of inputs.
pub struct Mutator {
    random: fastrand::Rng,
    /// What parts are taken of.
    others: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

impl Mutator {
    /// Equal arguments lead to equal mutations.
    pub fn new(seed: u64, others: Vec<Vec<u8>>, tokens: Vec<Vec<u8>>) -> Self {
        assert!(!others.is_empty() && !tokens.is_empty());
        Self { random: fastrand::Rng::with_seed(seed), others, tokens }
    }

    /// The input with one to four things changed.
    pub fn mutated(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..self.random.usize(1..=4) {
            self.mutate(&mut bytes);
            bytes.truncate(MAX_LENGTH);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.usize(..=bytes.len());
        match self.random.u8(..8) {
            0 => self.change(bytes, |random, byte| byte ^ (1 << random.u8(..8))),
            1 => self.change(bytes, |random, _| random.u8(..)),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(self.range(bytes.len()))),
            4 => {
                let range = self.range(bytes.len());
                let copy = bytes[range.clone()].repeat(self.random.usize(1..=3));
                bytes.splice(range.end..range.end, copy);
            }
            5 => {
                let token = &self.tokens[self.random.usize(..self.tokens.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            6 => {
                let token = &self.tokens[self.random.usize(..self.tokens.len())];
                let end = bytes.len().min(at + token.len());
                bytes.splice(at..end, token.iter().copied());
            }
            _ => {
                let other = self.random.usize(..self.others.len());
                let range = self.range(self.others[other].len());
                bytes.splice(at..at, self.others[other][range].iter().copied());
            }
        }
    }

    fn change(&mut self, bytes: &mut [u8], to: impl Fn(&mut fastrand::Rng, u8) -> u8) {
        if !bytes.is_empty() {
            let at = self.random.usize(..bytes.len());
            bytes[at] = to(&mut self.random, bytes[at]);
        }
    }

    /// Short ones are as likely as long ones.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.random.usize(..=length);
        let most = (length - start) >> self.random.u8(..6);
        start..start + self.random.usize(..=most)
    }
}
