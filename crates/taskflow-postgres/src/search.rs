//! The room of search: the SQL of sketches, and the walk of a search past them. What a text means is
//! core's; where a search goes next is the store's `search.rs`.

use std::sync::LazyLock;

use parking_lot::Mutex;
use taskflow_core::TaskId;
use taskflow_core::limits::{SEARCH_EDITED_MAX, SEARCH_SKETCH_LEAST, SEARCH_SKETCH_MAX};
use taskflow_core::search::{PLACES_MAX, Search, Sketch};
use taskflow_store::Sketched;
use taskflow_store::search::{Costs, Range, Step, Trail};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::lists::{self, Ask};
use crate::rows::get;
use crate::session::{Param, Session};

/// Measured with 3,000,000 tasks on a machine with two cores.
const COSTS: Costs = Costs { text: 12, looked_up: 60, sketch: 6, range: 3_000 };

/// How many texts are read at once for sketches: they may be long, and an answer is held in memory.
const TEXTS: i64 = 64;

/// Edits of tasks that were edited again since, which one step removes.
const REPEATS: i64 = 10_000;

/// Of how many ids the tasks are looked at one by one, where a filter takes many of them: as fast as a walk of
/// its index that finds a tenth as many.
const WINDOW: i64 = 2_048;

/// Sketches that one step looks at, whether their tasks are still there.
const LOOKED_AT: i64 = 32;

/// The ids of a page of a search, and where the next one begins.
pub(crate) async fn page(
    ask: &Ask<'_>,
    search: &Search,
) -> Result<(Vec<TaskId>, Option<TaskId>), Failure> {
    let places = search.places();
    let mut trail = trail(ask, places.is_some()).await?;
    let mut found = Vec::new();
    if ask.page.limit == 0 {
        return Ok((found, None));
    }
    loop {
        if trail.is_spent() {
            return Ok((found, trail.rest()));
        }
        let (low, high) = match trail.step() {
            Step::End => return Ok((found, None)),
            Step::Look(below, limit) => {
                let places = &places.unwrap_or_default();
                look(ask.session, &mut trail, (below, limit), places).await?;
                continue;
            }
            Step::Read(range) => range,
        };
        let mut before = high + 1;
        let mut dense = high - low < WINDOW;
        while before > low {
            let Read { texts, down_to } =
                read(ask, &mut trail, [low - 1, before], &mut dense).await?;
            for text in &texts {
                before = text.id;
                if !text.is_ours || !search.finds(&text.title, text.description.as_deref()) {
                    continue;
                }
                found.extend(TaskId::new(text.id));
                if found.len() == ask.page.limit as usize {
                    return Ok((found, TaskId::new(before)));
                }
            }
            before = down_to;
            if before > low && trail.is_spent() {
                return Ok((found, TaskId::new(before)));
            }
        }
    }
}

async fn trail(ask: &Ask<'_>, sketches_help: bool) -> Result<Trail, Failure> {
    let between = ask.between;
    if !sketches_help {
        return Ok(Trail::whole(COSTS, between));
    }
    let known = known(ask.session).await?;
    let limit = i64::from(SEARCH_EDITED_MAX) + 1;
    let sql = "SELECT DISTINCT task FROM taskflow.search_edits WHERE task <= $1 LIMIT $2";
    let rows = ask.session.query(sql, &[(&known, Type::INT8), (&limit, Type::INT8)]).await?;
    if rows.len() > SEARCH_EDITED_MAX as usize {
        return Ok(Trail::whole(COSTS, between));
    }
    let edited = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    Ok(Trail::new(COSTS, between, known, edited))
}

/// The last task that is in a sketch; 0 when none is.
async fn known(session: &Session) -> Result<i64, Failure> {
    let sql = "SELECT last FROM taskflow.search_sketches ORDER BY first DESC LIMIT 1";
    session.query(sql, &[]).await?.first().map_or(Ok(0), |row| get(row, 0))
}

/// How many sketches were looked at, the first id of the oldest, and the ranges of those that have all the
/// places.
pub(crate) static LOOK: LazyLock<String> = LazyLock::new(|| {
    let has = |place: usize| format!("get_bit(sketch, ${}) = 1", place + 3);
    let all: Vec<String> = (0..PLACES_MAX).map(has).collect();
    format!(
        "SELECT count(*), min(first), array_agg(first ORDER BY first DESC) FILTER (WHERE may), \
         array_agg(last ORDER BY first DESC) FILTER (WHERE may) FROM (SELECT first, last, \
         sketch IS NULL OR ({}) AS may FROM taskflow.search_sketches WHERE first < $1 \
         ORDER BY first DESC LIMIT $2) AS looked",
        all.join(" AND ")
    )
});

