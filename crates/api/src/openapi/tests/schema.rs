//! Checks values against the part of JSON Schema that the document uses. An unknown keyword fails the test, so no rule is
//! ignored.

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

/// Checks values against schemas of the document.
pub(super) struct Schema<'d> {
    /// The document that references point into.
    pub(super) document: &'d Value,
}

impl Schema<'_> {
    /// Returns all errors of `value`, each with its place.
    pub(super) fn errors(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let words = schema.as_object().unwrap();
        words.iter().flat_map(|(word, rule)| self.by_word(schema, word, rule, value, at)).collect()
    }

    fn by_word(&self, schema: &Value, word: &str, rule: &Value, value: &Value, at: &str) -> Vec<String> {
        let text = || value.as_str().unwrap_or_default();
        let is_right = match word {
            "description" | "examples" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                return self.errors(self.document.pointer(pointer).unwrap(), value, at);
            }
            "additionalProperties" if schema.get("properties").is_some() => *rule == false,
            "properties" | "additionalProperties" => return self.of_members(schema, value, at),
            "items" => {
                let elements = value.as_array().into_iter().flatten().enumerate();
                return elements
                    .flat_map(|(number, each)| self.errors(rule, each, &format!("{at}/{number}")))
                    .collect();
            }
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "type" => is_of_type(rule.as_str().unwrap(), value),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "pattern" => Regex::new(rule.as_str().unwrap()).unwrap().is_match(text()),
            "format" if rule == "date-time" => text().parse::<Timestamp>().is_ok(),
            "minLength" => text().chars().count() as u64 >= rule.as_u64().unwrap(),
            "maxLength" => text().chars().count() as u64 <= rule.as_u64().unwrap(),
            "minItems" => value.as_array().is_some_and(|all| all.len() as u64 >= rule.as_u64().unwrap()),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            unknown => panic!("unknown keyword in a schema: {unknown:?}"),
        };
        if is_right { Vec::new() } else { vec![format!("{at}: {value} does not meet {word} {rule}")] }
    }

    fn of_members(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let members = value.as_object().into_iter().flatten();
        let of_member = |(name, member): (&String, &Value)| {
            let at = format!("{at}/{name}");
            let named = schema.get("properties").and_then(|properties| properties.get(name));
            match named.or(schema.get("additionalProperties")) {
                Some(Value::Bool(false)) => vec![format!("{at} is not described")],
                Some(schema) => self.errors(schema, member, &at),
                None => panic!("{schema} is open"),
            }
        };
        members.flat_map(of_member).collect()
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        unknown => panic!("unknown type in a schema: {unknown:?}"),
    }
}
