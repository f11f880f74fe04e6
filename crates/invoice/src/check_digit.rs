//! The modulo 11 check digit that CNPJ, CPF and access keys share (Nota Técnica Conjunta 2025.001).

/// The check digit by remainder: 0 and 1 give 0, any other r gives 11 - r.
const BY_REMAINDER: [u8; 11] = *b"00987654321";

/// Largest number of characters with weights: no key or tax id is longer.
const LENGTH_LIMIT: usize = 64;

/// The weight of each character; the last weight is that of the last character. They are constants because every record
/// has several keys and tax ids to check.
#[derive(Debug)]
pub struct Weights([i16; LENGTH_LIMIT]);

impl Weights {
    /// The weights of CNPJs and access keys, from the right: 2 to 9, repeated.
    pub const UP_TO_9: &Self = &Self::up_to(9);
    /// The weights of CPFs, from the right: 2, 3, 4 and so on, without repetition.
    pub const RISING: &Self = &Self::up_to(i16::MAX);

    #[allow(clippy::indexing_slicing, reason = "only constants use it: a wrong index does not compile")]
    const fn up_to(highest: i16) -> Self {
        let mut weights = [2; LENGTH_LIMIT];
        let mut at = LENGTH_LIMIT - 1;
        while at > 0 {
            weights[at - 1] = if weights[at] == highest { 2 } else { weights[at] + 1 };
            at -= 1;
        }
        Self(weights)
    }
}

/// Returns the check digit of `text` as an ASCII digit. `text` has digits and capital letters, at most
/// `LENGTH_LIMIT`; the value of each is its ASCII code minus 48.
pub fn check_digit(text: &[u8], Weights(weights): &Weights) -> u8 {
    debug_assert!(text.len() <= LENGTH_LIMIT, "every character has a weight");
    let weights = weights.get(LENGTH_LIMIT.saturating_sub(text.len())..).unwrap_or_default();
    let (eights, rest) = text.as_chunks::<8>();
    let (weights_of_eights, weights_of_rest) = weights.as_chunks::<8>();
    let mut sums = [0; 8];
    // Eight sums, so that the compiler can use vector instructions.
    let mut add = |bytes: &[u8], weights: &[i16]| {
        for ((sum, byte), weight) in sums.iter_mut().zip(bytes).zip(weights) {
            *sum += i16::from(byte.wrapping_sub(b'0')) * weight;
        }
    };
    for (eight, weights) in eights.iter().zip(weights_of_eights) {
        add(eight, weights);
    }
    add(rest, weights_of_rest);
    let sum: i32 = sums.into_iter().map(i32::from).sum();
    usize::try_from(sum).ok().and_then(|sum| BY_REMAINDER.get(sum % 11)).copied().unwrap_or(b'0')
}

/// Returns whether the last character of `text` is the check digit of the others.
pub(crate) fn ends_in_check_digit(text: &[u8], weights: &Weights) -> bool {
    text.split_last().is_some_and(|(&last, body)| check_digit(body, weights) == last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_the_technical_note() {
        assert_eq!(check_digit(b"12ABC34501DE", Weights::UP_TO_9), b'3');
        assert_eq!(check_digit(b"12ABC34501DE3", Weights::UP_TO_9), b'5');
    }

    #[test]
    fn the_national_service_invoice_key_uses_the_same_digit() {
        let key = b"52115031239558194000180000000000486626023714913456";
        assert!(ends_in_check_digit(key, Weights::UP_TO_9));
    }

    #[test]
    fn any_single_wrong_digit_of_a_key_is_detected() {
        let key = *b"31191108676370000155550010000070831000062423";
        assert!(ends_in_check_digit(&key, Weights::UP_TO_9));
        for at in 0..key.len() {
            let mut wrong = key;
            wrong[at] = if wrong[at] == b'9' { b'0' } else { wrong[at] + 1 };
            // Raising a digit by 1 changes the sum by a weight below 11 (or by -9 weights), so the remainder moves;
            // only the two remainders that both give 0 can hide it.
            let hidden = check_digit(&wrong[..43], Weights::UP_TO_9) == b'0' && key[43] == b'0';
            assert!(hidden || !ends_in_check_digit(&wrong, Weights::UP_TO_9), "at {at}");
        }
    }

    #[test]
    fn an_empty_text_has_no_check_digit() {
        assert!(!ends_in_check_digit(b"", Weights::UP_TO_9));
    }
}
