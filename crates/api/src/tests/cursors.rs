//! Which queries accept a cursor.

use super::*;

#[tokio::test]
async fn a_cursor_only_works_with_its_own_query() {
    let table = table(Schema::default()).await;
    fill(&table, 40, 0).await;
    let api = api(&table);
    let base = format!("/v1/invoices?issuer={ISSUER}&from=2024-01-01");
    let page = get(&api, &format!("{base}&limit=10")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    // Another limit, and the same values written differently, are the same query.
    for same in [format!("{base}&limit=3"), "/v1/invoices?from=2024-01-01T00:00&issuer=08.676.370/0001-55".to_string()]
    {
        assert_eq!(get(&api, &format!("{same}&cursor={cursor}")).await.status, StatusCode::OK);
    }
    let mut refused = vec![
        format!("/v1/invoices?issuer=09579964000291&from=2024-01-01&cursor={cursor}"),
        format!("/v1/invoices?issuer={ISSUER}&cursor={cursor}"),
        format!("{base}&to=2024-12-31&cursor={cursor}"),
        format!("{base}&cursor="),
        format!("{base}&cursor=%00%FF"),
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let mut bytes = cursor.as_bytes().to_vec();
        let at = random.usize(..bytes.len());
        match random.u8(..3) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.alphanumeric() as u8),
            _ => bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' },
        }
        refused.push(format!("{base}&cursor={}", String::from_utf8(bytes).unwrap()));
    }
    for path in refused {
        let answer = get(&api, &path).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::BAD_REQUEST, &"/problems/invalid-cursor".into()),
            "{path}"
        );
        assert_eq!(answer.body.as_object().unwrap().len(), 5, "only type, title, status, detail and request_id");
    }
}

#[tokio::test]
async fn a_cursor_of_lines_only_works_with_these_lines() {
    let table = table(Schema::default()).await;
    for id in [EXAMPLE_KEY, "other"] {
        put(&table, &Invoice { id: id.into(), access_key: None, ..example() }).await;
        for number in 1..=3 {
            put_line(&table, &Line { invoice: id.into(), ..numbered(number) }).await;
        }
    }
    let api = api(&table);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let page = get(&api, &format!("{base}/lines?limit=1")).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(page.headers["link"].to_str().unwrap(), format!("<?limit=1&cursor={cursor}>; rel=\"next\""));
    let next = get(&api, &format!("{base}/lines?limit=2&cursor={cursor}")).await;
    assert_eq!(each(&next.body["items"], "number"), ["2", "3"]);
    for path in [
        format!("{base}/events?cursor={cursor}"),
        format!("/v1/invoices/other/lines?cursor={cursor}"),
        format!("/v1/invoices?issuer={ISSUER}&cursor={cursor}"),
        format!("{base}/lines?cursor={}", &cursor[1..]),
        format!("{base}/lines?cursor="),
    ] {
        let answer = get(&api, &path).await;
        let found = (answer.status, &answer.body["type"]);
        assert_eq!(found, (StatusCode::BAD_REQUEST, &"/problems/invalid-cursor".into()), "{path}");
    }
    let wrong = get(&api, &format!("{base}/lines?limit=0&colour=red")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(each(&wrong.body["errors"], "parameter"), ["limit", "colour"]);
}

#[tokio::test]
async fn a_cursor_of_a_filtered_list_is_bound_to_its_filter() {
    let table = table(Schema::default()).await;
    fill(&table, 60, 0).await;
    let api = api(&table);
    let base = format!("/v1/invoices?issuer={ISSUER}&limit=5");
    let filters =
        ["", "&model=55", "&model=55&min_total=1", "&min_total=1", "&max_total=9999999", "&status=authorized"];
    for given in filters {
        let page = get(&api, &format!("{base}{given}")).await;
        let cursor = page.body["next_cursor"].as_str().unwrap();
        for asked in filters {
            let status = get(&api, &format!("{base}{asked}&cursor={cursor}")).await.status;
            assert_eq!(status == StatusCode::OK, given == asked, "{given} for {asked}");
        }
    }
    let nothing = format!("/v1/invoices?issuer={ISSUER}&month=2024-01&from=2025-01-01");
    assert_eq!(get(&api, &nothing).await.body, serde_json::json!({"items": []}));
    assert_eq!(get(&api, &format!("{nothing}&cursor=x")).await.body["type"], "/problems/invalid-cursor");
}
