//! Making, opening, describing and deleting the table.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
};
use tokio::time::{Instant, sleep};

use super::error::TableError;
use super::keys::{PK, SCHEMA_KEY, SK};
use super::schema::{Index, IndexSet, SHARDS, Schema, VERSION};

/// First pause between two looks at a table that is not ready; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for a table to be made or deleted. AWS takes seconds for an empty one; indexes take longer.
const WAIT_LIMIT: Duration = Duration::from_mins(10);

/// An open table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The client that it was opened with.
    pub client: Client,
    /// Its name.
    pub name: String,
    /// How it is laid out.
    pub schema: Schema,
}

/// A table as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What `DynamoDB` calls its state, such as `ACTIVE`.
    pub status: String,
    /// Items in it, as `DynamoDB` counts them about every six hours.
    pub items: u64,
    /// Their size in bytes, counted likewise.
    pub size_bytes: u64,
    /// How it is laid out; where nothing is recorded yet, what the first writer will record.
    pub schema: Schema,
    /// Its indexes.
    pub indexes: Vec<IndexDescription>,
}

/// An index as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDescription {
    /// Its name.
    pub name: String,
    /// What `DynamoDB` calls its state.
    pub status: String,
    /// Entries in it, as `DynamoDB` counts them about every six hours.
    pub items: u64,
    /// Their size in bytes, counted likewise.
    pub size_bytes: u64,
}

impl fmt::Display for IndexDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} items, {} bytes)", self.name, self.status, self.items, self.size_bytes)
    }
}

impl Table {
    /// Opens a table to write into it. A table that was made by other means (a stack template) has no `SCHEMA` item
    /// yet: the first writer records the indexes that it finds and the default number of shards.
    ///
    /// # Errors
    /// No such table, one that is not ours or of another version, and what `DynamoDB` answers.
    pub async fn open(client: Client, name: String) -> Result<Self, TableError> {
        Self::open_sharded(client, name, SHARDS).await
    }

    /// Like [`Table::open`], but where nothing is recorded yet, the number of shards is `shards`. Where another number is
    /// recorded, that one stands: what is in the table lies where it says.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open_sharded(client: Client, name: String, shards: u16) -> Result<Self, TableError> {
        let schema = if let Some(schema) = recorded(&client, &name).await? {
            schema
        } else {
            let derived = derived(&described(&client, &name).await?, &name)?;
            record(&client, &name, &Schema { shards, ..derived }).await?
        };
        Ok(Self { client, name, schema })
    }

    /// Opens a table to read from it, and writes nothing: see [`Table::open`] for the rest.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open_to_read(client: Client, name: String) -> Result<Self, TableError> {
        Self::open_sharded_to_read(client, name, SHARDS).await
    }

    /// Like [`Table::open_to_read`], with the number of shards that the first writer is going to record. A reader that
    /// started before it would look for nothing in the shards that it does not know of.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open_sharded_to_read(client: Client, name: String, shards: u16) -> Result<Self, TableError> {
        let schema = match recorded(&client, &name).await? {
            Some(schema) => schema,
            None => Schema { shards, ..derived(&described(&client, &name).await?, &name)? },
        };
        Ok(Self { client, name, schema })
    }

    /// Opens a table as it is, or makes it with `schema`.
    ///
    /// # Errors
    /// As [`Table::open`] and [`create`].
    pub async fn open_or_create(client: Client, name: String, schema: Schema) -> Result<Self, TableError> {
        match Self::open(client.clone(), name.clone()).await {
            Err(TableError::Missing { .. }) => create(client, name, schema).await,
            opened => opened,
        }
    }
}

/// Makes a table, on demand, with its indexes, and waits until it can be used. Where it exists with the same schema
/// there is nothing to do.
///
/// # Errors
/// A table of that name that is not ours or has another schema; what `DynamoDB` answers.
pub async fn create(client: Client, name: String, schema: Schema) -> Result<Table, TableError> {
    if let Err(error) = create_table(&client, &name, &schema).await
        && error.code() != Some("ResourceInUseException")
    {
        return Err(TableError::service(&name, error));
    }
    let description = until_active(&client, &name).await?;
    let there = derived(&description, &name)?;
    if there.indexes != schema.indexes {
        let found = recorded(&client, &name).await?.unwrap_or(there);
        return Err(TableError::OtherSchema { table: name, found, asked: schema });
    }
    let found = record(&client, &name, &schema).await?;
    if found != schema {
        return Err(TableError::OtherSchema { table: name, found, asked: schema });
    }
    Ok(Table { client, name, schema })
}

