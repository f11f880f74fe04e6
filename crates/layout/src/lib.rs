//! Layouts: what each column of a table, or each path of a JSON record, means. Layouts are TOML files; some are built in.
//!
//! [`detect`] compares a header with the layouts. A [`Mapping`] binds the layout that matches to the header, so that the columns
//! of each field are known. It converts each [`Row`] to a [`Record`] or a [`Reject`].
//!
//! ```
//! use notaflux_layout::{Detection, Mapping, detect};
//!
//! let header = ["chave de acesso", "Número"];
//! let Detection::Unknown { tried, .. } = detect(&header) else { panic!("no layout has only these two columns") };
//! let portal = tried.iter().find(|tried| tried.layout == "portal-invoice").unwrap();
//! assert!(portal.missing.contains(&"VALOR NOTA FISCAL".to_owned()));
//! ```
//!
//! | file | content |
//! | --- | --- |
//! | `layouts/*.toml`, `built_in` | the built-in layouts; docs/layouts.md explains how to write one |
//! | `spec` | the structure of a layout file |
//! | `check` | errors in a layout file, and their lines |
//! | `layout` | a parsed and checked layout |
//! | `fold` | folding, so that equal names match |
//! | `detect` | detection of the layout of a header or of JSON |
//! | `row`, `span`, `latin`, `scratch` | a record as text |
//! | `json`, `path` | a JSON element as a row |
//! | `bind`, `bound`, `names` | the fields of a layout bound to the columns of a header |
//! | `columns`, `cell` | which cells of a row are read, and how |
//! | `conventions`, `votes` | how a source writes amounts and dates |
//! | `mapping` | the conversion of a row to a record |
//! | `reject` | why a row is not stored |

mod bind;
mod bound;
mod built_in;
mod cell;
mod check;
mod columns;
mod conventions;
mod detect;
mod fold;
mod json;
mod latin;
mod layout;
mod mapping;
mod names;
mod path;
mod reject;
mod row;
mod scratch;
mod span;
mod spec;
mod votes;

pub use bind::MappingError;
pub use bound::Bound;
pub use built_in::{built_in, by_name};
pub use conventions::Conventions;
pub use detect::{Detection, Tried, detect};
pub use json::{Shown, Unreadable};
pub use layout::{Layout, LayoutError, Yields};
pub use mapping::{Fit, InvoiceRow, Mapping, Record};
pub use reject::{Reason, Reject};
pub use row::Row;
pub use scratch::Scratch;
pub use votes::{Ballot, ConventionVotes};

#[cfg(test)]
mod tests;
