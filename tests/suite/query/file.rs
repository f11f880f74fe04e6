//! Rows of the Portal's layout with cases that generated files lack: similar parties, every status and model, invoices
//! of the same second, totals in every form, and missing totals.

use fastrand::Rng;

use crate::support::rows;

/// The values that differ between rows.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) model: String,
    pub(crate) series: String,
    pub(crate) number: String,
    pub(crate) issued_at: String,
    pub(crate) event: String,
    pub(crate) issuer: String,
    pub(crate) issuer_uf: String,
    pub(crate) recipient: String,
    pub(crate) recipient_uf: String,
    pub(crate) total: String,
}

/// Two CNPJs with many invoices, one with leading zeros, a masked CPF, and a foreign number.
const ISSUERS: [&str; 6] =
    ["33000167000101", "33000167000101", "08676370000155", "00394429021965", "***.165.104-**", "DE 811 907"];
/// Two CNPJs, and two ways to write a missing one.
const RECIPIENTS: [&str; 5] = ["00394429021965", "33000167000101", "09579964000291", "-1", ""];
const UFS: [&str; 4] = ["SP", "MG", "PR", "RJ"];
const MODELS: [&str; 4] =
    ["55 - NF-E EMITIDA EM SUBSTITUIÇÃO AO MODELO 1 OU 1A", "65 - NFC-E", "57 - CT-E", "55 - NF-E"];
const EVENTS: [&str; 8] = [
    "Autorização de Uso",
    "Autorização de Uso",
    "Carta de Correção",
    "Cancelamento da NF-e",
    "Cancelamento do Comprovante de Entrega",
    "Uso Denegado",
    "Sem informação",
    "",
];
const TOTALS: [&str; 10] =
    ["10,5", "10,50", "10,5000", "10", "1.234,56", "0,00", "-12,50", "0,0001", "12345678901234,99", ""];
/// The last days of months, one of them in a leap year, with times at the start and end of a day.
const DAYS: [&str; 6] = ["31/12/2023", "01/01/2024", "31/01/2024", "29/02/2024", "01/03/2024", "12/07/2026"];
const TIMES: [&str; 5] = ["00:00:00", "00:00:01", "10:11:12", "12:30:00", "23:59:59"];

fn one(choices: &[&str], dice: &mut Rng) -> String {
    choices[dice.usize(..choices.len())].to_owned()
}

impl Row {
    /// Returns a random row with a unique key.
    pub(crate) fn any(number: u32, dice: &mut Rng) -> Self {
        let date = if dice.bool() { one(&DAYS, dice) } else { format!("{:02}/02/2024", dice.u8(1..=28)) };
        let total =
            if dice.bool() { one(&TOTALS, dice) } else { format!("{},{:02}", dice.u32(..3_000), dice.u8(..100)) };
        Self {
            key: rows::key(number),
            model: one(&MODELS, dice),
            series: one(&["1", "2", "3", "890"], dice),
            number: dice.u8(1..40).to_string(),
            issued_at: format!("{date} {}", one(&TIMES, dice)),
            event: one(&EVENTS, dice),
            issuer: one(&ISSUERS, dice),
            issuer_uf: one(&UFS, dice),
            recipient: one(&RECIPIENTS, dice),
            recipient_uf: one(&UFS, dice),
            total,
        }
    }

    /// Turns the row into a reject.
    fn spoil(&mut self, dice: &mut Rng) {
        match dice.u8(..5) {
            0 => self.key.truncate(43),
            1 => self.key.replace_range(4..6, "13"),
            2 => "31/02/2024 10:00:00".clone_into(&mut self.issued_at),
            3 => "12,3,4".clone_into(&mut self.total),
            _ => "NÃO SE SABE QUEM EMITIU".clone_into(&mut self.issuer),
        }
    }

    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        let Self { key, model, series, number, issued_at, event, .. } = self;
        let Self { issuer, issuer_uf, recipient, recipient_uf, total, .. } = self;
        let cells: [&str; 21] = [
            key,
            model,
            series,
            number,
            "VENDA",
            issued_at,
            event,
            "",
            issuer,
            "PETRÓLEO",
            "10428180043",
            issuer_uf,
            "SÃO PAULO",
            recipient,
            "COMANDO",
            recipient_uf,
            "NÃO CONTRIBUINTE",
            "1 - OPERAÇÃO INTERNA",
            "1 - CONSUMIDOR FINAL",
            "1 - OPERAÇÃO PRESENCIAL",
            total,
        ];
        out.extend(rows::row_of(&cells));
    }
}

/// Returns rows, some with the key of an earlier row and some bad.
pub(crate) fn rows(count: u32, dice: &mut Rng) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..count {
        let mut row = Row::any(number, dice);
        if number > 0 && dice.u8(..6) == 0 {
            row.key.clone_from(&rows[dice.usize(..rows.len())].key);
        }
        if dice.u8(..25) == 0 {
            row.spoil(dice);
        }
        rows.push(row);
    }
    rows
}
