//! What the generator promises, seen through the `csv` crate and the mapping.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::HashMap;

use csv_async::ByteRecord;

use super::*;
use crate::layout::{Detection, Mapping, Reason, Record, Row, Scratch, detect};

fn generated(options: GenerateOptions) -> Vec<u8> {
    let mut generator = Generator::new(options);
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    bytes
}

fn records(bytes: &[u8]) -> (Vec<String>, Vec<ByteRecord>) {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).has_headers(false).from_reader(bytes);
    let convert = |record: csv::ByteRecord| record.iter().collect::<ByteRecord>();
    let mut records = reader.byte_records().map(|record| convert(record.unwrap()));
    let header = records.next().unwrap();
    let mut scratch = Scratch::default();
    let header = Row::decode(&header, &mut scratch).iter().map(str::to_owned).collect();
    (header, records.collect())
}

fn mapping(header: &[String]) -> Mapping {
    let Detection::Fits(layout) = detect(header) else { unreachable!("{}", detect(header)) };
    Mapping::new(layout, header).unwrap()
}

const MIXED: GenerateOptions =
    GenerateOptions { records: 20_000, seed: 7, layout_version: LayoutVersion::V1, duplicates: 0.2, bad: 0.1 };

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    let options = GenerateOptions { records: 2_000, ..MIXED };
    let bytes = generated(options);
    assert_eq!(bytes, generated(options));
    assert_ne!(bytes, generated(GenerateOptions { seed: 8, ..options }));
    // More records are more of the same.
    assert!(generated(GenerateOptions { records: 3_000, ..options }).starts_with(&bytes));
}

#[test]
fn the_bytes_of_a_version_stay_what_they_are() {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(generated(GenerateOptions { records: 1_000, ..MIXED }));
    assert_eq!(hash[..4], [30, 63, 59, 244], "if the generator was changed on purpose, change this too");
}

#[test]
fn pieces_are_whole_and_large_enough() {
    let mut generator = Generator::new(MIXED);
    let mut whole = Vec::new();
    let mut piece = Vec::new();
    let mut sizes = Vec::new();
    while generator.fill(&mut piece) {
        assert!(piece.ends_with(b"\r\n"));
        sizes.push(piece.len());
        whole.append(&mut piece);
    }
    assert!(!generator.fill(&mut piece) && piece.is_empty());
    let (last, full) = sizes.split_last().unwrap();
    assert!(full.iter().all(|size| (CHUNK_BYTES..CHUNK_BYTES + 2_000).contains(size)), "{sizes:?}");
    assert!(*last > 0);
    assert_eq!(whole, generated(MIXED));
}

#[test]
fn no_records_are_a_header() {
    let bytes = generated(GenerateOptions { records: 0, ..MIXED });
    assert_eq!(records(&bytes).0.len(), 21);
    assert!(records(&bytes).1.is_empty());
}

#[test]
fn good_records_map_without_reject_or_warning_under_keys_of_their_own() {
    for layout_version in [LayoutVersion::V1, LayoutVersion::V2] {
        let options = GenerateOptions { duplicates: 0.0, bad: 0.0, layout_version, ..MIXED };
        let bytes = generated(options);
        let (header, rows) = records(&bytes);
        assert_eq!(rows.len() as u64, options.records);
        let mapping = mapping(&header);
        let mut scratch = Scratch::default();
        let (mut issuers, mut months) = (HashMap::<String, u64>::new(), HashMap::<i8, u64>::new());
        let mut keys = std::collections::HashSet::new();
        let (mut hard, mut people) = (0, 0);
        for fields in &rows {
            let row = Row::decode(fields, &mut scratch);
            let Record::Invoice(invoice) = mapping.map(&row).unwrap();
            assert_eq!(invoice.warnings, [], "{invoice:?}");
            let key = invoice.access_key.unwrap();
            assert!(key.check_digit_ok() && keys.insert(invoice.id.to_string()), "{invoice:?}");
            assert_eq!(invoice.number.as_deref(), Some(key.number()));
            assert_eq!(invoice.series.as_deref(), Some(key.series()));
            assert_eq!(invoice.issuer.uf.as_deref(), Some(key.uf()));
            let date = invoice.issued_at.local.date();
            assert_eq!((i32::from(date.year()), date.month().unsigned_abs()), {
                let (year, month) = key.year_month();
                (i32::from(year), month)
            });
            *issuers.entry(invoice.issuer.tax_id.unwrap().text.to_string()).or_default() += 1;
            *months.entry(date.month()).or_default() += 1;
            let operation = invoice.operation.unwrap();
            hard += u64::from(operation.contains([';', '"', '\n']));
            people += u64::from(invoice.issuer.tax_id.unwrap().text.contains('*'));
        }
        let busiest = *issuers.values().max().unwrap();
        assert!((3_800..4_400).contains(&busiest), "one in five of one issuer: {busiest}");
        assert!(issuers.len() > 1_000 && months.len() == 12, "{} {months:?}", issuers.len());
        assert!((250..650).contains(&hard) && (60..400).contains(&people), "{hard} {people}");
        let average = bytes.len() / rows.len();
        assert!((400..560).contains(&average), "{average} bytes a record");
    }
}

