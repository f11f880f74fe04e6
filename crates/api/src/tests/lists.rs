//! Lists of invoices: their items, order and pages.

use super::*;

fn sort_keys(body: &Value) -> Vec<String> {
    let items = body["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|item| format!("{}#{}", text(&item["issued_at"]).replace(['-', ':'], ""), text(&item["id"]))).collect()
}

#[tokio::test]
async fn pages_of_any_length_return_every_invoice_once_in_order() {
    for (shards, even, in_one_shard) in [(8, 150, 120), (1, 60, 0), (3, 0, 90)] {
        let table = table(Schema { shards, ..Schema::default() }).await;
        let expected: Vec<String> = fill(&table, even, in_one_shard).await.into_iter().collect();
        let api = api(&table);
        let mut random = fastrand::Rng::with_seed(u64::from(shards));
        for _ in 0..4 {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            let base = format!("/v1/invoices?issuer={ISSUER}");
            loop {
                let limit = random.usize(1..=70);
                let page = get(&api, &format!("{base}&limit={limit}{cursor}")).await;
                assert_eq!(page.status, StatusCode::OK, "{}", page.body);
                let keys = sort_keys(&page.body);
                assert!(keys.len() <= limit);
                assert!(!keys.is_empty(), "no page of this list is empty");
                found.extend(keys);
                match page.body.get("next_cursor") {
                    Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
                    None => break,
                }
            }
            assert_eq!(found, expected);
        }
    }
}

#[tokio::test]
async fn descending_order_is_the_reverse() {
    let table = table(Schema { shards: 4, ..Schema::default() }).await;
    let expected: Vec<String> = fill(&table, 60, 20).await.into_iter().rev().collect();
    let expected: Vec<&str> = expected.iter().map(|key| keys::id_of_sort_key(key).unwrap()).collect();
    let path = format!("/v1/invoices?issuer={ISSUER}&order=desc&limit=9");
    let (found, pages) = follow(&api(&table), &path, None, "id").await;
    assert_eq!((found, pages), (expected.iter().map(ToString::to_string).collect(), 9));
}

#[tokio::test]
async fn from_and_to_include_their_ends() {
    let table = table(Schema::default()).await;
    let all = fill(&table, 120, 0).await;
    let api = api(&table);
    let day = |from: &str, to: &str| {
        let within = all.iter().filter(|key| key.as_str() >= from && key.as_str() < to);
        within.cloned().collect::<Vec<_>>()
    };
    let exact = all.iter().nth(40).unwrap();
    let at = format!(
        "{}-{}-{}T{}:{}:{}",
        &exact[..4],
        &exact[4..6],
        &exact[6..8],
        &exact[9..11],
        &exact[11..13],
        &exact[13..15]
    );
    for (query, expected) in [
        ("from=2024-01-03&to=2024-01-05".to_owned(), day("20240103", "20240106")),
        ("from=2024-01-10".to_owned(), day("20240110", "9")),
        ("to=2024-01-02".to_owned(), day("0", "20240103")),
        (format!("from={at}&to={at}"), day(&exact[..15], &format!("{}$", &exact[..15]))),
        ("from=2030-01-01".to_owned(), Vec::new()),
    ] {
        let page = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=1000&{query}")).await;
        assert_eq!((sort_keys(&page.body), page.body.get("next_cursor")), (expected, None), "{query}");
    }
}

#[tokio::test]
async fn the_link_leads_to_the_next_page() {
    let table = table(Schema::default()).await;
    let expected: Vec<String> = fill(&table, 40, 0).await.into_iter().collect();
    let api = api(&table);
    // The link keeps the punctuation that the client gave.
    let first = get(&api, "/v1/invoices?limit=15&issuer=08.676.370/0001-55").await;
    let link = first.headers["link"].to_str().unwrap();
    let query = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    assert!(query.starts_with("?issuer=08.676.370%2F0001-55&limit=15&cursor="), "{query}");
    let second = get(&api, &format!("/v1/invoices{query}")).await;
    assert_eq!([sort_keys(&first.body), sort_keys(&second.body)].concat(), expected[..30]);
    let last = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=40")).await;
    assert_eq!((sort_keys(&last.body).len(), last.headers.get("link")), (40, None));
}

/// Returns the ids of the invoices in a list, joined.
async fn listed(router: &Router, query: &str) -> String {
    follow(router, &format!("/v1/invoices?{query}"), None, "id").await.0.concat()
}

#[tokio::test]
async fn every_filter_works_with_every_list() {
    let table = table(Schema { shards: 2, ..Schema::default() }).await;
    let party = |tax_id: &str, uf: &'static str| {
        let tax_id = Some(TaxId::parse(tax_id, TaxIdColumn::Either).unwrap());
        Party { tax_id, uf: Some(uf.into()), ..Party::default() }
    };
    let other = "09579964000291";
    let base = |id: &'static str, at: &str| Invoice {
        id: id.into(),
        access_key: None,
        issued_at: Timestamp::from_plain(at).unwrap(),
        issuer: party(ISSUER, "MG"),
        recipient: Some(party(other, "PR")),
        ..example()
    };
    let total = |text: &str| notaflux_invoice::Decimal::from_plain(text);
    for invoice in [
        base("a", "2024-01-31T23:59:59"),
        Invoice { total: total("9.90"), ..base("b", "2024-02-01T00:00:00") },
        Invoice { status: Status::Cancelled, number: None, ..base("c", "2024-02-10T00:00:00") },
        Invoice { issuer: party(other, "SP"), recipient: None, ..base("d", "2024-02-29T23:59:59") },
        Invoice { status: Status::Denied, total: None, series: Some("9".into()), ..base("e", "2024-03-01T00:00:00") },
        Invoice { model: Some("65".into()), recipient: Some(party(ISSUER, "MG")), ..base("f", "2025-02-01T00:00:00") },
    ] {
        put(&table, &invoice).await;
    }
    let api = api(&table);
    for (query, expected) in [
        (format!("issuer={ISSUER}"), "abcef"),
        (format!("recipient={other}&order=desc"), "ecba"),
        (format!("issuer={ISSUER}&recipient={ISSUER}"), "f"),
        ("month=2024-02".to_owned(), "bcd"),
        ("month=2024-02&order=desc&limit=1".to_owned(), "dcb"),
        ("month=2024-02&from=2024-02-10&to=2024-02-28".to_owned(), "c"),
        ("month=2024-02&to=2024-02-10T00:00:00".to_owned(), "bc"),
        ("month=2024-02&from=2024-03-01".to_owned(), ""),
        (format!("month=2024-02&issuer={other}"), "d"),
        (format!("month=2024-02&issuer={ISSUER}&order=desc"), "cb"),
        ("status=cancelled".to_owned(), "c"),
        ("status=cancelled&month=2024-03".to_owned(), ""),
        ("status=denied&month=2024-03&series=9".to_owned(), "e"),
        (format!("issuer={ISSUER}&status=authorized&limit=2"), "abf"),
        ("month=2024-02&status=authorized".to_owned(), "bd"),
        (format!("issuer={ISSUER}&model=65"), "f"),
        (format!("issuer={ISSUER}&model=5"), ""),
        (format!("issuer={ISSUER}&number=7083&series=1"), "abf"),
        (format!("issuer={ISSUER}&max_total=2039.99"), "b"),
        (format!("issuer={ISSUER}&min_total=9.9&max_total=2040"), "abcf"),
        (format!("issuer={ISSUER}&min_total=2040.000001"), ""),
        ("month=2024-02&issuer_uf=mg".to_owned(), "bc"),
        ("month=2024-02&recipient_uf=PR&status=authorized".to_owned(), "b"),
        (format!("recipient={other}&issuer_uf=MG&recipient_uf=PR&status=cancelled&month=2024-02&max_total=2040"), "c"),
    ] {
        assert_eq!(listed(&api, &query).await, expected, "{query}");
    }
    // If the table lacks one of the indexes, the list is read from another index of the query.
    let mut sparse = table;
    sparse.schema.indexes = IndexSet::parse("month").unwrap();
    let api = self::api(&sparse);
    assert_eq!(listed(&api, &format!("issuer={ISSUER}&month=2024-02&status=cancelled")).await, "c");
    let wrong = get(&api, &format!("/v1/invoices?issuer={ISSUER}&status=cancelled")).await.body;
    assert_eq!(each(&wrong["errors"], "parameter"), ["issuer", "status"]);
}

