//! What the soak sends: good requests, hostile ones, and clients that leave.

use crate::models;
use crate::rungs::Model;

/// One kind of request.
pub struct Kind {
    /// Its name in reports.
    pub name: &'static str,
    /// What it asks.
    pub model: Model,
    /// Whether it asks for a stream.
    pub streamed: bool,
    /// How many begin in a second, at most.
    pub per_second: f64,
    /// How many are open at a time, at most.
    pub at_once: u32,
    /// What it does, and what is right.
    pub act: Act,
}

/// What a request does, and which answer is right.
#[derive(Clone, Copy)]
pub enum Act {
    /// It is to be answered as always: each of these that is not is lost.
    Good(Right),
    /// It is to end as said, by status and code.
    Hostile(&'static str),
    /// Its client leaves.
    Leave(Moment),
}

/// The right answer.
#[derive(Clone, Copy)]
pub enum Right {
    /// The backend's, byte for byte.
    Backend,
    /// This many events with this word among them; the first answer is checked, the others are compared to it.
    Events(usize, &'static str),
}

/// When a client leaves.
#[derive(Clone, Copy)]
pub enum Moment {
    /// While nothing has come.
    Early,
    /// When the first event has come.
    Streaming,
}

/// All of them at once take 48 of 64 slots: a good request always finds one. Together they take about a
/// quarter of two cores before the good ones begin; those are held back where the machine would be too busy.
pub const ALL: [Kind; 16] = [
    good("plain, forwarded", models::FORWARD, 400.0, 6, Right::Backend),
    good("plain, relayed", models::REWRITE, 200.0, 4, Right::Backend),
    stream("stream, forwarded", models::FORWARD, 200.0, 6, Right::Backend),
    stream("stream, rewritten", models::REWRITE, 120.0, 6, Right::Events(20, "\"THE\"")),
    stream("stream, guest's own", models::EVENTS, 120.0, 4, Right::Events(4, "tok2 ")),
    hostile("dead loop", models::SPIN, false, 4.0, 3, "504 adaptor_cpu_limit"),
    hostile("dead loop in a stream", models::SPIN, true, 4.0, 3, "200 adaptor_cpu_limit"),
    hostile("trap", models::TRAP, false, 10.0, 2, "502 adaptor_trap"),
    hostile("memory bomb", models::GROW, false, 3.0, 1, "502 adaptor_memory_limit"),
    hostile("memory bomb in a stream", models::GROW, true, 3.0, 1, "502 adaptor_memory_limit"),
    leaves("gone before the head", models::HELD_FORWARD, false, Moment::Early),
    leaves("gone while a guest waits", models::HELD_REWRITE, false, Moment::Early),
    leaves("gone within a stream", models::DRIP_FORWARD, true, Moment::Streaming),
    leaves("gone within events", models::DRIP_REWRITE, true, Moment::Streaming),
    leaves("gone while a guest computes", models::SPIN, false, Moment::Early),
    leaves("gone while events compute", models::SPIN, true, Moment::Streaming),
];

const fn good(name: &'static str, model: Model, per_second: f64, at_once: u32, right: Right) -> Kind {
    Kind { name, model, streamed: false, per_second, at_once, act: Act::Good(right) }
}

const fn stream(name: &'static str, model: Model, per_second: f64, at_once: u32, right: Right) -> Kind {
    Kind { streamed: true, ..good(name, model, per_second, at_once, right) }
}

const fn hostile(
    name: &'static str,
    model: Model,
    streamed: bool,
    per_second: f64,
    at_once: u32,
    end: &'static str,
) -> Kind {
    Kind { name, model, streamed, per_second, at_once, act: Act::Hostile(end) }
}

const fn leaves(name: &'static str, model: Model, streamed: bool, moment: Moment) -> Kind {
    Kind { name, model, streamed, per_second: 5.0, at_once: 2, act: Act::Leave(moment) }
}

impl Kind {
    /// Whether it is to be answered as always.
    pub fn is_good(&self) -> bool {
        matches!(self.act, Act::Good(_))
    }
}

/// The models that they ask, each once.
pub fn models() -> Vec<Model> {
    let mut models = Vec::new();
    for kind in &ALL {
        if !models.contains(&kind.model) {
            models.push(kind.model);
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_slot_for_a_good_request() {
        assert_eq!(ALL.iter().map(|kind| kind.at_once).sum::<u32>(), 48);
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(models().len(), 10);
    }
}
