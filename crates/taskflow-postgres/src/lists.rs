//! The room of lists: which index a page walks, and the SQL of the walk. What the numbers mean and which
//! of them a filter wants is in the store's `lists.rs`. It changes nothing.

use taskflow_core::limits::PAGE_BYTES_MAX;
use taskflow_core::{Kind, QueueName, Status, Task, TaskId, TenantId, Timestamp};
use taskflow_store::lists::{CODE, COMPARED, Codes, Off, SORTED_MAX, Source};
use taskflow_store::{Filter, Found, Page, Paged};
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

/// Of so many ids the tasks are looked at one by one, whatever the filter: some milliseconds.
const NEAR: i64 = 8_192;

async fn newest(session: &Session) -> Result<i64, Failure> {
    let rows = session.query(NEWEST, &[]).await?;
    rows.first().map_or(Ok(0), |row| get(row, 0))
}

/// The newest task.
pub(crate) const NEWEST: &str = "SELECT id FROM taskflow.tasks ORDER BY id DESC LIMIT 1";

/// How a page is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) source: Source,
    /// What of the tasks that were put off is wanted.
    pub(crate) off: Option<Off>,
    /// Whether those are read by `run_at`, apart from the others.
    pub(crate) apart: bool,
}

/// A question to the database about a page.
pub(crate) struct Ask<'a> {
    pub(crate) session: &'a Session,
    pub(crate) tenant: TenantId,
    pub(crate) page: &'a Page,
    /// The ids that the page may have lie between these.
    pub(crate) between: [i64; 2],
    walk: Walk,
    codes: Codes,
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
        let walk = Walk { source, off: codes.off, apart: false };
        let before = page.before.map_or(i64::MAX, TaskId::get);
        let between = match filter.search.is_some() || floor > 0 {
            true => [floor, before.min(newest(session).await?.saturating_add(1))],
            false => [floor, before],
        };
        let mut ask = Self { session, tenant, page, between, walk, codes };
        if sources.len() > 1 {
            let mut least = i64::MAX;
            // Where the five hundredth entry from here on is the oldest, entries are the rarest.
            for source in sources {
                let far = ask.far(source).await?;
                if far < least {
                    (least, ask.walk.source) = (far, source);
                }
            }
        }
        if let Some(off) = ask.codes.off
            && ask.walk.source != Source::Tag
        {
            ask.walk.apart = ask.few(off).await?;
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
            true => self.near(limit_skip).await?,
            false => self.ids(self.between, limit_skip).await?,
        };
        let full = ids.len() >= self.page.limit as usize;
        let rest = ids.last().copied().filter(|_| full);
        Ok((ids, rest))
    }

    /// Whether so few ids are left that their tasks are best looked at one by one: a walk of the index of
    /// lists does not end at its lower bound, for of a comparison of rows only the first column ends one.
    fn is_near(&self) -> bool {
        let [floor, before] = self.between;
        floor > 0 && before.saturating_sub(floor) <= NEAR
    }

    async fn near(&self, limit_skip: [i64; 2]) -> Result<Vec<TaskId>, Failure> {
        let Codes { whole, some, off } = &self.codes;
        let sql = window("id", *off);
        let what = (sql.as_str(), &self.page.filter);
        self.walked(what, self.between, limit_skip, [whole, some]).await
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
        let Codes { whole, some, .. } = &self.codes;
        if whole.is_empty() && some.is_empty() {
            return Ok(Vec::new());
        }
        let (listed, apart) = match self.walk.apart {
            true => (whole.clone(), some.clone()),
            false => (self.codes.all(), Vec::new()),
        };
        let filter = &self.page.filter;
        self.walked((&self.walk.sql(), filter), between, limit_skip, [&listed, &apart]).await
    }

    /// The texts of those tasks of the filter whose ids lie between two, looked at one by one.
    pub(crate) async fn window(&self, between: [i64; 2], limit: i64) -> Result<Vec<Row>, Failure> {
        let Codes { whole, some, off } = &self.codes;
        let sql = window("id, true, title, description", *off);
        let filter = &self.page.filter;
        self.rows((&sql, filter), between, [limit, 0], [whole, some]).await
    }

    /// The id of the entry of an index that a walk would come to after some others; 0 when there are not
    /// so many.
    async fn far(&self, source: Source) -> Result<i64, Failure> {
        let filter = &self.page.filter;
        let alone = Filter {
            queue: filter.queue.clone().filter(|_| source == Source::Queue),
            kind: filter.kind.clone().filter(|_| source == Source::Kind),
            tag: filter.tag.clone().filter(|_| source == Source::Tag),
            ..Filter::default()
        };
        let (walk, codes) = match source {
            Source::Tag => (TAGGED.to_owned(), Vec::new()),
            _ => (Walk { source, off: None, apart: false }.sql(), self.codes.all()),
        };
        let limit_skip = [1, COMPARED.into()];
        let found = self.walked((&walk, &alone), self.between, limit_skip, [&codes, &[]]).await?;
        Ok(found.first().map_or(0, |id| id.get()))
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

impl Walk {
    /// The ids of a page: the newest of one index range per number, merged. Each range is walked no further
    /// than the page can reach. It compares rows and orders by the key: only the index of lists gives
    /// that order, and begins there.
    pub(crate) fn sql(&self) -> String {
        let Self { source, off, apart } = *self;
        let when = if apart { "" } else { when(off) };
        let key = match source {
            Source::All => {
                return format!(
                    "SELECT id FROM taskflow.tasks WHERE tenant = $1 AND id < $4 AND id > $5 AND {REST} \
                     ORDER BY id DESC LIMIT $2 OFFSET $3"
                );
            }
            Source::Tag => {
                return format!(
                    "SELECT task FROM taskflow.task_tags AS tagged WHERE tenant = $1 AND tag = $9 \
                     AND task < $4 AND task > $5 AND (SELECT true FROM taskflow.tasks \
                     WHERE id = tagged.task AND {CODE} = ANY($6) AND {REST}{when}) \
                     ORDER BY task DESC LIMIT $2 OFFSET $3"
                );
            }
            Source::Listed => ["tenant * 32", "$1 * 32"],
            Source::Queue => {
                ["(hashtextextended(queue, tenant) & -32)", "(hashtextextended($7, $1) & -32)"]
            }
            Source::Kind => {
                ["(hashtextextended(kind, tenant) & -32)", "(hashtextextended($8, $1) & -32)"]
            }
        };
        let [key, wanted] = [format!("{} + {CODE}", key[0]), format!("{} + code", key[1])];
        let range = format!(
            "SELECT l.id FROM unnest($6::int4[]) AS wanted(code) CROSS JOIN LATERAL \
             (SELECT id FROM taskflow.tasks WHERE ({key}, id) > ({wanted}, $5) \
             AND ({key}, id) < ({wanted}, $4) AND tenant + 0 = $1 AND {REST}{when} \
             ORDER BY {key} DESC, id DESC LIMIT $2 + $3) AS l"
        );
        let (with, arms) = match off.filter(|_| apart) {
            Some(off) => {
                let more =
                    format!(" AND id + 0 < $4 AND id + 0 > $5 AND {CODE} = ANY($12) AND {REST}");
                let limit = (SORTED_MAX + 1).to_string();
                let delayed = delayed("id", off, ["$1", "$11", &limit], &more);
                let with = format!("WITH apart AS MATERIALIZED ({delayed}) ");
                (with, format!("{range} UNION ALL SELECT id FROM apart"))
            }
            None => (String::new(), range),
        };
        format!("{with}SELECT id FROM ({arms}) AS listed ORDER BY id DESC LIMIT $2 OFFSET $3")
    }
}
