//! The routes with their parameters and answers.

use serde_json::{Map, Value, json};

use super::examples;
use super::schemas::{DECIMAL_PATTERN, reference};
use crate::format::Format;
use crate::merge::Order;
use crate::parameters::{LIMIT_DEFAULT, LIMIT_MOST, TEXT_LIMIT};
use notaflux_invoice::Status;
use notaflux_invoice::amount::DECIMAL_LIMIT;
use notaflux_invoice::tax_id::TAX_ID_LIMIT;
use notaflux_table::ingestion::IngestionState;
use notaflux_table::keys::ID_LIMIT_BYTES;

/// A date, perhaps with a time of day.
const TIME_PATTERN: &str = concat!(
    "^(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$",
);
/// A year and a month.
const MONTH_PATTERN: &str = "^(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(0[1-9]|1[0-2])$";

/// A query parameter.
struct Parameter {
    name: &'static str,
    description: &'static str,
    schema: fn() -> Value,
    example: &'static str,
}

/// A route and its answer.
pub(crate) struct Route {
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    /// The description of the id in the path, if there is one.
    id_description: Option<&'static str>,
    parameters: &'static [&'static [Parameter]],
    answer: Answer,
    /// The name of the example answer.
    example: Option<&'static str>,
}

/// The answer of a route.
enum Answer {
    /// A page of a list, with this schema.
    List(&'static str),
    /// A resource with an `ETag`, with this schema.
    Single(&'static str),
    /// JSON without an `ETag`, with this schema.
    Plain(&'static str),
    /// A document of this media type, with an `ETag`.
    Other(&'static str),
}

fn a_text() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT})
}

fn an_amount() -> Value {
    json!({"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_LIMIT})
}

fn a_tax_id() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": TAX_ID_LIMIT})
}

fn a_time() -> Value {
    json!({"type": "string", "pattern": TIME_PATTERN})
}

fn a_month() -> Value {
    json!({"type": "string", "pattern": MONTH_PATTERN})
}

fn a_state() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z]{2}$"})
}

const LIMIT: Parameter = Parameter {
    name: "limit",
    description: "Most items on the page.",
    schema: || json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MOST, "default": LIMIT_DEFAULT}),
    example: "2",
};

const CURSOR: Parameter = Parameter {
    name: "cursor",
    description: "The `next_cursor` of the page before. It only works with the same query.",
    schema: || json!({"type": "string", "minLength": 1}),
    example: "",
};

const PAGING: &[Parameter] = &[LIMIT, CURSOR];

const LISTS: &[Parameter] = &[
    Parameter {
        name: "issuer",
        description: "Tax id of the issuer: CNPJ or CPF, with or without punctuation, or the text that invoices show.",
        schema: a_tax_id,
        example: "08676370000155",
    },
    Parameter {
        name: "recipient",
        description: "Tax id of the recipient, in the same forms.",
        schema: a_tax_id,
        example: "09579964000291",
    },
    Parameter { name: "month", description: "Month of issue.", schema: a_month, example: "2019-11" },
    Parameter {
        name: "status",
        description: "Status. `authorized` only narrows another list.",
        schema: || json!({"type": "string", "enum": Status::ALL.map(Status::as_str)}),
        example: "authorized",
    },
    Parameter {
        name: "from",
        description: "Earliest time of issue, included: a date, or a local date and time as in the source.",
        schema: a_time,
        example: "2019-11-01",
    },
    Parameter {
        name: "to",
        description: "Latest time of issue, included. A date means the whole day. Not before `from`.",
        schema: a_time,
        example: "2019-11-30",
    },
    Parameter {
        name: "order",
        description: "Order by time of issue and then by id: ascending or descending.",
        schema: || {
            let words = [Order::Ascending, Order::Descending].map(Order::as_str);
            json!({"type": "string", "enum": words, "default": Order::Ascending.as_str()})
        },
        example: "desc",
    },
];

