//! Tests the stack with the same SDK clients that the engine uses.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed as it should"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
    WriteRequest,
};
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};

use super::stack::{UPLOADS_BUCKET, WORK_BUCKET};
use super::*;

fn temporary() -> Stack {
    Stack::start(StackOptions::default()).unwrap()
}

fn in_folder(folder: &Path) -> Result<Stack, StackError> {
    Stack::start(StackOptions { data: Some(folder.to_owned()), ..StackOptions::default() })
}

fn s3(stack: &Stack) -> S3 {
    S3::new(&stack.sdk_config())
}

/// Returns the HTTP status and the error code of a refused call.
fn refusal<T, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E, aws_smithy_runtime_api::http::Response>>,
) -> (u16, String) {
    let Err(error) = answer else { panic!("not refused") };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

async fn put(s3: &S3, key: &str, bytes: &[u8]) -> String {
    let put = s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(bytes.to_vec()));
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(s3: &S3, key: &str, range: Option<&str>) -> Vec<u8> {
    let answer = s3.get_object().bucket(UPLOADS_BUCKET).key(key).set_range(range.map(str::to_owned)).send().await;
    answer.unwrap().body.collect().await.unwrap().to_vec()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

#[tokio::test]
async fn objects_come_back_whole_and_in_ranges() {
    let stack = temporary();
    let s3 = s3(&stack);
    let bytes = pattern(700_001);
    let key = "2024/nota fiscal +ção.csv";
    put(&s3, key, &bytes).await;
    assert_eq!(get(&s3, key, None).await, bytes);
    assert_eq!(get(&s3, key, Some("bytes=5-9")).await, &bytes[5..10]);
    assert_eq!(get(&s3, key, Some("bytes=600000-")).await, &bytes[600_000..]);
    assert_eq!(get(&s3, key, Some("bytes=-7")).await, &bytes[bytes.len() - 7..]);
    let past = s3.get_object().bucket(UPLOADS_BUCKET).key(key).range("bytes=700001-").send().await;
    assert_eq!(refusal(past), (416, "InvalidRange".to_owned()));
    let head = s3.head_object().bucket(UPLOADS_BUCKET).key(key).send().await.unwrap();
    assert_eq!(head.content_length(), Some(700_001));
    assert_eq!(head.content_type(), Some("application/octet-stream"));
}

#[tokio::test]
async fn attributes_survive_a_copy() {
    let stack = temporary();
    let s3 = s3(&stack);
    let put = s3.put_object().bucket(UPLOADS_BUCKET).key("a").body(ByteStream::from_static(b"1"));
    put.content_type("text/csv").content_encoding("gzip").metadata("origin", "cgu").send().await.unwrap();
    let copy = s3.copy_object().copy_source(format!("{UPLOADS_BUCKET}/a")).bucket(WORK_BUCKET).key("b");
    copy.send().await.unwrap();
    let head = s3.head_object().bucket(WORK_BUCKET).key("b").send().await.unwrap();
    assert_eq!((head.content_type(), head.content_encoding()), (Some("text/csv"), Some("gzip")));
    assert_eq!(head.metadata().unwrap()["origin"], "cgu");
}

#[tokio::test]
async fn reads_check_their_conditions() {
    let stack = temporary();
    let s3 = s3(&stack);
    let etag = put(&s3, "a", b"one").await;
    let read = || s3.get_object().bucket(UPLOADS_BUCKET).key("a");
    let head = || s3.head_object().bucket(UPLOADS_BUCKET).key("a");
    read().if_match(&etag).send().await.unwrap();
    assert_eq!(refusal(read().if_none_match(&etag).send().await).0, 304);
    assert_eq!(refusal(head().if_none_match(&etag).send().await).0, 304);

    let newer = put(&s3, "a", b"two").await;
    assert_ne!(etag, newer);
    assert_eq!(refusal(read().if_match(&etag).send().await), (412, "PreconditionFailed".to_owned()));
    assert_eq!(refusal(head().if_match(&etag).send().await).0, 412);
    read().if_none_match(&etag).send().await.unwrap();
}

#[tokio::test]
async fn one_of_many_conditional_writers_wins() {
    let stack = temporary();
    let s3 = s3(&stack);
    let writers = (0..16).map(|writer| {
        let body = ByteStream::from(format!("writer {writer}").into_bytes());
        s3.put_object().bucket(WORK_BUCKET).key("plan").if_none_match("*").body(body).send()
    });
    let answers = futures::future::join_all(writers).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(answer), (412, "PreconditionFailed".to_owned()));
    }
}

