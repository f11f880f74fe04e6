//! Checks a parsed layout file for values that are wrong or contradict each other, and finds their lines.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

use toml::de::{DeTable, DeValue};

use crate::fold;
use crate::spec::{InvoiceSpec, LayoutFormat, LayoutSpec, LineSpec, NaturalKeySpec, Source, Tables, TestSpec};

/// Most bytes of a name.
const NAME_LIMIT: usize = 64;
/// Most digits of `pad`: an access key has 44, and no other number is longer.
const PAD_LIMIT: usize = 50;

/// An error in a layout file that has the right structure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The keys that lead to the error, outermost first.
    path: Vec<&'static str>,
    /// What was expected there, and what was found.
    pub(crate) message: String,
}

impl Wrong {
    fn new(path: &[&'static str], message: String) -> Self {
        Self { path: path.to_vec(), message }
    }

    /// Returns the line of the error in `text`, from 1: the line of the innermost key of its path that the file contains.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let table = DeTable::parse(text).ok()?;
        let mut at = None;
        let mut tables = Some(table.get_ref());
        for key in &self.path {
            let Some((name, value)) = tables.and_then(|table| table.get_key_value(*key)) else { break };
            at = Some(name.span().start);
            tables = match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            };
        }
        at.map(|at| line_of(text, at))
    }
}

/// Returns the line of byte `at` in `text`, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}

/// Takes the tables that define what a row yields out of `spec`.
pub(crate) fn tables(spec: &mut LayoutSpec) -> Result<Tables, Wrong> {
    match (spec.invoice.take(), spec.line.take(), spec.event.take()) {
        (Some(invoice), None, None) => Ok(Tables::Invoice(invoice)),
        (None, Some(line), None) => Ok(Tables::Line(line)),
        (None, None, Some(event)) => Ok(Tables::Event(event)),
        (Some(invoice), Some(line), None) if line.each.is_some() => Ok(Tables::InvoiceWithLines(invoice, line)),
        (Some(invoice), Some(line), None) => Ok(Tables::InvoiceLine(invoice, line)),
        (None, None, None) => {
            let message = "expected a table [invoice], [line] or [event], found none";
            Err(Wrong::new(&[], message.to_owned()))
        }
        (_, _, Some(_)) => {
            let message = "[event]: a layout of events cannot have [invoice] or [line] too";
            Err(Wrong::new(&["event"], message.to_owned()))
        }
    }
}

/// Returns the first error of a layout.
pub(crate) fn check(spec: &LayoutSpec, tables: &Tables) -> Result<(), Wrong> {
    check_head(spec)?;
    check_conventions(spec)?;
    check_id(spec)?;
    check_paths(spec, tables)?;
    if let Some(trailer) = &spec.trailer {
        check_test(&["trailer"], "trailer", trailer.test())?;
    }
    match tables {
        Tables::Invoice(invoice) => check_invoice(spec, invoice),
        Tables::Line(line) => check_line(line),
        Tables::InvoiceLine(invoice, line) | Tables::InvoiceWithLines(invoice, line) => {
            check_invoice(spec, invoice).and_then(|()| check_line(line))
        }
        Tables::Event(_) if spec.keep_other_columns => {
            let message = "keep_other_columns: events have no `extra` to store other columns in".to_owned();
            Err(Wrong::new(&["keep_other_columns"], message))
        }
        Tables::Event(_) => Ok(()),
    }
}

