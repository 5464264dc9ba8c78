//! The room of lists: which index a page walks, and the SQL of the walk. What the numbers mean and which
//! of them a filter wants is in the store's `lists.rs`. It changes nothing but the births
//! of tasks that are gone.

use taskflow_core::limits::{FAILURE_ERROR_CHARS_MAX, PAGE_BYTES_MAX};
use taskflow_core::{Kind, Priority, QueueName, Status, Task, TaskId, TenantId, Timestamp};
use taskflow_store::lists::{
    CODE, COMPARED, Codes, Gap, LANES_MANY, Lane, Merge, NEAR, Off, SORTED_MAX, Source,
};
use taskflow_store::{self as store, Filter, Found, Page, Paged};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::rows::{self, get};
use crate::session::{Param, Session};
use crate::{search, tasks};

/// One page, newest first. None when it is heavier than `limits::PAGE_BYTES_MAX`: the ids and weights
/// are read before the tasks.
pub(crate) async fn list(
    session: &Session,
    tenant: TenantId,
    page: &Page,
) -> Result<Option<Paged<Task>>, Failure> {
    // One state of the database: a page must not lose a task that changes between its statements.
    session.begin_reading().await?;
    let (ids, rest) = Ask::about(session, tenant, page).await?.page().await?;
    let heavy = heavy(session, &ids).await?;
    let found = if heavy { Vec::new() } else { tasks::read(session, tenant, &ids).await? };
    session.execute("COMMIT").await?;
    let items = found.into_iter().flatten().collect();
    Ok((!heavy).then_some(Paged { items, rest }))
}

/// The same page without the tasks.
pub(crate) async fn find(
    session: &Session,
    tenant: TenantId,
    page: &Page,
) -> Result<Paged<Found>, Failure> {
    session.begin_reading().await?;
    let (ids, rest) = Ask::about(session, tenant, page).await?.page().await?;
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let sql = "SELECT id, version, status FROM taskflow.tasks WHERE id = ANY($1)";
    let rows = session.query(sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    session.execute("COMMIT").await?;
    let mut all: Vec<Found> = rows.iter().map(found).collect::<Result<_, _>>()?;
    all.sort_unstable_by_key(|found| std::cmp::Reverse(found.id));
    Ok(Paged { items: all, rest })
}

/// What a list of failures shows, by the ids of tasks.
pub(crate) const FAILED: &str = "SELECT id, version, queue, kind, attempt, uncounted, worker, \
     left(error_message, $2), coalesce(ended_at, updated_at) FROM taskflow.tasks WHERE id = ANY($1)";

/// The failed tasks of a page, without what is large of them.
pub(crate) async fn failures(
    session: &Session,
    tenant: TenantId,
    before: Option<TaskId>,
    limit: u32,
) -> Result<Paged<store::Failure>, Failure> {
    let filter = Filter { status: Some(Status::Failed), ..Filter::default() };
    // Nothing of this filter depends on the time.
    let page = Page { filter, before, skip: 0, limit, now: Timestamp::from_micros(0) };
    session.begin_reading().await?;
    let (ids, rest) = Ask::about(session, tenant, &page).await?.page().await?;
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let chars = rows::int(FAILURE_ERROR_CHARS_MAX);
    let rows = session.query(FAILED, &[(&ids, Type::INT8_ARRAY), (&chars, Type::INT4)]).await?;
    session.execute("COMMIT").await?;
    let mut all: Vec<store::Failure> = rows.iter().map(rows::failure).collect::<Result<_, _>>()?;
    all.sort_unstable_by_key(|failure| std::cmp::Reverse(failure.id));
    Ok(Paged { items: all, rest })
}

fn found(row: &Row) -> Result<Found, Failure> {
    let (version, status): (i64, i16) = (get(row, 1)?, get(row, 2)?);
    Ok(Found {
        id: rows::id(row)?,
        version: u64::try_from(version).map_err(|_| rows::bad("a version is negative"))?,
        status: Status::from_number(status.into()).ok_or_else(|| rows::bad("not a status"))?,
    })
}

async fn heavy(session: &Session, ids: &[TaskId]) -> Result<bool, Failure> {
    // What `weight::of_shown` counts.
    let sql = "SELECT coalesce(sum(coalesce(octet_length(payload), 0)::int8 \
               + coalesce(octet_length(result), 0) + coalesce(octet_length(checkpoint), 0) \
               + coalesce(octet_length(description), 0) + coalesce(octet_length(metadata), 0) \
               + coalesce(octet_length(error_message), 0)), 0)::int8 \
               FROM taskflow.tasks WHERE id = ANY($1)";
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let rows = session.query(sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    let bytes: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX) > PAGE_BYTES_MAX)
}

