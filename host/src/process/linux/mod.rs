//! Linux: capabilities, Landlock, seccomp.

mod files;
mod privileges;
mod syscalls;

use super::{Access, Step};

pub(super) fn give_up_privileges() -> Vec<Step> {
    vec![
        Step { action: "rule out new privileges", outcome: privileges::no_new_ones() },
        Step { action: "give up capabilities", outcome: privileges::drop_capabilities() },
    ]
}

pub(super) fn confine(access: &Access) -> Vec<Step> {
    vec![
        Step { action: "confine every thread", outcome: privileges::only_one_thread() },
        Step { action: "confine access to files", outcome: files::confine(access) },
        Step { action: "confine system calls", outcome: syscalls::confine() },
    ]
}

pub(super) fn confine_compiler() -> Vec<Step> {
    vec![
        Step { action: "confine every thread", outcome: privileges::only_one_thread() },
        Step { action: "rule out access to files", outcome: files::rule_out() },
        Step { action: "confine system calls", outcome: syscalls::confine_compiler() },
    ]
}
