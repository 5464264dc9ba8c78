//! The guard against starvation: every so often a queue's next start is that of its oldest task, whatever
//! its priority. When that is, is `core::gate`'s rule; the other starts are in `work.rs`.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;

use taskflow_core::{QueueName, Task, TaskId, Timestamp};
use tokio_postgres::types::Type;

use crate::desk::Desk;
use crate::error::Failure;
use crate::keyed;
use crate::lanes::Places;
use crate::rows::{self, get, small, task_columns};
use crate::session::Param;
use crate::work::{FullKeys, Hand};

/// How many tasks one look fetches: what a claim of a hundred takes by turn, and one more.
const ELDERS: usize = 8;

/// After so many that others hold, the turn is given up: each is a round trip.
const MISSES: usize = 16;

/// The oldest tasks of lower priorities in queues that had their turn in this claim. They are locked one by
/// one when they are taken: a claim of another node that found the rest locked would go to sleep over them.
///
/// Of the priority at hand the tasks come oldest first anyway, so only a lower one can hold an older task;
/// most queues use one priority, and then a single look says that there is none.
#[derive(Debug, Default)]
pub(crate) struct Elders(HashMap<QueueName, Line>);

#[derive(Debug)]
struct Line {
    /// Below this one they were looked for.
    priority: i16,
    tasks: VecDeque<Place>,
    /// There may be more behind them.
    more: bool,
    /// Those that were taken, or that somebody else holds.
    passed: Vec<i64>,
}

/// Where a task stands among those of a queue, whatever their priorities.
type Place = (Timestamp, TaskId);