#[test]
fn bad_records_and_only_they_are_rejected() {
    let bytes = generated(MIXED);
    let (header, rows) = records(&bytes);
    let (mapping, generator) = (mapping(&header), Generator::new(MIXED));
    let mut scratch = Scratch::default();
    let mut reasons = HashMap::<Reason, u64>::new();
    let mut keys = std::collections::HashSet::new();
    let mut with_an_earlier_key = 0;
    for (index, fields) in (0..).zip(&rows) {
        let row = Row::decode(fields, &mut scratch);
        match mapping.map(&row) {
            Ok(record) => {
                assert!(!matches!(generator.class(index), Class::Bad(_)), "record {index}");
                keys.insert(record.id().to_owned());
            }
            Err(reject) => {
                assert!(matches!(generator.class(index), Class::Bad(_)), "record {index}: {reject:?}");
                *reasons.entry(reject.reason).or_default() += 1;
                with_an_earlier_key += u64::from(row.get(0).is_some_and(|key| keys.contains(key)));
            }
        }
    }
    let bad: u64 = reasons.values().sum();
    assert!((1_850..2_150).contains(&bad), "a tenth: {bad}");
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    assert!(reasons.values().all(|&count| count > 120), "{reasons:?}");
    assert!((bad / 4..bad / 2).contains(&with_an_earlier_key), "a third of {bad}: {with_an_earlier_key}");
}

#[test]
fn repeated_records_have_a_key_of_before_and_half_are_the_same() {
    let bytes = generated(GenerateOptions { bad: 0.0, ..MIXED });
    let (_, rows) = records(&bytes);
    let mut first = HashMap::<Vec<u8>, ByteRecord>::new();
    let (mut exact, mut changed, mut cancelled) = (0, 0, 0);
    for row in rows {
        match first.get(&row[0]) {
            None => {
                first.insert(row[0].to_vec(), row);
            }
            Some(earlier) if *earlier == row => exact += 1,
            Some(earlier) => {
                let differing: Vec<usize> = (0..21).filter(|&at| earlier[at] != row[at]).collect();
                assert!(differing.contains(&20) && differing.iter().all(|at| [6, 7, 20].contains(at)), "{differing:?}");
                changed += 1;
                cancelled += usize::from(row[6].starts_with(b"Cancelamento"));
            }
        }
    }
    assert!((3_800..4_200).contains(&(exact + changed)), "a fifth: {exact} + {changed}");
    assert!((1_800..2_200).contains(&exact) && (1_800..2_200).contains(&changed), "{exact} {changed}");
    assert!((850..1_250).contains(&cancelled), "{cancelled}");
}

#[test]
fn shares_at_their_ends() {
    let counted = |duplicates: f64, bad: f64| {
        let options = GenerateOptions { records: 300, duplicates, bad, ..MIXED };
        let bytes = generated(options);
        let (header, rows) = records(&bytes);
        let mapping = mapping(&header);
        let mut scratch = Scratch::default();
        let ids = rows.iter().filter_map(|fields| {
            let row = Row::decode(fields, &mut scratch);
            mapping.map(&row).ok().map(|record| record.id().to_owned())
        });
        let ids: Vec<String> = ids.collect();
        let distinct = ids.iter().collect::<std::collections::HashSet<_>>().len();
        (rows.len(), ids.len(), distinct)
    };
    assert_eq!(counted(1.0, 0.0), (300, 300, 1));
    assert_eq!(counted(0.0, 1.0), (300, 0, 0));
    assert_eq!(counted(9.0, f64::NAN), (300, 300, 1));
    assert_eq!(counted(-1.0, 0.0), (300, 300, 300));
}
