//! What the generator promises, seen through the `csv` crate and the mapping.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;

use notaflux_records::file;

use super::*;
use crate::class::{Class, EXTRA_ROWS_LIMIT};
use crate::generator::CHUNK_BYTES;
use crate::records::Records;
use notaflux_invoice::AccessKey;
use notaflux_layout::{Detection, Mapping, Reason, Record, Row, Scratch, detect};
use notaflux_records::container::{Contents, open_entry};
use notaflux_records::record::FieldsBuf;

fn generated(options: GenerateOptions) -> Vec<u8> {
    file(PortalFile::Invoices, options)
}

fn file(file: PortalFile, options: GenerateOptions) -> Vec<u8> {
    let mut generator = Generator::of(file, options);
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    bytes
}

fn records(bytes: &[u8]) -> (Vec<String>, Vec<FieldsBuf>) {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).has_headers(false).from_reader(bytes);
    let convert = |record: csv::ByteRecord| record.iter().collect::<FieldsBuf>();
    let mut records = reader.byte_records().map(|record| convert(record.unwrap()));
    let header = records.next().unwrap();
    let mut scratch = Scratch::default();
    let header = Row::decode(header.as_fields(), &mut scratch).iter().map(str::to_owned).collect();
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
    assert_eq!(hash[..4], [163, 212, 13, 138], "if the generator was changed on purpose, change this too");
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
fn no_records_are_a_header_or_an_empty_array() {
    let bytes = generated(GenerateOptions { records: 0, ..MIXED });
    assert_eq!(records(&bytes).0.len(), 21);
    assert!(records(&bytes).1.is_empty());
    let none = GenerateOptions { records: 0, ..MIXED };
    for (form, bytes) in [(JsonForm::Ndjson, &b""[..]), (JsonForm::Array, b"[]\n")] {
        assert_eq!(written(Generator::nfe(form, none)), bytes);
        assert_eq!(written(Generator::json_of(PortalFile::Lines, form, none)), bytes);
    }
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
            let row = Row::decode(fields.as_fields(), &mut scratch);
            let Record::Invoice(invoice) = mapping.map(&row).unwrap() else { unreachable!() };
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
    let (mapping, expected) = (mapping(&header), Records::new(&MIXED));
    let mut scratch = Scratch::default();
    let mut reasons = HashMap::<Reason, u64>::new();
    let mut keys = std::collections::HashSet::new();
    let mut with_an_earlier_key = 0;
    for (index, fields) in (0..).zip(&rows) {
        let row = Row::decode(fields.as_fields(), &mut scratch);
        match mapping.map(&row) {
            Ok(record) => {
                assert_ne!(expected.class(index), Class::Bad, "record {index}");
                keys.insert(record.id().to_owned());
            }
            Err(reject) => {
                assert_eq!(expected.class(index), Class::Bad, "record {index}: {reject:?}");
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
    let rows: Vec<Vec<&[u8]>> = rows.iter().map(|row| row.as_fields().iter().collect()).collect();
    let mut first = HashMap::new();
    let (mut exact, mut changed, mut cancelled) = (0, 0, 0);
    for row in &rows {
        match first.get(row[0]) {
            None => {
                first.insert(row[0], row);
            }
            Some(&earlier) if earlier == row => exact += 1,
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
            let row = Row::decode(fields.as_fields(), &mut scratch);
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

/// Rows of text, decoded, with the header first.
fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).has_headers(false).from_reader(bytes);
    let decode = |field: &[u8]| encoding_rs::WINDOWS_1252.decode(field).0.into_owned();
    reader.byte_records().map(|record| record.unwrap().iter().map(decode).collect()).collect()
}

fn cents(text: &str) -> Option<u64> {
    let (whole, hundredths) = text.split_once(',')?;
    (hundredths.len() == 2).then_some(())?;
    Some(whole.parse::<u64>().ok()? * 100 + hundredths.parse::<u64>().ok()?)
}

fn is_key(text: &str) -> bool {
    AccessKey::parse(text).is_ok()
}

fn is_date(text: &str) -> bool {
    jiff::civil::DateTime::strptime("%d/%m/%Y %H:%M:%S", text).is_ok()
}

/// Of each key of the invoice file its first row without flaw.
fn invoices(options: GenerateOptions) -> HashMap<String, Vec<String>> {
    let columns = if options.layout_version == LayoutVersion::V1 { 21 } else { 25 };
    let mut invoices = HashMap::new();
    for row in rows(&generated(options)).into_iter().skip(1) {
        let is_good = row.len() == columns
            && is_key(&row[0])
            && is_date(&row[5])
            && row[8].len() <= 14
            && cents(&row[columns - 1]).is_some();
        if is_good {
            invoices.entry(row[0].clone()).or_insert(row);
        }
    }
    invoices
}

/// Whether a row of lines, of 27 columns without those of the agency, is right.
fn is_good_line(row: &[String]) -> bool {
    let tail = &row[row.len() - 9..];
    is_key(&row[0])
        && tail[0].parse::<u32>().is_ok_and(|number| number > 0)
        && [5, 7, 8].iter().all(|&at| cents(&tail[at]).is_some())
}

#[test]
fn headers_are_those_of_the_portal() {
    let header =
        |of, layout_version| rows(&file(of, GenerateOptions { records: 0, layout_version, ..MIXED })).remove(0);
    let invoices = header(PortalFile::Invoices, LayoutVersion::V2);
    for layout_version in [LayoutVersion::V1, LayoutVersion::V2] {
        let lines = header(PortalFile::Lines, layout_version);
        assert_eq!(lines.len(), if layout_version == LayoutVersion::V1 { 27 } else { 31 });
        // Those of invoices that stand in lines too stand there in the same order.
        let common: Vec<&String> = lines.iter().filter(|name| invoices.contains(name)).collect();
        assert_eq!(common.len(), lines.len() - 9);
        assert!(invoices.iter().filter(|name| lines.contains(name)).eq(common));
        assert_eq!(lines[lines.len() - 9], "NÚMERO PRODUTO");
        assert_eq!(header(PortalFile::Events, layout_version).len(), 10);
    }
    assert_eq!(
        header(PortalFile::Events, LayoutVersion::V1)[6..],
        ["EVENTO", "DATA/HORA EVENTO", "DESCRIÇÃO EVENTO", "MOTIVO EVENTO"]
    );
}

#[test]
fn lines_and_events_are_functions_of_seed_and_index() {
    use sha2::{Digest, Sha256};
    let options = GenerateOptions { records: 2_000, ..MIXED };
    for (of, hash) in [(PortalFile::Lines, [27, 16, 60, 197]), (PortalFile::Events, [226, 78, 170, 33])] {
        let bytes = file(of, options);
        assert_ne!(bytes, file(of, GenerateOptions { seed: 8, ..options }));
        assert!(file(of, GenerateOptions { records: 3_000, ..options }).starts_with(&bytes));
        assert_eq!(Sha256::digest(&bytes)[..4], hash, "if the generator was changed on purpose, change this too");
    }
}

#[test]
fn every_invoice_has_its_lines_and_they_add_up() {
    for layout_version in [LayoutVersion::V1, LayoutVersion::V2] {
        let options = GenerateOptions { layout_version, bad: 0.0, duplicates: 0.0, ..MIXED };
        let bytes = file(PortalFile::Lines, options);
        let rows = rows(&bytes).split_off(1);
        let columns = if layout_version == LayoutVersion::V1 { 27 } else { 31 };
        let mut lines = HashMap::<String, Vec<Vec<String>>>::new();
        for row in rows {
            assert!(row.len() == columns && is_good_line(&row), "{row:?}");
            lines.entry(row[0].clone()).or_default().push(row);
        }
        let invoices = invoices(options);
        assert_eq!((invoices.len(), lines.len()), (20_000, 20_000));
        let (mut count, mut adding_up, mut hard, mut long) = (0, 0, 0, 0);
        for (key, lines) in &lines {
            let invoice = &invoices[key];
            // All columns but those of the event and the total are the invoice's.
            let of_invoice: Vec<&String> = invoice[..6].iter().chain(&invoice[8..invoice.len() - 1]).collect();
            let mut sum = 0;
            for (number, line) in (1..).zip(lines) {
                assert!(line[..columns - 9].iter().eq(of_invoice.iter().copied()), "{line:?}");
                let line = &line[columns - 9..];
                assert_eq!(line[0].parse(), Ok(number), "{line:?}");
                assert_eq!((line[2].len(), line[4].len()), (8, 4));
                let [quantity, price, total] = [5, 7, 8].map(|at| cents(&line[at]).unwrap());
                assert!(quantity > 0 && price > 0 && quantity * price == total * 100, "{line:?}");
                hard += u64::from(line[1].contains(['"', ';', '\n']));
                sum += total;
            }
            count += lines.len();
            long += u64::from(lines.len() >= 20);
            adding_up += u64::from(Some(sum) == cents(invoice.last().unwrap()));
        }
        assert!((70_000..75_000).contains(&count), "3.6 of each: {count}");
        assert!((18_800..19_200).contains(&adding_up), "nineteen in twenty: {adding_up}");
        assert!((1_000..1_900).contains(&hard) && (8..40).contains(&long), "{hard} {long}");
        assert!((480..720).contains(&(bytes.len() / count)), "{} bytes a row", bytes.len() / count);
    }
}

#[test]
fn lines_repeat_and_are_bad_as_asked() {
    let rows = rows(&file(PortalFile::Lines, MIXED)).split_off(1);
    let invoices = invoices(MIXED);
    let mut first = HashMap::<(String, String), Vec<String>>::new();
    let (mut keys, mut latest) = (std::collections::HashSet::new(), String::new());
    let (mut bad, mut exact, mut changed, mut far) = (0, 0, 0, 0);
    for row in &rows {
        if row.len() != 27 || !is_good_line(row) {
            bad += 1;
            continue;
        }
        assert!(invoices.contains_key(&row[0]), "{row:?}");
        if keys.insert(row[0].clone()) {
            latest.clone_from(&row[0]);
        }
        match first.get(&(row[0].clone(), row[18].clone())) {
            None => {
                first.insert((row[0].clone(), row[18].clone()), row.clone());
            }
            Some(earlier) => {
                let differing: Vec<usize> = (0..27).filter(|&at| earlier[at] != row[at]).collect();
                assert!(differing.is_empty() || differing == [23, 26], "{differing:?}");
                *(if differing.is_empty() { &mut exact } else { &mut changed }) += 1;
                far += usize::from(row[0] != latest);
            }
        }
    }
    assert_eq!(keys.len(), invoices.len(), "every invoice has lines");
    for count in [bad, exact, changed, far] {
        let in_a_thousand = count * 1_000 / rows.len();
        assert!((90..=110).contains(&in_a_thousand), "a tenth: {bad} {exact} {changed} {far}");
    }
}

#[test]
fn each_flaw_of_a_line_or_an_event_is_there_and_is_one() {
    let mut seen = HashMap::<&str, u64>::new();
    for row in rows(&file(PortalFile::Lines, GenerateOptions { duplicates: 0.0, ..MIXED })).iter().skip(1) {
        let flaws = match row.len() {
            26 => vec!["column less"],
            28 => vec!["column more"],
            _ => [
                (!is_key(&row[0]), "key"),
                (row[18].is_empty(), "no number"),
                (row[18] == "0", "number 0"),
                (row[18] == "A1", "letters"),
                (cents(&row[23]).is_none(), "quantity"),
                (cents(&row[25]).is_none(), "price"),
                (cents(&row[26]).is_none(), "total"),
            ]
            .into_iter()
            .filter_map(|(is_there, flaw)| is_there.then_some(flaw))
            .collect(),
        };
        assert!(flaws.len() <= 1, "{flaws:?} {row:?}");
        for flaw in flaws {
            *seen.entry(flaw).or_default() += 1;
        }
    }
    assert!(seen.len() == 9 && seen.values().all(|&count| count > 300), "{seen:?}");
    let mut seen = HashMap::<&str, u64>::new();
    for row in rows(&file(PortalFile::Events, GenerateOptions { records: 100_000, ..MIXED })).iter().skip(1) {
        let flaw = match row.len() {
            9 => "column less",
            11 => "column more",
            _ if !is_key(&row[0]) => "key",
            _ if row[7].is_empty() => "no date",
            _ if !is_date(&row[7]) => "date",
            _ => "none",
        };
        *seen.entry(flaw).or_default() += 1;
    }
    assert!(seen.len() == 6 && seen.values().all(|&count| count > 20), "{seen:?}");
}

#[test]
fn events_are_later_than_their_invoices_and_a_fifth_cancel() {
    let options = GenerateOptions { records: 40_000, bad: 0.0, ..MIXED };
    let rows = rows(&file(PortalFile::Events, options)).split_off(1);
    let invoices = invoices(options);
    let date = |text: &str| jiff::civil::DateTime::strptime("%d/%m/%Y %H:%M:%S", text).unwrap();
    let mut first = HashMap::<(String, String), Vec<String>>::new();
    let (mut with_events, mut texts) = (HashMap::<String, bool>::new(), HashMap::<String, u64>::new());
    let (mut exact, mut changed, mut only_here) = (0, 0, 0);
    for row in &rows {
        assert_eq!(row.len(), 10);
        let invoice = &invoices[&row[0]];
        assert_eq!(row[..6], invoice[..6]);
        assert_ne!(invoice[6], "Uso Denegado");
        match first.get(&(row[0].clone(), row[7].clone())) {
            Some(earlier) if earlier == row => exact += 1,
            Some(earlier) => {
                assert!(earlier[..9] == row[..9] && earlier[9] != row[9], "{row:?}");
                changed += 1;
            }
            None => {
                first.insert((row[0].clone(), row[7].clone()), row.clone());
                *texts.entry(row[6].clone()).or_default() += 1;
                let cancels = row[6].starts_with("Cancelamento");
                let is_over = with_events.insert(row[0].clone(), cancels);
                assert_ne!(is_over, Some(true), "nothing after a cancellation");
                let at = date(&row[7]);
                assert!(at >= date(&invoice[5]));
                if cancels {
                    assert!(at > date(&invoice[7]), "{row:?}");
                    only_here += u64::from(!invoice[6].starts_with("Cancelamento"));
                }
            }
        }
    }
    let invoices_with_events = with_events.len() * 1_000 / invoices.len();
    assert!((40..60).contains(&invoices_with_events), "{invoices_with_events} in a thousand");
    let cancellations = with_events.values().filter(|cancels| **cancels).count() * 100 / first.len();
    assert!((15..28).contains(&cancellations) && only_here > 200, "{cancellations} % {only_here}");
    assert!(texts.len() == 8 && texts.values().all(|&count| count > 20), "{texts:?}");
    let repeated = (exact + changed) * 100 / rows.len();
    assert!((17..24).contains(&repeated) && exact * 3 > changed && changed * 3 > exact, "{exact} {changed}");
}

#[test]
fn lines_end_however_high_the_shares() {
    for (duplicates, bad) in [(1.0, 0.0), (0.0, 1.0), (f64::NAN, 9.0), (-1.0, -1.0)] {
        let options = GenerateOptions { records: 300, duplicates, bad, ..MIXED };
        let of_keys: usize = rows(&file(PortalFile::Lines, options)).len() - 1;
        let good = duplicates < 0.0;
        assert!(if good { of_keys > 900 } else { of_keys <= 8 * (EXTRA_ROWS_LIMIT + 1) }, "{of_keys}");
    }
}

#[test]
fn the_archive_holds_the_three_files() {
    use std::io::Read;
    for layout_version in [LayoutVersion::V1, LayoutVersion::V2] {
        let options = GenerateOptions { records: 3_000, layout_version, ..MIXED };
        let mut bytes = Vec::new();
        write_archive(options, &mut bytes).unwrap();
        let mut again = Vec::new();
        write_archive(options, &mut again).unwrap();
        assert!(bytes == again, "the same options give the same bytes");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 3);
        for (at, of) in PortalFile::ALL.into_iter().enumerate() {
            let mut entry = archive.by_index(at).unwrap();
            assert_eq!(entry.name().unwrap(), of.name());
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            assert!(contents == file(of, options), "{of:?}");
        }
    }
}

#[tokio::test]
async fn our_reader_opens_the_archive() {
    use tokio::io::AsyncReadExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("202412_NFe.zip");
    let options = GenerateOptions { records: 3_000, ..MIXED };
    write_archive(options, std::fs::File::create(&path).unwrap()).unwrap();
    let source = file::open(&path).await.unwrap();
    let entries = Contents::inspect(&source).await.unwrap().entries;
    assert_eq!(entries.len(), 3);
    for (entry, of) in entries.iter().zip(PortalFile::ALL) {
        assert_eq!(entry.name.as_deref(), Some(of.name()));
        let mut contents = Vec::new();
        open_entry(&source, entry, 0, true).await.unwrap().read_to_end(&mut contents).await.unwrap();
        assert!(contents == file(of, options), "{of:?}");
    }
}

#[test]
fn an_archive_tells_that_its_target_fails() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for limit in [0, 10, 100_000] {
        let error = write_archive(MIXED, Full(limit)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
    }
}

fn written(mut generator: Generator) -> Vec<u8> {
    let mut bytes = Vec::new();
    while generator.fill(&mut bytes) {}
    bytes
}

/// The lines of a file, which end in a line break.
fn lines_of(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).unwrap().split_terminator('\n').collect()
}

/// The values of NDJSON; None for those that are no JSON.
fn ndjson(bytes: &[u8]) -> Vec<Option<Value>> {
    lines_of(bytes).into_iter().map(|line| serde_json::from_str(line).ok()).collect()
}

/// The values of an array on one line.
fn array(bytes: &[u8]) -> Vec<Option<Value>> {
    let [line] = lines_of(bytes)[..] else { unreachable!("one line") };
    serde_json::from_str(line).unwrap()
}

fn documents(options: GenerateOptions) -> Vec<Value> {
    ndjson(&written(Generator::nfe(JsonForm::Ndjson, options))).into_iter().map(Option::unwrap).collect()
}

/// The text at a path of an invoice, of which `null` and nothing are none.
fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    path.split('.').try_fold(value, |value, name| value.get(name))?.as_str()
}

fn of_invoice<'v>(document: &'v Value, path: &str) -> Option<&'v str> {
    text(&document["nfeProc"]["NFe"]["infNFe"], path)
}

