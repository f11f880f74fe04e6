//! Names for values in `extra`, made from the names of columns and paths.

use std::collections::HashSet;

use crate::fold;

/// Most bytes of a name that is made from the name of a column.
const MADE_NAME_LIMIT: usize = 60;

/// Returns the folded name of a column in snake case, cut at [`MADE_NAME_LIMIT`]. If no letter or digit remains, returns a name
/// such as `column_7`.
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

/// Returns `name`, or `name_2`, `name_3` and so on if it is in `taken`, and adds the result to `taken`.
pub(crate) fn unique_name(taken: &mut HashSet<String>, name: &str) -> String {
    let mut free = name.to_owned();
    let mut number = 1;
    while !taken.insert(free.clone()) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}
