//! The domain: an invoice and its parts. Pure values without I/O. This crate knows neither files nor tables.
//!
//! | module | content |
//! | --- | --- |
//! | `invoice` | an invoice and its parties |
//! | [`mod@line`], [`event`] | a line and an event of an invoice |
//! | [`access_key`] | access keys: 44 characters that identify an NF-e |
//! | `nfse_key` | keys of service invoices of the national standard: 50 digits |
//! | [`tax_id`] | CNPJ, CPF, masked CPF |
//! | [`amount`] | exact decimals, kept as text |
//! | [`time`] | local date-times, with an offset only if the source has one |
//! | `status`, `warning` | the status of an invoice, and oddities of a record |
//! | `fields` | access to an invoice field by field |
//! | [`check_digit`] | the check digit of keys and tax ids |
//! | [`text`] | trimming and digits |
//! | `state` | states by their IBGE code |
//! | `extra` | further columns as JSON |

pub mod access_key;
pub mod amount;
pub mod check_digit;
pub mod event;
mod extra;
mod fields;
mod invoice;
pub mod line;
mod nfse_key;
mod state;
mod status;
pub mod tax_id;
pub mod text;
pub mod time;
mod warning;

pub use access_key::{AccessKey, AccessKeyError};
pub use amount::{Decimal, DecimalConvention, DecimalError};
pub use event::{Event, EventKind};
pub use fields::{InvoiceFields, Role, TextField};
pub use invoice::{Invoice, Party};
pub use line::{Line, LineKey};
pub use nfse_key::{NfseKey, NfseKeyError};
pub use status::Status;
pub use tax_id::{TaxId, TaxIdColumn, TaxIdError, TaxIdKind};
pub use time::{DateConvention, Timestamp, TimestampError, UtcOffset};
pub use warning::Warning;
