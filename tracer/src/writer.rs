//! Writes records to standard output without ever holding up the reading of events.
//!
//! A thread of its own writes; the queue to it is bounded by octets. What does not fit, because
//! whoever reads the output is slow, is dropped whole record by whole record, and counted.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Octets that may wait for a slow reader.
const QUEUE_OCTETS: usize = 64 << 20;

/// The sending end of the queue.
pub struct Writer {
    queue: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    dropped: u64,
    thread: JoinHandle<()>,
}

/// How writing came to an end before it was asked to.
pub type Broken = oneshot::Receiver<io::Error>;

impl Writer {
    /// Starts writing to `out`.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Broken)> {
        Self::with_limit(out, QUEUE_OCTETS)
    }

    fn with_limit(out: impl Write + Send + 'static, limit: usize) -> io::Result<(Self, Broken)> {
        let (queue, records) = channel::<Vec<u8>>();
        let (failed, broken) = oneshot::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                if let Err(error) = write_all(out, &records, &written) {
                    // Nobody listens where the daemon is ending by itself.
                    let _ = failed.send(error);
                }
            })?;
        let writer = Self {
            queue,
            waiting,
            limit,
            dropped: 0,
            thread,
        };
        Ok((writer, broken))
    }

    /// Queues `records` records; `octets` is empty afterwards.
    pub fn push(&mut self, octets: &mut Vec<u8>, records: u64) {
        if octets.is_empty() {
            return;
        }
        let octets = std::mem::take(octets);
        let len = octets.len();
        if self.waiting.load(Ordering::Relaxed).saturating_add(len) > self.limit {
            self.dropped += records;
            return;
        }
        self.waiting.fetch_add(len, Ordering::Relaxed);
        if self.queue.send(octets).is_err() {
            self.dropped += records;
        }
    }

    /// Records that were dropped because the reader was slow, or gone.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Waits until everything that was queued is written.
    pub fn finish(self) {
        drop(self.queue);
        // A panic of the thread was reported by its own hook.
        let _ = self.thread.join();
    }
}

fn write_all(
    mut out: impl Write,
    records: &Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    while let Ok(octets) = records.recv() {
        let result = out.write_all(&octets).and_then(|()| out.flush());
        waiting.fetch_sub(octets.len(), Ordering::Relaxed);
        result?;
    }
    Ok(())
}

/// Whether the reader went away, which is its good right.
#[must_use]
pub fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes nothing until it is let go.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0
                .recv()
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_stuck_reader_leaves_no_room_for_is_counted() {
        let (go, wait) = channel();
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10).unwrap();
        writer.push(&mut vec![0; 8], 1);
        writer.push(&mut vec![0; 8], 3);
        assert_eq!(writer.dropped(), 3);
        go.send(()).unwrap();
        writer.finish();
    }

    #[test]
    fn a_reader_that_goes_away_is_told() {
        let (go, wait) = channel();
        drop(go);
        let (mut writer, broken) = Writer::with_limit(Stuck(wait), 10).unwrap();
        writer.push(&mut vec![0; 8], 1);
        let error = broken.blocking_recv().unwrap();
        assert!(is_closed_pipe(&error));
    }
}