#[tokio::test]
async fn a_filtered_page_continues_until_it_is_full() {
    let table = table(Schema { shards: 3, ..Schema::default() }).await;
    fill(&table, 400, 0).await;
    put(&table, &Invoice { model: Some("65".into()), ..invoice("needle".into(), 30_000, ISSUER) }).await;
    let api = api(&table);
    let page = get(&api, &format!("/v1/invoices?issuer={ISSUER}&model=65&limit=2")).await;
    assert_eq!((each(&page.body["items"], "id"), page.body.get("next_cursor")), (vec!["needle".to_owned()], None));
    let units: f64 = page.headers["notaflux-read-units"].to_str().unwrap().parse().unwrap();
    assert!((20.0..80.0).contains(&units), "{units} for 401 items of 0.7 KB");
    let plain = get(&api, &format!("/v1/invoices?issuer={ISSUER}&limit=2")).await;
    assert!(plain.headers["notaflux-read-units"].to_str().unwrap().parse::<f64>().unwrap() <= 4.5);
    assert!(!get(&api, "/health").await.headers.contains_key("notaflux-read-units"));
}

#[tokio::test]
async fn an_answer_stays_below_the_limit_of_lambda() {
    let table = table(Schema { shards: 2, ..Schema::default() }).await;
    for n in 0..14_u32 {
        let large = Invoice {
            extra: vec![("x".into(), "\"".repeat(390_000).into())],
            ..invoice(format!("{n:04}"), n.into(), ISSUER)
        };
        put(&table, &large).await;
    }
    let api = api(&table);
    let (mut found, mut cursor, mut pages) = (0, String::new(), 0);
    loop {
        let path = format!("/v1/invoices?issuer={ISSUER}{cursor}");
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let body = to_bytes(api.clone().oneshot(request).await.unwrap().into_body(), 4_100_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        found += body["items"].as_array().unwrap().len();
        pages += 1;
        let Some(next) = body.get("next_cursor") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(found, 14);
    assert!((3..=8).contains(&pages), "{pages} pages");
}
