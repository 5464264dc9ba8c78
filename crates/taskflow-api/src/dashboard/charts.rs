//! The three charts of what happened, in all queues or in one, over the last hour or day. How they are drawn is in
//! `chart.rs`; what is counted is the store's.

use maud::{Markup, html};
use taskflow_core::QueueName;
use taskflow_core::histogram::Histogram;
use taskflow_core::series::{Counter, Minute, Tally};
use taskflow_service::Actor;
use taskflow_service::stats::Stats;

use super::chart::{About, Row, bars, lines};
use super::parts;
use crate::problem::Problem;

/// Minutes of the short span, one a bucket.
const HOUR: u32 = 60;
/// Minutes of the long one.
const DAY: u32 = 24 * 60;
/// Minutes in a bucket of the long one.
const QUARTER: usize = 15;

/// Which span is shown, and a way to the other one.
pub(super) fn spans(path: &str, day: bool) -> Markup {
    let current = |so: bool| so.then_some("true");
    html! {
        ul.switch aria-label="Span" {
            li { a href=(path) aria-current=[current(!day)] { "Last hour" } }
            li { a href={ (path) "?span=day" } aria-current=[current(day)] { "Last day" } }
        }
    }
}

/// The charts.
pub(super) async fn charts(
    stats: &Stats,
    queue: Option<QueueName>,
    day: bool,
) -> Result<Markup, Problem> {
    let (minutes, each) = if day { (DAY, QUARTER) } else { (HOUR, 1) };
    let series = stats.series(Actor::DEFAULT, queue, minutes).await?;
    let buckets: Vec<(Minute, Tally)> = series.chunks(each).filter_map(merged).collect();
    let times: Vec<String> = buckets.iter().map(|(minute, _)| clock(*minute)).collect();
    let mut total = Tally::default();
    buckets.iter().for_each(|(_, tally)| total.merge(tally));
    let unit = if day { "tasks in a quarter of an hour" } else { "tasks in a minute" };
    let counted = |name, class, counter| Row {
        name,
        class,
        values: buckets.iter().map(|(_, tally)| Some(tally.of(counter) as f64)).collect(),
    };
    let about = |id, title, unit| About { id, title, unit, times: &times };
    let throughput = bars(
        &about("throughput", "Throughput", unit),
        &[
            counted("completed", "completed", Counter::Completed),
            counted("attempts failed", "failed", Counter::AttemptsFailed),
        ],
        &counted("created", "created", Counter::Created),
    );
    let took = |of: fn(&Tally) -> &Histogram| {
        let row = |name, class, share: f64| Row {
            name,
            class,
            values: buckets.iter().map(|(_, tally)| seconds(of(tally), share)).collect(),
        };
        [row("p50", "p50", 0.5), row("p99", "p99", 0.99)]
    };
    let unit = "half of them (p50) and all but one in a hundred (p99) took no longer";
    Ok(html! {
        div.charts {
            div.card.wide { (throughput) (sums(&total)) }
            div.card {
                (lines(&about("waiting", "Waited before a start", unit), &took(|tally| &tally.waiting)))
            }
            div.card {
                (lines(&about("running", "Ran", unit), &took(|tally| &tally.running)))
            }
        }
    })
}

fn merged(minutes: &[(Minute, Tally)]) -> Option<(Minute, Tally)> {
    let (first, _) = minutes.first()?;
    let mut tally = Tally::default();
    minutes.iter().for_each(|(_, one)| tally.merge(one));
    Some((*first, tally))
}

/// `09:30`.
fn clock(minute: Minute) -> String {
    let text = minute.start().to_string();
    text.get(11..16).unwrap_or_default().to_owned()
}

fn seconds(lengths: &Histogram, share: f64) -> Option<f64> {
    lengths.percentile(share).map(|micros| micros / 1e6)
}

/// What happened in all of it.
fn sums(total: &Tally) -> Markup {
    let took = |lengths: &Histogram| {
        let of = |share| seconds(lengths, share).map(parts::length);
        html! {
            @match (of(0.5), of(0.99)) {
                (Some(p50), Some(p99)) => { (p50) span.quiet { " / " (p99) } }
                _ => (parts::nothing())
            }
        }
    };
    let n = |counter| html! { (parts::number(total.of(counter))) };
    html! {
        dl.figures {
            (parts::figure("created", &n(Counter::Created)))
            (parts::figure("completed", &n(Counter::Completed)))
            (parts::figure("failed", &n(Counter::Failed)))
            (parts::figure("retried", &n(Counter::Retried)))
            (parts::figure("cancelled", &n(Counter::Cancelled)))
            (parts::figure("waited, p50 / p99", &took(&total.waiting)))
            (parts::figure("ran, p50 / p99", &took(&total.running)))
        }
    }
}
