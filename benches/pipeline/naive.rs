//! A straightforward and careful design: rows become structs, items are the SDK's maps, 16 calls of its
//! `batch_write_item` are in flight, and unprocessed items are retried. It has one pass: if a key occurs twice, either
//! item may stay.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use notaflux_aws as aws;
use notaflux_local::stack::UPLOADS_BUCKET;
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

use super::PUTS;
use super::rows::{COLUMNS, Columns, EXTRA, ISSUER, RECIPIENT, TEXTS};
use super::server::TABLE;
use super::usage::Usage;

/// Number of calls in flight.
const IN_FLIGHT: usize = 16;

/// Size of the buffer between the decoder and the parser.
const BUFFER_BYTES: usize = 128 * 1024;

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "CHAVE DE ACESSO")]
    key: String,
    #[serde(rename = "MODELO")]
    model: String,
    #[serde(rename = "SÉRIE")]
    series: String,
    #[serde(rename = "NÚMERO")]
    number: String,
    #[serde(rename = "NATUREZA DA OPERAÇÃO")]
    operation: String,
    #[serde(rename = "DATA EMISSÃO")]
    issued_at: String,
    #[serde(rename = "EVENTO MAIS RECENTE")]
    status: String,
    #[serde(rename = "DATA/HORA EVENTO MAIS RECENTE")]
    status_at: String,
    #[serde(rename = "CPF/CNPJ Emitente")]
    issuer: String,
    #[serde(rename = "RAZÃO SOCIAL EMITENTE")]
    issuer_name: String,
    #[serde(rename = "INSCRIÇÃO ESTADUAL EMITENTE")]
    issuer_ie: String,
    #[serde(rename = "UF EMITENTE")]
    issuer_uf: String,
    #[serde(rename = "MUNICÍPIO EMITENTE")]
    issuer_city: String,
    #[serde(rename = "CNPJ DESTINATÁRIO")]
    recipient: String,
    #[serde(rename = "NOME DESTINATÁRIO")]
    recipient_name: String,
    #[serde(rename = "UF DESTINATÁRIO")]
    recipient_uf: String,
    #[serde(rename = "INDICADOR IE DESTINATÁRIO")]
    recipient_ie: String,
    #[serde(rename = "DESTINO DA OPERAÇÃO")]
    destination: String,
    #[serde(rename = "CONSUMIDOR FINAL")]
    consumer: String,
    #[serde(rename = "PRESENÇA DO COMPRADOR")]
    presence: String,
    #[serde(rename = "VALOR NOTA FISCAL")]
    total: String,
}

impl Row {
    fn columns(&self) -> Columns<'_> {
        let columns: [&String; COLUMNS] = [
            &self.key,
            &self.model,
            &self.series,
            &self.number,
            &self.operation,
            &self.issued_at,
            &self.status,
            &self.status_at,
            &self.issuer,
            &self.issuer_name,
            &self.issuer_ie,
            &self.issuer_uf,
            &self.issuer_city,
            &self.recipient,
            &self.recipient_name,
            &self.recipient_uf,
            &self.recipient_ie,
            &self.destination,
            &self.consumer,
            &self.presence,
            &self.total,
        ];
        Columns(columns.map(String::as_str))
    }

    fn put(&self) -> WriteRequest {
        let (columns, made) = (self.columns(), self.columns().make());
        let mut item = texts(&columns, &TEXTS);
        item.insert("PK".to_owned(), AttributeValue::S(made.partition));
        item.insert("SK".to_owned(), AttributeValue::S("H".to_owned()));
        item.insert("model".to_owned(), AttributeValue::S(columns.model().to_owned()));
        item.insert("total".to_owned(), AttributeValue::S(self.total.replace(',', ".")));
        item.insert("at".to_owned(), AttributeValue::S(made.at));
        item.insert("st".to_owned(), AttributeValue::S("authorized".to_owned()));
        item.insert("st_at".to_owned(), AttributeValue::S(made.status_at));
        item.insert("iss".to_owned(), AttributeValue::M(texts(&columns, &ISSUER)));
        item.insert("rcp".to_owned(), AttributeValue::M(texts(&columns, &RECIPIENT)));
        item.insert("x".to_owned(), AttributeValue::M(texts(&columns, &EXTRA)));
        item.insert("src".to_owned(), AttributeValue::S("0123456789abcdef01234567".to_owned()));
        item.insert("rec".to_owned(), AttributeValue::N("1".to_owned()));
        for (name, value) in made.index_keys {
            item.insert(name.to_owned(), AttributeValue::S(value));
        }
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    }
}

