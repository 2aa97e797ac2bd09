//! Other systems: nothing of this is there.

use super::{Access, Outcome, Step};

fn unknown(action: &'static str) -> Step {
    Step { action, outcome: Outcome::CouldNot("only Linux can, for this version of airlock".to_owned()) }
}

pub(super) fn give_up_privileges() -> Vec<Step> {
    vec![unknown("give up privileges")]
}

pub(super) fn confine(_: &Access) -> Vec<Step> {
    vec![unknown("confine access to files and system calls")]
}

pub(super) fn confine_compiler() -> Vec<Step> {
    vec![unknown("confine access to files and system calls")]
}
