//! Confines itself as the gateway or as its compiler does, or not at all, then tries what each may and may not
//! do, and prints a line for each try. For `it/process.rs`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program of the tests, and its output")]

use std::path::PathBuf;

/// Where to try.
struct Place {
    /// Holds `secret`, `read/file` and the empty `write`.
    folder: PathBuf,
    /// A TCP port that somebody listens on.
    tcp: String,
    /// An abstract socket that somebody listens on.
    socket: String,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let confinement = arguments.next().unwrap();
    if confinement == "nothing" {
        return; // what the try `run-itself` runs
    }
    let mut next = || arguments.next().unwrap();
    let place = Place { folder: next().into(), tcp: next(), socket: next() };
    linux::run(&confinement, &place);
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn run(_: &str, _: &super::Place) {
        println!("only Linux confines");
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        io::{self, ErrorKind},
        net::{TcpListener, TcpStream, UdpSocket},
        os::{
            linux::net::SocketAddrExt as _,
            unix::{fs::PermissionsExt as _, net},
        },
        path::Path,
        process::{Command, Stdio},
        time::Duration,
    };

    use airlock::process::{self, Access, CompilerLimits, Outcome, Step};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags};

    use super::Place;

    type Try = fn(&Place) -> io::Result<()>;

    /// In this order: the last one leaves the process traced.
    const TRIES: [(&str, Try); 22] = [
        ("read-inside", |place| fs::read(place.folder.join("read/file")).map(drop)),
        ("read-outside", |place| fs::read(place.folder.join("secret")).map(drop)),
        ("list-outside", |place| fs::read_dir(&place.folder).map(drop)),
        ("write-inside", |place| fs::write(place.folder.join("write/new"), "x")),
        ("rename-inside", |place| {
            fs::rename(place.folder.join("write/new"), place.folder.join("write/renamed"))
        }),
        ("write-to-read", |place| fs::write(place.folder.join("read/new"), "x")),
        ("write-outside", |place| fs::write(place.folder.join("new"), "x")),
        ("change-mode", |place| {
            fs::set_permissions(place.folder.join("write"), fs::Permissions::from_mode(0o700))
        }),
        ("parents-environment", |_| {
            fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id())).map(drop)
        }),
        ("run-another", |_| status(&mut Command::new("/bin/true"))),
        ("run-another-by-the-loader", |_| status(Command::new(loader()).arg("/bin/true"))),
        ("run-itself", |_| status(Command::new("/proc/self/exe").arg("nothing"))),
        ("start-a-thread", |_| {
            std::thread::Builder::new().spawn(|| {})?.join().map_err(|_| ErrorKind::Other.into())
        }),
        ("listen", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
        ("connect", |place| TcpStream::connect(&place.tcp).map(drop)),
        ("datagrams", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("abstract-socket", |place| {
            net::UnixStream::connect_addr(&net::SocketAddr::from_abstract_name(&place.socket)?).map(drop)
        }),
        ("odd-socket", |_| {
            Ok(socket(AddressFamily::Alg, SockType::SeqPacket, SockFlag::empty(), None).map(drop)?)
        }),
        ("signal-the-parent", |_| {
            Ok(rustix::process::test_kill_process(rustix::process::getppid().ok_or(ErrorKind::NotFound)?)?)
        }),
        ("much-memory", |_| {
            Vec::<u8>::new().try_reserve_exact(3 << 30).map_err(|_| ErrorKind::OutOfMemory.into())
        }),
        ("files-of-a-process", |_| {
            let itself = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
            Ok(rustix::process::pidfd_getfd(itself, 1, PidfdGetfdFlags::empty()).map(drop)?)
        }),
        ("trace", |_| Ok(nix::sys::ptrace::traceme()?)),
    ];

    pub fn run(confinement: &str, place: &Place) {
        for complaint in confine(confinement, place) {
            println!("{complaint}");
        }
        if confinement == "spin" {
            spin();
        }
        for (name, attempt) in TRIES {
            match attempt(place) {
                Ok(()) => println!("{name}=done"),
                Err(error) => match error.kind() {
                    ErrorKind::PermissionDenied | ErrorKind::OutOfMemory => println!("{name}=refused"),
                    _ => println!("{name}={error}"),
                },
            }
        }
    }

    fn confine(confinement: &str, place: &Place) -> Vec<String> {
        let limits = CompilerLimits { cpu_seconds: 60, memory_bytes: 2 << 30 };
        match confinement {
            "gateway" => {
                let read = vec![place.folder.join("read"), place.folder.join("not-there")];
                let access = Access { read, write: vec![place.folder.join("write")] };
                complaints(process::harden().into_iter().chain(process::confine(&access)))
            }
            "compiler" => process::confine_compiler(&limits),
            "spin" => process::confine_compiler(&CompilerLimits { cpu_seconds: 1, ..limits }),
            _ => Vec::new(),
        }
    }

    /// But for the hard limit of files, which is this machine's.
    fn complaints(steps: impl Iterator<Item = Step>) -> Vec<String> {
        let complaint = |step: Step| match step.outcome {
            Outcome::CouldNot(why) if !step.action.contains("open files") => Some(why),
            _ => None,
        };
        steps.filter_map(complaint).collect()
    }

    fn status(command: &mut Command) -> io::Result<()> {
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        // The loader starts, and ends with a code of its own where it may not read the program.
        if done.success() { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
    }

    fn loader() -> String {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let is_loader = |path: &&str| {
            Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-"))
        };
        maps.split_whitespace().find(is_loader).unwrap_or("/none").to_owned()
    }

    /// Uses three seconds of CPU time, if it is let.
    fn spin() {
        use rustix::time::{ClockId, clock_gettime};
        let used = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        while used() < Duration::from_secs(3) {
            std::hint::spin_loop();
        }
    }
}