/// A table as it stands.
///
/// # Errors
/// No such table, one that is not ours or of another version, and what `DynamoDB` answers.
pub async fn describe(client: &Client, name: &str) -> Result<Description, TableError> {
    let description = described(client, name).await?;
    let mut schema = derived(&description, name)?;
    if matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating)) {
        schema = recorded(client, name).await?.unwrap_or(schema);
    }
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default();
    let indexes = description.global_secondary_indexes().iter().map(|index| IndexDescription {
        name: index.index_name().unwrap_or_default().to_owned(),
        status: index.index_status().map_or("unknown", IndexStatus::as_str).to_owned(),
        items: count(index.item_count()),
        size_bytes: count(index.index_size_bytes()),
    });
    Ok(Description {
        status: status_of(&description),
        items: count(description.item_count()),
        size_bytes: count(description.table_size_bytes()),
        schema,
        indexes: indexes.collect(),
    })
}

/// Deletes a table with all that is in it, and waits until it is gone.
///
/// # Errors
/// No such table; what `DynamoDB` answers.
pub async fn delete(client: &Client, name: &str) -> Result<(), TableError> {
    client.delete_table().table_name(name).send().await.map_err(|error| TableError::service(name, error))?;
    let mut wait = Wait::begin();
    loop {
        match described(client, name).await {
            Err(TableError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error),
            Ok(description) => wait.pause(name, &status_of(&description)).await?,
        }
    }
}

type CreateError =
    SdkError<aws_sdk_dynamodb::operation::create_table::CreateTableError, aws_sdk_dynamodb::config::http::HttpResponse>;

async fn create_table(client: &Client, name: &str, schema: &Schema) -> Result<(), CreateError> {
    let mut call = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text_attribute(PK)?)
        .attribute_definitions(text_attribute(SK)?)
        .set_key_schema(Some(key_schema(PK, SK)?));
    for index in schema.indexes.iter() {
        let (partition, sort) = (index.partition_attribute(), index.sort_attribute());
        let everything = Projection::builder().projection_type(ProjectionType::All).build();
        let made = GlobalSecondaryIndex::builder()
            .index_name(index.name())
            .set_key_schema(Some(key_schema(partition, sort)?))
            .projection(everything);
        call = call
            .attribute_definitions(text_attribute(partition)?)
            .attribute_definitions(text_attribute(sort)?)
            .global_secondary_indexes(made.build()?);
    }
    call.send().await.map(drop)
}

fn text_attribute(name: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
}

fn key_schema(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, BuildError> {
    let part = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![part(partition, KeyType::Hash)?, part(sort, KeyType::Range)?])
}

async fn described(client: &Client, name: &str) -> Result<TableDescription, TableError> {
    let answer = client.describe_table().table_name(name).send().await;
    let answer = answer.map_err(|error| TableError::service(name, error))?;
    answer.table.ok_or_else(|| TableError::Missing { table: name.to_owned() })
}

fn status_of(description: &TableDescription) -> String {
    description.table_status().map_or("unknown", TableStatus::as_str).to_owned()
}

/// Waits until the table and its indexes are active.
async fn until_active(client: &Client, name: &str) -> Result<TableDescription, TableError> {
    let mut wait = Wait::begin();
    loop {
        let status = match described(client, name).await {
            Ok(description) if is_active(&description) => return Ok(description),
            Ok(description) => status_of(&description),
            // For a moment after it was made, not every server of the service knows it.
            Err(TableError::Missing { .. }) => "CREATING".to_owned(),
            Err(error) => return Err(error),
        };
        wait.pause(name, &status).await?;
    }
}

fn is_active(description: &TableDescription) -> bool {
    let mut indexes = description.global_secondary_indexes().iter();
    description.table_status() == Some(&TableStatus::Active)
        && indexes.all(|index| index.index_status() == Some(&IndexStatus::Active))
}