/// An id up to which every task was created by an instant.
pub(crate) const FLOOR: &str =
    "SELECT id FROM taskflow.task_births WHERE at <= $1 ORDER BY at DESC, id DESC LIMIT 1";

async fn floor(session: &Session, after: Option<Timestamp>) -> Result<i64, Failure> {
    let Some(after) = after else { return Ok(0) };
    let rows = session.query(FLOOR, &[(&after.micros(), Type::INT8)]).await?;
    rows.first().map_or(Ok(0), |row| get(row, 0))
}

/// A row of `task_births`: an instant, and an id up to which no task was created later.
pub(crate) type Birth = (i64, i64);

/// Looks at births after `$1, $2` and removes those before which there are no tasks, back to the one before. The last
/// one stays: the next one is made from it.
pub(crate) const BIRTHS: &str = "WITH looked AS MATERIALIZED (SELECT at, id, lag(id, 1, $2) OVER (\
     ORDER BY at, id) AS before FROM (SELECT at, id FROM taskflow.task_births WHERE (at, id) > ($1, $2) \
     AND (at, id) < (SELECT at, id FROM taskflow.task_births ORDER BY at DESC, id DESC LIMIT 1) \
     ORDER BY at, id LIMIT $3) AS b), \
     gone AS (DELETE FROM taskflow.task_births AS o USING looked AS l WHERE o.at = l.at AND o.id = l.id \
     AND NOT EXISTS (SELECT FROM taskflow.tasks AS t WHERE t.id > l.before AND t.id <= l.id)) \
     SELECT at, id FROM looked ORDER BY at, id";

/// Removes births between which there are no tasks: a list of tasks after an instant then begins earlier, where
/// there are none. Looks at `limit` of them and answers where it stopped; none at the end.
pub(crate) async fn births_gone(
    session: &Session,
    hand: Option<Birth>,
    limit: i64,
) -> Result<Option<Birth>, Failure> {
    let (at, id) = hand.unwrap_or((i64::MIN, 0));
    let params: [Param<'_>; 3] = [(&at, Type::INT8), (&id, Type::INT8), (&limit, Type::INT8)];
    let rows = session.query(BIRTHS, &params).await?;
    match rows.last() {
        Some(row) if i64::try_from(rows.len()).is_ok_and(|looked| looked == limit) => {
            Ok(Some((get(row, 0)?, get(row, 1)?)))
        }
        _ => Ok(None),
    }
}

async fn newest(session: &Session) -> Result<i64, Failure> {
    let rows = session.query(NEWEST, &[]).await?;
    rows.first().map_or(Ok(0), |row| get(row, 0))
}

/// The newest task.
pub(crate) const NEWEST: &str = "SELECT id FROM taskflow.tasks ORDER BY id DESC LIMIT 1";

/// A question to the database about a page.
pub(crate) struct Ask<'a> {
    pub(crate) session: &'a Session,
    pub(crate) tenant: TenantId,
    pub(crate) page: &'a Page,
    /// The ids that the page may have lie between these.
    pub(crate) between: [i64; 2],
    source: Source,
    codes: Codes,
    /// Whether tasks that were put off are read by `run_at`, apart from the others.
    apart: bool,
    /// The lanes that fit.
    lanes: Vec<Lane>,
}