fn texts(columns: &Columns<'_>, names: &[(usize, &str)]) -> HashMap<String, AttributeValue> {
    let value = |at: usize| AttributeValue::S(columns.0[at].to_owned());
    names.iter().map(|&(at, name)| (name.to_owned(), value(at))).collect()
}

type Bytes = Pin<Box<dyn AsyncBufRead + Send>>;

pub async fn import(endpoint: &str, key: &str) {
    let config = aws::embedded_config(endpoint);
    let (s3, table) = (aws::s3_client(&config), aws::dynamodb_client(&config));
    let usage = Usage::begin();
    let object = s3.get_object().bucket(UPLOADS_BUCKET).key(key).send().await.unwrap();
    let body = BufReader::with_capacity(BUFFER_BYTES, object.body.into_async_read());
    let name = key.trim_end_matches(".gz").trim_end_matches(".zst");
    let bytes: Bytes = match key.rsplit_once('.') {
        Some((_, "gz")) => Box::pin(BufReader::with_capacity(BUFFER_BYTES, GzipDecoder::new(body))),
        Some((_, "zst")) => Box::pin(BufReader::with_capacity(BUFFER_BYTES, ZstdDecoder::new(body))),
        _ => Box::pin(body),
    };
    let rows: Pin<Box<dyn Stream<Item = Row>>> = match name.rsplit_once('.') {
        Some((_, "csv")) => Box::pin(csv_rows(bytes)),
        Some((_, "ndjson")) => Box::pin(json_rows(bytes)),
        _ => panic!("{key}: csv or ndjson"),
    };
    let calls = rows.chunks(PUTS).map(|rows| {
        // A call must not contain a key twice.
        let mut seen = HashSet::new();
        let puts = rows.iter().filter(|row| seen.insert(row.key.as_str())).map(Row::put).collect();
        let (table, records) = (table.clone(), rows.len() as u64);
        async move {
            write(&table, puts).await;
            records
        }
    });
    let mut written = std::pin::pin!(calls.buffer_unordered(IN_FLIGHT));
    let mut records = 0;
    while let Some(written) = written.next().await {
        records += written;
    }
    usage.tell(records, 0, &[]);
}

async fn write(table: &aws_sdk_dynamodb::Client, puts: Vec<WriteRequest>) {
    let mut requests = HashMap::from([(TABLE.to_owned(), puts)]);
    while !requests.is_empty() {
        let sent = table.batch_write_item().set_request_items(Some(requests)).send().await.unwrap();
        requests = sent.unprocessed_items.unwrap_or_default();
    }
}

/// The Portal writes windows-1252, but structs of text need UTF-8, so a decoder comes before them.
fn csv_rows(bytes: Bytes) -> impl Stream<Item = Row> {
    let decoded = ReaderStream::with_capacity(bytes, BUFFER_BYTES)
        .map_ok(|chunk| axum::body::Bytes::from(encoding_rs::mem::decode_latin1(&chunk).into_owned()));
    let mut csv = csv_async::AsyncReaderBuilder::new();
    csv.delimiter(b';').buffer_capacity(BUFFER_BYTES);
    csv.create_deserializer(StreamReader::new(decoded)).into_deserialize().map(Result::unwrap)
}

fn json_rows(bytes: Bytes) -> impl Stream<Item = Row> {
    stream::unfold((bytes, String::new()), async |(mut bytes, mut line)| {
        line.clear();
        let read = bytes.read_line(&mut line).await.unwrap();
        (read > 0).then(|| (serde_json::from_str(&line).unwrap(), (bytes, line)))
    })
}
