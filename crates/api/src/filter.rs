//! Which items of a list belong to the answer.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::call::Item;
use super::problem::Problem;
use notaflux_invoice::Decimal;
use notaflux_table::item::invoice::path;

/// The conditions that every item of the answer meets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Paths in the item, and the text at each of them. The table checks these.
    pub(super) equal: Vec<(&'static [&'static str], String)>,
    /// Smallest total. Totals are texts with the decimal places of the source, so the table cannot compare them as numbers.
    pub(super) min_total: Option<Decimal>,
    /// Largest total.
    pub(super) max_total: Option<Decimal>,
}

impl Filter {
    /// Whether there are no conditions.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the conditions that the table can check to a query.
    pub(super) fn add_to(&self, mut query: QueryFluentBuilder) -> QueryFluentBuilder {
        let mut conditions = Vec::new();
        for (number, (path, value)) in self.equal.iter().enumerate() {
            let placeholders: Vec<String> = path.iter().map(|name| format!("#{name}")).collect();
            for (placeholder, name) in placeholders.iter().zip(*path) {
                query = query.expression_attribute_names(placeholder, *name);
            }
            conditions.push(format!("{} = :equal{number}", placeholders.join(".")));
            query = query.expression_attribute_values(format!(":equal{number}"), AttributeValue::S(value.clone()));
        }
        if conditions.is_empty() { query } else { query.filter_expression(conditions.join(" AND ")) }
    }

    /// Whether an item meets the conditions that the table cannot check. An item without a total meets no limit of totals.
    ///
    /// # Errors
    /// The total of the item is not an amount.
    pub(super) fn matches(&self, item: &Item) -> Result<bool, Problem> {
        if self.min_total.is_none() && self.max_total.is_none() {
            return Ok(true);
        }
        let Some(total) = item.get(path::TOTAL) else { return Ok(false) };
        let total = total.as_s().ok().and_then(|text| Decimal::from_plain(text));
        let total = total.ok_or_else(|| Problem::damaged("the total of an invoice is not an amount"))?;
        Ok(self.min_total.is_none_or(|least| least.compare(&total).is_le())
            && self.max_total.is_none_or(|most| most.compare(&total).is_ge()))
    }

    /// Returns the conditions as texts, to bind a cursor to them.
    pub(super) fn parts(&self) -> Vec<String> {
        let equal = self.equal.iter().map(|(path, value)| format!("{}={value}", path.join(".")));
        let totals = [("min", &self.min_total), ("max", &self.max_total)];
        let totals = totals.into_iter().filter_map(|(name, total)| Some(format!("{name}={}", total.as_ref()?)));
        equal.chain(totals).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_total_is_an_error() {
        let filter = Filter { min_total: Decimal::from_plain("2"), ..Filter::default() };
        let item = |total| Item::from([(path::TOTAL.to_owned(), total)]);
        assert_eq!(filter.matches(&item(AttributeValue::S("2.00".into()))), Ok(true));
        assert_eq!(filter.matches(&item(AttributeValue::S("1.99".into()))), Ok(false));
        assert_eq!(filter.matches(&Item::new()), Ok(false));
        for damaged in [AttributeValue::S("2,00".into()), AttributeValue::N("2".into())] {
            assert_eq!(filter.matches(&item(damaged.clone())), Err(Problem::Internal));
            assert_eq!(Filter::default().matches(&item(damaged)), Ok(true), "the total is not read");
        }
    }
}
