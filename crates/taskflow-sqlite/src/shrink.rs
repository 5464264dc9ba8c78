//! Gives the file's free pages back when there are many, a few at a time between two commits of the
//! writer. A file that was made without `auto_vacuum` cannot: its free pages are only used again.

use rusqlite::{Connection, Error};

/// Free pages up to this share of the file stay: what comes next is written into them.
const KEPT: u32 = 4;

/// Fewer free pages than these are not worth a look: 4 MiB.
const LEAST: u32 = 1024;

/// Pages that go in one step: half a mebibyte is moved in a millisecond or two, which the next commits
/// wait for.
const STEP: u32 = 128;

/// How many pages the next step gives back: none while no more are free than may stay.
pub(crate) fn step(free: u32, pages: u32) -> Option<u32> {
    let surplus = free.saturating_sub(pages / KEPT);
    (free >= LEAST && surplus > 0).then(|| surplus.min(STEP))
}

/// Whether the file was made so that pages can be given back.
pub(crate) fn can(connection: &Connection) -> Result<bool, Error> {
    let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    Ok(mode == 2)
}

/// What the next step of this file gives back.
pub(crate) fn next(connection: &Connection) -> Result<Option<u32>, Error> {
    let number = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
    Ok(step(number("PRAGMA freelist_count")?, number("PRAGMA page_count")?))
}

/// Gives pages back, inside the writer's transaction.
pub(crate) fn shrink(connection: &Connection, pages: u32) -> Result<(), Error> {
    // Each step of the statement frees one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_beyond_a_quarter_of_a_large_file_is_given_back() {
        let table = [
            (0, 0, None),
            (1023, 1023, None),
            (1024, 4096, None),
            (1024, 4095, Some(1)),
            (1500, 4096, Some(128)),
            (1100, 4096, Some(76)),
            (250_000, 1_000_000, None),
            (1_000_000, 1_000_000, Some(128)),
        ];
        for (free, pages, given) in table {
            assert_eq!(step(free, pages), given, "{free} of {pages}");
        }
    }
}
