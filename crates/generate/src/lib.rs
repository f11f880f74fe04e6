//! Generates the Portal's three files and NF-e documents: any size, the same bytes for the same seed, in constant
//! memory.
//!
//! The files have the form of the Portal's: windows-1252, `;`, every field quoted, CRLF, a header first. Record `i`
//! (from 0) of the invoices, and the lines and events of its invoice, depend on the seed and `i` alone. So a record can
//! be written again later without having been stored, and the three files of the same options belong together.
//!
//! # Good records
//! They map without rejects and warnings. Each has an access key of its own (at least the first 999,999,999). Issue
//! dates are in 2023 and 2024. One record in five has the same issuer; the others have some two thousand issuers. One
//! operation in fifty has a `;`, a doubled quote or a line break. One issuer in a hundred is a person, with a masked
//! CPF and a key of series 920 to 969.
//!
//! # Repeated records (`duplicates`)
//! A repeated record has the key of an earlier good record. Half of them have the same bytes. The others have another
//! total (higher by 0,01 to 100,00), and half of those have a cancellation as their latest event; everything else is
//! the same. Record 0 repeats nothing, nor does a record after bad ones only.
//!
//! # Bad records (`bad`)
//! The mapping rejects each of them, for one of these reasons, in equal shares:
//!
//! | defect | form | reason |
//! | --- | --- | --- |
//! | key too short | 43 characters | `invalid_access_key` |
//! | key with month 13 | | `invalid_access_key` |
//! | no key | empty | `missing_field` |
//! | issue date of another form, or that does not exist | `31/02/2024 10:00:00`, `2024-13-31 10:00:00`, … | `invalid_date` |
//! | no issue date | empty | `missing_field` |
//! | amount of another form | `12,3,4`, `1234.56`, … | `invalid_amount` |
//! | issuer's tax id too long | `NÃO SE SABE QUEM EMITIU` | `value_too_long` |
//! | one column too few | the last field is missing | `wrong_column_count` |
//! | one column too many | a further field at the end | `wrong_column_count` |
//!
//! Half of the records with one of the last six defects have the key and the other values of an earlier good record: a
//! reject supersedes nothing.
//!
//! # Lines
//! Every invoice has its lines, numbered from 1, at the first record with its key: one to eight, 3.6 on average. One
//! invoice in a thousand has 20 to 60. Quantity times unit price is the total of the line to the cent. The totals of
//! the lines add up to the total of the invoice, except in one invoice in twenty, where a tenth of the total is
//! freight. One product in fifty has quotes, semicolons or line breaks.
//!
//! Repeated and bad lines come in addition, after good ones; their shares are of all rows. A repeated line occurs
//! earlier in the file: half of the time in the same invoice, otherwise in an earlier one. Half of them have the same
//! bytes; the others have a higher quantity and total. A bad line has a bad key as above; or no number, the number 0 or
//! letters as number; or a quantity, unit price or total of another form; or one column too few or too many.
//!
//! # Events
//! One invoice in twenty of those that have lines and were not denied has one to three events: its authorization, a
//! correction, a manifestation of the recipient. A fifth of the events are cancellations. A cancellation is the last
//! event of its invoice and later than the status in the invoice file, which does not show it. Repeated events belong
//! to the same invoice: half of them have the same bytes, the others another reason. A bad event has a bad key or
//! column count as above, or a date of another form, or none.
//!
//! # JSON
//! [`Generator::json_of`] returns the same rows as flat objects in UTF-8, with columns as keys and all values as text.
//! A row with one column too few is an object that is cut short there, and a row with one column too many is an object
//! that lacks a quote. These would make an array invalid, so there the first has no key and the second has a short one.
//!
//! [`Generator::nfe`] returns one NF-e document for each row of the invoice file, as xmltodict converts its XML, with
//! the same values and the lines of its key. Differences from the files:
//! - A sale of a company within its state for less than R$ 10.000,00 is an NFC-e: its key has model 65. Six in ten have
//!   no recipient; in the others it is a person.
//! - An issuer who is a person has a whole CPF.
//! - A cancelled invoice has status 101, a denied one 110, all others 100.
//! - The totals include freight, and the increase of a repeated invoice (`vOutro`).
//! - A bad document has one of the first seven defects of the table above, or is cut at a random byte, or lacks a
//!   quote. In an array it has no key, or a wrong total, instead of the last two.
//!
//! One in four issuers, recipients and products has its accents as `\u00e7`, and one product in eight has `null` as bar
//! code. A document has 3.0 KB with one line and 0.65 KB more for each further line: 4.7 KB on average.

mod archive;
mod class;
mod encoding;
mod event_kinds;
mod events;
mod flaw;
mod generator;
mod invoices;
mod json;
mod lines;
mod moment;
mod names;
mod nfe;
mod options;
mod products;
mod random;
mod records;
mod stream;
mod tables;
mod text;

pub use archive::write_archive;
pub use generator::Generator;
pub use json::JsonForm;
pub use options::{GenerateOptions, LayoutVersion, PortalFile};

#[cfg(test)]
mod tests;
