//! Hand-made rows in the Portal's layout.

/// The Portal's header, version 1, in windows-1252 like the Portal's files.
pub fn header() -> Vec<u8> {
    let names = "CHAVE DE ACESSO;MODELO;SÉRIE;NÚMERO;NATUREZA DA OPERAÇÃO;DATA EMISSÃO;EVENTO MAIS RECENTE;\
        DATA/HORA EVENTO MAIS RECENTE;CPF/CNPJ Emitente;RAZÃO SOCIAL EMITENTE;INSCRIÇÃO ESTADUAL EMITENTE;UF EMITENTE;\
        MUNICÍPIO EMITENTE;CNPJ DESTINATÁRIO;NOME DESTINATÁRIO;UF DESTINATÁRIO;INDICADOR IE DESTINATÁRIO;\
        DESTINO DA OPERAÇÃO;CONSUMIDOR FINAL;PRESENÇA DO COMPRADOR;VALOR NOTA FISCAL";
    latin1(&format!("\"{}\"\r\n", names.replace(';', "\";\"")))
}

/// Returns a key with this number. Its check digit is mostly wrong, which gives a warning and no reject.
pub fn key(number: u32) -> String {
    format!("35260733000167000101550010{number:08}1123456787")
}

/// Returns a row with this key and total. The row is a reject if the total is no amount.
pub fn row(key: &str, total: &str) -> Vec<u8> {
    let cells = [
        key,
        "55 - NF-E",
        "1",
        "7083",
        "VENDA",
        "12/07/2026 00:00:00",
        "Autorização de Uso",
        "12/07/2026 13:01:52",
        "33000167000101",
        "PETRÓLEO",
        "10428180043",
        "SP",
        "SÃO PAULO",
        "00394429021965",
        "COMANDO",
        "SP",
        "NÃO CONTRIBUINTE",
        "1 - OPERAÇÃO INTERNA",
        "1 - CONSUMIDOR FINAL",
        "1 - OPERAÇÃO PRESENCIAL",
        total,
    ];
    row_of(&cells)
}

/// Returns a row with these cells. No cell may contain a quote.
pub fn row_of(cells: &[&str]) -> Vec<u8> {
    latin1(&format!("\"{}\"\r\n", cells.join("\";\"")))
}

/// Returns a file with these rows.
pub fn file(rows: impl IntoIterator<Item = (String, String)>) -> Vec<u8> {
    rows.into_iter().fold(header(), |mut file, (key, total)| {
        file.extend(row(&key, &total));
        file
    })
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Returns a zip with these entries, without compression.
pub fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let sizes = [crc32fast::hash(bytes).to_le_bytes(), number(bytes.len()), number(bytes.len())].concat();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let offset = number(out.len());
        // Version, flags (UTF-8 name), method, time and date; then sizes and the lengths of name and extra field.
        let common = [&[20, 0, 0, 8, 0, 0, 0, 0, 0, 0][..], &sizes, &name_length, &[0, 0]].concat();
        out.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), bytes].concat());
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let (size, start) = (directory.len(), out.len());
    out.extend(directory);
    out.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count].concat());
    out.extend([u32::try_from(size).unwrap().to_le_bytes(), u32::try_from(start).unwrap().to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

/// A layout with rows of lines that repeat their invoice.
pub const RETAIL_LAYOUT: &str = r#"
name = "retail"
title = "Rows that are lines, with their invoice repeated"
requires = ["InvoiceNo", "Line", "InvoiceDate"]

[conventions]
decimal = "point"
date = "iso"

[id.natural_key]
name = "retail"
from = ["InvoiceNo"]

[invoice]
number = "InvoiceNo"
issued_at = "InvoiceDate"
operation = "Memo"

[line]
number = "Line"
description = "Description"
total = "Amount"
"#;

/// Returns a file of that layout; `rows` are invoice, line and amount. The memo of an invoice is the number of the row,
/// so it shows which row the stored invoice comes from.
pub fn retail(rows: impl IntoIterator<Item = (u32, u32, String)>) -> Vec<u8> {
    let header = "InvoiceNo,Line,InvoiceDate,Memo,Description,Amount\n".to_owned();
    let row = |(at, (invoice, line, amount)): (usize, (u32, u32, String))| {
        format!("{invoice},{line},2026-11-02,row {at},thing {line},{amount}\n")
    };
    let rows = rows.into_iter().enumerate().map(row);
    std::iter::once(header).chain(rows).collect::<String>().into_bytes()
}
