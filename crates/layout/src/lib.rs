//! Which column means what. Layouts are data: TOML files, of which some are compiled in, all read by one reader.
//!
//! A header is compared with the layouts ([`detect`]); the one that fits is bound to it as a [`Mapping`], which knows for
//! every field in which column to look; that turns each [`Row`] into a [`Record`] or a [`Reject`].
//!
//! ```
//! use notaflux_layout::{Detection, Mapping, detect};
//!
//! let header = ["chave de acesso", "Número"];
//! let Detection::Unknown { tried, .. } = detect(&header) else { panic!("two columns are no layout's") };
//! let portal = tried.iter().find(|tried| tried.layout == "portal-invoice").unwrap();
//! assert!(portal.missing.contains(&"VALOR NOTA FISCAL".to_owned()));
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `layouts/*.toml` | the built-in layouts; docs/layouts.md tells how to write one |
//! | `spec` | what a layout file may say |
//! | `check` | what a layout file cannot mean, and where it says so |
//! | `fold` | when two column names are the same |
//! | `detect` | which layout a header is of |
//! | `row` | a record as text |
//! | `json`, `path` | an element of JSON as a row: where its values stand |
//! | `bind` | a layout's fields bound to a header's columns |
//! | `columns`, `cell` | what is read of a row, and how |
//! | `conventions` | how a source as a whole writes amounts and dates |
//! | `mapping` | a row to a record |
//! | `reject` | why a row is none |

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
