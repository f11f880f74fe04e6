//! Formats one ingestion as a line in CloudWatch's embedded metric format. CloudWatch Logs extracts metrics from such
//! lines, so we need no call and no permission ("Specification: Embedded metric format", Amazon CloudWatch User Guide).

use serde_json::json;

use super::report::Report;
use notaflux_table::ingestion::IngestionState;

/// Namespace of the metrics.
const NAMESPACE: &str = "notaflux";

/// The metrics and their units, with CloudWatch's names of units.
const METRICS: [(&str, &str); 8] = [
    ("Records", "Count"),
    ("Written", "Count"),
    ("Rejects", "Count"),
    ("Bytes", "Bytes"),
    ("WriteUnits", "Count"),
    ("Throttles", "Count"),
    ("Failures", "Count"),
    ("Elapsed", "Milliseconds"),
];

/// Returns the line for an ingestion into `table` that has ended, without a line break. `timestamp_ms` is the current
/// time in milliseconds since 1970: CloudWatch rejects times older than two weeks.
#[must_use]
pub fn line(report: &Report, table: &str, timestamp_ms: i64) -> String {
    let metrics = METRICS.map(|(name, unit)| json!({"Name": name, "Unit": unit}));
    json!({
        "_aws": {
            "Timestamp": timestamp_ms,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Table"]], "Metrics": metrics}],
        },
        "Table": table,
        "ingestion": report.ingestion,
        "state": report.state,
        "Records": report.records_read,
        "Written": report.written,
        "Rejects": report.rejected,
        "Bytes": report.bytes_read,
        "WriteUnits": report.write_units,
        "Throttles": report.throttled,
        "Failures": u8::from(report.state == IngestionState::Failed),
        "Elapsed": report.elapsed_ms,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic to fail")]

    use serde_json::Value;

    use super::*;
    use notaflux_records::source::Identity;

    fn parsed(report: &Report) -> Value {
        let line = line(report, "invoices", 1_795_000_000_123);
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    fn report() -> Report {
        let mut report = Report::begun("9f2c".to_owned(), Identity { size_bytes: 67_090_000, ..Identity::default() });
        (report.state, report.records_read, report.written, report.rejected) =
            (IngestionState::Completed, 1000, 980, 12);
        (report.write_units, report.throttled, report.elapsed_ms) = (3920.5, 3, 15_100);
        report
    }

    #[test]
    fn every_declared_metric_has_a_value() {
        let line = parsed(&report());
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        let names: Vec<&str> =
            declared["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
        let values: Vec<f64> = names.iter().map(|name| line[name].as_f64().unwrap()).collect();
        assert_eq!(names, ["Records", "Written", "Rejects", "Bytes", "WriteUnits", "Throttles", "Failures", "Elapsed"]);
        assert_eq!(values, [1000.0, 980.0, 12.0, 67_090_000.0, 3920.5, 3.0, 0.0, 15_100.0]);
    }

    #[test]
    fn the_line_has_the_embedded_metric_format() {
        let line = parsed(&report());
        assert_eq!(line["_aws"]["Timestamp"], 1_795_000_000_123_i64);
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&declared["Namespace"], &declared["Dimensions"]), (&json!("notaflux"), &json!([["Table"]])));
        assert_eq!((&line["Table"], &line["ingestion"]), (&json!("invoices"), &json!("9f2c")));
        assert_eq!(declared["Metrics"][3], json!({"Name": "Bytes", "Unit": "Bytes"}));
    }

    #[test]
    fn a_failed_ingestion_counts_as_one_failure() {
        let failed = Report { state: IngestionState::Failed, ..report() };
        assert_eq!((&parsed(&failed)["Failures"], &parsed(&failed)["state"]), (&json!(1), &json!("failed")));
    }
}
