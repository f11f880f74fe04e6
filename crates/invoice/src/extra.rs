//! Further columns of a row as JSON.

use std::borrow::Cow;

use serde::Serializer;
use serde::ser::SerializeMap;

/// Serialises pairs of name and value as one JSON object, in their order.
pub(crate) fn as_map<S: Serializer>(pairs: &[(Cow<'_, str>, Cow<'_, str>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
