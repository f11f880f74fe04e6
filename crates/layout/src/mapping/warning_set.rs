//! A set of warnings.

use notaflux_invoice::Warning;

/// A set of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WarningSet(pub(crate) u8);

impl WarningSet {
    pub(crate) fn of(warnings: impl Iterator<Item = Warning>) -> Self {
        warnings.fold(Self::default(), |set, warning| set.with(warning, true))
    }

    /// Adds `warning` if `is` is true.
    pub(crate) fn with(self, warning: Warning, is: bool) -> Self {
        Self(self.0 | (u8::from(is) << warning as u8))
    }

    fn has(self, warning: Warning) -> bool {
        (self.0 >> warning as u8) & 1 == 1
    }

    /// Iterates over the warnings of the set, in the order of [`Warning::ALL`].
    pub(crate) fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.into_iter().filter(move |warning| self.has(*warning))
    }
}
