//! What the API refuses, in the words of the command line.

use serde::Deserialize;

use crate::{Failure, WrongUse};

/// A problem as the API tells it.
#[derive(Debug, Deserialize)]
struct Problem {
    r#type: String,
    title: String,
    detail: String,
    #[serde(default)]
    errors: Vec<Wrong>,
}

#[derive(Debug, Deserialize)]
struct Wrong {
    parameter: String,
    message: String,
}

/// Why there is no answer: `problem` as the API tells it. `lister` is the command that tells which ids there are.
pub(super) fn refusal(problem: &[u8], lister: &str) -> Failure {
    let problem: Problem = match serde_json::from_slice(problem) {
        Ok(problem) => problem,
        Err(error) => return error.into(),
    };
    let name = problem.r#type.rsplit('/').next().unwrap_or_default();
    match name {
        "invalid-parameter" => {
            let told = problem.errors.iter().map(|wrong| format!("{}: {}", flag(&wrong.parameter), wrong.message));
            WrongUse(told.collect::<Vec<_>>().join("; ")).into()
        }
        "invalid-cursor" => WrongUse(
            "--cursor: it is not one of this query; give it as it was told, with the options that it was told for, or \
             leave it out to begin anew"
                .to_owned(),
        )
        .into(),
        "not-found" => format!("{}; {lister} tells ids", clause(&problem.detail)).into(),
        "throttled" | "unavailable" => format!("{}; try again in a second", clause(&problem.title)).into(),
        // The table's own error has been logged.
        _ => format!("{}; what was logged before this line says what is wrong", clause(&problem.title)).into(),
    }
}

/// A sentence as the beginning of a longer one.
fn clause(sentence: &str) -> String {
    let mut rest = sentence.trim_end_matches('.').chars();
    rest.next().into_iter().flat_map(char::to_lowercase).chain(rest).collect()
}

/// The flag that gives a parameter.
fn flag(parameter: &str) -> String {
    format!("--{}", parameter.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, errors: &serde_json::Value) -> (bool, String) {
        let problem = serde_json::json!({"type": format!("/problems/{kind}"), "title": "T", "status": 400,
            "detail": "No such.", "request_id": "r", "errors": errors});
        let failure = refusal(problem.to_string().as_bytes(), "notaflux query invoices");
        (failure.is::<WrongUse>(), failure.to_string())
    }

    #[test]
    fn wrong_parameters_are_wrong_flags() {
        let errors = serde_json::json!([
            {"parameter": "from", "message": "expected a date"}, {"parameter": "min_total", "message": "too much"}
        ]);
        let (is_wrong_use, message) = told("invalid-parameter", &errors);
        assert_eq!((is_wrong_use, message.as_str()), (true, "--from: expected a date; --min-total: too much"));
        let (is_wrong_use, message) = told("invalid-cursor", &serde_json::json!([]));
        assert!(is_wrong_use && message.starts_with("--cursor: "), "{message}");
    }

    #[test]
    fn anything_else_is_a_failure() {
        for (kind, expected) in [
            ("not-found", "no such; notaflux query invoices tells ids"),
            ("throttled", "t; try again in a second"),
            ("unavailable", "t; try again in a second"),
            ("internal", "t; what was logged before this line says what is wrong"),
        ] {
            assert_eq!(told(kind, &serde_json::json!([])), (false, expected.to_owned()));
        }
    }
}
