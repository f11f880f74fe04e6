//! Properties of real files that a layout must cope with: encodings, conventions, identifiers, sentinels, trailers.

use proptest::prelude::*;

use super::*;

/// Returns the conventions detected from rows with `cells` in `column`, and the number of rejects with them.
fn decided(column: &str, cells: &[&str]) -> (Conventions, usize) {
    let mapping = Mapping::new(portal(), &V1).unwrap();
    let mut votes = ConventionVotes::new(&mapping);
    let mut scratch = Scratch::default();
    let rows: Vec<FieldsBuf> = cells.iter().map(|cell| FieldsBuf::from_iter(row_with(&[(column, cell)]))).collect();
    for row in &rows {
        votes.see(&Row::decode(row.as_fields(), &mut scratch));
    }
    let decided = votes.decide();
    let mapping = Mapping::with_conventions(portal(), &V1, decided).unwrap();
    let rejected = rows.iter().filter(|row| mapping.map(&Row::decode(row.as_fields(), &mut scratch)).is_err()).count();
    (decided, rejected)
}

#[test]
fn a_record_in_either_encoding_is_the_same() {
    let outcomes = fixture(include_bytes!("../../../../fixtures/mixed-encodings.csv"));
    assert_eq!(column(&outcomes, "/issuer/name")[2..], ["SÃO JOÃO LTDA €", "SÃO JOÃO LTDA €"]);
}

#[test]
fn names_are_folded_and_columns_may_stand_anywhere() {
    let mut header: Vec<String> = V1.iter().map(|name| format!("* {}", name.to_lowercase())).collect();
    header.rotate_left(7);
    header.push("Outra".to_owned());
    let Detection::Fits(layout) = detect(&header) else { panic!("{}", detect(&header)) };
    let mapping = Mapping::new(layout, &header).unwrap();
    let fit = mapping.fit();
    assert_eq!((fit.columns, fit.unread), (22, vec!["Outra"]));
    assert_eq!(
        mapping.columns()[0],
        Bound { column: "* data/hora evento mais recente".to_owned(), fields: vec!["status_at".to_owned()] }
    );
    assert_eq!(fit.without_column[0], "extra.recipient_agency_group_code");
}

#[test]
fn decimal_conventions_are_decided_for_the_file() {
    let total = "VALOR NOTA FISCAL";
    for (cells, expected, rejected) in [
        (&["2040,00", "1.234"][..], DecimalConvention::Comma, 0),
        (&["25280,0", "1,2E+3", "1.234,56"], DecimalConvention::Comma, 0),
        // The other numbers of pandas can be read in both ways.
        (&["1.234", "2040", "0.125"], DecimalConvention::Point, 0),
        (&["1234.56", "1,234.56", "7"], DecimalConvention::Point, 0),
        // No cell decides: the default of the layout.
        (&["2040", "1.234", "1,234"], DecimalConvention::Comma, 0),
        (&[""], DecimalConvention::Comma, 0),
        // A tie: the default, and the other cells are rejects.
        (&["1234.56", "1234,56"], DecimalConvention::Comma, 1),
        (&["1234.56", "1234.57", "1234,56"], DecimalConvention::Point, 1),
    ] {
        let (conventions, rejects) = decided(total, cells);
        assert_eq!((conventions.decimal, rejects), (expected, rejected), "{cells:?}");
    }
}

#[test]
fn a_field_with_a_convention_of_its_own_has_no_vote() {
    let text = BUILT_IN[0]
        .replace("total = \"VALOR NOTA FISCAL\"", "total = { from = \"VALOR NOTA FISCAL\", convention = \"point\" }");
    let mapping = Mapping::new(Arc::new(Layout::parse(&text).unwrap()), &V1).unwrap();
    let votes = ConventionVotes::new(&mapping);
    assert!(votes.matters() && votes.decimal().cells == 0);
    mapped(&mapping, &row_with(&[("VALOR NOTA FISCAL", "12.5")]), |outcome| {
        assert_eq!(outcome.unwrap().total.unwrap().as_str(), "12.5");
    });
}

