//! Lists and policies as both stores keep them in one column: JSON text, or nothing for the usual.
//! What producers write (payloads, results) is never parsed here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taskflow_core::queue::{Defaults, Keep, RateLimit, Settings};
use taskflow_core::series::Cell;
use taskflow_core::{Kind, Priority, QueueName, RetryPolicy, Strategy, TaskId};

use crate::{Kinds, Takes};

/// A retry policy as a row keeps it; none stands for the default of schema 1, which never changes.
#[derive(Serialize, Deserialize)]
struct RetryRow {
    strategy: String,
    base_seconds: f64,
    factor: f64,
    max_seconds: f64,
    jitter: f64,
}

impl RetryRow {
    fn of(policy: &RetryPolicy) -> Self {
        Self {
            strategy: policy.strategy.as_str().to_owned(),
            base_seconds: policy.base_seconds,
            factor: policy.factor,
            max_seconds: policy.max_seconds,
            jitter: policy.jitter,
        }
    }

    /// None when it is not one.
    fn policy(self) -> Option<RetryPolicy> {
        Some(RetryPolicy {
            strategy: Strategy::ALL.into_iter().find(|s| s.as_str() == self.strategy)?,
            base_seconds: self.base_seconds,
            factor: self.factor,
            max_seconds: self.max_seconds,
            jitter: self.jitter,
        })
    }
}

/// The text that `retry` keeps; none for the default policy.
pub fn retry_text(policy: &RetryPolicy) -> Option<String> {
    if *policy == RetryPolicy::default() {
        return None;
    }
    serde_json::to_string(&RetryRow::of(policy)).ok()
}

/// The policy of a kept text; none when it is not one.
pub fn retry_from(text: &str) -> Option<RetryPolicy> {
    serde_json::from_str::<RetryRow>(text).ok()?.policy()
}

/// The text that `tags` keeps; none for no tags.
pub fn tags_text(tags: &[String]) -> Option<String> {
    if tags.is_empty() { None } else { serde_json::to_string(tags).ok() }
}

/// The tags of a kept text; none when it is not a list of them.
pub fn tags_from(text: Option<&str>) -> Option<Vec<String>> {
    text.map_or(Some(Vec::new()), |text| serde_json::from_str(text).ok())
}

/// The text that `depends_on` keeps; none for no parents.
pub fn ids_text(ids: &[TaskId]) -> Option<String> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    if ids.is_empty() { None } else { serde_json::to_string(&ids).ok() }
}

/// The ids of a kept text; none when it is not a list of them.
pub fn ids_from(text: Option<&str>) -> Option<Vec<TaskId>> {
    let Some(text) = text else { return Some(Vec::new()) };
    let ids: Vec<i64> = serde_json::from_str(text).ok()?;
    ids.into_iter().map(TaskId::new).collect()
}

/// A queue's settings as a row keeps them. What is absent is as in `Settings::default()`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SettingsRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_key_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starvation_guard: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<[Option<u32>; 3]>,
}

/// The text that `settings` keeps.
pub fn settings_text(settings: &Settings) -> Option<String> {
    let (defaults, keep) = (&settings.defaults, &settings.retention);
    let row = SettingsRow {
        concurrency_limit: settings.concurrency_limit,
        concurrency_key_limit: settings.concurrency_key_limit,
        rate: settings.rate_limit.map(|rate| (rate.tasks, rate.per_seconds)),
        starvation_guard: Some(settings.starvation_guard),
        priority: defaults.priority.map(Priority::number),
        max_attempts: defaults.max_attempts,
        retry: defaults.retry.as_ref().map(RetryRow::of),
        timeout_seconds: defaults.timeout_seconds,
        lease_seconds: defaults.lease_seconds,
        keep: (*keep != Keep::default()).then_some([
            keep.completed_seconds,
            keep.failed_seconds,
            keep.cancelled_seconds,
        ]),
    };
    serde_json::to_string(&row).ok()
}

