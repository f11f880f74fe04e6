//! What the proxy has to know of DynamoDB: BatchWriteItem's bodies, what an item costs, how refusals look.

use serde_json::{Map, Value, json};

/// Bytes in a write unit ("Read/write capacity mode" in the DynamoDB developer guide).
const WRITE_UNIT_BYTES: usize = 1024;

/// Reasons as DynamoDB gives them: a table that is full, an account that is, and one key range.
const REASONS: [&str; 3] = [
    "TableWriteProvisionedThroughputExceeded",
    "TableWriteAccountLimitExceeded",
    "TableWriteKeyRangeThroughputExceeded",
];

/// A BatchWriteItem with some of its items taken out.
pub struct Split {
    /// The request without them.
    pub forwarded: Value,
    /// They, by table.
    pub left: Map<String, Value>,
    pub forwarded_items: usize,
    pub left_items: usize,
}

/// Takes out each item that `is_left` names.
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
        // An empty list is an error to the server.
        tables.retain(|_, requests| requests.as_array().is_some_and(|requests| !requests.is_empty()));
    }
    Split { forwarded: body, left, forwarded_items, left_items }
}

/// Adds what was taken out to the answer's unprocessed items.
pub fn add_unprocessed(answer: &mut Value, left: Map<String, Value>) {
    let answer = answer.as_object_mut().expect("an answer");
    let unprocessed = answer.entry("UnprocessedItems").or_insert_with(|| json!({}));
    let unprocessed = unprocessed.as_object_mut().expect("items by table");
    for (table, requests) in left {
        let there = unprocessed.entry(table).or_insert_with(|| json!([]));
        there.as_array_mut().expect("a list").extend(requests.as_array().cloned().unwrap_or_default());
    }
}

/// Table and number of requests of a BatchWriteItem, and the write units of its puts without any index.
pub fn write_units(body: &Value) -> f64 {
    let tables = body.get("RequestItems").and_then(Value::as_object);
    let requests = tables.into_iter().flat_map(Map::values).filter_map(Value::as_array).flatten();
    requests.map(|request| units(request.pointer("/PutRequest/Item").map_or(1, item_bytes))).sum()
}

/// What the server says that the call consumed, indexes included, if it was asked.
pub fn consumed_units(answer: &Value) -> Option<f64> {
    let consumed = answer.get("ConsumedCapacity")?.as_array()?;
    Some(consumed.iter().filter_map(|table| table.get("CapacityUnits")?.as_f64()).sum())
}

/// The first table of a request of whichever operation.
pub fn table_of(body: &Value) -> String {
    let batch = || body.get("RequestItems")?.as_object()?.keys().next().cloned();
    let single = || body.get("TableName")?.as_str().map(str::to_owned);
    batch().or_else(single).unwrap_or_default()
}

/// A throttling error's body.
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

/// A server failure's body.
pub fn failed(status: u16) -> Value {
    let kind = if status == 503 { "ServiceUnavailable" } else { "InternalServerError" };
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected failure"})
}

fn units(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(WRITE_UNIT_BYTES).max(1)).expect("an item's size"))
}

/// Size of an item: names and values, as the developer guide counts them.
pub fn item_bytes(item: &Value) -> usize {
    item.as_object().map_or(0, |item| item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum())
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    let text = value.as_str().map_or(0, str::len);
    match kind.as_str() {
        "S" => text,
        // Two digits a byte, and one for sign and exponent.
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
