//! `notaflux serve` as a real process: it ingests the uploads of any S3 client, also after it is killed.

use std::fs;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use notaflux_aws as aws;
use notaflux_generate::{GenerateOptions, Generator, LayoutVersion};
use notaflux_local::Endpoints;
use notaflux_local::stack::UPLOADS_BUCKET;
use serde_json::Value;

use crate::program::{self, Program, notaflux, wait_until};
use crate::support::{http, rows};

/// A server in a new folder.
struct Server {
    program: Program,
    endpoints: Endpoints,
    config: SdkConfig,
    folder: PathBuf,
}

impl Server {
    fn start(folder: &Path, options: &[&str]) -> Self {
        let data = folder.join("data");
        let fixed = ["serve", "--data", data.to_str().unwrap(), "--port", "0", "--aws-port", "0"];
        let program = Program::start(notaflux(&[&fixed, options].concat(), None), folder, "serve");
        let endpoints = program::endpoints(&data);
        let config = aws::embedded_config(&endpoints.aws);
        Self { program, endpoints, config, folder: folder.to_owned() }
    }

    fn output(&self, kind: &str) -> String {
        fs::read_to_string(self.folder.join(format!("serve.{kind}"))).unwrap()
    }

    fn wait_for(&self, kind: &str, words: &str) {
        wait_until(words, || self.output(kind).contains(words));
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) {
        let s3 = aws::s3_client(&self.config);
        s3.put_object().bucket(UPLOADS_BUCKET).key(key).body(ByteStream::from(bytes)).send().await.unwrap();
    }

    /// Uploads in two parts, as clients upload large files.
    async fn put_in_parts(&self, key: &str, bytes: &[u8]) {
        let s3 = aws::s3_client(&self.config);
        let upload = s3.create_multipart_upload().bucket(UPLOADS_BUCKET).key(key).send().await.unwrap();
        let id = upload.upload_id().unwrap();
        let mut parts = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(bytes.chunks(5 * 1024 * 1024)) {
            let body = ByteStream::from(part.to_vec());
            let put = s3.upload_part().bucket(UPLOADS_BUCKET).key(key).upload_id(id).part_number(number).body(body);
            let etag = put.send().await.unwrap().e_tag;
            parts = parts.parts(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
        }
        let complete = s3.complete_multipart_upload().bucket(UPLOADS_BUCKET).key(key).upload_id(id);
        complete.multipart_upload(parts.build()).send().await.unwrap();
    }

    async fn get(&self, path: &str) -> Value {
        http::get_json(&format!("{}{path}", self.endpoints.api.as_deref().unwrap())).await
    }
}

fn sample(records: u64) -> (Vec<u8>, String) {
    let layout_version = LayoutVersion::V1;
    let options = GenerateOptions { records, seed: 11, layout_version, duplicates: 0.05, bad: 0.02 };
    let (mut generator, mut bytes) = (Generator::new(options), Vec::new());
    while generator.fill(&mut bytes) {}
    (bytes, generator.busiest_issuer())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_in_parts_is_ingested_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--log-format", "json"]);
    let (bytes, issuer) = sample(14_000);
    server.put_in_parts("caixa/Notas São Paulo +1.csv", &bytes).await;
    server.wait_for("out", "completed, 14,000 records = ");
    let log = server.output("err");
    let logged = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ingested: Vec<Value> = logged.filter(|line| line["fields"]["message"] == "ingested").collect();
    assert_eq!(ingested.len(), 1, "{log}");

    let first = server.get(&format!("/v1/invoices?issuer={issuer}&limit=3")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second_page = format!("/v1/invoices?issuer={issuer}&limit=3&cursor={cursor}");
    let second = server.get(&second_page).await["items"].clone();
    assert_ne!(first["items"], second);

    server.program.signal("TERM");
    assert_eq!(server.program.ended().code(), Some(0), "{}", server.output("err"));
    assert!(server.output("out").ends_with("resume at the next start.\n"), "{}", server.output("out"));

    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.get(&second_page).await["items"], second, "the cursor from before the restart is still valid");
    let client = aws::dynamodb_client(&server.config);
    let id = first["items"][0]["id"].as_str().unwrap();
    let query = client.query().table_name("notaflux").key_condition_expression("PK = :pk");
    let found = query.expression_attribute_values(":pk", AttributeValue::S(format!("N#{id}"))).send().await.unwrap();
    assert_eq!(found.count(), 1);
    server.put("next.csv", rows::file([(rows::key(1), "1,00".to_owned())])).await;
    server.wait_for("out", "next.csv: completed, 1 records = 1 written");
    assert!(!server.output("out").contains("Notas São Paulo"), "a completed object is not ingested again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_start_ingests_the_remaining_objects_of_a_killed_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let (bytes, _) = sample(20_000);
    server.put("a.csv", bytes.clone()).await;
    server.put("b.csv", sample(50).0).await;
    server.program.signal("KILL");
    server.program.ended();
    assert!(!server.output("out").contains("completed"), "killed too late to prove anything");

    let server = Server::start(folder.path(), &[]);
    server.wait_for("out", "a.csv: completed, 20,000 records");
    server.wait_for("out", "b.csv: completed, 50 records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn other_commands_work_against_a_server_that_uses_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let file = folder.path().join("notas.csv");
    fs::write(&file, rows::file((0..30).map(|n| (rows::key(n), "2,00".to_owned())))).unwrap();
    let data = folder.path().join("data");
    let ingested = program::run(&["ingest", file.to_str().unwrap(), "--data", data.to_str().unwrap()], None);
    assert!(ingested.status.success(), "{}", String::from_utf8_lossy(&ingested.stderr));
    assert_eq!(server.get(&format!("/v1/invoices/{}", rows::key(7))).await["total"], "2.00");
    let shown = program::run(&["table", "show", "--data", data.to_str().unwrap()], None);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("ACTIVE"), "{shown:?}");
}

/// Rejects quote cells, and a log must not contain a CPF.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_object_is_logged_without_its_cpfs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--max-rejects", "0"]);
    server
        .put("bad.csv", rows::file([(rows::key(1), "52998224725x".to_owned()), (rows::key(2), "1,00".to_owned())]))
        .await;
    server.put("worse.csv", rows::file([(rows::key(1), "529.982.247-25".to_owned())])).await;
    server.wait_for("err", "bad.csv: not ingested: ");
    server.wait_for("err", "worse.csv: not ingested: ");
    let log = server.output("err");
    assert!(log.contains("--max-rejects") && log.contains("***.***.***-**"), "{log}");
    assert!(!log.contains("529.982"), "{log}");
    server.put("good.csv", rows::file([(rows::key(3), "1,00".to_owned())])).await;
    server.wait_for("out", "good.csv: completed, 1 records");
}

#[test]
fn a_port_in_use_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = folder.path().join("data");
    for (option, other) in [("--port", "--aws-port"), ("--aws-port", "--port")] {
        let arguments = ["serve", "--data", data.to_str().unwrap(), option, &port, other, "0"];
        let ended = program::run(&arguments, None);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1));
        assert!(told.contains(&format!("choose another port with {option}, ")), "{told}");
    }
}