/// The settings of a kept text; none when it is not one.
pub fn settings_from(text: &str) -> Option<Settings> {
    let row: SettingsRow = serde_json::from_str(text).ok()?;
    let usual = Settings::default();
    let [completed_seconds, failed_seconds, cancelled_seconds] = row.keep.unwrap_or_default();
    let priority = match row.priority {
        Some(number) => Some(Priority::from_number(number)?),
        None => None,
    };
    let retry = match row.retry {
        Some(retry) => Some(retry.policy()?),
        None => None,
    };
    Some(Settings {
        concurrency_limit: row.concurrency_limit,
        concurrency_key_limit: row.concurrency_key_limit,
        rate_limit: row.rate.map(|(tasks, per_seconds)| RateLimit { tasks, per_seconds }),
        starvation_guard: row.starvation_guard.unwrap_or(usual.starvation_guard),
        defaults: Defaults {
            priority,
            max_attempts: row.max_attempts,
            retry,
            timeout_seconds: row.timeout_seconds,
            lease_seconds: row.lease_seconds,
        },
        retention: Keep { completed_seconds, failed_seconds, cancelled_seconds },
    })
}

/// What a worker takes, as a row keeps it.
#[derive(Serialize, Deserialize)]
struct TakesRow {
    queues: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
}

/// The text that `takes` keeps.
pub fn takes_text(takes: &Takes) -> Option<String> {
    let queues = takes.queues.as_ref();
    let queues = queues.map(|all| all.iter().map(|queue| queue.as_str().to_owned()).collect());
    let kinds = match &takes.kinds {
        Kinds::AllButBuiltIn => None,
        Kinds::Named(kinds) => Some(kinds.iter().map(|kind| kind.as_str().to_owned()).collect()),
    };
    serde_json::to_string(&TakesRow { queues, kinds }).ok()
}

/// What a kept text says of it; none when it is not one.
pub fn takes_from(text: &str) -> Option<Takes> {
    let row: TakesRow = serde_json::from_str(text).ok()?;
    let queues = match row.queues {
        Some(all) => Some(all.iter().map(|n| QueueName::parse(n).ok()).collect::<Option<_>>()?),
        None => None,
    };
    let kinds = match row.kinds {
        Some(all) => Kinds::Named(all.iter().map(|n| Kind::parse(n).ok()).collect::<Option<_>>()?),
        None => Kinds::AllButBuiltIn,
    };
    Some(Takes { queues, kinds })
}

/// The text that the cells of a minute keep: `0:12,1:3`.
pub fn cells_text(cells: &BTreeMap<Cell, u64>) -> String {
    let mut text = String::with_capacity(cells.len() * 10);
    for (cell, n) in cells {
        if !text.is_empty() {
            text.push(',');
        }
        if *cell < 0 {
            text.push('-');
        }
        digits(&mut text, cell.unsigned_abs().into());
        text.push(':');
        digits(&mut text, *n);
    }
    text
}

/// Writes a number. A busy store writes some hundred of them with each commit, and formatting takes
/// several times as long.
fn digits(text: &mut String, mut number: u64) {
    let mut last_first = ['0'; 20];
    let mut length = 0;
    loop {
        last_first[length] = char::from(b'0' + (number % 10) as u8);
        length += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(last_first[..length].iter().rev());
}

/// The cells of a kept text; none when it is not a list of them.
pub fn cells_from(text: &str) -> Option<BTreeMap<Cell, u64>> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (cell, n) = pair.split_once(':')?;
            Some((cell.parse().ok()?, n.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_were_kept() {
        let cells: BTreeMap<Cell, u64> =
            [(Cell::MIN, 0), (-1, 7), (0, 10), (1007, 1), (2383, u64::MAX)].into();
        let text = cells_text(&cells);
        assert_eq!(text, "-32768:0,-1:7,0:10,1007:1,2383:18446744073709551615");
        assert_eq!(cells_from(&text), Some(cells));
        assert_eq!(cells_from(""), Some(BTreeMap::new()));
        for bad in ["0", "0:", ":1", "a:1", "0:-1", "40000:1"] {
            assert_eq!(cells_from(bad), None, "{bad}");
        }
    }
}