impl<'a> Ask<'a> {
    async fn about(
        session: &'a Session,
        tenant: TenantId,
        page: &'a Page,
    ) -> Result<Self, Failure> {
        let filter = &page.filter;
        let floor = floor(session, filter.created_after).await?;
        let codes = Codes::of(filter);
        let sources = Source::of(filter);
        let source = sources.first().copied().unwrap_or(Source::All);
        let before = page.before.map_or(i64::MAX, TaskId::get);
        let between = match filter.search.is_some() || floor > 0 {
            true => [floor, before.min(newest(session).await?.saturating_add(1))],
            false => [floor, before],
        };
        let lanes = match sources.contains(&Source::Lanes) {
            true => lanes(session, tenant, filter, &codes.all()).await?,
            false => Vec::new(),
        };
        let mut ask = Self { session, tenant, page, between, source, codes, apart: false, lanes };
        if sources.len() > 1 {
            // Where the five hundredth entry from here on is the oldest, entries are the rarest.
            let alone = Filter { tag: filter.tag.clone(), ..Filter::default() };
            let tagged = ask.walked((TAGGED, &alone), between, FAR, [&[], &[]]).await?;
            let nothing = Filter::default();
            let lanes: Vec<&Lane> = ask.lanes.iter().collect();
            let range = range(None);
            let listed = ask.merged(&lanes, Vec::new(), (&range, &nothing), between, FAR).await?;
            let far = |ids: Vec<TaskId>| ids.first().map_or(0, |id| id.get());
            if far(tagged) < far(listed) {
                ask.source = Source::Tag;
            }
        }
        if let Some(off) = ask.codes.off
            && ask.source != Source::Tag
        {
            ask.apart = ask.few(off).await?;
        }
        Ok(ask)
    }

    /// The ids of the page, and where the next one begins.
    async fn page(&self) -> Result<(Vec<TaskId>, Option<TaskId>), Failure> {
        if let Some(search) = &self.page.filter.search {
            return search::page(self, search).await;
        }
        let limit_skip = [self.page.limit.into(), self.page.skip.into()];
        let ids = match self.is_near() {
            true => self.near(self.between, limit_skip).await?,
            false => self.ids(self.between, limit_skip).await?,
        };
        let full = ids.len() >= self.page.limit as usize;
        let rest = ids.last().copied().filter(|_| full);
        Ok((ids, rest))
    }

    /// Whether so few ids are left that their tasks are best looked at one by one, however many lanes there are.
    fn is_near(&self) -> bool {
        let [floor, before] = self.between;
        floor > 0 && before.saturating_sub(floor) <= NEAR
    }

    async fn near(&self, between: [i64; 2], limit_skip: [i64; 2]) -> Result<Vec<TaskId>, Failure> {
        let Codes { whole, some, off } = &self.codes;
        let sql = window("id", *off);
        let what = (sql.as_str(), &self.page.filter);
        self.walked(what, between, limit_skip, [whole, some]).await
    }

    /// A full page of the newest tasks of a filter with very many lanes; none where it is not full.
    async fn newest_of_many(
        &self,
        [floor, before]: [i64; 2],
        limit_skip: [i64; 2],
    ) -> Result<Option<Vec<TaskId>>, Failure> {
        if self.lanes.len() <= LANES_MANY || limit_skip[1] > 0 {
            return Ok(None);
        }
        let before = before.min(newest(self.session).await?.saturating_add(1));
        let between = [floor.max(before.saturating_sub(NEAR)), before];
        let ids = self.near(between, limit_skip).await?;
        let is_full = i64::try_from(ids.len()).is_ok_and(|many| many >= limit_skip[0]);
        Ok(is_full.then_some(ids))
    }

    /// Whether nothing but a text is asked for.
    pub(crate) fn is_plain(&self) -> bool {
        (Filter { search: None, ..self.page.filter.clone() }) == Filter::default()
    }

    /// The ids of a walk between two ids, both excluded.
    pub(crate) async fn ids(
        &self,
        between: [i64; 2],
        limit_skip: [i64; 2],
    ) -> Result<Vec<TaskId>, Failure> {
        let Codes { whole, some, off } = &self.codes;
        let filter = &self.page.filter;
        match self.source {
            Source::All => self.walked((&all(), filter), between, limit_skip, [&[], &[]]).await,
            Source::Tag => {
                let sql = tagged(*off);
                self.walked((&sql, filter), between, limit_skip, [&self.codes.all(), &[]]).await
            }
            Source::Lanes => {
                if let Some(ids) = self.newest_of_many(between, limit_skip).await? {
                    return Ok(ids);
                }
                let apart = match off.filter(|_| self.apart) {
                    Some(off) => {
                        let most = [limit_skip[0].saturating_add(limit_skip[1]), 0];
                        let sql = put_off(off);
                        self.walked((&sql, filter), between, most, [&[], some]).await?
                    }
                    None => Vec::new(),
                };
                let fits = |lane: &&Lane| !self.apart || whole.contains(&lane.code);
                let lanes: Vec<&Lane> = self.lanes.iter().filter(fits).collect();
                let range = range(off.filter(|_| !self.apart));
                self.merged(&lanes, apart, (&range, filter), between, limit_skip).await
            }
        }
    }

