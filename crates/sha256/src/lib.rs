//! SHA-256 of one text by `ring`, and of several texts at once by `tape-sha256`.
//!
//! On a processor without instructions for SHA-256, the assembly of `ring` takes half the time of the portable code of
//! `sha2`. Most bytes to hash are those of the bodies of calls, which are hashed several at once.

use ring::digest::{Context, Digest, SHA256};

/// Number of bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// Number of texts that [`digests`] hashes at once with the widest registers. More texts are hardly any faster.
pub const HASHED_TOGETHER: usize = 16;

/// Computes a hash of bytes that come in pieces.
pub struct Sha256(Context);

impl Sha256 {
    /// Starts a hash.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds a piece.
    pub fn update(&mut self, piece: impl AsRef<[u8]>) {
        self.0.update(piece.as_ref());
    }

    /// Returns the hash of all pieces in their order.
    #[must_use]
    pub fn finish(self) -> [u8; HASH_BYTES] {
        array(self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    /// Writes only the name: the hashed bytes may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256")
    }
}

/// Returns the hash of `bytes`.
#[must_use]
pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; HASH_BYTES] {
    array(ring::digest::digest(&SHA256, bytes.as_ref()))
}

#[expect(clippy::expect_used, reason = "`ring` returns 32 bytes for SHA-256")]
fn array(digest: Digest) -> [u8; HASH_BYTES] {
    *digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes")
}

/// Returns the hashes of several texts, in their order.
///
/// `tape-sha256` computes one hash in each lane of the widest registers, or uses the processor's instructions for
/// SHA-256. `ring` computes the hash of a single text, because it is faster then.
#[must_use]
pub fn digests(texts: &[&[u8]]) -> Vec<[u8; HASH_BYTES]> {
    if let [text] = texts {
        return vec![digest(text)];
    }
    let mut hashes = vec![[0; HASH_BYTES]; texts.len()];
    tape_sha256::hash_many(texts, &mut hashes);
    hashes
}

/// Returns two hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> impl Iterator<Item = char> {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 0xf)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_hashes() {
        // FIPS 180-2, appendix B.
        for (text, hash) in [
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            let mut pieces = Sha256::new();
            text.as_bytes().chunks(3).for_each(|piece| pieces.update(piece));
            for found in [digest(text), pieces.finish()] {
                assert_eq!(hex(&found).collect::<String>(), hash);
            }
        }
    }

    #[test]
    fn no_texts_have_no_hashes() {
        assert!(digests(&[]).is_empty());
    }

    proptest! {
        /// Compares the code of `tape-sha256` with that of `ring`. Some lengths are near those at which padding needs
        /// another block; others are those of bodies.
        #[test]
        fn hashes_computed_together_equal_those_computed_alone(
            lengths in prop::collection::vec(prop_oneof![0_usize..200, 30_000_usize..40_000], 1..40),
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let texts: Vec<Vec<u8>> =
                lengths.into_iter().map(|length| std::iter::repeat_with(|| random.u8(..)).take(length).collect()).collect();
            let hashes = digests(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let alone: Vec<_> = texts.iter().map(digest).collect();
            prop_assert_eq!(hashes, alone);
        }
    }
}
