//! A column of a header, and the fields that are read from it.

use serde::Serialize;

/// One column of a header, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Its name, as the header has it.
    pub column: String,
    /// The fields that are read from it, such as `issuer.tax_id`, `extra.final_consumer` or `line.total`; none where it is
    /// not read.
    pub fields: Vec<String>,
}
