//! `/v1/invoices/{id}`, and the pages of its lines and events.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use futures::future::try_join;
use serde::Serialize;

use super::api::Api;
use super::call::{Call, Item};
use super::collection::{self, Chunk, SortKeyRange, last_line};
use super::elements::{self, BODY_LIMIT_BYTES, Elements};
use super::format::{Column, Format};
use super::parameters::{self, Parameters};
use super::problem::Problem;
use super::{cursor, response};
use notaflux_invoice::{Event, Invoice};
use notaflux_table::keys::{self, EVENT_SK_PREFIX, INVOICE_SK, LINE_SK_PREFIX};
use notaflux_table::status;
use notaflux_table::stored::{DecodeError, decode_event, decode_invoice, decode_line};

/// Most lines in the answer by id. Further lines are on pages of their own.
const LINES_SHOWN_LIMIT: usize = 100;
/// Most events in the answer by id. Further events are on pages of their own.
const EVENTS_SHOWN_LIMIT: usize = 100;
/// Most bytes of events in the answer by id, so that the invoice and its lines fit too.
const EVENTS_ROOM_BYTES: usize = BODY_LIMIT_BYTES / 4;
/// Items in the first read for the answer by id: the lines that it shows, one more line that shows whether there are
/// further ones, the invoice, and more events than almost any invoice has.
const FIRST_READ: usize = LINES_SHOWN_LIMIT + 20;

/// The problem for an unknown invoice.
const NO_INVOICE: Problem = Problem::NotFound("No invoice has this id.");

/// `GET /v1/invoices/{id}`: the invoice with the first of its lines and events.
pub(super) async fn one(call: Call, id: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let id = parameters::id(id, NO_INVOICE)?;
    let mut answer = InvoiceAnswer::new();
    let (mut after, mut limit) = (None, Some(FIRST_READ));
    loop {
        let Chunk { items, end } = collection::read(&call, &id, SortKeyRange::ALL, after.as_deref(), limit).await?;
        for (sort_key, item) in &items {
            answer.take(sort_key, item)?;
        }
        if answer.is_done || end.is_none() {
            break;
        }
        (after, limit) = (end, answer.next_read());
    }
    answer.finish(&call.api, &id)
}

/// The answer by id. Takes the items of the collection in their order.
struct InvoiceAnswer {
    events: Elements,
    /// The latest event that cancels. If it is older than the status of the invoice, all of them are.
    cancellation: Option<Event<'static>>,
    invoice: Option<InvoiceHead>,
    lines: Elements,
    /// No further item of the collection belongs to the answer.
    is_done: bool,
}

/// The invoice without its lines and events.
struct InvoiceHead {
    json: Vec<u8>,
    last_line: String,
}

impl InvoiceAnswer {
    fn new() -> Self {
        Self {
            events: Elements::array(EVENTS_SHOWN_LIMIT, EVENTS_ROOM_BYTES),
            cancellation: None,
            invoice: None,
            lines: Elements::array(LINES_SHOWN_LIMIT, 0),
            is_done: false,
        }
    }

    fn take(&mut self, sort_key: &str, item: &Item) -> Result<(), Problem> {
        if sort_key.starts_with(EVENT_SK_PREFIX) {
            let event = decode_event(item)?;
            self.events.push(sort_key, &event)?;
            if event.event.kind.cancels() {
                self.cancellation = Some(event.event);
            }
        } else if sort_key == INVOICE_SK {
            self.take_invoice(item)?;
        } else if sort_key.starts_with(LINE_SK_PREFIX) && !self.is_done {
            self.is_done = match &self.invoice {
                // Lines may exist without their invoice.
                None => true,
                Some(invoice) if sort_key > invoice.last_line.as_str() => true,
                Some(_) => !self.lines.push(sort_key, &decode_line(item)?)?,
            };
        }
        Ok(())
    }

    fn take_invoice(&mut self, item: &Item) -> Result<(), Problem> {
        let mut stored = decode_invoice(item)?;
        if let Some(cancellation) = &self.cancellation {
            status::cancel(&mut stored.invoice, cancellation.at, cancellation.text.clone());
        }
        let json = serde_json::to_vec(&stored)?;
        let room_bytes = BODY_LIMIT_BYTES.saturating_sub(json.len() + self.events.size_bytes());
        self.lines = Elements::array(LINES_SHOWN_LIMIT, room_bytes);
        self.invoice = Some(InvoiceHead { json, last_line: (LINES.last)(&stored.invoice) });
        Ok(())
    }

    /// Returns how many items to read next. Before the invoice there is no limit: all events are read, because each of them may
    /// cancel. After it, only the lines that the answer shows, and one more.
    fn next_read(&self) -> Option<usize> {
        self.invoice.as_ref().map(|_| LINES_SHOWN_LIMIT + 1 - self.lines.len())
    }

