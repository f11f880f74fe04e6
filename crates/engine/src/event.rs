//! Reads the objects that an event names: a notification from S3 or from EventBridge. Either may come in an SQS
//! message.

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
    /// Version, if the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Its shape is unknown.
    #[error("expected an S3 notification with Records or an S3 event from EventBridge, found {found}: {why}")]
    Shape {
        /// What is wrong.
        why: String,
        /// The first 200 characters of the event.
        found: String,
    },
    /// A key does not have the encoding of keys in S3 events.
    #[error("the key {key:?} of an S3 notification: expected URL-encoded UTF-8")]
    Key {
        /// The key as received.
        key: String,
    },
}

/// The `detail-type` of an EventBridge event for an object that was put, copied or completed.
const OBJECT_CREATED: &str = "Object Created";

/// The fields of an S3 event from EventBridge that we need.
#[derive(Deserialize)]
struct EventBridgeEvent {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Object {
    key: String,
    version_id: Option<String>,
}

/// Returns the objects that an event reports as created. The test event of S3 and events for deletions name none.
///
/// # Errors
/// An event of another shape; a key with a wrong encoding.
pub fn created(event: &Value) -> Result<Vec<Created>, EventError> {
    let word = |name: &str| event.get(name).and_then(Value::as_str);
    let shape = |why: String| EventError::Shape { why, found: event.to_string().chars().take(200).collect() };
    if word("Event") == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    match (word("source"), word("detail-type")) {
        (Some("aws.s3"), Some(OBJECT_CREATED)) => {
            let EventBridgeEvent { detail } =
                EventBridgeEvent::deserialize(event).map_err(|error| shape(error.to_string()))?;
            // Unlike S3, EventBridge does not encode keys.
            let Detail { bucket, object: Object { key, version_id } } = detail;
            Ok(vec![Created { bucket: bucket.name, key, version_id }])
        }
        (Some("aws.s3"), Some(_)) => Ok(Vec::new()),
        _ => from_notification(event, shape),
    }
}

/// Returns the objects of a notification from S3.
fn from_notification(event: &Value, shape: impl Fn(String) -> EventError) -> Result<Vec<Created>, EventError> {
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

/// Decodes a key of an S3 notification: `+` is a space, and percent signs encode the rest. Some servers encode a space
/// as `+` and some as `%20`; all of them encode a plus sign as `%2B`. Returns none if the encoding is wrong.
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
#[allow(clippy::unwrap_used, reason = "a test may panic to fail")]
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
    fn a_key_is_decoded_with_either_encoding_of_a_space() {
        for key in ["notas+S%C3%A3o+Paulo+%2B1.csv", "notas%20S%C3%A3o%20Paulo%20%2B1.csv"] {
            assert_eq!(created(&event(key)).unwrap()[0].key, "notas São Paulo +1.csv");
        }
    }

    #[test]
    fn a_key_with_a_wrong_encoding_is_an_error() {
        for key in ["100%", "%zz", "%ff"] {
            assert!(matches!(created(&event(key)), Err(EventError::Key { .. })), "{key}");
        }
    }

    #[test]
    fn a_test_event_and_a_deletion_name_no_object() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"});
        assert_eq!(created(&test).unwrap(), []);
        let removed = record(&json!("ObjectRemoved:Delete"), &json!({"key": "a"}));
        assert_eq!(created(&removed).unwrap(), []);
    }

    fn event_bridge(kind: &str, object: &Value) -> Value {
        json!({"version": "0", "id": "17793124", "detail-type": kind, "source": "aws.s3", "account": "1",
            "time": "2026-11-02T10:00:00Z", "region": "us-east-1", "resources": ["arn:aws:s3:::uploads"],
            "detail": {"version": "0", "bucket": {"name": "uploads"}, "object": object, "reason": "PutObject"}})
    }

    #[test]
    fn keys_from_eventbridge_are_not_decoded() {
        let object = json!({"key": "notas 100%+ São Paulo.csv", "size": 5, "etag": "b1", "version-id": "v1"});
        let version_id = Some("v1".to_owned());
        let expected =
            Created { bucket: "uploads".to_owned(), key: "notas 100%+ São Paulo.csv".to_owned(), version_id };
        assert_eq!(created(&event_bridge(OBJECT_CREATED, &object)).unwrap(), [expected]);
        let unversioned = created(&event_bridge(OBJECT_CREATED, &json!({"key": "a"}))).unwrap();
        assert_eq!(unversioned[0].version_id, None);
    }

    #[test]
    fn other_s3_events_from_eventbridge_name_no_object() {
        for kind in ["Object Deleted", "Object Tags Added"] {
            assert_eq!(created(&event_bridge(kind, &json!({"key": "a"}))).unwrap(), [], "{kind}");
        }
    }

    #[test]
    fn an_event_of_an_unknown_shape_is_an_error() {
        assert!(matches!(created(&json!({"detail": 1})), Err(EventError::Shape { .. })));
        assert!(matches!(created(&event_bridge(OBJECT_CREATED, &json!({}))), Err(EventError::Shape { .. })));
        assert!(matches!(created(&json!({"Records": [{"s3": {}}]})), Err(EventError::Shape { .. })));
    }
}