#[tokio::test]
async fn refusals_have_the_codes_of_s3() {
    let stack = temporary();
    let s3 = s3(&stack);
    let read = |bucket, key| s3.get_object().bucket(bucket).key(key).send();
    assert_eq!(refusal(read(UPLOADS_BUCKET, "none").await), (404, "NoSuchKey".to_owned()));
    assert_eq!(refusal(read("nothing-here", "none").await), (404, "NoSuchBucket".to_owned()));
    assert_eq!(refusal(s3.head_object().bucket(UPLOADS_BUCKET).key("none").send().await).0, 404);
    let body = ByteStream::from_static(b"1");
    let put = s3.put_object().bucket("nothing-here").key("a").body(body).send().await;
    assert_eq!(refusal(put), (404, "NoSuchBucket".to_owned()));
    let put = s3.put_object().bucket(UPLOADS_BUCKET).key("a").content_md5("XUFAKrxLKna5cZ2REBfFkg==");
    let put = put.body(ByteStream::from_static(b"other")).send().await;
    assert_eq!(refusal(put), (400, "BadDigest".to_owned()));
    assert_eq!(refusal(read(UPLOADS_BUCKET, "a").await), (404, "NoSuchKey".to_owned()), "refused bytes must not stay");
    let part = s3.upload_part().bucket(UPLOADS_BUCKET).key("a").upload_id("../../x").part_number(1);
    assert_eq!(refusal(part.body(ByteStream::from_static(b"1")).send().await), (404, "NoSuchUpload".to_owned()));
    assert_eq!(
        refusal(s3.create_bucket().bucket(WORK_BUCKET).send().await),
        (409, "BucketAlreadyOwnedByYou".to_owned())
    );
    put_and_fail_to_delete_bucket(&s3).await;
}

async fn put_and_fail_to_delete_bucket(s3: &S3) {
    put(s3, "a", b"1").await;
    let refused = s3.delete_bucket().bucket(UPLOADS_BUCKET).send().await;
    assert_eq!(refusal(refused), (409, "BucketNotEmpty".to_owned()));
}

#[tokio::test]
async fn wrong_credentials_have_the_codes_of_aws() {
    let stack = temporary();
    let with = |key: &str, secret: &str| {
        let credentials = Credentials::new(key, secret, None, None, "test");
        let config = aws_sdk_s3::config::Builder::from(&stack.sdk_config()).credentials_provider(credentials);
        S3::from_conf(config.build())
    };
    let refused = with("stranger", "test").list_buckets().send().await;
    assert!(refused.as_ref().err().unwrap().request_id().is_none());
    assert_eq!(refusal(refused), (403, "InvalidAccessKeyId".to_owned()));
    assert_eq!(refusal(with("test", "wrong").list_buckets().send().await), (403, "SignatureDoesNotMatch".to_owned()));
}

/// Uploads `parts`. Returns the id of the upload and the completion to send.
async fn upload_parts(s3: &S3, key: &str, parts: &[Vec<u8>]) -> (String, CompletedMultipartUpload) {
    let begun = s3.create_multipart_upload().bucket(UPLOADS_BUCKET).key(key).content_type("text/csv").send().await;
    let id = begun.unwrap().upload_id.unwrap();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(parts) {
        let part = ByteStream::from(part.clone());
        let sent = s3.upload_part().bucket(UPLOADS_BUCKET).key(key).upload_id(&id).part_number(number).body(part);
        let sent = sent.send().await.unwrap();
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        completed = completed.parts(part.set_checksum_crc32(sent.checksum_crc32).build());
    }
    (id, completed.build())
}

