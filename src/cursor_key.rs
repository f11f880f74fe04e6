//! The keys of cursors. They are stored, so that cursors stay valid after a restart.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::Failure;
use notaflux_api::CursorKeys;
use notaflux_api::cursor::{KEY_BYTES, KeyError};

/// The file with the key; an optional second line holds the previous key. Only its owner may read it.
const FILE: &str = "cursor.key";

/// The text from which the key for tables in AWS is derived. It is not secret: a user of this command can read the
/// table itself. The key only makes a cursor valid for the next command, in any folder. The deployed API has another
/// key, and neither accepts cursors of the other.
const OF_TABLES: &str = "notaflux query --table: cursors of the command line";

/// Returns the key in `folder`, and creates it if it does not exist. The caller holds the folder's lock.
pub(super) fn in_folder(folder: &Path) -> Result<CursorKeys, Failure> {
    let path = folder.join(FILE);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).and_then(|()| read(&path)),
        read => read,
    }
    .map_err(|error| failed(&path, &error))
}

/// Parses the lines of the file.
fn keys(text: &str) -> Result<CursorKeys, KeyError> {
    let (current, previous) = text.trim().split_once('\n').unwrap_or((text, ""));
    let keys = CursorKeys::from_base64(current)?;
    if previous.is_empty() { Ok(keys) } else { Ok(keys.or_previous(&CursorKeys::from_base64(previous)?)) }
}

/// Returns the key in `folder`, whose lock another process holds. That process read or created the file before it
/// published its endpoints. So this function only reads: a new key would differ from the one of that process.
pub(super) fn of_server_in(folder: &Path) -> Result<CursorKeys, Failure> {
    let path = folder.join(FILE);
    read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{}: the file is missing; restart the server of this folder, which creates it", path.display())
                .into()
        }
        _ => failed(&path, &error),
    })
}

/// Returns the key for tables in AWS.
pub(super) fn of_tables() -> Result<CursorKeys, Failure> {
    Ok(CursorKeys::from_secret(OF_TABLES)?)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let what_to_do = match error.kind() {
        io::ErrorKind::InvalidData => {
            "; stop the server of this folder and remove the file: the next start creates a new one"
        }
        _ => "",
    };
    format!("{}: {error}{what_to_do}", path.display()).into()
}

fn read(path: &Path) -> io::Result<CursorKeys> {
    let text = fs::read_to_string(path)?;
    keys(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn make(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text = STANDARD.encode(key);
    // The file gets its name only when it is complete. After a crash, an incomplete key would be an error at the next
    // start.
    let draft = path.with_extension("key.new");
    let mut file: File = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed as it should")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_kept_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = in_folder(folder.path()).unwrap().seal("a", b"query").unwrap();
        assert_eq!(in_folder(folder.path()).unwrap().open(&cursor, b"query").unwrap(), "a");
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let new = STANDARD.encode([7; KEY_BYTES]);
        fs::write(folder.path().join(FILE), format!("{new}\n{old}\n")).unwrap();
        let rotated = in_folder(folder.path()).unwrap();
        assert_eq!(rotated.open(&cursor, b"query").unwrap(), "a", "the previous key is still accepted");
        assert!(CursorKeys::new(&[7; KEY_BYTES]).open(&rotated.seal("a", b"query").unwrap(), b"query").is_ok());
        fs::write(folder.path().join(FILE), "short").unwrap();
        for keys in [in_folder(folder.path()), of_server_in(folder.path())] {
            assert!(keys.unwrap_err().to_string().contains("remove the file"));
        }
    }

    #[test]
    fn the_key_of_another_process_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of_server_in(folder.path()).unwrap_err().to_string().contains("restart the server of this folder"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let cursor = in_folder(folder.path()).unwrap().seal("a", b"query").unwrap();
        assert_eq!(of_server_in(folder.path()).unwrap().open(&cursor, b"query").unwrap(), "a");
        let cursor = of_tables().unwrap().seal("b", b"query").unwrap();
        assert_eq!(of_tables().unwrap().open(&cursor, b"query").unwrap(), "b");
    }
}
