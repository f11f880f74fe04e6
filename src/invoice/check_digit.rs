//! The modulo 11 check digit that CNPJ, CPF and access keys share (Nota Técnica Conjunta 2025.001).

/// The check digit by remainder: 0 and 1 give 0, any other r gives 11 - r.
const BY_REMAINDER: [u8; 11] = *b"00987654321";

/// Characters that there are weights for: more than any key or tax id has.
const LENGTH_LIMIT: usize = 64;

/// What each character counts, from the right. Made beforehand: several keys and tax ids of every record are checked.
#[derive(Debug)]
pub(crate) struct Weights([u32; LENGTH_LIMIT]);

impl Weights {
    /// Of CNPJ and access keys: 2 to 9, again and again.
    pub(crate) const UP_TO_9: &Self = &Self::up_to(9);
    /// Of CPF: 2 and on, without starting again.
    pub(crate) const RISING: &Self = &Self::up_to(u32::MAX);

    #[allow(clippy::indexing_slicing, reason = "of constants alone, where it would not compile")]
    const fn up_to(highest: u32) -> Self {
        let mut weights = [2; LENGTH_LIMIT];
        let mut at = 1;
        while at < LENGTH_LIMIT {
            weights[at] = if weights[at - 1] == highest { 2 } else { weights[at - 1] + 1 };
            at += 1;
        }
        Self(weights)
    }
}

/// The check digit, as an ASCII digit, of `text`: digits and capital letters, whose value is their ASCII code less 48; of
/// [`LENGTH_LIMIT`] of them at most.
pub(crate) fn check_digit(text: &[u8], Weights(weights): &Weights) -> u8 {
    debug_assert!(text.len() <= LENGTH_LIMIT, "there is a weight for each");
    let products = text.iter().rev().zip(weights).map(|(byte, weight)| u32::from(byte.wrapping_sub(b'0')) * weight);
    BY_REMAINDER.get(products.sum::<u32>() as usize % 11).copied().unwrap_or(b'0')
}

/// Whether the last of `text` is the check digit of what stands before it.
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
    fn any_single_wrong_digit_of_a_key_shows() {
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
    fn nothing_has_no_check_digit() {
        assert!(!ends_in_check_digit(b"", Weights::UP_TO_9));
    }
}
