//! Reads the id of the invoice that a row is or belongs to.

use std::borrow::Cow;

use crate::columns::NaturalKeyColumns;
use crate::mapping::reader::RowReader;
use crate::reject::{Reason, Reject};
use crate::row::Row;
use notaflux_invoice::{AccessKey, NfseKey, TaxId};
use notaflux_sha256::{Sha256, hex};

/// Bytes of the hash of a natural key that become its id: 128 bits.
const NATURAL_ID_BYTES: usize = 16;

/// The id of an invoice, and the key it was made from.
#[derive(Debug, Clone)]
pub(crate) struct Id<'r> {
    pub(crate) text: Cow<'r, str>,
    pub(crate) key: Key,
}

/// The key that an id was made from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Access(AccessKey),
    Nfse(NfseKey),
    Natural,
}

impl Key {
    pub(crate) fn access_key(&self) -> Option<&AccessKey> {
        match self {
            Self::Access(key) => Some(key),
            Self::Nfse(_) | Self::Natural => None,
        }
    }

    /// Returns the issuer in the key.
    pub(crate) fn issuer_tax_id(&self) -> Option<TaxId> {
        match self {
            Self::Access(key) => Some(key.issuer_tax_id()),
            Self::Nfse(key) => Some(key.issuer_tax_id()),
            Self::Natural => None,
        }
    }

    /// Returns year and month of issue in the key.
    pub(crate) fn year_month(&self) -> Option<(u16, u8)> {
        match self {
            Self::Access(key) => Some(key.year_month()),
            Self::Nfse(key) => Some(key.year_month()),
            Self::Natural => None,
        }
    }

    /// Whether the check digit is valid; true for a natural key, which has none.
    pub(crate) fn check_digit_ok(&self) -> bool {
        match self {
            Self::Access(key) => key.check_digit_ok(),
            Self::Nfse(key) => key.check_digit_ok(),
            Self::Natural => true,
        }
    }
}

impl RowReader {
    /// Reads the id from the first key of the layout that has a value.
    pub(crate) fn id<'r>(&self, row: &Row<'r>) -> Result<Id<'r>, Reject> {
        let columns = &self.columns.id;
        if let Some((text, cell)) = columns.access_key.as_ref().and_then(|cell| Some((cell.read(row)?, cell))) {
            return match AccessKey::parse(&text) {
                Ok(key) => Ok(Id { text, key: Key::Access(key) }),
                Err(error) => Err(self.reject_first(Reason::InvalidAccessKey, &cell.cell, row, &error)),
            };
        }
        if let Some((text, cell)) = columns.nfse_key.as_ref().and_then(|cell| Some((cell.read(row)?, cell))) {
            return match NfseKey::parse(&text) {
                Ok(key) => Ok(Id { text, key: Key::Nfse(key) }),
                Err(error) => Err(self.reject_first(Reason::InvalidNfseKey, &cell.cell, row, &error)),
            };
        }
        match &columns.natural {
            Some(natural) => Ok(Id { text: Cow::Owned(self.natural_id(natural, row)?), key: Key::Natural }),
            None => Err(self.no_key()),
        }
    }

    /// Returns the first 32 hexadecimal digits of the SHA-256 of the key's name and values, with a NUL between them.
    fn natural_id(&self, columns: &NaturalKeyColumns, row: &Row<'_>) -> Result<String, Reject> {
        let mut hasher = Sha256::new();
        hasher.update(&*columns.name);
        let needed = columns.from.iter().map(|cell| (cell, true));
        for (cell, is_needed) in needed.chain(columns.optional.iter().map(|cell| (cell, false))) {
            hasher.update([0]);
            match cell.read(row) {
                Some(found) if found.text.contains('\0') => {
                    return Err(self.reject(
                        Reason::InvalidNaturalKey,
                        found,
                        &"expected a text without NUL characters",
                    ));
                }
                Some(found) => hasher.update(found.text),
                None if is_needed => {
                    return Err(Reject::missing(&cell.name, "a value (it is part of the invoice's id)"));
                }
                None => {}
            }
        }
        let digest = hasher.finish();
        let mut id = String::with_capacity(2 * NATURAL_ID_BYTES);
        id.extend(hex(&digest).take(2 * NATURAL_ID_BYTES));
        Ok(id)
    }

    #[cold]
    fn no_key(&self) -> Reject {
        let columns = &self.columns.id;
        if let Some(cell) = columns.access_key.as_ref().filter(|cell| !cell.cell.is_nowhere()) {
            return Reject::missing(&cell.cell.name, "an access key of 44 characters");
        }
        let name = columns.nfse_key.as_ref().map_or("the key", |cell| &cell.cell.name);
        Reject::missing(name, "an NFS-e key of 50 digits")
    }
}
