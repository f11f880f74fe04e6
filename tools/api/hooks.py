"""Tells schemathesis the rules that OpenAPI cannot express. No check is disabled. Some generated requests that are meant to be valid
depend on two parameters, on the calendar or on an earlier answer. These hooks make them valid, so every refusal is a failure."""
import json
import os
from decimal import Decimal

import schemathesis
from schemathesis.core.parameters import ParameterLocation

# Ids and tax ids in the table, so that requests find items and not only 404.
KNOWN = json.loads(os.environ["NOTAFLUX_KNOWN"])
# A list needs one of these; `authorized` alone is not enough.
LISTED = ("issuer", "recipient", "month", "status")
TAX_ID_LIMIT_BYTES = 20
# The path and the query that each returned cursor belongs to.
GIVEN = {}


def is_valid_at(case, location):
    """Returns whether this part of a case is meant to be valid."""
    return case.meta is None or not case.meta.is_negative_at(location)


def known(name, case):
    """Returns a value from the table. It depends on the case, and is the same in every run."""
    values = KNOWN[name]
    return values[sum(repr((case.path, sorted(case.query.items()))).encode()) % len(values)]


@schemathesis.hook
def before_call(context, case, kwargs):
    if "id" in (case.path_parameters or {}) and is_valid_at(case, ParameterLocation.PATH):
        # Replace about half of the generated ids by ids from the table.
        if len(str(case.path_parameters["id"])) % 2 and "cursor" not in (case.query or {}):
            case.path_parameters["id"] = known("ingestions" if "ingestions" in case.path else "invoices", case)
    if not case.query or not is_valid_at(case, ParameterLocation.QUERY):
        if case.path == "/v1/invoices" and is_valid_at(case, ParameterLocation.QUERY):
            case.query = {"issuer": known("issuers", case)}
        return
    follow(case)
    calendar(case.query)
    for name in ("issuer", "recipient"):
        # A tax id cannot be blank, contain control characters or have more than 20 bytes.
        if name in case.query and not is_tax_id(str(case.query[name])):
            case.query[name] = known("issuers", case)
    in_order(case.query, "from", "to", str)
    in_order(case.query, "min_total", "max_total", Decimal)
    given = {name for name in LISTED if name in case.query} - {"status"}
    if case.path == "/v1/invoices" and not given and case.query.get("status", "authorized") == "authorized":
        case.query["issuer"] = known("issuers", case)


def follow(case):
    """Repeats the query that a cursor belongs to, because a cursor is valid for that query only."""
    cursor = case.query.pop("cursor", None)
    if cursor in GIVEN and GIVEN[cursor][0] == case.path:
        _, query, parameters = GIVEN[cursor]
        case.query, case.path_parameters = {**query, "cursor": cursor}, dict(parameters)


def calendar(query):
    """Limits the day to 28, which every month has."""
    for name in ("from", "to"):
        if name in query and str(query[name])[8:10] > "28":
            query[name] = query[name][:8] + "28" + query[name][10:]


def is_tax_id(text):
    return text.strip() and text.isprintable() and len(text.encode()) <= TAX_ID_LIMIT_BYTES


def in_order(query, first, last, value):
    if first in query and last in query and value(query[first]) > value(query[last]):
        query[first], query[last] = query[last], query[first]


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 200 and response.headers.get("content-type", [""])[0].startswith("application/json"):
        page = json.loads(response.content or b"{}")
        for name, path in (("next_cursor", case.path), ("next_lines_cursor", f"{case.path}/lines"), ("next_events_cursor", f"{case.path}/events")):
            if name in page:
                query = {name: value for name, value in (case.query or {}).items() if name != "cursor"}
                GIVEN[page[name]] = (path, query, dict(case.path_parameters or {}))
