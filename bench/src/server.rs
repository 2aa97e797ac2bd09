//! A process under test: started with its output in files, watched through /proc, stopped when dropped.

use crate::error::{Context, Fallible};
use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STOP_LIMIT: Duration = Duration::from_secs(5);
const TAIL_BYTES: u64 = 2000;

/// A running process, with whatever children it has.
pub struct Server {
    /// How it was started, as it would be typed.
    pub command: String,
    name: &'static str,
    child: Child,
    output: PathBuf,
    logs: Vec<PathBuf>,
}

/// What a process and its children have used.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Processor time, user and system, of all threads.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss: u64,
}

impl Server {
    /// Starts `command`; its output goes to `NAME.out` and `NAME.err` in `dir`.
    pub fn start(name: &'static str, mut command: Command, dir: &Path) -> Fallible<Self> {
        let output = dir.join(format!("{name}.out"));
        let log = dir.join(format!("{name}.err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(appending(&output)?)
            .stderr(appending(&log)?)
            .spawn()
            .context(|| format!("cannot start {name} ({})", shown(&command)))?;
        let command = shown(&command);
        Ok(Self { command, name, child, output, logs: vec![log] })
    }

    /// Counts a file that the process writes by itself among its logs.
    pub fn with_log(mut self, log: PathBuf) -> Self {
        self.logs.push(log);
        self
    }

    /// Asks `ready` about what was printed so far, until it answers or `limit` has passed.
    pub async fn wait_for<T>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Fallible<T> {
        let started = Instant::now();
        loop {
            let printed = std::fs::read_to_string(&self.output).unwrap_or_default();
            if let Some(answer) = ready(&printed) {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                let log = self.log_tail();
                return Err(format!("{} ended at its start ({status}):\n{log}", self.name).into());
            }
            if started.elapsed() > limit {
                let log = self.log_tail();
                let seconds = limit.as_secs();
                return Err(format!("{} was not ready in {seconds} s:\n{log}", self.name).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the process and its children have used so far.
    pub fn usage(&self) -> Fallible<Usage> {
        let own = stat(self.pid()).ok_or_else(|| self.is_gone())?;
        let children = children(self.pid()).into_iter().filter_map(stat);
        Ok(children.fold(own.usage, |sum, child| Usage {
            cpu: sum.cpu + child.usage.cpu,
            rss: sum.rss + child.usage.rss,
        }))
    }

    /// Its number, under which /proc knows it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB, without children.
    pub fn resident_kib(&self) -> Fallible<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let kib = status.ok().and_then(|text| parse_resident(&text));
        kib.ok_or_else(|| self.is_gone())
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> Fallible<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        open.map(Iterator::count).map_err(|_| self.is_gone())
    }

    fn is_gone(&self) -> Box<dyn Error + Send + Sync> {
        format!("{} is gone; the end of its log:\n{}", self.name, self.log_tail()).into()
    }

    /// Empties the logs, so that a long run fills no disk. They are open for appending: writing goes on.
    pub fn trim_logs(&self) {
        for log in &self.logs {
            if let Ok(file) = OpenOptions::new().write(true).open(log) {
                // Failing to trim costs disk only.
                drop(file.set_len(0));
            }
        }
    }

    /// The end of what the process said on standard error.
    pub fn log_tail(&self) -> String {
        let mut tail = Vec::new();
        if let Some(Ok(mut file)) = self.logs.first().map(File::open) {
            let end = file.seek(SeekFrom::End(0)).unwrap_or_default();
            let sought = file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)));
            drop(sought.and_then(|_| file.read_to_end(&mut tail)));
        }
        String::from_utf8_lossy(&tail).into_owned()
    }

    fn stop(&mut self) {
        let children = children(self.pid());
        signal(self.pid(), Signal::TERM);
        let started = Instant::now();
        while started.elapsed() < STOP_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} did not stop in {} s: killed", self.name, STOP_LIMIT.as_secs());
        drop(self.child.kill());
        drop(self.child.wait());
        children.into_iter().for_each(|child| signal(child, Signal::KILL));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What this process itself has used.
pub fn own_usage() -> Usage {
    stat(std::process::id()).map_or_else(Usage::default, |stat| stat.usage)
}

/// One tick of the clock that processor time is counted in.
pub fn tick() -> Duration {
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    Duration::from_secs(1) / per_second.max(1)
}

/// A command as it would be typed.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn appending(path: &Path) -> Fallible<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.context(|| format!("cannot write {}", path.display()))
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A process that is gone already needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// Reads the resident memory off /proc/PID/status.
fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

struct Stat {
    parent: u32,
    usage: Usage,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of /proc/PID/stat; the name in brackets may hold anything, so counting starts after it.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = u32::try_from(number(11)? + number(12)?).ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        usage: Usage { cpu: tick() * ticks, rss: number(21)? * page },
    })
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| stat(pid).is_some_and(|stat| stat.parent == parent)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_spaces_and_brackets() {
        let line = "42 (a) (b c) S 7 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 99 1000 3 0";
        let read = parse_stat(line);
        assert!(read.is_some_and(|stat| {
            stat.parent == 7
                && stat.usage.cpu == tick() * 200
                && stat.usage.rss == 3 * rustix::param::page_size() as u64
        }));
    }

    #[test]
    fn resident_memory_is_read_off_the_status() {
        assert_eq!(
            parse_resident("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   123 kB\nRssAnon:\t 7 kB\n"),
            Some(123)
        );
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[tokio::test]
    async fn a_process_is_measured_and_stopped() -> Fallible<()> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; while :; do :; done"]);
        let mut server = Server::start("busy", command, dir.path())?;
        // The kernel counts pages in batches: a process that has hardly begun may seem to have none.
        let ready = |printed: &str| (printed == "ready\n").then_some(());
        server.wait_for(Duration::from_secs(10), ready).await?;
        let pid = server.child.id();
        assert!(server.usage()?.rss > 0);
        assert!(server.resident_kib()? > 0);
        assert!(server.descriptors()? >= 3);
        drop(server);
        assert!(stat(pid).is_none());
        Ok(())
    }
}