fn total<'v>(document: &'v Value, name: &str) -> Option<&'v str> {
    of_invoice(document, &format!("total.ICMSTot.{name}"))
}

fn point_cents(text: Option<&str>) -> Option<u64> {
    let (whole, hundredths) = text?.split_once('.')?;
    (hundredths.len() == 2 || hundredths.len() == 4 && hundredths.ends_with("00")).then_some(())?;
    Some(whole.parse::<u64>().ok()? * 100 + hundredths[..2].parse::<u64>().ok()?)
}

fn dets(document: &Value) -> Vec<&Value> {
    match &document["nfeProc"]["NFe"]["infNFe"]["det"] {
        Value::Array(dets) => {
            assert!(dets.len() > 1, "one line is no list");
            dets.iter().collect()
        }
        det => vec![det],
    }
}

/// `2024-12-31T23:59:59-03:00` as the CSV has it.
fn portal_date(text: Option<&str>) -> Option<String> {
    let at = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M:%S-03:00", text?).ok()?;
    Some(at.strftime("%d/%m/%Y %H:%M:%S").to_string())
}

/// A document has ten times the bytes of a row.
const MIXED_DOCUMENTS: GenerateOptions = GenerateOptions { records: 6_000, ..MIXED };

const CLEAN: GenerateOptions = GenerateOptions { duplicates: 0.0, bad: 0.0, ..MIXED_DOCUMENTS };

