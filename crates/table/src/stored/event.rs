//! Decodes the item of an event.

use serde::Serialize;

use super::fields::{Attributes, DecodeError, Fields, owned};
use crate::item::SourceRef;
use crate::keys;
use notaflux_invoice::{Event, EventKind};

/// An event as stored in the table. Serialises to the answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEvent {
    /// The event.
    #[serde(flatten)]
    pub event: Event<'static>,
    /// The origin of its record.
    #[serde(skip)]
    pub source: SourceRef<'static>,
}

/// Decodes the item of an event. Skips unknown attributes.
///
/// # Errors
/// The first attribute that is missing or damaged.
pub fn decode_event(item: &Attributes) -> Result<StoredEvent, DecodeError> {
    let item = Fields { of: "an event's", attributes: item };
    let code = keys::event_code_of(item.required(keys::SK)?).and_then(|code| code.try_into().ok());
    let event = Event {
        invoice: owned(item.id()?),
        at: item.required_timestamp("at")?,
        kind: EventKind::from_word(item.required("kind")?).ok_or(item.wrong("kind", "a kind of event"))?,
        code: code.ok_or(item.wrong(keys::SK, "the key of an event"))?,
        text: item.owned("text")?,
        description: item.owned("desc")?,
        reason: item.owned("why")?,
    };
    Ok(StoredEvent { event, source: item.source()? })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;

    use super::*;
    use crate::item::encode_event;
    use notaflux_testing::{any_event, attributes, example_event};

    fn stored(event: &Event<'_>, record: u64) -> Attributes {
        let source = SourceRef { ingestion: "9f2c".into(), record };
        let mut json = Vec::new();
        encode_event(event, &source, &mut json).unwrap();
        attributes(&json)
    }

    #[test]
    fn a_stored_event_serialises_to_the_answer_of_the_api() {
        let stored = decode_event(&stored(&example_event(), 1)).unwrap();
        let expected = concat!(
            r#"{"at":"2019-11-13T08:09:10-03:00","kind":"cancellation","text":"Cancelamento da NF-e","#,
            r#""description":"Cancelamento","reason":"ERRO DE PREÇO"}"#,
        );
        assert_eq!(serde_json::to_string(&stored).unwrap(), expected);
    }

    #[test]
    fn a_damaged_item_is_an_error() {
        let long = "E#20191113T080910#12345678901234567";
        for (name, value, message) in [
            ("SK", "H", r#"attribute "SK" of an event's item: expected the key of an event, found another text"#),
            ("SK", long, r#"attribute "SK" of an event's item: expected the key of an event, found another text"#),
            ("kind", "gone", r#"attribute "kind" of an event's item: expected a kind of event, found another text"#),
        ] {
            let mut item = stored(&example_event(), 1);
            item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            assert_eq!(decode_event(&item).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn a_stored_event_is_read_back(event in any_event(), record in any::<u64>()) {
            let StoredEvent { event: found, source } = decode_event(&stored(&event, record)).unwrap();
            prop_assert_eq!(found, event);
            prop_assert_eq!(source, SourceRef { ingestion: "9f2c".into(), record });
        }
    }
}