async fn look(
    session: &Session,
    trail: &mut Trail,
    (below, limit): (i64, u32),
    places: &[u32; PLACES_MAX],
) -> Result<(), Failure> {
    let (limit, places) = (i64::from(limit), places.map(i64::from));
    let mut params: Vec<Param<'_>> = vec![(&below, Type::INT8), (&limit, Type::INT8)];
    params.extend(places.iter().map(|place| -> Param<'_> { (place, Type::INT8) }));
    let rows = session.query(&LOOK, &params).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let looked = u32::try_from(get::<i64>(row, 0)?).unwrap_or(u32::MAX);
    let (first, last): (Option<Vec<i64>>, Option<Vec<i64>>) = (get(row, 2)?, get(row, 3)?);
    let may: Vec<Range> =
        first.unwrap_or_default().into_iter().zip(last.unwrap_or_default()).collect();
    trail.looked(looked, get(row, 1)?, &may);
    Ok(())
}

/// A task's text.
struct Text {
    id: i64,
    is_ours: bool,
    title: String,
    description: Option<String>,
}

impl Text {
    fn of(row: &Row) -> Result<Self, Failure> {
        let (id, is_ours) = (get(row, 0)?, get(row, 1)?);
        Ok(Self { id, is_ours, title: get(row, 2)?, description: get(row, 3)? })
    }

    fn bytes(&self) -> usize {
        self.title.len() + self.description.as_ref().map_or(0, String::len)
    }

    fn sketched(&self, sketch: &mut Sketch) {
        sketch.add(&self.title);
        if let Some(description) = &self.description {
            sketch.add(description);
        }
    }
}

/// The newest texts between two ids, whoever's they are: all of them count as read.
pub(crate) const TEXTS_BETWEEN: &str = "SELECT id, tenant = $1, title, description FROM taskflow.tasks \
     WHERE id > $2 AND id < $3 ORDER BY id DESC LIMIT $4";

/// Texts, the newest first, and down to which id they are all.
struct Read {
    texts: Vec<Text>,
    down_to: i64,
}

impl Read {
    /// As far as `limit` texts went, or to the end.
    fn of(texts: Vec<Text>, floor: i64, limit: i64) -> Self {
        let full = i64::try_from(texts.len()).is_ok_and(|read| read >= limit);
        let down_to = texts.last().filter(|_| full).map_or(floor + 1, |text| text.id);
        Self { texts, down_to }
    }
}

/// The next texts of a filter between two ids, both excluded. Where many of the tasks fit, all of a window are
/// looked at, and otherwise those that an index gives.
async fn read(
    ask: &Ask<'_>,
    trail: &mut Trail,
    [floor, before]: [i64; 2],
    dense: &mut bool,
) -> Result<Read, Failure> {
    let (tenant, limit) = (ask.tenant.0, i64::from(trail.texts()));
    if ask.is_plain() {
        let params: [Param<'_>; 4] = [
            (&tenant, Type::INT8),
            (&floor, Type::INT8),
            (&before, Type::INT8),
            (&limit, Type::INT8),
        ];
        let texts = texts(&ask.session.query(TEXTS_BETWEEN, &params).await?)?;
        texts.iter().for_each(|text| trail.read(text.bytes(), false));
        return Ok(Read::of(texts, floor, limit));
    }
    if *dense {
        let floor = floor.max(before.saturating_sub(WINDOW + 1));
        let texts = texts(&ask.window([floor, before], limit).await?)?;
        let read = Read::of(texts, floor, limit);
        trail.passed(before - read.down_to);
        read.texts.iter().for_each(|text| trail.read(text.bytes(), false));
        *dense =
            i64::try_from(read.texts.len()).is_ok_and(|found| found * 10 >= before - read.down_to);
        return Ok(read);
    }
    let ids = ask.ids([floor, before], [limit, 0]).await?;
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let sql = "SELECT id, tenant = $1, title, description FROM taskflow.tasks WHERE id = ANY($2)";
    let params: [Param<'_>; 2] = [(&tenant, Type::INT8), (&ids, Type::INT8_ARRAY)];
    let mut texts = texts(&ask.session.query(sql, &params).await?)?;
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.id));
    texts.iter().for_each(|text| trail.read(text.bytes(), true));
    let read = Read::of(texts, floor, limit);
    *dense = (before - read.down_to) < 10 * limit;
    Ok(read)
}

fn texts(rows: &[Row]) -> Result<Vec<Text>, Failure> {
    rows.iter().map(Text::of).collect()
}

/// What a node remembers between its steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Every task up to this one is committed, or never will be.
    settled: i64,
    /// The same of this one when these transactions are over.
    waiting: Option<(i64, Vec<String>)>,
    /// Where the last look for sketches of tasks that are gone ended.
    hand: i64,
    /// The same for births.
    births: Option<lists::Birth>,
}