#[test]
fn documents_are_the_invoices_of_the_files() {
    let rows = rows(&generated(CLEAN)).split_off(1);
    let bytes = written(Generator::nfe(JsonForm::Ndjson, CLEAN));
    let documents = documents(CLEAN);
    assert_eq!(rows.len(), documents.len());
    let (mut consumers, mut nameless, mut producers, mut statuses) = (0, 0, 0, HashMap::<&str, u64>::new());
    for (row, document) in rows.iter().zip(&documents) {
        let id = of_invoice(document, "@Id").unwrap().strip_prefix("NFe").unwrap();
        let protocol = &document["nfeProc"]["protNFe"]["infProt"];
        assert_eq!(text(protocol, "chNFe"), Some(id));
        let key = AccessKey::parse(id).unwrap();
        assert!(key.check_digit_ok(), "{id}");
        let is_of_consumer = &id[20..22] == "65";
        assert_eq!((&id[..20], &id[22..43]), (&row[0][..20], &row[0][22..43]));
        assert!(is_of_consumer || id == row[0]);
        let number = id[25..34].trim_start_matches('0');
        for (path, part) in [("ide.nNF", number), ("ide.cNF", &id[35..43]), ("ide.cDV", &id[43..])] {
            assert_eq!(of_invoice(document, path), Some(part), "{path}");
        }
        let of_row = |at: usize| Some(row[at].as_str());
        assert_eq!(of_invoice(document, "ide.mod"), Some(&id[20..22]));
        for (path, at) in [("ide.serie", 2), ("ide.nNF", 3), ("ide.natOp", 4), ("emit.xNome", 9)] {
            assert_eq!(of_invoice(document, path), of_row(at), "{path}");
        }
        assert_eq!(portal_date(of_invoice(document, "ide.dhEmi")), Some(row[5].clone()));
        assert_eq!(of_invoice(document, "emit.enderEmit.UF"), of_row(11));
        match of_invoice(document, "emit.CPF") {
            Some(cpf) => {
                producers += 1;
                assert_eq!(row[8], format!("***.{}.{}-**", &cpf[3..6], &cpf[6..9]));
                assert_eq!(&id[9..20], cpf);
            }
            None => assert_eq!(of_invoice(document, "emit.CNPJ"), of_row(8)),
        }
        if is_of_consumer {
            consumers += 1;
            nameless += usize::from(document["nfeProc"]["NFe"]["infNFe"].get("dest").is_none());
            assert!(of_invoice(document, "dest.CNPJ").is_none() && row[11] == row[15]);
        } else {
            assert_eq!(
                [of_invoice(document, "dest.CNPJ"), of_invoice(document, "dest.xNome")],
                [of_row(13), of_row(14)]
            );
        }
        assert_eq!(point_cents(total(document, "vNF")), cents(&row[20]));
        let status = text(protocol, "cStat").unwrap();
        let expected = [("Cancelamento da NF-e", "101"), ("Uso Denegado", "110")];
        assert_eq!(status, expected.iter().find(|(event, _)| *event == row[6]).map_or("100", |(_, status)| status));
        *statuses.entry(status).or_default() += 1;
        let received = portal_date(text(protocol, "dhRecbto"));
        assert!(received == Some(row[7].clone()) || row[6] == "Sem informação");
    }
    assert!((100..400).contains(&consumers) && nameless * 2 > consumers && nameless < consumers, "{consumers}");
    assert!((15..120).contains(&producers), "{producers}");
    assert!((80..170).contains(&statuses["101"]) && (12..55).contains(&statuses["110"]), "{statuses:?}");
    let average = bytes.len() / documents.len();
    assert!((4_400..5_000).contains(&average), "{average} bytes a document");
    for escape in ["\\u00e7", "\\u00c7", "\\\"", "\\\\", "\\n", "ç", "\"cEAN\": null"] {
        let is_there = bytes.windows(escape.len()).any(|part| part.eq_ignore_ascii_case(escape.as_bytes()));
        assert!(is_there, "{escape}");
    }
}

