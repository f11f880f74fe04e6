//! Ids of ingestions.

use notaflux_records::source::Identity;
use notaflux_sha256 as sha256;

/// Returns the id of the ingestion of this version of an object: the first 24 hexadecimal digits of a SHA-256. 96 bits are
/// enough that nobody can make two objects with the same id.
#[must_use]
pub fn ingestion_id(source: &Identity) -> String {
    let digest = sha256::digest(source.fingerprint());
    let (first, _) = digest.split_at(12);
    let number = first.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    format!("{number:024x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_first_twelve_bytes_of_the_hash() {
        let id = ingestion_id(&Identity::default());
        assert_eq!(id.len(), 24);
        let digest = sha256::digest(Identity::default().fingerprint());
        let digits: Vec<String> = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(id, digits.concat());
    }
}
