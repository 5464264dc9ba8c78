//! The room of search: the SQL of sketches, and the walk of a search past them. What a text means is
//! core's; where a search goes next is the store's `search.rs`.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, OptionalExtension, params};
use taskflow_core::limits::{SEARCH_EDITED_MAX, SEARCH_SKETCH_LEAST, SEARCH_SKETCH_MAX};
use taskflow_core::search::{PLACES_MAX, Search, Sketch, may_hold};
use taskflow_core::{TaskId, TenantId};
use taskflow_store::search::{Costs, Range, Step, Trail};
use taskflow_store::{Page, Sketched};

use crate::lists;

/// Measured with 3,000,000 tasks on a machine with two cores.
const COSTS: Costs = Costs { text: 3, looked_up: 25, sketch: 30, range: 200 };

/// Edited texts that one step puts into sketches.
const EDITS: usize = 256;

/// Edits of tasks that were edited again since, which one step removes.
const REPEATS: u32 = 10_000;

/// Sketches that one step looks at, whether their tasks are still there.
const LOOKED_AT: u32 = 32;

/// A walk that gives ids of tasks of a filter, newest first: the next ones between two ids, both excluded.
pub(crate) type Ids<'a> = &'a mut dyn FnMut([i64; 2], u32) -> Result<Vec<i64>, Error>;

/// The ids of a page of a search, and where the next one begins. `ids` walks the rest of the filter; None
/// when there is none and all tasks are walked.
pub(crate) fn page(
    connection: &Connection,
    (tenant, page, search): (TenantId, &Page, &Search),
    floor: i64,
    mut ids: Option<Ids<'_>>,
) -> Result<(Vec<i64>, Option<TaskId>), Error> {
    let places = search.places();
    let mut trail = trail(connection, floor, page, places.is_some())?;
    let mut found = Vec::new();
    if page.limit == 0 {
        return Ok((found, None));
    }
    loop {
        if trail.is_spent() {
            return Ok((found, trail.rest()));
        }
        let (low, high) = match trail.step() {
            Step::End => return Ok((found, None)),
            Step::Look(below, limit) => {
                look(connection, &mut trail, (below, limit), &places.unwrap_or_default())?;
                continue;
            }
            Step::Read(range) => range,
        };
        let mut before = high + 1;
        loop {
            let limit = trail.texts();
            let texts = match &mut ids {
                Some(ids) => texts_of(connection, tenant, &ids([low - 1, before], limit)?)?,
                None => texts(connection, tenant, [low - 1, before], limit)?,
            };
            for text in &texts {
                before = text.id;
                trail.read(text.bytes(), ids.is_some());
                if !text.is_ours || !search.finds(&text.title, text.description.as_deref()) {
                    continue;
                }
                found.push(text.id);
                if found.len() == page.limit as usize {
                    return Ok((found, TaskId::new(before)));
                }
            }
            if texts.len() < limit as usize || before <= low {
                break;
            }
            if trail.is_spent() {
                return Ok((found, TaskId::new(before)));
            }
        }
    }
}

fn trail(
    connection: &Connection,
    floor: i64,
    page: &Page,
    sketches_help: bool,
) -> Result<Trail, Error> {
    let between = [floor, page.before.map_or(i64::MAX, TaskId::get)];
    if !sketches_help {
        return Ok(Trail::whole(COSTS, between));
    }
    let known = known(connection)?;
    let sql = "SELECT DISTINCT task FROM search_edits WHERE task <= ?1 LIMIT ?2 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let edited = statement.query_map(params![known, SEARCH_EDITED_MAX + 1], |row| row.get(0))?;
    let edited: Vec<i64> = edited.collect::<Result<_, _>>()?;
    if edited.len() > SEARCH_EDITED_MAX as usize {
        return Ok(Trail::whole(COSTS, between));
    }
    Ok(Trail::new(COSTS, between, known, edited))
}

