//! Names of S3 objects: `s3://bucket/key`.

/// Prefix of the name of an S3 object.
pub const OBJECT_SCHEME: &str = "s3://";

/// Splits `s3://bucket/key` into bucket and key. The key is empty where `name` has none. Returns `None` for a path.
#[must_use]
pub fn object_of(name: &str) -> Option<(&str, &str)> {
    let object = name.strip_prefix(OBJECT_SCHEME)?;
    Some(object.split_once('/').unwrap_or((object, "")))
}