/// One step. Whoever comes while another node is at it does nothing.
pub(crate) async fn sketch(
    session: &Session,
    progress: &Mutex<Progress>,
    least: u32,
) -> Result<Sketched, Failure> {
    let settled = settle(session, progress).await?;
    session.begin().await?;
    let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended('taskflow search', 0))";
    let ours = session.query(sql, &[]).await?.first().map_or(Ok(false), |row| get(row, 0))?;
    let mut sketched = Sketched::default();
    if ours {
        let known = known(session).await?;
        edits(session, known, &mut sketched).await?;
        new(session, [known, settled], least.max(1), &mut sketched).await?;
        let hand = progress.lock().hand;
        let hand = gone(session, known, hand).await?;
        let births = progress.lock().births;
        let births = lists::births_gone(session, births, LOOKED_AT).await?;
        let mut progress = progress.lock();
        (progress.hand, progress.births) = (hand, births);
    }
    session.execute("COMMIT").await?;
    Ok(sketched)
}

/// Ids are taken before they are committed, and a smaller one may come later than a larger one. Whoever
/// took one up to now holds a lock on the table: when those are over, nothing comes any more.
async fn settle(session: &Session, progress: &Mutex<Progress>) -> Result<i64, Failure> {
    let waiting = progress.lock().waiting.take();
    let sql = "SELECT last_value - 1 + is_called::int FROM taskflow.task_ids";
    let rows = session.query(sql, &[]).await?;
    let last: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
    let (upto, of) = match waiting {
        Some((upto, of)) => (upto, Some(of)),
        None => (last, None),
    };
    let sql = "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' \
               AND relation = 'taskflow.tasks'::regclass AND mode = 'RowExclusiveLock' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = session.query(sql, &[]).await?;
    let mut open: Vec<String> = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    if let Some(of) = of {
        // One that was prepared meanwhile goes on under another name, and may be any of them.
        open.retain(|one| of.contains(one) || one.starts_with(PREPARED));
    }
    let mut progress = progress.lock();
    match open.is_empty() {
        true => progress.settled = progress.settled.max(upto),
        false => progress.waiting = Some((upto, open)),
    }
    // A server that took over from another one may have lost the last ids.
    progress.settled = progress.settled.min(last);
    Ok(progress.settled)
}

/// How the names of prepared transactions begin.
const PREPARED: &str = "-1/";

fn kept(sketch: Sketch) -> Option<Vec<u8>> {
    (!sketch.is_blurred()).then(|| sketch.into_bytes())
}

async fn edits(session: &Session, known: i64, sketched: &mut Sketched) -> Result<(), Failure> {
    // Those behind the last sketch will be in the next one; they stay until they are.
    let sql = "SELECT e.number, e.task, t.title, t.description FROM taskflow.search_edits AS e \
               LEFT JOIN taskflow.tasks AS t ON t.id = e.task WHERE e.task <= $1 \
               ORDER BY e.number LIMIT $2";
    let rows = session.query(sql, &[(&known, Type::INT8), (&TEXTS, Type::INT8)]).await?;
    let mut numbers: Vec<i64> = Vec::with_capacity(rows.len());
    for row in &rows {
        numbers.push(get(row, 0)?);
        let Some(title) = get::<Option<String>>(row, 2)? else { continue };
        let text = Text { id: get(row, 1)?, is_ours: true, title, description: get(row, 3)? };
        let mut sketch = Sketch::default();
        text.sketched(&mut sketch);
        add(session, text.id, &sketch).await?;
        sketched.texts += 1;
    }
    sketched.more |= i64::try_from(rows.len()).is_ok_and(|rows| rows == TEXTS);
    if !numbers.is_empty() {
        let sql = "WITH gone AS (DELETE FROM taskflow.search_edits WHERE number = ANY($1)) SELECT";
        session.query(sql, &[(&numbers, Type::INT8_ARRAY)]).await?;
    }
    // Of a task that has no sketch yet the latest edit alone says that there was one.
    let sql = "WITH gone AS (DELETE FROM taskflow.search_edits WHERE number = ANY(ARRAY(\
               SELECT number FROM (SELECT number, row_number() OVER (PARTITION BY task \
               ORDER BY number DESC) AS nth FROM taskflow.search_edits WHERE task > $1) AS e \
               WHERE nth > 1 LIMIT $2))) SELECT";
    session.query(sql, &[(&known, Type::INT8), (&REPEATS, Type::INT8)]).await?;
    Ok(())
}