/// The schema that a table without a `SCHEMA` item has: the indexes that are there, and the default of the rest.
fn derived(description: &TableDescription, name: &str) -> Result<Schema, TableError> {
    require_keys(name, "the table", (PK, SK), description.key_schema())?;
    let mut found = Vec::new();
    for there in description.global_secondary_indexes() {
        // An index that somebody added for a purpose of their own is no concern of ours.
        let Some(index) = there.index_name().and_then(Index::from_name) else { continue };
        let keys = (index.partition_attribute(), index.sort_attribute());
        require_keys(name, &format!("index {:?}", index.name()), keys, there.key_schema())?;
        let projection = there.projection().and_then(Projection::projection_type);
        if projection != Some(&ProjectionType::All) {
            let expected = format!("index {:?} with projection ALL", index.name());
            let found = projection.map_or("none", ProjectionType::as_str).to_owned();
            return Err(TableError::Foreign { table: name.to_owned(), expected, found });
        }
        found.push(index);
    }
    Ok(Schema { indexes: IndexSet::of(|index| found.contains(&index)), ..Schema::default() })
}

fn require_keys(
    table: &str,
    of: &str,
    (partition, sort): (&str, &str),
    found: &[KeySchemaElement],
) -> Result<(), TableError> {
    let names: Vec<&str> = found.iter().map(KeySchemaElement::attribute_name).collect();
    if names == [partition, sort] {
        return Ok(());
    }
    let expected = format!("{of} with keys {partition}, {sort}");
    Err(TableError::Foreign { table: table.to_owned(), expected, found: names.join(", ") })
}

/// The schema in the table's `SCHEMA` item.
async fn recorded(client: &Client, name: &str) -> Result<Option<Schema>, TableError> {
    let key = || AttributeValue::S(SCHEMA_KEY.to_owned());
    let get = client.get_item().table_name(name).consistent_read(true).key(PK, key()).key(SK, key());
    let item = match get.send().await {
        Ok(answer) => answer.item,
        Err(error) => return Err(unreadable(client, name, error).await),
    };
    let Some(item) = item else { return Ok(None) };
    match Schema::version_of(&item) {
        Some(VERSION) => {}
        Some(found) => return Err(TableError::OtherVersion { table: name.to_owned(), found, known: VERSION }),
        None => return Err(unlike_schema(name)),
    }
    Schema::from_item(&item).map(Some).ok_or_else(|| unlike_schema(name))
}

fn unlike_schema(name: &str) -> TableError {
    let expected = format!("a {SCHEMA_KEY} item with version, shards and indexes");
    TableError::Foreign { table: name.to_owned(), expected, found: "another one".to_owned() }
}

/// Why the `SCHEMA` item cannot be read: of a table that is being made `DynamoDB` says that it is not found, and of one
/// with other keys that the request is wrong.
async fn unreadable<E>(
    client: &Client,
    name: &str,
    error: SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
) -> TableError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let error = match (error.code() == Some("ValidationException"), TableError::service(name, error)) {
        (_, error @ TableError::Missing { .. }) | (true, error) => error,
        (false, error) => return error,
    };
    match described(client, name).await {
        Ok(description) => match derived(&description, name) {
            Err(foreign) => foreign,
            Ok(_) if description.table_status() != Some(&TableStatus::Active) => {
                TableError::NotReady { table: name.to_owned(), status: status_of(&description) }
            }
            Ok(_) => error,
        },
        Err(_) => error,
    }
}

/// Records `schema` in the table unless something is recorded already. Gives what is recorded then.
async fn record(client: &Client, name: &str, schema: &Schema) -> Result<Schema, TableError> {
    let put = client.put_item().table_name(name).set_item(Some(schema.to_item()));
    let put = put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK);
    match put.send().await {
        Ok(_) => Ok(schema.clone()),
        // Another writer was first; or our own call, whose answer was lost.
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
            recorded(client, name).await?.ok_or_else(|| unlike_schema(name))
        }
        Err(error) => Err(TableError::service(name, error)),
    }
}

/// A wait for a table, with growing pauses and an end.
struct Wait {
    begun: Instant,
    pause: Duration,
}

impl Wait {
    fn begin() -> Self {
        Self { begun: Instant::now(), pause: FIRST_PAUSE }
    }