impl Desk<'_> {
    /// Hands out the oldest ready task of a task's queue when it is its turn.
    pub(crate) async fn guard(
        &mut self,
        task: &Task,
        places: &Places,
        elders: &mut Elders,
        hands: &mut [Hand<'_>],
    ) -> Result<bool, Failure> {
        let mut progress = false;
        let mut passed = Vec::new();
        while self.lets_through(task)
            && !self.is_handed_out(task.id)
            && self.gates.is_guard_turn(&self.lanes.gates, self.tenant, &task.queue)
        {
            let Some(hand) = hands.iter_mut().find(|hand| hand.wants() > 0) else { break };
            // A key may have become full since the look that found the task.
            let keys = self.gates.full_keys(self.tenant);
            let oldest = match keys.0.iter().any(|full| full == task.queue.as_str()) {
                true => self.oldest_of_open_keys(task, (places, &keys), &passed).await?,
                false => self.elder(task, places, elders).await?,
            };
            let Some(oldest) = oldest else { break };
            passed.push(oldest.id.get());
            if self.lets_through(&oldest) {
                progress |= self.hand_out(oldest, hand).await?;
            }
        }
        Ok(progress)
    }

    /// The oldest waiting task of lower priority in a task's queue when it is older than that task.
    async fn elder(
        &mut self,
        task: &Task,
        places: &Places,
        elders: &mut Elders,
    ) -> Result<Option<Task>, Failure> {
        let priority = small(task.priority.number());
        let mut misses = 0;
        while misses < MISSES {
            let line = elders.0.get_mut(&task.queue).filter(|line| line.priority == priority);
            let Some(line) = line else {
                let line = self.line(&task.queue, priority, places, Vec::new()).await?;
                elders.0.insert(task.queue.clone(), line);
                continue;
            };
            let Some(&elder) = line.tasks.front() else {
                if !line.more {
                    return Ok(None);
                }
                let passed = std::mem::take(&mut line.passed);
                *line = self.line(&task.queue, priority, places, passed).await?;
                continue;
            };
            if elder > place(task) {
                return Ok(None);
            }
            line.tasks.pop_front();
            line.passed.push(elder.1.get());
            if let Some(elder) = self.lock_waiting(elder.1).await? {
                return Ok(Some(elder));
            }
            misses += 1;
        }
        Ok(None)
    }

    /// A task that still waits and that nobody else holds, locked.
    async fn lock_waiting(&mut self, id: TaskId) -> Result<Option<Task>, Failure> {
        if self.is_handed_out(id) {
            return Ok(None);
        }
        let params: [Param<'_>; 2] = [(&id.get(), Type::INT8), (&self.now.micros(), Type::INT8)];
        let rows = self.session.query(TAKE, &params).await?;
        rows.first().map(rows::task).transpose()
    }

    async fn line(
        &mut self,
        queue: &QueueName,
        priority: i16,
        places: &Places,
        passed: Vec<i64>,
    ) -> Result<Line, Failure> {
        if priority == 0 {
            return Ok(Line { priority, tasks: VecDeque::new(), more: false, passed });
        }
        let mut handed = self.handed_out_below(queue, priority);
        handed.extend(&passed);
        let mut own = places.clone();
        own.keep(|of| of == queue.as_str());
        let wanted = i64::try_from(ELDERS).unwrap_or(i64::MAX);
        let window = wanted + i64::try_from(handed.len()).unwrap_or(i64::MAX / 2);
        let params: [Param<'_>; 12] = [
            (&self.tenant.0, Type::INT8),
            (&own.queue, Type::TEXT_ARRAY),
            (&own.kind, Type::TEXT_ARRAY),
            (&self.now.micros(), Type::INT8),
            (&wanted, Type::INT8),
            (&window, Type::INT8),
            (&own.floors[0], Type::INT8_ARRAY),
            (&own.floors[1], Type::INT8_ARRAY),
            (&own.floors[2], Type::INT8_ARRAY),
            (&own.floors[3], Type::INT8_ARRAY),
            (&priority, Type::INT2),
            (&handed, Type::INT8_ARRAY),
        ];
        let rows = self.session.query(&ELDER, &params).await?;
        let place = |row| -> Result<Place, Failure> {
            Ok((Timestamp::from_micros(get(row, 1)?), rows::id(row)?))
        };
        let tasks: VecDeque<Place> = rows.iter().map(place).collect::<Result<_, _>>()?;
        let more = tasks.len() >= ELDERS;
        Ok(Line { priority, tasks, more, passed })
    }

    /// The oldest ready task of a queue of which some concurrency keys are full.
    async fn oldest_of_open_keys(
        &self,
        task: &Task,
        (places, keys): (&Places, &FullKeys),
        passed: &[i64],
    ) -> Result<Option<Task>, Failure> {
        let mut own = places.clone();
        own.keep(|of| of == task.queue.as_str());
        let handed: Vec<i64> = self.handed_out().chain(passed.iter().copied()).collect();
        let all = keyed::candidates(self, &own, keys, 1, Some(&handed)).await?;
        let oldest = all.into_iter().min_by_key(place);
        // The task at hand comes next by itself.
        Ok(oldest.filter(|oldest| place(oldest) < place(task)))
    }
}

fn place(task: &Task) -> Place {
    (task.state.run_at, task.id)
}

/// Locks a task that waits.
pub(crate) const TAKE: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM taskflow.tasks WHERE id = $1 AND status + 0 = 0 AND blocked_by = 0 AND run_at <= $2 \
     FOR UPDATE SKIP LOCKED"
);

/// The oldest ready tasks of some lanes below a priority.
pub(crate) static ELDER: LazyLock<String> = LazyLock::new(|| {
    let lane = |priority: usize| {
        format!(
            "SELECT w.id, w.run_at FROM unnest($2::text[], $3::text[], ${}::int8[]) \
             AS l(queue, kind, floor) CROSS JOIN LATERAL (SELECT id, run_at FROM taskflow.tasks \
             WHERE tenant = $1 AND queue = l.queue AND kind = l.kind AND priority = {priority} \
             AND status = 0 AND blocked_by = 0 AND run_at <= $4 AND run_at >= l.floor \
             ORDER BY run_at, id LIMIT CASE WHEN {priority} < $11::int2 THEN $6 ELSE 0 END) AS w",
            7 + priority
        )
    };
    let lanes: Vec<String> = (0..4).map(lane).collect();
    format!(
        "SELECT id, run_at FROM ({}) AS w WHERE id <> ALL($12::int8[]) ORDER BY run_at, id LIMIT $5",
        lanes.join(" UNION ALL ")
    )
});
