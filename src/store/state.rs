//! What has to be known again after a restart, as one small JSON file that is replaced whole.
//!
//! Whoever reads the file finds the old state or the new one, never half of either: it is written
//! beside and then renamed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads what [`save`] wrote; `None` when nothing was saved yet.
///
/// # Errors
///
/// The file cannot be read, or holds something else.
pub fn load<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file by `state`, for its owner to read: telephone numbers may be in it.
///
/// # Errors
///
/// The folder or the disk refuses; the file is then as it was.
pub fn save<T: Serialize>(file: &Path, state: &T) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
    new.write_all(&serde_json::to_vec(state)?)?;
    new.sync_all()?;
    fs::rename(beside, file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_saved_is_loaded_again_and_nothing_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");

        assert_eq!(load::<Vec<u8>>(&file).unwrap(), None);
        save(&file, &[1, 2]).unwrap();
        save(&file, &[3]).unwrap();

        assert_eq!(load::<Vec<u8>>(&file).unwrap(), Some(vec![3]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn nobody_but_its_owner_reads_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");

        save(&file, &[1]).unwrap();

        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_another_kind_is_an_error_not_an_empty_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        fs::write(&file, "{").unwrap();

        assert!(load::<Vec<u8>>(&file).is_err());
        assert!(save(&folder.path().join("none/state.json"), &1).is_err());
    }
}
