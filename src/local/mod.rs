//! local
pub mod generate;
