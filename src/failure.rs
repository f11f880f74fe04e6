//! How commands fail.

use std::error::Error;

/// Why a command failed. Its message is one line for people.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Exit code of wrong use, the same as that of the argument parser.
pub(crate) const WRONG_USE_CODE: u8 = 2;

/// A failure that the arguments cause. Not retried; the exit code is [`WRONG_USE_CODE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUse(pub(crate) String);
