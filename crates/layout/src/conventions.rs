//! How a source writes amounts and dates.

use serde::{Deserialize, Serialize};

use notaflux_invoice::{DateConvention, DecimalConvention, UtcOffset};

/// How amounts and dates are written. This is decided once for a source, never for a single cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conventions {
    /// How amounts are written.
    pub decimal: DecimalConvention,
    /// How dates are written.
    pub date: DateConvention,
    /// The offset of date-times without an offset. If this is none, they stay without an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<UtcOffset>,
}
