//! The parts of DynamoDB's protocol that the proxy needs: bodies of BatchWriteItem, the cost of an item, and errors.

use serde_json::{Map, Value, json};

/// Bytes in a write unit ("Read/write capacity mode" in the DynamoDB developer guide).
const WRITE_UNIT_BYTES: usize = 1024;

/// DynamoDB's reasons for throttling: the table, the account, and one key range.
const REASONS: [&str; 3] = [
    "TableWriteProvisionedThroughputExceeded",
    "TableWriteAccountLimitExceeded",
    "TableWriteKeyRangeThroughputExceeded",
];

/// A BatchWriteItem without some of its items.
pub struct Split {
    /// The request without these items.
    pub forwarded: Value,
    /// These items, by table.
    pub left: Map<String, Value>,
    pub forwarded_items: usize,
    pub left_items: usize,
}

/// Removes each item for which `is_left` is true.
pub fn split_batch(mut body: Value, mut is_left: impl FnMut() -> bool) -> Split {
    let mut left = Map::new();
    let (mut forwarded_items, mut left_items) = (0, 0);
    if let Some(tables) = body.get_mut("RequestItems").and_then(Value::as_object_mut) {
        for (table, requests) in tables.iter_mut() {
            let all = std::mem::take(requests.as_array_mut().expect("a list of requests"));
            let (out, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|_| is_left());
            forwarded_items += kept.len();
            left_items += out.len();
            *requests = Value::Array(kept);
            if !out.is_empty() {
                left.insert(table.clone(), Value::Array(out));
            }
        }
        // The server rejects an empty list.
        tables.retain(|_, requests| requests.as_array().is_some_and(|requests| !requests.is_empty()));
    }
    Split { forwarded: body, left, forwarded_items, left_items }
}

/// Adds the removed items to the unprocessed items of the answer.
pub fn add_unprocessed(answer: &mut Value, left: Map<String, Value>) {
    let answer = answer.as_object_mut().expect("an answer");
    let unprocessed = answer.entry("UnprocessedItems").or_insert_with(|| json!({}));
    let unprocessed = unprocessed.as_object_mut().expect("items by table");
    for (table, requests) in left {
        let there = unprocessed.entry(table).or_insert_with(|| json!([]));
        there.as_array_mut().expect("a list").extend(requests.as_array().cloned().unwrap_or_default());
    }
}

/// Returns table and number of requests of a BatchWriteItem, and the write units of its puts without any index.
pub fn write_units(body: &Value) -> f64 {
    let tables = body.get("RequestItems").and_then(Value::as_object);
    let requests = tables.into_iter().flat_map(Map::values).filter_map(Value::as_array).flatten();
    requests.map(|request| units(request.pointer("/PutRequest/Item").map_or(1, item_bytes))).sum()
}

/// Returns the write units of the call, with indexes, according to the server, if the request asked for them.
pub fn consumed_units(answer: &Value) -> Option<f64> {
    let consumed = answer.get("ConsumedCapacity")?.as_array()?;
    Some(consumed.iter().filter_map(|table| table.get("CapacityUnits")?.as_f64()).sum())
}

/// Returns the first table of a request of any operation.
pub fn table_of(body: &Value) -> String {
    let batch = || body.get("RequestItems")?.as_object()?.keys().next().cloned();
    let single = || body.get("TableName")?.as_str().map(str::to_owned);
    batch().or_else(single).unwrap_or_default()
}

/// Returns the body of a throttling error.
pub fn throttled(table: &str, dice: &mut fastrand::Rng) -> Value {
    let reason = REASONS[dice.usize(..REASONS.len())];
    let reasons =
        json!([{"reason": reason, "resource": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}")}]);
    if dice.bool() {
        return json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "The level of configured provisioned throughput for the table was exceeded.",
            "ThrottlingReasons": reasons,
        });
    }
    json!({
        "__type": "com.amazon.coral.availability#ThrottlingException",
        "message": "Throughput exceeds the current capacity of your table or index.",
        "throttlingReasons": reasons,
    })
}

/// Returns the body of a server error.
pub fn failed(status: u16) -> Value {
    let kind = if status == 503 { "ServiceUnavailable" } else { "InternalServerError" };
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected failure"})
}

fn units(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(WRITE_UNIT_BYTES).max(1)).expect("an item's size"))
}

/// Returns the size of an item in bytes: names and values, by the rules of the developer guide.
pub fn item_bytes(item: &Value) -> usize {
    item.as_object().map_or(0, |item| item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum())
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    let text = value.as_str().map_or(0, str::len);
    match kind.as_str() {
        "S" => text,
        // One byte for two digits, and one for sign and exponent.
        "N" => text.div_ceil(2) + 1,
        "B" => text / 4 * 3,
        "M" => {
            3 + value
                .as_object()
                .map_or(0, |map| map.iter().map(|(name, value)| name.len() + value_bytes(value) + 1).sum())
        }
        "L" => 3 + value.as_array().map_or(0, |list| list.iter().map(|value| value_bytes(value) + 1).sum()),
        "SS" | "NS" | "BS" => {
            value.as_array().map_or(0, |set| set.iter().map(|text| text.as_str().map_or(0, str::len)).sum())
        }
        _ => 1,
    }
}