#[tokio::test]
async fn a_multipart_upload_completes_once() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&events);
    let on_created: OnCreated = Arc::new(move |event| received.lock().unwrap().push(event));
    let stack = Stack::start(StackOptions { on_created: Some(on_created), ..StackOptions::default() }).unwrap();
    let s3 = s3(&stack);
    let parts = [pattern(5 * 1024 * 1024), pattern(5 * 1024 * 1024 + 1), pattern(77)];
    let (id, completed) = upload_parts(&s3, "big.csv", &parts).await;
    let complete = || {
        let call = s3.complete_multipart_upload().bucket(UPLOADS_BUCKET).key("big.csv").upload_id(&id);
        call.multipart_upload(completed.clone()).send()
    };
    let etag = complete().await.unwrap().e_tag.unwrap();
    assert!(etag.ends_with("-3\""), "{etag}");
    // A client whose answer was lost asks again: the answer is the same, and there is no second event.
    assert_eq!(complete().await.unwrap().e_tag.unwrap(), etag);
    assert_eq!(get(&s3, "big.csv", None).await, parts.concat());
    let head = s3.head_object().bucket(UPLOADS_BUCKET).key("big.csv").send().await.unwrap();
    assert_eq!((head.e_tag().unwrap(), head.content_type().unwrap()), (etag.as_str(), "text/csv"));

    put(&s3, "small.csv", b"1").await;
    let events = events.lock().unwrap();
    let written: Vec<_> = events.iter().map(|event| (event.kind, event.key.as_str(), event.size_bytes)).collect();
    let size = parts.iter().map(Vec::len).sum::<usize>() as u64;
    assert_eq!(written, [("CompleteMultipartUpload", "big.csv", size), ("Put", "small.csv", 1)]);
    assert_eq!(format!("\"{}\"", events[0].etag), etag);
    assert!(events[0].sequencer < events[1].sequencer);
}

#[tokio::test]
async fn wrong_parts_are_refused() {
    let stack = temporary();
    let s3 = s3(&stack);
    let (id, completed) = upload_parts(&s3, "a", &[pattern(1000), pattern(10)]).await;
    let complete = |parts: CompletedMultipartUpload| {
        s3.complete_multipart_upload().bucket(UPLOADS_BUCKET).key("a").upload_id(&id).multipart_upload(parts).send()
    };
    assert_eq!(refusal(complete(completed.clone()).await), (400, "EntityTooSmall".to_owned()));
    let mut backwards = completed.parts().to_vec();
    backwards.reverse();
    let backwards = CompletedMultipartUpload::builder().set_parts(Some(backwards)).build();
    assert_eq!(refusal(complete(backwards).await), (400, "InvalidPartOrder".to_owned()));
    let unknown = CompletedPart::builder().part_number(9).e_tag("x").build();
    let unknown = CompletedMultipartUpload::builder().parts(unknown).build();
    assert_eq!(refusal(complete(unknown).await), (400, "InvalidPart".to_owned()));
    s3.abort_multipart_upload().bucket(UPLOADS_BUCKET).key("a").upload_id(&id).send().await.unwrap();
    assert_eq!(refusal(complete(completed).await), (404, "NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn listings_have_pages() {
    let stack = temporary();
    let s3 = s3(&stack);
    let mut keys: Vec<_> = (0..7).map(|number| format!("run/{number} ç+%.bin")).collect();
    keys.extend(["a".to_owned(), "run".to_owned(), "z".repeat(1000)]);
    for key in &keys {
        put(&s3, key, b"1").await;
    }
    keys.sort();
    let mut found = Vec::new();
    let mut pages = s3.list_objects_v2().bucket(UPLOADS_BUCKET).max_keys(3).into_paginator().send();
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            assert!(object.e_tag().is_some() && object.size() == Some(1));
            found.push(object.key().unwrap().to_owned());
        }
    }
    assert_eq!(found, keys);
    let top = s3.list_objects_v2().bucket(UPLOADS_BUCKET).delimiter("/").send().await.unwrap();
    assert_eq!(top.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect::<Vec<_>>(), ["run/"]);

    let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap()).collect();
    let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
    let deleted = s3.delete_objects().bucket(UPLOADS_BUCKET).delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (keys.len(), 0));
    assert_eq!(s3.list_objects_v2().bucket(UPLOADS_BUCKET).send().await.unwrap().key_count(), Some(0));
}