#[test]
fn date_conventions_are_decided_for_the_file() {
    let issued = "DATA EMISSÃO";
    let base = ["12/01/2024 10:21:52"; 2];
    // The other date of every row is a vote for day_month_year. A date with the year first cannot be mistaken.
    let (conventions, rejected) = decided(issued, &["2024-01-12", "2024-13-12"]);
    assert_eq!((conventions.date, rejected), (DateConvention::DayMonthYear, 1));
    let (conventions, rejected) = decided(issued, &base);
    assert_eq!((conventions.date, rejected), (DateConvention::DayMonthYear, 0));
    let american = own_dates("[\"day_month_year\", \"month_day_year\"]", &["1/2/2024", "12/31/2024", "3/4/2024"]);
    assert_eq!(
        american,
        (
            DateConvention::MonthDayYear,
            vec!["2024-01-02", "2024-12-31", "2024-03-04"].into_iter().map(|day| format!("{day}T00:00:00")).collect()
        )
    );
    // A delimiter at the end of each row takes no vote away.
    let surplus = own_dates("[\"day_month_year\", \"month_day_year\"]", &["1/2/2024;", "12/31/2024;"]);
    assert_eq!(
        surplus,
        (DateConvention::MonthDayYear, vec!["2024-01-02T00:00:00".into(), "2024-12-31T00:00:00".into()])
    );
    let undecided = own_dates("[\"day_month_year\", \"month_day_year\"]", &["1/2/2024"]);
    assert_eq!(undecided.1, ["2024-02-01T00:00:00"]);
    assert_eq!(own_dates("\"packed\"", &["31122024"]).1, ["2024-12-31T00:00:00"]);
    assert_eq!(
        own_dates("\"iso\"\ntime_zone = \"-03:00\"", &["2024-12-31", "2024-12-31T08:00:00Z"]).1,
        ["2024-12-31T00:00:00-03:00", "2024-12-31T08:00:00+00:00",]
    );
}

/// Returns the convention that a layout with `dates` detects in a file of these cells, and the dates.
fn own_dates(dates: &str, cells: &[&str]) -> (DateConvention, Vec<String>) {
    let text = format!(
        "name = \"own\"\ntitle = \"Own\"\nrequires = [\"Day\", \"No\"]\n[conventions]\ndate = {dates}\n\
         [id]\nnatural_key = {{ name = \"own\", from = [\"No\"] }}\n[invoice]\nissued_at = \"Day\"\n"
    );
    let rows: Vec<String> = cells.iter().enumerate().map(|(at, cell)| format!("{at};{cell}\n")).collect();
    let layout = Arc::new(Layout::parse(&text).unwrap());
    let (mapping, outcomes) = read(format!("No;Day\n{}", rows.concat()).as_bytes(), b';', &[layout]);
    (mapping.conventions().date, column(&outcomes, "/issued_at"))
}

#[test]
fn the_sentinel_of_1900_is_no_date_in_any_form() {
    for sentinel in ["01/01/1900 00:00:00", "01/01/1900", "1/1/1900"] {
        assert_eq!(invoice_with(&[("DATA/HORA EVENTO MAIS RECENTE", sentinel)], |invoice| invoice.status_at), None);
        assert_eq!(reject_with(&[("DATA EMISSÃO", sentinel)]).reason, Reason::MissingField);
    }
    let iso = Conventions { decimal: DecimalConvention::Point, date: DateConvention::Iso, time_zone: None };
    let mapping = Mapping::with_conventions(portal(), &V1, iso).unwrap();
    for sentinel in ["1900-01-01 00:00:00", "1900-01-01", "1900-01-01T00:00:00"] {
        let cells = row_with(&[
            ("DATA EMISSÃO", "2024-01-12"),
            ("DATA/HORA EVENTO MAIS RECENTE", sentinel),
            ("VALOR NOTA FISCAL", "1"),
        ]);
        mapped(&mapping, &cells, |outcome| assert_eq!(outcome.unwrap().status_at, None, "{sentinel}"));
    }
}

#[test]
fn identifiers_are_text() {
    let changes = [("CNPJ DESTINATÁRIO", "999888000118.0"), ("SÉRIE", "1.0"), ("NÚMERO", "7083.0")];
    invoice_with(&changes, |invoice| {
        assert_eq!(&*invoice.recipient.unwrap().tax_id.unwrap().text, "00999888000118");
        assert_eq!((invoice.series.as_deref(), invoice.number.as_deref()), (Some("1"), Some("7083")));
        assert_eq!(invoice.warnings, []);
    });
    // A CPF in a column of either keeps its eleven digits; letters are kept.
    for text in ["***.165.104-**", "12ABC34501DE35"] {
        invoice_with(&[("CPF/CNPJ Emitente", text)], |invoice| assert_eq!(&*invoice.issuer.tax_id.unwrap().text, text));
    }
}

