//! A small stand-in for the server, with faults that can be switched on: it shows that the torture
//! test passes an honest server and catches a dishonest one. It speaks just the calls of the torture
//! test and is no reference for anything else.
//!
//! It runs in the folder of the test and obeys a file `mutant` there: see `store::Mutant`.

mod store;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::store::{Answer, Store};

type Shared = Arc<(Mutex<Store>, Condvar)>;

#[expect(clippy::print_stderr, reason = "why it ends is for whoever started it")]
fn main() {
    let store = Store::open();
    let shared: Shared = Arc::new((Mutex::new(store), Condvar::new()));
    let sweeper = Arc::clone(&shared);
    thread::spawn(move || sweep(&sweeper));
    let listener = match TcpListener::bind(address()) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen: {error}");
            std::process::exit(1);
        }
    };
    for stream in listener.incoming().flatten() {
        let shared = Arc::clone(&shared);
        thread::spawn(move || serve(&shared, &stream));
    }
}

#[expect(clippy::disallowed_methods, reason = "it is told its address like the real server")]
fn address() -> String {
    let port = std::env::var("PORT").expect("PORT is set");
    format!("127.0.0.1:{port}")
}

fn lock(shared: &Shared) -> MutexGuard<'_, Store> {
    shared.0.lock().expect("no thread panics with the lock")
}

/// Every 100 ms: takes back leases, writes what a dishonest server has not written yet.
fn sweep(shared: &Shared) {
    loop {
        let store = lock(shared);
        let (mut store, _) = shared
            .1
            .wait_timeout(store, Duration::from_millis(100))
            .expect("no thread panics with the lock");
        store.sweep();
        drop(store);
        shared.1.notify_all();
    }
}

fn serve(shared: &Shared, stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(n) if n > 0) {
            return;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, answer) = route(shared, method, path, &body);
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        let answer = if status == 204 { String::new() } else { answer.to_string() };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let mut stream = stream;
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn route(shared: &Shared, method: &str, path: &str, body: &Value) -> Answer {
    let path = path.trim_start_matches("/api/v1/");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["health"]) => (200, json!({"status": "healthy"})),
        ("POST", ["tasks", "claim"]) => (200, json!({"tasks": claim(shared, body)})),
        ("POST", ["workers", _, "sync"]) => {
            let mut store = lock(shared);
            let finished = store.each(&body["finished"], Store::finish);
            let beats = store.each(&body["heartbeats"], Store::beat);
            drop(store);
            let tasks =
                if body["claim"].is_null() { Vec::new() } else { claim(shared, &body["claim"]) };
            (200, json!({"finished": finished, "heartbeats": beats, "tasks": tasks}))
        }
        ("GET", ["tasks", "stats", "summary"]) => (200, lock(shared).summary()),
        ("GET", ["tasks"]) => (200, lock(shared).list(query)),
        ("POST", ["tasks"]) => lock(shared).create(body),
        (_, ["tasks", id, verb @ ..]) => {
            let id = id.parse().unwrap_or(0);
            lock(shared).about(id, method, verb.first().copied().unwrap_or(""), body)
        }
        _ => (404, json!({"code": "not-found"})),
    }
}

fn claim(shared: &Shared, want: &Value) -> Vec<Value> {
    let wait = Duration::from_secs(want["wait_seconds"].as_u64().unwrap_or(0));
    let begin = Instant::now();
    let mut store = lock(shared);
    loop {
        let tasks = store.claim(want);
        let left = wait.saturating_sub(begin.elapsed());
        if !tasks.is_empty() || left.is_zero() {
            return tasks;
        }
        let woken = shared.1.wait_timeout(store, left.min(Duration::from_millis(50)));
        store = woken.expect("no thread panics with the lock").0;
    }
}
