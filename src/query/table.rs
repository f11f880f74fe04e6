//! Aligns rows and fits them to a terminal.

use console::{measure_text_width, pad_str};
use serde_json::Value;

use super::columns::Column;
use notaflux_records::source::printable;

/// Separates two columns.
const GAP: &str = "  ";

/// Ends a text that is cut.
const CUT: &str = "…";

/// Widths of columns, in columns of the terminal.
#[derive(Debug)]
pub(super) struct Layout {
    /// Each column with its width; `None` for a column that is left out.
    columns: Vec<(Column, Option<usize>)>,
    /// Whether wider values are cut. They are not if lines may have any length.
    is_bounded: bool,
}

/// Returns the values of an element in these columns, with control characters escaped.
pub(super) fn cells(columns: &[Column], element: &Value) -> Vec<String> {
    let at = |path: &&[&str]| path.iter().try_fold(element, |value, name| value.get(*name));
    columns.iter().map(|column| column.paths.iter().find_map(at).map_or_else(String::new, text)).collect()
}

/// Returns a value as text on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        Value::Array(elements) => elements.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", printable(name), text(value)));
            members.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

impl Layout {
    /// Creates a layout as wide as the header and `rows` need, but at most `room` columns wide. First texts are cut,
    /// then whole columns are left out.
    pub(super) fn of(columns: &[Column], rows: &[Vec<String>], room: Option<usize>) -> Self {
        let wanted = columns.iter().enumerate().map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
            cells.chain([column.name]).map(measure_text_width).max()
        });
        let mut widths: Vec<Option<usize>> = wanted.collect();
        let widths = loop {
            let Some(room) = room else { break widths };
            match narrowed(columns, widths.clone(), room) {
                Some(narrowed) => break narrowed,
                None if widths.iter().flatten().count() <= 1 => break widths,
                None => leave_one_out(columns, &mut widths),
            }
        };
        Self { columns: columns.iter().copied().zip(widths).collect(), is_bounded: room.is_some() }
    }

    /// Returns the header line.
    pub(super) fn header(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(column, _)| column.name.to_owned()).collect();
        self.row(&names)
    }

    /// Returns the line of these cells.
    pub(super) fn row(&self, cells: &[String]) -> String {
        let shown =
            self.columns.iter().zip(cells).filter_map(|((column, width), cell)| Some((column, (*width)?, cell)));
        let cells = shown.map(|(column, width, cell)| {
            let may_cut = self.is_bounded && column.min_width.is_some();
            pad_str(cell, width, column.alignment, may_cut.then_some(CUT))
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        format!("{}\n", line.trim_end())
    }

    /// Returns the names of the columns that are left out.
    pub(super) fn left_out(&self) -> Vec<&'static str> {
        self.columns.iter().filter(|(_, width)| width.is_none()).map(|(column, _)| column.name).collect()
    }
}

/// Leaves out the column with the highest rank.
fn leave_one_out(columns: &[Column], widths: &mut [Option<usize>]) {
    let shown = columns.iter().zip(widths).filter(|(_, width)| width.is_some());
    if let Some((_, width)) = shown.max_by_key(|(column, _)| column.rank) {
        *width = None;
    }
}

