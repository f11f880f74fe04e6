//! The part of the Lambda Runtime API that a function's real binary needs.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use notaflux_aws::{EMBEDDED_KEYS, EMBEDDED_REGION};
use notaflux_local::stack::Stack;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// The process of a function, and the Runtime API that it polls.
pub struct Function {
    process: Mutex<Child>,
    events: mpsc::UnboundedSender<String>,
    answers: AsyncMutex<mpsc::UnboundedReceiver<Result<Value, Value>>>,
    time_ms: Arc<AtomicU64>,
    log: Arc<Mutex<String>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Default time limit of an invocation, in milliseconds.
const TIME_MS: u64 = 60_000;

struct Api {
    time_ms: Arc<AtomicU64>,
    events: AsyncMutex<mpsc::UnboundedReceiver<String>>,
    answers: mpsc::UnboundedSender<Result<Value, Value>>,
}

impl Function {
    /// Starts `binary`. Its environment has only the settings for `stack` and the given variables.
    pub fn start(binary: &str, stack: &Stack, environment: &[(&str, &str)]) -> Self {
        Self::start_at(binary, &stack.endpoints().aws, environment)
    }

    /// Does the same with the settings for `endpoint`.
    pub fn start_at(binary: &str, endpoint: &str, environment: &[(&str, &str)]) -> Self {
        let (events, events_in) = mpsc::unbounded_channel();
        let (answers_out, answers) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let time_ms = Arc::new(AtomicU64::new(TIME_MS));
        let api = Api { time_ms: time_ms.clone(), events: AsyncMutex::new(events_in), answers: answers_out };
        let api = Arc::new(api);
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(error_at_start))
            .with_state(api);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        let mut process = Command::new(binary)
            .env_clear()
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", EMBEDDED_REGION)
            .env("AWS_ACCESS_KEY_ID", EMBEDDED_KEYS.0)
            .env("AWS_SECRET_ACCESS_KEY", EMBEDDED_KEYS.1)
            .envs(environment.iter().copied())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "f")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stdout, copy) = (process.stdout.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut piece) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self {
            process: Mutex::new(process),
            time_ms,
            events,
            answers: AsyncMutex::new(answers),
            log,
            runtime: Some(runtime),
        }
    }

    /// Sends an event and waits for the function's answer, or for the error that it reports.
    pub async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        self.events.send(event.to_string()).unwrap();
        self.answers.lock().await.recv().await.unwrap()
    }

    /// Does the same with a time limit; returns none if the process ends before it answers.
    pub async fn invoke_within(&self, event: &Value, time: Duration) -> Option<Result<Value, Value>> {
        self.time_ms.store(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        let died = async {
            while self.process.lock().unwrap().try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answer = self.invoke(event) => Some(answer),
            () = died => None,
        }
    }

    /// Returns the peak memory of the process in KiB.
    #[allow(dead_code, reason = "only the endurance bench uses it")]
    pub fn peak_memory_kib(&self) -> u64 {
        super::process::peak_memory_kib(self.process.lock().unwrap().id())
    }

    /// Sends the process a signal by name, such as KILL.
    pub fn signal(&self, name: &str) {
        super::process::send_signal(self.process.lock().unwrap().id(), name);
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        process.kill().ok();
        process.wait().ok();
        drop(process);
        // Dropping a runtime blocks, which is not allowed within another runtime.
        self.runtime.take().unwrap().shutdown_background();
    }
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let event = api.events.lock().await.recv().await.unwrap_or_default();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let deadline = now_ms + u128::from(api.time_ms.load(Ordering::SeqCst));
    let mut headers = HeaderMap::new();
    headers.insert("Lambda-Runtime-Aws-Request-Id", "request-1".parse().unwrap());
    headers.insert("Lambda-Runtime-Deadline-Ms", deadline.to_string().parse().unwrap());
    headers.insert("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:f".parse().unwrap());
    headers.insert("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".parse().unwrap());
    (headers, event)
}

async fn response(State(api): State<Arc<Api>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    api.answers.send(Ok(serde_json::from_slice(&body).unwrap())).unwrap();
    StatusCode::ACCEPTED
}

async fn error(State(api): State<Arc<Api>>, Path(_id): Path<String>, body: Bytes) -> StatusCode {
    api.answers.send(Err(serde_json::from_slice(&body).unwrap())).unwrap();
    StatusCode::ACCEPTED
}

async fn error_at_start(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    api.answers.send(Err(serde_json::from_slice(&body).unwrap())).unwrap();
    StatusCode::ACCEPTED
}
