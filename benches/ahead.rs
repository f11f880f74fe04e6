//! The speed of reading an S3 object when each connection brings 80 MB/s: with one GET, as sources are read, and as
//! sources are read by a reader that processes the bytes on the same core.
//!
//! `cargo bench --bench ahead` takes about 20 seconds; `-- GB` sets the size of the object. The server has its own
//! thread, so the CPU time is that of the reader alone.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may panic to fail, and rates are for display"
)]

use std::fs;
use std::future::Future;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use aws_sdk_s3::Client;
use futures::TryStreamExt;
use notaflux_aws as aws;
use notaflux_engine::object;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::time::{self, Instant};

/// Speed of a connection to S3: "85–90 MB/s" (S3 User Guide, "Performance design patterns"), seen from a Lambda
/// function.
const BYTES_A_SECOND: f64 = 80e6;
/// Time to the first byte of an answer: tens of milliseconds within a region.
const FIRST_BYTE: Duration = Duration::from_millis(30);
/// Speed of the survey of CSV on one core (`benches/README.md`).
const PARSED_A_SECOND: f64 = 200e6;
/// Bytes that are sent at once: 2 ms of a connection's speed.
const SENT_BYTES: usize = 160_000;

/// Answers the requests of a connection, one after another.
async fn serve(mut stream: TcpStream, size: u64) -> Option<()> {
    let zeros = vec![b'0'; SENT_BYTES];
    let mut seen = Vec::new();
    loop {
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(std::mem::take(&mut seen)).ok()?.to_ascii_lowercase();
        let range = head.lines().find_map(|line| parse_range(line.strip_prefix("range: bytes=")?));
        let range = range.map_or(0..size, |range| range.start..range.end.min(size));
        let length = range.end - range.start;
        let status = format!("206 X\r\ncontent-range: bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        let fixed = "etag: \"e\"\r\nlast-modified: Tue, 12 Nov 2019 13:01:52 GMT";
        time::sleep(FIRST_BYTE).await;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{fixed}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        if head.starts_with("get ") {
            send(&mut stream, length, &zeros).await?;
        }
    }
}

async fn send(stream: &mut TcpStream, length: u64, bytes: &[u8]) -> Option<()> {
    let (began, mut sent) = (Instant::now(), 0);
    while sent < length {
        let now = usize::try_from(length - sent).ok()?.min(bytes.len());
        stream.write_all(&bytes[..now]).await.ok()?;
        sent += now as u64;
        time::sleep_until(began + Duration::from_secs_f64(sent as f64 / BYTES_A_SECOND)).await;
    }
    Some(())
}

/// Parses a range such as `5-9`.
fn parse_range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.trim().split_once('-')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
}

/// Starts a server of one object. Returns its address.
fn start(size: u64) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, size));
            }
        });
    });
    told.recv().unwrap()
}

async fn by_one_get(client: &Client) -> u64 {
    let mut body = client.get_object().bucket("b").key("k").send().await.unwrap().body;
    let mut taken = 0;
    while let Some(bytes) = body.try_next().await.unwrap() {
        taken += bytes.len() as u64;
    }
    taken
}

/// Reads the object as a source, and spends the given time on every byte.
async fn as_a_source(client: &Client, seconds_a_byte: f64) -> u64 {
    let source = object::open(client.clone(), "b", "k", None).await.unwrap();
    let mut stream = source.open(0..source.len());
    let mut taken = 0;
    while let Some(bytes) = stream.try_next().await.unwrap() {
        taken += bytes.len() as u64;
        let (began, busy) = (Instant::now(), Duration::from_secs_f64(seconds_a_byte * bytes.len() as f64));
        while began.elapsed() < busy {
            std::hint::spin_loop();
        }
    }
    taken
}

/// Returns the seconds that this thread has used a CPU and has waited for one, if the system reports them.
fn cpu_seconds() -> [f64; 2] {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut fields = told.split_whitespace().map(|field| field.parse::<f64>().unwrap_or(f64::NAN) / 1e9);
    [(); 2].map(|()| fields.next().unwrap_or(f64::NAN))
}

/// Returns the peak memory of this process in MiB, if the system reports it.
fn peak_mib() -> Option<u64> {
    let told = fs::read_to_string("/proc/self/status").ok()?;
    let peak = told.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}

/// Prints a row of the table.
async fn show(name: &str, size: u64, read: impl Future<Output = u64>) {
    let (began, before) = (Instant::now(), cpu_seconds());
    assert_eq!(read.await, size);
    let (elapsed, now, gigabytes) = (began.elapsed().as_secs_f64(), cpu_seconds(), size as f64 / 1e9);
    let [used, queued] = [0, 1].map(|at| now[at] - before[at]);
    let (rate, cpu, idle) = (gigabytes * 1e3 / elapsed, used / gigabytes, (elapsed - used - queued) / gigabytes);
    let peak = peak_mib().unwrap_or_default();
    println!("| {name} | {rate:.0} | {cpu:.2} | {idle:.2} | {peak} |");
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size from the command line")]
    let size = (asked.unwrap_or(1.0) * 1e9) as u64;
    let client = aws::s3_client(&aws::embedded_config(&start(size)));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("| read | MB/s | s of CPU a GB | s without bytes a GB | peak MiB so far |");
    println!("| --- |{}", " ---: |".repeat(4));
    let parsed = format!("as sources are read, with a reader of {:.0} MB/s on the same core", PARSED_A_SECOND / 1e6);
    runtime.block_on(async {
        show("by one GET", size, by_one_get(&client)).await;
        show("as sources are", size, as_a_source(&client, 0.0)).await;
        show(&parsed, size, as_a_source(&client, 1.0 / PARSED_A_SECOND)).await;
    });
}
