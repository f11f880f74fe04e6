//! Headers, formats and errors of answers.

use super::*;

#[tokio::test]
async fn wrong_parameters_come_in_one_answer() {
    let table = table(Schema { indexes: IndexSet::parse("month").unwrap(), ..Schema::default() }).await;
    let api = api(&table);
    let answer = get(&api, "/v1/invoices?limit=0&from=2024-02-30&to=1&colour=red&cursor=x").await;
    assert_eq!((answer.status, &answer.body["type"]), (StatusCode::BAD_REQUEST, &"/problems/invalid-parameter".into()));
    let wrong = answer.body["errors"].as_array().unwrap().iter();
    let wrong: Vec<&str> = wrong.map(|error| error["parameter"].as_str().unwrap()).collect();
    assert_eq!(wrong, ["from", "to", "limit", "issuer", "colour"]);
    for (path, parameter) in [
        ("/v1/invoices/1?x=1", "x"),
        ("/v1/ingestions/1?x=1", "x"),
        ("/v1/invoices?issuer=1&from=2024-02-02&to=2024-02-01", "to"),
        ("/v1/invoices?issuer=1", "issuer"),
        ("/v1/invoices", "issuer"),
        ("/v1/invoices?status=authorized", "status"),
        ("/v1/invoices?status=denied", "status"),
        ("/v1/invoices?issuer=%20&order=up", "issuer"),
        ("/v1/invoices?month=2024-01&min_total=2&max_total=1.99", "max_total"),
        ("/v1/invoices?month=2024-01&number=", "number"),
        ("/v1/ingestions?state=done", "state"),
    ] {
        let answer = get(&api, path).await;
        assert_eq!(
            (answer.status, &answer.body["errors"][0]["parameter"]),
            (StatusCode::BAD_REQUEST, &parameter.into())
        );
    }
}

#[tokio::test]
async fn a_list_comes_as_ndjson_and_csv_too() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    put(&table, &invoice("other".into(), 0, ISSUER)).await;
    put_line(&table, &numbered(1)).await;
    put_event(&table, &example_event()).await;
    let api = api(&table);
    let list = format!("/v1/invoices?issuer={ISSUER}&limit=1");
    let json = get(&api, &list).await;
    assert_eq!(json.headers["vary"], "accept, accept-encoding");
    let (_, headers, lines) = text(&api, &list, ("accept", "application/x-ndjson")).await;
    assert_eq!(headers["content-type"], "application/x-ndjson");
    assert!(headers.contains_key("link") && lines.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), json.body["items"][0]);
    let (_, headers, rows) = text(&api, &list, ("accept", "text/csv")).await;
    assert_eq!(headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(headers.contains_key("link"));
    let expected = concat!(
        "id,access_key,model,series,number,operation,issued_at,issuer_tax_id,issuer_tax_id_kind,issuer_name,",
        "issuer_state_registration,issuer_uf,issuer_city,recipient_tax_id,recipient_tax_id_kind,recipient_name,",
        "recipient_state_registration,recipient_uf,recipient_city,status,status_text,status_at,total,currency,line_count,",
        "warnings,ingestion,record,extra\n31191108676370000155550010000070831000062423,",
        "31191108676370000155550010000070831000062423,55,1,7083,VENDA DE MERCADORIA ADQUIRIDA,2019-11-12T00:00:00,",
        "08676370000155,cnpj,DIST. DE MEDICAMENTOS PRO SAUDE LTD,10428180043,MG,UBERLANDIA,09579964000291,cnpj,",
        "HOSP GERAL DE CURITIBA,,PR,,authorized,Autorização de Uso,2019-11-12T13:01:52,2040.00,BRL,,,9f2c,1,",
        "\"{\"\"final_consumer\"\":\"\"1 - CONSUMIDOR FINAL\"\"}\"\n",
    );
    assert_eq!(rows, expected);
    let base = format!("/v1/invoices/{EXAMPLE_KEY}");
    let (_, _, rows) = text(&api, &format!("{base}/lines"), ("accept", "text/csv")).await;
    assert!(rows.contains("\n1,7891,SORO FISIOLÓGICO,30049099,6102,100.0000,FR,20.4000,2040.00,,"), "{rows}");
    let (_, _, rows) = text(&api, &format!("{base}/events"), ("accept", "text/csv")).await;
    assert!(
        rows.contains("\n2019-11-13T08:09:10-03:00,cancellation,Cancelamento da NF-e,Cancelamento,ERRO DE"),
        "{rows}"
    );
    let (status, headers, body) = text(&api, &list, ("accept", "text/html")).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::NOT_ACCEPTABLE, "application/problem+json")
    );
    assert!(body.contains("/problems/not-acceptable") && body.contains("text/csv"));
}

