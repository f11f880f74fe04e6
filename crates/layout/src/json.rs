//! Reads a JSON element as a row: the values at the paths that a layout names, as text.
//!
//! Numbers keep their text, so that no amount passes through a float. `null`, `NaN` and empty texts are not values. If the
//! bytes are not UTF-8, the whole element is read as windows-1252.

mod fast_path;
mod keys;
mod parser;
pub(crate) mod shown;
mod text;
mod unreadable;
pub(crate) mod values;
pub(crate) mod workspace;

pub use self::shown::Shown;
use self::shown::keep_others;
pub use self::unreadable::Unreadable;
use self::values::{RowShape, Values};
use self::workspace::Workspace;
use crate::path::PathTree;
use crate::row::Row;
use crate::scratch::Scratch;

/// Reads `element` as a row of the columns in `tree`.
///
/// # Errors
/// The element is not valid JSON or not an object, or a place has two different values.
pub(crate) fn read<'s>(
    tree: &'s PathTree,
    shape: RowShape<'_>,
    element: &'s [u8],
    scratch: &'s mut Scratch,
) -> Result<Row<'s>, Unreadable> {
    let Scratch { text, json: work, .. } = scratch;
    work.begin(tree, shape);
    let Workspace { latin, extra, tape, string_tape, values: record, lines, others, steps, .. } = work;
    let base = text::decoded(element, latin);
    let mut values = Values { tree, shape, base, extra, tape: string_tape, record, lines };
    if fast_path::read(&mut values, steps).is_none() {
        values.clear();
        parser::parse(&mut values, steps, tape).map_err(|unreadable| in_source(unreadable, base, element))?;
    }
    if shape.keeps_others {
        keep_others(tree, base, extra, others);
    }
    let text = if extra.is_empty() {
        base
    } else {
        text.clear();
        text.push_str(base);
        text.push_str(extra);
        text.as_str()
    };
    let line_columns = shape.bound.len() - shape.record_columns;
    Ok(Row { text, spans: record, line: &[], lines, line_columns, others })
}

/// Converts the place of an error in decoded text to the byte in the source.
fn in_source(unreadable: Unreadable, base: &str, element: &[u8]) -> Unreadable {
    if base.len() == element.len() {
        return unreadable;
    }
    let at = base.get(..unreadable.at).map_or(unreadable.at, |before| before.chars().count());
    Unreadable { at, ..unreadable }
}

#[cfg(test)]
mod tests;
