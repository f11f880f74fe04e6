//! One invoice, with its lines and events.

use super::*;

#[tokio::test]
async fn an_invoice_answers_by_its_id() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put(&table, &invoice("a b/ç".into(), 0, ISSUER)).await;
    let api = api(&table);
    let answer = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await;
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "application/json"));
    assert_eq!(answer.body["issuer"]["name"], "DIST. DE MEDICAMENTOS PRO SAUDE LTD");
    assert_eq!(answer.body["source"], serde_json::json!({"ingestion": "9f2c", "record": 1}));
    assert_eq!(get(&api, "/v1/invoices/a%20b%2F%C3%A7").await.body["id"], "a b/ç");
    let head = send(&api, "HEAD", &format!("/v1/invoices/{EXAMPLE_KEY}")).await;
    assert_eq!((head.status, head.body), (StatusCode::OK, Value::Null));
    for id in ["gone", &"x".repeat(3000), "%FF", "%00"] {
        let answer = get(&api, &format!("/v1/invoices/{id}")).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::NOT_FOUND, &"/problems/not-found".into()),
            "{id}"
        );
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn an_invoice_answers_with_its_lines_and_events_in_order() {
    let table = table(Schema::default()).await;
    put(&table, &Invoice { line_count: Some(12), ..example() }).await;
    for number in [10, 2, 1] {
        put_line(&table, &numbered(number)).await;
    }
    put_line(&table, &Line { key: LineKey::Natural("7891".into()), ..example_line() }).await;
    put_event(&table, &event("2019-11-12T13:01:52", EventKind::Authorization)).await;
    put_event(&table, &event("2019-11-13T00:00:00-03:00", EventKind::Cancellation)).await;
    put_event(&table, &event("2019-11-12T20:00:00", EventKind::Correction)).await;
    // Other invoices whose ids begin with the same characters.
    for id in [format!("{EXAMPLE_KEY}#"), format!("{EXAMPLE_KEY}0"), EXAMPLE_KEY[..43].to_owned()] {
        put_line(&table, &Line { invoice: id.into(), ..numbered(3) }).await;
    }
    let api = api(&table);
    let body = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await.body;
    assert_eq!(body["line_count"], 12);
    assert_eq!(each(&body["lines"], "number"), ["-", "1", "2", "10"]);
    assert_eq!(each(&body["events"], "kind"), ["authorization", "correction", "cancellation"]);
    assert_eq!(body["lines"][1]["unit_price"], "20.4000");
    assert_eq!((body.get("next_lines_cursor"), body.get("next_events_cursor")), (None, None));
    let status = [&body["status"], &body["status_text"], &body["status_at"]];
    assert_eq!(status, ["cancelled", "Cancelamento da NF-e", "2019-11-13T00:00:00-03:00"]);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let lines = get(&api, &format!("{base}/lines")).await.body;
    assert_eq!(lines, serde_json::json!({"items": body["lines"]}));
    let events = get(&api, &format!("{base}/events")).await.body;
    assert_eq!(events, serde_json::json!({"items": body["events"]}));
    // The list shows the status of the item, which the ingestion of the event updates.
    let listed = get(&api, &format!("/v1/invoices?issuer={ISSUER}")).await.body;
    assert_eq!(listed["items"][0]["status"], "authorized");
}

#[tokio::test]
async fn an_invoice_without_lines_and_events_has_empty_lists() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let api = api(&table);
    let body = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}")).await.body;
    let empty = Value::Array(Vec::new());
    assert_eq!((&body["lines"], &body["events"], body.get("line_count")), (&empty, &empty, None));
    for part in ["lines", "events"] {
        let page = get(&api, &format!("/v1/invoices/{EXAMPLE_KEY}/{part}")).await.body;
        assert_eq!(page, serde_json::json!({"items": []}));
    }
}

#[tokio::test]
async fn the_latest_cancellation_determines_the_status() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    let cases = [
        (Some("2019-11-12T13:01:52"), "2019-11-12T13:01:52", "cancelled", Some("2019-11-12T13:01:52")),
        (Some("2019-11-12T13:01:53"), "2019-11-12T13:01:52", "authorized", Some("2019-11-12T13:01:53")),
        (None, "2000-01-01T00:00:00", "cancelled", Some("2000-01-01T00:00:00")),
    ];
    for (case, (status_at, cancelled_at, status, at)) in cases.into_iter().enumerate() {
        let id = format!("case-{case}");
        let status_at = status_at.and_then(Timestamp::from_plain);
        put(&table, &Invoice { status_at, ..invoice(id.clone(), 0, ISSUER) }).await;
        for (at, kind) in [
            ("1999-01-01T00:00:00", EventKind::Cancellation),
            (cancelled_at, EventKind::Cancellation),
            ("2024-01-01T00:00:00", EventKind::Correction),
        ] {
            put_event(&table, &Event { invoice: id.clone().into(), text: None, ..event(at, kind) }).await;
        }
        let body = get(&api, &format!("/v1/invoices/{id}")).await.body;
        assert_eq!((body["status"].as_str(), body["status_at"].as_str()), (Some(status), at), "{id}");
        assert_eq!(
            body.get("status_text").is_some(),
            status == "authorized",
            "the text of another status is not shown"
        );
    }
}

#[tokio::test]
async fn lines_and_events_without_their_invoice_are_not_found() {
    let table = table(Schema::default()).await;
    put_line(&table, &numbered(1)).await;
    put_event(&table, &example_event()).await;
    let api = api(&table);
    for id in [EXAMPLE_KEY, &"x".repeat(3000), "%FF"] {
        for part in ["", "/lines", "/events"] {
            let answer = get(&api, &format!("/v1/invoices/{id}{part}")).await;
            let found = (answer.status, &answer.body["type"]);
            assert_eq!(found, (StatusCode::NOT_FOUND, &"/problems/not-found".into()), "{part}");
        }
    }
}