/// The last task that is in a sketch; 0 when none is.
fn known(connection: &Connection) -> Result<i64, Error> {
    let sql = "SELECT last FROM search_sketches ORDER BY first DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn look(
    connection: &Connection,
    trail: &mut Trail,
    (below, limit): (i64, u32),
    places: &[u32; PLACES_MAX],
) -> Result<(), Error> {
    let sql = "SELECT first, last, sketch FROM search_sketches WHERE first < ?1 \
               ORDER BY first DESC LIMIT ?2 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![below, limit])?;
    let (mut looked, mut oldest, mut may): (u32, Option<i64>, Vec<Range>) = (0, None, Vec::new());
    while let Some(row) = rows.next()? {
        let first = row.get(0)?;
        (looked, oldest) = (looked + 1, Some(first));
        let held = match row.get_ref(2)? {
            ValueRef::Blob(sketch) => may_hold(sketch, places),
            _ => true,
        };
        if held {
            may.push((first, row.get(1)?));
        }
    }
    trail.looked(looked, oldest, &may);
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
fn texts(
    connection: &Connection,
    tenant: TenantId,
    [floor, before]: [i64; 2],
    limit: u32,
) -> Result<Vec<Text>, Error> {
    let sql = "SELECT id, tenant = ?1, title, description FROM tasks WHERE id > ?2 AND id < ?3 \
               ORDER BY id DESC LIMIT ?4 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let texts = statement.query_map(params![tenant.0, floor, before, limit], text)?;
    texts.collect()
}

fn texts_of(connection: &Connection, tenant: TenantId, ids: &[i64]) -> Result<Vec<Text>, Error> {
    let sql = "SELECT id, tenant = ?1, title, description FROM tasks WHERE id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let text = |id: &i64| statement.query_row(params![tenant.0, id], text).optional().transpose();
    ids.iter().filter_map(text).collect()
}

fn text(row: &rusqlite::Row<'_>) -> Result<Text, Error> {
    let (id, is_ours) = (row.get(0)?, row.get(1)?);
    Ok(Text { id, is_ours, title: row.get(2)?, description: row.get(3)? })
}

/// Where the last looks for what tasks that are gone left behind ended; at the beginning after a whole round.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hands {
    sketches: i64,
    births: Option<lists::Birth>,
}

/// What a step of sketching writes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// New sketches, the oldest first.
    new: Vec<(Range, Option<Vec<u8>>)>,
    /// Edits that were seen, and what they add to the sketches of their tasks.
    edits: Vec<i64>,
    added: Vec<(i64, Sketch)>,
    /// Sketches of tasks that are gone.
    gone: Vec<i64>,
    /// Births of tasks that are gone.
    births: Vec<lists::Birth>,
    /// What it comes to.
    pub(crate) sketched: Sketched,
}

impl Plan {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.new.is_empty()
            && self.edits.is_empty()
            && self.gone.is_empty()
            && self.births.is_empty()
    }
}

/// What is to be done, read in one state of the database.
pub(crate) fn plan(connection: &Connection, least: u32, hands: &mut Hands) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let known = known(connection)?;
    plan_edits(connection, known, &mut plan)?;
    plan_new(connection, known, least, &mut plan)?;
    plan_gone(connection, known, &mut hands.sketches, &mut plan)?;
    plan.births = lists::births_gone(connection, &mut hands.births, LOOKED_AT)?;
    Ok(plan)
}

fn plan_gone(
    connection: &Connection,
    known: i64,
    hand: &mut i64,
    plan: &mut Plan,
) -> Result<(), Error> {
    let sql = "SELECT first, EXISTS (SELECT 1 FROM tasks WHERE id >= first AND id <= last) \
               FROM search_sketches WHERE first > ?1 AND last < ?2 ORDER BY first LIMIT ?3 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![*hand, known, LOOKED_AT])?;
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        (*hand, looked) = (row.get(0)?, looked + 1);
        if !row.get::<_, bool>(1)? {
            plan.gone.push(*hand);
        }
    }
    // A look that was not full came to the end, also where every step makes a sketch behind it.
    if looked < LOOKED_AT {
        *hand = 0;
    }
    Ok(())
}