fn check_head(spec: &LayoutSpec) -> Result<(), Wrong> {
    let wrong = |key: &'static str, message: String| Err(Wrong::new(&[key], format!("{key}: {message}")));
    if !is_word(&spec.name, '-') {
        return wrong("name", format!("expected {}, found {:?}", word_of("hyphens"), spec.name));
    }
    if spec.requires.is_empty() {
        return wrong("requires", "expected at least one column: without any, every header would match".to_owned());
    }
    let required = || spec.requires.iter().flat_map(|Source(names)| names).map(|name| fold::column(name));
    if let Some(name) = repeated(required()) {
        return wrong("requires", format!("column {name:?} is named twice"));
    }
    let without: HashSet<String> = spec.without.iter().map(|name| fold::column(name)).collect();
    if let Some(name) = required().find(|name| without.contains(name)) {
        return wrong("without", format!("column {name:?} is in `requires` too"));
    }
    if let Some(word) = repeated(spec.reject.iter().map(|warning| warning.as_str())) {
        return wrong("reject", format!("{word:?} is named twice"));
    }
    if !is_currency(&spec.currency) {
        return wrong("currency", format!("expected an ISO 4217 code such as BRL, found {:?}", spec.currency));
    }
    Ok(())
}

/// Checks the words that only a layout of JSON paths may have.
fn check_paths(spec: &LayoutSpec, tables: &Tables) -> Result<(), Wrong> {
    let each = match tables {
        Tables::InvoiceWithLines(_, line) => line.each.as_ref(),
        Tables::Line(line) if line.each.is_some() => {
            let message = "line.each: expected a table [invoice] too: the lines of a record belong to its invoice";
            return Err(Wrong::new(&["line", "each"], message.to_owned()));
        }
        _ => None,
    };
    if spec.format == LayoutFormat::Json {
        let Some(path) =
            each.into_iter().chain(&spec.requires).flat_map(|Source(paths)| paths).find(|path| is_broken(path))
        else {
            return Ok(());
        };
        return Err(Wrong::new(&["requires"], format!("path {path:?}: expected a key before and after each point")));
    }
    let given = [(each.is_some(), "each"), (!spec.through.is_empty(), "through"), (spec.records.is_some(), "records")];
    match given.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, key)) => {
            let path: &[&'static str] = if key == "each" {
                &["line", "each"]
            } else {
                std::slice::from_ref(if key == "through" { &"through" } else { &"records" })
            };
            Err(Wrong::new(
                path,
                format!("{}: only a layout of JSON paths has it: add format = \"json\"", path.join(".")),
            ))
        }
        None => Ok(()),
    }
}

fn is_broken(path: &str) -> bool {
    path.split('.').any(|key| key.trim().is_empty())
}

fn check_conventions(spec: &LayoutSpec) -> Result<(), Wrong> {
    let twice = |key: &'static str, word: Option<String>| match word {
        Some(word) => Err(Wrong::new(&["conventions", key], format!("conventions.{key}: {word:?} is named twice"))),
        None => Ok(()),
    };
    let decimal = spec.conventions.decimal.0.iter().map(|each| each.as_str());
    twice("decimal", repeated(decimal).map(str::to_owned))?;
    let date = spec.conventions.date.0.iter().map(|each| each.as_str());
    twice("date", repeated(date).map(str::to_owned))
}

fn check_id(spec: &LayoutSpec) -> Result<(), Wrong> {
    let id = &spec.id;
    match &id.natural_key {
        None if id.access_key.is_none() && id.nfse_key.is_none() => {
            let message = "[id]: expected access_key, nfse_key or natural_key, found none of them";
            Err(Wrong::new(&["id"], message.to_owned()))
        }
        None => Ok(()),
        Some(natural) => check_natural_key(natural),
    }
}

fn check_natural_key(natural: &NaturalKeySpec) -> Result<(), Wrong> {
    let wrong = |message: String| Err(Wrong::new(&["id", "natural_key"], message));
    if !is_word(&natural.name, '-') {
        return wrong(format!("natural_key.name: expected {}, found {:?}", word_of("hyphens"), natural.name));
    }
    if natural.from.is_empty() {
        return wrong(
            "natural_key.from: expected at least one column: without any, all invoices would have one id".to_owned(),
        );
    }
    let columns = natural.from.iter().chain(&natural.optional).flat_map(|Source(names)| names);
    match repeated(columns.map(|name| fold::column(name))) {
        Some(name) => wrong(format!("natural_key: column {name:?} is named twice")),
        None => Ok(()),
    }
}

