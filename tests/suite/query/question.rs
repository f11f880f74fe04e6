//! Random queries of lists: every way to select a list, mostly with values from the data.

use fastrand::Rng;

use super::oracle::{Invoice, units};

/// A parameter other than order, limit and cursor: its value, and its text in the query.
#[derive(Debug, Clone)]
struct Condition {
    name: &'static str,
    value: String,
    text: String,
}

/// The format in which a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Ndjson,
    Csv,
}

/// A query of a list.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    conditions: Vec<Condition>,
    order: Option<&'static str>,
    pub(crate) form: Form,
}

/// The conditions that select a list. A query has at least one of them.
const LISTS: [&str; 4] = ["issuer", "recipient", "month", "status"];
/// Number of combinations of these conditions, `from`, `to` and the order.
pub(crate) const SHAPES: usize = 15 * 4 * 3;

const TEXTS: [&str; 5] = ["model", "series", "number", "issuer_uf", "recipient_uf"];

impl Condition {
    fn new(name: &'static str, value: String, dice: &mut Rng) -> Self {
        let text = written(name, &value, dice);
        Self { name, value, text }
    }

    fn holds(&self, invoice: &Invoice) -> bool {
        let total = || invoice.total.as_deref().map(units);
        let is = |found: &Option<String>| found.as_deref() == Some(&self.value);
        match self.name {
            "issuer" => is(&invoice.issuer),
            "recipient" => is(&invoice.recipient),
            "month" => invoice.issued_at.starts_with(&self.value),
            "status" => invoice.status == self.value,
            "from" => *invoice.issued_at >= *self.value,
            "to" => *invoice.issued_at <= *self.value,
            "model" => is(&invoice.model),
            "series" => is(&invoice.series),
            "number" => is(&invoice.number),
            "issuer_uf" => is(&invoice.issuer_uf),
            "recipient_uf" => is(&invoice.recipient_uf),
            "min_total" => total().is_some_and(|total| total >= units(&self.value)),
            "max_total" => total().is_some_and(|total| total <= units(&self.value)),
            other => panic!("unknown condition: {other}"),
        }
    }
}

/// Returns a value in one of the forms that the API accepts.
fn written(name: &str, value: &str, dice: &mut Rng) -> String {
    let is_cnpj = value.len() == 14 && value.bytes().all(|byte| byte.is_ascii_digit());
    match name {
        "issuer" | "recipient" if is_cnpj && dice.u8(..4) == 0 => {
            let part = |range| &value[range];
            format!("{}.{}.{}/{}-{}", part(0..2), part(2..5), part(5..8), part(8..12), part(12..14))
        }
        "issuer_uf" | "recipient_uf" if dice.bool() => value.to_lowercase(),
        "min_total" | "max_total" if value.contains('.') && dice.bool() => format!("{value}000"),
        // A whole day.
        "from" if value.ends_with("T00:00:00") && dice.bool() => value[..10].to_owned(),
        "to" if value.ends_with("T23:59:59") && dice.bool() => value[..10].to_owned(),
        _ => value.to_owned(),
    }
}

/// Returns the invoice's value for the name of a condition.
fn value_of(invoice: &Invoice, name: &str) -> Option<String> {
    match name {
        "issuer" => invoice.issuer.clone(),
        "recipient" => invoice.recipient.clone(),
        "month" => Some(invoice.issued_at[..7].to_owned()),
        "status" => Some(invoice.status.clone()),
        "model" => invoice.model.clone(),
        "series" => invoice.series.clone(),
        "number" => invoice.number.clone(),
        "issuer_uf" => invoice.issuer_uf.clone(),
        "recipient_uf" => invoice.recipient_uf.clone(),
        other => panic!("unknown condition: {other}"),
    }
}

/// Returns a value that no invoice has.
fn of_nobody(name: &str) -> &'static str {
    match name {
        "issuer" | "recipient" => "11222333000181",
        "month" => "2019-02",
        "status" => "denied",
        "issuer_uf" | "recipient_uf" => "AC",
        _ => "0",
    }
}

/// Makes conditions from the values of the invoices.
struct Maker<'i> {
    invoices: &'i [Invoice],
    /// The invoice that most of the values come from, so that the conditions fit together.
    base: &'i Invoice,
    dice: &'i mut Rng,
}

