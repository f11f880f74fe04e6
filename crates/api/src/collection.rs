//! The item collection of an invoice: its events in the order of time, the invoice, its lines in their order.

use aws_sdk_dynamodb::types::AttributeValue;

use super::call::{Call, Item};
use notaflux_invoice::LineKey;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_table::TableError;
use notaflux_table::keys::{self, EVENT_SK_PREFIX, LINE_SK_PREFIX};

/// Behind every sort key that begins with `L#`: `$` is the character after `#`.
const BEHIND_LINES: &str = "L$";
/// Behind every sort key that begins with `E#`.
const BEHIND_EVENTS: &str = "E$";

/// A part of a collection. Both ends are included; nothing stands at an end that is no sort key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Its first sort key.
    pub(super) lower: &'static str,
    /// Its last one.
    pub(super) upper: &'static str,
}

impl Part {
    /// Events, invoice and lines.
    pub(super) const WHOLE: Self = Self { lower: EVENT_SK_PREFIX, upper: BEHIND_LINES };
    /// Events.
    pub(super) const EVENTS: Self = Self { lower: EVENT_SK_PREFIX, upper: BEHIND_EVENTS };
    /// Lines.
    pub(super) const LINES: Self = Self { lower: LINE_SK_PREFIX, upper: BEHIND_LINES };
}

/// Some items of a part, one after the other.
#[derive(Debug)]
pub(super) struct Piece {
    /// The items, each with its sort key.
    pub(super) items: Vec<(String, Item)>,
    /// Sort key behind which the part may go on.
    pub(super) end: Option<String>,
}

/// Reads up to `limit` items of a part of the collection of invoice `id`, from its beginning or behind a sort key. The
/// service may give fewer, as it reads 1 MB at a time, and the part goes on all the same.
pub(super) async fn read(
    call: &Call,
    id: &str,
    part: Part,
    behind: Option<&str>,
    limit: Option<usize>,
) -> Result<Piece, TableError> {
    // Between a sort key and the same with a NUL behind it nothing can stand.
    let lower = behind.map_or_else(|| part.lower.to_owned(), |behind| format!("{behind}\0"));
    let query = call
        .table()
        .client()
        .query()
        .key_condition_expression("#partition = :partition AND #sort BETWEEN :lower AND :upper")
        .expression_attribute_names("#partition", keys::PK)
        .expression_attribute_names("#sort", keys::SK)
        .expression_attribute_values(":partition", AttributeValue::S(keys::invoice_pk(id)))
        .expression_attribute_values(":lower", AttributeValue::S(lower))
        .expression_attribute_values(":upper", AttributeValue::S(part.upper.to_owned()))
        .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()));
    let found = call.query(query).await?;
    let items = found.items.into_iter();
    let items = items.filter_map(|item| sort_key(&item).map(|sort_key| (sort_key, item))).collect();
    let end = found.end.as_ref().and_then(sort_key);
    Ok(Piece { items, end })
}

fn sort_key(item: &Item) -> Option<String> {
    item.get(keys::SK)?.as_s().ok().cloned()
}

/// Sort key of the last line of an invoice that has `line_count` lines. What stands behind it is of an earlier version
/// of the invoice, which had more lines.
pub(super) fn last_line(line_count: Option<u32>) -> String {
    let number = line_count.map_or(LINE_NUMBER_LIMIT, |count| count.min(LINE_NUMBER_LIMIT));
    keys::line_sk(&LineKey::Number(number))
}