    /// The ids of some lanes, and those that are `known` already, in one order.
    async fn merged(
        &self,
        lanes: &[&Lane],
        known: Vec<TaskId>,
        (range, filter): (&str, &Filter),
        [floor, before]: [i64; 2],
        [limit, skip]: [i64; 2],
    ) -> Result<Vec<TaskId>, Failure> {
        let size = |number: i64| usize::try_from(number).unwrap_or(0);
        let (limit, mut skip) = (size(limit), size(skip));
        let mut merge = Merge::new(lanes.len(), before, limit + skip);
        merge.add(known.into_iter().map(TaskId::get).collect());
        let mut ids = Vec::new();
        while ids.len() < limit {
            if let Some(id) = merge.next_id() {
                match skip {
                    0 => ids.extend(TaskId::new(id)),
                    _ => skip -= 1,
                }
                continue;
            }
            let gaps = merge.gaps();
            if gaps.is_empty() {
                break;
            }
            self.fill(&mut merge, gaps, lanes, (range, filter), floor).await?;
        }
        Ok(ids)
    }

    /// Reads lanes on, all of them in one statement.
    async fn fill(
        &self,
        merge: &mut Merge,
        gaps: Vec<Gap>,
        lanes: &[&Lane],
        (range, filter): (&str, &Filter),
        floor: i64,
    ) -> Result<(), Failure> {
        let of = |gap: &Gap| lanes[gap.line];
        let queues: Vec<&str> = gaps.iter().map(|gap| of(gap).queue.as_str()).collect();
        let kinds: Vec<&str> = gaps.iter().map(|gap| of(gap).kind.as_str()).collect();
        let codes: Vec<i32> = gaps.iter().map(|gap| of(gap).code).collect();
        let before: Vec<i64> = gaps.iter().map(|gap| gap.before).collect();
        let limits: Vec<i64> = gaps.iter().map(|gap| gap.limit.into()).collect();
        let params: [Param<'_>; 10] = [
            (&self.tenant.0, Type::INT8),
            (&queues, Type::TEXT_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&codes, Type::INT4_ARRAY),
            (&before, Type::INT8_ARRAY),
            (&limits, Type::INT8_ARRAY),
            (&floor, Type::INT8),
            (&filter.tag, Type::TEXT),
            (&filter.created_after.map(Timestamp::micros), Type::INT8),
            (&self.page.now.micros(), Type::INT8),
        ];
        let mut read: Vec<Vec<i64>> = gaps.iter().map(|_| Vec::new()).collect();
        for row in self.session.query(range, &params).await? {
            let place = usize::try_from(get::<i64>(&row, 0)?).unwrap_or(0);
            if let Some(ids) = place.checked_sub(1).and_then(|place| read.get_mut(place)) {
                ids.push(get(&row, 1)?);
            }
        }
        for (gap, mut ids) in gaps.into_iter().zip(read) {
            ids.sort_unstable_by(|a, b| b.cmp(a));
            merge.give(gap, ids);
        }
        Ok(())
    }

    /// The texts of those tasks of the filter whose ids lie between two, looked at one by one.
    pub(crate) async fn window(&self, between: [i64; 2], limit: i64) -> Result<Vec<Row>, Failure> {
        let Codes { whole, some, off } = &self.codes;
        let sql = window("id, true, title, description", *off);
        let filter = &self.page.filter;
        self.rows((&sql, filter), between, [limit, 0], [whole, some]).await
    }

    /// Whether so few tasks that were put off fit that they can be sorted.
    async fn few(&self, off: Off) -> Result<bool, Failure> {
        let params: [Param<'_>; 3] = [
            (&self.tenant.0, Type::INT8),
            (&self.page.now.micros(), Type::INT8),
            (&i64::from(SORTED_MAX + 1), Type::INT8),
        ];
        let rows = self.session.query(&few_sql(off), &params).await?;
        let counted: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        Ok(counted <= i64::from(SORTED_MAX))
    }

    async fn walked(
        &self,
        what: (&str, &Filter),
        between: [i64; 2],
        limit_skip: [i64; 2],
        codes: [&[i32]; 2],
    ) -> Result<Vec<TaskId>, Failure> {
        self.rows(what, between, limit_skip, codes).await?.iter().map(rows::id).collect()
    }

