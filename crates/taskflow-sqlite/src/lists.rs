//! The room of lists: which index a page walks, and the SQL of the walk. What the numbers mean and which
//! of them a filter wants is in the store's `lists.rs`. It changes nothing.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use taskflow_core::limits::PAGE_BYTES_MAX;
use taskflow_core::{Kind, QueueName, Status, Task, TaskId, TenantId, Timestamp};
use taskflow_store::lists::{CODE, COMPARED, Codes, Off, SORTED_MAX, Source};
use taskflow_store::{Filter, Found, Page, Paged, weight};

use crate::{search, tasks};

/// One page, newest first. None when it is heavier than `limits::PAGE_BYTES_MAX`.
pub(crate) fn list(
    connection: &Connection,
    tenant: TenantId,
    page: &Page,
) -> Result<Option<Paged<Task>>, Error> {
    let (ids, rest) = ids(connection, tenant, page)?;
    let (mut found, mut bytes) = (Vec::with_capacity(ids.len()), 0);
    for id in ids.into_iter().filter_map(TaskId::new) {
        let Some(task) = tasks::task(connection, tenant, id)? else { continue };
        bytes += weight::of_shown(&task);
        if bytes > PAGE_BYTES_MAX {
            return Ok(None);
        }
        found.push(task);
    }
    Ok(Some(Paged { items: found, rest }))
}

/// The same page without the tasks.
pub(crate) fn find(
    connection: &Connection,
    tenant: TenantId,
    page: &Page,
) -> Result<Paged<Found>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT id, version, status FROM tasks WHERE id = ?1")?;
    let mut all = Vec::new();
    let (ids, rest) = ids(connection, tenant, page)?;
    for id in ids {
        all.extend(statement.query_row([id], found).optional()?.flatten());
    }
    Ok(Paged { items: all, rest })
}

fn found(row: &Row<'_>) -> Result<Option<Found>, Error> {
    let (id, status) = (TaskId::new(row.get(0)?), Status::from_number(row.get(2)?));
    let version = row.get(1)?;
    Ok(id.zip(status).map(|(id, status)| Found { id, version, status }))
}

/// The ids of a page, and where the next one begins.
fn ids(
    connection: &Connection,
    tenant: TenantId,
    page: &Page,
) -> Result<(Vec<i64>, Option<TaskId>), Error> {
    let floor = floor(connection, page.filter.created_after)?;
    let between = [floor, page.before.map_or(i64::MAX, TaskId::get)];
    let walk = Ask { connection, tenant, page, between };
    let Some(wanted) = &page.filter.search else {
        let ids = walk.ids(&walk.plan()?.sql(&page.filter), between, [page.limit, page.skip])?;
        let full = ids.len() >= page.limit as usize;
        let rest = ids.last().filter(|_| full).and_then(|id| TaskId::new(*id));
        return Ok((ids, rest));
    };
    let wanted = (tenant, page, wanted);
    if (Filter { search: None, ..page.filter.clone() }) == Filter::default() {
        return search::page(connection, wanted, floor, None);
    }
    // Read apart, all that was put off would be read anew for every range.
    let sql = Walk { apart: false, ..walk.plan()? }.sql(&page.filter);
    let mut ids = |between, limit| walk.ids(&sql, between, [limit, 0]);
    search::page(connection, wanted, floor, Some(&mut ids))
}

const FLOOR: &str = "SELECT id FROM task_births WHERE at <= ?1 ORDER BY at DESC, id DESC LIMIT 1";

/// An id up to which every task was created by `after`.
fn floor(connection: &Connection, after: Option<Timestamp>) -> Result<i64, Error> {
    let Some(after) = after else { return Ok(0) };
    let found = connection.prepare_cached(FLOOR)?.query_row([after.micros()], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

/// How a page is found.
struct Walk {
    source: Source,
    codes: Codes,
    /// Whether tasks that were put off are read by `run_at`, apart from the others.
    apart: bool,
}

/// A question to the database about a page.
struct Ask<'a> {
    connection: &'a Connection,
    tenant: TenantId,
    page: &'a Page,
    /// The ids that the page may have lie between these.
    between: [i64; 2],
}

impl Ask<'_> {
    fn plan(&self) -> Result<Walk, Error> {
        let filter = &self.page.filter;
        let codes = Codes::of(filter);
        let sources = Source::of(filter);
        let mut best = (sources.first().copied().unwrap_or(Source::All), i64::MAX);
        // Where the five hundredth entry from here on is the oldest, entries are the rarest.
        for source in sources.iter().copied().filter(|_| sources.len() > 1) {
            let codes = Codes { whole: codes.all(), some: Vec::new(), off: None };
            let walk = Walk { source, codes, apart: false };
            let sql = walk.sql_of_index(filter);
            let far = self.ids(&sql, self.between, [1, COMPARED])?.first().copied();
            if far.unwrap_or(0) < best.1 {
                best = (source, far.unwrap_or(0));
            }
        }
        let apart = match codes.off {
            Some(off) if best.0 != Source::Tag => self.few(off)?,
            _ => false,
        };
        Ok(Walk { source: best.0, codes, apart })
    }

    /// Whether so few tasks that were put off fit that they can be sorted.
    fn few(&self, off: Off) -> Result<bool, Error> {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT ?3)", delayed(off));
        let params = params![self.tenant.0, self.page.now.micros(), SORTED_MAX + 1];
        let sql = sql.replace(":tenant", "?1").replace(":now", "?2");
        let counted: u32 =
            self.connection.prepare_cached(&sql)?.query_row(params, |row| row.get(0))?;
        Ok(counted <= SORTED_MAX)
    }

    fn ids(
        &self,
        sql: &str,
        [floor, before]: [i64; 2],
        [limit, skip]: [u32; 2],
    ) -> Result<Vec<i64>, Error> {
        if sql.is_empty() {
            return Ok(Vec::new());
        }
        let (page, filter) = (self.page, &self.page.filter);
        let values: [(&str, &dyn ToSql); 10] = [
            (":tenant", &self.tenant.0),
            (":before", &before),
            (":floor", &floor),
            (":limit", &limit),
            (":skip", &skip),
            (":queue", &filter.queue.as_ref().map(QueueName::as_str)),
            (":kind", &filter.kind.as_ref().map(Kind::as_str)),
            (":tag", &filter.tag),
            (":after", &filter.created_after.map(Timestamp::micros)),
            (":now", &page.now.micros()),
        ];
        let mut statement = self.connection.prepare_cached(sql)?;
        for (name, value) in values {
            // Most walks need only some of them.
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        let mut rows = statement.raw_query();
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push(row.get(0)?);
        }
        Ok(ids)
    }
}