#[tokio::test]
async fn a_client_that_has_the_resource_gets_304() {
    let table = table(Schema::default()).await;
    put(&table, &example()).await;
    let api = api(&table);
    let path = format!("/v1/invoices/{EXAMPLE_KEY}");
    let tag = get(&api, &path).await.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("W/\""));
    let (status, headers, body) = text(&api, &path, ("if-none-match", &format!("\"x\", {tag}"))).await;
    assert_eq!(
        (status, headers["etag"].to_str().unwrap(), body.as_str()),
        (StatusCode::NOT_MODIFIED, tag.as_str(), "")
    );
    assert!(headers.contains_key("x-request-id") && headers.contains_key("notaflux-read-units"));
    put_event(&table, &example_event()).await;
    let (status, headers, _) = text(&api, &path, ("if-none-match", &tag)).await;
    assert!(status == StatusCode::OK && headers["etag"].to_str().unwrap() != tag, "an event has changed it");
    assert!(!get(&api, &format!("{path}/lines")).await.headers.contains_key("etag"));
    assert_eq!(text(&api, "/v1/invoices/gone", ("if-none-match", "*")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    for path in ["/health", "/v1/invoices/gone", "/v1/invoices", "/nowhere"] {
        let (_, headers, body) = text(&api, path, ("x-request-id", "abc-1")).await;
        assert_eq!(headers["x-request-id"], "abc-1", "{path}");
        assert!(path == "/health" || body.contains(r#""request_id":"abc-1""#), "{body}");
    }
    let head = send(&api, "HEAD", "/v1/invoices/gone").await;
    assert_eq!((head.status, head.body, head.headers["x-request-id"].len()), (StatusCode::NOT_FOUND, Value::Null, 32));
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_accept_it() {
    let table = table(Schema::default()).await;
    fill(&table, 30, 0).await;
    let api = api(&table);
    let path = format!("/v1/invoices?issuer={ISSUER}");
    let request =
        Request::builder().uri(&path).header("accept-encoding", "br, gzip;q=0.5").body(Body::empty()).unwrap();
    let (parts, body) = api.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.headers["content-encoding"], "gzip");
    let vary: Vec<&str> = parts.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary, ["accept, accept-encoding"]);
    let mut plain = String::new();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).unwrap();
    let items = serde_json::from_str::<Value>(&plain).unwrap()["items"].clone();
    assert_eq!(items, get(&api, &path).await.body["items"]);
    assert!(!get(&api, &path).await.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn cors_lets_only_the_given_origins_read_answers() {
    let table = table(Schema::default()).await;
    let s3 = notaflux_aws::s3_client(&notaflux_aws::embedded_config("http://127.0.0.1:9"));
    let with = |text: &str| {
        let api = Api::new(table.clone(), s3.clone(), CursorKeys::new(&[7; 32]));
        router(Api { cors: Cors::parse(text).unwrap(), ..api })
    };
    let preflight = async |router: Router, method: &str, origin: &str| {
        let request = Request::builder().method(method).uri("/v1/invoices/gone").header("origin", origin);
        let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin").map(|it| it.to_str().unwrap().to_owned());
        (response.status().as_u16(), allowed)
    };
    let app = "https://app.example";
    assert_eq!(preflight(with(""), "OPTIONS", app).await, (405, None));
    assert_eq!(preflight(with(app), "OPTIONS", app).await, (200, Some(app.to_owned())));
    assert_eq!(preflight(with(app), "GET", app).await, (404, Some(app.to_owned())));
    assert_eq!(preflight(with(app), "GET", "https://evil.example").await, (404, None));
    assert_eq!(preflight(with("*"), "GET", "https://evil.example").await, (404, Some("*".to_owned())));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let table = table(Schema::default()).await;
    let api = api(&table);
    assert_eq!(get(&api, "/health").await.body, serde_json::json!({"status": "ok"}));
    for path in ["/", "/v1", "/v1/invoices/", "/v1/invoices/1/2", "/v2/invoices"] {
        let answer = get(&api, path).await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (StatusCode::NOT_FOUND, &"/problems/not-found".into()),
            "{path}"
        );
    }
    for path in ["/v1/invoices", "/v1/invoices/1", "/v1/invoices/1/lines", "/v1/ingestions/1", "/health"] {
        let answer = send(&api, "DELETE", path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(
            (&answer.body["type"], &answer.headers["allow"]),
            (&"/problems/method-not-allowed".into(), &"GET,HEAD".parse().unwrap())
        );
    }
}

/// For each error of the table's server: the problem that the client of the API gets.
#[tokio::test]
async fn errors_of_the_table_are_problems_without_internals() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (status, code, expected) in [
        ("400 Bad Request", "ProvisionedThroughputExceededException", (503, "/problems/throttled", true)),
        ("503 Service Unavailable", "ServiceUnavailable", (503, "/problems/unavailable", true)),
        ("400 Bad Request", "AccessDeniedException", (500, "/problems/internal", false)),
        ("400 Bad Request", "ResourceNotFoundException", (500, "/problems/internal", false)),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"the secret inside"}}"#);
        let head = "content-type: application/x-amz-json-1.0\r\nconnection: close";
        let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 64 * 1024];
                    let _read = stream.read(&mut request).await.unwrap();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
            }
        });
        let client = notaflux_aws::dynamodb_client(&notaflux_aws::embedded_config(&endpoint));
        let api = api(&Table::new(client, "invoices".into(), Schema::default()));
        for path in ["/v1/invoices/1", "/v1/invoices/1/lines", "/v1/invoices?issuer=1"] {
            let answer = get(&api, path).await;
            let found = (
                answer.status.as_u16(),
                answer.body["type"].as_str().unwrap(),
                answer.headers.contains_key("retry-after"),
            );
            assert_eq!(found, expected, "{code}");
            assert!(!answer.body.to_string().contains("secret") && !answer.body.to_string().contains("invoices"));
        }
    }
}
