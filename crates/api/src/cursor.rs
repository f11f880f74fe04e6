//! Cursors: the position where a page ended, in a form that only this API can read.
//!
//! A cursor is the base64url of a version byte, a random nonce of 24 bytes, and the last sort key, encrypted and
//! authenticated by XChaCha20-Poly1305. The query is authenticated too, but is not in the cursor. So nobody can read a
//! cursor, change it, or use it with another query. Its size depends only on the sort key. Random nonces of 192 bits do not
//! repeat for any realistic number of cursors.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use notaflux_sha256::Sha256;
use notaflux_table::keys::SORT_KEY_LIMIT_BYTES;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Fewest bytes of a secret from which a key is derived. 32 random letters and digits have 190 bits.
pub(crate) const SECRET_LIMIT: usize = 32;

/// Precedes the secret in the hash, so that no other hash of the secret is a cursor key.
const SECRET_CONTEXT: &[u8] = b"notaflux cursor key 1\0";

/// The version byte of a cursor.
const VERSION: u8 = 1;
/// Bytes of a nonce of XChaCha20-Poly1305.
const NONCE_BYTES: usize = 24;
/// Bytes of the tag of Poly1305.
const TAG_BYTES: usize = 16;
/// Longest cursor that is decoded, in characters: the cursor of the longest sort key.
const CURSOR_LIMIT: usize = (1 + NONCE_BYTES + SORT_KEY_LIMIT_BYTES + TAG_BYTES).div_ceil(3) * 4;

/// The keys that encrypt cursors. The current key makes new cursors; cursors of the previous key are still accepted.
#[derive(Clone)]
pub struct CursorKeys {
    current: XChaCha20Poly1305,
    previous: Option<XChaCha20Poly1305>,
}

impl fmt::Debug for CursorKeys {
    /// Does not show the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorKeys").field("previous", &self.previous.is_some()).finish_non_exhaustive()
    }
}

/// A text that is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cursor key is not valid: expected {KEY_BYTES} bytes in base64; make a key with: openssl rand -base64 {KEY_BYTES}"
)]
pub struct KeyError;

/// A secret that is too short for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of the cursor key is too short: expected {SECRET_LIMIT} random characters or more")]
pub struct ShortSecret;

/// A cursor that this API did not make, or made for another query. The error has no details, so that nobody can learn from
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this query")]
pub struct InvalidCursor;

/// The operating system provides no random bytes, or the cipher fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a cursor: the operating system provides no random bytes")]
pub struct NoCursor;

impl CursorKeys {
    /// Makes cursor keys of a single key.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { current: XChaCha20Poly1305::new(key.into()), previous: None }
    }

    /// Parses a key in base64.
    ///
    /// # Errors
    /// The text is not 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError)?;
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| KeyError)?;
        Ok(Self::new(&key))
    }

    /// Derives a key from a secret text: the SHA-256 of a fixed context and the text.
    ///
    /// # Errors
    /// The text has fewer than 32 bytes.
    pub fn from_secret(text: &str) -> Result<Self, ShortSecret> {
        if text.len() < SECRET_LIMIT {
            return Err(ShortSecret);
        }
        let mut hasher = Sha256::new();
        hasher.update(SECRET_CONTEXT);
        hasher.update(text);
        Ok(Self::new(&hasher.finish()))
    }

    /// Accepts cursors of another key too: the previous one.
    #[must_use]
    pub fn or_previous(self, previous: &Self) -> Self {
        Self { previous: Some(previous.current.clone()), ..self }
    }

    /// Makes the cursor of the page after `sort_key`, bound to the query that [`binding`] describes.
    ///
    /// # Errors
    /// The operating system provides no random bytes.
    pub fn seal(&self, sort_key: &str, binding: &[u8]) -> Result<String, NoCursor> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload { msg: sort_key.as_bytes(), aad: binding };
        let sealed = self.current.encrypt(&XNonce::from(nonce), payload).map_err(|_| NoCursor)?;
        Ok(URL_SAFE_NO_PAD.encode([&[VERSION][..], &nonce, &sealed].concat()))
    }

    /// Returns the sort key in a cursor.
    ///
    /// # Errors
    /// The cursor is changed or cut, or belongs to another version, key or query.
    pub fn open(&self, cursor: &str, binding: &[u8]) -> Result<String, InvalidCursor> {
        if cursor.len() > CURSOR_LIMIT {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let (&version, rest) = bytes.split_first().ok_or(InvalidCursor)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(InvalidCursor)?;
        if version != VERSION {
            return Err(InvalidCursor);
        }
        let open = |key: &XChaCha20Poly1305| key.decrypt(nonce.into(), Payload { msg: sealed, aad: binding }).ok();
        let opened = open(&self.current).or_else(|| self.previous.as_ref().and_then(open)).ok_or(InvalidCursor)?;
        String::from_utf8(opened).map_err(|_| InvalidCursor)
    }
}

