//! Tests through the public API: headers are detected, rows mapped, fixtures read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::sync::Arc;

use super::*;
use crate::built_in::BUILT_IN;
use crate::layout::sha256_hex;
use notaflux_invoice::{
    DateConvention, DecimalConvention, Invoice, InvoiceFields, Role, Status, TaxIdKind, TextField, Warning,
};
use notaflux_records::record::FieldsBuf;

mod built_in;
mod data;
mod documented;
mod wrong;

const V1: [&str; 21] = [
    "CHAVE DE ACESSO",
    "MODELO",
    "SÉRIE",
    "NÚMERO",
    "NATUREZA DA OPERAÇÃO",
    "DATA EMISSÃO",
    "EVENTO MAIS RECENTE",
    "DATA/HORA EVENTO MAIS RECENTE",
    "CPF/CNPJ Emitente",
    "RAZÃO SOCIAL EMITENTE",
    "INSCRIÇÃO ESTADUAL EMITENTE",
    "UF EMITENTE",
    "MUNICÍPIO EMITENTE",
    "CNPJ DESTINATÁRIO",
    "NOME DESTINATÁRIO",
    "UF DESTINATÁRIO",
    "INDICADOR IE DESTINATÁRIO",
    "DESTINO DA OPERAÇÃO",
    "CONSUMIDOR FINAL",
    "PRESENÇA DO COMPRADOR",
    "VALOR NOTA FISCAL",
];

const ROW: [&str; 21] = [
    "35240112345678000195550010000070831000062429",
    "55 - NF-E EMITIDA EM SUBSTITUIÇÃO AO MODELO 1 OU 1A",
    "1",
    "7083",
    "VENDA DE MERCADORIA",
    "12/01/2024 10:20:30",
    "Autorização de Uso",
    "12/01/2024 10:21:52",
    "12345678000195",
    "COMÉRCIO EXEMPLO LTDA",
    "10428180043",
    "SP",
    "SÃO PAULO",
    "00000000000191",
    "ÓRGÃO EXEMPLO",
    "DF",
    "NÃO CONTRIBUINTE",
    "2 - OPERAÇÃO INTERESTADUAL",
    "1 - CONSUMIDOR FINAL",
    "1 - OPERAÇÃO PRESENCIAL",
    "2040,00",
];

fn portal() -> Arc<Layout> {
    by_name("portal-invoice").unwrap()
}

/// `ROW` with other values in some columns.
fn row_with<'a>(changes: &[(&str, &'a str)]) -> Vec<&'a str> {
    let mut row: Vec<&str> = ROW.to_vec();
    for (column, value) in changes {
        let at = V1.iter().position(|name| name == column).unwrap();
        row[at] = value;
    }
    row
}

/// Returns every field of an invoice as text.
fn fields_of(invoice: &impl InvoiceFields) -> Vec<String> {
    let mut fields = vec![
        invoice.id().to_owned(),
        format!("{:?} {:?} {:?}", invoice.access_key(), invoice.issued_at(), invoice.line_count()),
        format!("{:?} {:?} {:?}", invoice.status(), invoice.status_at(), invoice.total()),
        format!("{} {:?}", invoice.currency(), invoice.warnings().collect::<Vec<_>>()),
    ];
    let alone = [TextField::Model, TextField::Series, TextField::Number, TextField::Operation, TextField::StatusText];
    let of_party = [TextField::Name, TextField::StateRegistration, TextField::Uf, TextField::City];
    let of_parties = [Role::Issuer, Role::Recipient].map(|role| of_party.map(|field| field(role)));
    for field in alone.into_iter().chain(of_parties.into_iter().flatten()) {
        invoice.text(field, |text| fields.push(format!("{field:?} {text}")));
    }
    fields.extend([Role::Issuer, Role::Recipient].map(|role| format!("{:?}", invoice.tax_id(role))));
    invoice.extra(|name, value| fields.push(format!("{name} {value}")));
    fields
}

