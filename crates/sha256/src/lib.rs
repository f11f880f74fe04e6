//! SHA-256, by `ring`: where a processor has no instructions for it, its assembly takes half the time of the portable code of
//! `sha2`. Bodies of calls are the most that is hashed; several of those are hashed at once, by `tape-sha256`.

use ring::digest::{Context, SHA256};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// Texts that [`digests`] hashes at once where registers are widest: more are hardly any faster.
pub const HASHED_TOGETHER: usize = 16;

/// Takes bytes piece by piece.
pub struct Sha256(Context);

impl Sha256 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes in a piece.
    pub fn update(&mut self, piece: impl AsRef<[u8]>) {
        self.0.update(piece.as_ref());
    }

    /// The hash of all of them, one behind the other.
    #[must_use]
    pub fn finish(self) -> [u8; HASH_BYTES] {
        self.0.finish().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    /// What was taken in may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256")
    }
}

/// The hash of `bytes`.
#[must_use]
pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; HASH_BYTES] {
    ring::digest::digest(&SHA256, bytes.as_ref()).as_ref().first_chunk().copied().unwrap_or_default()
}

/// The hashes of several texts, worked out together: `tape-sha256` has one in each lane of the widest registers that there are, or
/// uses the processor's instructions for SHA-256. One alone is left to `ring`, which is faster at that.
#[must_use]
pub fn digests(texts: &[&[u8]]) -> Vec<[u8; HASH_BYTES]> {
    if let [text] = texts {
        return vec![digest(text)];
    }
    let mut hashes = vec![[0; HASH_BYTES]; texts.len()];
    tape_sha256::hash_many(texts, &mut hashes);
    hashes
}

/// Two hexadecimal digits for each byte.
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
    fn nothing_has_no_hash() {
        assert!(digests(&[]).is_empty());
    }

    proptest! {
        /// By other code than `ring`'s; lengths around those at which padding takes another block, and such as bodies have.
        #[test]
        fn together_they_are_what_each_is_alone(
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
