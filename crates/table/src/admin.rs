//! Creates, opens, describes and deletes the table.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
};
use tokio::time::{Instant, sleep};

use crate::error::TableError;
use crate::keys::{PK, SCHEMA_KEY, SK};
use crate::schema::{Index, IndexSet, SHARDS, Schema, VERSION};

/// First pause between two checks of a table that is not ready. Each later pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest wait until a table is created or deleted. AWS takes seconds for an empty table, and longer for indexes.
const WAIT_LIMIT: Duration = Duration::from_mins(10);

/// An open table: its name and schema, and a client for one use of it.
///
/// The client decides how calls are retried, and each use has a policy of its own: a worker retries for a minute, the read API only
/// while a gateway waits, and the writer never, since its retries are its own. So whoever composes the program gives each use its own
/// table by [`Table::through`].
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    /// Its name.
    pub name: String,
    /// Its layout.
    pub schema: Schema,
}

/// The present state of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Its state in the words of `DynamoDB`, such as `ACTIVE`.
    pub status: String,
    /// Number of its items, which `DynamoDB` counts about every six hours; none if the service reports none.
    pub items: Option<u64>,
    /// Size of its items in bytes, counted likewise.
    pub size_bytes: Option<u64>,
    /// Its layout. If none is recorded yet, the layout that the first writer will record.
    pub schema: Schema,
}

impl Table {
    /// Names a table whose schema is known. Makes no call.
    #[must_use]
    pub const fn new(client: Client, name: String, schema: Schema) -> Self {
        Self { client, name, schema }
    }

    /// Returns the same table for another use, whose calls go through `client`.
    #[must_use]
    pub fn through(&self, client: Client) -> Self {
        Self::new(client, self.name.clone(), self.schema.clone())
    }

    /// Returns the client of this use.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a table for writing. A table that was created by other means (a stack template) has no `SCHEMA` item yet: the first
    /// writer records the indexes that it finds and the default number of shards.
    ///
    /// # Errors
    /// The table does not exist, is not a notaflux table, or has another version; an error of `DynamoDB`.
    pub async fn open(client: Client, name: String) -> Result<Self, TableError> {
        Self::open_sharded(client, name, SHARDS).await
    }

    /// Like [`Table::open`], but records `shards` as the number of shards if none is recorded yet. A recorded number stays valid: the
    /// items in the table follow it.
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

    /// Opens a table for reading, and writes nothing. Otherwise as [`Table::open`].
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open_to_read(client: Client, name: String) -> Result<Self, TableError> {
        Self::open_sharded_to_read(client, name, SHARDS).await
    }

    /// Like [`Table::open_to_read`], with the number of shards that the first writer will record. With a smaller number, a reader that
    /// starts before that writer would miss items.
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

    /// Opens an existing table as it is, or creates it with `schema`.
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

/// Creates an on-demand table with its indexes, and waits until it can be used. Does nothing if it exists with the same schema.
///
/// # Errors
/// A table of this name exists and is not a notaflux table or has another schema; an error of `DynamoDB`.
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

/// Returns the present state of a table.
///
/// # Errors
/// As [`Table::open`].
pub async fn describe(client: &Client, name: &str) -> Result<Description, TableError> {
    let description = described(client, name).await?;
    let mut schema = derived(&description, name)?;
    if matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating)) {
        schema = recorded(client, name).await?.unwrap_or(schema);
    }
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(Description {
        status: status_of(&description),
        items: count(description.item_count()),
        size_bytes: count(description.table_size_bytes()),
        schema,
    })
}

/// Deletes a table with all its items, and waits until it is gone.
///
/// # Errors
/// The table does not exist; an error of `DynamoDB`.
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
        let index = GlobalSecondaryIndex::builder()
            .index_name(index.name())
            .set_key_schema(Some(key_schema(partition, sort)?))
            .projection(everything);
        call = call
            .attribute_definitions(text_attribute(partition)?)
            .attribute_definitions(text_attribute(sort)?)
            .global_secondary_indexes(index.build()?);
    }
    call.send().await.map(drop)
}

fn text_attribute(name: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
}

fn key_schema(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![element(partition, KeyType::Hash)?, element(sort, KeyType::Range)?])
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
            // For a moment after the creation, not every server of the service knows the table.
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

/// Returns the schema of a table without a `SCHEMA` item: the indexes that it has, and defaults for the rest.
fn derived(description: &TableDescription, name: &str) -> Result<Schema, TableError> {
    require_keys(name, "the table", (PK, SK), description.key_schema())?;
    let mut found = Vec::new();
    for existing in description.global_secondary_indexes() {
        // Users may add indexes of their own.
        let Some(index) = existing.index_name().and_then(Index::from_name) else { continue };
        let keys = (index.partition_attribute(), index.sort_attribute());
        require_keys(name, &format!("index {:?}", index.name()), keys, existing.key_schema())?;
        let projection = existing.projection().and_then(Projection::projection_type);
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

/// Reads the schema in the table's `SCHEMA` item.
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
        None => return Err(damaged_schema(name)),
    }
    Schema::from_item(&item).map(Some).ok_or_else(|| damaged_schema(name))
}

