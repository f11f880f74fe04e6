//! Defects of bad records.

/// The defect of a bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    ShortKey,
    KeyMonth,
    NoKey,
    IssuedAt,
    NoIssuedAt,
    Amount,
    LongTaxId,
    NoNumber,
    NumberZero,
    NumberOfLetters,
    Quantity,
    UnitPrice,
    EventAt,
    NoEventAt,
    MissingColumn,
    ExtraColumn,
    CutShort,
    MissingQuote,
}

/// Texts that the mapping rejects as a date.
pub(crate) const BAD_DATES: [&[u8]; 4] =
    [b"31/02/2024 10:00:00", b"2024-13-31 10:00:00", b"00/00/0000 00:00:00", b"ontem"];
/// Texts that the mapping rejects as an amount.
pub(crate) const BAD_AMOUNTS: [&[u8]; 4] = [b"12,3,4", b"1234.56", b"R$ 10,0,", b"abc"];
