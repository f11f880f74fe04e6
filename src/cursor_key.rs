//! The key of the cursors: one that outlasts the process, so that they do.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;
use notaflux_api::CursorKeys;
use notaflux_api::cursor::{KEY_BYTES, KeyError};

/// Its file, which nobody but its owner may read: the key, and in a second line, where there is one, the key before it.
const FILE: &str = "cursor.key";

/// What the key of queries of a table in AWS is made of. It is no secret: whoever asks from here can read the table
/// itself, and all that is wanted is that a cursor holds for the next command, in whatever folder. The deployed API has
/// a key of its own: neither takes the other's cursors.
const OF_TABLES: &str = "notaflux query --table: cursors of the command line";

/// The key in `folder`, made if there is none. The caller holds the folder's lock.
pub(super) fn in_folder(folder: &Path) -> Result<CursorKeys, Failure> {
    let path = folder.join(FILE);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).and_then(|()| read(&path)),
        read => read,
    }
    .map_err(|error| failed(&path, &error))
}

/// The keys in the lines of the file.
fn keys(text: &str) -> Result<CursorKeys, KeyError> {
    let (current, previous) = text.trim().split_once('\n').unwrap_or((text, ""));
    let keys = CursorKeys::from_base64(current)?;
    if previous.is_empty() { Ok(keys) } else { Ok(keys.or_previous(&CursorKeys::from_base64(previous)?)) }
}

/// The key in `folder`, whose lock another process holds. That process has read or made the file before it told where it
/// is: another key would not be its own.
pub(super) fn of_server_in(folder: &Path) -> Result<CursorKeys, Failure> {
    let path = folder.join(FILE);
    read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{}: it is gone; start the server of this folder again, which makes it", path.display()).into()
        }
        _ => failed(&path, &error),
    })
}

/// The key of queries of a table in AWS.
pub(super) fn of_tables() -> Result<CursorKeys, Failure> {
    Ok(CursorKeys::from_secret(OF_TABLES)?)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let what_to_do = match error.kind() {
        io::ErrorKind::InvalidData => "; stop what uses the folder and remove the file, and a new one is made",
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
    // A key that is cut by a crash would be refused at the next start: it gets its name when it is whole.
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
        for keys in [in_folder(folder.path()), of_server_in(folder.path())] {
            assert!(keys.unwrap_err().to_string().contains("remove the file"));
        }
    }

    #[test]
    fn a_key_of_another_process_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of_server_in(folder.path()).unwrap_err().to_string().contains("start the server of this folder again"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let cursor = in_folder(folder.path()).unwrap().seal("a", b"query").unwrap();
        assert_eq!(of_server_in(folder.path()).unwrap().open(&cursor, b"query").unwrap(), "a");
        let cursor = of_tables().unwrap().seal("b", b"query").unwrap();
        assert_eq!(of_tables().unwrap().open(&cursor, b"query").unwrap(), "b");
    }
}
