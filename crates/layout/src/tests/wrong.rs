//! Wrong layout files, and their messages.

use super::*;

const RIGHT: &str = r#"name = "mine"
title = "Mine"
requires = ["Key", "Date"]

[conventions]
decimal = ["point", "comma"]
date = "iso"

[id]
access_key = "Key"

[invoice]
issued_at = "Date"
total = { from = "Total" }

[invoice.status]
from = "State"
rules = [{ contains = "void", status = "cancelled" }]
otherwise = "authorized"

[invoice.extra]
note = "Note"
"#;

/// Returns the message, with its cause, for [`RIGHT`] with `from` replaced by `to`.
fn message_for(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    let error = Layout::parse(&RIGHT.replacen(from, to, 1)).unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[test]
fn the_unchanged_file_is_valid() {
    let layout = Layout::parse(RIGHT).unwrap();
    assert_eq!((layout.yields(), layout.conventions().decimal), (Yields::Invoice, DecimalConvention::Point));
}

#[test]
fn errors_of_the_parser_have_their_line() {
    for (from, to, line, said) in [
        ("title = \"Mine\"", "title = Mine", 2, "string values must be quoted"),
        ("[id]", "[id", 9, "unclosed table"),
        ("total =", "totl =", 14, "unknown field `totl`"),
        ("[invoice.extra]", "[invoice.extras]", 21, "unknown field `extras`"),
        ("{ from = \"Total\" }", "{ form = \"Total\" }", 14, "unknown field `form`"),
        ("date = \"iso\"", "date = \"yyyy-mm-dd\"", 7, "unknown variant `yyyy-mm-dd`"),
        ("total = { from = \"Total\" }", "total = 3", 14, "expected a column name, a list of column names, or a table"),
        ("issued_at = \"Date\"\n", "", 12, "missing field `issued_at`"),
        ("issued_at = \"Date\"", "issued_at = []", 13, "expected at least one column name, found an empty list"),
        ("issued_at = \"Date\"", "issued_at = \" \"", 13, "expected a column name, found a blank text"),
        ("\"cancelled\"", "\"canceled\"", 18, "unknown variant `canceled`"),
        ("note = \"Note\"", "note = \"Note\"\nnote = \"Other\"", 23, "duplicate key"),
        (
            "date = \"iso\"",
            "date = \"iso\"\ntime_zone = \"Brasília\"",
            8,
            "expected an offset from UTC such as \"-03:00\"",
        ),
        ("[conventions]", "absent_dates = [\"01/01/1900\"]\n[conventions]", 5, "1900"),
        ("[conventions]", "reject = [\"check_digits\"]\n[conventions]", 5, "unknown variant `check_digits`"),
    ] {
        let message = message_for(from, to);
        let expected = format!("the layout file, line {line}: ");
        assert!(message.starts_with(&expected) && message.contains(said), "{to}: {message}");
    }
}

#[test]
fn errors_of_the_check_have_their_line() {
    for (from, to, expected) in [
        (
            "\"mine\"",
            "\"My layout\"",
            "line 1: name: expected at most 64 lower-case letters, digits and hyphens, found \"My layout\"",
        ),
        (
            "[\"Key\", \"Date\"]",
            "[]",
            "line 3: requires: expected at least one column: without any, every header would match",
        ),
        ("[\"Key\", \"Date\"]", "[\"Key\", [\"Date\", \"*KEY \"]]", "line 3: requires: column \"key\" is named twice"),
        (
            "[conventions]",
            "without = [\"Dáte\"]\n[conventions]",
            "line 5: without: column \"date\" is in `requires` too",
        ),
        (
            "[conventions]",
            "currency = \"R$\"\n[conventions]",
            "line 5: currency: expected an ISO 4217 code such as BRL, found \"R$\"",
        ),
        ("\"comma\"", "\"point\"", "line 6: conventions.decimal: \"point\" is named twice"),
        ("access_key = \"Key\"", "", "line 9: [id]: expected access_key, nfse_key or natural_key, found none of them"),
        (
            "access_key = \"Key\"",
            "natural_key = { name = \"mine\", from = [] }",
            "line 10: natural_key.from: expected at least one column: without any, all invoices would have one id",
        ),
        (
            "access_key = \"Key\"",
            "natural_key = { name = \"mine\", from = [\"A\"], optional = [\"a\"] }",
            "line 10: natural_key: column \"a\" is named twice",
        ),
        (
            "access_key = \"Key\"",
            "access_key = \"Key\"\n[line]\ncode = \"Code\"",
            "line 11: [line]: expected either number (the column that numbers the lines of an invoice) or key (columns \
             that together distinguish a line from the others), found neither",
        ),
        (
            "access_key = \"Key\"",
            "access_key = \"Key\"\n[event]\ntext = \"Event\"\nat = \"At\"",
            "line 11: [event]: a layout of events cannot have [invoice] or [line] too",
        ),
        (
            "contains = \"void\",",
            "",
            "line 18: a rule of invoice.status: expected exactly one of is, begins and contains",
        ),
        ("\"void\"", "\" \"", "line 18: a rule of invoice.status: expected texts to compare with, found a blank one"),
        (
            "note =",
            "\"Note!\" =",
            "line 21: invoice.extra: expected at most 64 lower-case letters, digits and underscores, found \"Note!\"",
        ),
        (
            "[conventions]",
            "trailer = { column = \"Key\", is = \"a\", begins = \"b\" }\n[conventions]",
            "line 5: trailer: expected exactly one of is, begins and contains",
        ),
        (
            "[invoice.extra]",
            "[invoice.extra]\nlong = { from = \"Long\", pad = 400 }",
            "line 12: pad: expected at most 50 digits, found 400",
        ),
        (
            "[conventions]",
            "reject = [\"check_digit\", \"check_digit\"]\n[conventions]",
            "line 5: reject: \"check_digit\" is named twice",
        ),
    ] {
        assert_eq!(message_for(from, to), format!("the layout file, {expected}"), "{to}");
    }
}

#[test]
fn an_error_of_the_whole_file_has_no_line() {
    let (head, _) = RIGHT.split_once("[invoice]").unwrap();
    let error = Layout::parse(head).unwrap_err();
    assert_eq!(error.to_string(), "the layout file: expected a table [invoice], [line] or [event], found none");
}
