//! How a source writes amounts and dates.

use serde::{Deserialize, Serialize};

use notaflux_invoice::{DateConvention, DecimalConvention, UtcOffset};

/// How amounts and dates are written. Decided for a source as a whole, never by the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conventions {
    /// How amounts are written.
    pub decimal: DecimalConvention,
    /// How dates are written.
    pub date: DateConvention,
    /// The offset of date-times that have none; they stay without where this is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<UtcOffset>,
}
