//! The modulo 11 check digit that CNPJ, CPF and access keys share (Nota Técnica Conjunta 2025.001).

/// Weights of CNPJ and access keys run 2 to 9 from the right, again and again.
pub(crate) const HIGHEST_WEIGHT: u32 = 9;

/// The check digit by remainder: 0 and 1 give 0, any other r gives 11 - r.
const BY_REMAINDER: [u8; 11] = *b"00987654321";

/// Weights from the right, more than any key has characters.
const WEIGHTS: usize = 64;

/// 2 to `highest`, again and again.
#[allow(clippy::indexing_slicing, reason = "of constants alone, where it would not compile")]
const fn weights(highest: u32) -> [u32; WEIGHTS] {
    let mut weights = [2; WEIGHTS];
    let mut at = 1;
    while at < WEIGHTS {
        weights[at] = if weights[at - 1] == highest { 2 } else { weights[at - 1] + 1 };
        at += 1;
    }
    weights
}

/// The check digit, as an ASCII digit, of `text`: digits and capital letters, whose value is their ASCII code less 48; of 64 of
/// them at most.
///
/// Weights run from 2 at the right up to `highest_weight`, then from 2 again. For CPF, whose weights never start again,
/// any `highest_weight` from 11 does.
pub(crate) fn check_digit(text: &[u8], highest_weight: u32) -> u8 {
    // Made beforehand: several keys and tax ids of every record are checked.
    const UP_TO_9: [u32; WEIGHTS] = weights(HIGHEST_WEIGHT);
    const ON_AND_ON: [u32; WEIGHTS] = weights(u32::MAX);
    debug_assert!(text.len() <= WEIGHTS, "there is a weight for each");
    let weights = if highest_weight == HIGHEST_WEIGHT { &UP_TO_9 } else { &ON_AND_ON };
    let products = text.iter().rev().zip(weights).map(|(byte, weight)| u32::from(byte.wrapping_sub(b'0')) * weight);
    BY_REMAINDER.get(products.sum::<u32>() as usize % 11).copied().unwrap_or(b'0')
}

/// Whether the last of `text` is the check digit of what stands before it.
pub(crate) fn ends_in_check_digit(text: &[u8], highest_weight: u32) -> bool {
    text.split_last().is_some_and(|(&last, body)| check_digit(body, highest_weight) == last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_the_technical_note() {
        assert_eq!(check_digit(b"12ABC34501DE", HIGHEST_WEIGHT), b'3');
        assert_eq!(check_digit(b"12ABC34501DE3", HIGHEST_WEIGHT), b'5');
    }

    #[test]
    fn the_national_service_invoice_key_uses_the_same_digit() {
        let key = b"52115031239558194000180000000000486626023714913456";
        assert!(ends_in_check_digit(key, HIGHEST_WEIGHT));
    }

    #[test]
    fn any_single_wrong_digit_of_a_key_shows() {
        let key = *b"31191108676370000155550010000070831000062423";
        assert!(ends_in_check_digit(&key, HIGHEST_WEIGHT));
        for at in 0..key.len() {
            let mut wrong = key;
            wrong[at] = if wrong[at] == b'9' { b'0' } else { wrong[at] + 1 };
            // Raising a digit by 1 changes the sum by a weight below 11 (or by -9 weights), so the remainder moves;
            // only the two remainders that both give 0 can hide it.
            let hidden = check_digit(&wrong[..43], HIGHEST_WEIGHT) == b'0' && key[43] == b'0';
            assert!(hidden || !ends_in_check_digit(&wrong, HIGHEST_WEIGHT), "at {at}");
        }
    }

    #[test]
    fn nothing_has_no_check_digit() {
        assert!(!ends_in_check_digit(b"", HIGHEST_WEIGHT));
    }
}