#[test]
fn documents_have_the_lines_of_the_file_and_their_totals_add_up() {
    let mut rows = rows(&file(PortalFile::Lines, CLEAN)).into_iter().skip(1);
    let mut single = 0;
    for document in documents(CLEAN) {
        let dets = dets(&document);
        single += usize::from(dets.len() == 1);
        let mut sums = HashMap::<&str, u64>::new();
        for det in dets {
            let row = rows.next().unwrap();
            let (row, of_row) = (&row[18..], |at: usize| Some(row[18 + at].as_str()));
            assert_eq!(text(det, "@nItem"), of_row(0));
            let paths = [("xProd", 1), ("NCM", 2), ("CFOP", 4), ("uCom", 6)];
            for (name, at) in paths {
                assert_eq!(text(det, &format!("prod.{name}")), of_row(at), "{name}");
            }
            for (name, at) in [("qCom", 5), ("vUnCom", 7), ("vProd", 8), ("qTrib", 5), ("vUnTrib", 7)] {
                assert_eq!(point_cents(text(det, &format!("prod.{name}"))), cents(&row[at]), "{name}");
            }
            let taxes = &det["imposto"];
            for (name, value) in [
                ("vProd", text(det, "prod.vProd")),
                ("vFrete", text(det, "prod.vFrete")),
                ("vOutro", text(det, "prod.vOutro")),
                ("vTotTrib", text(taxes, "vTotTrib")),
                ("vBC", text(taxes, "ICMS.ICMS00.vBC")),
                ("vICMS", text(taxes, "ICMS.ICMS00.vICMS")),
                ("vPIS", text(taxes, "PIS.PISAliq.vPIS")),
                ("vCOFINS", text(taxes, "COFINS.COFINSAliq.vCOFINS")),
            ] {
                *sums.entry(name).or_default() += point_cents(value).unwrap_or_default();
            }
            assert_eq!(taxes["ICMS"].as_object().map(serde_json::Map::len), Some(1));
        }
        for (name, sum) in &sums {
            assert_eq!(point_cents(total(&document, name)), Some(*sum), "{name}");
        }
        assert_eq!(point_cents(total(&document, "vNF")), Some(sums["vProd"] + sums["vFrete"] + sums["vOutro"]));
    }
    assert_eq!(rows.next(), None);
    assert!(single > 500, "{single}");
}

