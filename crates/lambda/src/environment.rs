//! Environment variables of the functions.

use std::env::{self, VarError};
use std::fmt::Display;

/// Why an environment variable cannot be used. Not retried: the function does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// A required variable is unset or empty.
    #[error("the environment variable {0} must be set")]
    Missing(&'static str),
    /// The value is not UTF-8.
    #[error("{0}: the value is not valid UTF-8")]
    NotUnicode(&'static str),
    /// The value has the wrong form.
    #[error("{name}: {why}, found {text:?}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// What was expected.
        why: String,
        /// The value.
        text: String,
    },
}

/// Returns the value of a variable. An empty value counts as unset.
pub(crate) fn optional(name: &'static str) -> Result<Option<String>, EnvironmentError> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(EnvironmentError::NotUnicode(name)),
    }
}

/// Returns the value of a variable that must be set.
pub(crate) fn required(name: &'static str) -> Result<String, EnvironmentError> {
    optional(name)?.ok_or(EnvironmentError::Missing(name))
}

/// Returns the parsed value of a variable, `None` if it is unset. The error of `parse` says what it expects.
pub(crate) fn parsed<T, E: Display>(
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, EnvironmentError> {
    let Some(text) = optional(name)? else { return Ok(None) };
    match parse(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(EnvironmentError::Invalid { name, why: error.to_string(), text }),
    }
}
