//! Which objects an event names: notifications by S3 itself, or by way of EventBridge. Either may come in an SQS message.

use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An object that has been put into a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Bucket.
    pub bucket: String,
    /// Key, decoded.
    pub key: String,
    /// Version, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is of no known shape.
    #[error("expected an S3 notification with Records, or an S3 event of EventBridge, found {found}: {why}")]
    Shape {
        /// What is wrong with it.
        why: String,
        /// The beginning of it.
        found: String,
    },
    /// A key that is not encoded as S3 encodes keys.
    #[error("the key {key:?} is not URL-encoded UTF-8")]
    Key {
        /// The key as it came.
        key: String,
    },
}

/// What EventBridge calls an object that was put, copied or completed.
const OBJECT_CREATED: &str = "Object Created";

/// An event of S3 in EventBridge, as far as it matters here.
#[derive(Deserialize)]
struct Bridged {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: BridgedBucket,
    object: BridgedObject,
}

#[derive(Deserialize)]
struct BridgedBucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BridgedObject {
    key: String,
    version_id: Option<String>,
}

/// The objects that an event says were created. S3's test event names none; neither do removals.
///
/// # Errors
/// An event of another shape.
pub fn created(event: &Value) -> Result<Vec<Created>, EventError> {
    let word = |name: &str| event.get(name).and_then(Value::as_str);
    let shape = |why: String| EventError::Shape { why, found: event.to_string().chars().take(200).collect() };
    if word("Event") == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    match (word("source"), word("detail-type")) {
        (Some("aws.s3"), Some(OBJECT_CREATED)) => {
            let Bridged { detail } = Bridged::deserialize(event).map_err(|error| shape(error.to_string()))?;
            // Unlike S3 itself, EventBridge does not encode keys.
            let Detail { bucket, object: BridgedObject { key, version_id } } = detail;
            Ok(vec![Created { bucket: bucket.name, key, version_id }])
        }
        (Some("aws.s3"), Some(_)) => Ok(Vec::new()),
        _ => notified(event, shape),
    }
}

/// The objects of a notification by S3 itself.
fn notified(event: &Value, shape: impl Fn(String) -> EventError) -> Result<Vec<Created>, EventError> {
    let event = S3Event::deserialize(event).map_err(|error| shape(error.to_string()))?;
    let is_created =
        |record: &&S3EventRecord| record.event_name.as_deref().is_none_or(|name| name.contains("ObjectCreated"));
    let names = event.records.iter().filter(is_created).map(|record| {
        let (bucket, object) = (&record.s3.bucket, &record.s3.object);
        let bucket = bucket.name.clone().ok_or_else(|| shape("a record without a bucket".to_owned()))?;
        let encoded = object.key.as_deref().ok_or_else(|| shape("a record without a key".to_owned()))?;
        let key = decode_key(encoded).ok_or_else(|| EventError::Key { key: encoded.to_owned() })?;
        Ok(Created { bucket, key, version_id: object.version_id.clone() })
    });
    names.collect()
}

/// Undoes the encoding of keys in events: `+` for a space, percent signs for the rest. Servers differ in which of the two
/// they use for a space; a plus sign itself comes as `%2B` from all of them.
fn decode_key(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails by panicking is a test that fails")]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(key: &str) -> Value {
        record(&json!("ObjectCreated:Put"), &json!({"key": key, "versionId": "v1"}))
    }

    fn record(name: &Value, object: &Value) -> Value {
        json!({"Records": [{"eventName": name, "eventTime": "2026-11-02T10:00:00.000Z", "userIdentity": {},
            "requestParameters": {}, "s3": {"bucket": {"name": "uploads"}, "object": object}}]})
    }

    #[test]
    fn a_key_is_decoded_in_both_ways_that_servers_encode_a_space() {
        for key in ["notas+S%C3%A3o+Paulo+%2B1.csv", "notas%20S%C3%A3o%20Paulo%20%2B1.csv"] {
            assert_eq!(created(&event(key)).unwrap()[0].key, "notas São Paulo +1.csv");
        }
    }

    #[test]
    fn a_key_that_is_not_encoded_is_an_error() {
        for key in ["100%", "%zz", "%ff"] {
            assert!(matches!(created(&event(key)), Err(EventError::Key { .. })), "{key}");
        }
    }

    #[test]
    fn a_test_event_and_a_removal_name_no_object() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"});
        assert_eq!(created(&test).unwrap(), []);
        let removed = record(&json!("ObjectRemoved:Delete"), &json!({"key": "a"}));
        assert_eq!(created(&removed).unwrap(), []);
    }

    fn bridged(kind: &str, object: &Value) -> Value {
        json!({"version": "0", "id": "17793124", "detail-type": kind, "source": "aws.s3", "account": "1",
            "time": "2026-11-02T10:00:00Z", "region": "us-east-1", "resources": ["arn:aws:s3:::uploads"],
            "detail": {"version": "0", "bucket": {"name": "uploads"}, "object": object, "reason": "PutObject"}})
    }

    #[test]
    fn eventbridge_does_not_encode_keys() {
        let object = json!({"key": "notas 100%+ São Paulo.csv", "size": 5, "etag": "b1", "version-id": "v1"});
        let version_id = Some("v1".to_owned());
        let expected =
            Created { bucket: "uploads".to_owned(), key: "notas 100%+ São Paulo.csv".to_owned(), version_id };
        assert_eq!(created(&bridged(OBJECT_CREATED, &object)).unwrap(), [expected]);
        let unversioned = created(&bridged(OBJECT_CREATED, &json!({"key": "a"}))).unwrap();
        assert_eq!(unversioned[0].version_id, None);
    }

    #[test]
    fn other_events_of_s3_in_eventbridge_name_no_object() {
        for kind in ["Object Deleted", "Object Tags Added"] {
            assert_eq!(created(&bridged(kind, &json!({"key": "a"}))).unwrap(), [], "{kind}");
        }
    }

    #[test]
    fn another_shape_is_an_error() {
        assert!(matches!(created(&json!({"detail": 1})), Err(EventError::Shape { .. })));
        assert!(matches!(created(&bridged(OBJECT_CREATED, &json!({}))), Err(EventError::Shape { .. })));
        assert!(matches!(created(&json!({"Records": [{"s3": {}}]})), Err(EventError::Shape { .. })));
    }
}