#[test]
fn repeated_documents_have_a_key_of_before_and_half_are_the_same() {
    let mut first = HashMap::<String, Value>::new();
    let (mut exact, mut changed, mut cancelled) = (0, 0, 0);
    for document in documents(GenerateOptions { bad: 0.0, ..MIXED_DOCUMENTS }) {
        let id = of_invoice(&document, "@Id").unwrap().to_owned();
        match first.get(&id) {
            None => {
                first.insert(id, document);
            }
            Some(earlier) if *earlier == document => exact += 1,
            Some(earlier) => {
                let [before, after] = [earlier, &document].map(|document| point_cents(total(document, "vNF")).unwrap());
                let surcharge = point_cents(total(&document, "vOutro"));
                assert!(after > before && surcharge == Some(after - before), "{id}: {before} {after}");
                let [before, after] = [earlier, &document].map(|of| text(&of["nfeProc"]["protNFe"], "infProt.cStat"));
                cancelled += usize::from(before == Some("100") && after == Some("101"));
                changed += 1;
            }
        }
    }
    assert!((1_080..1_320).contains(&(exact + changed)), "a fifth: {exact} + {changed}");
    assert!((500..700).contains(&exact) && (230..380).contains(&cancelled), "{exact} {cancelled}");
}

/// What is wrong about a document.
fn flaw_of(document: Option<&Value>) -> Option<&'static str> {
    let Some(document) = document else { return Some("no JSON") };
    let id = of_invoice(document, "@Id").unwrap();
    let issued_at = of_invoice(document, "ide.dhEmi");
    let flaws = [
        (id.is_empty(), "no key"),
        (!id.is_empty() && !id.strip_prefix("NFe").is_some_and(is_key), "key"),
        (issued_at.is_none(), "no date"),
        (issued_at.is_some() && portal_date(issued_at).is_none(), "date"),
        (point_cents(total(document, "vNF")).is_none(), "total"),
        (of_invoice(document, "emit.CNPJ").is_some_and(|id| id.len() > 14), "issuer"),
    ];
    let flaws: Vec<&str> = flaws.into_iter().filter_map(|(is_there, flaw)| is_there.then_some(flaw)).collect();
    assert!(flaws.len() <= 1, "{flaws:?}");
    flaws.first().copied()
}

