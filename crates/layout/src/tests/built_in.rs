//! Reads synthetic rows in the form of the real ones with each built-in layout.

use super::*;
use notaflux_invoice::{Line, LineKey};

fn outcomes(bytes: &[u8], delimiter: u8, layout: &str) -> Vec<Result<serde_json::Value, Reject>> {
    let (mapping, outcomes) = read(bytes, delimiter, &[]);
    assert_eq!(mapping.layout().name(), layout);
    outcomes
}

#[test]
fn portal_saved_again_by_pandas() {
    let outcomes = outcomes(include_bytes!("../../../../fixtures/portal-v1-pandas.csv"), b',', "portal-invoice");
    assert_eq!(column(&outcomes, "/total"), ["1234.5", "0.0", "20.0"]);
    assert_eq!(column(&outcomes, "/issued_at"), ["2024-01-15T10:20:30", "2024-01-15T10:20:30", "2024-02-01T00:00:00"]);
    assert_eq!(column(&outcomes, "/status_at"), ["2024-01-15T10:20:30", "absent", "2024-02-01T08:00:00"]);
    assert_eq!(column(&outcomes, "/recipient/tax_id"), ["00999888000118", "00999888000118", "00999888000118"]);
    assert_eq!(column(&outcomes, "/issuer/tax_id"), ["11222333000181", "11222333000181", "11222333000181"]);
    assert_eq!(column(&outcomes, "/number"), ["51", "52", "53"]);
    assert_eq!(column(&outcomes, "/warnings"), ["[]", "[]", r#"["month_unlike_key","city_is_tax_id"]"#]);
}

#[test]
fn the_portals_lines() {
    let outcomes = outcomes(include_bytes!("../../../../fixtures/portal-lines-v1.csv"), b';', "portal-line");
    assert_eq!(
        *outcomes[0].as_ref().unwrap(),
        serde_json::json!({
            "invoice": "35240111222333000181550010000000011100000010", "number": "1",
            "description": "TUBO 1/2\" PVC; BARRA", "ncm": "39172300", "cfop": "6102", "quantity": "2.0000",
            "unit": "UN", "unit_price": "617.28", "total": "1234.56", "extra": { "ncm_type": "Tubos rígidos" },
        })
    );
    let reasons: Vec<&str> =
        outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(|reject| reject.reason.as_str(), |_| "")).collect();
    let expected = [
        "",
        "",
        "invalid_line_number",
        "invalid_line_number",
        "missing_field",
        "invalid_amount",
        "invalid_access_key",
        "",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(outcomes[7].as_ref().unwrap()["warnings"], serde_json::json!(["check_digit"]));
    assert_eq!(outcomes[1].as_ref().unwrap()["ncm"], "03049069");
}

#[test]
fn the_portals_events() {
    let bytes = include_bytes!("../../../../fixtures/portal-events.csv");
    let outcomes = outcomes(bytes, b';', "portal-event");
    assert_eq!(column(&outcomes[..5], "/kind"), ["authorization", "correction", "cancellation", "awareness", "other"]);
    assert_eq!(
        *outcomes[2].as_ref().unwrap(),
        serde_json::json!({
            "invoice": "35240111222333000181550010000000011100000010", "at": "2024-01-16T08:00:00",
            "kind": "cancellation", "text": "Cancelamento", "description": "Evento registrado e vinculado a NF-e",
            "reason": "ERRO DE PREENCHIMENTO",
        })
    );
    let rejects: Vec<&str> =
        outcomes[5..].iter().map(|outcome| outcome.as_ref().unwrap_err().reason.as_str()).collect();
    assert_eq!(rejects, ["missing_field", "missing_field", "invalid_date"]);
    // A file of only a header is not an error.
    let header_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    assert!(read(&bytes[..=header_end], b';', &[]).1.is_empty());
}

#[test]
fn notes_and_lines_of_minas_gerais_have_the_same_ids() {
    let notes = outcomes(include_bytes!("../../../../fixtures/mg-notes.csv"), b';', "mg-invoice");
    let lines = outcomes(include_bytes!("../../../../fixtures/mg-lines.csv"), b';', "mg-line");
    let ids = column(&notes, "/id");
    assert_eq!(column(&notes, "/access_key"), ["absent"; 3]);
    assert_eq!(column(&lines, "/invoice"), [&*ids[0], &*ids[0], &*ids[1]]);
    // The third note differs from the second only in its natureza.
    assert!(ids[1] != ids[2] && ids.iter().all(|id| id.len() == 32));
    assert_eq!(column(&notes, "/total"), ["25280.0", "0.3", "12.5"]);
    assert_eq!(column(&notes, "/issuer/tax_id"), ["11222333000181", "44555666000262", "44555666000262"]);
    assert_eq!(column(&notes, "/series"), ["1", "absent", "absent"]);
    assert_eq!(column(&notes, "/issued_at")[0], "2005-03-01T00:00:00");
    assert_eq!(column(&notes, "/warnings"), ["[]"; 3]);
    assert_eq!(column(&lines, "/number"), ["1", "2", "1"]);
    assert_eq!(column(&lines, "/description")[0], "TOALHA; BRANCA");
    assert_eq!(column(&lines, "/quantity"), ["8100.0", "1.0", "0.5"]);
}

#[test]
fn a_natural_id_is_the_hash_of_its_name_and_values() {
    let notes = outcomes(include_bytes!("../../../../fixtures/mg-notes.csv"), b';', "mg-invoice");
    let parts = ["mg", "2270 - FUNDACAO EXEMPLO", "11.222.333/0001-81", "105028", "1", "Consumo", "1"];
    assert_eq!(column(&notes, "/id")[0], sha256_hex(parts.join("\0").as_bytes())[..32]);
}

#[test]
fn the_row_of_totals_of_sao_paulo_is_skipped() {
    let outcomes = outcomes(include_bytes!("../../../../fixtures/sp-nfse.csv"), b';', "sp-nfse");
    assert_eq!(column(&outcomes, "/total"), ["163172.94", "80.00"]);
    assert_eq!(column(&outcomes, "/status"), ["authorized", "cancelled"]);
    assert_eq!(column(&outcomes, "/status_at"), ["absent", "2024-02-03T00:00:00"]);
    assert_eq!(column(&outcomes, "/issued_at")[0], "2024-02-01T09:30:00");
    assert_eq!(column(&outcomes, "/extra/iss_withheld"), ["N", "S"]);
    assert_eq!(column(&outcomes, "/recipient/tax_id_kind"), ["cnpj", "cpf"]);
    assert_eq!(column(&outcomes, "/id")[0].len(), 32);
}

#[test]
fn sped_columns_of_an_erp() {
    let outcomes = outcomes(include_bytes!("../../../../fixtures/sped-c100.csv"), b';', "sped");
    assert_eq!(column(&outcomes[..4], "/status"), ["authorized", "cancelled", "denied", "authorized"]);
    assert_eq!(column(&outcomes[..4], "/issued_at")[0], "2024-01-15T00:00:00");
    let key = "35240111222333000181550010000000011100000010";
    assert_eq!(column(&outcomes[..4], "/id")[0], key);
    assert_eq!(column(&outcomes[..4], "/issuer/tax_id")[..3], ["11222333000181"; 3]);
    // A paper invoice has no access key, so that the issuer is unknown.
    assert_eq!((column(&outcomes[..4], "/id")[3].len(), &*column(&outcomes[..4], "/issuer/tax_id")[3]), (32, "absent"));
    assert_eq!(outcomes[4].as_ref().unwrap_err().reason, Reason::MissingField);
}

#[test]
fn plain_english() {
    let text = "Invoice No,Invoice Date,Vendor,Customer,Status,Total,Cost Center\n\
                A-1,2024-01-31,Aurora,Planalto,Paid,\"1,234.50\",R&D\n\
                A-2,2024-02-01,Aurora,Planalto,Void,0.125,-\n";
    let outcomes = outcomes(text.as_bytes(), b',', "english");
    assert_eq!(column(&outcomes, "/total"), ["1234.50", "0.125"]);
    // A paid invoice need not be authorized.
    assert_eq!(column(&outcomes, "/status"), ["unknown", "cancelled"]);
    assert_eq!(column(&outcomes, "/extra/cost_center"), ["R&D", "absent"]);
    assert_eq!(column(&outcomes, "/issuer/name"), ["Aurora", "Aurora"]);
    let (first, second) = (&column(&outcomes, "/id")[0], &column(&outcomes, "/id")[1]);
    assert_ne!(first, second);
}

#[test]
fn a_status_is_authorized_only_where_the_text_says_so() {
    let mapping = Mapping::of_json(by_name("erp-json").unwrap(), None).unwrap();
    for (text, status) in [
        ("100 - Autorizado o uso da NF-e", "authorized"),
        ("Autorização de Uso", "authorized"),
        ("AUTORIZADA", "authorized"),
        ("101 - Cancelamento de NF-e homologado", "cancelled"),
        ("Nota cancelada", "cancelled"),
        ("CANCELADO", "cancelled"),
        ("voided", "cancelled"),
        ("Uso Denegado", "denied"),
        ("110 - Uso Denegado", "denied"),
        ("302 - Uso Denegado: irregularidade fiscal do destinatário", "denied"),
        ("Não autorizada", "unknown"),
        ("Nao autorizado", "unknown"),
        ("Inutilizada", "unknown"),
        ("Em digitação", "unknown"),
        ("EM_PROCESSAMENTO", "unknown"),
        ("Rejeitada", "unknown"),
        ("Cancelamento solicitado", "unknown"),
        ("Cancelamento rejeitado", "unknown"),
        ("draft", "unknown"),
        ("", "unknown"),
        ("2", "unknown"),
    ] {
        let element = serde_json::json!({"numero": "1", "data_emissao": "09/04/2026", "valor": 1, "status": text});
        let element = element.to_string();
        let mut scratch = Scratch::default();
        let row = mapping.read_json(element.as_bytes(), &mut scratch).unwrap();
        let record = json(&map(&mapping, &row).unwrap());
        assert_eq!(record["invoice"]["status"], status, "{text}");
    }
}

/// An object with a value at this path.
fn nested(path: &str, is_path: bool) -> String {
    let keys: Vec<&str> = if is_path { path.split('.').collect() } else { vec![path] };
    keys.iter().rev().fold("1".to_owned(), |inner, key| format!("{{{key:?}: {inner}}}"))
}

#[test]
fn no_header_of_one_layout_matches_another() {
    for layout in built_in() {
        let header: Vec<String> = layout.requires().map(|names| names[0].clone()).collect();
        let objects: Vec<String> = header.iter().map(|path| nested(path, layout.is_of_paths())).collect();
        let elements: Vec<&[u8]> = objects.iter().map(String::as_bytes).collect();
        let as_json = Detection::of_json(&elements, &[], built_in());
        let detection = if layout.is_of_paths() { as_json.clone() } else { detect(&header) };
        let Detection::Fits(of_json) = &as_json else { panic!("{}: {as_json}", layout.name()) };
        assert_eq!(of_json.name(), layout.name(), "flat objects are read by the layout of their columns");
        let Detection::Fits(found) = &detection else { panic!("{}: {detection}", layout.name()) };
        assert_eq!(found.name(), layout.name());
    }
}

#[test]
fn an_own_layout_takes_precedence_over_a_built_in_one() {
    let own = |name: &str| {
        Arc::new(Layout::parse(&BUILT_IN[0].replacen("\"portal-invoice\"", &format!("\"{name}\""), 1)).unwrap())
    };
    let Detection::Fits(layout) = Detection::of(&V1, &[own("mine")], built_in()) else { panic!("one own layout fits") };
    assert_eq!(layout.name(), "mine");
    let Detection::Ambiguous(names) = Detection::of(&V1, &[own("mine"), own("other")], built_in()) else {
        panic!("two own layouts fit")
    };
    assert_eq!(names, ["mine", "other"]);
}

#[test]
fn natural_keys_of_lines_cannot_run_together() {
    let text = BUILT_IN[1].replace("number = \"NÚMERO PRODUTO\"", "key = [\"NÚMERO PRODUTO\", \"UNIDADE\"]");
    let layout = Arc::new(Layout::parse(&text).unwrap());
    let header =
        ["CHAVE DE ACESSO", "NÚMERO PRODUTO", "DESCRIÇÃO DO PRODUTO/SERVIÇO", "QUANTIDADE", "UNIDADE", "VALOR TOTAL"];
    let mapping = Mapping::new(layout, &header).unwrap();
    let key = |number: &str, unit: &str| {
        let record = FieldsBuf::from_iter(vec![ROW[0], number, "x", "1", unit, "2"]);
        let mut scratch = Scratch::default();
        match mapping.map(&Row::decode(record.as_fields(), &mut scratch)) {
            Ok(Record::Line(Line { key: LineKey::Natural(key), .. })) => Ok(key.into_owned()),
            Ok(other) => panic!("{other:?}"),
            Err(reject) => Err(reject.reason),
        }
    };
    assert_eq!(key("A", "B").unwrap(), "A\u{1f}B");
    assert_eq!(key("A", "").unwrap(), "A\u{1f}");
    assert_eq!(key("", "A").unwrap(), "\u{1f}A");
    assert_eq!(key("-1", " "), Err(Reason::MissingField));
    assert_eq!(key("A\u{1f}", "B"), Err(Reason::InvalidNaturalKey));
    assert_eq!(key("A", "B\0"), Err(Reason::InvalidNaturalKey));
}