    async fn rows(
        &self,
        (sql, filter): (&str, &Filter),
        [floor, before]: [i64; 2],
        [limit, skip]: [i64; 2],
        [codes, apart]: [&[i32]; 2],
    ) -> Result<Vec<Row>, Failure> {
        let page = self.page;
        let params: [Param<'_>; 12] = [
            (&self.tenant.0, Type::INT8),
            (&limit, Type::INT8),
            (&skip, Type::INT8),
            (&before, Type::INT8),
            (&floor, Type::INT8),
            (&codes, Type::INT4_ARRAY),
            (&filter.queue.as_ref().map(QueueName::as_str), Type::TEXT),
            (&filter.kind.as_ref().map(Kind::as_str), Type::TEXT),
            (&filter.tag, Type::TEXT),
            (&filter.created_after.map(Timestamp::micros), Type::INT8),
            (&page.now.micros(), Type::INT8),
            (&apart, Type::INT4_ARRAY),
        ];
        Ok(self.session.query(sql, &params).await?)
    }
}

/// One entry, after some others.
const FAR: [i64; 2] = [1, COMPARED as i64];

/// Where tasks of a queue and a kind, or of all, are counted now.
pub(crate) const LANES: &str = "SELECT queue, kind, status, priority FROM (\
     SELECT queue, kind, status, priority, n FROM taskflow.task_counts WHERE tenant = $1 \
     UNION ALL SELECT queue, kind, status, priority, n FROM taskflow.task_count_deltas \
     WHERE tenant = $1) AS kept \
     WHERE ($2::text IS NULL OR queue = $2) AND ($3::text IS NULL OR kind = $3) \
     GROUP BY queue, kind, status, priority HAVING sum(n) > 0";

/// The lanes with numbers among `codes` where any task of a filter may stand.
async fn lanes(
    session: &Session,
    tenant: TenantId,
    filter: &Filter,
    codes: &[i32],
) -> Result<Vec<Lane>, Failure> {
    let params: [Param<'_>; 3] = [
        (&tenant.0, Type::INT8),
        (&filter.queue.as_ref().map(QueueName::as_str), Type::TEXT),
        (&filter.kind.as_ref().map(Kind::as_str), Type::TEXT),
    ];
    let mut lanes = Vec::new();
    for row in session.query(LANES, &params).await? {
        let (status, priority): (i16, i16) = (get(&row, 2)?, get(&row, 3)?);
        let status = Status::from_number(status.into()).ok_or_else(|| rows::bad("not a status"))?;
        let priority =
            Priority::from_number(priority.into()).ok_or_else(|| rows::bad("not a priority"))?;
        let of = (&rows::queue(&row, 0)?, &rows::kind(&row, 1)?);
        lanes.extend(Lane::among(codes, of, (status, priority)));
    }
    Ok(lanes)
}

/// What an index does not know is looked up in the row. In words that no index can be used for, so that
/// the order alone decides where a walk begins; a subquery that is not a join, for the same reason.
const REST: &str = "($7::text IS NULL OR queue = $7) AND ($8::text IS NULL OR kind = $8) \
     AND ($9::text IS NULL OR (SELECT true FROM taskflow.task_tags AS g \
     WHERE g.tenant = $1 AND g.tag = $9 AND g.task = tasks.id)) \
     AND ($10::int8 IS NULL OR created_at > $10)";

/// The tasks of a tag and nothing else of a filter.
pub(crate) const TAGGED: &str = "SELECT task FROM taskflow.task_tags WHERE tenant = $1 AND tag = $9 \
     AND task < $4 AND task > $5 ORDER BY task DESC LIMIT $2 OFFSET $3";

fn when(off: Option<Off>) -> &'static str {
    match off {
        None => "",
        Some(Off::Due) => " AND (status <> 0 OR run_at <= updated_at OR run_at <= $11)",
        Some(Off::Later) => " AND run_at > $11",
    }
}

/// The tasks of which the index of those that were put off has an entry; in these words nothing but that
/// index can be used for it.
const PUT_OFF: &str =
    "CASE WHEN status = 0 AND blocked_by = 0 THEN run_at > updated_at ELSE false END";

