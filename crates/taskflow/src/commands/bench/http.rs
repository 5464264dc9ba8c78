//! The smallest HTTP client that is fair: ready-made requests over one kept-open connection.
//! No TLS, no redirects, no retries, no pool: a generator that does less leaves more of the machine
//! to the server it measures.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use url::Url;

use super::answer::{AnswerReader, BadAnswer};

/// Longest wait for a connection to open.
const CONNECT_FOR: Duration = Duration::from_secs(10);

/// The server that is measured: where it listens and what every request to it carries.
#[derive(Clone)]
pub(super) struct Site {
    addresses: Vec<SocketAddr>,
    /// Path in front of `/api/v1`, without a slash at its end; empty for a server at the root.
    prefix: String,
    /// The header lines that all requests share, each with its line end.
    shared: String,
}

impl Site {
    /// Finds the server's addresses. Errors: no `http` address, a name that does not resolve, a key
    /// that no header can carry, and an address outside this machine unless `allow_remote`.
    pub(super) async fn find(
        server: &str,
        key: Option<&str>,
        allow_remote: bool,
    ) -> anyhow::Result<Self> {
        let url = Url::parse(server).with_context(|| format!("{server:?} is no URL"))?;
        ensure!(url.scheme() == "http", "{server:?} must start with http:// (plain HTTP only)");
        let host = url.host_str().with_context(|| format!("{server:?} names no host"))?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        ensure!(plain, "{server:?} must be a scheme, a host, a port and a path, nothing else");
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses = resolve(host, port).await?;
        if let (false, Some(away)) =
            (allow_remote, addresses.iter().find(|address| !address.ip().is_loopback()))
        {
            bail!(
                "{server:?} is {away}, not this machine; a load generator pointed at someone else's \
                 server does harm: pass --allow-remote when it is yours"
            );
        }
        let mut shared = format!("host: {host}:{port}\r\nuser-agent: taskflow-bench\r\n");
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            let clean = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            ensure!(clean, "the API key holds characters that no header can carry");
            shared.push_str("x-api-key: ");
            shared.push_str(key);
            shared.push_str("\r\n");
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { addresses, prefix, shared })
    }

    /// A `GET` as bytes.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {}{path} HTTP/1.1\r\n{}\r\n", self.prefix, self.shared).into_bytes()
    }

    /// A `DELETE` as bytes.
    pub(super) fn delete(&self, path: &str) -> Vec<u8> {
        format!("DELETE {}{path} HTTP/1.1\r\n{}\r\n", self.prefix, self.shared).into_bytes()
    }

    /// A `POST` of JSON as bytes.
    pub(super) fn post(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::with_capacity(body.len() + self.shared.len() + 256);
        self.post_into(&mut request, path, body);
        request
    }

    /// The same into a buffer that is used again and again; what it held is gone.
    pub(super) fn post_into(&self, request: &mut Vec<u8>, path: &str, body: &[u8]) {
        request.clear();
        write!(
            request,
            "POST {}{path} HTTP/1.1\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.prefix,
            self.shared,
            body.len()
        )
        .expect("writing to memory cannot fail");
        request.extend_from_slice(body);
    }
}

async fn resolve(host: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    // An IPv6 literal stands in brackets in a URL and without them everywhere else.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((name, port))
        .await
        .with_context(|| format!("the host {host:?} does not resolve"))?;
    let addresses: Vec<_> = found.collect();
    ensure!(!addresses.is_empty(), "the host {host:?} has no address");
    Ok(addresses)
}

/// A call that got no answer; the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The network said no.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The server hung up.
    #[error("the server closed the connection")]
    Closed,
    /// No answer by the connection's `give_up`.
    #[error("no answer in time")]
    Late,
    /// Not what HTTP looks like.
    #[error(transparent)]
    Bad(#[from] BadAnswer),
}

/// One kept-open connection; one call at a time.
pub(super) struct Connection {
    stream: TcpStream,
    reader: AnswerReader,
    /// One timer for many calls: arming one per call would cost more than building the request.
    give_up: Pin<Box<Sleep>>,
}

impl Connection {
    /// Opens it. Calls that have no answer at `give_up` fail.
    pub(super) async fn open(site: &Site, give_up: Instant) -> anyhow::Result<Self> {
        let stream = timeout(CONNECT_FOR, TcpStream::connect(site.addresses.as_slice()))
            .await
            .with_context(|| format!("no connection within {} s", CONNECT_FOR.as_secs()))?
            .with_context(|| format!("cannot connect to {}", site.addresses[0]))?;
        stream.set_nodelay(true).context("cannot switch off Nagle's delay")?;
        let give_up = Box::pin(sleep_until(give_up));
        Ok(Self { stream, reader: AnswerReader::new(), give_up })
    }

    /// Moves the instant at which calls without an answer fail.
    pub(super) fn give_up_at(&mut self, instant: Instant) {
        self.give_up.as_mut().reset(instant);
    }

    /// Sends a request and reads the whole answer; returns its status.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<u16, Broken> {
        let Self { stream, reader, give_up } = self;
        tokio::select! {
            biased;
            answer = exchange(stream, reader, request) => answer,
            () = give_up.as_mut() => Err(Broken::Late),
        }
    }

    /// Body of the latest answer.
    pub(super) fn body(&self) -> &[u8] {
        self.reader.body()
    }
}

async fn exchange(
    stream: &mut TcpStream,
    reader: &mut AnswerReader,
    request: &[u8],
) -> Result<u16, Broken> {
    reader.reset();
    stream.write_all(request).await?;
    loop {
        if stream.read_buf(reader.space()).await? == 0 {
            return Err(Broken::Closed);
        }
        if let Some(status) = reader.advance()? {
            return Ok(status);
        }
    }
}

/// What a refused call is reported as: its status and the beginning of its body.
pub(super) fn refusal(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(800)]);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("{status} {shown}")
}