/// Tasks of a tenant that were put off.
fn delayed(off: Off) -> String {
    let when = match off {
        Off::Due => "run_at <= :now",
        Off::Later => "run_at > :now",
    };
    format!(
        "tasks INDEXED BY tasks_delayed WHERE tenant = :tenant AND {when} \
         AND status = 0 AND blocked_by = 0 AND run_at > updated_at"
    )
}

const RANGE: &str = "id < :before AND id > :floor";

impl Walk {
    /// The statement: a merge of one index range per number. Only numbers of enums go into the text,
    /// nothing of a caller's; empty when nothing can fit.
    fn sql(&self, filter: &Filter) -> String {
        let known = rest(self.source, filter);
        let mut arms = match self.source {
            Source::Tag => vec![self.tagged(&known, &self.codes.all(), self.codes.off)],
            _ => self.arms(&known, &self.codes.whole, None),
        };
        match self.codes.off {
            Some(off) if self.apart => {
                let (codes, rest) = (among(&self.codes.some), rest(Source::Listed, filter));
                arms.push(format!("SELECT id FROM {} AND {RANGE}{codes}{rest}", delayed(off)));
            }
            off if self.source != Source::Tag => {
                arms.extend(self.arms(&known, &self.codes.some, off));
            }
            _ => {}
        }
        paged(&arms)
    }

    /// The walk of its index alone, whatever else the filter asks for.
    fn sql_of_index(&self, filter: &Filter) -> String {
        let arms = match self.source {
            Source::Tag => vec![TAGGED.to_owned()],
            _ => self.arms("", &self.codes.whole, None),
        };
        // The merge of a single range may be any range: it must be told the order all the same.
        debug_assert!(filter.tag.is_some() || self.source != Source::Tag);
        paged(&arms)
    }

    fn arms(&self, rest: &str, codes: &[i32], off: Option<Off>) -> Vec<String> {
        let when = when(off);
        let arm = |code: &i32| {
            let key = match self.source {
                Source::Queue => {
                    format!(
                        "tasks_queued WHERE tenant = :tenant AND queue = :queue AND {CODE} = {code}"
                    )
                }
                Source::Kind => {
                    format!(
                        "tasks_kinds WHERE tenant = :tenant AND kind = :kind AND {CODE} = {code}"
                    )
                }
                Source::All | Source::Listed | Source::Tag => {
                    format!("tasks_listed WHERE tenant * 32 + {CODE} = :tenant * 32 + {code}")
                }
            };
            format!("SELECT id FROM tasks INDEXED BY {key} AND {RANGE}{when}{rest}")
        };
        codes.iter().map(arm).collect()
    }

    /// The tasks of a tag, looked at one by one when more is asked for.
    fn tagged(&self, rest: &str, codes: &[i32], off: Option<Off>) -> String {
        let codes = if codes.len() < 32 { among(codes) } else { String::new() };
        let more = format!("{codes}{}{rest}", when(off));
        if more.is_empty() {
            return TAGGED.to_owned();
        }
        format!("{TAGGED} AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task_tags.task{more})")
    }
}

const TAGGED: &str = "SELECT task AS id FROM task_tags WHERE tenant = :tenant AND tag = :tag \
     AND task < :before AND task > :floor";

/// What of a filter an index does not know.
fn rest(source: Source, filter: &Filter) -> String {
    let mut rest = String::new();
    if filter.queue.is_some() && source != Source::Queue {
        rest += " AND queue = :queue";
    }
    if filter.kind.is_some() && source != Source::Kind {
        rest += " AND kind = :kind";
    }
    if filter.tag.is_some() && source != Source::Tag {
        rest += " AND EXISTS (SELECT 1 FROM task_tags AS g WHERE g.tenant = :tenant \
                 AND g.tag = :tag AND g.task = tasks.id)";
    }
    if filter.created_after.is_some() {
        rest += " AND created_at > :after";
    }
    rest
}

fn when(off: Option<Off>) -> &'static str {
    match off {
        None => "",
        Some(Off::Due) => " AND (status <> 0 OR run_at <= updated_at OR run_at <= :now)",
        Some(Off::Later) => " AND run_at > :now",
    }
}

fn among(codes: &[i32]) -> String {
    let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
    format!(" AND {CODE} IN ({})", codes.join(", "))
}

fn paged(arms: &[String]) -> String {
    if arms.is_empty() {
        return String::new();
    }
    format!("{} ORDER BY id DESC LIMIT :limit OFFSET :skip", arms.join(" UNION ALL "))
}

#[cfg(test)]
mod tests;