const FILTERS: &[Parameter] = &[
    Parameter { name: "model", description: "Fiscal model, as invoices show it.", schema: a_text, example: "55" },
    Parameter { name: "series", description: "Series, as invoices show it.", schema: a_text, example: "1" },
    Parameter { name: "number", description: "Number, as invoices show it.", schema: a_text, example: "7083" },
    Parameter {
        name: "min_total",
        description: "Smallest total amount, included.",
        schema: an_amount,
        example: "1000",
    },
    Parameter {
        name: "max_total",
        description: "Largest total amount, included. Not below `min_total`.",
        schema: an_amount,
        example: "2500.50",
    },
    Parameter { name: "issuer_uf", description: "State of the issuer.", schema: a_state, example: "MG" },
    Parameter { name: "recipient_uf", description: "State of the recipient.", schema: a_state, example: "PR" },
];

const INGESTIONS: &[Parameter] = &[
    Parameter {
        name: "month",
        description: "Month (UTC) in which the ingestion began. Without it: the last 24 months.",
        schema: a_month,
        example: "2026-11",
    },
    Parameter {
        name: "state",
        description: "State of the ingestion.",
        schema: || json!({"type": "string", "enum": IngestionState::ALL.map(IngestionState::as_str)}),
        example: "completed",
    },
];

/// All routes.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        path: "/v1/invoices",
        id: "listInvoices",
        tag: "Invoices",
        summary: "Lists invoices",
        description: "A list needs at least one of `issuer`, `recipient`, `month`, or a `status` other than `authorized`. An \
            invoice is in the list if it meets all parameters.",
        id_description: None,
        parameters: &[LISTS, FILTERS, PAGING],
        answer: Answer::List("Invoices"),
        example: Some("invoices"),
    },
    Route {
        path: "/v1/invoices/{id}",
        id: "getInvoice",
        tag: "Invoices",
        summary: "Returns an invoice",
        description: "The invoice with the first of its lines and events. The status is computed from the invoice and all of its events.",
        id_description: Some("Id of the invoice."),
        parameters: &[],
        answer: Answer::Single("InvoiceWithLines"),
        example: Some("invoice"),
    },
    Route {
        path: "/v1/invoices/{id}/lines",
        id: "listLines",
        tag: "Invoices",
        summary: "Lists the lines of an invoice",
        description: "In the order of their numbers.",
        id_description: Some("Id of the invoice."),
        parameters: &[PAGING],
        answer: Answer::List("Lines"),
        example: Some("lines"),
    },
    Route {
        path: "/v1/invoices/{id}/events",
        id: "listEvents",
        tag: "Invoices",
        summary: "Lists the events of an invoice",
        description: "In the order of time.",
        id_description: Some("Id of the invoice."),
        parameters: &[PAGING],
        answer: Answer::List("Events"),
        example: Some("events"),
    },
    Route {
        path: "/v1/ingestions",
        id: "listIngestions",
        tag: "Ingestions",
        summary: "Lists ingestions",
        description: "The newest first.",
        id_description: None,
        parameters: &[INGESTIONS, PAGING],
        answer: Answer::List("Ingestions"),
        example: Some("ingestions"),
    },
    Route {
        path: "/v1/ingestions/{id}",
        id: "getIngestion",
        tag: "Ingestions",
        summary: "Returns the report of an ingestion",
        description: "The counts are final once the ingestion is completed.",
        id_description: Some("Id of the ingestion."),
        parameters: &[],
        answer: Answer::Single("Ingestion"),
        example: Some("ingestion"),
    },
    Route {
        path: "/v1/ingestions/{id}/rejects",
        id: "listRejects",
        tag: "Ingestions",
        summary: "Lists the rejected records of an ingestion",
        description: "In the order of the source. Each reject has its position, the error, and the record itself.",
        id_description: Some("Id of the ingestion."),
        parameters: &[PAGING],
        answer: Answer::List("Rejects"),
        example: Some("rejects"),
    },
    Route {
        path: "/health",
        id: "getHealth",
        tag: "Service",
        summary: "Shows that the service answers",
        description: "Does not read the table.",
        id_description: None,
        parameters: &[],
        answer: Answer::Plain("Health"),
        example: Some("health"),
    },
    Route {
        path: "/openapi.json",
        id: "getDescription",
        tag: "Service",
        summary: "Describes the API for tools",
        description: "This document.",
        id_description: None,
        parameters: &[],
        answer: Answer::Other("application/json"),
        example: None,
    },
    Route {
        path: "/docs",
        id: "getDocs",
        tag: "Service",
        summary: "Describes the API for people",
        description: "A single page that loads nothing else.",
        id_description: None,
        parameters: &[],
        answer: Answer::Other("text/html"),
        example: None,
    },
];

