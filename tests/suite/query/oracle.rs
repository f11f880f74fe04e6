//! Reads a file of invoices independently of the engine: the last valid row of each key.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::DateTime;
use serde_json::Value;

/// The fields that lists are selected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) issued_at: String,
    pub(crate) issuer: Option<String>,
    pub(crate) issuer_uf: Option<String>,
    pub(crate) recipient: Option<String>,
    pub(crate) recipient_uf: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) series: Option<String>,
    pub(crate) number: Option<String>,
    pub(crate) status: String,
    pub(crate) total: Option<String>,
}

/// Invoices by their keys.
pub(crate) type Invoices = BTreeMap<String, Invoice>;

/// Length of the longest tax id.
const TAX_ID_BYTES: usize = 20;
/// Decimal places for comparing amounts: more than any amount has.
const PLACES: usize = 8;

/// Adds the rows of a file. They replace rows of earlier files.
pub(crate) fn read(file: &[u8], invoices: &mut Invoices) {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(file);
    let names: HashMap<String, usize> =
        reader.byte_headers().unwrap().iter().enumerate().map(|(at, name)| (text(name), at)).collect();
    for record in reader.byte_records() {
        let cells: Vec<String> = record.unwrap().iter().map(text).collect();
        let valid = (cells.len() == names.len()).then(|| invoice(|name| cells[names[name]].as_str())).flatten();
        invoices.extend(valid.map(|invoice| (invoice.id.clone(), invoice)));
    }
}

/// Encodes the part of windows-1252 that equals Latin-1. These files contain no other characters.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn invoice<'r>(cell: impl Fn(&str) -> &'r str) -> Option<Invoice> {
    let present = |name: &str| {
        let text = cell(name);
        (!["", "-1", "Sem informação"].contains(&text)).then(|| text.to_owned())
    };
    let issuer = present("CPF/CNPJ Emitente");
    if issuer.as_ref().is_some_and(|issuer| issuer.len() > TAX_ID_BYTES) {
        return None;
    }
    let issued_at = DateTime::strptime("%d/%m/%Y %H:%M:%S", cell("DATA EMISSÃO")).ok()?;
    Some(Invoice {
        id: access_key(cell("CHAVE DE ACESSO"))?,
        issued_at: issued_at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        issuer,
        issuer_uf: present("UF EMITENTE"),
        recipient: present("CNPJ DESTINATÁRIO"),
        recipient_uf: present("UF DESTINATÁRIO"),
        model: present("MODELO").map(|model| model.split(' ').next().unwrap().to_owned()),
        series: present("SÉRIE"),
        number: present("NÚMERO"),
        status: status(cell("EVENTO MAIS RECENTE")).to_owned(),
        total: present("VALOR NOTA FISCAL").map_or(Some(None), |total| amount(&total).map(Some))?,
    })
}

fn access_key(text: &str) -> Option<String> {
    let is_key = text.len() == 44 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_key && ("01"..="12").contains(&&text[4..6])).then(|| text.to_owned())
}

fn status(event: &str) -> &'static str {
    match event {
        "Cancelamento da NF-e" => "cancelled",
        "Uso Denegado" => "denied",
        "" | "Sem informação" => "unknown",
        // These events do not cancel, correct or confirm the invoice.
        "Autorização de Uso"
        | "Carta de Correção"
        | "Confirmação da Operação"
        | "Ciência da Operação"
        | "Cancelamento do Comprovante de Entrega" => "authorized",
        other => panic!("an event that these files do not contain: {other}"),
    }
}

/// Converts `-1.234,56` to `-1234.56`.
fn amount(text: &str) -> Option<String> {
    let (whole, places) = text.split_once(',').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole).split('.').collect::<Vec<_>>();
    let is_grouped = digits[1..].iter().all(|group| group.len() == 3) && (1..=3).contains(&digits[0].len());
    let all_digits =
        digits.iter().chain([&places]).all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let stands = all_digits && (digits.len() == 1 || is_grouped);
    stands.then(|| text.replace('.', "").replace(',', "."))
}

/// Converts an amount to an integer for comparison.
pub(crate) fn units(amount: &str) -> i128 {
    let (whole, places) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{places:0<PLACES$}").parse().unwrap()
}

impl Invoice {
    /// Returns its sort position in a list.
    pub(crate) fn position(&self) -> (&str, &str) {
        (&self.issued_at, &self.id)
    }

    /// Reads an invoice from an answer.
    pub(crate) fn of_json(item: &Value) -> Self {
        let at = |pointer: &str| item.pointer(pointer).map(|value| value.as_str().unwrap().to_owned());
        Self {
            id: at("/id").unwrap(),
            issued_at: at("/issued_at").unwrap(),
            issuer: at("/issuer/tax_id"),
            issuer_uf: at("/issuer/uf"),
            recipient: at("/recipient/tax_id"),
            recipient_uf: at("/recipient/uf"),
            model: at("/model"),
            series: at("/series"),
            number: at("/number"),
            status: at("/status").unwrap(),
            total: at("/total"),
        }
    }
}
