//! The room of lists: which index a page walks, and the SQL of the walk. What the numbers mean and which
//! of them a filter wants is in the store's `lists.rs`. It changes nothing but the births
//! of tasks that are gone.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use taskflow_core::limits::{FAILURE_ERROR_CHARS_MAX, PAGE_BYTES_MAX};
use taskflow_core::{Kind, QueueName, Status, Task, TaskId, TenantId, Timestamp};
use taskflow_store::lists::{
    CODE, COMPARED, Codes, LANES_MANY, Lane, Merge, NEAR, Off, SORTED_MAX, Source,
};
use taskflow_store::{Failure, Filter, Found, Page, Paged, weight};

use crate::{memory, rows, search, tasks};

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

/// The failed tasks of a page, without what is large of them.
pub(crate) fn failures(
    connection: &Connection,
    tenant: TenantId,
    before: Option<TaskId>,
    limit: u32,
) -> Result<Paged<Failure>, Error> {
    let filter = Filter { status: Some(Status::Failed), ..Filter::default() };
    // Nothing of this filter depends on the time.
    let page = Page { filter, before, skip: 0, limit, now: Timestamp::from_micros(0) };
    let mut statement = connection.prepare_cached(
        "SELECT id, version, queue, kind, attempt, uncounted, worker, \
         substr(error_message, 1, ?2), coalesce(ended_at, updated_at) FROM tasks WHERE id = ?1",
    )?;
    let mut all = Vec::new();
    let (ids, rest) = ids(connection, tenant, &page)?;
    for id in ids {
        let failed = statement.query_row([id, i64::from(FAILURE_ERROR_CHARS_MAX)], rows::failure);
        all.extend(failed.optional()?);
    }
    Ok(Paged { items: all, rest })
}

/// The ids of a page, and where the next one begins.
fn ids(
    connection: &Connection,
    tenant: TenantId,
    page: &Page,
) -> Result<(Vec<i64>, Option<TaskId>), Error> {
    let floor = floor(connection, page.filter.created_after)?;
    let between = [floor, page.before.map_or(i64::MAX, TaskId::get)];
    let ask = Ask { connection, tenant, page, between };
    let Some(wanted) = &page.filter.search else {
        let ids = ask.walked(&ask.plan()?, between, [page.limit, page.skip])?;
        let full = ids.len() >= page.limit as usize;
        let rest = ids.last().filter(|_| full).and_then(|id| TaskId::new(*id));
        return Ok((ids, rest));
    };
    let wanted = (tenant, page, wanted);
    if (Filter { search: None, ..page.filter.clone() }) == Filter::default() {
        return search::page(connection, wanted, floor, None);
    }
    // Read apart, all that was put off would be read anew for every range.
    let walk = Walk { apart: false, ..ask.plan()? };
    let mut ids = |between, limit| ask.walked(&walk, between, [limit, 0]);
    search::page(connection, wanted, floor, Some(&mut ids))
}

const FLOOR: &str = "SELECT id FROM task_births WHERE at <= ?1 ORDER BY at DESC, id DESC LIMIT 1";

/// A row of `task_births`: an instant, and an id up to which no task was created later.
pub(crate) type Birth = (i64, i64);

/// Births before which there are no tasks, back to the one before: without them a list of tasks after an instant
/// begins earlier, where there are none. The last one is not among them: the next one is made from it. Looks at
/// `limit` of them; `hand` is where the last look ended, none at the end.
pub(crate) fn births_gone(
    connection: &Connection,
    hand: &mut Option<Birth>,
    limit: u32,
) -> Result<Vec<Birth>, Error> {
    let sql = "SELECT at, id, EXISTS (SELECT 1 FROM tasks AS t WHERE t.id > before AND t.id <= b.id) \
               FROM (SELECT at, id, lag(id, 1, ?2) OVER (ORDER BY at, id) AS before FROM (\
               SELECT at, id FROM task_births WHERE (at, id) > (?1, ?2) AND (at, id) < (SELECT at, id \
               FROM task_births ORDER BY at DESC, id DESC LIMIT 1) ORDER BY at, id LIMIT ?3 + 0)) AS b";
    let (at, id) = hand.unwrap_or((i64::MIN, 0));
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![at, id, limit])?;
    let (mut looked, mut gone) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let birth = (row.get(0)?, row.get(1)?);
        (*hand, looked) = (Some(birth), looked + 1);
        if !row.get::<_, bool>(2)? {
            gone.push(birth);
        }
    }
    if looked < limit {
        *hand = None;
    }
    Ok(gone)
}

