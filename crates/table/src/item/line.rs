//! A line as an item.
//!
//! | attribute | type | holds |
//! | --- | --- | --- |
//! | `PK`, `SK` | S | `N#<id of its invoice>`; `L#<number>`, or `L#-<natural key>`: see [`keys`] |
//! | `code`, `desc` | S | the seller's code, the description |
//! | `ncm`, `cfop` | S | NCM, CFOP |
//! | `qty`, `unit`, `price`, `total` | S | quantity, unit, unit price, total, with the decimal places of the source |
//! | `x` | M | extra columns by name |
//! | `w` | L | warnings |
//! | `src`, `rec` | S, N | as in all items |
//!
//! A line appears in no index. Its number is only in its key.

use super::parts::{self, Encoded, Map, Measured, Refusal, SourceRef, WrittenParts};
use crate::item_writer::{ItemWriter, name};
use crate::keys::{self, LineScratch};
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_invoice::{Decimal, Line, LineKey};

/// Appends the JSON of the item that holds `line` to `out`. Allocates nothing else.
///
/// # Errors
/// Those of [`measure_line`] with the longest record number. Then `out` is unchanged.
pub fn encode_line(line: &Line<'_>, source: &SourceRef<'_>, out: &mut Vec<u8>) -> Result<Encoded, Refusal> {
    check(line)?;
    parts::encode(source, out, 0, |json| write(line, source, json))
}

/// Measures a put of `line` without writing it.
///
/// # Errors
/// An item that `DynamoDB` would refuse, and a number that would not sort with the others.
pub fn measure_line(line: &Line<'_>, source: &SourceRef<'_>) -> Result<Measured, Refusal> {
    check(line)?;
    parts::measure(|counter| write(line, source, counter))
}

fn check(line: &Line<'_>) -> Result<(), Refusal> {
    parts::check_id(&line.invoice)?;
    match line.key {
        LineKey::Number(number) if !(1..=LINE_NUMBER_LIMIT).contains(&number) => Err(Refusal::LineNumber { number }),
        _ => Ok(()),
    }
}

fn write(line: &Line<'_>, source: &SourceRef<'_>, writer: &mut impl ItemWriter) -> WrittenParts {
    let mut scratch = LineScratch::new();
    let (pk, sk) = parts::write_keys(&line.invoice, &keys::line_sk_parts(&line.key, &mut scratch), writer);
    parts::write_optional(name!("code"), line.code.as_deref(), writer);
    parts::write_optional(name!("desc"), line.description.as_deref(), writer);
    parts::write_optional(name!("ncm"), line.ncm.as_deref(), writer);
    parts::write_optional(name!("cfop"), line.cfop.as_deref(), writer);
    parts::write_optional(name!("qty"), line.quantity.as_ref().map(Decimal::as_str), writer);
    parts::write_optional(name!("unit"), line.unit.as_deref(), writer);
    parts::write_optional(name!("price"), line.unit_price.as_ref().map(Decimal::as_str), writer);
    parts::write_optional(name!("total"), line.total.as_ref().map(Decimal::as_str), writer);
    let mut columns = Map::new(name!("x"));
    line.extra.iter().for_each(|(name, value)| parts::write_column(name, value, &mut columns, writer));
    columns.close(writer);
    parts::write_warnings(line.warnings.iter().copied(), writer);
    parts::write_source(source, writer);
    WrittenParts { pk, sk, indexes: 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item::parts::ITEM_LIMIT_BYTES;
    use notaflux_testing::{any_line, example_line, json_size};

    fn source() -> SourceRef<'static> {
        SourceRef { ingestion: "9f2c".into(), record: 1 }
    }

    #[test]
    fn a_line_becomes_this_json() {
        let mut out = b"before ".to_vec();
        let encoded = encode_line(&example_line(), &source(), &mut out).unwrap();
        let expected = concat!(
            r#"before {"PK":{"S":"N#31191108676370000155550010000070831000062423"},"SK":{"S":"L#00001"},"#,
            r#""code":{"S":"7891"},"desc":{"S":"SORO FISIOLÓGICO"},"ncm":{"S":"30049099"},"cfop":{"S":"6102"},"#,
            r#""qty":{"S":"100.0000"},"unit":{"S":"FR"},"price":{"S":"20.4000"},"total":{"S":"2040.00"},"#,
            r#""x":{"M":{"ncm_text":{"S":"Outros"}}},"src":{"S":"9f2c"},"rec":{"N":"1"}}"#,
        );
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(&out[encoded.pk], b"N#31191108676370000155550010000070831000062423");
        assert_eq!(&out[encoded.sk], b"L#00001");
        assert_eq!(encoded.write_units, 1);
    }

    #[test]
    fn items_that_dynamodb_would_refuse_are_refused() {
        let measure = |line: &Line<'_>| measure_line(line, &source());
        let with_id = |id: String| Line { invoice: id.into(), ..example_line() };
        let numbered = |number| Line { key: LineKey::Number(number), ..example_line() };
        let named = |key: String| Line { key: LineKey::Natural(key.into()), ..example_line() };
        let with_column = |name: &'static str, length| Line {
            extra: vec![(name.into(), "v".repeat(length).into())],
            ..example_line()
        };
        assert_eq!(measure(&with_id(String::new())), Err(Refusal::EmptyId));
        assert_eq!(measure(&with_id("x".repeat(1009))), Err(Refusal::IdTooLong { size_bytes: 1009 }));
        assert_eq!(measure(&numbered(0)), Err(Refusal::LineNumber { number: 0 }));
        assert_eq!(measure(&numbered(100_000)), Err(Refusal::LineNumber { number: 100_000 }));
        assert!(measure(&numbered(99_999)).is_ok());
        assert!(measure(&named("é".repeat(300_000))).is_ok(), "a long key is cut");
        assert_eq!(measure(&with_column("", 1)), Err(Refusal::Name { size_bytes: 0 }));
        let limit = ITEM_LIMIT_BYTES - measure(&with_column("x", 0)).unwrap().size_bytes;
        assert_eq!(measure(&with_column("x", limit)).unwrap().size_bytes, ITEM_LIMIT_BYTES);
        let size_bytes = ITEM_LIMIT_BYTES + 1;
        assert_eq!(measure(&with_column("x", limit + 1)), Err(Refusal::TooLarge { size_bytes }));
    }

    proptest! {
        /// The measured size, the written size, and the size of the JSON by the documented rules agree.
        #[test]
        fn sizes_agree(line in any_line(), record in 1_u64..) {
            let source = SourceRef { ingestion: "9f2c".into(), record };
            let mut out = Vec::new();
            let encoded = encode_line(&line, &source, &mut out).unwrap();
            let measured = measure_line(&line, &source).unwrap();
            prop_assert_eq!((encoded.size_bytes, encoded.write_units), (measured.size_bytes, measured.write_units));
            let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(encoded.size_bytes, json_size(&json));
            prop_assert_eq!(&json["SK"]["S"], &serde_json::Value::from(keys::line_sk(&line.key)));
        }
    }
}