/// Joins the parts that identify a query. The length before each part keeps `ab`, `c` apart from `a`, `bc`.
#[must_use]
pub fn binding(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn random<const N: usize>() -> Result<[u8; N], NoCursor> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoCursor)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SORT_KEY: &str = "20191112T000000#31191108676370000155550010000070831000062423";

    fn keys(byte: u8) -> CursorKeys {
        CursorKeys::new(&[byte; KEY_BYTES])
    }

    #[test]
    fn a_cursor_opens_only_for_its_query() {
        let cursor = keys(1).seal(SORT_KEY, &binding(&["a", "bc"])).unwrap();
        assert_eq!(keys(1).open(&cursor, &binding(&["a", "bc"])).as_deref(), Ok(SORT_KEY));
        for other in [vec!["ab", "c"], vec!["a", "bc", ""], vec!["a"], vec![]] {
            assert_eq!(keys(1).open(&cursor, &binding(&other)), Err(InvalidCursor), "{other:?}");
        }
        assert_eq!(keys(2).open(&cursor, &binding(&["a", "bc"])), Err(InvalidCursor));
    }

    #[test]
    fn the_previous_key_opens_cursors_but_makes_none() {
        let rotated = keys(2).or_previous(&keys(1));
        let old = keys(1).seal(SORT_KEY, b"q").unwrap();
        assert_eq!(rotated.open(&old, b"q").as_deref(), Ok(SORT_KEY));
        let new = rotated.seal(SORT_KEY, b"q").unwrap();
        assert_eq!(keys(1).open(&new, b"q"), Err(InvalidCursor));
        assert_eq!(keys(2).open(&new, b"q").as_deref(), Ok(SORT_KEY));
    }

    #[test]
    fn cursors_differ_and_do_not_show_the_sort_key() {
        let cursors: Vec<String> = (0..100).map(|_| keys(1).seal(SORT_KEY, b"q").unwrap()).collect();
        let mut distinct = cursors.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), cursors.len());
        assert!(cursors.iter().all(|cursor| cursor.len() == cursors[0].len()));
        let bytes = URL_SAFE_NO_PAD.decode(&cursors[0]).unwrap();
        assert!(!bytes.windows(8).any(|window| SORT_KEY.as_bytes().windows(8).any(|part| part == window)));
        assert_eq!(format!("{:?}", keys(1)), "CursorKeys { previous: false, .. }");
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let text = STANDARD.encode([1; KEY_BYTES]);
        let cursor = CursorKeys::from_base64(&format!("{text}\n")).unwrap().seal(SORT_KEY, b"q").unwrap();
        assert!(keys(1).open(&cursor, b"q").is_ok());
        for text in ["", "AAAA", "not base64", &STANDARD.encode([1; 33])] {
            assert_eq!(CursorKeys::from_base64(text).unwrap_err(), KeyError);
        }
    }

    #[test]
    fn the_key_of_a_secret_is_not_its_plain_digest() {
        let secret = "x".repeat(SECRET_LIMIT);
        let cursor = CursorKeys::from_secret(&secret).unwrap().seal(SORT_KEY, b"q").unwrap();
        assert!(CursorKeys::from_secret(&secret).unwrap().open(&cursor, b"q").is_ok());
        let bare = CursorKeys::new(&notaflux_sha256::digest(&secret));
        for other in [bare, CursorKeys::from_secret(&format!("{secret}x")).unwrap()] {
            assert_eq!(other.open(&cursor, b"q"), Err(InvalidCursor));
        }
        assert_eq!(CursorKeys::from_secret(&secret[1..]).unwrap_err(), ShortSecret);
    }

    #[test]
    fn the_longest_sort_key_fits() {
        let longest = "x".repeat(SORT_KEY_LIMIT_BYTES);
        let cursor = keys(1).seal(&longest, b"q").unwrap();
        assert_eq!(keys(1).open(&cursor, b"q"), Ok(longest));
    }

    #[test]
    fn every_changed_character_and_every_cut_is_refused() {
        let cursor = keys(1).seal(SORT_KEY, b"q").unwrap();
        for at in 0..cursor.len() {
            assert_eq!(keys(1).open(&cursor[..at], b"q"), Err(InvalidCursor), "cut at {at}");
            for other in ['A', 'B', '-', '=', '+', '/', ' ', '\0'] {
                let mut changed = cursor.clone();
                changed.replace_range(at..=at, &other.to_string());
                let expected = changed == cursor;
                assert_eq!(keys(1).open(&changed, b"q").is_ok(), expected, "{other:?} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_a_cursor(text in "[A-Za-z0-9_-]{0,200}", bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(keys(1).open(&text, b"q"), Err(InvalidCursor));
            prop_assert_eq!(keys(1).open(&URL_SAFE_NO_PAD.encode(bytes), b"q"), Err(InvalidCursor));
        }
    }
}
