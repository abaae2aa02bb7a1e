//! What the next process has to know of this one (`[server].state`): read at the start,
//! written while it changes.
//!
//! Writing goes on a thread of its own, one at a time: calls never wait for a disk. What changed in the last
//! seconds before a crash is lost, and costs no more than a caller ID whose turn comes twice.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::routing::Rotation;
use crate::store::state;

/// The file, and when it may be written again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    next: Option<Instant>,
    writing: Option<JoinHandle<()>>,
}

impl Memory {
    /// What was remembered in `file`; nothing where that cannot be read, and says so.
    pub(super) fn open(file: Option<PathBuf>) -> (Self, Rotation) {
        let known = match file.as_deref().map(state::load).transpose() {
            Ok(known) => known.flatten(),
            Err(error) => {
                tracing::warn!(%error, "[server].state cannot be read; it begins anew");
                None
            }
        };
        (Self { file, ..Self::default() }, known.unwrap_or_default())
    }

    /// Writes `rotation` if it is another than before, at most every few seconds.
    pub(super) fn keep(&mut self, rotation: &mut Rotation, now: Instant) {
        let Some(file) = &self.file else { return };
        let is_busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if is_busy || self.next.is_some_and(|next| now < next) || !rotation.take_changed() {
            return;
        }
        self.next = Some(now + PAUSE);
        let (file, rotation) = (file.clone(), rotation.clone());
        self.writing = Some(spawn_blocking(move || write(&file, &rotation)));
    }

    /// Writes it for the last time.
    pub(super) async fn close(self, rotation: &Rotation) {
        if let Some(writing) = self.writing {
            let _ = writing.await;
        }
        if let Some(file) = &self.file {
            write(file, rotation);
        }
    }
}

fn write(file: &Path, rotation: &Rotation) {
    if let Err(error) = state::save(file, rotation) {
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
            r#""rests_until_s":9}},"callees":{}}}}"#
        );
        std::fs::write(&file, known).unwrap();

        let (memory, rotation) = Memory::open(Some(file.clone()));
        std::fs::remove_file(&file).unwrap();
        memory.close(&rotation).await;

        assert_eq!(std::fs::read_to_string(&file).unwrap(), known);
    }

    #[tokio::test]
    async fn only_what_changed_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let (mut memory, mut rotation) = Memory::open(Some(file.clone()));

        memory.keep(&mut rotation, crate::clock::now());

        assert!(memory.writing.is_none() && !file.exists());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_not_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        std::fs::write(&file, "{").unwrap();

        assert_eq!(Memory::open(Some(file)).1, Rotation::default());
    }
}
