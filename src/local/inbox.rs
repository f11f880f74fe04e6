//! Uploads on their way to the ingestion: the local counterpart of S3 notifications and a queue.
//!
//! What waits here is lost with the process, and need not be kept: at the start every object of the bucket is looked at
//! again, and what is completed costs two small calls.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use tokio::sync::Notify;

use super::s3::OnCreated;
use crate::aws;

/// Pause before an object that could not be ingested is tried again.
const AGAIN_PAUSE: Duration = Duration::from_secs(5);

/// What tells the inbox of a new object in `bucket`, and where the keys come out.
#[must_use]
pub fn of(bucket: &'static str) -> (OnCreated, Arrivals) {
    let inbox = Arc::new(Inbox::default());
    let arrivals = Arrivals { inbox: Arc::clone(&inbox) };
    let on_created: OnCreated = Arc::new(move |created| {
        if created.bucket == bucket {
            inbox.add(created.key);
        }
    });
    (on_created, arrivals)
}

/// The keys of all objects in `bucket`.
///
/// # Errors
/// What S3 answers, as one line.
pub async fn keys(s3: &Client, bucket: &str) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    let mut pages = s3.list_objects_v2().bucket(bucket).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| format!("s3://{bucket}: {}", aws::describe_error(&error)))?;
        keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
    }
    Ok(keys)
}

/// Keys that wait, each once, oldest first.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Inbox {
    /// A key that waits already is not added: what is ingested is the object as it then stands.
    fn add(&self, key: String) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.known.insert(key.clone()) {
            waiting.order.push_back(key);
        }
        drop(waiting);
        self.added.notify_one();
    }

    fn take(&self) -> Option<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.order.pop_front()?;
        waiting.known.remove(&key);
        Some(key)
    }
}

/// Where the keys of new objects come out.
#[derive(Debug)]
pub struct Arrivals {
    inbox: Arc<Inbox>,
}

impl Arrivals {
    /// The next key, when there is one.
    pub async fn next(&mut self) -> String {
        loop {
            if let Some(key) = self.inbox.take() {
                return key;
            }
            self.inbox.added.notified().await;
        }
    }

    /// Adds keys that came by other means.
    pub fn add_all(&mut self, keys: Vec<String>) {
        for key in keys {
            self.inbox.add(key);
        }
    }

    /// Adds a key after a pause.
    pub fn again_later(&mut self, key: String) {
        let inbox = Arc::clone(&self.inbox);
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN_PAUSE).await;
            inbox.add(key);
        });
    }
}
