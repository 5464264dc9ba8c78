//! `DATABASE_URL`, in the forms that SQLAlchemy reads. It opens nothing and does not know which
//! stores this program was built with.

use std::path::PathBuf;

use url::Url;

use super::fault::Wrong;
use super::reader::Reader;
use super::secret::{MASK, Secret};
use super::value::{number, quote};

/// The database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Where tasks are kept.
    pub place: Place,
    /// What PostgreSQL's connections may keep between two transactions.
    pub pool_mode: PoolMode,
    /// Connections to PostgreSQL at most, beside one that listens.
    pub pool_size: u32,
}

/// What PostgreSQL's connections may keep between two transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Prepared statements, settings, `LISTEN`.
    Session,
    /// Nothing: a pooler hands every transaction another connection.
    Transaction,
}

/// Where tasks are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file; a relative path starts at the working folder.
    Sqlite(PathBuf),
    /// A server. The URL begins with `postgresql://`, whatever driver was named, and may hold a
    /// password.
    Postgres(Secret),
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let place = reader.read("DATABASE_URL", parse);
        let pool_mode = reader.read("DATABASE_POOL_MODE", pool_mode);
        let pool_size = reader.read("DATABASE_POOL_SIZE", |text| number(text, &(5..=100)));
        let ((place, warning), pool_mode, pool_size) = (place?, pool_mode?, pool_size?);
        if let Some(warning) = warning {
            reader.warn(warning);
        }
        Some(Self { place, pool_mode, pool_size })
    }
}

fn pool_mode(text: &str) -> Result<PoolMode, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "session" => Ok(PoolMode::Session),
        "transaction" => Ok(PoolMode::Transaction),
        _ => Err(format!("{} is no mode of a pool", quote(text)).into()),
    }
}

/// Reasons name the scheme at most: anything in the text may be a password.
fn parse(text: &str) -> Result<(Place, Option<&'static str>), Wrong> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("is no URL: it has no scheme".into());
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.split('+').next().unwrap_or_default() {
        "sqlite" => sqlite(rest),
        "postgresql" | "postgres" => Ok((Place::Postgres(postgres(rest)?), None)),
        _ if is_scheme(&scheme) => {
            Err(format!("names a database of the sort {scheme:?}, which is not supported").into())
        }
        _ => Err("is no URL: it has no scheme".into()),
    }
}

fn is_scheme(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.len() <= 30
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(rest)
}

fn sqlite(rest: &str) -> Result<(Place, Option<&'static str>), Wrong> {
    const MEMORY: &str = "keeps tasks in memory only, where a restart loses them: name a file";
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
    let Some(after) = rest.strip_prefix("//") else {
        return Err("has too few slashes after sqlite:".into());
    };
    if after.is_empty() {
        return Err(MEMORY.into());
    }
    let Some(path) = after.strip_prefix('/') else {
        return Err("has two slashes, which name a host: three make a relative path, four an \
                    absolute one"
            .into());
    };
    if path.is_empty() || path == ":memory:" || query.is_some_and(|q| q.contains("mode=memory")) {
        return Err(MEMORY.into());
    }
    if path.starts_with("file:") {
        return Err("has SQLite's file: form, which is not supported: name the path".into());
    }
    if path.ends_with('/') || path.contains('\0') {
        return Err("names a folder, not a file".into());
    }
    let warning = query.map(|_| "DATABASE_URL: what follows the ? is ignored for SQLite");
    Ok((Place::Sqlite(PathBuf::from(path)), warning))
}

fn postgres(rest: &str) -> Result<Secret, Wrong> {
    if !rest.starts_with("//") {
        return Err("has no // after the scheme".into());
    }
    let url = Url::parse(&format!("postgresql:{rest}")).map_err(|error| {
        format!("is no URL ({error}); write @ : / # ? in a password as %40 %3A %2F %23 %3F")
    })?;
    let named = url.host_str().is_some_and(|host| !host.is_empty());
    if !named && !url.query_pairs().any(|(name, _)| name == "host") {
        return Err("names no host".into());
    }
    if url.path().contains('@') || url.query().is_some_and(|query| query.contains('@')) {
        return Err(
            "has an @ behind the host; write @ : / # ? in a password as %40 %3A %2F %23 %3F".into(),
        );
    }
    if url.fragment().is_some() {
        return Err("holds a #; write # in a password as %23".into());
    }
    Ok(Secret::new(url.as_str()))
}

/// The URL with its passwords masked; one that cannot be read is masked as a whole.
pub(super) fn masked(text: &str) -> String {
    if text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("sqlite")) {
        return text.to_owned();
    }
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    let secret = |name: &str| name.to_ascii_lowercase().contains("password");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| match secret(&name) {
                true => (name.into_owned(), MASK.to_owned()),
                false => (name.into_owned(), value.into_owned()),
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}
