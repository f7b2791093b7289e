//! Writes records to standard output from a thread of its own; the queue to it is bounded by octets.
//!
//! Live, whoever reads the output never holds up the reading of events: what does not fit is dropped
//! whole record by whole record, and counted. A capture can wait, and so nothing of it is dropped. At
//! the end of a live trace there is time as well, as long as somebody reads.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

/// Octets that may wait for a slow reader where we can wait as well.
const PATIENT_OCTETS: usize = 4 << 20;

/// Buffers that were written and wait to be filled again, and the most octets that one may keep: fresh
/// memory costs more than what is written into it.
const SPARES: usize = 2;
const SPARE_OCTETS: usize = 8 << 20;

/// The sending end of the queue.
pub struct Writer {
    queue: Sender<Piece>,
    room: Arc<Room>,
    limit: usize,
    when_full: WhenFull,
    dropped: u64,
    thread: JoinHandle<()>,
}

/// Octets, and how many records they are.
type Piece = (Vec<u8>, u64);

/// What happens where the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    Drop,
    Wait,
    /// Until nothing was read for this long.
    WaitFor(Duration),
}

/// How writing came to an end before it was asked to.
pub type Broken = oneshot::Receiver<io::Error>;

/// What the two ends of the queue know of it.
#[derive(Debug, Default)]
struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Octets in the queue, and their records.
    waiting: usize,
    records: u64,
    /// Empty buffers.
    spare: Vec<Vec<u8>>,
    /// Nothing is written any more.
    gone: bool,
}