    async fn pause(&mut self, name: &str, status: &str) -> Result<(), TableError> {
        let waited = self.begun.elapsed();
        if waited > WAIT_LIMIT {
            let seconds = waited.as_secs();
            return Err(TableError::TooSlow { table: name.to_owned(), status: status.to_owned(), seconds });
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;
    use notaflux_testing::dynamodb;

    fn schema(shards: u16, indexes: &str) -> Schema {
        Schema { shards, indexes: IndexSet::parse(indexes).unwrap(), ..Schema::default() }
    }

    /// Makes a table by other means than ours.
    async fn make(client: &Client, name: &str, keys: (&str, &str)) {
        let call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        let call = call
            .attribute_definitions(text_attribute(keys.0).unwrap())
            .attribute_definitions(text_attribute(keys.1).unwrap())
            .set_key_schema(Some(key_schema(keys.0, keys.1).unwrap()));
        call.send().await.unwrap();
    }

    #[tokio::test]
    async fn a_table_is_made_once_and_opened_as_it_was_made() {
        let client = dynamodb().await;
        let asked = schema(3, "issuer,month");
        for _ in 0..2 {
            let made = create(client.clone(), "inv".into(), asked.clone()).await.unwrap();
            assert_eq!(made.schema, asked);
        }
        assert_eq!(Table::open(client.clone(), "inv".into()).await.unwrap().schema, asked);
        assert_eq!(Table::open_to_read(client.clone(), "inv".into()).await.unwrap().schema, asked);
        let shown = describe(&client, "inv").await.unwrap();
        assert_eq!((shown.status.as_str(), shown.schema), ("ACTIVE", asked));
        assert_eq!(shown.indexes.len(), 2);
        for other in [schema(4, "issuer,month"), schema(3, "issuer")] {
            let error = create(client.clone(), "inv".into(), other).await.unwrap_err();
            assert!(
                error.to_string().starts_with("table \"inv\" exists with 3 shards and indexes issuer,month, not with ")
            );
        }
        delete(&client, "inv").await.unwrap();
        let error = Table::open(client.clone(), "inv".into()).await.unwrap_err();
        let expected = "there is no table \"inv\"; make it with notaflux table create and the same --table or --data";
        assert_eq!((error.to_string().as_str(), error.is_permanent()), (expected, true));
        assert_eq!(delete(&client, "inv").await.unwrap_err().to_string(), expected);
        assert_eq!(describe(&client, "inv").await.unwrap_err().to_string(), expected);
        let opened = Table::open_or_create(client.clone(), "inv".into(), schema(2, "none")).await.unwrap();
        assert_eq!(opened.schema, schema(2, "none"));
        let opened = Table::open_or_create(client, "inv".into(), schema(5, "none")).await.unwrap();
        assert_eq!(opened.schema, schema(2, "none"), "an existing table is opened as it is");
    }

    #[tokio::test]
    async fn the_first_writer_records_the_schema_of_a_table_made_by_other_means() {
        let client = dynamodb().await;
        make(&client, "inv", (PK, SK)).await;
        assert_eq!(Table::open_to_read(client.clone(), "inv".into()).await.unwrap().schema, schema(8, "none"));
        assert_eq!(recorded(&client, "inv").await.unwrap(), None, "a reader records nothing");
        let opened = futures::future::join_all((0..4).map(|_| Table::open(client.clone(), "inv".into()))).await;
        assert!(opened.into_iter().all(|table| table.unwrap().schema == schema(8, "none")));
        assert_eq!(recorded(&client, "inv").await.unwrap(), Some(schema(8, "none")));
    }

    #[tokio::test]
    async fn shards_are_those_asked_for_until_some_are_recorded() {
        let client = dynamodb().await;
        make(&client, "inv", (PK, SK)).await;
        let reader = Table::open_sharded_to_read(client.clone(), "inv".into(), 3).await.unwrap();
        assert_eq!(reader.schema, schema(3, "none"), "as the writer is going to record it");
        for asked in [3, 5] {
            assert_eq!(Table::open_sharded(client.clone(), "inv".into(), asked).await.unwrap().schema.shards, 3);
            let reader = Table::open_sharded_to_read(client.clone(), "inv".into(), asked).await.unwrap();
            assert_eq!(reader.schema.shards, 3, "what is recorded stands");
        }
    }

    #[tokio::test]
    async fn tables_of_other_kinds_are_refused() {
        let client = dynamodb().await;
        make(&client, "other", ("id", "range")).await;
        let expected = "table \"other\" is not a notaflux table: expected the table with keys PK, SK, found id, range; \
                        choose another name";
        assert_eq!(Table::open(client.clone(), "other".into()).await.unwrap_err().to_string(), expected);
        let error = create(client.clone(), "other".into(), Schema::default()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);

        make(&client, "newer", (PK, SK)).await;
        let newer = Schema { version: 2, ..Schema::default() };
        client.put_item().table_name("newer").set_item(Some(newer.to_item())).send().await.unwrap();
        let error = Table::open(client, "newer".into()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("table \"newer\" has schema version 2, and this program knows version 1")
        );
    }
}