fn check_invoice(spec: &LayoutSpec, invoice: &InvoiceSpec) -> Result<(), Wrong> {
    check_names(&["invoice", "extra"], invoice.extra.0.iter().map(|(name, _)| name.as_str()))?;
    let status = invoice.status.iter().flat_map(|status| &status.rules);
    for rule in status {
        check_test(&["invoice", "status", "rules"], "a rule of invoice.status", rule.test())?;
    }
    let no_key = spec.id.access_key.is_none() && spec.id.nfse_key.is_none();
    if invoice.issuer_from_key && no_key {
        let message = "issuer_from_key: expected access_key or nfse_key in [id], found neither".to_owned();
        return Err(Wrong::new(&["invoice", "issuer_from_key"], message));
    }
    let texts = [&invoice.model, &invoice.series, &invoice.number, &invoice.operation, &invoice.currency];
    let pads = texts.into_iter().flatten().map(|field| field.0.pad);
    check_pads(&["invoice"], pads.chain(invoice.extra.0.iter().map(|(_, field)| field.pad)))
}

fn check_line(line: &LineSpec) -> Result<(), Wrong> {
    check_names(&["line", "extra"], line.extra.0.iter().map(|(name, _)| name.as_str()))?;
    if line.each.is_some() && line.number.is_some() && !line.key.is_empty() {
        let message = "[line]: expected number or key, found both".to_owned();
        return Err(Wrong::new(&["line", "key"], message));
    }
    if line.each.is_none() && line.number.is_some() != line.key.is_empty() {
        let found = if line.number.is_some() { "both" } else { "neither" };
        let message = format!(
            "[line]: expected either number (the column that numbers the lines of an invoice) or key (columns that \
             together distinguish a line from the others), found {found}"
        );
        return Err(Wrong::new(&["line", "key"], message));
    }
    let texts = [&line.number, &line.code, &line.description, &line.ncm, &line.cfop, &line.unit];
    let pads = texts.into_iter().flatten().map(|field| field.0.pad);
    check_pads(&["line"], pads.chain(line.extra.0.iter().map(|(_, field)| field.pad)))
}

fn check_names<'a>(path: &[&'static str], names: impl Iterator<Item = &'a str>) -> Result<(), Wrong> {
    for name in names {
        if !is_word(name, '_') {
            let message = format!("{}: expected {}, found {name:?}", path.join("."), word_of("underscores"));
            return Err(Wrong::new(path, message));
        }
    }
    Ok(())
}

fn check_test(path: &[&'static str], called: &str, test: Option<TestSpec<'_>>) -> Result<(), Wrong> {
    let Some(test) = test else {
        return Err(Wrong::new(path, format!("{called}: expected exactly one of is, begins and contains")));
    };
    if test.texts().iter().any(|text| text.trim().is_empty()) {
        return Err(Wrong::new(path, format!("{called}: expected texts to compare with, found a blank one")));
    }
    Ok(())
}

fn check_pads(path: &[&'static str], mut pads: impl Iterator<Item = usize>) -> Result<(), Wrong> {
    match pads.find(|&pad| pad > PAD_LIMIT) {
        Some(pad) => Err(Wrong::new(path, format!("pad: expected at most {PAD_LIMIT} digits, found {pad}"))),
        None => Ok(()),
    }
}

/// The names that [`is_word`] accepts, for messages.
fn word_of(also: &str) -> String {
    format!("at most {NAME_LIMIT} lower-case letters, digits and {also}")
}

/// Whether `text` can be a name: lower-case letters, digits and `also`.
pub(crate) fn is_word(text: &str, also: char) -> bool {
    let letter = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == also;
    (1..=NAME_LIMIT).contains(&text.len()) && text.chars().all(letter)
}

/// Whether `text` has the form of an ISO 4217 code.
pub(crate) fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn repeated<T: Hash + Eq + Clone + Debug>(mut names: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(name.clone()))
}
