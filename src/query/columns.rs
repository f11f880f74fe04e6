//! The columns of tables. A table has only the main fields; the other formats have all.

use console::Alignment;

/// Minimum width of a column of names, in columns of a terminal.
const NAME_WIDTH: usize = 10;
/// Minimum width of a column of texts, in columns of a terminal.
const TEXT_WIDTH: usize = 16;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Paths to the value. The first one that an element has is used.
    pub(super) paths: &'static [&'static [&'static str]],
    pub(super) alignment: Alignment,
    /// Minimum width if values may be cut. `None` if a cut value would mislead or be useless.
    pub(super) min_width: Option<usize>,
    /// If not all columns fit, those with higher ranks are left out first.
    pub(super) rank: u8,
}

impl Column {
    /// Creates a column whose values are never cut.
    const fn whole(name: &'static str, paths: &'static [&'static [&'static str]], rank: u8) -> Self {
        Self { name, paths, alignment: Alignment::Left, min_width: None, rank }
    }

    /// Creates a column of numbers.
    const fn number(name: &'static str, paths: &'static [&'static [&'static str]], rank: u8) -> Self {
        Self { alignment: Alignment::Right, ..Self::whole(name, paths, rank) }
    }

    /// Creates a column of texts that may be cut.
    const fn text(name: &'static str, paths: &'static [&'static [&'static str]], min_width: usize, rank: u8) -> Self {
        Self { min_width: Some(min_width), ..Self::whole(name, paths, rank) }
    }
}

pub(super) const INVOICES: &[Column] = &[
    Column::whole("issued_at", &[&["issued_at"]], 1),
    Column::whole("number", &[&["number"]], 3),
    Column::text("issuer", &[&["issuer", "name"], &["issuer", "tax_id"]], NAME_WIDTH, 2),
    Column::text("recipient", &[&["recipient", "name"], &["recipient", "tax_id"]], NAME_WIDTH, 5),
    Column::whole("status", &[&["status"]], 4),
    Column::number("total", &[&["total"]], 0),
    Column::whole("id", &[&["id"]], 6),
];

pub(super) const LINES: &[Column] = &[
    Column::number("number", &[&["number"]], 4),
    Column::text("code", &[&["code"]], NAME_WIDTH, 5),
    Column::text("description", &[&["description"]], TEXT_WIDTH, 1),
    Column::number("quantity", &[&["quantity"]], 2),
    Column::whole("unit", &[&["unit"]], 3),
    Column::number("unit_price", &[&["unit_price"]], 6),
    Column::number("total", &[&["total"]], 0),
];

pub(super) const EVENTS: &[Column] = &[
    Column::whole("at", &[&["at"]], 0),
    Column::whole("kind", &[&["kind"]], 1),
    Column::text("text", &[&["text"]], TEXT_WIDTH, 2),
    Column::text("description", &[&["description"]], TEXT_WIDTH, 3),
    Column::text("reason", &[&["reason"]], TEXT_WIDTH, 4),
];

pub(super) const INGESTIONS: &[Column] = &[
    Column::whole("ingestion", &[&["ingestion"]], 0),
    Column::whole("state", &[&["state"]], 1),
    Column::number("records_read", &[&["records_read"]], 3),
    Column::number("written", &[&["written"]], 5),
    Column::number("rejected", &[&["rejected"]], 4),
    Column::text("source", &[&["source", "key"], &["source", "path"]], TEXT_WIDTH, 2),
];

pub(super) const REJECTS: &[Column] = &[
    Column::number("record", &[&["record"]], 3),
    Column::number("line", &[&["line"]], 0),
    Column::whole("reason", &[&["reason"]], 1),
    Column::text("message", &[&["message"]], TEXT_WIDTH, 2),
    Column::text("entry", &[&["entry"]], TEXT_WIDTH, 4),
];

const ENTRIES: &[Column] = &[
    Column::text("name", &[&["name"]], TEXT_WIDTH, 2),
    Column::whole("compression", &[&["compression"]], 4),
    Column::whole("format", &[&["format"]], 3),
    Column::text("layout", &[&["layout"]], TEXT_WIDTH, 1),
    Column::number("records_read", &[&["records_read"]], 0),
];

/// Returns the columns of a list within a single resource.
pub(super) fn of_member(name: &str) -> Option<&'static [Column]> {
    match name {
        "lines" => Some(LINES),
        "events" => Some(EVENTS),
        "entries" => Some(ENTRIES),
        _ => None,
    }
}
