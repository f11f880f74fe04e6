//! Decodes the item of a line.

use serde::Serialize;

use super::fields::{Attributes, DecodeError, Fields, owned};
use crate::item::SourceRef;
use crate::keys;
use notaflux_invoice::Line;

/// A line as stored in the table. Serialises to the answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredLine {
    /// The line. Its extra columns are sorted by name. Of a natural key that did not fit into the sort key it has the part in the sort
    /// key.
    #[serde(flatten)]
    pub line: Line<'static>,
    /// The origin of its record.
    #[serde(skip)]
    pub source: SourceRef<'static>,
}

/// Decodes the item of a line. Skips unknown attributes.
///
/// # Errors
/// The first attribute that is missing or damaged.
pub fn decode_line(item: &Attributes) -> Result<StoredLine, DecodeError> {
    let item = Fields { of: "a line's", attributes: item };
    let key = keys::line_key_of(item.required(keys::SK)?);
    let line = Line {
        invoice: owned(item.id()?),
        key: key.ok_or(item.wrong(keys::SK, "the key of a line"))?,
        code: item.owned("code")?,
        description: item.owned("desc")?,
        ncm: item.owned("ncm")?,
        cfop: item.owned("cfop")?,
        quantity: item.decimal("qty")?,
        unit: item.owned("unit")?,
        unit_price: item.decimal("price")?,
        total: item.decimal("total")?,
        extra: item.extra()?,
        warnings: item.warnings()?,
    };
    Ok(StoredLine { line, source: item.source()? })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;

    use super::*;
    use crate::item::encode_line;
    use notaflux_invoice::LineKey;
    use notaflux_testing::{any_line, attributes, example_line};

    fn stored(line: &Line<'_>, record: u64) -> Attributes {
        let source = SourceRef { ingestion: "9f2c".into(), record };
        let mut json = Vec::new();
        encode_line(line, &source, &mut json).unwrap();
        attributes(&json)
    }

    #[test]
    fn a_stored_line_serialises_to_the_answer_of_the_api() {
        let of = |line: &Line<'_>| serde_json::to_string(&decode_line(&stored(line, 1)).unwrap()).unwrap();
        let expected = concat!(
            r#"{"number":"1","code":"7891","description":"SORO FISIOLÓGICO","ncm":"30049099","cfop":"6102","#,
            r#""quantity":"100.0000","unit":"FR","unit_price":"20.4000","total":"2040.00","#,
            r#""extra":{"ncm_text":"Outros"}}"#,
        );
        assert_eq!(of(&example_line()), expected);
        let unnumbered = Line { key: LineKey::Natural("7891|2040.00".into()), ..example_line() };
        assert_eq!(of(&unnumbered), expected.replace(r#""number":"1","#, ""));
    }

    #[test]
    fn of_a_long_natural_key_the_part_in_the_sort_key_is_read_back() {
        let line = Line { key: LineKey::Natural("x".repeat(201).into()), ..example_line() };
        let found = decode_line(&stored(&line, 1)).unwrap().line;
        let LineKey::Natural(shown) = found.key else { panic!("it has no number") };
        assert_eq!(format!("L#-{shown}"), keys::line_sk(&line.key));
    }

    #[test]
    fn a_damaged_item_is_an_error() {
        for (name, value, message) in [
            ("SK", "H", r#"attribute "SK" of a line's item: expected the key of a line, found another text"#),
            ("PK", "J#1", r#"attribute "PK" of a line's item: expected the key of an invoice, found another text"#),
            (
                "qty",
                "1,0",
                r#"attribute "qty" of a line's item: expected a decimal such as 2040.00, found another text"#,
            ),
        ] {
            let mut item = stored(&example_line(), 1);
            item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            assert_eq!(decode_line(&item).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn a_stored_line_is_read_back(mut line in any_line(), record in any::<u64>()) {
            let StoredLine { line: found, source } = decode_line(&stored(&line, record)).unwrap();
            line.extra.sort();
            prop_assert_eq!(found, line);
            prop_assert_eq!(source, SourceRef { ingestion: "9f2c".into(), record });
        }
    }
}