impl<'i> Maker<'i> {
    fn another(&mut self) -> &'i Invoice {
        &self.invoices[self.dice.usize(..self.invoices.len())]
    }

    fn condition(&mut self, name: &'static str) -> Condition {
        let value = match self.dice.u8(..40) {
            0 => None,
            1..4 => value_of(self.another(), name),
            _ => value_of(self.base, name),
        };
        Condition::new(name, value.unwrap_or_else(|| of_nobody(name).to_owned()), self.dice)
    }

    /// Returns the time of the base invoice, or of an invoice before or after it.
    fn time(&mut self, name: &'static str) -> String {
        let other = self.another();
        let own = &self.base.issued_at;
        let is_on_this_side = (name == "from") == (other.issued_at < *own);
        let time = if self.dice.u8(..3) > 0 && is_on_this_side { &other.issued_at } else { own };
        match self.dice.u8(..3) {
            0 => time.clone(),
            _ if name == "from" => format!("{}T00:00:00", &time[..10]),
            _ => format!("{}T23:59:59", &time[..10]),
        }
    }

    /// Returns the requested ends of a range, in order.
    fn range(
        &mut self,
        names: [&'static str; 2],
        asked: [bool; 2],
        mut ends: [String; 2],
        swapped: bool,
    ) -> Vec<Condition> {
        if swapped {
            ends.reverse();
        }
        let ends = names.into_iter().zip(ends).zip(asked).filter(|(_, asked)| *asked);
        ends.map(|((name, value), _)| Condition::new(name, value, self.dice)).collect()
    }

    fn times(&mut self, asked: [bool; 2]) -> Vec<Condition> {
        let ends = [self.time("from"), self.time("to")];
        let swapped = ends[0] > ends[1];
        self.range(["from", "to"], asked, ends, swapped)
    }

    fn totals(&mut self, asked: [bool; 2]) -> Vec<Condition> {
        let total = |invoice: &Invoice| invoice.total.clone().unwrap_or_else(|| "10.5".to_owned());
        let own = if self.dice.bool() { self.base } else { self.another() };
        let ends = [total(own), total(self.another())];
        let swapped = units(&ends[0]) > units(&ends[1]);
        self.range(["min_total", "max_total"], asked, ends, swapped)
    }
}

impl Question {
    /// Returns a random question of a shape. There are [`SHAPES`] shapes.
    pub(crate) fn any(shape: usize, invoices: &[Invoice], dice: &mut Rng) -> Self {
        let (lists, times, order) = (1 + shape % 15, shape / 15 % 4, shape / 60 % 3);
        let asked: Vec<&str> =
            LISTS.into_iter().enumerate().filter(|(at, _)| lists >> at & 1 == 1).map(|(_, l)| l).collect();
        let is_status_alone = asked == ["status"];
        let fits = |invoice: &&Invoice| !is_status_alone || invoice.status != "authorized";
        let base = std::iter::repeat_with(|| &invoices[dice.usize(..invoices.len())]).find(fits).unwrap();
        let mut maker = Maker { invoices, base, dice };
        let mut conditions: Vec<Condition> = asked.iter().map(|name| maker.condition(name)).collect();
        if is_status_alone && conditions[0].value == "authorized" {
            conditions[0] = Condition::new("status", base.status.clone(), maker.dice);
        }
        conditions.extend(maker.times([times & 1 == 1, times & 2 == 2]));
        // Mostly few filters: with many, few invoices remain.
        let rarely = [40, 20, 8, 3][maker.dice.usize(..4)];
        for name in TEXTS {
            if maker.dice.u8(..rarely) == 0 {
                conditions.push(maker.condition(name));
            }
        }
        let ends = [maker.dice.u8(..rarely) == 0, maker.dice.u8(..rarely) == 0];
        conditions.extend(maker.totals(ends));
        dice.shuffle(&mut conditions);
        let form = [Form::Ndjson, Form::Csv].get(dice.usize(..20)).copied().unwrap_or(Form::Json);
        Self { conditions, order: [None, Some("asc"), Some("desc")][order], form }
    }

    /// Returns the expected invoices in order.
    pub(crate) fn answer<'i>(&self, invoices: &'i [Invoice]) -> Vec<&'i Invoice> {
        let belongs = |invoice: &&Invoice| self.conditions.iter().all(|condition| condition.holds(invoice));
        let mut answer: Vec<&Invoice> = invoices.iter().filter(belongs).collect();
        answer.sort_by(|a, b| a.position().cmp(&b.position()));
        if self.order == Some("desc") {
            answer.reverse();
        }
        answer
    }

    /// Returns names and texts of its parameters, without limit and cursor.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, &str)> {
        let conditions = self.conditions.iter().map(|condition| (condition.name, condition.text.as_str()));
        conditions.chain(self.order.map(|order| ("order", order))).collect()
    }
}