async fn create_table(client: &DynamoDb, name: &str) {
    let (pk, sk) = ("PK", "SK");
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute = |name| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let table = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let table = table.key_schema(key(pk, KeyType::Hash)).key_schema(key(sk, KeyType::Range));
    table.attribute_definitions(attribute(pk)).attribute_definitions(attribute(sk)).send().await.unwrap();
}

async fn write_items(client: &DynamoDb, table: &str, count: usize) {
    let requests: Vec<_> = (0..count)
        .map(|number| {
            let put = PutRequest::builder().item("PK", AttributeValue::S(format!("N#{number}")));
            WriteRequest::builder().put_request(put.item("SK", AttributeValue::S("H".into())).build().unwrap()).build()
        })
        .collect();
    let answer = client.batch_write_item().request_items(table, requests).send().await.unwrap();
    assert!(answer.unprocessed_items().is_none_or(std::collections::HashMap::is_empty));
}

async fn count_items(client: &DynamoDb, table: &str) -> i32 {
    client.scan().table_name(table).send().await.unwrap().count()
}

#[tokio::test]
async fn one_port_serves_both_services() {
    let stack = temporary();
    let common = DynamoDb::new(&stack.sdk_config());
    create_table(&common, "table").await;
    write_items(&common, "table", 25).await;
    assert_eq!(count_items(&DynamoDb::new(&stack.dynamodb_config()), "table").await, 25);
    assert_eq!(refusal(common.scan().table_name("none").send().await).1, "ResourceNotFoundException");
    assert!(s3(&stack).list_buckets().send().await.unwrap().buckets().len() == 2);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let stack = in_folder(folder.path()).unwrap();
    let s3_before = s3(&stack);
    let etag = put(&s3_before, "a", b"kept").await;
    let (id, completed) = upload_parts(&s3_before, "b", &[pattern(6_000_000), pattern(5)]).await;
    let complete = s3_before.complete_multipart_upload().bucket(UPLOADS_BUCKET).key("b").upload_id(&id);
    let big = complete.multipart_upload(completed).send().await.unwrap().e_tag;
    let client = DynamoDb::new(&stack.sdk_config());
    create_table(&client, "table").await;
    write_items(&client, "table", 3).await;
    stack.stop();

    let stack = in_folder(folder.path()).unwrap();
    let s3 = s3(&stack);
    assert_eq!(get(&s3, "a", None).await, b"kept");
    let head = |key| s3.head_object().bucket(UPLOADS_BUCKET).key(key).send();
    assert_eq!(head("a").await.unwrap().e_tag, Some(etag));
    assert_eq!(head("b").await.unwrap().e_tag, big);
    assert_eq!(count_items(&DynamoDb::new(&stack.sdk_config()), "table").await, 3);
}