#[test]
fn bad_documents_and_only_they_have_one_flaw() {
    for form in [JsonForm::Ndjson, JsonForm::Array] {
        let (generator, expected) = (Generator::nfe(form, MIXED_DOCUMENTS), Records::new(&MIXED_DOCUMENTS));
        let classes: Vec<Class> = (0..MIXED_DOCUMENTS.records).map(|index| expected.class(index)).collect();
        let bytes = written(generator);
        let documents = if form == JsonForm::Array { array(&bytes) } else { ndjson(&bytes) };
        assert_eq!(documents.len(), classes.len());
        let mut flaws = HashMap::<&str, u64>::new();
        for (document, class) in documents.iter().zip(classes) {
            let flaw = flaw_of(document.as_ref());
            assert_eq!(flaw.is_some(), class == Class::Bad, "{flaw:?} {document:?}");
            if let Some(flaw) = flaw {
                *flaws.entry(flaw).or_default() += 1;
            }
        }
        let kinds = if form == JsonForm::Array { 6 } else { 7 };
        assert!(flaws.len() == kinds && flaws.values().all(|&count| count > 40), "{flaws:?}");
    }
}

#[test]
fn objects_are_the_rows_and_their_keys_the_columns() {
    for layout_version in [LayoutVersion::V1, LayoutVersion::V2] {
        for of in PortalFile::ALL {
            let options = GenerateOptions { records: 3_000, layout_version, ..MIXED };
            let mut rows = rows(&file(of, options));
            let header = rows.remove(0);
            let bytes = written(Generator::json_of(of, JsonForm::Ndjson, options));
            let lines = lines_of(&bytes);
            let in_array = array(&written(Generator::json_of(of, JsonForm::Array, options)));
            assert_eq!((lines.len(), in_array.len()), (rows.len(), rows.len()));
            for ((row, line), in_array) in rows.iter().zip(lines).zip(in_array) {
                let value: Option<HashMap<String, String>> = serde_json::from_str(line).ok();
                let in_array = in_array.unwrap();
                if row.len() == header.len() {
                    assert_eq!(value.as_ref(), Some(&header.iter().cloned().zip(row.iter().cloned()).collect()));
                    assert_eq!(serde_json::from_str::<Value>(line).unwrap(), in_array);
                    let places = header.iter().map(|name| line.find(&format!("\"{name}\": \"")).unwrap());
                    assert!(places.is_sorted(), "{line}");
                } else {
                    assert!(value.is_none(), "{line}");
                    assert!(!is_key(in_array["CHAVE DE ACESSO"].as_str().unwrap()), "{in_array}");
                }
            }
        }
    }
}