#[test]
fn blank_and_sentinels_mean_absent() {
    for nothing in ["", "-1", " -1 ", "Sem informação", "SEM INFORMACAO"] {
        invoice_with(&[("MUNICÍPIO EMITENTE", nothing)], |invoice| assert_eq!(invoice.issuer.city, None));
    }
}

#[test]
fn trailers_are_no_records_and_ragged_rows_are_rejects() {
    let bytes = include_bytes!("../../../../fixtures/sp-nfse.csv");
    let (mapping, outcomes) = read(bytes, b';', &[]);
    assert_eq!(outcomes.len(), 2);
    let is_trailer = |cells: &[&str]| {
        let record = FieldsBuf::from_iter(cells.to_vec());
        mapping.is_trailer(&Row::decode(record.as_fields(), &mut Scratch::default()))
    };
    let full: Vec<&str> = std::iter::once("TOTAL").chain(std::iter::repeat_n("", 72)).collect();
    assert!(is_trailer(&["Total", "163.252,94"]) && is_trailer(&full) && is_trailer(&["total"]));
    assert!(!is_trailer(&["2", "Total"]) && !is_trailer(&[]) && !is_trailer(&["Totalmente"]));
    let record = FieldsBuf::from_iter(vec!["2", "1"]);
    let mut scratch = Scratch::default();
    let reject = mapping.map(&Row::decode(record.as_fields(), &mut scratch)).unwrap_err();
    assert_eq!(reject.reason, Reason::WrongColumnCount);
    // A file of only a header has no records.
    let header_only = include_bytes!("../../../../fixtures/header-only.csv");
    assert!(fixture(header_only).is_empty());
}

#[test]
fn negative_amounts_and_cancellations() {
    let changes = [("VALOR NOTA FISCAL", "-10,50"), ("EVENTO MAIS RECENTE", "Cancelamento da NF-e")];
    invoice_with(&changes, |invoice| {
        assert_eq!(invoice.total.unwrap().as_str(), "-10.50");
        assert_eq!(invoice.status, Status::Cancelled);
    });
    let proof = [("EVENTO MAIS RECENTE", "Cancelamento do Comprovante de Entrega da NF-e")];
    assert_eq!(invoice_with(&proof, |invoice| invoice.status), Status::Authorized);
}

#[test]
fn a_header_of_100_000_columns_is_read_once() {
    let mut header: Vec<String> = (0..100_000).map(|at| format!("c{at}")).collect();
    header.extend(V1.map(str::to_owned));
    let Detection::Fits(layout) = detect(&header) else { panic!("it has all that is asked for") };
    let mapping = Mapping::new(layout, &header).unwrap();
    assert_eq!(mapping.fit().unread.len(), 100_000);
}

#[test]
fn unusual_records_have_warnings_or_are_rejected() {
    let key = ROW[0];
    for (column, cell, warning, message) in [
        (
            "CPF/CNPJ Emitente",
            "12345678000196",
            Warning::CheckDigit,
            "CPF/CNPJ Emitente: expected valid check digits, found \"12345678000196\"".to_owned(),
        ),
        (
            "CPF/CNPJ Emitente",
            "00999888000118",
            Warning::IssuerUnlikeKey,
            "CPF/CNPJ Emitente: expected 12345678000195, the issuer in the key, found \"00999888000118\"".to_owned(),
        ),
        (
            "DATA EMISSÃO",
            "01/02/2024",
            Warning::MonthUnlikeKey,
            format!(
                "DATA EMISSÃO: expected a date in 2024-01, the month in the key {key}, found \"2024-02-01T00:00:00\""
            ),
        ),
        (
            "SÉRIE",
            "002",
            Warning::NumberUnlikeKey,
            "SÉRIE: expected 1, the series in the key, found \"002\"".to_owned(),
        ),
        (
            "MUNICÍPIO EMITENTE",
            "20.235.404/0001-71",
            Warning::CityIsTaxId,
            "MUNICÍPIO EMITENTE: expected the name of a city, not a CNPJ or CPF, found \"20.235.404/0001-71\""
                .to_owned(),
        ),
        (
            "CHAVE DE ACESSO",
            "35240112345678000195550010000070831000062426",
            Warning::CheckDigit,
            "CHAVE DE ACESSO: expected valid check digits, found \"35240112345678000195550010000070831000062426\""
                .to_owned(),
        ),
    ] {
        let changes = [(column, cell)];
        assert!(invoice_with(&changes, |invoice| invoice.warnings.contains(&warning)), "{column}");
        let rejects = format!("reject = [\"{}\"]\nabsent =", warning.as_str());
        let picky = Layout::parse(&BUILT_IN[0].replacen("absent =", &rejects, 1)).unwrap();
        let picky = Mapping::new(Arc::new(picky), &V1).unwrap();
        let expected = Reject { reason: Reason::Warning(warning), message };
        mapped(&picky, &row_with(&changes), |outcome| assert_eq!(outcome.unwrap_err(), expected));
        mapped(&picky, &ROW, |outcome| assert!(outcome.is_ok()));
        let strict = Mapping::new(portal(), &V1).unwrap().strict(true);
        mapped(&strict, &row_with(&changes), |outcome| {
            assert!(matches!(outcome.unwrap_err().reason, Reason::Warning(_)));
        });
        mapped(&strict.strict(false), &row_with(&changes), |outcome| assert!(outcome.is_ok()));
    }
    // The same number in other forms, or not a number.
    for cell in ["001", "1", "U", ""] {
        assert_eq!(invoice_with(&[("SÉRIE", cell)], |invoice| invoice.warnings), [], "{cell}");
    }
}

