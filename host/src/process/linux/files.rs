//! Landlock: what is not allowed here, no thread of the process can open, whoever it runs as. Files that are
//! open already stay open.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
    path_beneath_rules,
};

use super::super::{Access, Outcome};

/// All that is asked of the kernel. `ADDED` and the guide say which Linux that is.
const VERSION: ABI = ABI::V6;

/// What a kernel that knows Landlock, but not this version of it, leaves open.
const ADDED: [(ABI, &str); 4] = [
    (ABI::V3, "truncating files (Linux 6.2)"),
    (ABI::V4, "listening on ports (Linux 6.7)"),
    (ABI::V5, "control of devices (Linux 6.10)"),
    (ABI::V6, "signals and abstract sockets (Linux 6.12)"),
];

/// What programs need to look up names, check certificates and load libraries. Folders, not the files in them:
/// a rule holds for the file that is there now, and `resolv.conf` is replaced when the network changes.
const SYSTEM: [&str; 13] = [
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/share",
    "/usr/share",
    // Of other processes it shows what it shows everybody: Landlock keeps their memory and environment away.
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/random",
    "/dev/urandom",
];

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const RUN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | Execute});
const DISCARD: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile});
/// Files and folders. Not devices, pipes, sockets or links.
const CHANGE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});

/// Leaves it what is listed, and no further TCP port to listen on.
pub(super) fn confine(access: &Access) -> Outcome {
    let mapped = mapped_files();
    let run = mapped.iter().filter(|file| is_loader(file)).map(PathBuf::as_path);
    let restrict = || {
        everything()?
            .create()?
            .add_rules(path_beneath_rules(SYSTEM, READ))?
            .add_rules(path_beneath_rules(name_servers(), READ))?
            .add_rules(path_beneath_rules(&mapped, READ))?
            .add_rules(path_beneath_rules(run.chain([Path::new("/proc/self/exe")]), RUN))?
            .add_rules(path_beneath_rules(["/dev/null"], DISCARD))?
            .add_rules(path_beneath_rules(&access.read, READ))?
            .add_rules(path_beneath_rules(&access.write, CHANGE))?
            .restrict_self()
    };
    outcome(restrict())
}

/// Leaves it nothing, not even connections.
pub(super) fn rule_out() -> Outcome {
    let restrict = || everything()?.handle_access(AccessNet::ConnectTcp)?.create()?.restrict_self();
    outcome(restrict())
}

fn everything() -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(VERSION))
}

fn outcome(result: Result<RestrictionStatus, RulesetError>) -> Outcome {
    let status = match result {
        Ok(status) if status.ruleset == RulesetStatus::FullyEnforced => return Outcome::Done,
        Ok(status) => status,
        Err(error) => return Outcome::CouldNot(error.to_string()),
    };
    Outcome::CouldNot(match status.landlock {
        LandlockStatus::NotImplemented => "this kernel has no Landlock".to_owned(),
        LandlockStatus::NotEnabled => {
            "Landlock is switched off in this kernel (its parameter `lsm`)".to_owned()
        }
        LandlockStatus::Available { effective_abi, .. } => missing(effective_abi),
    })
}

fn missing(version: ABI) -> String {
    let missing: Vec<&str> =
        ADDED.iter().filter(|(since, _)| *since > version).map(|(_, what)| *what).collect();
    format!("not in full: this kernel's Landlock does not know {}", missing.join(", "))
}

/// The program, its libraries and their loader, for children that run the same program.
fn mapped_files() -> BTreeSet<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').and_then(|at| line.get(at..)).map(PathBuf::from);
    maps.lines().filter_map(path).filter(|path| path.is_file()).collect()
}

/// The kernel runs a program through its loader, so that one has to be executable too.
fn is_loader(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("ld-"))
}

/// Where `resolv.conf` really is, if it is a link, as systemd and others make it.
fn name_servers() -> Option<PathBuf> {
    Some(std::fs::canonicalize("/etc/resolv.conf").ok()?.parent()?.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_leaves_open_is_named() {
        assert!(missing(ABI::V1).contains("truncating"));
        let told = missing(ABI::V5);
        assert!(told.contains("signals") && !told.contains("truncating"), "{told}");
    }

    #[test]
    fn this_program_is_among_its_mapped_files() {
        let program = std::fs::canonicalize("/proc/self/exe").unwrap();
        assert!(mapped_files().contains(&program));
    }
}
