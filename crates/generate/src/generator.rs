//! Writes a file in pieces: rows, flat objects or documents.

use crate::json::{JsonForm, Objects};
use crate::nfe::Fragments;
use crate::options::{GenerateOptions, PortalFile};
use crate::records::Records;
use crate::tables;

/// Smallest number of bytes that [`Generator::fill`] appends before the end of the file.
pub(crate) const CHUNK_BYTES: usize = 64 * 1_024;

/// Writes a file in pieces.
#[derive(Debug)]
pub struct Generator {
    options: GenerateOptions,
    content: Content,
    records: Records,
    stage: Stage,
    /// Whether the array has an element already.
    has_elements: bool,
    next: u64,
}

/// The content of a file.
#[derive(Debug)]
enum Content {
    Rows(PortalFile),
    Objects(PortalFile, Objects),
    Documents(JsonForm, Box<Fragments>),
}

/// The next part of a file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Records,
    Ended,
}

impl Generator {
    /// Creates a generator of the invoice file.
    #[must_use]
    pub fn new(options: GenerateOptions) -> Self {
        Self::of(PortalFile::Invoices, options)
    }

    /// Creates a generator of one of the Portal's files, which takes some milliseconds. Shares outside 0 to 1 count as
    /// 0 or 1.
    #[must_use]
    pub fn of(file: PortalFile, options: GenerateOptions) -> Self {
        Self::with(Content::Rows(file), options, Records::new(&options))
    }

    /// Creates a generator of the rows of one of the Portal's files as flat JSON objects.
    #[must_use]
    pub fn json_of(file: PortalFile, form: JsonForm, options: GenerateOptions) -> Self {
        let objects = Objects::new(form, &tables::columns(file, options.layout_version));
        Self::with(Content::Objects(file, objects), options, Records::new(&options))
    }

    /// Creates a generator of NF-e documents: one for each record of the invoice file. Ignores the version of the
    /// layout.
    #[must_use]
    pub fn nfe(form: JsonForm, options: GenerateOptions) -> Self {
        let records = Records::new(&options);
        let fragments = Box::new(Fragments::new(options.seed, &records.tables));
        Self::with(Content::Documents(form, fragments), options, records)
    }

    fn with(content: Content, options: GenerateOptions, records: Records) -> Self {
        Self { options, content, records, stage: Stage::Header, has_elements: false, next: 0 }
    }

    /// Returns the tax id of the issuer of about a fifth of the invoices.
    #[must_use]
    pub fn busiest_issuer(&self) -> String {
        let tax_id = self.records.tables.issuers.first().map(|issuer| issuer.tax_id.as_slice());
        String::from_utf8_lossy(tax_id.unwrap_or_default()).into_owned()
    }

    /// Appends the next piece of the file to `out`: `CHUNK_BYTES` or a little more, less only at the end of the file.
    /// A piece has whole records, with all lines or events of an invoice. Returns false and appends nothing once the
    /// file is complete.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if self.stage == Stage::Header {
            self.stage = Stage::Records;
            match &self.content {
                Content::Rows(file) => out.extend_from_slice(&tables::header(*file, self.options.layout_version)),
                Content::Objects(_, objects) => objects.form().open(out),
                Content::Documents(form, _) => form.open(out),
            }
        }
        let mut rows = Vec::new();
        while self.next < self.options.records && out.len() - before < CHUNK_BYTES {
            let start = out.len();
            self.write(self.next, &mut rows, out);
            self.has_elements |= out.len() > start;
            self.next += 1;
        }
        if self.next >= self.options.records && self.stage == Stage::Records {
            self.stage = Stage::Ended;
            match &self.content {
                Content::Rows(_) => {}
                Content::Objects(_, objects) => objects.form().close(out),
                Content::Documents(form, _) => form.close(out),
            }
        }
        out.len() > before
    }

    /// Writes everything of record `index` of the invoice file. `rows` is a buffer for the rows that become objects.
    fn write(&self, index: u64, rows: &mut Vec<u8>, out: &mut Vec<u8>) {
        match &self.content {
            Content::Rows(file) => self.write_rows(*file, index, out),
            Content::Objects(file, objects) => {
                rows.clear();
                self.write_rows(*file, index, rows);
                objects.write(rows, self.has_elements, out);
            }
            Content::Documents(form, fragments) => {
                form.before(self.has_elements, out);
                self.records.write_document(index, *form, fragments, out);
                form.after(out);
            }
        }
    }

    fn write_rows(&self, file: PortalFile, index: u64, out: &mut Vec<u8>) {
        match file {
            PortalFile::Invoices => self.records.write_invoice(index, out),
            PortalFile::Events => self.records.write_events(index, out),
            PortalFile::Lines => self.records.write_lines(index, out),
        }
    }
}
