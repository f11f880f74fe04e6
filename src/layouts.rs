//! `notaflux layouts`, and how commands are told which layout to use.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::{Failure, say};
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
    /// List the built-in layouts (what is done without a word)
    List,
    /// Print a layout: to read, or to begin one of your own with
    Show {
        /// Name of a built-in layout, or a layout file, which is then checked
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
}

impl Args {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            None | Some(Command::List) => say(list())?,
            Some(Command::Show { name }) => match named(&name)? {
                Named::File(layout) => say(layout.text().trim_end())?,
                Named::Name(name) => {
                    let layout = layout::by_name(&name).ok_or_else(|| unknown(&name))?;
                    say(layout.text().trim_end())?;
                }
            },
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list() -> String {
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
        // Writing to a String cannot fail.
        write!(out, "{newline}{:<16}  {row:<20}  {}", layout.name(), layout.title()).unwrap_or_default();
    }
    out
}

/// How a source's layout is chosen.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChoiceArgs {
    /// Read everything by this layout: a built-in one or a file (see docs/layouts.md); told by the header if not given
    #[arg(long, value_name = "NAME|FILE")]
    layout: Option<String>,
    /// Reject what is odd, such as a wrong check digit, instead of storing it with a warning
    #[arg(long)]
    strict: bool,
}

impl ChoiceArgs {
    /// What they say.
    ///
    /// # Errors
    /// A file that cannot be read or is no layout.
    pub(super) fn choice(&self) -> Result<Choice, Failure> {
        let named = self.layout.as_deref().map(named).transpose()?;
        Ok(Choice { named, strict: self.strict, ..Choice::default() })
    }
}

/// A layout by its name, or by its file: whatever has a `.` or `/` in it is a file, since no name has.
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
    format!("there is no built-in layout {name:?}; there are {}", all.join(", ")).into()
}
