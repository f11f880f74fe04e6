//! `notaflux layouts`, and the arguments that choose a layout.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::print_line;
use notaflux_engine::Choice;
use notaflux_engine::choice::Named;
use notaflux_layout::{self as layout, Layout, Yields};

/// Arguments of `notaflux layouts`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the built-in layouts (the default)
    List,
    /// Print a layout, to read it or to start your own
    Show {
        /// Name of a built-in layout, or a layout file, which is also checked
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
}

impl Args {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            None | Some(Command::List) => print_line(list()?)?,
            Some(Command::Show { name }) => match named(&name)? {
                Named::File(layout) => print_line(layout.text().trim_end())?,
                Named::Name(name) => {
                    let layout = layout::by_name(&name).ok_or_else(|| unknown(&name))?;
                    print_line(layout.text().trim_end())?;
                }
            },
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list() -> Result<String, fmt::Error> {
    let mut out = String::new();
    for layout in layout::built_in() {
        let row = match layout.yields() {
            Yields::Invoice => "a row is an invoice",
            Yields::Line => "a row is a line",
            Yields::Event => "a row is an event",
            Yields::InvoiceLine => "a row is a line with its invoice",
            Yields::InvoiceWithLines => "an invoice with its lines",
        };
        let newline = if out.is_empty() { "" } else { "\n" };
        write!(out, "{newline}{:<16}  {row:<32}  {}", layout.name(), layout.title())?;
    }
    Ok(out)
}

/// Arguments that choose the layout of a source.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChoiceArgs {
    /// Read every entry with this layout: a built-in one, or a file (see docs/layouts.md) [default: detected from the
    /// header]
    #[arg(long, value_name = "NAME|FILE")]
    layout: Option<String>,
    /// Reject a record that has a warning, such as a wrong check digit, instead of storing it with the warning
    #[arg(long)]
    strict: bool,
    /// Skip the entries of an archive that hold data and cannot be read, instead of writing nothing of the archive
    #[arg(long)]
    skip_unknown: bool,
}

impl ChoiceArgs {
    /// Returns the choice.
    ///
    /// # Errors
    /// The layout file cannot be read or is not valid.
    pub(super) fn choice(&self) -> Result<Choice, Failure> {
        let named = self.layout.as_deref().map(named).transpose()?;
        Ok(Choice { named, strict: self.strict, skip_unknown: self.skip_unknown, ..Choice::default() })
    }
}

/// Returns a layout by its name or by its file. A text with `.`, `/` or `\` is a file, because no name has these
/// characters.
fn named(text: &str) -> Result<Named, Failure> {
    if !text.contains(['.', '/', '\\']) {
        return Ok(Named::Name(text.to_owned()));
    }
    let read = std::fs::read_to_string(Path::new(text)).map_err(|error| format!("{text}: {error}"))?;
    let layout = Layout::parse(&read).map_err(|error| format!("{text}: {error}"))?;
    Ok(Named::File(Arc::new(layout)))
}

fn unknown(name: &str) -> Failure {
    let all: Vec<&str> = layout::built_in().iter().map(|layout| layout.name()).collect();
    format!("there is no built-in layout {name:?}; the built-in layouts are {}", all.join(", ")).into()
}
