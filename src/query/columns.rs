//! Which columns lists have as tables. They are for eyes: the other forms have everything.

use console::Alignment;

/// Narrowest column of a name, in columns of a terminal.
const NAME: usize = 10;
/// Narrowest column of a text.
const TEXT: usize = 16;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Where its value lies: the first of these that an element has.
    pub(super) paths: &'static [&'static [&'static str]],
    pub(super) alignment: Alignment,
    /// How narrow it may be made; none if what is cut would mislead or be of no use.
    pub(super) least: Option<usize>,
    /// Columns of higher ranks give way first where there is no room for all.
    pub(super) rank: u8,
}

impl Column {
    /// A column that is never cut.
    const fn whole(name: &'static str, paths: &'static [&'static [&'static str]], rank: u8) -> Self {
        Self { name, paths, alignment: Alignment::Left, least: None, rank }
    }

    /// A column of numbers.
    const fn number(name: &'static str, paths: &'static [&'static [&'static str]], rank: u8) -> Self {
        Self { alignment: Alignment::Right, ..Self::whole(name, paths, rank) }
    }

    /// A column of texts that may be cut.
    const fn text(name: &'static str, paths: &'static [&'static [&'static str]], least: usize, rank: u8) -> Self {
        Self { least: Some(least), ..Self::whole(name, paths, rank) }
    }
}

pub(super) const INVOICES: &[Column] = &[
    Column::whole("issued_at", &[&["issued_at"]], 1),
    Column::whole("number", &[&["number"]], 3),
    Column::text("issuer", &[&["issuer", "name"], &["issuer", "tax_id"]], NAME, 2),
    Column::text("recipient", &[&["recipient", "name"], &["recipient", "tax_id"]], NAME, 5),
    Column::whole("status", &[&["status"]], 4),
    Column::number("total", &[&["total"]], 0),
    Column::whole("id", &[&["id"]], 6),
];

pub(super) const LINES: &[Column] = &[
    Column::number("number", &[&["number"]], 4),
    Column::text("code", &[&["code"]], NAME, 5),
    Column::text("description", &[&["description"]], TEXT, 1),
    Column::number("quantity", &[&["quantity"]], 2),
    Column::whole("unit", &[&["unit"]], 3),
    Column::number("unit_price", &[&["unit_price"]], 6),
    Column::number("total", &[&["total"]], 0),
];

pub(super) const EVENTS: &[Column] = &[
    Column::whole("at", &[&["at"]], 0),
    Column::whole("kind", &[&["kind"]], 1),
    Column::text("text", &[&["text"]], TEXT, 2),
    Column::text("description", &[&["description"]], TEXT, 3),
    Column::text("reason", &[&["reason"]], TEXT, 4),
];

pub(super) const INGESTIONS: &[Column] = &[
    Column::whole("ingestion", &[&["ingestion"]], 0),
    Column::whole("state", &[&["state"]], 1),
    Column::number("records_read", &[&["records_read"]], 3),
    Column::number("written", &[&["written"]], 5),
    Column::number("rejected", &[&["rejected"]], 4),
    Column::text("source", &[&["source", "key"], &["source", "path"]], TEXT, 2),
];

pub(super) const REJECTS: &[Column] = &[
    Column::number("record", &[&["record"]], 3),
    Column::number("line", &[&["line"]], 0),
    Column::whole("reason", &[&["reason"]], 1),
    Column::text("message", &[&["message"]], TEXT, 2),
    Column::text("entry", &[&["entry"]], TEXT, 4),
];

const ENTRIES: &[Column] = &[
    Column::text("name", &[&["name"]], TEXT, 2),
    Column::whole("compression", &[&["compression"]], 4),
    Column::whole("format", &[&["format"]], 3),
    Column::text("layout", &[&["layout"]], TEXT, 1),
    Column::number("records_read", &[&["records_read"]], 0),
];

/// The columns of a list within one thing.
pub(super) fn of_member(name: &str) -> Option<&'static [Column]> {
    match name {
        "lines" => Some(LINES),
        "events" => Some(EVENTS),
        "entries" => Some(ENTRIES),
        _ => None,
    }
}
