//! Parses the values of arguments that several commands have.

use notaflux_aws as aws;
use notaflux_engine::RejectLimit;
use notaflux_table::IndexSet;

/// Checks the name of a source: a path, `s3://bucket/key`, or `-`.
pub(crate) fn source_name(text: &str) -> Result<String, String> {
    match aws::object_of(text) {
        Some((bucket, key)) if bucket.is_empty() || key.is_empty() => Err("expected s3://bucket/key".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Parses a number or a percentage of rejects.
pub(crate) fn reject_limit(text: &str) -> Result<RejectLimit, String> {
    RejectLimit::parse(text).ok_or_else(|| "expected a number like 100 or a percentage like 0.5%".to_owned())
}

/// Parses a list of indexes.
pub(crate) fn index_set(text: &str) -> Result<IndexSet, String> {
    IndexSet::parse(text).ok_or_else(|| "expected a list like issuer,month, or none".to_owned())
}
