//! The thread that owns the file of call records: batches lines, follows rotation, waits
//! out a disk that refuses.
//!
//! A write may stop in the middle of a line; what is left of it goes on from there, unless the file was
//! changed meanwhile, in which case the whole line is written again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Signals, line};
use crate::call::record::Record;

pub(super) struct Writer {
    path: PathBuf,
    file: File,
    signals: Arc<Signals>,
    /// Whole lines, of which the first `written` bytes are in the file.
    batch: Vec<u8>,
    written: usize,
    /// When the path was last seen to lead to the open file; `None` until it is seen again.
    checked: Option<Instant>,
    refusal: Refusal,
}

/// What the log knows of a disk that refuses.
#[derive(Default)]
struct Refusal {
    logged: Option<Instant>,
}

impl Writer {
    /// Creates the file if need be, readable by its owner alone: it holds who called whom.
    pub(super) fn open(path: PathBuf, signals: Arc<Signals>) -> io::Result<Self> {
        let file = open(&path)?;
        let (batch, written) = (Vec::new(), 0);
        Ok(Self { path, file, signals, batch, written, checked: None, refusal: Refusal::default() })
    }

    /// Writes until the queue is closed and empty; returns how many records were lost, which only a disk that
    /// refuses at closing causes.
    pub(super) fn run(mut self, queue: &Receiver<Record>) -> u64 {
        while let Ok(first) = queue.recv() {
            let rest = queue.try_iter().take(BATCH - 1);
            std::iter::once(first).chain(rest).for_each(|record| line::append(&record, &mut self.batch));
            if !self.deliver() {
                let unwritten = self.batch[self.written..].iter().filter(|&&byte| byte == b'\n').count();
                return unwritten as u64 + queue.iter().count() as u64;
            }
        }
        0
    }

    /// Writes the batch, again and again while the disk refuses; false when the records are
    /// closing and it still does.
    fn deliver(&mut self) -> bool {
        loop {
            let closing = self.signals.closing.load(Ordering::Acquire);
            match self.follow_rotation().and_then(|()| self.write_out()) {
                Ok(()) => {
                    self.refusal.over();
                    return true;
                }
                Err(reason) => self.refusal.note(&reason, &self.path),
            }
            if closing {
                return false;
            }
            thread::park_timeout(RETRY);
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        while self.written < self.batch.len() {
            match self.file.write(&self.batch[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
                Err(reason) => return Err(reason),
            }
        }
        self.batch.clear();
        self.written = 0;
        Ok(())
    }

    /// Opens the path again when asked to, or when it no longer leads to the open file.
    fn follow_rotation(&mut self) -> io::Result<()> {
        if self.signals.reopen.swap(false, Ordering::AcqRel) {
            self.checked = None;
        }
        if self.checked.is_some_and(|last| last.elapsed() < CHECK_ROTATION) {
            return Ok(());
        }
        if !self.is_current()? {
            self.file = open(&self.path)?;
            self.written =
                self.batch[..self.written].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            info!(file = %self.path.display(), "call records go on in a new file");
        }
        self.checked = Some(Instant::now());
        Ok(())
    }

    fn is_current(&self) -> io::Result<bool> {
        let open = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(reason) => Err(reason),
        }
    }
}

impl Refusal {
    /// Logs `reason`, once a minute.
    fn note(&mut self, reason: &io::Error, path: &Path) {
        if self.logged.is_none_or(|last| last.elapsed() >= LOG_AGAIN) {
            self.logged = Some(Instant::now());
            warn!(file = %path.display(), %reason, "call records cannot be written and are kept in memory \
                for now");
        }
    }

    fn over(&mut self) {
        if self.logged.take().is_some() {
            info!("call records are written again");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

const BATCH: usize = 256;
const RETRY: Duration = Duration::from_secs(1);
const CHECK_ROTATION: Duration = Duration::from_secs(1);
const LOG_AGAIN: Duration = Duration::from_secs(60);
