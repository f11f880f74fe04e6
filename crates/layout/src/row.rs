//! A record as text. Each record is read as UTF-8 if it is valid UTF-8, otherwise as windows-1252.

use crate::latin::{decode_windows_1252, utf_8};
use crate::scratch::Scratch;
use crate::span::Span;
use notaflux_records::record::Fields;

/// The fields of one record as text, borrowed from the record, or from a [`Scratch`] if the record was not UTF-8.
///
/// The row of a JSON record with lines has only the fields of the record. Each row of [`Row::lines`] has these fields, followed
/// by the fields of the line.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub(crate) text: &'a str,
    pub(crate) spans: &'a [Span],
    /// The fields of the line, if the row is a line of a record.
    pub(crate) line: &'a [Span],
    /// The fields of all lines, `line_columns` for each line.
    pub(crate) lines: &'a [Span],
    pub(crate) line_columns: usize,
    /// Names and values of the record that the layout does not name.
    pub(crate) others: &'a [(Span, Span)],
}

impl<'a> Row<'a> {
    /// Borrows `fields` if each of them is UTF-8. Otherwise decodes the whole record as windows-1252, in which every byte has a
    /// meaning.
    #[must_use]
    pub fn decode(fields: Fields<'a>, scratch: &'a mut Scratch) -> Self {
        let bytes = fields.text();
        // After a row that was not UTF-8, the next row is probably not UTF-8 either: decode it first, which also shows what it is.
        let decoded = scratch.was_other.then(|| scratch.latin.decode(bytes));
        let text = if scratch.was_other { scratch.latin.same_as_utf_8(bytes) } else { utf_8(bytes) };
        if let Some(text) = text
            && scratch.note_spans_of_text(text, fields)
        {
            scratch.was_other = false;
            return Self::of(text, &scratch.spans);
        }
        scratch.was_other = true;
        let is_latin = decoded.unwrap_or_else(|| scratch.latin.decode(bytes));
        if is_latin { scratch.decoded(fields) } else { scratch.decode_windows_1252(fields) }
    }

    fn of(text: &'a str, spans: &'a [Span]) -> Self {
        Self { text, spans, line: &[], lines: &[], line_columns: 0, others: &[] }
    }

    /// Returns the number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len() + self.line.len()
    }

    /// Whether the row has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the text of field `index`, counted from 0.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a str> {
        self.span(index)?.of(self.text)
    }

    /// Whether field `index` is a JSON number.
    #[inline]
    pub(crate) fn is_number(&self, index: usize) -> bool {
        self.span(index).is_some_and(|span| span.is_number)
    }

    #[expect(clippy::expect_used, reason = "every span was made for the text of this row")]
    fn field(&self, index: usize) -> &'a str {
        self.get(index).expect("each field is a part of the text")
    }

    #[inline]
    fn span(&self, index: usize) -> Option<&'a Span> {
        match self.spans.get(index) {
            Some(span) => Some(span),
            None => self.line.get(index - self.spans.len()),
        }
    }

    /// Iterates over all fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(|index| self.field(index))
    }

    /// Iterates over the lines of the record. Each has the fields of the record, followed by its own.
    #[must_use]
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let record = *self;
        self.lines.chunks_exact(self.line_columns.max(1)).map(move |line| Row {
            line,
            lines: &[],
            others: &[],
            ..record
        })
    }

    /// Iterates over names and values of the record that the layout does not name, if the layout keeps them.
    #[expect(clippy::expect_used, reason = "every span was made for the text of this row")]
    pub(crate) fn others(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        let read = move |span: &Span| span.of(text).expect("each value is a part of the text");
        self.others.iter().map(move |(name, value)| (read(name), read(value)))
    }
}

impl Scratch {
    /// Stores the places of the fields. Returns false if a field ends inside a character: then the field itself is not UTF-8,
    /// although the record is.
    fn note_spans_of_text(&mut self, text: &str, fields: Fields<'_>) -> bool {
        self.spans.clear();
        self.spans.extend(fields.bounds().iter().map(|field| Span::new(field.start, field.end)));
        fields.bounds().iter().all(|field| text.is_char_boundary(field.end))
    }

