//! Ingestions and their rejects.

use super::*;

#[tokio::test]
async fn an_ingestion_answers_with_its_report() {
    let table = table(Schema::default()).await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for (id, report) in [("1", Some(r#"{"state": "completed"}"#)), ("2", None)] {
        let put = table.client().put_item().table_name(&table.name);
        let mut put = put.item("PK", text(&format!("J#{id}"))).item("SK", text("META"));
        if let Some(report) = report {
            put = put.item("report", text(report));
        }
        put.send().await.unwrap();
    }
    let api = api(&table);
    assert_eq!(get(&api, "/v1/ingestions/1").await.body["state"], "completed");
    let damaged = get(&api, "/v1/ingestions/2").await;
    assert_eq!(
        (damaged.status, &damaged.body["type"]),
        (StatusCode::INTERNAL_SERVER_ERROR, &"/problems/internal".into())
    );
    assert_eq!(get(&api, "/v1/ingestions/3").await.status, StatusCode::NOT_FOUND);
}

/// Puts the ledger item of an ingestion.
async fn put_ingestion(table: &Table, id: &str, created_at: &str, state: &str, rejects: Option<&str>) {
    let text = |text: String| AttributeValue::S(text);
    let month: String = created_at.chars().filter(char::is_ascii_digit).take(6).collect();
    let report = serde_json::json!({"ingestion": id, "state": state, "rejects_location": rejects});
    let put = table.client().put_item().table_name(&table.name);
    let put = put.item("PK", text(format!("J#{id}"))).item("SK", text("META".into()));
    let put = put.item("MK", text(format!("J#{month}"))).item("MS", text(format!("{created_at}#{id}")));
    let put = put.item("state", text(state.into())).item("report", text(report.to_string()));
    put.send().await.unwrap();
}

#[tokio::test]
async fn ingestions_are_listed_newest_first_over_the_months() {
    let table = table(Schema::default()).await;
    let months: Vec<String> =
        keys::months_back_from(&jiff::Timestamp::now().strftime("%Y%m").to_string()).take(30).collect();
    let mut expected = Vec::new();
    for (month, day) in [(0, 2), (0, 1), (1, 28), (3, 5), (3, 4), (23, 1), (24, 1)] {
        let (year, number) = months[month].split_at(4);
        let id = format!("{month}-{day}");
        let state = if day == 1 { "failed" } else { "completed" };
        put_ingestion(&table, &id, &format!("{year}-{number}-{day:02}T10:00:00Z"), state, None).await;
        expected.push(id);
    }
    let api = api(&table);
    let all = |path: &'static str| follow(&api, path, None, "ingestion");
    for (limit, pages) in [("1", 6), ("2", 3), ("4", 2), ("6", 1), ("7", 1)] {
        let path: &'static str = format!("/v1/ingestions?limit={limit}").leak();
        assert_eq!(all(path).await, (expected[..6].to_vec(), pages), "limit {limit}");
    }
    assert_eq!(all("/v1/ingestions?state=failed&limit=1").await.0, ["0-1", "23-1"]);
    // Ingestions of other states between them are read together and not one by one.
    for number in 0..60 {
        let (year, month) = months[0].split_at(4);
        let id = format!("more-{number:02}");
        put_ingestion(&table, &id, &format!("{year}-{month}-01T11:00:{number:02}Z"), "completed", None).await;
    }
    let failed = get(&api, "/v1/ingestions?state=failed&limit=1").await;
    assert_eq!(each(&failed.body["items"], "ingestion"), ["0-1"]);
    let units: f64 = failed.headers["notaflux-read-units"].to_str().unwrap().parse().unwrap();
    // Half a unit for each month, and the units of the current month.
    assert!(units <= 16.0, "{units} read units");
    let old: &'static str = format!("/v1/ingestions?month={}-{}", &months[24][..4], &months[24][4..]).leak();
    assert_eq!(all(old).await, (vec!["24-1".to_owned()], 1));
    assert_eq!(all("/v1/ingestions?month=1999-01").await, (Vec::new(), 1));
    let cursor = get(&api, "/v1/ingestions?limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    for other in ["state=failed", "month=2026-11"] {
        let answer = get(&api, &format!("/v1/ingestions?{other}&cursor={cursor}")).await;
        assert_eq!(answer.body["type"], "/problems/invalid-cursor");
    }
    let (_, _, rows) = text(&api, "/v1/ingestions?limit=2", ("accept", "text/csv")).await;
    assert!(rows.starts_with("ingestion,state,") && rows.contains("\n0-2,completed,"), "{rows}");
    let mut sparse = table;
    sparse.schema.indexes = IndexSet::parse("issuer").unwrap();
    assert_eq!(get(&self::api(&sparse), "/v1/ingestions").await.body["errors"][0]["parameter"], "month");
}

#[tokio::test]
async fn rejects_come_by_page_from_the_work_store() {
    let stack = notaflux_local::stack::Stack::start(notaflux_local::stack::StackOptions::default()).unwrap();
    let s3 = notaflux_aws::s3_client(&stack.sdk_config());
    let table = table(Schema::default()).await;
    let bucket = notaflux_local::stack::WORK_BUCKET;
    let location = format!("s3://{bucket}/rejects/9f2c/");
    put_ingestion(&table, "9f2c", "2026-11-02T10:00:00Z", "completed", Some(&location)).await;
    put_ingestion(&table, "clean", "2026-11-02T10:00:00Z", "completed", None).await;
    let mut expected = Vec::new();
    for object in [0, 1, 7] {
        let mut body = String::new();
        for line in 0..500 {
            let reason = format!("{object}.{line}");
            // The second object is longer than one read.
            let raw = "x".repeat(if object == 1 { 4096 } else { 10 });
            body.push_str(&serde_json::json!({"line": line, "reason": reason, "raw": raw}).to_string());
            body.push('\n');
            expected.push(reason);
        }
        let put = s3.put_object().bucket(bucket).key(format!("rejects/9f2c/{object:08}.ndjson"));
        put.body(body.into_bytes().into()).send().await.unwrap();
    }
    let put = s3.put_object().bucket(bucket).key("rejects/9f2c.2/00000000.ndjson");
    put.body(b"{\"reason\":\"of another attempt\"}\n".to_vec().into()).send().await.unwrap();
    let api = api_with(&table, &stack.endpoints().aws);
    let base = "/v1/ingestions/9f2c/rejects";
    for (limit, pages) in [(1000, 2), (500, 3), (499, 4), (37, 41)] {
        let (found, walked) = follow(&api, &format!("{base}?limit={limit}"), None, "reason").await;
        assert_eq!((found, walked), (expected.clone(), pages), "limit {limit}");
    }
    let (_, _, rows) = text(&api, &format!("{base}?limit=1"), ("accept", "text/csv")).await;
    assert_eq!(rows, "source,entry,line,record,byte,length,reason,message,raw\n,,0,,,,0.0,,xxxxxxxxxx\n");
    assert_eq!(get(&api, "/v1/ingestions/clean/rejects").await.body, serde_json::json!({"items": []}));
    assert_eq!(get(&api, "/v1/ingestions/gone/rejects").await.status, StatusCode::NOT_FOUND);
    let cursor = get(&api, &format!("{base}?limit=1")).await.body["next_cursor"].as_str().unwrap().to_owned();
    let answer = get(&api, &format!("/v1/ingestions/clean/rejects?cursor={cursor}")).await;
    assert_eq!(answer.body["type"], "/problems/invalid-cursor");
    let unreachable = get(&self::api(&table), base).await;
    assert_eq!((unreachable.status.as_u16(), &unreachable.body["type"]), (503, &"/problems/unavailable".into()));
}

#[tokio::test]
async fn damaged_rejects_are_an_error() {
    let stack = notaflux_local::stack::Stack::start(notaflux_local::stack::StackOptions::default()).unwrap();
    let s3 = notaflux_aws::s3_client(&stack.sdk_config());
    let table = table(Schema::default()).await;
    let bucket = notaflux_local::stack::WORK_BUCKET;
    let api = api_with(&table, &stack.endpoints().aws);
    let put = async |id: &str, body: &'static str| {
        let location = format!("s3://{bucket}/rejects/{id}/");
        put_ingestion(&table, id, "2026-11-02T10:00:00Z", "completed", Some(&location)).await;
        let put = s3.put_object().bucket(bucket).key(format!("rejects/{id}/00000000.ndjson"));
        put.body(body.as_bytes().to_vec().into()).send().await.unwrap();
    };
    let status =
        async |id: &str, query: &str| get(&api, &format!("/v1/ingestions/{id}/rejects{query}")).await.status.as_u16();
    put("whole", "{\"line\":1}\n{\"line\":2}\n").await;
    assert_eq!(status("whole", "").await, 200);
    for (id, body) in [("cut", "{\"line\":1}\n{\"line\":"), ("short", "{\"line\":"), ("not-json", "{\"line\":\n")] {
        put(id, body).await;
        assert_eq!(status(id, "").await, 500, "{id}");
    }
    // A cursor of our own key whose position cannot be parsed must not begin again at the first reject.
    let location = format!("{bucket}/rejects/whole/");
    let binding = crate::cursor::binding(&[&table.name, "/v1/ingestions/{id}/rejects", "whole", &location]);
    for (position, expected) in [("0 rejects/whole/00000000.ndjson", 200), ("x rejects/whole/", 400), ("0", 400)] {
        let cursor = CursorKeys::new(&[7; 32]).seal(position, &binding).unwrap();
        assert_eq!(status("whole", &format!("?cursor={cursor}")).await, expected, "{position}");
    }
}
