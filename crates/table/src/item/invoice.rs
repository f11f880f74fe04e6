//! An invoice as an item.
//!
//! | attribute | type | holds |
//! | --- | --- | --- |
//! | `PK`, `SK` | S | `N#<id>`, `H` |
//! | `model`, `series`, `number`, `op` | S | model, series, number, operation |
//! | `at` | S | time of issue, in the plain form |
//! | `iss`, `rcp` | M | issuer, recipient: `doc`, `kind`, `name`, `ie`, `uf`, `city` |
//! | `st`, `st_text`, `st_at` | S | status, its text in the source, when it began |
//! | `total`, `cur` | S | total, with the decimal places of the source; currency |
//! | `lines` | N | number of its lines, where the source states it |
//! | `x` | M | extra columns by name |
//! | `w` | L | warnings |
//! | `key`, `ak` | S, BOOL | see below |
//! | `src`, `rec` | S, N | as in all items |
//! | `IK` `IS` `RK` `RS` `MK` `MS` `XK` `XS` | S | keys in the indexes that it appears in: see [`keys`] |
//!
//! An item leaves out `cur` if it is BRL, `kind` if it follows from the text of the tax id, and `key`, the access key, if the id is the
//! access key (`ak` is false if the id only looks like one).

use super::parts::{self, Encoded, Map, Measured, Refusal, SourceRef, WrittenParts};
use crate::item_writer::{ItemWriter, Name, name};
use crate::keys::{self, INVOICE_SK};
use crate::schema::{Index, Schema};
use notaflux_invoice::{AccessKey, Decimal, InvoiceFields, Role, Status, TaxId, TextField};

/// The currency that an item leaves out.
pub(crate) const COMMON_CURRENCY: &str = "BRL";

/// Paths of the attributes that the read API filters by.
pub mod path {
    /// Tax id of the issuer.
    pub const ISSUER: &[&str] = &["iss", "doc"];
    /// State of the issuer.
    pub const ISSUER_UF: &[&str] = &["iss", "uf"];
    /// Tax id of the recipient.
    pub const RECIPIENT: &[&str] = &["rcp", "doc"];
    /// State of the recipient.
    pub const RECIPIENT_UF: &[&str] = &["rcp", "uf"];
    /// Status.
    pub const STATUS: &[&str] = &["st"];
    /// Model.
    pub const MODEL: &[&str] = &["model"];
    /// Series.
    pub const SERIES: &[&str] = &["series"];
    /// Number.
    pub const NUMBER: &[&str] = &["number"];
    /// Total.
    pub const TOTAL: &str = "total";
}

/// Appends the JSON of the item that holds `invoice` to `out`. Allocates nothing else.
///
/// # Errors
/// Those of [`measure_invoice`] with the longest record number. Then `out` is unchanged.
pub fn encode_invoice(
    invoice: &impl InvoiceFields,
    source: &SourceRef<'_>,
    schema: &Schema,
    out: &mut Vec<u8>,
) -> Result<Encoded, Refusal> {
    parts::check_id(invoice.id())?;
    let shard = keys::shard(invoice.id(), schema.shards);
    let shard_margin = keys::shard_text(longest_shard(schema)).len() - keys::shard_text(shard).len();
    parts::encode(source, out, shard_margin, |json| write(invoice, source, schema, shard, json))
}

/// Measures a put of `invoice` without writing it. Assumes the shard with the longest number, so that nothing is hashed: with more than
/// 10 shards the size may be a few bytes more than that of the item. is taken for the one with the longest number, so that
/// nothing is hashed: with more than 10 shards the size may be some bytes more than the item's.
///
/// # Errors
/// An item that `DynamoDB` would refuse.
pub fn measure_invoice(
    invoice: &impl InvoiceFields,
    source: &SourceRef<'_>,
    schema: &Schema,
) -> Result<Measured, Refusal> {
    parts::check_id(invoice.id())?;
    parts::measure(|counter| write(invoice, source, schema, longest_shard(schema), counter))
}

/// Returns a shard whose number is as long as any.
fn longest_shard(schema: &Schema) -> u16 {
    schema.shards.saturating_sub(1)
}