/// Maps `row`, and checks that an invoice in its row has the same fields as the whole invoice.
pub(super) fn map<'r>(mapping: &'r Mapping, row: &'r Row<'r>) -> Result<Record<'r>, Reject> {
    let (read, mapped) = (mapping.read(row), mapping.map(row));
    match (&read, &mapped) {
        (Ok(Record::Invoice(read)), Ok(Record::Invoice(whole))) => assert_eq!(fields_of(read), fields_of(whole)),
        (Ok(Record::InvoiceLine(read)), Ok(Record::InvoiceLine(whole))) => {
            assert_eq!(fields_of(&read.0), fields_of(&whole.0));
        }
        (Ok(Record::InvoiceWithLines(read)), Ok(Record::InvoiceWithLines(whole))) => {
            assert_eq!(fields_of(&read.0), fields_of(&whole.0));
        }
        (Ok(read), Ok(whole)) => {
            assert_eq!((read.id(), read.warnings().collect()), (whole.id(), whole.warnings().collect::<Vec<_>>()));
        }
        (Err(reject), Err(other)) => assert_eq!(reject, other),
        (read, mapped) => panic!("{read:?} and {mapped:?}"),
    }
    mapped
}

/// Maps `cells` and passes the outcome to `look`, because it borrows from local values.
fn mapped<T>(mapping: &Mapping, cells: &[&str], look: impl FnOnce(Result<Invoice<'_>, Reject>) -> T) -> T {
    let record = FieldsBuf::from_iter(cells.to_vec());
    let mut scratch = Scratch::default();
    let row = Row::decode(record.as_fields(), &mut scratch);
    look(map(mapping, &row).map(|record| match record {
        Record::Invoice(invoice) => invoice,
        other => panic!("{other:?}"),
    }))
}

fn invoice_with<T>(changes: &[(&str, &str)], look: impl FnOnce(Invoice<'_>) -> T) -> T {
    let mapping = Mapping::new(portal(), &V1).unwrap();
    mapped(&mapping, &row_with(changes), |outcome| look(outcome.unwrap()))
}

fn reject_with(changes: &[(&str, &str)]) -> Reject {
    let mapping = Mapping::new(portal(), &V1).unwrap();
    mapped(&mapping, &row_with(changes), |outcome| outcome.unwrap_err())
}

#[test]
fn every_built_in_layout_can_be_read() {
    for text in BUILT_IN {
        let layout =
            Layout::parse(text).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        assert_eq!(by_name(layout.name()).unwrap().content_hash(), layout.content_hash());
        assert_eq!(layout.content_hash().len(), 64);
        if layout.is_of_paths() {
            assert!(Mapping::of_json(Arc::new(layout), None).is_ok());
            continue;
        }
        // The required columns must be enough for a mapping.
        let header: Vec<String> = layout.requires().map(|names| names[0].clone()).collect();
        Mapping::new(Arc::new(layout), &header).unwrap();
    }
    assert_eq!(built_in().len(), BUILT_IN.len());
}

#[test]
fn the_content_hash_is_sha_256() {
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_row_becomes_the_json_of_an_invoice() {
    let json = invoice_with(&[], |invoice| serde_json::to_string(&invoice).unwrap());
    assert_eq!(
        json,
        concat!(
            r#"{"id":"35240112345678000195550010000070831000062429","#,
            r#""access_key":"35240112345678000195550010000070831000062429","#,
            r#""model":"55","series":"1","number":"7083","operation":"VENDA DE MERCADORIA","#,
            r#""issued_at":"2024-01-12T10:20:30","#,
            r#""issuer":{"tax_id":"12345678000195","tax_id_kind":"cnpj","name":"COMÉRCIO EXEMPLO LTDA","#,
            r#""state_registration":"10428180043","uf":"SP","city":"SÃO PAULO"},"#,
            r#""recipient":{"tax_id":"00000000000191","tax_id_kind":"cnpj","name":"ÓRGÃO EXEMPLO","uf":"DF"},"#,
            r#""status":"authorized","status_text":"Autorização de Uso","status_at":"2024-01-12T10:21:52","#,
            r#""total":"2040.00","currency":"BRL","#,
            r#""extra":{"recipient_ie_indicator":"NÃO CONTRIBUINTE","destination":"2 - OPERAÇÃO INTERESTADUAL","#,
            r#""final_consumer":"1 - CONSUMIDOR FINAL","buyer_presence":"1 - OPERAÇÃO PRESENCIAL"},"warnings":[]}"#,
        )
    );
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    let mut header: Vec<String> = V1.iter().map(|name| format!(" *{} ", name.to_lowercase())).collect();
    header.reverse();
    header.push("COLUNA QUE NINGUÉM CONHECE".to_owned());
    let mut cells = ROW.to_vec();
    cells.reverse();
    cells.push("x");
    let Detection::Fits(layout) = detect(&header) else { panic!("{}", detect(&header)) };
    let mapping = Mapping::new(layout, &header).unwrap();
    let turned = mapped(&mapping, &cells, |outcome| serde_json::to_string(&outcome.unwrap()).unwrap());
    assert_eq!(turned, invoice_with(&[], |invoice| serde_json::to_string(&invoice).unwrap()));
}

#[test]
fn a_column_that_is_not_required_may_be_missing() {
    let kept: Vec<usize> = (0..V1.len()).filter(|&at| V1[at] != "SÉRIE" && V1[at] != "CONSUMIDOR FINAL").collect();
    let header: Vec<&str> = kept.iter().map(|&at| V1[at]).collect();
    let cells: Vec<&str> = kept.iter().map(|&at| ROW[at]).collect();
    let mapping = Mapping::new(portal(), &header).unwrap();
    mapped(&mapping, &cells, |outcome| {
        let invoice = outcome.unwrap();
        assert_eq!((invoice.series, invoice.extra.len()), (None, 3));
        assert_eq!(invoice.number.as_deref(), Some("7083"));
    });
}

#[test]
fn the_columns_of_v2_are_kept_too() {
    let agencies = ["CÓDIGO ÓRGÃO SUPERIOR DESTINATÁRIO", "ÓRGÃO SUPERIOR DESTINATÁRIO", "CÓDIGO ÓRGÃO DESTINATÁRIO"];
    let (mut header, mut cells) = (V1.to_vec(), ROW.to_vec());
    for (name, value) in agencies.into_iter().chain(["ÓRGÃO DESTINATÁRIO"]).zip(["26000", "Ministério", "26232", "-1"])
    {
        header.insert(13, name);
        cells.insert(13, value);
    }
    let Detection::Fits(layout) = detect(&header) else { panic!("v2 is a Portal header") };
    let mapping = Mapping::new(layout, &header).unwrap();
    mapped(&mapping, &cells, |outcome| {
        let extra = outcome.unwrap().extra;
        let names: Vec<&str> = extra.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(
            names[..4],
            [
                "recipient_agency_group_code",
                "recipient_agency_group",
                "recipient_agency_code",
                "recipient_ie_indicator"
            ]
        );
        assert_eq!(extra[1].1, "Ministério");
    });
}

#[test]
fn the_message_for_an_unknown_header_names_the_missing_columns() {
    let header: Vec<&str> = V1.into_iter().filter(|name| *name != "VALOR NOTA FISCAL").collect();
    let detection = detect(&header);
    let Detection::Unknown { tried, found, .. } = &detection else { panic!("{detection}") };
    assert_eq!((tried.len(), &*tried[0].missing[0]), (8, "VALOR NOTA FISCAL"), "those of tables");
    assert_eq!(found.len(), 20);
    let message = detection.to_string();
    assert!(
        message.starts_with("the header matches no layout: portal-invoice also requires \"VALOR NOTA FISCAL\""),
        "{message}"
    );
    assert!(message.contains("found \"CHAVE DE ACESSO\", \"MODELO\""), "{message}");
}

#[test]
fn the_nearest_layout_comes_first_and_two_that_match_are_named() {
    let named = |name: &str, requires: &str| {
        let text = BUILT_IN[0].replacen("portal-invoice", name, 1);
        let (before, rest) = text.split_once("requires = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        Arc::new(Layout::parse(&format!("{before}requires = [{requires}]{after}")).unwrap())
    };
    let layouts = [named("far", r#""A", "B", "C""#), named("near", r#""A", "Número", "Série""#), portal()];
    let Detection::Unknown { tried, .. } = Detection::of(&["numero", "SERIE"], &[], &layouts) else { panic!() };
    assert_eq!(tried.iter().map(|tried| tried.layout.as_str()).collect::<Vec<_>>(), ["near", "far", "portal-invoice"]);
    let ambiguous = Detection::of(&["a", "b", "c", "numero", "serie"], &[], &layouts);
    assert!(ambiguous.to_string().contains("far, near"), "{ambiguous}");
}

#[test]
fn a_message_about_a_header_of_100_000_columns_is_short() {
    let header: Vec<String> = (0..100_000).map(|at| format!("{at}{}", "x".repeat(1_000))).collect();
    assert!(detect(&header).to_string().len() < 5_000);
}

#[test]
fn a_header_with_a_missing_or_repeated_column_cannot_be_bound() {
    let error = Mapping::new(portal(), &V1[..20]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layout portal-invoice requires columns that are missing from the header: VALOR NOTA FISCAL"
    );
    let mut header = V1.to_vec();
    header.push("serie");
    let error = Mapping::new(portal(), &header).unwrap_err();
    assert_eq!(error.to_string(), "layout portal-invoice reads columns that the header has more than once: SÉRIE");
}

#[test]
fn absent_values_are_absent() {
    for nothing in ["", "  ", "-1", "Sem informação", "SEM INFORMACAO", "\u{a0}"] {
        let columns: Vec<(&str, &str)> = V1
            .iter()
            .filter(|name| !["CHAVE DE ACESSO", "DATA EMISSÃO"].contains(name))
            .map(|name| (*name, nothing))
            .collect();
        let json = invoice_with(&columns, |invoice| serde_json::to_string(&invoice).unwrap());
        let expected = concat!(
            r#"{"id":"35240112345678000195550010000070831000062429","#,
            r#""access_key":"35240112345678000195550010000070831000062429","issued_at":"2024-01-12T10:20:30","#,
            r#""issuer":{},"status":"unknown","currency":"BRL","warnings":[]}"#,
        );
        assert_eq!(json, expected, "{nothing:?}");
    }
    let sentinel = [("DATA/HORA EVENTO MAIS RECENTE", "01/01/1900 00:00:00")];
    assert_eq!(invoice_with(&sentinel, |invoice| invoice.status_at), None);
    // A text that only begins like a sentinel is a value.
    let name = [("RAZÃO SOCIAL EMITENTE", "SEM INFORMAÇÃO LTDA")];
    assert!(invoice_with(&name, |invoice| invoice.issuer.name.is_some()));
    assert_eq!(invoice_with(&[("VALOR NOTA FISCAL", "-1,00")], |invoice| invoice.total.unwrap().to_string()), "-1.00");
}

#[test]
fn the_latest_event_determines_the_status() {
    for (text, status) in [
        ("Autorização de Uso", Status::Authorized),
        ("Cancelamento da NF-e", Status::Cancelled),
        ("CANCELAMENTO POR SUBSTITUIÇÃO", Status::Cancelled),
        ("Cancelamento", Status::Cancelled),
        ("Uso Denegado", Status::Denied),
        ("NOTA DENEGADA", Status::Denied),
        ("Cancelamento de Evento", Status::Authorized),
        ("Cancelamento Registro Passagem NF-e", Status::Authorized),
        ("MDF-e Cancelado", Status::Authorized),
        ("Pedido de cancelamento", Status::Unknown),
        ("Carta de Correção", Status::Authorized),
        ("Confirmação da Operação", Status::Authorized),
        ("Ciência da Operação", Status::Authorized),
        ("Desconhecimento da Operação", Status::Authorized),
        ("Operação não Realizada", Status::Authorized),
        ("Sem informação", Status::Unknown),
        ("", Status::Unknown),
    ] {
        let found = invoice_with(&[("EVENTO MAIS RECENTE", text)], |invoice| {
            (invoice.status, invoice.status_text.unwrap_or_default().into_owned())
        });
        let kept = if text == "Sem informação" { "" } else { text };
        assert_eq!(found, (status, kept.to_owned()), "{text}");
    }
}

#[test]
fn tax_ids_of_both_parties() {
    let issuer = |text: &str| {
        invoice_with(&[("CPF/CNPJ Emitente", text)], |invoice| {
            let tax_id = invoice.issuer.tax_id.unwrap();
            (tax_id.text.to_string(), tax_id.kind, invoice.warnings)
        })
    };
    let unlike = vec![Warning::IssuerUnlikeKey];
    assert_eq!(issuer("12.345.678/0001-95"), ("12345678000195".to_owned(), TaxIdKind::Cnpj, vec![]));
    assert_eq!(issuer("52998224725"), ("52998224725".to_owned(), TaxIdKind::Cpf, unlike.clone()));
    assert_eq!(issuer("***.165.104-**"), ("***.165.104-**".to_owned(), TaxIdKind::Masked, unlike.clone()));
    assert_eq!(issuer("EX-12"), ("EX-12".to_owned(), TaxIdKind::Other, unlike));
    let both = vec![Warning::CheckDigit, Warning::IssuerUnlikeKey];
    assert_eq!(issuer("12345678000196"), ("12345678000196".to_owned(), TaxIdKind::Cnpj, both));

    let recipient = |text: &str| {
        invoice_with(&[("CNPJ DESTINATÁRIO", text)], |invoice| {
            (invoice.recipient.unwrap().tax_id.unwrap().text.to_string(), invoice.warnings)
        })
    };
    assert_eq!(recipient("394429021965"), ("00394429021965".to_owned(), vec![]));
    assert_eq!(recipient("394429021966"), ("00394429021966".to_owned(), vec![Warning::CheckDigit]));
}

#[test]
fn zeros_that_the_issuer_lost_are_taken_from_the_key() {
    let key = "31240100345678000106550010000070831000062421";
    let changes = [("CHAVE DE ACESSO", key), ("CPF/CNPJ Emitente", "345678000106")];
    let (text, kind, unlike) = invoice_with(&changes, |invoice| {
        let tax_id = invoice.issuer.tax_id.unwrap();
        (tax_id.text.to_string(), tax_id.kind, invoice.warnings.contains(&Warning::IssuerUnlikeKey))
    });
    assert_eq!((text.as_str(), kind, unlike), ("00345678000106", TaxIdKind::Cnpj, false));
}

#[test]
fn a_wrong_check_digit_of_the_key_is_stored_with_a_warning() {
    let changes = [("CHAVE DE ACESSO", "35240112345678000195550010000070831000062426")];
    assert_eq!(invoice_with(&changes, |invoice| invoice.warnings), [Warning::CheckDigit]);
}

#[test]
fn rejects_name_the_column_what_was_expected_and_what_was_found() {
    for (column, cell, reason, message) in [
        (
            "VALOR NOTA FISCAL",
            "12,3,4",
            Reason::InvalidAmount,
            r#"VALOR NOTA FISCAL: expected a decimal such as 1234,56, found "12,3,4""#,
        ),
        (
            "DATA EMISSÃO",
            "31/02/2024 10:00:00",
            Reason::InvalidDate,
            r#"DATA EMISSÃO: expected a date that exists, such as 31/12/2024 23:59:59, found "31/02/2024 10:00:00""#,
        ),
        ("DATA EMISSÃO", "01/01/1900 00:00:00", Reason::MissingField, "DATA EMISSÃO: expected a date, found nothing"),
        (
            "CHAVE DE ACESSO",
            "123",
            Reason::InvalidAccessKey,
            r#"CHAVE DE ACESSO: expected an access key of 44 characters, not 3, found "123""#,
        ),
        (
            "CHAVE DE ACESSO",
            "",
            Reason::MissingField,
            "CHAVE DE ACESSO: expected an access key of 44 characters, found nothing",
        ),
        (
            "CPF/CNPJ Emitente",
            "12\n3",
            Reason::InvalidTaxId,
            r#"CPF/CNPJ Emitente: expected a CNPJ or CPF without control characters, found "12\n3""#,
        ),
        (
            "CNPJ DESTINATÁRIO",
            "NÃO SE SABE QUEM RECEBEU",
            Reason::ValueTooLong,
            r#"CNPJ DESTINATÁRIO: expected a CNPJ or CPF, or at most 20 bytes of another kind, found "NÃO SE SABE QUEM RECEBEU""#,
        ),
    ] {
        assert_eq!(reject_with(&[(column, cell)]), Reject { reason, message: message.to_owned() });
    }
}

#[test]
fn a_row_with_a_wrong_number_of_columns_is_rejected() {
    let mapping = Mapping::new(portal(), &V1).unwrap();
    let mut long = ROW.to_vec();
    long.push("?");
    for (cells, found) in [(&ROW[..20], 20), (&long[..], 22), (&[][..], 0)] {
        let reject = mapped(&mapping, cells, |outcome| outcome.unwrap_err());
        assert_eq!(reject.reason, Reason::WrongColumnCount);
        assert_eq!(reject.message, format!("expected 21 columns, as in the header, found {found}"));
    }
}

#[test]
fn empty_cells_after_the_last_column_are_ignored_and_a_header_is_told_apart() {
    let mapping = Mapping::new(portal(), &V1).unwrap();
    let surplus = [&ROW[..], &["", ""]].concat();
    assert!(mapped(&mapping, &surplus, |outcome| outcome.is_ok()));
    let is_header = |cells: &[&str]| {
        let cells = FieldsBuf::from_iter(cells);
        mapping.is_header(&Row::decode(cells.as_fields(), &mut Scratch::default()))
    };
    assert!(is_header(&V1) && is_header(&[&V1[..], &[""]].concat()));
    assert!(!is_header(&ROW) && !is_header(&V1[..20]) && !is_header(&[&V1[..], &["x"]].concat()));
}

#[test]
fn a_source_may_have_other_conventions_than_its_layout() {
    let conventions = Conventions { decimal: DecimalConvention::Point, date: DateConvention::Iso, time_zone: None };
    let mapping = Mapping::with_conventions(portal(), &V1, conventions).unwrap();
    let cells = row_with(&[
        ("VALOR NOTA FISCAL", "2040.5"),
        ("DATA EMISSÃO", "2024-01-12 10:20:30"),
        ("DATA/HORA EVENTO MAIS RECENTE", "2024-01-12 10:20:31"),
    ]);
    mapped(&mapping, &cells, |outcome| {
        let invoice = outcome.unwrap();
        assert_eq!(invoice.total.unwrap().as_str(), "2040.5");
        assert_eq!(invoice.issued_at.to_string(), "2024-01-12T10:20:30");
    });
}

#[test]
fn the_first_column_with_a_value_counts() {
    let text = BUILT_IN[0].replace(
        "number = { from = \"NÚMERO\", take = \"integer\" }",
        "number = [\"NÚMERO\", \"SÉRIE\", \"INEXISTENTE\"]",
    );
    let mapping = Mapping::new(Arc::new(Layout::parse(&text).unwrap()), &V1).unwrap();
    for (number, expected) in [("7083", "7083"), ("-1", "1")] {
        mapped(&mapping, &row_with(&[("NÚMERO", number)]), |outcome| {
            assert_eq!(outcome.unwrap().number.as_deref(), Some(expected));
        });
    }
}

#[test]
fn numbers_of_an_invoice_get_zeros_on_the_left() {
    let of = "number = { from = \"NÚMERO\", take = \"integer\" }";
    let text = BUILT_IN[0].replace(of, "number = { from = \"NÚMERO\", take = \"integer\", pad = 6 }");
    let mapping = Mapping::new(Arc::new(Layout::parse(&text).unwrap()), &V1).unwrap();
    for (number, expected) in [("7083", "007083"), ("1234567", "1234567")] {
        mapped(&mapping, &row_with(&[("NÚMERO", number)]), |outcome| {
            assert_eq!(outcome.unwrap().number.as_deref(), Some(expected));
        });
    }
}

#[test]
fn a_tax_id_in_the_recipients_city_is_a_warning_too() {
    let text = BUILT_IN[0].replace("uf = \"UF DESTINATÁRIO\"", "city = \"UF DESTINATÁRIO\"").replacen(
        "absent =",
        "reject = [\"city_is_tax_id\"]\nabsent =",
        1,
    );
    let mapping = Mapping::new(Arc::new(Layout::parse(&text).unwrap()), &V1).unwrap();
    mapped(&mapping, &row_with(&[("UF DESTINATÁRIO", "20.235.404/0001-71")]), |outcome| {
        let reject = outcome.unwrap_err();
        assert_eq!(reject.reason, Reason::Warning(Warning::CityIsTaxId));
        let expected = "UF DESTINATÁRIO: expected the name of a city, not a CNPJ or CPF, found \"20.235.404/0001-71\"";
        assert_eq!(reject.message, expected);
    });
    mapped(&mapping, &row_with(&[("UF DESTINATÁRIO", "CURITIBA 2")]), |outcome| assert!(outcome.is_ok()));
}

/// Maps every row of a file to the JSON of its record or to its reject. Trailers are skipped.
fn read(bytes: &[u8], delimiter: u8, own: &[Arc<Layout>]) -> (Mapping, Vec<Result<serde_json::Value, Reject>>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_reader(bytes);
    let records: Vec<FieldsBuf> =
        reader.byte_records().map(|record| record.unwrap().iter().collect::<FieldsBuf>()).collect();
    let mut scratch = Scratch::default();
    let header: Vec<String> = Row::decode(records[0].as_fields(), &mut scratch).iter().map(str::to_owned).collect();
    let detection = Detection::of(&header, own, built_in());
    let Detection::Fits(layout) = detection else { panic!("{detection}") };
    let mapping = Mapping::new(Arc::clone(&layout), &header).unwrap();
    let mut votes = ConventionVotes::new(&mapping);
    for fields in &records[1..] {
        votes.see(&Row::decode(fields.as_fields(), &mut scratch));
    }
    let mapping = Mapping::with_conventions(layout, &header, votes.decide()).unwrap();
    let mut outcomes = Vec::new();
    for fields in &records[1..] {
        let row = Row::decode(fields.as_fields(), &mut scratch);
        if !mapping.is_trailer(&row) {
            outcomes.push(map(&mapping, &row).map(|record| json(&record)));
        }
    }
    (mapping, outcomes)
}

/// Returns the JSON of a record as in the API; of a line or an event with the id of its invoice.
fn json(record: &Record<'_>) -> serde_json::Value {
    let with_id = |value: serde_json::Value, id: &str| {
        let mut value = value;
        value["invoice"] = id.into();
        value
    };
    match record {
        Record::Invoice(invoice) => serde_json::to_value(invoice).unwrap(),
        Record::Line(line) => with_id(serde_json::to_value(line).unwrap(), &line.invoice),
        Record::Event(event) => with_id(serde_json::to_value(event).unwrap(), &event.invoice),
        Record::InvoiceLine(both) => {
            assert_eq!(both.0.id, both.1.invoice);
            serde_json::json!({ "invoice": both.0, "line": both.1 })
        }
        Record::InvoiceWithLines(all) => serde_json::json!({ "invoice": all.0, "lines": all.1 }),
    }
}

fn fixture(bytes: &[u8]) -> Vec<Result<serde_json::Value, Reject>> {
    read(bytes, b';', &[]).1
}

fn column(outcomes: &[Result<serde_json::Value, Reject>], pointer: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| match value.pointer(pointer) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "absent".to_owned(),
    };
    outcomes.iter().map(|outcome| text(outcome.as_ref().unwrap())).collect()
}

#[test]
fn fixture_portal_v1() {
    let outcomes = fixture(include_bytes!("../../../fixtures/portal-v1.csv"));
    assert_eq!(column(&outcomes, "/warnings"), ["[]"; 12]);
    let operations = column(&outcomes, "/operation");
    assert_eq!(
        operations[1..4],
        ["VENDA; ENTREGA FUTURA", "VENDA DE TUBO 1/2\" PVC", "REMESSA POR CONTA E ORDEM\r\nDE TERCEIROS"]
    );
    assert_eq!(operations[9], "PREÇO EM € “À VISTA”");
    let statuses = column(&outcomes, "/status");
    assert_eq!(statuses[3..8], ["authorized", "cancelled", "denied", "authorized", "unknown"]);
    let absent = outcomes[7].as_ref().unwrap();
    assert!(
        ["/status_text", "/status_at", "/issuer/state_registration", "/issuer/city"]
            .iter()
            .all(|pointer| absent.pointer(pointer).is_none())
    );
    let totals = column(&outcomes, "/total");
    assert_eq!([&totals[1], &totals[3], &totals[9]], ["0.00", "98765432.10", "-10.50"]);
    assert_eq!(column(&outcomes, "/issuer/tax_id_kind")[8], "masked");
    assert_eq!(column(&outcomes, "/issuer/tax_id")[10], column(&outcomes, "/issuer/tax_id")[0]);
    assert_eq!(column(&outcomes, "/recipient/tax_id")[11], column(&outcomes, "/recipient/tax_id")[0]);
    assert_eq!(column(&outcomes, "/issuer/city")[2], "UBERLÂNDIA");
}

#[test]
fn fixture_portal_v2() {
    let outcomes = fixture(include_bytes!("../../../fixtures/portal-v2.csv"));
    assert_eq!(
        column(&outcomes, "/extra/recipient_agency"),
        ["Universidade Federal do Planalto", "Comando do Exército", "absent"]
    );
    assert_eq!(column(&outcomes, "/status"), ["authorized", "authorized", "cancelled"]);
}

#[test]
fn fixture_same_key_five_times() {
    let outcomes = fixture(include_bytes!("../../../fixtures/same-key-five-times.csv"));
    let ids = column(&outcomes, "/id");
    assert_eq!(ids.iter().filter(|id| **id == ids[0]).count(), 5);
    assert_eq!(column(&outcomes, "/total").last().unwrap(), "50.00");
}

#[test]
fn fixture_bad_rows() {
    let outcomes = fixture(include_bytes!("../../../fixtures/bad-rows.csv"));
    let reasons: Vec<&str> =
        outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(|reject| reject.reason.as_str(), |_| "")).collect();
    assert_eq!(
        reasons,
        [
            "",
            "invalid_access_key",
            "invalid_access_key",
            "missing_field",
            "invalid_date",
            "missing_field",
            "invalid_amount",
            "value_too_long",
            "wrong_column_count",
            "wrong_column_count",
            "invalid_date",
            "",
        ]
    );
}

#[test]
fn fixture_wrong_check_digits() {
    let outcomes = fixture(include_bytes!("../../../fixtures/wrong-check-digits.csv"));
    let expected = [r#"["check_digit"]"#, r#"["check_digit"]"#, r#"["issuer_unlike_key"]"#, "[]"];
    assert_eq!(column(&outcomes, "/warnings"), expected);
}

#[test]
fn fixture_mixed_encodings() {
    let outcomes = fixture(include_bytes!("../../../fixtures/mixed-encodings.csv"));
    let names = ["AURORA", "AURORA", "SÃO JOÃO LTDA €", "SÃO JOÃO LTDA €"];
    assert_eq!(column(&outcomes, "/issuer/name"), names);
}

#[test]
fn fixtures_without_records() {
    assert!(fixture(include_bytes!("../../../fixtures/header-only.csv")).is_empty());
    assert!(include_bytes!("../../../fixtures/empty.csv").is_empty());
    let unknown = String::from_utf8_lossy(include_bytes!("../../../fixtures/unknown-header.csv")).into_owned();
    let header: Vec<&str> = unknown.lines().next().unwrap().split(';').map(|name| name.trim_matches('"')).collect();
    let Detection::Unknown { tried, .. } = detect(&header) else { panic!("two required columns lack") };
    let portal = tried.iter().find(|tried| tried.layout == "portal-invoice").unwrap();
    // The file is not UTF-8. Read as UTF-8 it loses its accents, and the columns that have accents are not found.
    assert!(portal.missing.contains(&"EVENTO MAIS RECENTE".to_owned()));
    assert!(portal.missing.contains(&"VALOR NOTA FISCAL".to_owned()));
}