async fn add(session: &Session, task: i64, added: &Sketch) -> Result<(), Failure> {
    let sql = "SELECT first, sketch FROM taskflow.search_sketches WHERE first <= $1 \
               ORDER BY first DESC LIMIT 1";
    let rows = session.query(sql, &[(&task, Type::INT8)]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (first, Some(bytes)) = (get::<i64>(row, 0)?, get::<Option<Vec<u8>>>(row, 1)?) else {
        return Ok(());
    };
    let joined = Sketch::kept(bytes).filter(|_| !added.is_blurred()).and_then(|mut sketch| {
        sketch.join(added);
        kept(sketch)
    });
    let sql =
        "WITH done AS (UPDATE taskflow.search_sketches SET sketch = $2 WHERE first = $1) SELECT";
    session.query(sql, &[(&first, Type::INT8), (&joined, Type::BYTEA)]).await.map(drop)?;
    Ok(())
}

/// The texts after a task, the oldest first, up to another one.
pub(crate) const TEXTS_AFTER: &str = "SELECT id, true, title, description FROM taskflow.tasks \
     WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3";

/// Whether there are so many.
pub(crate) const ENOUGH: &str = "SELECT count(*) FROM (SELECT FROM taskflow.tasks WHERE id > $1 AND id <= $2 \
     ORDER BY id LIMIT $3) AS counted";

async fn new(
    session: &Session,
    [known, settled]: [i64; 2],
    least: u32,
    sketched: &mut Sketched,
) -> Result<(), Failure> {
    let least = i64::from(least);
    let params: [Param<'_>; 3] =
        [(&known, Type::INT8), (&settled, Type::INT8), (&least, Type::INT8)];
    let rows = session.query(ENOUGH, &params).await?;
    if rows.first().map_or(Ok(0), |row| get::<i64>(row, 0))? < least {
        return Ok(());
    }
    let (mut made, mut read) = (0_u32, 0_u32);
    let (mut sketch, mut first, mut last, mut texts) = (Sketch::default(), known + 1, known, 0_u32);
    while read < SEARCH_SKETCH_MAX {
        let limit = TEXTS.min(i64::from(SEARCH_SKETCH_MAX - read));
        let params: [Param<'_>; 3] =
            [(&last, Type::INT8), (&settled, Type::INT8), (&limit, Type::INT8)];
        let rows = session.query(TEXTS_AFTER, &params).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let text = Text::of(row)?;
            text.sketched(&mut sketch);
            (last, texts, read) = (text.id, texts + 1, read + 1);
            if sketch.is_full() && texts >= SEARCH_SKETCH_LEAST {
                made += 1;
                insert(session, (first, last), kept(std::mem::take(&mut sketch))).await?;
                (first, texts) = (last + 1, 0);
            }
        }
    }
    // What fills no sketch waits for more texts, when some were sketched.
    if texts > 0 && (made == 0 || i64::from(texts) >= least) {
        insert(session, (first, last), kept(sketch)).await?;
        (made, texts) = (made + 1, 0);
    }
    sketched.texts += read - texts;
    sketched.more |= made > 0;
    Ok(())
}

async fn insert(
    session: &Session,
    (first, last): Range,
    sketch: Option<Vec<u8>>,
) -> Result<(), Failure> {
    let sql = "WITH made AS (INSERT INTO taskflow.search_sketches(first, last, sketch) \
               VALUES ($1, $2, $3)) SELECT";
    let params: [Param<'_>; 3] =
        [(&first, Type::INT8), (&last, Type::INT8), (&sketch, Type::BYTEA)];
    session.query(sql, &params).await?;
    Ok(())
}

/// Removes sketches whose tasks are gone; the last one stays, it says how far sketches go. Answers where it
/// stopped; a look that was not full came to the end, also where every step makes a sketch behind it, and the
/// next one begins anew.
async fn gone(session: &Session, known: i64, hand: i64) -> Result<i64, Failure> {
    let sql = "WITH looked AS MATERIALIZED (SELECT first, last FROM taskflow.search_sketches \
               WHERE first > $1 AND last < $2 ORDER BY first LIMIT $3), \
               gone AS (DELETE FROM taskflow.search_sketches AS s WHERE s.first = ANY(ARRAY(\
               SELECT first FROM looked WHERE NOT EXISTS (SELECT FROM taskflow.tasks AS t \
               WHERE t.id >= looked.first AND t.id <= looked.last)))) \
               SELECT CASE WHEN count(*) < $3 THEN 0 ELSE max(first) END FROM looked";
    let params: [Param<'_>; 3] =
        [(&hand, Type::INT8), (&known, Type::INT8), (&LOOKED_AT, Type::INT8)];
    session.query(sql, &params).await?.first().map_or(Ok(0), |row| get(row, 0))
}