fn damaged_schema(name: &str) -> TableError {
    let expected = format!("a {SCHEMA_KEY} item with version, shards and indexes");
    TableError::Foreign { table: name.to_owned(), expected, found: "a damaged one".to_owned() }
}

/// Finds out why the `SCHEMA` item cannot be read. While a table is being created, `DynamoDB` reports that it does not exist; for a
/// table with other keys, that the request is invalid.
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

/// Records `schema` in the table unless a schema is recorded already. Returns the recorded schema.
async fn record(client: &Client, name: &str, schema: &Schema) -> Result<Schema, TableError> {
    let put = client.put_item().table_name(name).set_item(Some(schema.to_item()));
    let put = put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK);
    match put.send().await {
        Ok(_) => Ok(schema.clone()),
        // Another writer was first, or an earlier call of our own whose answer was lost.
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
            recorded(client, name).await?.ok_or_else(|| damaged_schema(name))
        }
        Err(error) => Err(TableError::service(name, error)),
    }
}

/// A wait for a table, with growing pauses and a limit.
struct Wait {
    began: Instant,
    pause: Duration,
}

impl Wait {
    fn begin() -> Self {
        Self { began: Instant::now(), pause: FIRST_PAUSE }
    }

    async fn pause(&mut self, name: &str, status: &str) -> Result<(), TableError> {
        let waited = self.began.elapsed();
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

    /// Creates a table by other means than ours.
    async fn make(client: &Client, name: &str, keys: (&str, &str)) {
        let call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        let call = call
            .attribute_definitions(text_attribute(keys.0).unwrap())
            .attribute_definitions(text_attribute(keys.1).unwrap())
            .set_key_schema(Some(key_schema(keys.0, keys.1).unwrap()));
        call.send().await.unwrap();
    }

    #[tokio::test]
    async fn a_table_is_created_once_and_opened_as_it_was_created() {
        let client = dynamodb().await;
        let asked = schema(3, "issuer,month");
        for _ in 0..2 {
            let made = create(client.clone(), "inv".into(), asked.clone()).await.unwrap();
            assert_eq!(made.schema, asked);
        }
        assert_eq!(Table::open(client.clone(), "inv".into()).await.unwrap().schema, asked);
        assert_eq!(Table::open_to_read(client.clone(), "inv".into()).await.unwrap().schema, asked);
        let shown = describe(&client, "inv").await.unwrap();
        assert_eq!((shown.status.as_str(), shown.items, shown.schema), ("ACTIVE", Some(1), asked));
        for other in [schema(4, "issuer,month"), schema(3, "issuer")] {
            let error = create(client.clone(), "inv".into(), other).await.unwrap_err();
            assert!(
                error.to_string().starts_with("table \"inv\" exists with 3 shards and indexes issuer,month, not with ")
            );
        }
        delete(&client, "inv").await.unwrap();
        let error = Table::open(client.clone(), "inv".into()).await.unwrap_err();
        let expected = "there is no table \"inv\"; create it with notaflux table create and the same --table or --data";
        assert_eq!((error.to_string().as_str(), error.is_permanent()), (expected, true));
        assert_eq!(delete(&client, "inv").await.unwrap_err().to_string(), expected);
        assert_eq!(describe(&client, "inv").await.unwrap_err().to_string(), expected);
        let opened = Table::open_or_create(client.clone(), "inv".into(), schema(2, "none")).await.unwrap();
        assert_eq!(opened.schema, schema(2, "none"));
        let opened = Table::open_or_create(client, "inv".into(), schema(5, "none")).await.unwrap();
        assert_eq!(opened.schema, schema(2, "none"), "an existing table is opened as it is");
    }

    #[tokio::test]
    async fn the_first_writer_records_the_schema_of_a_table_created_by_other_means() {
        let client = dynamodb().await;
        make(&client, "inv", (PK, SK)).await;
        assert_eq!(Table::open_to_read(client.clone(), "inv".into()).await.unwrap().schema, schema(8, "none"));
        assert_eq!(recorded(&client, "inv").await.unwrap(), None, "a reader records nothing");
        let opened = futures::future::join_all((0..4).map(|_| Table::open(client.clone(), "inv".into()))).await;
        assert!(opened.into_iter().all(|table| table.unwrap().schema == schema(8, "none")));
        assert_eq!(recorded(&client, "inv").await.unwrap(), Some(schema(8, "none")));
    }

    #[tokio::test]
    async fn the_requested_shards_apply_until_a_number_is_recorded() {
        let client = dynamodb().await;
        make(&client, "inv", (PK, SK)).await;
        let reader = Table::open_sharded_to_read(client.clone(), "inv".into(), 3).await.unwrap();
        assert_eq!(reader.schema, schema(3, "none"), "as the writer will record it");
        for asked in [3, 5] {
            assert_eq!(Table::open_sharded(client.clone(), "inv".into(), asked).await.unwrap().schema.shards, 3);
            let reader = Table::open_sharded_to_read(client.clone(), "inv".into(), asked).await.unwrap();
            assert_eq!(reader.schema.shards, 3, "the recorded number stays");
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
            error.to_string().starts_with("table \"newer\" has schema version 2, and this program needs version 1")
        );
    }
}
