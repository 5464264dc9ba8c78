//! What happened in the present minutes: collected in the writer's memory while it carries out a batch,
//! and written with the batch's commit. What counts as what is core's to say; `stats.rs` reads it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::limits::{SERIES_MINUTES_MAX, SERIES_QUEUES_MAX};
use taskflow_core::series::{Cell, Minute};
use taskflow_core::{QueueName, TenantId};
use taskflow_store::kept;

/// A row: none is every queue together.
type Key = (TenantId, Option<QueueName>, Minute);
type Cells = BTreeMap<Cell, u64>;

/// Most rows that one commit removes when they are too old: more than a minute makes.
const FORGET_MAX: i64 = 1000;

/// Where something happened: whose task, in which queue, in which minute.
type Place = (TenantId, QueueName, Minute);

#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Where the present command did something, and what: each by its number there. Most commands are
    /// about one queue, so a place is written down once for many tasks.
    places: Vec<Place>,
    noted: Vec<(usize, Cell)>,
    /// What the commands of this transaction did.
    added: BTreeMap<Place, Cells>,
    /// Rows of the latest minute as they are in the table, none where there is no room for one.
    rows: BTreeMap<Key, Option<Cells>>,
    /// The latest minute that was written.
    latest: Option<Minute>,
}

impl Series {
    /// Notes what happened to one task.
    pub(crate) fn note(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        minute: Minute,
        cells: impl Iterator<Item = Cell>,
    ) {
        let here = |(of, name, at): &Place| *of == tenant && *at == minute && name == queue;
        if !self.places.last().is_some_and(here) {
            self.places.push((tenant, queue.clone(), minute));
        }
        let place = self.places.len() - 1;
        self.noted.extend(cells.map(|cell| (place, cell)));
    }

    /// The command succeeded: what it did happened.
    pub(crate) fn keep(&mut self) {
        let mut noted = self.noted.drain(..).peekable();
        for (number, place) in self.places.drain(..).enumerate() {
            if noted.peek().is_none_or(|(first, _)| *first != number) {
                continue;
            }
            let cells = self.added.entry(place).or_default();
            while let Some((_, cell)) = noted.next_if(|(at, _)| *at == number) {
                *cells.entry(cell).or_insert(0) += 1;
            }
        }
    }

    /// How much the command has noted so far, for `undo_to`.
    pub(crate) fn mark(&self) -> usize {
        self.noted.len()
    }

    /// Takes back what the command noted since `mark`.
    pub(crate) fn undo_to(&mut self, mark: usize) {
        self.noted.truncate(mark);
        if mark == 0 {
            self.places.clear();
        }
    }

    /// Writes what the transaction did: for each queue, and for all together.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<(), Error> {
        let mut all: BTreeMap<Key, Cells> = BTreeMap::new();
        for ((tenant, queue, minute), cells) in std::mem::take(&mut self.added) {
            let sum = all.entry((tenant, None, minute)).or_default();
            cells.iter().for_each(|(cell, n)| *sum.entry(*cell).or_insert(0) += n);
            all.insert((tenant, Some(queue), minute), cells);
        }
        for (key, cells) in all {
            self.add(connection, &key, cells)?;
        }
        Ok(())
    }

    fn add(&mut self, connection: &Connection, key: &Key, added: Cells) -> Result<(), Error> {
        if !self.rows.contains_key(key) {
            self.rows.insert(key.clone(), read(connection, key)?);
        }
        let Some(Some(row)) = self.rows.get_mut(key) else { return Ok(()) };
        for (cell, n) in added {
            *row.entry(cell).or_insert(0) += n;
        }
        write_row(connection, key, row)?;
        let minute = key.2;
        if self.latest.is_none_or(|latest| latest < minute) {
            self.latest = Some(minute);
            self.rows.retain(|(.., of), _| *of >= minute);
            forget(connection, minute)?;
        }
        Ok(())
    }
}

fn name(queue: &Option<QueueName>) -> &str {
    queue.as_ref().map_or("", QueueName::as_str)
}

/// A row as it is in the table, or a new one; none when the minute has its rows already.
fn read(connection: &Connection, key: &Key) -> Result<Option<Cells>, Error> {
    let (tenant, queue, minute) = key;
    let text: Option<String> = connection
        .prepare_cached(
            "SELECT cells FROM series WHERE tenant = ?1 AND queue = ?2 AND minute = ?3",
        )?
        .query_row(params![tenant.0, name(queue), minute.0], |row| row.get(0))
        .optional()?;
    if let Some(text) = text {
        return cells(&text).map(Some);
    }
    let room = queue.is_none()
        || {
            let rows: usize = connection
            .prepare_cached("SELECT count(*) FROM series INDEXED BY series_minute WHERE minute = ?1 AND queue <> ''")?
            .query_row([minute.0], |row| row.get(0))?;
            rows < SERIES_QUEUES_MAX
        };
    Ok(room.then(Cells::new))
}

/// The cells of a kept text.
pub(crate) fn cells(text: &str) -> Result<Cells, Error> {
    kept::cells_from(text).ok_or_else(|| {
        let what = "not the numbers of a minute".into();
        Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, what)
    })
}

fn write_row(
    connection: &Connection,
    (tenant, queue, minute): &Key,
    row: &Cells,
) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO series(tenant, queue, minute, cells) VALUES(?1, ?2, ?3, ?4) \
             ON CONFLICT(tenant, queue, minute) DO UPDATE SET cells = excluded.cells",
        )?
        .execute(params![tenant.0, name(queue), minute.0, kept::cells_text(row)])
        .map(drop)
}

/// Removes what is too old, a minute's worth and more at a time.
fn forget(connection: &Connection, latest: Minute) -> Result<(), Error> {
    let first = latest.plus(-i32::try_from(SERIES_MINUTES_MAX).unwrap_or(i32::MAX));
    connection
        .prepare_cached(
            "DELETE FROM series WHERE (tenant, queue, minute) IN (SELECT tenant, queue, minute \
             FROM series INDEXED BY series_minute WHERE minute < ?1 ORDER BY minute LIMIT ?2 + 0)",
        )?
        .execute(params![first.0, FORGET_MAX])
        .map(drop)
}
