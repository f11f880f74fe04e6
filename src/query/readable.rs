//! Prints a single resource as indented lines.

use console::{Alignment, measure_text_width, pad_str};
use serde_json::{Map, Value};

use super::columns;
use super::table::{self, Layout};
use notaflux_records::source::printable;

/// One step of indentation.
const STEP: &str = "  ";

/// Returns one line per member. Lists are tables that fit into `width` columns.
pub(super) fn text(value: &Value, width: Option<usize>) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) => write_members(members, 0, width, &mut out),
        other => write_line("", &table::text(other), &mut out),
    }
    out
}

/// Returns the commands that print the rest of incomplete lists.
pub(super) fn remarks(value: &Value, id: &str) -> Vec<String> {
    let more = |(member, list)| match value.get(member)? {
        Value::String(cursor) => {
            Some(format!("more {list} follow: notaflux query {list} {} --cursor {cursor}", printable(id)))
        }
        _ => None,
    };
    [("next_lines_cursor", "lines"), ("next_events_cursor", "events")].into_iter().filter_map(more).collect()
}

fn write_members(members: &Map<String, Value>, depth: usize, width: Option<usize>, out: &mut String) {
    let indentation = STEP.repeat(depth);
    let names =
        members.iter().filter(|(_, value)| !is_block(value)).map(|(name, _)| measure_text_width(&printable(name)));
    let names_width = names.max().unwrap_or_default();
    for (name, value) in members {
        let shown = printable(name);
        match value {
            Value::Object(members) if !members.is_empty() => {
                write_line(&indentation, &shown, out);
                write_members(members, depth + 1, width, out);
            }
            Value::Array(elements) if is_block(value) => {
                write_line(&indentation, &format!("{shown} ({})", elements.len()), out);
                write_elements(name, elements, depth + 1, width, out);
            }
            _ => {
                let shown = pad_str(&shown, names_width, Alignment::Left, None);
                let value = table::text(value);
                let value = if value.is_empty() { "none" } else { &value };
                write_line(&indentation, &format!("{shown}{STEP}{value}"), out);
            }
        }
    }
}

fn write_elements(name: &str, elements: &[Value], depth: usize, width: Option<usize>, out: &mut String) {
    let indentation = STEP.repeat(depth);
    if let Some(columns) = columns::of_member(name) {
        let rows: Vec<_> = elements.iter().map(|element| table::cells(columns, element)).collect();
        let layout = Layout::of(columns, &rows, width.map(|width| width.saturating_sub(indentation.len())));
        for line in std::iter::once(layout.header()).chain(rows.iter().map(|row| layout.row(row))) {
            write_line(&indentation, line.trim_end(), out);
        }
    } else {
        for element in elements {
            write_line(&indentation, &table::text(element), out);
        }
    }
}

/// Returns whether a value needs its own lines: an object, or a list of objects.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(elements) => elements.iter().any(Value::is_object),
        _ => false,
    }
}

fn write_line(indentation: &str, line: &str, out: &mut String) {
    out.push_str(indentation);
    out.push_str(line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_indented_lines_and_tables() {
        let invoice = r#"{"id":"N1","issued_at":"2019-11-12","issuer":{"tax_id":"1","name":"a\u001b"},"extra":{},
            "warnings":[],"lines":[{"number":"1","description":"chá","total":"2.00"}],"events":[],
            "skipped":[{"name":"b","reason":"c"}],"next_lines_cursor":"x"}"#;
        let expected = "\
id                 N1
issued_at          2019-11-12
issuer
  tax_id  1
  name    a\\u{1b}
extra              none
warnings           none
lines (1)
  number  code  description  quantity  unit  unit_price  total
       1        chá                                       2.00
events             none
skipped (1)
  name: b, reason: c
next_lines_cursor  x
";
        let value = serde_json::from_str(invoice).unwrap();
        assert_eq!(text(&value, Some(80)), expected);
        assert_eq!(remarks(&value, "N1"), ["more lines follow: notaflux query lines N1 --cursor x"]);
    }
}
