//! The configuration: four sources, one list of settings, every fault at once.
//!
//! Read in this order: [`settings`] (the list), [`sources`] (which text wins), one file per section
//! (what a text means), [`fault`]. Adding a setting is a line in `settings.rs`, a field and a line in
//! its section, and printing the documents anew (`docs.rs` says how).
//!
//! What is deliberately not here: nothing is opened, bound or logged, and no value is changed after
//! the start. No other part of the program reads the environment.

pub mod api;
pub mod auth;
pub mod commands;
pub mod database;
pub mod docs;
mod dotenv;
pub mod fault;
mod foreign;
pub mod http;
pub mod log;
mod nearest;
mod reader;
pub mod retention;
pub mod secret;
pub mod settings;
pub mod sources;
mod value;
pub mod worker;

pub use api::ApiConfig;
pub use auth::AuthConfig;
pub use commands::CommandConfig;
pub use database::{DatabaseConfig, Place, PoolMode};
pub use fault::{ConfigFault, Faults};
pub use http::{CorsOrigins, HttpConfig};
pub use log::{LogConfig, LogFormat};
pub use reader::Effective;
pub use retention::RetentionConfig;
pub use secret::Secret;
pub use sources::{Source, Sources};
pub use worker::WorkerConfig;

use reader::Reader;

/// All settings, checked. Plain data; `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the service calls itself.
    pub api: ApiConfig,
    /// Where it listens.
    pub http: HttpConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// How long ended tasks are kept.
    pub retention: RetentionConfig,
    /// Who may ask.
    pub auth: AuthConfig,
    /// The built-in worker.
    pub worker: WorkerConfig,
    /// What is logged.
    pub log: LogConfig,
    effective: Vec<Effective>,
    warnings: Vec<String>,
}

impl Config {
    /// Reads every setting from `sources`.
    ///
    /// # Errors
    ///
    /// All faults together, in the order of the documentation; never a secret's value.
    pub fn load(sources: Sources) -> Result<Self, Faults> {
        let mut reader = Reader::new(sources.gather());
        let api = ApiConfig::read(&mut reader);
        let http = HttpConfig::read(&mut reader);
        let database = DatabaseConfig::read(&mut reader);
        let retention = RetentionConfig::read(&mut reader);
        let auth = AuthConfig::read(&mut reader);
        let worker = WorkerConfig::read(&mut reader);
        let log = LogConfig::read(&mut reader);
        if let (Some(http), Some(auth)) = (&http, &auth) {
            warn_if_open(&mut reader, http, auth);
        }
        let effective = reader.effective(|name, text| match name {
            "DATABASE_URL" => database::masked(text),
            "WORKER_COMMANDS" => commands::masked(text),
            _ => text.to_owned(),
        });
        let (faults, warnings) = reader.finish();
        match (api, http, database, retention, auth, worker, log) {
            (
                Some(api),
                Some(http),
                Some(database),
                Some(retention),
                Some(auth),
                Some(worker),
                Some(log),
            ) if faults.is_empty() => {
                Ok(Self { api, http, database, retention, auth, worker, log, effective, warnings })
            }
            _ => Err(Faults(faults)),
        }
    }

    /// Every setting as it is in force, in the order of the documentation, secrets masked.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// What is allowed and probably not meant, to be logged at the start. Never a secret's value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn warn_if_open(reader: &mut Reader, http: &HttpConfig, auth: &AuthConfig) {
    if http.is_public() && auth.api_key.is_none() {
        reader.warn(format!(
            "ANYONE WHO CAN REACH THIS MACHINE CAN USE THE API: it listens on {} and no API_KEY is \
             set. Set API_KEY, or HOST=127.0.0.1",
            http.host
        ));
    }
}

#[cfg(test)]
mod tests;