impl Route {
    /// Returns the query parameters in their order.
    fn query_parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().copied().flatten()
    }

    fn is_list(&self) -> bool {
        matches!(self.answer, Answer::List(_))
    }

    fn operation(&self, is_head: bool) -> Value {
        let id = if is_head { format!("{}Head", self.id) } else { self.id.to_owned() };
        let summary = if is_head { format!("{} (headers only)", self.summary) } else { self.summary.to_owned() };
        json!({
            "operationId": id, "tags": [self.tag], "summary": summary, "description": self.description,
            "parameters": self.documented(), "responses": self.responses(is_head),
        })
    }

    fn documented(&self) -> Vec<Value> {
        let mut parameters: Vec<Value> = self.query_parameters().map(Parameter::documented).collect();
        if let Some(description) = self.id_description {
            parameters.insert(
                0,
                json!({
                    "name": "id", "in": "path", "required": true, "description": description,
                    "schema": {"type": "string", "minLength": 1, "maxLength": ID_LIMIT_BYTES},
                }),
            );
        }
        parameters
    }

    fn responses(&self, is_head: bool) -> Value {
        let mut responses = Map::new();
        responses.insert("200".to_owned(), self.success(is_head));
        let mut problems =
            vec![("405", "The API can only be read."), ("500", "Error in the service; its log says what is wrong.")];
        if !matches!(self.answer, Answer::Plain(_)) {
            problems.push(("400", "A parameter or the cursor is wrong."));
        }
        if self.id_description.is_some() {
            problems.push(("404", "Unknown id."));
        }
        if self.is_list() {
            problems.push(("406", "A list does not come in the requested format."));
        }
        if self.path.starts_with("/v1/") {
            problems.push((
                "503",
                "Too many requests, or the table does not answer. Retry after the seconds in `Retry-After`.",
            ));
        }
        if matches!(self.answer, Answer::Single(_) | Answer::Other(_)) {
            let headers = references(&["ETag", "X-Request-Id"]);
            responses.insert(
                "304".to_owned(),
                json!({"description": "Nothing has changed: the client has the current answer.", "headers": headers}),
            );
        }
        problems.sort_unstable();
        for (status, description) in problems {
            let headers =
                references(if status == "503" { &["X-Request-Id", "Retry-After"] } else { &["X-Request-Id"] });
            let content = json!({"application/problem+json": {"schema": reference("Problem")}});
            let mut problem = json!({"description": description, "headers": headers, "content": content});
            if is_head {
                without_content(&mut problem);
            }
            responses.insert(status.to_owned(), problem);
        }
        Value::Object(responses)
    }

    fn success(&self, is_head: bool) -> Value {
        let (mut headers, content) = match self.answer {
            Answer::List(schema) => (vec!["Link", "Notaflux-Read-Units"], self.formats(schema)),
            Answer::Single(schema) => (vec!["ETag", "Notaflux-Read-Units"], self.json(schema)),
            Answer::Plain(schema) => (vec![], self.json(schema)),
            Answer::Other(media_type) => (vec!["ETag"], json!({media_type: {"schema": {}}})),
        };
        headers.push("X-Request-Id");
        let mut success = json!({"description": "The answer.", "headers": references(&headers), "content": content});
        if is_head {
            without_content(&mut success);
        } else if let Some(links) = self.links()
            && let Some(success) = success.as_object_mut()
        {
            success.insert("links".to_owned(), links);
        }
        success
    }

    fn json(&self, schema: &str) -> Value {
        let example = self.example.map(examples::of);
        json!({"application/json": {"schema": reference(schema), "example": example}})
    }

    fn formats(&self, schema: &str) -> Value {
        let mut formats = self.json(schema);
        if let Some(formats) = formats.as_object_mut() {
            for format in [Format::Ndjson, Format::Csv] {
                formats.insert(format.media_type().to_owned(), json!({"schema": {"type": "string"}}));
            }
        }
        formats
    }

    /// Returns the links from an answer to further requests.
    fn links(&self) -> Option<Value> {
        let first = |operation: &str, pointer: &str| json!({"operationId": operation, "parameters": {"path.id": format!("$response.body#{pointer}")}});
        let next = |more: Value| {
            let mut parameters = json!({"query.cursor": "$response.body#/next_cursor"});
            if let (Some(parameters), Value::Object(more)) = (parameters.as_object_mut(), more) {
                parameters.extend(more);
            }
            json!({"operationId": self.id, "parameters": parameters, "description": "The next page."})
        };
        let same_id = || next(json!({"path.id": "$request.path.id"}));
        let same_list = || {
            let names = self
                .query_parameters()
                .map(|parameter| parameter.name)
                .filter(|name| !["limit", "cursor"].contains(name));
            let given = names.map(|name| (format!("query.{name}"), json!(format!("$request.query.{name}"))));
            next(Value::Object(given.collect()))
        };
        Some(match self.id {
            "listInvoices" => json!({
                "next": same_list(), "first": first("getInvoice", "/items/0/id"),
                "lines": first("listLines", "/items/0/id"), "events": first("listEvents", "/items/0/id"),
                "ingestion": first("getIngestion", "/items/0/source/ingestion"),
            }),
            "listIngestions" => json!({
                "next": same_list(), "first": first("getIngestion", "/items/0/ingestion"),
                "rejects": first("listRejects", "/items/0/ingestion"),
            }),
            "getInvoice" => {
                let further = |operation: &str, cursor: &str| {
                    let parameters = json!({
                        "path.id": "$request.path.id", "query.cursor": format!("$response.body#/{cursor}"),
                    });
                    json!({"operationId": operation, "parameters": parameters, "description": "Further elements."})
                };
                json!({
                    "lines": further("listLines", "next_lines_cursor"), "events": further("listEvents", "next_events_cursor"),
                })
            }
            _ if self.is_list() => json!({"next": same_id()}),
            _ => return None,
        })
    }
}

