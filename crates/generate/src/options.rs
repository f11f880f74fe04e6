//! What to generate: the file, its columns, its size and its shares of repeated and bad records.

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// Number of records of the invoice file, including repeated and bad ones, without the header.
    pub records: u64,
    /// Seed: the same seed gives the same bytes.
    pub seed: u64,
    /// Version of the columns.
    pub layout_version: LayoutVersion,
    /// Share of repeated records, 0 to 1.
    pub duplicates: f64,
    /// Share of bad records, 0 to 1.
    pub bad: f64,
}

impl GenerateOptions {
    /// The defaults.
    pub const DEFAULT: Self =
        Self { records: 1_000, seed: 0, layout_version: LayoutVersion::V1, duplicates: 0.0, bad: 0.0 };
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The two versions of the Portal's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayoutVersion {
    /// 21 columns of invoices, 27 of lines, 10 of events.
    #[default]
    V1,
    /// 25 columns of invoices and 31 of lines: four more about the receiving agency. Events have the same 10.
    V2,
}

/// The Portal's files for a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortalFile {
    /// One row for each invoice.
    #[default]
    Invoices,
    /// One row for each event of an invoice.
    Events,
    /// One row for each line of an invoice.
    Lines,
}

impl PortalFile {
    /// Every file, in the order of the Portal's archives.
    pub const ALL: [Self; 3] = [Self::Invoices, Self::Events, Self::Lines];

    /// Returns the name of the file in an archive. Its month is the last month in which an invoice is issued.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoices => "202412_NFe_NotaFiscal.csv",
            Self::Events => "202412_NFe_NotaFiscalEvento.csv",
            Self::Lines => "202412_NFe_NotaFiscalItem.csv",
        }
    }
}
