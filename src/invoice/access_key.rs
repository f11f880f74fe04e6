//! The access key (*chave de acesso*): 44 characters that name a fiscal document.

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};

/// A structurally valid access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessKey(ArrayString<44>);

impl AccessKey {
    /// The 44 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Serialize for AccessKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
