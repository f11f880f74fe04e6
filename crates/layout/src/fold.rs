//! Folds names and cells for comparison: `Série`, ` SERIE` and `*série` are the same column.

use arrayvec::ArrayString;

/// Bytes of a folded cell that are compared. Texts of a status or of a trailer are much shorter.
const FOLDED_CELL_LIMIT: usize = 256;

/// Folds the name of a column: removes a byte order mark and the quotes that remain after it, a leading `*`, case, accents and
/// extra spaces.
pub(crate) fn column(name: &str) -> String {
    let without_mark = name.strip_prefix('\u{feff}').or_else(|| name.strip_prefix("ï»¿"));
    let name = without_mark.map_or(name, |name| name.trim_matches('"'));
    folded(name.trim().trim_start_matches('*')).collect()
}

/// Folds a cell without allocation. The result is cut at [`FOLDED_CELL_LIMIT`] bytes.
pub(crate) fn cell(text: &str) -> ArrayString<FOLDED_CELL_LIMIT> {
    let mut kept = ArrayString::new();
    for char in folded(text) {
        if kept.try_push(char).is_err() {
            break;
        }
    }
    kept
}

/// Whether `text` folds to `word`, which is already folded.
pub(crate) fn is(text: &str, word: &str) -> bool {
    folded(text).eq(word.chars())
}

/// Iterates over the characters of `text` in lower case, without accents, without spaces at the ends, and with single spaces.
pub(crate) fn folded(text: &str) -> impl Iterator<Item = char> {
    let mut after_space = false;
    text.trim().chars().filter_map(move |char| {
        let char = fold(char)?;
        let is_space = char == ' ';
        let dropped = is_space && after_space;
        after_space = is_space;
        (!dropped).then_some(char)
    })
}

/// Returns a letter of Portuguese or a similar language without its accent; none for a combining accent, as in decomposed
/// text.
fn fold(char: char) -> Option<char> {
    if char.is_ascii() {
        return Some(if char.is_ascii_whitespace() { ' ' } else { char.to_ascii_lowercase() });
    }
    if char.is_whitespace() {
        return Some(' ');
    }
    match char {
        '\u{300}'..='\u{36f}' => None,
        'à'..='å' | 'À'..='Å' => Some('a'),
        'ç' | 'Ç' => Some('c'),
        'è'..='ë' | 'È'..='Ë' => Some('e'),
        'ì'..='ï' | 'Ì'..='Ï' => Some('i'),
        'ñ' | 'Ñ' => Some('n'),
        'ò'..='ö' | 'Ò'..='Ö' => Some('o'),
        'ù'..='ü' | 'Ù'..='Ü' => Some('u'),
        'ý' | 'ÿ' | 'Ý' | 'Ÿ' => Some('y'),
        other => Some(other.to_lowercase().next().unwrap_or(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_spaces_star_and_byte_order_mark_do_not_matter() {
        for name in [
            "SÉRIE  DA NOTA",
            " série da nota ",
            "*Serie da Nota",
            "* SERIE\u{a0}DA\tNOTA",
            "\u{feff}Série da nota",
            "\u{feff}\"Série da nota\"",
            "ï»¿Série da nota",
            "Se\u{301}rie da nota",
        ] {
            assert_eq!(column(name), "serie da nota", "{name:?}");
        }
        assert_ne!(column("SÉRIES DA NOTA"), "serie da nota");
    }

    #[test]
    fn the_accents_of_the_portal() {
        assert_eq!(column("PRESENÇA / MUNICÍPIO / ÓRGÃO / Àü"), "presenca / municipio / orgao / au");
    }

    #[test]
    fn a_cell_is_cut_between_characters() {
        assert_eq!(cell(&"Ø".repeat(300)).chars().count(), FOLDED_CELL_LIMIT / 2);
        assert_eq!(cell("  Autorização  de Uso ").as_str(), "autorizacao de uso");
        assert!(is("SEM  INFORMAÇÃO", "sem informacao"));
        assert!(!is("SEM INFORMAÇÃO NENHUMA", "sem informacao"));
    }
}
