//! What the next process has to know of this one (`[server].state`): read at the start,
//! written while it changes.
//!
//! Writing goes on a thread of its own, one at a time: calls never wait for a disk. What changed in the last
//! seconds before a crash is lost, and costs no more than a caller ID whose turn comes twice, or the calls
//! that a thief of a password makes in them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::routing::Rotation;
use crate::routing::hourly::{Hourly, Spending};
use crate::store::state;

use super::bridge::Bridge;
use super::world::World;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(flatten)]
    rotation: Rotation,
    /// Toward `calls_per_hour` and `minutes_per_hour`.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    spent: Spending,
}

impl<W: World> Bridge<W> {
    /// Knows again what it knew.
    pub(super) fn recall(&mut self, known: Known, unix_s: u64) {
        self.rotation = known.rotation;
        self.hourly = Hourly::restored(&known.spent, self.now, unix_s);
    }

    /// What has to be remembered, if it is another than before.
    pub(super) fn news(&mut self) -> Option<Known> {
        let (calls, minutes) = (self.rotation.take_changed(), self.hourly.take_changed());
        (calls || minutes).then(|| self.known())
    }

    /// What has to be remembered.
    pub(super) fn known(&mut self) -> Known {
        let unix_s = u64::try_from(self.unix_ms / 1_000).unwrap_or(0);
        Known { rotation: self.rotation.clone(), spent: self.hourly.spending(self.now, unix_s) }
    }
}

/// The file, and when it may be written again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    next: Option<Instant>,
    writing: Option<JoinHandle<()>>,
}

impl Memory {
    /// What was remembered in `file`; nothing where that cannot be read, and says so.
    pub(super) fn open(file: Option<PathBuf>) -> (Self, Known) {
        let known = match file.as_deref().map(state::load).transpose() {
            Ok(known) => known.flatten(),
            Err(error) => {
                tracing::warn!(%error, "[server].state cannot be read; it begins anew");
                None
            }
        };
        (Self { file, ..Self::default() }, known.unwrap_or_default())
    }

    /// Writes `news` if there are any, at most every few seconds.
    pub(super) fn keep(&mut self, now: Instant, news: impl FnOnce() -> Option<Known>) {
        let Some(file) = &self.file else { return };
        let is_busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if is_busy || self.next.is_some_and(|next| now < next) {
            return;
        }
        let Some(known) = news() else { return };
        self.next = Some(now + PAUSE);
        let file = file.clone();
        self.writing = Some(spawn_blocking(move || write(&file, &known)));
    }

    /// Writes it for the last time.
    pub(super) async fn close(self, known: &Known) {
        if let Some(writing) = self.writing {
            let _ = writing.await;
        }
        if let Some(file) = &self.file {
            write(file, known);
        }
    }
}

fn write(file: &Path, known: &Known) {
    if let Err(error) = state::save(file, known) {
        tracing::warn!(file = %file.display(), %error, "[server].state cannot be written");
    }
}

const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let known = concat!(
            r#"{"trunks":{"carrier":{"numbers":{"+14155550101":{"credit":-1,"day":20000,"calls":7,"#,
            r#""rests_until_s":9}},"callees":{}}},"#,
            r#""spent":{"retell":[{"minute":30000000,"calls":2,"talk_ms":61500}]}}"#
        );
        std::fs::write(&file, known).unwrap();

        let (memory, read) = Memory::open(Some(file.clone()));
        std::fs::remove_file(&file).unwrap();
        memory.close(&read).await;

        assert_eq!(std::fs::read_to_string(&file).unwrap(), known);
    }

    #[tokio::test]
    async fn only_what_changed_is_written_and_not_at_once_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let (mut memory, read) = Memory::open(Some(file.clone()));
        let now = crate::clock::now();

        memory.keep(now, || None);
        assert!(memory.writing.is_none() && !file.exists());
        memory.keep(now, || Some(read.clone()));
        memory.writing.take().unwrap().await.unwrap();
        assert!(file.exists());
        memory.keep(now + PAUSE / 2, || Some(read));
        assert!(memory.writing.is_none(), "a disk is not asked at every call");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_not_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        std::fs::write(&file, "{").unwrap();

        assert_eq!(Memory::open(Some(file)).1, Known::default());
    }
}