/// Removes births.
pub(crate) fn forget_births(connection: &Connection, births: &[Birth]) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("DELETE FROM task_births WHERE at = ?1 AND id = ?2")?;
    for (at, id) in births {
        statement.execute([at, id])?;
    }
    Ok(())
}

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
    /// The lanes that fit, and their statement.
    lanes: Vec<Lane>,
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
        let lanes = match sources.contains(&Source::Lanes) {
            true => self.lanes(&codes.all())?,
            false => Vec::new(),
        };
        let mut source = sources.first().copied().unwrap_or(Source::All);
        if sources.len() > 1 {
            // Where the five hundredth entry from here on is the oldest, entries are the rarest.
            let limits = [1, COMPARED];
            let all: Vec<&Lane> = lanes.iter().collect();
            let listed = self.merged(&all, None, &lane(), self.between, limits)?;
            let tagged = self.ids(&paged(TAGGED), self.between, limits)?;
            if tagged.first().copied().unwrap_or(0) < listed.first().copied().unwrap_or(0) {
                source = Source::Tag;
            }
        }
        let apart = match codes.off {
            Some(off) if source != Source::Tag => self.few(off)?,
            _ => false,
        };
        Ok(Walk { source, codes, apart, lanes })
    }

    /// The lanes with numbers among `codes` where any task of the filter may stand, as the kept counts tell.
    fn lanes(&self, codes: &[i32]) -> Result<Vec<Lane>, Error> {
        let filter = &self.page.filter;
        let mut statement = self.connection.prepare_cached(
            "SELECT tenant, status, queue, kind, priority FROM task_counts WHERE tenant = ?1 AND n > 0 \
             AND (?2 IS NULL OR queue = ?2) AND (?3 IS NULL OR kind = ?3)",
        )?;
        let (queue, kind) =
            (filter.queue.as_ref().map(QueueName::as_str), filter.kind.as_ref().map(Kind::as_str));
        let counted = statement.query_map(params![self.tenant.0, queue, kind], memory::lane)?;
        let mut lanes = Vec::new();
        for counted in counted {
            let of = counted?;
            let with = (of.status, of.priority);
            lanes.extend(Lane::among(codes, (&of.queue, &of.kind), with));
        }
        Ok(lanes)
    }

    /// Whether so few tasks that were put off fit that they can be sorted.
    fn few(&self, off: Off) -> Result<bool, Error> {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT ?3 + 0)", delayed(off));
        let params = params![self.tenant.0, self.page.now.micros(), SORTED_MAX + 1];
        let sql = sql.replace(":tenant", "?1").replace(":now", "?2");
        let counted: u32 =
            self.connection.prepare_cached(&sql)?.query_row(params, |row| row.get(0))?;
        Ok(counted <= SORTED_MAX)
    }

    /// The ids of a walk between two ids, both excluded, newest first.
    fn walked(&self, walk: &Walk, between: [i64; 2], limits: [u32; 2]) -> Result<Vec<i64>, Error> {
        let filter = &self.page.filter;
        match walk.source {
            Source::All => self.ids(&paged(&all(filter)), between, limits),
            Source::Tag => self.ids(&paged(&walk.tagged(filter)), between, limits),
            Source::Lanes => {
                if let Some(ids) = self.newest_of_many(walk, between, limits)? {
                    return Ok(ids);
                }
                let most = [limits[0].saturating_add(limits[1]), 0];
                let apart = walk.put_off(filter).map(|sql| self.ids(&paged(&sql), between, most));
                let whole = |lane: &&Lane| !walk.apart || walk.codes.whole.contains(&lane.code);
                let lanes: Vec<&Lane> = walk.lanes.iter().filter(whole).collect();
                self.merged(&lanes, apart.transpose()?, &walk.range(filter), between, limits)
            }
        }
    }

    /// A full page of the newest tasks of a filter with very many lanes, looked at one by one; none where it
    /// is not full.
    fn newest_of_many(
        &self,
        walk: &Walk,
        [floor, before]: [i64; 2],
        limits: [u32; 2],
    ) -> Result<Option<Vec<i64>>, Error> {
        if walk.lanes.len() <= LANES_MANY || limits[1] > 0 {
            return Ok(None);
        }
        let mut newest = self.connection.prepare_cached("SELECT ifnull(max(id), 0) FROM tasks")?;
        let newest: i64 = newest.query_row([], |row| row.get(0))?;
        let before = before.min(newest.saturating_add(1));
        let between = [floor.max(before.saturating_sub(NEAR)), before];
        let ids = self.ids(&paged(&walk.newest(&self.page.filter)), between, limits)?;
        Ok((ids.len() >= limits[0] as usize).then_some(ids))
    }

    /// The ids of some lanes, and those that are `known` already, in one order.
    fn merged(
        &self,
        lanes: &[&Lane],
        known: Option<Vec<i64>>,
        range: &str,
        [floor, before]: [i64; 2],
        [limit, skip]: [u32; 2],
    ) -> Result<Vec<i64>, Error> {
        let (limit, mut skip) = (limit as usize, skip as usize);
        let mut merge = Merge::new(lanes.len(), before, limit + skip);
        known.into_iter().for_each(|ids| merge.add(ids));
        let sql = newest_first(range);
        let mut ids = Vec::new();
        while ids.len() < limit {
            if let Some(id) = merge.next_id() {
                match skip {
                    0 => ids.push(id),
                    _ => skip -= 1,
                }
                continue;
            }
            let gaps = merge.gaps();
            if gaps.is_empty() {
                break;
            }
            for gap in gaps {
                let lane = Some(lanes[gap.line]);
                let read = self.asked(&sql, [floor, gap.before], [gap.limit, 0], lane)?;
                merge.give(gap, read);
            }
        }
        Ok(ids)
    }

    fn ids(&self, sql: &str, between: [i64; 2], limits: [u32; 2]) -> Result<Vec<i64>, Error> {
        self.asked(sql, between, limits, None)
    }

    fn asked(
        &self,
        sql: &str,
        [floor, before]: [i64; 2],
        [limit, skip]: [u32; 2],
        lane: Option<&Lane>,
    ) -> Result<Vec<i64>, Error> {
        let (page, filter) = (self.page, &self.page.filter);
        let queue = lane.map(|lane| &lane.queue).or(filter.queue.as_ref());
        let kind = lane.map(|lane| &lane.kind).or(filter.kind.as_ref());
        let values: [(&str, &dyn ToSql); 11] = [
            (":tenant", &self.tenant.0),
            (":before", &before),
            (":floor", &floor),
            (":limit", &limit),
            (":skip", &skip),
            (":queue", &queue.map(QueueName::as_str)),
            (":kind", &kind.map(Kind::as_str)),
            (":code", &lane.map(|lane| lane.code)),
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

/// The tasks of a tag.
const TAGGED: &str = "SELECT task AS id FROM task_tags WHERE tenant = :tenant AND tag = :tag \
     AND task < :before AND task > :floor";

/// One range of the index of lists.
fn lane() -> String {
    format!(
        "SELECT id FROM tasks INDEXED BY tasks_lanes WHERE tenant = :tenant AND queue = :queue \
         AND kind = :kind AND {CODE} = :code AND {RANGE}"
    )
}

/// All tasks of a tenant.
fn all(filter: &Filter) -> String {
    format!("SELECT id FROM tasks NOT INDEXED WHERE {RANGE} AND tenant = :tenant{}", rest(filter))
}

impl Walk {
    /// The tasks of a lane.
    fn range(&self, filter: &Filter) -> String {
        format!("{}{}{}", lane(), when(self.codes.off.filter(|_| !self.apart)), rest(filter))
    }

    /// The newest tasks, looked at one by one.
    fn newest(&self, filter: &Filter) -> String {
        let codes = among(&self.codes.all());
        format!("{}{codes}{}", all(filter), when(self.codes.off))
    }

    /// Tasks that were put off, when they are read apart.
    fn put_off(&self, filter: &Filter) -> Option<String> {
        let off = self.codes.off.filter(|_| self.apart)?;
        let (codes, rest) = (among(&self.codes.some), rest(filter));
        Some(format!("SELECT id FROM {} AND {RANGE}{codes}{rest}", delayed(off)))
    }

    /// The tasks of a tag, looked at one by one when more is asked for.
    fn tagged(&self, filter: &Filter) -> String {
        let codes = self.codes.all();
        let codes = if codes.len() < 32 { among(&codes) } else { String::new() };
        let rest = rest(&Filter { tag: None, ..filter.clone() });
        let more = format!("{codes}{}{rest}", when(self.codes.off));
        if more.is_empty() {
            return TAGGED.to_owned();
        }
        format!("{TAGGED} AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task_tags.task{more})")
    }

    /// All that it may ask.
    #[cfg(test)]
    fn statements(&self, filter: &Filter) -> Vec<String> {
        match self.source {
            Source::All => vec![paged(&all(filter))],
            Source::Tag => vec![paged(&self.tagged(filter))],
            Source::Lanes => {
                let put_off = self.put_off(filter).map(|sql| paged(&sql));
                let newest = paged(&self.newest(filter));
                put_off.into_iter().chain([newest, newest_first(&self.range(filter))]).collect()
            }
        }
    }
}

/// What of a filter an index does not know.
fn rest(filter: &Filter) -> String {
    let mut rest = String::new();
    if filter.queue.is_some() {
        rest += " AND queue = :queue";
    }
    if filter.kind.is_some() {
        rest += " AND kind = :kind";
    }
    if filter.tag.is_some() {
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

fn newest_first(sql: &str) -> String {
    format!("{sql} ORDER BY id DESC LIMIT :limit + 0")
}

fn paged(sql: &str) -> String {
    format!("{sql} ORDER BY id DESC LIMIT :limit + 0 OFFSET :skip + 0")
}

#[cfg(test)]
mod tests;