fn write(
    invoice: &impl InvoiceFields,
    source: &SourceRef<'_>,
    schema: &Schema,
    shard: u16,
    writer: &mut impl ItemWriter,
) -> WrittenParts {
    let (pk, sk) = parts::write_keys(invoice.id(), &[INVOICE_SK], writer);
    write_fields(invoice, writer);
    write_access_key(invoice, writer);
    parts::write_source(source, writer);
    let indexes = write_index_keys(invoice, schema, shard, writer);
    WrittenParts { pk, sk, indexes }
}

fn write_fields(invoice: &impl InvoiceFields, writer: &mut impl ItemWriter) {
    invoice.text(TextField::Model, |model| writer.text(name!("model"), model));
    invoice.text(TextField::Series, |series| writer.text(name!("series"), series));
    invoice.text(TextField::Number, |number| writer.text(name!("number"), number));
    invoice.text(TextField::Operation, |operation| writer.text(name!("op"), operation));
    writer.name(name!("at"));
    writer.time(invoice.issued_at());
    write_party(name!("iss"), Role::Issuer, invoice, writer);
    write_party(name!("rcp"), Role::Recipient, invoice, writer);
    writer.text(name!("st"), invoice.status().as_str());
    invoice.text(TextField::StatusText, |text| writer.text(name!("st_text"), text));
    if let Some(at) = invoice.status_at() {
        writer.name(name!("st_at"));
        writer.time(at);
    }
    parts::write_optional(name!("total"), invoice.total().map(Decimal::as_str), writer);
    parts::write_optional(
        name!("cur"),
        Some(invoice.currency()).filter(|currency| *currency != COMMON_CURRENCY),
        writer,
    );
    if let Some(lines) = invoice.line_count() {
        writer.name(name!("lines"));
        writer.number(lines.into());
    }
    let mut columns = Map::new(name!("x"));
    invoice.extra(|name, value| parts::write_column(name, value, &mut columns, writer));
    columns.close(writer);
    parts::write_warnings(invoice.warnings(), writer);
}

fn write_party(name: &'static Name, role: Role, invoice: &impl InvoiceFields, writer: &mut impl ItemWriter) {
    let mut party = Map::new(name);
    if let Some(tax_id) = invoice.tax_id(role) {
        party.open(writer).text(name!("doc"), &tax_id.text);
        let is_implied = TaxId::kind_of(&tax_id.text) == tax_id.kind;
        parts::write_optional(name!("kind"), (!is_implied).then_some(tax_id.kind.as_str()), writer);
    }
    invoice.text(TextField::Name(role), |text| party.open(writer).text(name!("name"), text));
    invoice.text(TextField::StateRegistration(role), |text| party.open(writer).text(name!("ie"), text));
    invoice.text(TextField::Uf(role), |text| party.open(writer).text(name!("uf"), text));
    invoice.text(TextField::City(role), |text| party.open(writer).text(name!("city"), text));
    party.close(writer);
}

fn write_access_key(invoice: &impl InvoiceFields, writer: &mut impl ItemWriter) {
    match invoice.access_key() {
        Some(key) if key.as_str() == invoice.id() => {}
        Some(key) => writer.text(name!("key"), key.as_str()),
        None if AccessKey::parse(invoice.id()).is_ok() => {
            writer.name(name!("ak"));
            writer.boolean(false);
        }
        None => {}
    }
}

