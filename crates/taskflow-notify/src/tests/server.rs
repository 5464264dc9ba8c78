//! A server that gives one scripted answer to every connection and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    /// Sends `answer` and closes.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(answer.into(), false).await
    }

    /// Sends `answer` and then keeps the connection open without a word.
    pub(super) async fn stalling(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(answer.into(), true).await
    }

    async fn start(answer: Vec<u8>, stall: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                if sender.send(request).is_err() {
                    return;
                }
                // The client may hang up in the middle: that is what some tests are about.
                stream.write_all(&answer).await.ok();
                if stall {
                    open.push(stream);
                }
            }
        });
        Self { address, requests }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request as it came over the wire.
    pub(super) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }
}

/// Head and, when it says how long, body.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |l| l.parse().unwrap())
        });
        if whole || n == 0 {
            return text;
        }
    }
}

/// A listener that only counts who connects.
pub(super) struct Canary {
    pub(super) address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Canary {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                stream.write_all(&[counter.load(Ordering::SeqCst) as u8]).await.ok();
            }
        });
        Self { address, count }
    }

    /// How many had connected. Connections are accepted in order, so one more of our own shows that
    /// all earlier ones are counted.
    pub(super) async fn visitors(&self) -> usize {
        let mut own = TcpStream::connect(self.address).await.unwrap();
        own.read_u8().await.unwrap();
        self.count.load(Ordering::SeqCst) - 1
    }
}
