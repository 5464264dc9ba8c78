//! A small HTTP/1.1 client over one kept-alive connection. It exists because the checker must know
//! for certain whether a request left: an ordinary client hides that behind retries and pools.
//! Plain HTTP only, no redirects, no retries.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[cfg(test)]
mod tests;

const CALL_FOR: Duration = Duration::from_secs(5);
const HEADERS_MAX: usize = 64;

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Sent {
    /// A whole answer.
    Answered(Answer),
    /// No connection, so not a byte of the request was sent: nothing can have happened.
    Refused(String),
    /// Anything else that went wrong: it may have happened or not.
    Unknown(String),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// One connection to the server, opened when needed.
#[derive(Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Wire {
    /// A client of `address`; connects with its first call.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends one request and reads its answer, in five seconds at most.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Sent {
        let mut stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => match timeout(CALL_FOR, TcpStream::connect(self.address)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return Sent::Refused(error.to_string()),
                Err(_) => return Sent::Refused("no connection in time".into()),
            },
        };
        let request = self.request(method, path, body);
        match timeout(CALL_FOR, exchange(&mut stream, &request)).await {
            Ok(Ok((answer, keep))) => {
                self.stream = keep.then_some(stream);
                Sent::Answered(answer)
            }
            Ok(Err(error)) => Sent::Unknown(error.to_string()),
            Err(_) => Sent::Unknown("no answer in time".into()),
        }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(body) = body {
            let body = body.to_string();
            let head = "content-type: application/json\r\ncontent-length";
            text.push_str(&format!("{head}: {}\r\n\r\n{body}", body.len()));
        } else {
            text.push_str("\r\n");
        }
        text.into_bytes()
    }
}

/// Whether a kept connection is still good. A server that died while it was idle has closed it, and
/// a request must not be wasted on it: nothing was sent yet, so a new connection loses nothing.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<(Answer, bool)> {
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut got = Vec::with_capacity(4096);
    loop {
        if let Some(head) = Head::read(&got)? {
            return finish(stream, got, head).await;
        }
        more(stream, &mut got).await?;
    }
}

async fn more(stream: &mut TcpStream, got: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(got).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
        _ => Ok(()),
    }
}

/// Status line and the headers that matter.
struct Head {
    length: usize,
    status: u16,
    content_type: String,
    body_length: Option<usize>,
    chunked: bool,
    close: bool,
}

impl Head {
    /// The head of an answer; none while it is not whole.
    fn read(got: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(got).map_err(|error| invalid(&error.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let header = |name: &str| {
            let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|h| String::from_utf8_lossy(h.value).to_lowercase())
        };
        let says = |name: &str, word: &str| header(name).is_some_and(|v| v.contains(word));
        Ok(Some(Self {
            length,
            status: response.code.unwrap_or(0),
            content_type: header("content-type").unwrap_or_default(),
            body_length: header("content-length").and_then(|v| v.trim().parse().ok()),
            chunked: says("transfer-encoding", "chunked"),
            close: says("connection", "close"),
        }))
    }
}

async fn finish(
    stream: &mut TcpStream,
    mut got: Vec<u8>,
    head: Head,
) -> io::Result<(Answer, bool)> {
    let mut rest = got.split_off(head.length);
    let body = if head.status == 204 || head.status == 304 {
        Vec::new()
    } else if head.chunked {
        chunks(stream, rest).await?
    } else if let Some(length) = head.body_length {
        while rest.len() < length {
            more(stream, &mut rest).await?;
        }
        rest.truncate(length);
        rest
    } else {
        return Err(invalid("an answer without a length"));
    };
    Ok((Answer { status: head.status, content_type: head.content_type, body }, !head.close))
}

async fn chunks(stream: &mut TcpStream, mut rest: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(&rest).map_err(|_| invalid("a bad chunk size"))?;
        let httparse::Status::Complete((start, size)) = size else {
            more(stream, &mut rest).await?;
            continue;
        };
        let size = usize::try_from(size).map_err(|_| invalid("a chunk beyond all memory"))?;
        while rest.len() < start + size + 2 {
            more(stream, &mut rest).await?;
        }
        body.extend_from_slice(&rest[start..start + size]);
        rest.drain(..start + size + 2);
        if size == 0 {
            return Ok(body);
        }
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