/// Writes the keys in the indexes. Returns the number of indexes that the invoice appears in.
fn write_index_keys(invoice: &impl InvoiceFields, schema: &Schema, shard: u16, writer: &mut impl ItemWriter) -> u32 {
    let shard = keys::shard_text(shard);
    let time = writer.sort_time(invoice.issued_at().local);
    let (month, in_month) = keys::split_month(&time);
    let mut indexes = 0;
    for index in schema.indexes.iter() {
        let tax_id = match index {
            Index::Issuer => invoice.tax_id(Role::Issuer),
            Index::Recipient => invoice.tax_id(Role::Recipient),
            Index::Month | Index::State => None,
        };
        let (of, sort) = match (index, tax_id) {
            (Index::Issuer | Index::Recipient, Some(tax_id)) => (tax_id.text.as_str(), time.as_str()),
            (Index::Issuer | Index::Recipient, None) => continue,
            (Index::Month, _) => (month, in_month),
            (Index::State, _) if invoice.status() == Status::Authorized => continue,
            (Index::State, _) => (invoice.status().as_str(), time.as_str()),
        };
        let (partition_name, sort_name) = index_names(index);
        writer.key(partition_name, &[index.prefix(), of, "#", &shard]);
        writer.key(sort_name, &[sort, "#", invoice.id()]);
        indexes += 1;
    }
    indexes
}