#[test]
fn the_bytes_of_json_stay_what_they_are() {
    use sha2::{Digest, Sha256};
    let options = GenerateOptions { records: 1_000, ..MIXED };
    let of = |seed| written(Generator::nfe(JsonForm::Ndjson, GenerateOptions { seed, ..options }));
    assert_ne!(of(8), of(7));
    for (bytes, hash) in [
        (of(7), [20, 21, 70, 20]),
        (written(Generator::json_of(PortalFile::Invoices, JsonForm::Array, options)), [78, 242, 91, 167]),
    ] {
        assert_eq!(Sha256::digest(&bytes)[..4], hash, "if the generator was changed on purpose, change this too");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_array_is_json_whatever_the_shares_and_holds_what_the_lines_hold(
        records in 0_u64..60,
        seed in any::<u64>(),
        duplicates in 0.0..1.0,
        bad in 0.0..1.0,
    ) {
        let options = GenerateOptions { records, seed, duplicates, bad, ..MIXED };
        for made in [Generator::nfe, |form, options| Generator::json_of(PortalFile::Lines, form, options)] {
            let in_lines = ndjson(&written(made(JsonForm::Ndjson, options)));
            let in_array = array(&written(made(JsonForm::Array, options)));
            prop_assert_eq!(in_lines.len(), in_array.len());
            for (in_lines, in_array) in in_lines.into_iter().zip(in_array) {
                prop_assert!(in_lines.is_none() || in_lines == in_array);
            }
        }
    }
}
