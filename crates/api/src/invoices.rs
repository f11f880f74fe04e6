//! `/v1/invoices`: lists of invoices.

use axum::http::Uri;
use axum::response::Response;

use super::call::Call;
use super::cursor;
use super::elements::Elements;
use super::filter::Filter;
use super::format::{Column, Format};
use super::index::{List, Listing};
use super::merge::Order;
use super::page::{self, Page};
use super::parameters::{self, Parameters};
use super::problem::Problem;
use notaflux_invoice::{Decimal, Status};
use notaflux_table::item::invoice::path;
use notaflux_table::stored::decode_invoice;
use notaflux_table::{Index, IndexSet, keys};

/// Sorts before every sort key: sort keys begin with a digit.
const FIRST_SORT_KEY: &str = "0";
/// Sorts after every sort key: the character after `9`.
const LAST_SORT_KEY: &str = ":";

/// The columns of invoices in CSV.
const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("access_key", "/access_key"),
    ("model", "/model"),
    ("series", "/series"),
    ("number", "/number"),
    ("operation", "/operation"),
    ("issued_at", "/issued_at"),
    ("issuer_tax_id", "/issuer/tax_id"),
    ("issuer_tax_id_kind", "/issuer/tax_id_kind"),
    ("issuer_name", "/issuer/name"),
    ("issuer_state_registration", "/issuer/state_registration"),
    ("issuer_uf", "/issuer/uf"),
    ("issuer_city", "/issuer/city"),
    ("recipient_tax_id", "/recipient/tax_id"),
    ("recipient_tax_id_kind", "/recipient/tax_id_kind"),
    ("recipient_name", "/recipient/name"),
    ("recipient_state_registration", "/recipient/state_registration"),
    ("recipient_uf", "/recipient/uf"),
    ("recipient_city", "/recipient/city"),
    ("status", "/status"),
    ("status_text", "/status_text"),
    ("status_at", "/status_at"),
    ("total", "/total"),
    ("currency", "/currency"),
    ("line_count", "/line_count"),
    ("warnings", "/warnings"),
    ("ingestion", "/source/ingestion"),
    ("record", "/source/record"),
    ("extra", "/extra"),
];

/// The conditions of the parameters.
#[derive(Debug, Default)]
struct Criteria {
    issuer: Option<String>,
    recipient: Option<String>,
    month: Option<String>,
    status: Option<Status>,
    from: Option<String>,
    to: Option<String>,
    order: Option<Order>,
    filter: Filter,
}

/// A request for a page of a list.
struct ListRequest {
    /// `None` if no invoice can belong to the list.
    list: Option<List>,
    limit: usize,
    cursor: Option<String>,
    /// The parameters of the request without its cursor, for the link to the next page.
    given: Vec<(&'static str, String)>,
}

impl Criteria {
    fn parse(parameters: &mut Parameters) -> Self {
        let criteria = Self {
            issuer: parameters.optional("issuer", parameters::tax_id),
            recipient: parameters.optional("recipient", parameters::tax_id),
            month: parameters.optional("month", parameters::month),
            status: parameters.optional("status", parameters::status),
            from: parameters.optional("from", parameters::from),
            to: parameters.optional("to", parameters::to),
            order: parameters.optional("order", parameters::order),
            filter: parse_filter(parameters),
        };
        if let (Some(from), Some(to)) = (&criteria.from, &criteria.to)
            && from > to
        {
            parameters.refuse("to", "expected a time that is not before from");
        }
        criteria
    }

    /// Chooses the index whose list is likely to be the shortest, from the indexes that the table has. Returns it with its key.
    fn index(&self, indexes: IndexSet, parameters: &mut Parameters) -> Option<(Index, String)> {
        let listed_status = self.status.filter(|status| *status != Status::Authorized);
        let named = [
            (Index::Issuer, "issuer", self.issuer.clone()),
            (Index::Recipient, "recipient", self.recipient.clone()),
            (Index::State, "status", listed_status.map(|status| status.as_str().to_owned())),
            (Index::Month, "month", self.month.clone()),
        ];
        let mut named = named.into_iter().filter_map(|(index, name, of)| Some((index, name, of?))).peekable();
        if named.peek().is_none() && !parameters.has_refused(&["issuer", "recipient", "month", "status"]) {
            let (name, message) = match self.status {
                Some(_) => ("status", "authorized only narrows another list: give issuer, recipient or month too"),
                None => ("issuer", "expected at least one of issuer, recipient, month or status"),
            };
            parameters.refuse(name, message);
        }
        let (present, absent): (Vec<_>, Vec<_>) = named.partition(|(index, ..)| indexes.contains(*index));
        if present.is_empty() {
            for (_, name, _) in absent {
                parameters.refuse(name, "not available: the table has no index for it");
            }
        }
        present.into_iter().next().map(|(index, _, of)| (index, of))
    }

