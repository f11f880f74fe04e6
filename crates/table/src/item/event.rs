//! An event as an item.
//!
//! | attribute | type | holds |
//! | --- | --- | --- |
//! | `PK`, `SK` | S | `N#<id of its invoice>`, `E#<yyyymmddThhmmss>#<code>` |
//! | `at` | S | its time, in the plain form |
//! | `kind` | S | its kind |
//! | `text`, `desc`, `why` | S | its text in the source, its description, its reason |
//! | `src`, `rec` | S, N | as in all items |
//!
//! An event appears in no index. Its code is only in its key.

use super::parts::{self, Encoded, Measured, Refusal, SourceRef, WrittenParts};
use crate::item_writer::{ItemWriter, name};
use crate::keys;
use notaflux_invoice::Event;

/// Appends the JSON of the item that holds `event` to `out`. Allocates nothing else.
///
/// # Errors
/// Those of [`measure_event`] with the longest record number. Then `out` is unchanged.
pub fn encode_event(event: &Event<'_>, source: &SourceRef<'_>, out: &mut Vec<u8>) -> Result<Encoded, Refusal> {
    parts::check_id(&event.invoice)?;
    parts::encode(source, out, 0, |json| write(event, source, json))
}

/// Measures a put of `event` without writing it.
///
/// # Errors
/// An item that `DynamoDB` would refuse.
pub fn measure_event(event: &Event<'_>, source: &SourceRef<'_>) -> Result<Measured, Refusal> {
    parts::check_id(&event.invoice)?;
    parts::measure(|counter| write(event, source, counter))
}

fn write(event: &Event<'_>, source: &SourceRef<'_>, writer: &mut impl ItemWriter) -> WrittenParts {
    let time = keys::sort_time(event.at.local);
    let (pk, sk) = parts::write_keys(&event.invoice, &keys::event_sk_parts(&time, &event.code), writer);
    writer.name(name!("at"));
    writer.time(&event.at);
    writer.text(name!("kind"), event.kind.as_str());
    parts::write_optional(name!("text"), event.text.as_deref(), writer);
    parts::write_optional(name!("desc"), event.description.as_deref(), writer);
    parts::write_optional(name!("why"), event.reason.as_deref(), writer);
    parts::write_source(source, writer);
    WrittenParts { pk, sk, indexes: 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item::parts::ITEM_LIMIT_BYTES;
    use notaflux_testing::{any_event, example_event, json_size};

    fn source() -> SourceRef<'static> {
        SourceRef { ingestion: "9f2c".into(), record: 1 }
    }

    #[test]
    fn an_event_becomes_this_json() {
        let mut out = b"before ".to_vec();
        let encoded = encode_event(&example_event(), &source(), &mut out).unwrap();
        let expected = concat!(
            r#"before {"PK":{"S":"N#31191108676370000155550010000070831000062423"},"#,
            r#""SK":{"S":"E#20191113T080910#110111"},"at":{"S":"2019-11-13T08:09:10-03:00"},"#,
            r#""kind":{"S":"cancellation"},"text":{"S":"Cancelamento da NF-e"},"desc":{"S":"Cancelamento"},"#,
            r#""why":{"S":"ERRO DE PREÇO"},"src":{"S":"9f2c"},"rec":{"N":"1"}}"#,
        );
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(&out[encoded.pk], b"N#31191108676370000155550010000070831000062423");
        assert_eq!(&out[encoded.sk], b"E#20191113T080910#110111");
        assert_eq!(encoded.write_units, 1);
    }

    #[test]
    fn items_that_dynamodb_would_refuse_are_refused() {
        let measure = |event: &Event<'_>| measure_event(event, &source());
        let with_id = |id: String| Event { invoice: id.into(), ..example_event() };
        let with_reason = |length| Event { reason: Some("v".repeat(length).into()), ..example_event() };
        assert_eq!(measure(&with_id(String::new())), Err(Refusal::EmptyId));
        assert!(measure(&with_id("x".repeat(1008))).is_ok());
        assert_eq!(measure(&with_id("x".repeat(1009))), Err(Refusal::IdTooLong { size_bytes: 1009 }));
        let limit = ITEM_LIMIT_BYTES - measure(&with_reason(0)).unwrap().size_bytes;
        assert_eq!(measure(&with_reason(limit)).unwrap().size_bytes, ITEM_LIMIT_BYTES);
        let size_bytes = ITEM_LIMIT_BYTES + 1;
        assert_eq!(measure(&with_reason(limit + 1)), Err(Refusal::TooLarge { size_bytes }));
    }

    proptest! {
        /// The measured size, the written size, and the size of the JSON by the documented rules agree.
        #[test]
        fn sizes_agree(event in any_event(), record in 1_u64..) {
            let source = SourceRef { ingestion: "9f2c".into(), record };
            let mut out = Vec::new();
            let encoded = encode_event(&event, &source, &mut out).unwrap();
            let measured = measure_event(&event, &source).unwrap();
            prop_assert_eq!((encoded.size_bytes, encoded.write_units), (measured.size_bytes, measured.write_units));
            let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(encoded.size_bytes, json_size(&json));
            prop_assert_eq!(&json["SK"]["S"], &serde_json::Value::from(keys::event_sk(&event)));
        }
    }
}
