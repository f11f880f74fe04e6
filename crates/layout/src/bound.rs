//! A column of a header, and the fields that are read from it.

use serde::Serialize;

/// One column of a header, and the fields that are read from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Its name, as in the header.
    pub column: String,
    /// The fields that are read from it, such as `issuer.tax_id`, `extra.final_consumer` or `line.total`. Empty if nothing is
    /// read from it.
    pub fields: Vec<String>,
}