fn plan_edits(connection: &Connection, known: i64, plan: &mut Plan) -> Result<(), Error> {
    // Those behind the last sketch will be in the next one; they stay until they are.
    let sql = "SELECT number, task FROM search_edits WHERE task <= ?1 ORDER BY number LIMIT ?2 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let edits = statement.query_map(params![known, EDITS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for edit in edits {
        let (number, task): (i64, i64) = edit?;
        plan.edits.push(number);
        let text = texts_of(connection, TenantId::DEFAULT, &[task])?.pop();
        let Some(text) = text else { continue };
        let mut sketch = Sketch::default();
        text.sketched(&mut sketch);
        plan.added.push((task, sketch));
        plan.sketched.texts += 1;
    }
    plan.sketched.more |= plan.edits.len() == EDITS;
    // Of a task that has no sketch yet the latest edit alone says that there was one.
    let sql = "SELECT number FROM (SELECT number, row_number() OVER (PARTITION BY task \
               ORDER BY number DESC) AS nth FROM search_edits WHERE task > ?1) WHERE nth > 1 LIMIT ?2 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let doubled = statement.query_map(params![known, REPEATS], |row| row.get::<_, i64>(0))?;
    for number in doubled {
        plan.edits.push(number?);
    }
    Ok(())
}

fn plan_new(connection: &Connection, known: i64, least: u32, plan: &mut Plan) -> Result<(), Error> {
    let sql = "SELECT id, 0, title, description FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2 + 0";
    let mut statement = connection.prepare_cached(sql)?;
    let count = "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE id > ?1 LIMIT ?2 + 0)";
    let there: u32 = connection
        .prepare_cached(count)?
        .query_row(params![known, least.max(1)], |row| row.get(0))?;
    if there < least.max(1) {
        return Ok(());
    }
    let mut rows = statement.query(params![known, SEARCH_SKETCH_MAX])?;
    let (mut sketch, mut first, mut last, mut texts) = (Sketch::default(), known + 1, known, 0);
    while let Some(row) = rows.next()? {
        let text = text(row)?;
        text.sketched(&mut sketch);
        (last, texts) = (text.id, texts + 1);
        plan.sketched.texts += 1;
        if sketch.is_full() && texts >= SEARCH_SKETCH_LEAST {
            plan.new.push(((first, last), kept(std::mem::take(&mut sketch))));
            (first, texts) = (last + 1, 0);
        }
    }
    // What fills no sketch waits for more texts, when some were sketched.
    let some = !plan.new.is_empty();
    if texts > 0 && (!some || texts >= least) {
        plan.new.push(((first, last), kept(sketch)));
    } else {
        plan.sketched.texts -= texts;
    }
    plan.sketched.more |= !plan.new.is_empty();
    Ok(())
}

fn kept(sketch: Sketch) -> Option<Vec<u8>> {
    (!sketch.is_blurred()).then(|| sketch.into_bytes())
}

/// Writes it; what another process did meanwhile is not done again.
pub(crate) fn carry_out(connection: &Connection, plan: &Plan) -> Result<(), Error> {
    for ((first, last), sketch) in &plan.new {
        if known(connection)? != first - 1 {
            break;
        }
        let sql = "INSERT INTO search_sketches(first, last, sketch) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![first, last, sketch])?;
    }
    for (task, added) in &plan.added {
        add(connection, *task, added)?;
    }
    let mut statement = connection.prepare_cached("DELETE FROM search_edits WHERE number = ?1")?;
    for number in &plan.edits {
        statement.execute([number])?;
    }
    let mut statement =
        connection.prepare_cached("DELETE FROM search_sketches WHERE first = ?1")?;
    for first in &plan.gone {
        statement.execute([first])?;
    }
    lists::forget_births(connection, &plan.births)
}

fn add(connection: &Connection, task: i64, added: &Sketch) -> Result<(), Error> {
    let sql = "SELECT first, sketch FROM search_sketches WHERE first <= ?1 \
               ORDER BY first DESC LIMIT 1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([task], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)));
    let Some((first, Some(bytes))) = found.optional()? else { return Ok(()) };
    let joined = Sketch::kept(bytes).filter(|_| !added.is_blurred()).and_then(|mut sketch| {
        sketch.join(added);
        kept(sketch)
    });
    let sql = "UPDATE search_sketches SET sketch = ?2 WHERE first = ?1";
    connection.prepare_cached(sql)?.execute(params![first, joined]).map(drop)
}
