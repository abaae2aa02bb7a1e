//! Call records: a bounded queue in, one writer thread, one JSON object per line out.
//!
//! [`Records::write`] is called by the signalling thread and never waits: while the disk refuses,
//! records stay in the queue, and once that is full further ones are counted and lost, because a call is
//! worth more than its record.

pub mod config;
mod line;
pub mod state;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::{io, thread};

use metrics::Counter;
use tracing::error;

pub use self::config::Config;
use self::writer::Writer;
use crate::call::record::Record;

/// The records could not be started; nothing is left running.
#[derive(Debug, thiserror::Error)]
#[error("[records].file {path}: {source}; name a file in a folder that this process may write")]
pub struct OpenError {
    /// The file as it was to be opened.
    pub path: PathBuf,
    /// The operating system's reason.
    pub source: io::Error,
}

/// Where finished calls are written; dropping it writes what is queued.
#[derive(Debug)]
pub struct Records {
    sink: Option<Sink>,
    dropped: Counter,
}

#[derive(Debug)]
struct Sink {
    queue: SyncSender<Record>,
    signals: Arc<Signals>,
    thread: thread::JoinHandle<()>,
}

/// From the owner to the writer thread, beside the queue so that they arrive even when it is full.
#[derive(Debug, Default)]
struct Signals {
    reopen: AtomicBool,
    closing: AtomicBool,
}

impl Records {
    /// Opens `[records].file` for appending, relative to `folder`, and starts its writer; without a
    /// file, records go nowhere.
    ///
    /// The metrics recorder must have been installed before, or losses are not counted.
    ///
    /// # Errors
    ///
    /// [`OpenError`], when the file cannot be opened or no thread started.
    pub fn open(config: &Config, folder: &Path) -> Result<Self, OpenError> {
        Self::with_capacity(config, folder, QUEUE)
    }

    fn with_capacity(config: &Config, folder: &Path, capacity: usize) -> Result<Self, OpenError> {
        let dropped = metrics::counter!("trunkline_records_dropped_total");
        let Some(path) = config.file.as_ref().map(|file| folder.join(file)) else {
            return Ok(Self { sink: None, dropped });
        };
        let failed = |source| OpenError { path: path.clone(), source };
        let (queue, records) = sync_channel(capacity);
        let signals = Arc::new(Signals::default());
        let writer = Writer::open(path.clone(), Arc::clone(&signals)).map_err(failed)?;
        let lost = dropped.clone();
        let thread = thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || lost.increment(writer.run(&records)))
            .map_err(failed)?;
        Ok(Self { sink: Some(Sink { queue, signals, thread }), dropped })
    }

    /// Queues `record`; when the queue is full it is counted in `trunkline_records_dropped_total` and lost.
    pub fn write(&self, record: Record) {
        let Some(sink) = &self.sink else { return };
        match sink.queue.try_send(record) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.increment(1),
        }
    }

    /// Goes on in a new file if the present one was moved away; for SIGHUP. The writer notices that by
    /// itself too, a second late.
    pub fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.signals.reopen.store(true, Ordering::Release);
            sink.thread.thread().unpark();
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        let Some(Sink { queue, signals, thread }) = self.sink.take() else { return };
        signals.closing.store(true, Ordering::Release);
        drop(queue);
        thread.thread().unpark();
        if thread.join().is_err() {
            error!("the writer of call records panicked");
        }
    }
}

/// Two and a half minutes of refusal by the disk at 60 calls a second, some 10 MB.
const QUEUE: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::call::record::{Direction, EndedBy};
    use crate::id::CallId;

    #[test]
    fn records_are_appended_to_what_the_file_holds_and_flushed_when_closed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("calls.jsonl"), "{\"id\":\"earlier\"}\n").unwrap();

        let records = Records::open(&to_file("calls.jsonl"), folder.path()).unwrap();
        (1..=500).for_each(|id| records.write(record(id)));
        drop(records);

        let written = ids(&folder.path().join("calls.jsonl"));
        assert_eq!(written.len(), 501);
        assert_eq!((written[0].as_str(), written[500].as_str()), ("earlier", "00000000000001f4"));
    }

    #[test]
    fn a_rotated_file_keeps_its_records_and_a_new_one_takes_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rotated) = (folder.path().join("calls.jsonl"), folder.path().join("calls.jsonl.1"));
        let records = Records::open(&to_file("calls.jsonl"), folder.path()).unwrap();
        records.write(record(1));
        wait_for(|| ids(&file) == ["0000000000000001"]);

        fs::rename(&file, &rotated).unwrap();
        records.reopen();
        records.write(record(2));
        drop(records);

        assert_eq!(ids(&rotated), ["0000000000000001"]);
        assert_eq!(ids(&file), ["0000000000000002"]);
    }

    #[test]
    fn a_refusing_disk_never_holds_up_the_caller_and_every_record_lost_is_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let config = Config { file: Some("/dev/full".into()) };
        let open = || Records::with_capacity(&config, Path::new("/"), 4).unwrap();
        let records = metrics::with_local_recorder(&recorder, open);

        let began = Instant::now();
        (1..=100).for_each(|id| records.write(record(id)));
        let took = began.elapsed();
        drop(records);

        assert!(took < Duration::from_millis(500), "write() waited for the disk: {took:?}");
        let rendered = recorder.handle().render();
        assert!(rendered.contains("\ntrunkline_records_dropped_total 100\n"), "{rendered}");
    }

    #[test]
    fn records_wait_in_the_queue_until_the_disk_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls.jsonl");
        let records = Records::open(&to_file("calls.jsonl"), folder.path()).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        records.reopen();

        records.write(record(1));
        records.write(record(2));
        thread::sleep(Duration::from_millis(50));
        fs::remove_dir(&file).unwrap();

        records.reopen();
        wait_for(|| ids(&file) == ["0000000000000001", "0000000000000002"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Records::open(&to_file("missing/calls.jsonl"), Path::new("/nonexistent")).unwrap_err();

        let said = error.to_string();
        assert!(said.starts_with("[records].file /nonexistent/missing/calls.jsonl: No such file"), "{said}");
    }

    #[test]
    fn without_a_file_records_go_nowhere() {
        let folder = tempfile::tempdir().unwrap();

        let records = Records::open(&Config { file: None }, folder.path()).unwrap();
        records.write(record(1));
        drop(records);

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_its_owner_may_read_the_numbers_in_a_new_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();

        drop(Records::open(&to_file("calls.jsonl"), folder.path()).unwrap());

        let mode = fs::metadata(folder.path().join("calls.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn to_file(name: &str) -> Config {
        Config { file: Some(name.into()) }
    }

    fn record(id: u64) -> Record {
        Record {
            id: CallId(id),
            direction: Direction::ToRetell,
            from: "+14155550100".to_owned(),
            to: "+14155550101".to_owned(),
            trunk: "carrier".to_owned(),
            retell: "retell".to_owned(),
            started_ms: 0,
            answered_ms: None,
            ended_ms: 1_000,
            ended_by: EndedBy::Caller,
            sip_code: 487,
            reason: "The caller gave up.".to_owned(),
            hints: Vec::new(),
            legs: Vec::new(),
        }
    }

    fn ids(file: &Path) -> Vec<String> {
        let id = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
        };
        fs::read_to_string(file).unwrap_or_default().lines().map(id).collect()
    }

    fn wait_for(done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !done() {
            assert!(Instant::now() < deadline, "not within 5 s");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