/// Narrows the widest column that may be cut until a line fits. Returns `None` if a line cannot fit.
fn narrowed(columns: &[Column], mut widths: Vec<Option<usize>>, room: usize) -> Option<Vec<Option<usize>>> {
    let shown = widths.iter().flatten().count();
    let gaps = GAP.len() * shown.saturating_sub(1);
    loop {
        let excess = (widths.iter().flatten().sum::<usize>() + gaps).saturating_sub(room);
        if excess == 0 {
            return Some(widths);
        }
        let spare = |(column, width): (&Column, &Option<usize>)| Some(((*width)?, column.min_width?));
        let spares = columns.iter().zip(&widths).map(spare);
        let candidates = spares.enumerate().filter_map(|(at, spare)| Some((at, spare?)));
        let (at, (width, _)) =
            candidates.filter(|(_, (width, min))| width > min).max_by_key(|(_, (width, _))| *width)?;
        *widths.get_mut(at)? = Some(width - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::INVOICES;
    use super::*;

    const ID: &str = "31191108676370000155550010000070831000062423";

    /// Returns the cells of an invoice with this issuer.
    fn invoice(issuer: &str) -> Vec<String> {
        let json = serde_json::json!({"id": ID, "number": "7083", "issued_at": "2019-11-12T00:00:00", "status": "authorized",
            "issuer": {"name": issuer}, "recipient": {"tax_id": "09579964000291"}, "total": "2040.00"});
        cells(INVOICES, &serde_json::from_str(&json.to_string()).unwrap())
    }

    fn shown(rows: &[Vec<String>], room: Option<usize>) -> (Vec<String>, Vec<&'static str>) {
        let layout = Layout::of(INVOICES, rows, room);
        let lines = std::iter::once(layout.header()).chain(rows.iter().map(|row| layout.row(row)));
        (lines.map(|line| line.trim_end_matches('\n').to_owned()).collect(), layout.left_out())
    }

    #[test]
    fn columns_align_by_the_displayed_width_of_characters() {
        // A combining accent has no width. An ideogram is two columns wide.
        let rows = ["São João", "Sa\u{303}o Joa\u{303}o", "日本", "x"].map(invoice);
        let (lines, left_out) = shown(&rows, None);
        assert_eq!(
            lines[0],
            format!("{:<21}number  issuer    {:<16}{:<12}{:>7}  id", "issued_at", "recipient", "status", "total")
        );
        let rest = format!("  09579964000291  authorized  2040.00  {ID}");
        for (line, issuer) in lines[1..].iter().zip(["São João", "Sa\u{303}o Joa\u{303}o", "日本    ", "x       "])
        {
            assert_eq!(*line, format!("2019-11-12T00:00:00  7083    {issuer}{rest}"));
        }
        assert!(left_out.is_empty());
    }

    #[test]
    fn first_names_are_cut_and_then_whole_columns_are_left_out() {
        let rows = [invoice("PETRÓLEO BRASILEIRO S.A."), invoice("x")];
        for (room, expected) in [
            (140, &[][..]),
            (118, &[]),
            (117, &["id"]),
            (72, &["id"]),
            (71, &["recipient", "id"]),
            (48, &["recipient", "status", "id"]),
            (47, &["number", "recipient", "status", "id"]),
            (39, &["number", "issuer", "recipient", "status", "id"]),
            (5, &["issued_at", "number", "issuer", "recipient", "status", "id"]),
        ] {
            let (lines, left_out) = shown(&rows, Some(room));
            assert_eq!(left_out, expected, "{room}");
            let widest = lines.iter().map(|line| measure_text_width(line)).max().unwrap();
            assert!(widest <= room.max("2040.00".len()), "{room}: {lines:#?}");
        }
        assert!(shown(&rows, Some(80)).0[1].contains("  PETRÓLEO BRAS…  "), "{:?}", shown(&rows, Some(80)));
    }

    #[test]
    fn later_rows_are_cut_only_if_the_width_is_limited() {
        let (first, later) = (invoice("x"), invoice("PETRÓLEO BRASILEIRO"));
        let row = |room| Layout::of(INVOICES, std::slice::from_ref(&first), room).row(&later);
        assert!(row(Some(200)).contains("  PETRÓ…  0957"), "{}", row(Some(200)));
        assert!(row(None).contains("  PETRÓLEO BRASILEIRO  0957"), "{}", row(None));
    }

    #[test]
    fn a_value_is_one_line_without_control_characters() {
        let value = serde_json::from_str(r#"{"a":"\u001b[2J\nb","c":["d",1]}"#).unwrap();
        assert_eq!(text(&value), "a: \\u{1b}[2J\\nb, c: d, 1");
    }
}
