//! Conditional reads.

use std::io;

use http::HeaderMap;
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::store::{Record, internal};

/// The conditions of a read, checked in the order of HTTP (RFC 9110, 13.2.2).
#[allow(clippy::struct_field_names, reason = "the names of the headers")]
pub(super) struct ReadCondition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

impl ReadCondition {
    /// Refuses the read with 412 if a condition fails, or with 304 if the client has the object already.
    pub(super) fn check(&self, record: &Record) -> S3Result<()> {
        let must_fail = match (&self.if_match, &self.if_unmodified_since) {
            (Some(ETagCondition::ETag(etag)), _) => !record.etag().strong_cmp(etag),
            (None, Some(since)) => record.modified() > *since,
            _ => false,
        };
        if must_fail {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let is_known = match (&self.if_none_match, &self.if_modified_since) {
            (Some(ETagCondition::Any), _) => true,
            (Some(ETagCondition::ETag(etag)), _) => record.etag().weak_cmp(etag),
            (None, Some(since)) => record.modified() <= *since,
            (None, None) => false,
        };
        if is_known {
            let mut error = s3_error!(NotModified);
            let etag = record.etag().to_http_header().map_err(|error| internal(io::Error::other(error)))?;
            error.set_headers(HeaderMap::from_iter([(http::header::ETAG, etag)]));
            return Err(error);
        }
        Ok(())
    }
}
