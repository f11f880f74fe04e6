//! Turns errors of the API into messages of the command line.

use serde::Deserialize;

use crate::failure::{Failure, WrongUse};

/// The body of an error of the API.
#[derive(Debug, Deserialize)]
struct Problem {
    r#type: String,
    title: String,
    detail: String,
    #[serde(default)]
    errors: Vec<InvalidParameter>,
}

#[derive(Debug, Deserialize)]
struct InvalidParameter {
    parameter: String,
    message: String,
}

/// Returns the failure for an error of the API. `lister` is the command that lists valid ids.
pub(super) fn refusal(problem: &[u8], lister: &str) -> Failure {
    let problem: Problem = match serde_json::from_slice(problem) {
        Ok(problem) => problem,
        Err(error) => return error.into(),
    };
    let name = problem.r#type.rsplit_once('/').map_or(problem.r#type.as_str(), |(_, name)| name);
    match name {
        "invalid-parameter" => {
            let messages = problem.errors.iter().map(|wrong| format!("{}: {}", flag(&wrong.parameter), wrong.message));
            WrongUse(messages.collect::<Vec<_>>().join("; ")).into()
        }
        "invalid-cursor" => WrongUse(
            "--cursor: the cursor does not belong to this query; repeat the options that gave the cursor, or omit \
             --cursor to start at the first page"
                .to_owned(),
        )
        .into(),
        "not-found" => format!("{}; {lister} lists the ids", clause(&problem.detail)).into(),
        "throttled" | "unavailable" => format!("{}; try again in a second", clause(&problem.title)).into(),
        // The API has logged the error of the table.
        _ => format!("{}; the log line above has the cause", clause(&problem.title)).into(),
    }
}

/// Returns a sentence without its full stop and capital letter, to continue it.
fn clause(sentence: &str) -> String {
    let mut rest = sentence.trim_end_matches('.').chars();
    rest.next().into_iter().flat_map(char::to_lowercase).chain(rest).collect()
}

/// Returns the option of a parameter.
fn flag(parameter: &str) -> String {
    format!("--{}", parameter.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure_of(kind: &str, errors: &serde_json::Value) -> (bool, String) {
        let problem = serde_json::json!({"type": format!("/problems/{kind}"), "title": "T", "status": 400,
            "detail": "No such.", "request_id": "r", "errors": errors});
        let failure = refusal(problem.to_string().as_bytes(), "notaflux query invoices");
        (failure.is::<WrongUse>(), failure.to_string())
    }

    #[test]
    fn invalid_parameters_are_wrong_use() {
        let errors = serde_json::json!([
            {"parameter": "from", "message": "expected a date"}, {"parameter": "min_total", "message": "too much"}
        ]);
        let (is_wrong_use, message) = failure_of("invalid-parameter", &errors);
        assert_eq!((is_wrong_use, message.as_str()), (true, "--from: expected a date; --min-total: too much"));
        let (is_wrong_use, message) = failure_of("invalid-cursor", &serde_json::json!([]));
        assert!(is_wrong_use && message.starts_with("--cursor: "), "{message}");
    }

    #[test]
    fn every_other_problem_is_a_failure() {
        for (kind, expected) in [
            ("not-found", "no such; notaflux query invoices lists the ids"),
            ("throttled", "t; try again in a second"),
            ("unavailable", "t; try again in a second"),
            ("internal", "t; the log line above has the cause"),
        ] {
            assert_eq!(failure_of(kind, &serde_json::json!([])), (false, expected.to_owned()));
        }
    }
}
