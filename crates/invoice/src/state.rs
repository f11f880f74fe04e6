//! States by their IBGE code, with which keys begin.

/// IBGE codes and letters of the states.
const STATES: [(&str, &str); 27] = [
    ("11", "RO"),
    ("12", "AC"),
    ("13", "AM"),
    ("14", "RR"),
    ("15", "PA"),
    ("16", "AP"),
    ("17", "TO"),
    ("21", "MA"),
    ("22", "PI"),
    ("23", "CE"),
    ("24", "RN"),
    ("25", "PB"),
    ("26", "PE"),
    ("27", "AL"),
    ("28", "SE"),
    ("29", "BA"),
    ("31", "MG"),
    ("32", "ES"),
    ("33", "RJ"),
    ("35", "SP"),
    ("41", "PR"),
    ("42", "SC"),
    ("43", "RS"),
    ("50", "MS"),
    ("51", "MT"),
    ("52", "GO"),
    ("53", "DF"),
];

/// The letters by code, for a lookup without a search.
const LETTERS: [Option<&str>; 100] = by_code();

#[allow(clippy::indexing_slicing, reason = "only a constant uses it: a wrong index does not compile")]
const fn by_code() -> [Option<&'static str>; 100] {
    let mut letters = [None; 100];
    let mut nth = 0;
    while nth < STATES.len() {
        let code = STATES[nth].0.as_bytes();
        letters[((code[0] - b'0') * 10 + (code[1] - b'0')) as usize] = Some(STATES[nth].1);
        nth += 1;
    }
    letters
}

/// Returns the letters of the state with this code, such as `MG` for `31`.
pub(crate) fn letters(code: &str) -> Option<&'static str> {
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = code.as_bytes() else { return None };
    LETTERS.get(usize::from((tens - b'0') * 10 + (ones - b'0'))).copied().flatten()
}