/// Tasks of a tenant that were put off, in the order of their index.
fn delayed(what: &str, off: Off, [tenant, now, limit]: [&str; 3], more: &str) -> String {
    let key = "((tenant + 0), (run_at + 0))";
    let range = match off {
        Off::Due => format!("{key} > ({tenant}, 0) AND {key} <= ({tenant}, {now})"),
        Off::Later => format!("{key} > ({tenant}, {now}) AND {key} < ({tenant} + 1, 0)"),
    };
    format!(
        "SELECT {what} FROM taskflow.tasks WHERE {range} AND {PUT_OFF}{more} \
         ORDER BY (tenant + 0), (run_at + 0) LIMIT {limit}"
    )
}

/// What of a filter's tasks, looked at one by one in the order of their ids.
pub(crate) fn window(what: &str, off: Option<Off>) -> String {
    // Every parameter has to stand somewhere.
    let some = match off {
        Some(_) => format!(" OR {CODE} = ANY($12){}", when(off)),
        None => " OR cardinality($12::int4[]) < 0".to_owned(),
    };
    format!(
        "SELECT {what} FROM taskflow.tasks WHERE tenant = $1 AND id < $4 \
         AND id > $5 AND ({CODE} = ANY($6){some}) AND {REST} ORDER BY id DESC LIMIT $2 OFFSET $3"
    )
}

/// Counts the tasks that were put off, up to a number.
pub(crate) fn few_sql(off: Off) -> String {
    let delayed = delayed("id", off, ["$1", "$2", "$3"], "");
    format!("SELECT count(*) FROM ({delayed}) AS counted")
}

/// The ids of all tasks of a tenant.
pub(crate) fn all() -> String {
    format!(
        "SELECT id FROM taskflow.tasks WHERE tenant = $1 AND id < $4 AND id > $5 AND {REST} \
         ORDER BY id DESC LIMIT $2 OFFSET $3"
    )
}

/// The ids of the tasks of a tag, looked at one by one.
pub(crate) fn tagged(off: Option<Off>) -> String {
    let when = when(off);
    format!(
        "SELECT task FROM taskflow.task_tags AS tagged WHERE tenant = $1 AND tag = $9 \
         AND task < $4 AND task > $5 AND (SELECT true FROM taskflow.tasks \
         WHERE id = tagged.task AND {CODE} = ANY($6) AND {REST}{when}) \
         ORDER BY task DESC LIMIT $2 OFFSET $3"
    )
}

/// The ids of tasks that were put off.
pub(crate) fn put_off(off: Off) -> String {
    let more = format!(" AND 0 + id < $4 AND 0 + id > $5 AND {CODE} = ANY($12) AND {REST}");
    let limit = (SORTED_MAX + 1).to_string();
    let delayed = delayed("id", off, ["$1", "$11", &limit], &more);
    format!(
        "WITH apart AS MATERIALIZED ({delayed}) SELECT id FROM apart ORDER BY id DESC LIMIT $2 OFFSET $3"
    )
}

/// What the index of lists is by.
const KEY: &str = "(hashtextextended(kind, hashtextextended(queue, tenant)) & -32)";

/// The next ids of some lanes, each below its own and above `$7`. `id + 0`, as the index has it: no other one
/// gives that order.
pub(crate) fn range(off: Option<Off>) -> String {
    let when = when(off).replace("$11", "$10");
    let key = format!("{KEY} + {CODE}");
    let wanted = "(hashtextextended(w.kind, hashtextextended(w.queue, $1)) & -32) + w.code";
    format!(
        "SELECT w.place, l.id FROM unnest($2::text[], $3::text[], $4::int4[], $5::int8[], $6::int8[]) \
         WITH ORDINALITY AS w(queue, kind, code, before, many, place) CROSS JOIN LATERAL \
         (SELECT id FROM taskflow.tasks WHERE {key} = {wanted} AND id + 0 > $7 \
         AND id + 0 < w.before AND tenant + 0 = $1 AND queue || '' = w.queue \
         AND kind || '' = w.kind AND {LOOKED_UP}{when} \
         ORDER BY id + 0 DESC LIMIT w.many) AS l"
    )
}

/// What a lane does not know of a filter.
const LOOKED_UP: &str = "($8::text IS NULL OR (SELECT true FROM taskflow.task_tags AS g \
     WHERE g.tenant = $1 AND g.tag = $8 AND g.task = tasks.id)) \
     AND ($9::int8 IS NULL OR created_at > $9)";
