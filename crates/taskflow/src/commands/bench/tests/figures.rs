//! The arithmetic: windows, percentiles, medians, ratios, and the two forms of the report.

use std::time::Duration;

use crate::commands::bench::load::{Tally, Window};
use crate::commands::bench::options::{Plan, Scenario};
use crate::commands::bench::report::{Measured, Report, grouped, median};

use super::limits::options;

fn tally_of(micros: impl IntoIterator<Item = u64>) -> Tally {
    let mut tally = Tally::new(Window::now_for(Duration::from_secs(10)));
    let from = tally.window.from;
    for micros in micros {
        tally.answered(from, from + Duration::from_micros(micros), 1);
    }
    tally
}

fn plan(scenarios: &[Scenario], rounds: u32) -> Plan {
    let plan = Plan::checked(&options(&[])).expect("the defaults are within the limits");
    Plan { scenarios: scenarios.to_vec(), rounds, ..plan }
}

fn near(seen: u64, wanted: u64) -> bool {
    seen.abs_diff(wanted) * 500 <= wanted
}

#[test]
fn the_median_is_the_middle_and_one_of_none_is_none() {
    assert_eq!(median([]), None);
    assert_eq!(median([4.0]), Some(4.0));
    assert_eq!(median([9.0, 1.0, 4.0]), Some(4.0));
    assert_eq!(median([1.0, 9.0, 4.0, 2.0]), Some(3.0));
}

#[test]
fn percentiles_are_microseconds_within_two_thousandths() {
    let measured = Measured::of(1.0, tally_of(1..=10_000));
    let latency = measured.latency.unwrap();
    assert!(near(latency.p50, 5_000), "{latency:?}");
    assert!(near(latency.p90, 9_000), "{latency:?}");
    assert!(near(latency.p99, 9_900), "{latency:?}");
    assert!(near(latency.max, 10_000), "{latency:?}");
}

#[test]
fn a_rate_counts_answers_inside_the_window_and_latency_the_calls_begun_inside() {
    let mut tally = Tally::new(Window::now_for(Duration::from_secs(1)));
    let Window { from, until } = tally.window;
    let ms = Duration::from_millis(1);
    tally.answered(from - ms, from - ms / 2, 1);
    assert_eq!((tally.units, tally.latency.len()), (0, 0), "warm-up");
    tally.answered(from - ms, from + ms, 1);
    assert_eq!((tally.units, tally.latency.len()), (1, 0), "begun in the warm-up");
    tally.answered(from, from + ms, 100);
    assert_eq!((tally.units, tally.latency.len()), (101, 1), "inside");
    tally.answered(until - ms, until + ms, 1);
    assert_eq!((tally.units, tally.latency.len()), (101, 2), "answered after the end");
    tally.answered(until + ms, until + ms * 2, 1);
    assert_eq!((tally.units, tally.latency.len()), (101, 2), "clean-up");
}

#[test]
fn complaints_are_few_and_all_errors_are_counted() {
    let mut tally = tally_of([]);
    for number in 0..50 {
        tally.failed(format!("complaint {}", number % 5));
    }
    assert_eq!(tally.errors, 50);
    assert_eq!(tally.complaints, ["complaint 0", "complaint 1", "complaint 2"]);
}

#[test]
fn the_ratio_is_taken_within_each_round() {
    // The machine was twice as fast in the second round: the ratio does not move.
    let round = |bare: f64, create: f64| {
        vec![
            (Scenario::Bare, Measured::of(bare, tally_of([100]))),
            (Scenario::Create, Measured::of(create, tally_of([200]))),
        ]
    };
    let rounds = [round(50_000.0, 30_000.0), round(100_000.0, 60_000.0), round(80_000.0, 8_000.0)];
    let report = Report::of(&plan(&[Scenario::Bare, Scenario::Create], 3), None, &rounds);
    let create = &report.scenarios[1];
    assert_eq!(create.rate_per_second, Some(30_000.0));
    assert_eq!((create.rate_min, create.rate_max), (Some(8_000.0), Some(60_000.0)));
    assert_eq!(create.ratio_to_bare, Some(0.6));
    assert_eq!(report.scenarios[0].ratio_to_bare, Some(1.0));
}

#[test]
fn without_the_yardstick_there_is_no_ratio() {
    let rounds = [vec![(Scenario::Create, Measured::of(1.0, tally_of([1])))]];
    let report = Report::of(&plan(&[Scenario::Create], 1), None, &rounds);
    assert_eq!(report.scenarios[0].ratio_to_bare, None);
}

#[test]
fn the_keys_of_the_json_stay() {
    let mut failing = tally_of([300]);
    failing.failed("503 busy".to_owned());
    let rounds = [vec![
        (Scenario::Bare, Measured::of(2.0, tally_of([100]))),
        (Scenario::Create, Measured::of(1.0, failing)),
        (Scenario::Bulk, Measured::missing(404)),
    ]];
    let plan = plan(&[Scenario::Bare, Scenario::Create, Scenario::Bulk], 1);
    let report = Report::of(&plan, Some("0.1.0".to_owned()), &rounds);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["server"], "http://127.0.0.1:8000");
    assert_eq!(json["rounds"], 1);
    let create = &json["scenarios"][1];
    assert_eq!(create["name"], "create");
    assert_eq!(create["rate_per_second"], 1.0);
    assert_eq!(create["latency_us"], serde_json::json!({"p50":300,"p90":300,"p99":300,"max":300}));
    assert_eq!(create["errors"], 1);
    assert_eq!(create["ratio_to_bare"], 0.5);
    assert!(json["scenarios"][2]["rate_per_second"].is_null());
    assert_eq!(json["scenarios"][2]["skipped"], "not available on this server (404)");
}

#[test]
fn the_table_names_errors_skips_and_notes() {
    let mut failing = tally_of([1_500]);
    failing.failed("503 busy".to_owned());
    let mut create = Measured::of(51_234.4, failing);
    create.notes.push("something to know".to_owned());
    let rounds = [vec![(Scenario::Create, create), (Scenario::Bulk, Measured::missing(405))]];
    let text = Report::of(&plan(&[Scenario::Create, Scenario::Bulk], 1), None, &rounds).text();
    for part in ["51,234", "1.50", "error: 503 busy", "note: something to know", "(405)"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn thousands_stand_apart() {
    let seen = [0.0, 999.0, 1_000.0, 85_012.4, 1_234_567.0].map(grouped);
    assert_eq!(seen, ["0", "999", "1,000", "85,012", "1,234,567"]);
}
