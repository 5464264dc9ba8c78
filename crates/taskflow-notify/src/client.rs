//! The one client for requests to addresses that somebody else chose. It dials only addresses that
//! the guard checked, follows no redirect, uses no proxy, decompresses nothing and reads a bounded
//! answer in a bounded time. It does not retry and does not judge a status: callers do.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::guard::{BadAllowList, Guard, Refused, Target};

/// Most bytes of an answer that are read: a result for a person or the next task, not a download.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most bytes read of an answer that is no success: enough to say what went wrong.
const SAMPLE_BYTES_MAX: usize = 1024;
/// Longest wait for that sample: the status is known already, so it is not worth more.
const SAMPLE_FOR: Duration = Duration::from_secs(2);
/// Longest wait for the lookup, the connection and TLS together.
const CONNECT_FOR: Duration = Duration::from_secs(10);
/// Idle connections kept per host, and how long: bursts reuse them, a quiet server holds none.
const IDLE_MAX: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
pub(crate) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// The guarded client. Cheap to clone and to create: it loads the system's root certificates when
/// the first request is sent.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    guard: Guard,
    lookup: Lookup,
    /// For ports 80, 443 and 8443: any address that the guard permits.
    ordinary: OnceCell<reqwest::Client>,
    /// For other ports: only addresses in the allow-list. A resolver is not told the port, hence two.
    allowed_only: OnceCell<reqwest::Client>,
}

/// A request to send.
#[derive(Debug)]
pub struct Order {
    /// Method.
    pub method: Method,
    /// Where to; only the guard makes one.
    pub target: Target,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; none sends none.
    pub body: Option<Bytes>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The first [`BODY_BYTES_MAX`] bytes of the body; a short sample when the status is no success.
    pub body: Vec<u8>,
    /// Whether the body went on.
    pub truncated: bool,
}

/// Why no complete answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name leads where the guard does not let it.
    #[error("{0}")]
    Refused(Refused),
    /// The time limit passed.
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// No connection, TLS failed, or the answer broke off.
    #[error("{0}")]
    Network(String),
    /// The client could not be built.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("guard", &self.shared.guard).finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client that reaches the public internet and, on any port, the networks in `allow`.
    ///
    /// # Errors
    /// An entry has bits set beyond its prefix, which is most likely a slip.
    pub fn new(allow: Vec<IpNet>) -> Result<Self, BadAllowList> {
        let system: Lookup = Arc::new(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        });
        Ok(Self::with(Guard::new(allow)?, system))
    }

    /// The client with another guard and another way to look names up.
    pub(crate) fn with(guard: Guard, lookup: Lookup) -> Self {
        let (ordinary, allowed_only) = (OnceCell::new(), OnceCell::new());
        Self { shared: Arc::new(Shared { guard, lookup, ordinary, allowed_only }) }
    }

    /// Checks a URL against the rules; see [`Guard::check`].
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self, url: &str) -> Result<Target, Refused> {
        self.shared.guard.check(url)
    }

    /// Sends one request, once, and reads the answer; both together take at most `limit`.
    ///
    /// # Errors
    /// No complete answer came; an answer of any status is no error.
    pub async fn send(&self, order: Order, limit: Duration) -> Result<Reply, SendError> {
        let until = Instant::now() + limit;
        let client = self.client(&order.target).await?;
        let mut request = reqwest::Request::new(order.method, order.target.url);
        *request.headers_mut() = order.headers;
        *request.body_mut() = order.body.map(Into::into);
        let late = || SendError::TimedOut(limit);
        let mut response = timeout_at(until, client.execute(request))
            .await
            .map_err(|_| late())?
            .map_err(|e| cause(e, limit))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        let truncated = if status.is_success() {
            let read = read(&mut response, &mut body, BODY_BYTES_MAX);
            timeout_at(until, read).await.map_err(|_| late())?.map_err(|e| cause(e, limit))?
        } else {
            let until = until.min(Instant::now() + SAMPLE_FOR);
            let read = read(&mut response, &mut body, SAMPLE_BYTES_MAX);
            // The status decides; a sample that breaks off changes nothing.
            !matches!(timeout_at(until, read).await, Ok(Ok(false)))
        };
        Ok(Reply { status, headers, body, truncated })
    }

    async fn client(&self, target: &Target) -> Result<&reqwest::Client, SendError> {
        let allowed_only = target.allowed_only;
        let cell = if allowed_only { &self.shared.allowed_only } else { &self.shared.ordinary };
        cell.get_or_try_init(|| async {
            let (guard, lookup) = (self.shared.guard.clone(), Arc::clone(&self.shared.lookup));
            let resolver = Resolver { guard, lookup, allowed_only };
            // Root certificates are read from disk.
            tokio::task::spawn_blocking(move || build(resolver))
                .await
                .map_err(|e| SendError::Setup(e.to_string()))?
                .map_err(|e| SendError::Setup(chain(&e)))
        })
        .await
    }
}

/// Builds the client with the system's root certificates. A machine without any can still call plain
/// http: https then fails with an unknown issuer. Verification is never switched off.
fn build(resolver: Resolver) -> reqwest::Result<reqwest::Client> {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none()
        && ring::default_provider().install_default().is_err()
    {
        tracing::debug!("another thread installed the TLS provider first");
    }
    let resolver = Arc::new(resolver);
    let builder = || {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("taskflow/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_FOR)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_FOR)
            .http1_only()
            .http1_max_headers(HEADERS_MAX)
            .dns_resolver(Arc::clone(&resolver))
    };
    builder().build().or_else(|error| {
        tracing::warn!(
            error = chain(&error),
            "no root certificates on this machine: https requests will fail"
        );
        builder().tls_certs_only([]).build()
    })
}

/// Reads up to `max` bytes into `body`; says whether there was more.
async fn read(
    response: &mut reqwest::Response,
    body: &mut Vec<u8>,
    max: usize,
) -> reqwest::Result<bool> {
    while let Some(chunk) = response.chunk().await? {
        let room = max - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok(true);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(false)
}

/// Resolves a name once, checks every address and hands out those very addresses: what is dialled is
/// what was checked, however the name's records change. One bad address refuses the name as a whole.
struct Resolver {
    guard: Guard,
    lookup: Lookup,
    allowed_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let (guard, allowed_only) = (self.guard.clone(), self.allowed_only);
        let found = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = found.await?;
            for address in &found {
                guard.permit(address.ip(), allowed_only).inspect_err(|why| {
                    tracing::warn!(host = name, %address, %why, "outgoing request refused");
                })?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn cause(error: reqwest::Error, limit: Duration) -> SendError {
    // Its Display would repeat the URL, whose query may hold a secret.
    let error = error.without_url();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return SendError::Refused(refused.clone());
        }
        source = inner.source();
    }
    if error.is_timeout() {
        return SendError::TimedOut(limit.min(CONNECT_FOR));
    }
    SendError::Network(chain(&error))
}

/// The whole chain of causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
