//! `/v1/invoices/{id}`, and its lines and events by page.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Uri;
use axum::response::Response;
use futures::future::try_join;
use serde::Serialize;

use super::api::Api;
use super::elements::{self, BODY_LIMIT_BYTES, Elements};
use super::call::{Call, Item};
use super::collection::{self, Part, Piece, last_line};
use super::format::{Column, Format};
use super::parameters::{self, Parameters};
use super::problem::Problem;
use super::{cursor, response};
use notaflux_invoice::{Event, Invoice};
use notaflux_table::keys::{self, EVENT_SK_PREFIX, INVOICE_SK, LINE_SK_PREFIX};
use notaflux_table::stored::{DecodeError, decode_event, decode_invoice, decode_line};
use notaflux_table::{TableError, status};

/// Lines that the answer by id has; the others are on further pages.
const LINES_SHOWN_LIMIT: usize = 100;
/// Events that the answer by id has; the others are on further pages.
const EVENTS_SHOWN_LIMIT: usize = 100;
/// Most bytes of events in the answer by id, so that the invoice and lines have room besides.
const EVENTS_ROOM_BYTES: usize = BODY_LIMIT_BYTES / 4;
/// Items that are read at first for the answer by id: the lines that it shows, one more that tells whether there are
/// further ones, the invoice, and as many events as hardly any invoice has.
const FIRST_READ: usize = LINES_SHOWN_LIMIT + 20;

/// No such invoice.
const NO_INVOICE: Problem = Problem::NotFound("No invoice has this id.");

/// `GET /v1/invoices/{id}`: the invoice with the first of its lines and events.
pub(super) async fn one(call: Call, id: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Problem> {
    Parameters::of(&uri).finish()?;
    let id = parameters::id(id, NO_INVOICE)?;
    let mut whole = Whole::new();
    let (mut behind, mut limit) = (None, Some(FIRST_READ));
    loop {
        let Piece { items, end } = collection::read(&call, &id, Part::WHOLE, behind.as_deref(), limit).await?;
        for (sort_key, item) in &items {
            whole.take(sort_key, item)?;
        }
        if whole.is_done || end.is_none() {
            break;
        }
        (behind, limit) = (end, whole.next_read());
    }
    whole.finish(&call.api, &id)
}

/// The answer by id, while the collection is read in its order.
struct Whole {
    events: Elements,
    /// The latest event that cancels. If that one is older than the invoice's status, all of them are.
    cancellation: Option<Event<'static>>,
    invoice: Option<Header>,
    lines: Elements,
    /// Nothing that is still to be read belongs to the answer.
    is_done: bool,
}

/// The invoice itself.
struct Header {
    json: Vec<u8>,
    last_line: String,
}

impl Whole {
    fn new() -> Self {
        Self {
            events: Elements::part(EVENTS_SHOWN_LIMIT, EVENTS_ROOM_BYTES),
            cancellation: None,
            invoice: None,
            lines: Elements::part(LINES_SHOWN_LIMIT, 0),
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
                // Lines may be there before their invoice.
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
        self.lines = Elements::part(LINES_SHOWN_LIMIT, room_bytes);
        self.invoice = Some(Header { json, last_line: (LINES.last)(&stored.invoice) });
        Ok(())
    }

    /// Items to read next: all events, for any of them may cancel; behind them no more lines than are wanted.
    fn next_read(&self) -> Option<usize> {
        self.invoice.as_ref().map(|_| LINES_SHOWN_LIMIT + 1 - self.lines.len())
    }

    fn finish(self, api: &Api, id: &str) -> Result<Response, Problem> {
        let mut body = self.invoice.ok_or(NO_INVOICE)?.json;
        // The object is opened again at its end.
        body.pop();
        for (pages, array) in [(LINES, self.lines), (EVENTS, self.events)] {
            let behind = array.last().unwrap_or(pages.part.lower).to_owned();
            let cursor = array.is_full().then(|| api.cursors.seal(&behind, &pages.binding(api, id))).transpose()?;
            body.extend_from_slice(pages.member);
            body.append(&mut array.finish());
            elements::write_cursor(pages.cursor_member, cursor.as_deref(), &mut body)?;
        }
        body.push(b'}');
        Ok(response::single(Format::Json.content_type(), body))
    }
}

/// Pages of what belongs to an invoice.
struct Pages {
    /// What a cursor is bound to, besides the id.
    path: &'static str,
    part: Part,
    /// Sort key behind which nothing belongs to the invoice any more.
    last: fn(&Invoice<'_>) -> String,
    /// How the first of them begin in the answer by id.
    member: &'static [u8],
    /// What the cursor of the others is called there.
    cursor_member: &'static str,
    /// As CSV.
    columns: &'static [Column],
}

const LINES: Pages = Pages {
    path: "/v1/invoices/{id}/lines",
    part: Part::LINES,
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

const EVENTS: Pages = Pages {
    path: "/v1/invoices/{id}/events",
    part: Part::EVENTS,
    last: |_| Part::EVENTS.upper.to_owned(),
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

impl Pages {
    /// What a cursor is bound to: everything but the limit.
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
        let behind = cursor.map(|cursor| cursors.open(&cursor, &binding)).transpose()?;
        let page = Elements::page(limit, format, self.columns)?;
        let page = self.read(call, &id, behind, page, limit, decode).await?;
        let last = page.last().filter(|_| page.is_full());
        let cursor = last.map(|last| cursors.seal(last, &binding)).transpose()?;
        page.answer(cursor.as_deref(), &given)
    }

    /// Reads a page, and the invoice at the same time.
    async fn read<T: Serialize>(
        &self,
        call: &Call,
        id: &str,
        behind: Option<String>,
        mut page: Elements,
        limit: usize,
        decode: impl Fn(&Item) -> Result<T, DecodeError>,
    ) -> Result<Elements, Problem> {
        // One more than the page tells whether there is another page.
        let first = self.piece(call, id, behind.as_deref(), limit + 1);
        let (invoice, mut piece) = try_join(call.get(keys::invoice_pk(id), INVOICE_SK), first).await?;
        let last = (self.last)(&decode_invoice(&invoice.ok_or(NO_INVOICE)?)?.invoice);
        loop {
            for (sort_key, item) in &piece.items {
                if *sort_key > last || !page.push(sort_key, &decode(item)?)? {
                    return Ok(page);
                }
            }
            let Some(end) = piece.end else { return Ok(page) };
            piece = self.piece(call, id, Some(&end), limit + 1 - page.len()).await?;
        }
    }

    async fn piece(&self, call: &Call, id: &str, behind: Option<&str>, limit: usize) -> Result<Piece, TableError> {
        collection::read(call, id, self.part, behind, Some(limit)).await
    }
}