    /// Makes the list under the key `of` of `index`. The other conditions narrow its range or filter it. `None` if the range is
    /// empty.
    fn list(self, index: Index, of: String) -> Option<List> {
        let months = self.month.map(|month| (format!("{month}01T000000"), format!("{month}31T235959$"))).unzip();
        let lower = self.from.max(months.0).unwrap_or_else(|| FIRST_SORT_KEY.to_owned());
        let upper = [self.to, months.1].into_iter().flatten().min().unwrap_or_else(|| LAST_SORT_KEY.to_owned());
        if lower > upper {
            return None;
        }
        let mut filter = self.filter;
        let others = [
            (Index::Issuer, path::ISSUER, self.issuer),
            (Index::Recipient, path::RECIPIENT, self.recipient),
            (Index::State, path::STATUS, self.status.map(|status| status.as_str().to_owned())),
        ];
        let others = others.into_iter().filter(|(other, ..)| *other != index);
        filter.equal.extend(others.filter_map(|(_, path, value)| Some((path, value?))));
        let order = self.order.unwrap_or(Order::Ascending);
        let (lower, upper) = match index {
            // The partition key has the month.
            Index::Month => (keys::split_month(&lower).1.to_owned(), keys::split_month(&upper).1.to_owned()),
            _ => (lower, upper),
        };
        Some(List { index, of, lower, upper, order, filter })
    }
}

fn parse_filter(parameters: &mut Parameters) -> Filter {
    let texts = [("model", path::MODEL), ("series", path::SERIES), ("number", path::NUMBER)];
    let states = [("issuer_uf", path::ISSUER_UF), ("recipient_uf", path::RECIPIENT_UF)];
    let mut equal = Vec::new();
    for (name, path) in texts {
        equal.extend(parameters.optional(name, parameters::text).map(|text| (path, text)));
    }
    for (name, path) in states {
        equal.extend(parameters.optional(name, parameters::uf).map(|uf| (path, uf)));
    }
    let min_total = parameters.optional("min_total", parameters::amount);
    let max_total = parameters.optional("max_total", parameters::amount);
    if let (Some(least), Some(most)) = (&min_total, &max_total)
        && Decimal::compare(least, most).is_gt()
    {
        parameters.refuse("max_total", "expected an amount that is not below min_total");
    }
    Filter { equal, min_total, max_total }
}

impl ListRequest {
    fn parse(uri: &Uri, indexes: IndexSet) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(uri);
        let criteria = Criteria::parse(&mut parameters);
        let limit = parameters.limit();
        let cursor = parameters.cursor();
        let chosen = criteria.index(indexes, &mut parameters);
        let given = parameters.finish()?;
        let list = chosen.and_then(|(index, of)| criteria.list(index, of));
        Ok(Self { list, limit, cursor, given })
    }
}

impl List {
    /// Returns what a cursor of this list is bound to: everything except the limit.
    fn binding(&self, table: &str) -> Vec<u8> {
        let Self { index, of, lower, upper, order, filter } = self;
        let filter = filter.parts();
        let parts = [table, "/v1/invoices", index.name(), of, lower, upper, order.as_str()];
        cursor::binding(&parts.into_iter().chain(filter.iter().map(String::as_str)).collect::<Vec<_>>())
    }
}

/// `GET /v1/invoices`.
pub(super) async fn list(call: Call, format: Format, uri: Uri) -> Result<Response, Problem> {
    let request = ListRequest::parse(&uri, call.table().schema.indexes)?;
    let mut items = Elements::page(request.limit, format, COLUMNS)?;
    let Some(list) = &request.list else {
        // An empty list never returns a cursor.
        return if request.cursor.is_some() { Err(Problem::InvalidCursor) } else { items.answer(None, &request.given) };
    };
    let (cursors, binding) = (&call.api.cursors, list.binding(&call.table().name));
    let after = request.cursor.as_deref().map(|cursor| cursors.open(cursor, &binding)).transpose()?;
    let listing = Listing { call: &call, list, after: after.as_deref() };
    let page = if list.filter.is_empty() {
        page::read(&listing, request.limit).await?
    } else {
        page::read_filtered(&listing, request.limit, page::BOUND).await?
    };
    let Page { entries, mut next_after, examined, rounds, .. } = page;
    tracing::debug!(items = entries.len(), examined, rounds, "page");
    for entry in &entries {
        if !items.push(&entry.sort_key, &decode_invoice(&entry.item)?)? {
            next_after = items.last().map(ToOwned::to_owned);
            break;
        }
    }
    let cursor = next_after.map(|after| cursors.seal(&after, &binding)).transpose()?;
    items.answer(cursor.as_deref(), &request.given)
}