/// Reads one NFS-e by a layout that takes the issuer from the key, and returns its reject.
fn strict_reject_of_nfse(row: &str) -> Reject {
    let text = "name = \"nfse\"\ntitle = \"NFS-e\"\nrequires = [\"Chave\"]\n[id]\nnfse_key = \"Chave\"\n\
                [invoice]\nissued_at = { from = \"Data\", convention = \"iso\" }\nissuer_from_key = true\n[invoice.issuer]\ncnpj = \"CNPJ\"\ncpf = \"CPF\"\n";
    let header = ["Chave", "Data", "CNPJ", "CPF"];
    let mapping = Mapping::new(Arc::new(Layout::parse(text).unwrap()), &header).unwrap().strict(true);
    let record = FieldsBuf::from_iter(row.split(';').collect::<Vec<_>>());
    let mut scratch = Scratch::default();
    let row = Row::decode(record.as_fields(), &mut scratch);
    map(&mapping, &row).unwrap_err()
}

#[test]
fn a_reject_for_a_warning_names_the_column_and_the_issuer_in_an_nfse_key() {
    let key = "52115031239558194000180000000000486626023714913456";
    let unlike = strict_reject_of_nfse(&format!("{key};2026-02-01;;52998224725"));
    assert_eq!(unlike.message, "CPF: expected 39558194000180, the issuer in the key, found \"52998224725\"");
    let month = strict_reject_of_nfse(&format!("{key};2026-03-01;;"));
    assert_eq!(
        month.message,
        format!("Data: expected a date in 2026-02, the month in the key {key}, found \"2026-03-01T00:00:00\"")
    );
}

#[test]
fn an_event_with_a_wrong_check_digit_in_its_key_has_a_warning() {
    let header = ["CHAVE DE ACESSO", "EVENTO", "DATA/HORA EVENTO"];
    let mapping = Mapping::new(by_name("portal-event").unwrap(), &header).unwrap();
    let record =
        FieldsBuf::from_iter(vec!["35240112345678000195550010000070831000062426", "Cancelamento", "12/01/2024"]);
    let mut scratch = Scratch::default();
    let row = Row::decode(record.as_fields(), &mut scratch);
    assert_eq!(mapping.map(&row).unwrap().warnings().collect::<Vec<_>>(), [Warning::CheckDigit]);
    let mapping = mapping.strict(true);
    assert_eq!(mapping.map(&row).unwrap_err().reason, Reason::Warning(Warning::CheckDigit));
}

#[test]
fn other_columns_are_kept_under_names_made_from_their_names() {
    let text = BUILT_IN[0].replacen("absent =", "keep_other_columns = true\nabsent =", 1);
    let (mut header, mut cells) = (V1.to_vec(), ROW.to_vec());
    header.extend(["Código / Órgão (novo)", "codigo-orgao novo", "final_consumer", "%", "Vazia"]);
    cells.extend(["a", "b", "c", "d", "-1"]);
    let mapping = Mapping::new(Arc::new(Layout::parse(&text).unwrap()), &header).unwrap();
    mapped(&mapping, &cells, |outcome| {
        let extra = outcome.unwrap().extra;
        let last: Vec<(&str, &str)> = extra.iter().rev().take(4).map(|(name, value)| (&**name, &**value)).collect();
        let expected =
            [("column_25", "d"), ("final_consumer_2", "c"), ("codigo_orgao_novo_2", "b"), ("codigo_orgao_novo", "a")];
        assert_eq!(last, expected);
    });
    assert!(mapping.fit().unread.is_empty());
}

