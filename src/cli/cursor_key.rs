//! The key of the cursors, kept in the data folder so that they outlast the process.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;
use crate::query::CursorKeys;
use crate::query::cursor::{KEY_BYTES, KeyError};

/// Its file, which nobody but its owner may read: the key, and in a second line, where there is one, the key before it.
const FILE: &str = "cursor.key";

/// The key in `folder`, made if there is none. The caller holds the folder's lock.
pub(super) fn in_folder(folder: &Path) -> Result<CursorKeys, Failure> {
    let path = folder.join(FILE);
    let failed = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(|error| failed(&error))?,
        Err(error) => return Err(failed(&error).into()),
    };
    keys(&text).map_err(|error| format!("{}; remove the file, and a new one is made", failed(&error)).into())
}

/// The keys in the lines of the file.
fn keys(text: &str) -> Result<CursorKeys, KeyError> {
    let (current, previous) = text.trim().split_once('\n').unwrap_or((text, ""));
    let keys = CursorKeys::from_base64(current)?;
    if previous.is_empty() { Ok(keys) } else { Ok(keys.or_previous(&CursorKeys::from_base64(previous)?)) }
}

fn make(path: &Path) -> io::Result<String> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text = STANDARD.encode(key);
    // A key that is cut by a crash would be refused at the next start: it gets its name when it is whole.
    let draft = path.with_extension("key.new");
    let mut file: File = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = in_folder(folder.path()).unwrap().seal("a", b"query").unwrap();
        assert_eq!(in_folder(folder.path()).unwrap().open(&cursor, b"query").unwrap(), "a");
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let new = STANDARD.encode([7; KEY_BYTES]);
        fs::write(folder.path().join(FILE), format!("{new}\n{old}\n")).unwrap();
        let rotated = in_folder(folder.path()).unwrap();
        assert_eq!(rotated.open(&cursor, b"query").unwrap(), "a", "the key before it is still taken");
        assert!(CursorKeys::new(&[7; KEY_BYTES]).open(&rotated.seal("a", b"query").unwrap(), b"query").is_ok());
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(in_folder(folder.path()).unwrap_err().to_string().contains("remove the file"));
    }
}
