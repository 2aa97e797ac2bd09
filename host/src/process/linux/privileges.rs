//! Privileges of the calling thread, which the threads that it starts inherit.

use rustix::{
    io::{self, Errno},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

use super::super::Outcome;

const NONE: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Programs that it starts get none from their files' owner or capabilities.
pub(super) fn no_new_ones() -> Outcome {
    Outcome::of(set_no_new_privs(true))
}

/// Drops those that it has, and those that it could get.
pub(super) fn drop_capabilities() -> Outcome {
    match capabilities(None) {
        Ok(NONE) => Outcome::NotNeeded,
        Ok(_) => Outcome::of(drop_all()),
        Err(error) => Outcome::CouldNot(error.to_string()),
    }
}

fn drop_all() -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => match remove_capability_from_bounding_set(capability) {
                // It may not; new privileges are ruled out, so the bounding set bounds nothing.
                Err(Errno::PERM) => break,
                removed => removed?,
            },
            Ok(false) => {}
            Err(_) => break, // this kernel knows no more
        }
    }
    clear_ambient_capability_set()?;
    set_capabilities(None, NONE)
}

/// What confines a thread does not confine those that run beside it.
pub(super) fn only_one_thread() -> Outcome {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => Outcome::NotNeeded,
        Ok(more) => Outcome::CouldNot(format!("{more} threads run already")),
        Err(error) => Outcome::CouldNot(format!("/proc/self/task cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_runs_already_is_told() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || ended.recv());
        let Outcome::CouldNot(why) = only_one_thread() else { panic!("there are two") };
        assert!(why.contains("threads run already"), "{why}");
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
