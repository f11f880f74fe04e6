//! Which items of a list belong to the answer.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::call::Item;
use notaflux_invoice::Decimal;
use notaflux_table::item::invoice::path;

/// What every item of the answer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Texts, by where they stand in the item. The table looks at these.
    pub(super) equal: Vec<(&'static [&'static str], String)>,
    /// Least total. Totals are texts, with the places of the source, which the table cannot compare as numbers.
    pub(super) min_total: Option<Decimal>,
    /// Largest total.
    pub(super) max_total: Option<Decimal>,
}

impl Filter {
    /// Whether every item belongs to the answer.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Lets the table pass over what it can tell not to belong to the answer.
    pub(super) fn narrow(&self, mut query: QueryFluentBuilder) -> QueryFluentBuilder {
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

    /// Whether an item that the table let pass belongs to the answer.
    pub(super) fn takes(&self, item: &Item) -> bool {
        if self.min_total.is_none() && self.max_total.is_none() {
            return true;
        }
        let total =
            item.get(path::TOTAL).and_then(|total| total.as_s().ok()).and_then(|text| Decimal::from_plain(text));
        let Some(total) = total else { return false };
        self.min_total.is_none_or(|least| least.compare(&total).is_le())
            && self.max_total.is_none_or(|most| most.compare(&total).is_ge())
    }

    /// The filter as texts, for what a cursor is bound to.
    pub(super) fn parts(&self) -> Vec<String> {
        let equal = self.equal.iter().map(|(path, value)| format!("{}={value}", path.join(".")));
        let totals = [("min", &self.min_total), ("max", &self.max_total)];
        let totals = totals.into_iter().filter_map(|(name, total)| Some(format!("{name}={}", total.as_ref()?)));
        equal.chain(totals).collect()
    }
}