impl Writer {
    /// Starts writing to `out`, for a source that cannot wait; so many octets may wait for a slow reader.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub fn start(out: impl Write + Send + 'static, octets: usize) -> io::Result<(Self, Broken)> {
        Self::with_limit(out, octets, WhenFull::Drop)
    }

    /// Starts writing to `out`, for a source that waits for a slow reader.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub fn start_patient(out: impl Write + Send + 'static) -> io::Result<(Self, Broken)> {
        Self::with_limit(out, PATIENT_OCTETS, WhenFull::Wait)
    }

    fn with_limit(
        out: impl Write + Send + 'static,
        limit: usize,
        when_full: WhenFull,
    ) -> io::Result<(Self, Broken)> {
        let (queue, records) = channel::<Piece>();
        let (failed, broken) = oneshot::channel();
        let room = Arc::new(Room::default());
        let theirs = Arc::clone(&room);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let result = write_all(out, &records, &theirs);
                theirs.lock().gone = true;
                theirs.changed.notify_all();
                if let Err(error) = result {
                    // Nobody listens where the daemon is ending by itself.
                    let _ = failed.send(error);
                }
            })?;
        let writer = Self {
            queue,
            room,
            limit,
            when_full,
            dropped: 0,
            thread,
        };
        Ok((writer, broken))
    }

    /// From now on waits for room, until nothing was read for so long.
    pub const fn wait_for(&mut self, patience: Duration) {
        self.when_full = WhenFull::WaitFor(patience);
    }

    /// Records that there was no room for.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Queues the `records` records of a buffer, which is empty afterwards.
    pub fn push(&mut self, emptied: &mut Vec<u8>, records: u64) {
        if emptied.is_empty() {
            return;
        }
        let octets = std::mem::take(emptied);
        // What is larger than the whole queue goes in where the queue is empty.
        let has_room = |state: &State| {
            state.waiting.saturating_add(octets.len()) <= self.limit || state.waiting == 0
        };
        let mut state = self.room.wait(self.when_full, has_room);
        if state.gone || !has_room(&state) {
            self.dropped += records;
            return;
        }
        state.waiting += octets.len();
        state.records += records;
        *emptied = state.spare.pop().unwrap_or_default();
        drop(state);
        if self.queue.send((octets, records)).is_err() {
            self.dropped += records;
        }
    }

    /// Waits until everything that was queued is written, or nobody reads it; gives the number of records
    /// that were dropped because the reader was slow, or gone.
    pub fn finish(self) -> u64 {
        drop(self.queue);
        if let WhenFull::WaitFor(_) = self.when_full {
            let is_empty = |state: &State| state.waiting == 0;
            return self.dropped + self.room.wait(self.when_full, is_empty).records;
        }
        // A panic of the thread was reported by its own hook.
        let _ = self.thread.join();
        self.dropped + self.room.lock().records
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this, as far as one waits; nothing comes where nobody writes any more.
    fn wait(&self, when_full: WhenFull, enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while !state.gone && !enough(&state) {
            state = match when_full {
                WhenFull::Drop => return state,
                WhenFull::Wait => {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                WhenFull::WaitFor(patience) => {
                    let before = state.waiting;
                    let waited = self.changed.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && state.waiting == before {
                        return state;
                    }
                    state
                }
            };
        }
        state
    }
}

fn write_all(mut out: impl Write, records: &Receiver<Piece>, room: &Room) -> io::Result<()> {
    while let Ok((mut octets, records)) = records.recv() {
        let result = out.write_all(&octets).and_then(|()| out.flush());
        let mut state = room.lock();
        state.waiting -= octets.len();
        if state.spare.len() < SPARES && octets.capacity() <= SPARE_OCTETS {
            octets.clear();
            state.spare.push(octets);
        }
        if result.is_ok() {
            state.records -= records;
        }
        drop(state);
        room.changed.notify_all();
        result?;
    }
    Ok(())
}

/// Prints all that a command has to say; a reader that has heard enough is no error.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print(octets: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(octets) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
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
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Drop).unwrap();
        writer.push(&mut vec![0; 8], 1);
        writer.push(&mut vec![0; 8], 3);
        go.send(()).unwrap();
        assert_eq!(writer.finish(), 3);
    }

    #[test]
    fn a_patient_writer_drops_nothing() {
        let (go, wait) = channel();
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Wait).unwrap();
        writer.push(&mut vec![0; 8], 1);
        let gone = std::thread::spawn(move || {
            for _ in 0..2 {
                go.send(()).unwrap();
            }
        });
        writer.push(&mut vec![0; 8], 3);
        assert_eq!(writer.finish(), 0);
        gone.join().unwrap();
    }

    #[test]
    fn a_patient_writer_does_not_wait_for_a_reader_that_is_gone() {
        let (go, wait) = channel();
        drop(go);
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Wait).unwrap();
        writer.push(&mut vec![0; 8], 1);
        writer.push(&mut vec![0; 8], 3);
        writer.push(&mut vec![0; 8], 3);
        assert!(writer.finish() >= 3);
    }

    #[test]
    fn the_end_waits_for_a_reader_that_reads() {
        let (go, wait) = channel();
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Drop).unwrap();
        writer.push(&mut vec![0; 8], 1);
        writer.wait_for(Duration::from_secs(60));
        let reader = std::thread::spawn(move || {
            for _ in 0..2 {
                go.send(()).unwrap();
            }
        });
        writer.push(&mut vec![0; 8], 3);
        assert_eq!(writer.finish(), 0);
        reader.join().unwrap();
    }

    #[test]
    fn the_end_comes_though_nobody_reads_and_what_is_left_is_counted() {
        let (_go, wait) = channel();
        let (mut writer, _broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Drop).unwrap();
        writer.wait_for(Duration::from_millis(1));
        writer.push(&mut vec![0; 8], 1);
        writer.push(&mut vec![0; 8], 3);
        assert_eq!(writer.finish(), 4);
    }

    #[test]
    fn a_reader_that_goes_away_is_told() {
        let (go, wait) = channel();
        drop(go);
        let (mut writer, broken) = Writer::with_limit(Stuck(wait), 10, WhenFull::Drop).unwrap();
        writer.push(&mut vec![0; 8], 1);
        let error = broken.blocking_recv().unwrap();
        assert!(is_closed_pipe(&error));
    }
}