    fn finish(self, api: &Api, id: &str) -> Result<Response, Problem> {
        let mut body = self.invoice.ok_or(NO_INVOICE)?.json;
        // Removes the closing brace, to add members.
        body.pop();
        for (sublist, array) in [(LINES, self.lines), (EVENTS, self.events)] {
            // Without elements the pages begin at the start of the range.
            let after = array.last().unwrap_or(sublist.range.lower).to_owned();
            let cursor = array.is_full().then(|| api.cursors.seal(&after, &sublist.binding(api, id))).transpose()?;
            body.extend_from_slice(sublist.member);
            body.append(&mut array.finish());
            elements::write_cursor(sublist.cursor_member, cursor.as_deref(), &mut body)?;
        }
        body.push(b'}');
        Ok(response::single(Format::Json.content_type(), body))
    }
}

/// The lines or the events of an invoice.
struct Sublist {
    /// The route. A cursor is bound to it, and to the id.
    path: &'static str,
    range: SortKeyRange,
    /// Returns the last sort key that can belong to the invoice.
    last: fn(&Invoice<'_>) -> String,
    /// The beginning of the member with the first elements, in the answer by id.
    member: &'static [u8],
    /// The name of the member with the cursor of the further elements.
    cursor_member: &'static str,
    /// The columns in CSV.
    columns: &'static [Column],
}

const LINES: Sublist = Sublist {
    path: "/v1/invoices/{id}/lines",
    range: SortKeyRange::LINES,
    last: |invoice| last_line(invoice.line_count),
    member: br#","lines":"#,
    cursor_member: "next_lines_cursor",
    columns: &[
        ("number", "/number"),
        ("code", "/code"),
        ("description", "/description"),
        ("ncm", "/ncm"),
        ("cfop", "/cfop"),
        ("quantity", "/quantity"),
        ("unit", "/unit"),
        ("unit_price", "/unit_price"),
        ("total", "/total"),
        ("warnings", "/warnings"),
        ("extra", "/extra"),
    ],
};

const EVENTS: Sublist = Sublist {
    path: "/v1/invoices/{id}/events",
    range: SortKeyRange::EVENTS,
    last: |_| SortKeyRange::EVENTS.upper.to_owned(),
    member: br#","events":"#,
    cursor_member: "next_events_cursor",
    columns: &[
        ("at", "/at"),
        ("kind", "/kind"),
        ("text", "/text"),
        ("description", "/description"),
        ("reason", "/reason"),
    ],
};

/// `GET /v1/invoices/{id}/lines`.
pub(super) async fn lines(
    call: Call,
    format: Format,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    LINES.answer(&call, format, id, &uri, decode_line).await
}

/// `GET /v1/invoices/{id}/events`.
pub(super) async fn events(
    call: Call,
    format: Format,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    EVENTS.answer(&call, format, id, &uri, decode_event).await
}

impl Sublist {
    /// Returns what a cursor is bound to: everything except the limit.
    fn binding(&self, api: &Api, id: &str) -> Vec<u8> {
        cursor::binding(&[&api.table.name, self.path, id])
    }

    async fn answer<T: Serialize>(
        &self,
        call: &Call,
        format: Format,
        id: Result<Path<String>, PathRejection>,
        uri: &Uri,
        decode: impl Fn(&Item) -> Result<T, DecodeError>,
    ) -> Result<Response, Problem> {
        let mut parameters = Parameters::of(uri);
        let limit = parameters.limit();
        let cursor = parameters.cursor();
        let given = parameters.finish()?;
        let id = parameters::id(id, NO_INVOICE)?;
        let (cursors, binding) = (&call.api.cursors, self.binding(&call.api, &id));
        let after = cursor.map(|cursor| cursors.open(&cursor, &binding)).transpose()?;
        let page = Elements::page(limit, format, self.columns)?;
        let page = self.read(call, &id, after, page, limit, decode).await?;
        let last = page.last().filter(|_| page.is_full());
        let cursor = last.map(|last| cursors.seal(last, &binding)).transpose()?;
        page.answer(cursor.as_deref(), &given)
    }

    /// Reads a page, and the invoice in parallel.
    async fn read<T: Serialize>(
        &self,
        call: &Call,
        id: &str,
        after: Option<String>,
        mut page: Elements,
        limit: usize,
        decode: impl Fn(&Item) -> Result<T, DecodeError>,
    ) -> Result<Elements, Problem> {
        // One more element than the page shows whether there is another page.
        let first = self.chunk(call, id, after.as_deref(), limit + 1);
        let invoice = async { Ok::<_, Problem>(call.get(keys::invoice_pk(id), INVOICE_SK).await?) };
        let (invoice, mut chunk) = try_join(invoice, first).await?;
        let last = (self.last)(&decode_invoice(&invoice.ok_or(NO_INVOICE)?)?.invoice);
        loop {
            for (sort_key, item) in &chunk.items {
                if *sort_key > last || !page.push(sort_key, &decode(item)?)? {
                    return Ok(page);
                }
            }
            let Some(end) = chunk.end else { return Ok(page) };
            chunk = self.chunk(call, id, Some(&end), limit + 1 - page.len()).await?;
        }
    }

    async fn chunk(&self, call: &Call, id: &str, after: Option<&str>, limit: usize) -> Result<Chunk, Problem> {
        collection::read(call, id, self.range, after, Some(limit)).await
    }
}