#[tokio::test]
async fn a_file_changed_by_hand_has_a_new_etag() {
    let folder = tempfile::tempdir().unwrap();
    let stack = in_folder(folder.path()).unwrap();
    let s3 = s3(&stack);
    let etag = put(&s3, "a.csv", b"one").await;
    std::fs::write(folder.path().join("s3/uploads/a.csv"), b"another").unwrap();
    std::fs::write(folder.path().join("s3/uploads/b.csv"), b"one").unwrap();
    assert_eq!(get(&s3, "a.csv", None).await, b"another");
    let stale = s3.get_object().bucket(UPLOADS_BUCKET).key("a.csv").if_match(&etag).send().await;
    assert_eq!(refusal(stale).0, 412);
    let found = s3.head_object().bucket(UPLOADS_BUCKET).key("b.csv").send().await.unwrap();
    assert_eq!(found.e_tag(), Some(etag.as_str()));
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_not_a_missing_object() {
    let folder = tempfile::tempdir().unwrap();
    let stack = in_folder(folder.path()).unwrap();
    let s3 = s3(&stack);
    let long = "k".repeat(1000);
    for key in ["a.csv", &long] {
        put(&s3, key, b"one").await;
    }
    for record in std::fs::read_dir(folder.path().join("s3/.meta/uploads")).unwrap() {
        std::fs::write(record.unwrap().path(), b"{").unwrap();
    }
    // The SDK retries an error of the server; one call is enough here.
    let config = aws_sdk_s3::config::Builder::from(&stack.sdk_config()).retry_config(RetryConfig::disabled());
    let s3 = S3::from_conf(config.build());
    let read = s3.get_object().bucket(UPLOADS_BUCKET).key("a.csv").send().await;
    assert_eq!(refusal(read), (500, "InternalError".to_owned()));
    let listed = s3.list_objects_v2().bucket(UPLOADS_BUCKET).send().await;
    assert_eq!(refusal(listed), (500, "InternalError".to_owned()));
}

#[tokio::test]
async fn a_negative_page_size_is_refused() {
    let stack = temporary();
    let listed = s3(&stack).list_objects_v2().bucket(UPLOADS_BUCKET).max_keys(-1).send().await;
    assert_eq!(refusal(listed), (400, "InvalidArgument".to_owned()));
}

#[test]
fn a_folder_serves_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(running(folder.path()).unwrap(), None);
    let mut stack = in_folder(folder.path()).unwrap();
    stack.announce_api("http://127.0.0.1:1").unwrap();
    let found = running(folder.path()).unwrap().unwrap();
    assert_eq!(&found, stack.endpoints());

    let refused = in_folder(folder.path()).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains(&std::process::id().to_string()) && refused.contains(&found.aws), "{refused}");
    assert_eq!(refused.lines().count(), 1);

    drop(stack);
    assert_eq!(running(folder.path()).unwrap(), None);
    in_folder(folder.path()).unwrap().stop();
}

#[test]
fn the_endpoints_of_a_killed_process_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let stale = Endpoints { pid: 1, aws: "http://127.0.0.1:1".into(), dynamodb: String::new(), api: None };
    std::fs::write(folder.path().join("lock"), "").unwrap();
    std::fs::write(folder.path().join("endpoints.json"), serde_json::to_vec(&stale).unwrap()).unwrap();
    assert_eq!(running(folder.path()).unwrap(), None);
}

#[test]
fn an_unusable_folder_or_port_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = in_folder(&file.join("data")).map(|_| ()).unwrap_err().to_string();
    assert!(refused.starts_with("cannot use the data folder") && refused.contains("--data"), "{refused}");

    let stack = temporary();
    let port = stack.endpoints().aws.rsplit(':').next().unwrap().parse().unwrap();
    let taken = Stack::start(StackOptions { port, ..StackOptions::default() }).map(|_| ()).unwrap_err().to_string();
    assert!(taken.contains(&port.to_string()) && taken.contains("--aws-port"), "{taken}");
}

#[tokio::test]
async fn a_temporary_stack_removes_its_folder() {
    let stack = temporary();
    put(&s3(&stack), "a", b"1").await;
    let folder = stack.folder().to_owned();
    assert!(folder.join("dynamodb.sqlite").is_file(), "the table is in a file");
    stack.stop();
    assert!(!folder.exists());
}