#[tokio::test]
async fn lines_come_by_page() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let api = api(&table);
    let mut expected = Vec::new();
    for count in 1..=230_u32 {
        put_line(&table, &numbered(count)).await;
        expected.push(count.to_string());
        if ![99, 100, 101, 130, 230].contains(&count) {
            continue;
        }
        let body = get(&api, &base).await.body;
        let mut found = each(&body["lines"], "number");
        assert_eq!(found.len(), expected.len().min(100));
        assert_eq!(body.get("next_lines_cursor").is_some(), count > 100, "{count} lines");
        if let Some(cursor) = body.get("next_lines_cursor") {
            let cursor = Some(cursor.as_str().unwrap().to_owned());
            found.extend(follow(&api, &format!("{base}/lines?limit=17"), cursor, "number").await.0);
        }
        assert_eq!(found, expected, "{count} lines");
        for limit in [1, 23, 115, 1000] {
            let (found, pages) = follow(&api, &format!("{base}/lines?limit={limit}"), None, "number").await;
            assert_eq!((found, pages), (expected.clone(), expected.len().div_ceil(limit)));
        }
    }
}

#[tokio::test]
async fn lines_beyond_the_count_are_not_shown() {
    let table = table(Schema::default()).await;
    for number in 1..=120 {
        put_line(&table, &numbered(number)).await;
    }
    put_line(&table, &Line { key: LineKey::Natural("7891".into()), ..example_line() }).await;
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    for (count, shown, more) in
        [(0, 1, false), (1, 2, false), (99, 100, false), (100, 100, true), (u32::MAX, 100, true)]
    {
        put(&table, &Invoice { line_count: Some(count), ..example() }).await;
        let body = get(&api, &base).await.body;
        let found = (body["lines"].as_array().unwrap().len(), body.get("next_lines_cursor").is_some());
        assert_eq!(found, (shown, more), "{count} lines");
        let all = usize::try_from(count).unwrap().min(120) + 1;
        for limit in [1, 50, 1000] {
            let (found, pages) = follow(&api, &format!("{base}/lines?limit={limit}"), None, "number").await;
            assert_eq!((found.len(), pages), (all, all.div_ceil(limit)), "{count} lines");
        }
    }
}

#[tokio::test]
async fn events_that_are_not_shown_count_for_the_status() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put_line(&table, &numbered(1)).await;
    let mut expected = Vec::new();
    for minute in 0..150 {
        let at = format!("2020-01-01T{:02}:{:02}:00", minute / 60, minute % 60);
        let kind = if minute == 140 { EventKind::Cancellation } else { EventKind::Correction };
        put_event(&table, &event(&at, kind)).await;
        expected.push(at);
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let body = get(&api, &base).await.body;
    assert_eq!([&body["status"], &body["status_at"]], ["cancelled", "2020-01-01T02:20:00"]);
    assert_eq!(each(&body["lines"], "number"), ["1"]);
    let mut found = each(&body["events"], "at");
    assert_eq!(found.len(), 100);
    let cursor = Some(body["next_events_cursor"].as_str().unwrap().to_owned());
    found.extend(follow(&api, &format!("{base}/events?limit=20"), cursor, "at").await.0);
    assert_eq!(found, expected);
}

/// Lines and events have the largest possible size: the answer by id has some of them, and the pages have all.
#[tokio::test]
async fn large_lines_and_events_stay_below_the_limit_of_lambda() {
    let table = table(Schema::default()).await;
    let large = || Some("\"".repeat(390_000).into());
    put(&table, &Invoice { operation: large(), ..example() }).await;
    for number in 1..=9 {
        put_line(&table, &Line { description: large(), ..numbered(number) }).await;
        let at = format!("2020-01-01T00:00:0{number}");
        let kind = if number == 8 { EventKind::Cancellation } else { EventKind::Correction };
        put_event(&table, &Event { description: large(), ..event(&at, kind) }).await;
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let request = Request::builder().uri(&base).body(Body::empty()).unwrap();
    let body = to_bytes(api.clone().oneshot(request).await.unwrap().into_body(), 4_001_000).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!([&body["status"], &body["status_at"]], ["cancelled", "2020-01-01T00:00:08"]);
    for (part, name, first) in [("lines", "number", 3), ("events", "at", 1)] {
        let mut found = each(&body[part], name);
        assert_eq!(found.len(), first, "{part}");
        let cursor = Some(body[format!("next_{part}_cursor")].as_str().unwrap().to_owned());
        found.extend(follow(&api, &format!("{base}/{part}"), cursor, name).await.0);
        let (all, pages) = follow(&api, &format!("{base}/{part}"), None, name).await;
        assert_eq!((all.len(), pages), (9, 2));
        assert_eq!(found, all);
    }
}

/// An event that does not fit into the answer by id is on the first further page.
#[tokio::test]
async fn an_event_that_does_not_fit_begins_a_page() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let escaped = Event { description: Some("\u{1}".repeat(390_000).into()), ..example_event() };
    put_event(&table, &escaped).await;
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let body = get(&api, &base).await.body;
    assert_eq!((&body["events"], &body["status"]), (&Value::Array(Vec::new()), &"cancelled".into()));
    let cursor = Some(body["next_events_cursor"].as_str().unwrap().to_owned());
    assert_eq!(follow(&api, &format!("{base}/events"), cursor, "kind").await, (vec!["cancellation".to_owned()], 1));
}
