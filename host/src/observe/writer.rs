//! A log writer that never blocks a request and wakes nobody: lines go into a buffer, and one thread writes
//! the buffer out every few milliseconds. A channel would cost each request a wake-up of that thread.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait.
const INTERVAL: Duration = Duration::from_millis(20);
/// Most bytes that may wait; past it, lines are dropped and counted.
const CAPACITY: usize = 8 << 20;

/// What loggers write to. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Mutex<Waiting>>, LogDrops);

/// How many lines were dropped since the process started. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct LogDrops(Arc<AtomicU64>);

impl LogDrops {
    /// So many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
}

/// Keeps the writing thread alive; dropping it writes what still waits.
pub struct LogGuard {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    drops: LogDrops,
}

impl LogGuard {
    /// What was dropped of the log.
    pub fn drops(&self) -> LogDrops {
        self.drops.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Buffer {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, LogGuard)> {
        let buffer = Self::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let own = buffer.clone();
        let mut out = out;
        let thread = std::thread::Builder::new().name("airlock-log".into()).spawn(move || {
            loop {
                let is_over = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
                // Nobody is left to tell of a log that cannot be written.
                let _ = own.write_out(&mut out);
                if is_over {
                    return;
                }
            }
        })?;
        let drops = buffer.1.clone();
        Ok((buffer, LogGuard { stop: Some(stop), thread: Some(thread), drops }))
    }

    fn write_out(&self, out: &mut impl Write) -> io::Result<()> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        out.write_all(&waiting.bytes)?;
        if waiting.dropped > 0 {
            writeln!(out, "{} log lines were dropped: the log is not read fast enough", waiting.dropped)?;
        }
        out.flush()
    }
}

impl Write for &Buffer {
    /// One whole line: tracing hands them over so.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.len() + line.len() > CAPACITY {
            waiting.dropped += 1;
            self.1.0.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = &'a Buffer;

    fn make_writer(&'a self) -> &'a Buffer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_is_written_when_the_guard_goes_and_overflow_is_counted() {
        let sink = Sink::default();
        let (buffer, guard) = Buffer::start(sink.clone()).unwrap();
        buffer.make_writer().write_all(b"one\n").unwrap();
        buffer.make_writer().write_all(&vec![b'x'; CAPACITY + 1]).unwrap();
        assert_eq!(guard.drops().get(), 1);
        drop(guard);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("one\n") && text.contains("1 log lines were dropped"), "{text}");
    }
}
