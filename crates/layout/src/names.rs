//! Names in `extra`, made of the names of columns and paths.

use std::collections::HashSet;

use crate::fold;

/// Bytes of a name that is made of a column's.
const MADE_NAME_LIMIT: usize = 60;

/// The folded name of a column in snake case, cut at [`MADE_NAME_LIMIT`]; `column_7` where nothing is left of it.
pub(crate) fn made_name(column: &str, at: usize) -> String {
    let mut made = String::new();
    for char in fold::column(column).chars() {
        if char.is_ascii_alphanumeric() {
            made.push(char);
        } else if !made.is_empty() && !made.ends_with('_') {
            made.push('_');
        }
        if made.len() >= MADE_NAME_LIMIT {
            break;
        }
    }
    match made.trim_end_matches('_') {
        "" => format!("column_{}", at + 1),
        made => made.to_owned(),
    }
}

/// `name`, or with a number behind it where it is taken.
pub(crate) fn unlike(taken: &mut HashSet<String>, name: &str) -> String {
    let mut free = name.to_owned();
    let mut number = 1;
    while !taken.insert(free.clone()) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}
