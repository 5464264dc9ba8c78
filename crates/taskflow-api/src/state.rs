//! What handlers may touch, and what they need to know of the configuration. Built by the program.

use std::sync::Arc;

use axum::extract::FromRef;
use sha2::{Digest, Sha256};
use taskflow_core::Clock;
use taskflow_service::{
    Services, bus::Bus, events::Events, failures::Failures, idempotency::Onces, many::Many,
    queues::Queues, readiness::Probe, sessions::Sessions, stats::Stats, tasks::Tasks, work::Work,
    workers::Workers,
};

/// How the API calls itself and who may use it.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Title in the documentation.
    pub title: String,
    /// Version in the documentation and the health answer.
    pub version: String,
    /// The key that is asked for; none asks for no key.
    pub key: Option<ApiKey>,
    /// Origins that browsers may call from.
    pub cors: Cors,
    /// Whether other machines can reach this server: without a key its pages warn of that.
    pub public: bool,
    /// First half of every request id, so that restarts do not repeat ids.
    pub request_seed: u32,
}

/// Which origins browsers may call from. Credentials (cookies) are never allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Any, without credentials.
    Any,
    /// Exactly these.
    Only(Vec<String>),
}

/// The API key, kept as its hash so that comparing takes the same time for every guess.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

impl ApiKey {
    /// Keeps the hash of a key.
    pub fn new(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// What tells this key from others where sessions are kept: the hash of its hash.
    pub(crate) fn print(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Whether `guess` is the key, in constant time for guesses of one length.
    pub fn is(&self, guess: &[u8]) -> bool {
        let guess: [u8; 32] = Sha256::digest(guess).into();
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &guess[..]).into()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// The state of every handler: one counter to clone per request.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

struct Parts {
    services: Services,
    options: Arc<ApiOptions>,
}

impl ApiState {
    /// The state for these use cases and options.
    pub fn new(services: Services, options: ApiOptions) -> Self {
        Self(Arc::new(Parts { services, options: Arc::new(options) }))
    }

    /// The options.
    pub fn options(&self) -> &Arc<ApiOptions> {
        &self.0.options
    }
}

/// Handlers take a use case by its type.
macro_rules! taken {
    ($($field:ident: $case:ty),*) => {
        $(impl FromRef<ApiState> for $case {
            fn from_ref(state: &ApiState) -> Self {
                state.0.services.$field.clone()
            }
        })*
    };
}

taken!(
    tasks: Tasks, many: Many, work: Work, queues: Queues, workers: Workers, onces: Onces,
    stats: Stats, probe: Probe, events: Events, bus: Arc<Bus>, sessions: Sessions,
    failures: Failures
);

impl FromRef<ApiState> for Arc<dyn Clock> {
    fn from_ref(state: &ApiState) -> Self {
        Arc::clone(&state.0.services.clock)
    }
}

impl FromRef<ApiState> for Arc<ApiOptions> {
    fn from_ref(state: &ApiState) -> Self {
        Arc::clone(&state.0.options)
    }
}