/// Returns the names of the partition key and sort key attributes of an index.
fn index_names(index: Index) -> (&'static Name, &'static Name) {
    macro_rules! names {
        ($index:expr) => {
            (name!($index.partition_attribute()), name!($index.sort_attribute()))
        };
    }
    match index {
        Index::Issuer => names!(Index::Issuer),
        Index::Recipient => names!(Index::Recipient),
        Index::Month => names!(Index::Month),
        Index::State => names!(Index::State),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item::parts::ITEM_LIMIT_BYTES;
    use crate::schema::IndexSet;
    use notaflux_invoice::Invoice;
    use notaflux_testing::{any_invoice, example, json_size};

    fn source() -> SourceRef<'static> {
        SourceRef { ingestion: "9f2c".into(), record: 1 }
    }

    #[test]
    fn an_invoice_becomes_this_json() {
        let mut out = b"before ".to_vec();
        let encoded = encode_invoice(&example(), &source(), &Schema::default(), &mut out).unwrap();
        let shard = keys::shard(&example().id, 8);
        let expected = [
            r#"before {"PK":{"S":"N#31191108676370000155550010000070831000062423"},"SK":{"S":"H"},"model":{"S":"55"},"#,
            r#""series":{"S":"1"},"number":{"S":"7083"},"op":{"S":"VENDA DE MERCADORIA ADQUIRIDA"},"#,
            r#""at":{"S":"2019-11-12T00:00:00"},"iss":{"M":{"doc":{"S":"08676370000155"},"#,
            r#""name":{"S":"DIST. DE MEDICAMENTOS PRO SAUDE LTD"},"ie":{"S":"10428180043"},"uf":{"S":"MG"},"#,
            r#""city":{"S":"UBERLANDIA"}}},"rcp":{"M":{"doc":{"S":"09579964000291"},"#,
            r#""name":{"S":"HOSP GERAL DE CURITIBA"},"uf":{"S":"PR"}}},"st":{"S":"authorized"},"#,
            r#""st_text":{"S":"Autorização de Uso"},"st_at":{"S":"2019-11-12T13:01:52"},"total":{"S":"2040.00"},"#,
            r#""x":{"M":{"final_consumer":{"S":"1 - CONSUMIDOR FINAL"}}},"src":{"S":"9f2c"},"rec":{"N":"1"},"#,
            r#""IK":{"S":"I#08676370000155#0"},"#,
            r#""IS":{"S":"20191112T000000#31191108676370000155550010000070831000062423"},"#,
            r#""RK":{"S":"R#09579964000291#0"},"#,
            r#""RS":{"S":"20191112T000000#31191108676370000155550010000070831000062423"},"#,
            r#""MK":{"S":"M#201911#0"},"MS":{"S":"12T000000#31191108676370000155550010000070831000062423"}}"#,
        ];
        let expected = expected.concat().replace("#0\"", &format!("#{shard}\""));
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(&out[encoded.pk], b"N#31191108676370000155550010000070831000062423");
        assert_eq!(&out[encoded.sk], b"H");
        assert_eq!(encoded.write_units, 4, "under a KB, in the table and three indexes");
    }

    #[test]
    fn indexes_are_sparse_and_can_be_left_out() {
        let units = |invoice: &Invoice<'_>, indexes: &str| {
            let schema = Schema { indexes: IndexSet::parse(indexes).unwrap(), ..Schema::default() };
            measure_invoice(invoice, &source(), &schema).unwrap().write_units
        };
        let cancelled = Invoice { status: Status::Cancelled, ..example() };
        let without_recipient = Invoice { recipient: None, ..example() };
        assert_eq!(units(&example(), "none"), 1);
        assert_eq!(units(&example(), "issuer,state"), 2);
        assert_eq!(units(&cancelled, "issuer,state"), 3);
        assert_eq!(units(&without_recipient, "issuer,recipient,month,state"), 3);
    }

    #[test]
    fn items_that_dynamodb_would_refuse_are_refused() {
        let measure = |invoice: &Invoice<'_>| measure_invoice(invoice, &source(), &Schema::default());
        let with_id = |id: String| Invoice { id: id.into(), access_key: None, ..example() };
        let with_column =
            |name: String, value: String| Invoice { extra: vec![(name.into(), value.into())], ..example() };
        assert_eq!(measure(&with_id(String::new())), Err(Refusal::EmptyId));
        assert!(measure(&with_id("x".repeat(1008))).is_ok());
        assert_eq!(measure(&with_id("x".repeat(1009))), Err(Refusal::IdTooLong { size_bytes: 1009 }));
        assert_eq!(measure(&with_column(String::new(), "v".into())), Err(Refusal::Name { size_bytes: 0 }));
        let limit = ITEM_LIMIT_BYTES - measure(&with_column("x".into(), String::new())).unwrap().size_bytes;
        assert_eq!(measure(&with_column("x".into(), "v".repeat(limit))).unwrap().size_bytes, ITEM_LIMIT_BYTES);
        let too_large = measure(&with_column("x".into(), "v".repeat(limit + 1)));
        assert_eq!(too_large, Err(Refusal::TooLarge { size_bytes: ITEM_LIMIT_BYTES + 1 }));
    }

    /// The survey measures with the longest record number and shard; the write pass encodes with the real ones.
    #[test]
    fn encoding_refuses_exactly_what_measuring_refuses() {
        let longest = SourceRef { record: u64::MAX, ..source() };
        let with_column = |length: usize| Invoice { extra: vec![("x".into(), "v".repeat(length).into())], ..example() };
        for shards in [1, 11, 12_000] {
            let schema = Schema { shards, ..Schema::default() };
            let room = ITEM_LIMIT_BYTES - measure_invoice(&with_column(0), &longest, &schema).unwrap().size_bytes;
            for (length, fits) in [(room - 1, true), (room, true), (room + 1, false)] {
                let invoice = with_column(length);
                assert_eq!(measure_invoice(&invoice, &longest, &schema).is_ok(), fits);
                let mut out = b"before".to_vec();
                let encoded = encode_invoice(&invoice, &source(), &schema, &mut out);
                assert_eq!(encoded.is_ok(), fits, "{length} of {room} with {shards} shards");
                assert_eq!(out == b"before", !fits);
            }
        }
        for odd in
            [Invoice { id: "".into(), ..example() }, Invoice { extra: vec![("".into(), "v".into())], ..example() }]
        {
            let mut out = b"before".to_vec();
            let refused = encode_invoice(&odd, &source(), &Schema::default(), &mut out);
            assert_eq!(refused.unwrap_err(), measure_invoice(&odd, &longest, &Schema::default()).unwrap_err());
            assert_eq!(out, b"before");
        }
    }

    proptest! {
        /// The measured size, the written size, and the size of the JSON by the documented rules agree.
        #[test]
        fn sizes_agree(invoice in any_invoice(), record in 1_u64.., shards in 1_u16..=10) {
            let schema = Schema { shards, ..Schema::default() };
            let source = SourceRef { ingestion: "9f2c".into(), record };
            let mut out = Vec::new();
            let encoded = encode_invoice(&invoice, &source, &schema, &mut out).unwrap();
            let measured = measure_invoice(&invoice, &source, &schema).unwrap();
            prop_assert_eq!((encoded.size_bytes, encoded.write_units), (measured.size_bytes, measured.write_units));
            let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(encoded.size_bytes, json_size(&json));
        }
    }
}
