//! The item collection of an invoice: its events in the order of time, the invoice, its lines in their order.

use aws_sdk_dynamodb::types::AttributeValue;

use super::call::{Call, Item, key_text, query_limit};
use super::problem::Problem;
use notaflux_invoice::LineKey;
use notaflux_invoice::line::LINE_NUMBER_LIMIT;
use notaflux_table::keys::{self, EVENT_SK_PREFIX, LINE_SK_PREFIX};

/// Sorts after every sort key that begins with `L#`: `$` is the character after `#`.
const AFTER_LINES: &str = "L$";
/// Sorts after every sort key that begins with `E#`.
const AFTER_EVENTS: &str = "E$";

/// A range of sort keys in a collection, both ends included. No item has one of the ends as its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SortKeyRange {
    pub(super) lower: &'static str,
    pub(super) upper: &'static str,
}

impl SortKeyRange {
    /// Events, invoice and lines.
    pub(super) const ALL: Self = Self { lower: EVENT_SK_PREFIX, upper: AFTER_LINES };
    /// Events.
    pub(super) const EVENTS: Self = Self { lower: EVENT_SK_PREFIX, upper: AFTER_EVENTS };
    /// Lines.
    pub(super) const LINES: Self = Self { lower: LINE_SK_PREFIX, upper: AFTER_LINES };
}

/// Consecutive items of a range.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The items, each with its sort key.
    pub(super) items: Vec<(String, Item)>,
    /// The sort key after which the range may continue.
    pub(super) end: Option<String>,
}

/// Reads up to `limit` items of a range in the collection of invoice `id`, from the beginning or after a sort key. May
/// return fewer items although the range continues, because a query ends after 1 MB.
pub(super) async fn read(
    call: &Call,
    id: &str,
    range: SortKeyRange,
    after: Option<&str>,
    limit: Option<usize>,
) -> Result<Chunk, Problem> {
    // No key sorts between a sort key and the same key followed by a NUL.
    let lower = after.map_or_else(|| range.lower.to_owned(), |after| format!("{after}\0"));
    let query = call
        .table()
        .client()
        .query()
        .key_condition_expression("#partition = :partition AND #sort BETWEEN :lower AND :upper")
        .expression_attribute_names("#partition", keys::PK)
        .expression_attribute_names("#sort", keys::SK)
        .expression_attribute_values(":partition", AttributeValue::S(keys::invoice_pk(id)))
        .expression_attribute_values(":lower", AttributeValue::S(lower))
        .expression_attribute_values(":upper", AttributeValue::S(range.upper.to_owned()))
        .set_limit(limit.map(query_limit));
    let answer = call.query(query).await?;
    let sort_key = |item: &Item| key_text(item, keys::SK).map(ToOwned::to_owned);
    let items = answer.items.into_iter().map(|item| Ok((sort_key(&item)?, item))).collect::<Result<_, Problem>>()?;
    let end = answer.end.as_ref().map(sort_key).transpose()?;
    Ok(Chunk { items, end })
}

/// Returns the sort key of the last line of an invoice with `line_count` lines. Lines after it belong to an earlier version
/// of the invoice, which had more lines.
pub(super) fn last_line(line_count: Option<u32>) -> String {
    let number = line_count.map_or(LINE_NUMBER_LIMIT, |count| count.min(LINE_NUMBER_LIMIT));
    keys::line_sk(&LineKey::Number(number))
}