    /// Returns the row whose text was decoded as Latin-1.
    fn decoded(&mut self, fields: Fields<'_>) -> Row<'_> {
        self.spans.clear();
        let mut wide = 0;
        self.spans.extend(fields.bounds().iter().map(|field| {
            // There are only delimiters, which are ASCII, between the end of the previous field and this start.
            let start = field.start + wide;
            wide = self.latin.wide_before(field.end);
            Span::new(start, field.end + wide)
        }));
        Row::of(self.latin.text(), &self.spans)
    }

    fn decode_windows_1252(&mut self, fields: Fields<'_>) -> Row<'_> {
        self.spans.clear();
        self.text.clear();
        for field in fields.iter() {
            let start = self.text.len();
            decode_windows_1252(field, &mut self.text);
            self.spans.push(Span::new(start, self.text.len()));
        }
        Row::of(&self.text, &self.spans)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use notaflux_records::record::FieldsBuf;

    fn decoded(fields: &[&[u8]]) -> (Vec<String>, bool) {
        let record: FieldsBuf = fields.iter().collect();
        let mut scratch = Scratch::default();
        let row = Row::decode(record.as_fields(), &mut scratch);
        let borrowed = std::ptr::eq(row.text.as_ptr(), record.as_fields().text().as_ptr());
        (row.iter().map(str::to_owned).collect(), borrowed)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn utf_8_is_borrowed() {
        let fields: [&[u8]; 3] = ["São".as_bytes(), b"", "€".as_bytes()];
        assert_eq!(decoded(&fields), (texts(&["São", "", "€"]), true));
    }

    #[test]
    fn anything_else_is_windows_1252() {
        let fields: [&[u8]; 4] = [b"S\xe3o \x80", b"ascii", b"", b"\x93x\x94\x81"];
        assert_eq!(decoded(&fields), (texts(&["São €", "ascii", "", "“x”\u{81}"]), false));
    }

    #[test]
    fn one_field_that_is_not_utf_8_decides_for_the_record() {
        let fields: [&[u8]; 2] = ["Ã".as_bytes(), b"\xc3"];
        assert_eq!(decoded(&fields), (texts(&["Ãƒ", "Ã"]), false));
    }

    #[test]
    fn a_character_across_two_fields_is_not_utf_8() {
        let fields: [&[u8]; 2] = [b"COPACABAN\xc3", b"\xa9 LTDA"];
        assert_eq!(decoded(&fields), (texts(&["COPACABANÃ", "© LTDA"]), false));
    }

    #[test]
    fn no_fields_and_no_text() {
        assert_eq!(decoded(&[]), (Vec::new(), true));
        assert_eq!(decoded(&[b""]), (texts(&[""]), true));
    }

    /// Bytes as in real texts: mostly ASCII.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![3 => 0x20_u8..0x7f, 1 => any::<u8>()]
    }

    #[test]
    fn text_of_every_length_is_decoded_after_every_kind_of_text() {
        let mut scratch = Scratch::default();
        for length in 0..200 {
            for at in 0..length {
                let mut latin = vec![b'a'; length];
                latin[at] = 0xe3;
                let utf_8 = str::from_utf8(&latin[..at]).unwrap().to_owned() + "ã" + &"a".repeat(length - at - 1);
                for text in [&latin, utf_8.as_bytes()] {
                    let fields: FieldsBuf = [text].into_iter().collect();
                    assert_eq!(Row::decode(fields.as_fields(), &mut scratch).get(0), Some(&*utf_8), "{at} of {length}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn each_field_is_decoded_as_if_it_stood_alone(
            fields in prop::collection::vec(prop::collection::vec(byte(), 0..200), 0..9),
            latin in any::<bool>(),
            was_other in any::<bool>(),
            apart in any::<bool>(),
        ) {
            let byte = |byte: u8| if latin && matches!(byte, 0x80..=0x9f) { byte + 0x20 } else { byte };
            let fields: Vec<Vec<u8>> = fields.into_iter().map(|field| field.into_iter().map(byte).collect()).collect();
            // Fields with delimiters between them, or without.
            let mut text = Vec::new();
            let mut bounds = Vec::new();
            for field in &fields {
                let start = text.len();
                text.extend_from_slice(field);
                bounds.push(start..text.len());
                text.extend(apart.then_some(b';'));
            }
            let mut scratch = Scratch::default();
            // The content of a previous record must have no effect.
            scratch.text.push_str("left");
            scratch.latin.decode(b"\xe9");
            scratch.was_other = was_other;
            scratch.spans.push(Span::new(0, 4));
            let row = Row::decode(Fields::new(&text, &bounds), &mut scratch);
            let utf_8 = fields.iter().all(|field| std::str::from_utf8(field).is_ok());
            prop_assert_eq!(row.len(), fields.len());
            prop_assert_eq!(row.get(fields.len()), None);
            for (at, field) in fields.iter().enumerate() {
                let latin = encoding_rs::WINDOWS_1252.decode_without_bom_handling(field).0;
                let expected = if utf_8 { String::from_utf8_lossy(field) } else { latin };
                prop_assert_eq!(row.get(at), Some(expected.as_ref()));
            }
        }
    }
}