impl Parameter {
    fn documented(&self) -> Value {
        let schema = (self.schema)();
        let is_number = schema.get("type").is_some_and(|kind| kind == "integer");
        let number = self.example.parse::<u64>().ok().filter(|_| is_number);
        let example = number.map_or_else(|| json!(self.example), |number| json!(number));
        let (name, description) = (self.name, self.description);
        let mut parameter =
            json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema});
        if let Some(parameter) = parameter.as_object_mut().filter(|_| !self.example.is_empty()) {
            parameter.insert("example".to_owned(), example);
        }
        parameter
    }
}

/// An answer to HEAD has no body.
fn without_content(answer: &mut Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("content");
    }
}

/// Makes the member `paths` of the document.
pub(super) fn paths() -> Value {
    let path = |route: &Route| json!({"get": route.operation(false), "head": route.operation(true)});
    Value::Object(ROUTES.iter().map(|route| (route.path.to_owned(), path(route))).collect())
}

fn references(names: &[&str]) -> Value {
    let each = names.iter().map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})));
    Value::Object(each.collect())
}

/// Returns the headers of answers.
pub(super) fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "Link": text("The address of the next page (`rel=\"next\"`), relative to the request. Absent on the last page."),
        "ETag": text("The version of the resource, for `If-None-Match`."),
        "X-Request-Id": text("Id of the request. A client may give its own, of up to 64 letters, digits and `._-`."),
        "Notaflux-Read-Units": {
            "description": "Read units that DynamoDB counted for the answer.",
            "schema": {"type": "number", "minimum": 0},
        },
        "Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer", "minimum": 1}},
    })
}