#[test]
fn without_an_access_key_the_natural_key_counts() {
    let (_, outcomes) = read(include_bytes!("../../../../fixtures/sped-c100.csv"), b';', &[]);
    let lengths: Vec<usize> = column(&outcomes[..4], "/id").iter().map(String::len).collect();
    assert_eq!(lengths, [44, 44, 44, 32]);
}

#[test]
fn the_key_of_an_nfse_gives_id_and_issuer() {
    let text = "name = \"nfse\"\ntitle = \"NFS-e\"\nrequires = [\"Chave\"]\n[id]\nnfse_key = { from = \"Chave\", take = \"bare\" }\n\
                [invoice]\nissued_at = \"Data\"\nissuer_from_key = true\n";
    let key = "52115031239558194000180000000000486626023714913456";
    let rows = format!("Chave;Data\nNFS{key};2026-02-01\n{key};2026-03-01\n123;2026-03-01\n;2026-03-01\n");
    let (_, outcomes) = read(rows.as_bytes(), b';', &[Arc::new(Layout::parse(text).unwrap())]);
    assert_eq!(column(&outcomes[..2], "/id"), [key; 2]);
    assert_eq!(column(&outcomes[..2], "/access_key"), ["absent"; 2]);
    assert_eq!(column(&outcomes[..2], "/issuer/tax_id"), ["39558194000180"; 2]);
    assert_eq!(column(&outcomes[..2], "/warnings"), ["[]", r#"["month_unlike_key"]"#]);
    let rejects: Vec<&str> =
        outcomes[2..].iter().map(|outcome| outcome.as_ref().unwrap_err().reason.as_str()).collect();
    assert_eq!(rejects, ["invalid_nfse_key", "missing_field"]);
}

proptest! {
    /// The order of the rows does not change the decision.
    #[test]
    fn votes_do_not_depend_on_the_order(mut cells in prop::collection::vec("[0-9]{1,4}([.,][0-9]{1,3})?", 1..20), by in 0_usize..20) {
        let decide = |cells: &[String]| decided("VALOR NOTA FISCAL", &cells.iter().map(String::as_str).collect::<Vec<_>>()).0;
        let before = decide(&cells);
        let by = by % cells.len();
        cells.rotate_left(by);
        prop_assert_eq!(decide(&cells), before);
    }

    /// Equal natural ids have equal values in each column.
    #[test]
    fn natural_ids_distinguish_rows(a in "[ab]{1,3}", b in "[ab]{1,3}", c in "[ab]{1,3}", d in "[ab]{1,3}") {
        let text = "name = \"own\"\ntitle = \"Own\"\nrequires = [\"A\"]\n[id]\n\
                    natural_key = { name = \"own\", from = [\"A\"], optional = [\"B\"] }\n[invoice]\nissued_at = \"Day\"\n";
        let rows = format!("A;B;Day\n{a};{b};2024-01-01\n{c};{d};2024-01-01\n{a};{b};2024-01-02\n");
        let (_, outcomes) = read(rows.as_bytes(), b';', &[Arc::new(Layout::parse(text).unwrap())]);
        let ids = column(&outcomes, "/id");
        prop_assert_eq!(ids[0] == ids[1], (a, b) == (c, d));
        prop_assert_eq!(&ids[0], &ids[2]);
    }

    /// No content of cells makes the mapping panic.
    #[test]
    fn any_cells_are_a_record_or_a_reject(cells in prop::collection::vec(".{0,60}", 21), layout in 0_usize..3) {
        let (name, header): (&str, Vec<&str>) = match layout {
            0 => ("portal-invoice", V1.to_vec()),
            1 => ("portal-line", vec!["CHAVE DE ACESSO", "NÚMERO PRODUTO", "DESCRIÇÃO DO PRODUTO/SERVIÇO", "QUANTIDADE", "VALOR TOTAL"]),
            _ => ("mg-invoice", vec!["orgao_emissor", "fornecedor_cnpj_cpf", "numero", "serie", "sequencial", "natureza", "data_de_emissao"]),
        };
        let mapping = Mapping::new(by_name(name).unwrap(), &header).unwrap();
        let record = FieldsBuf::from_iter(cells[..header.len()].to_vec());
        let mut scratch = Scratch::default();
        let row = Row::decode(record.as_fields(), &mut scratch);
        let mut votes = ConventionVotes::new(&mapping);
        votes.see(&row);
        let _either = mapping.map(&row).map(|record| json(&record));
    }
}
