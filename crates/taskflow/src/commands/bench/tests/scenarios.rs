//! Every scenario against the small server: what is counted is what the server saw, nothing is left
//! behind, and nothing that goes wrong is kept quiet.

use std::time::Duration;

use crate::commands::bench::options::{Plan, Scenario};
use crate::commands::bench::report::{Line, Report};
use crate::commands::bench::{measure, run};

use super::fake::{Fake, Manners};
use super::limits::options;

fn plan(fake: &Fake, scenarios: &[Scenario]) -> Plan {
    let plan = Plan::checked(&options(&["--server", &fake.url])).unwrap();
    Plan {
        scenarios: scenarios.to_vec(),
        connections: 4,
        workers: 2,
        batch: 10,
        warm_up: Duration::from_millis(10),
        measured: Duration::from_millis(150),
        stock: 300,
        backlog: 50,
        pickups: 20,
        worker_shows_within: Duration::from_millis(50),
        ..plan
    }
}

async fn report(plan: &Plan) -> Report {
    measure(plan, &mut |_| {}).await.expect("the server can be measured")
}

async fn only(fake: &Fake, scenario: Scenario) -> Line {
    report(&plan(fake, &[scenario])).await.scenarios.remove(0)
}

fn is_clean(line: &Line) {
    assert_eq!(line.errors, 0, "{line:?}");
    assert_eq!(line.skipped, None);
    assert!(line.latency_us.is_some_and(|latency| latency.p50 > 0 && latency.max >= latency.p99));
}

#[tokio::test]
async fn the_yardstick_is_measured_and_stores_nothing() {
    let fake = Fake::start(Manners::default()).await;
    let line = only(&fake, Scenario::Bare).await;
    is_clean(&line);
    let (bare, tasks) = fake.look(|state| (state.bare, state.tasks.len()));
    // Warm-up and the first question are not counted, so the server saw more than the rate says.
    assert!(line.rate_per_second.unwrap() * 0.15 < bare as f64, "{line:?}, {bare} seen");
    assert!(bare > 1, "{bare} seen");
    assert_eq!(tasks, 0);
}

#[tokio::test]
async fn created_tasks_are_counted_and_worked_off_afterwards() {
    for (scenario, chunked) in [(Scenario::Create, true), (Scenario::Bulk, false)] {
        let fake = Fake::start(Manners { chunked, ..Manners::default() }).await;
        let line = only(&fake, scenario).await;
        is_clean(&line);
        let counted = line.rate_per_second.unwrap() * 0.15;
        fake.look(|state| {
            assert!(counted > 0.0 && counted <= state.tasks.len() as f64, "{line:?}");
            assert_eq!(state.count("completed"), state.tasks.len());
        });
    }
}

#[tokio::test]
async fn kept_tasks_stay_pending() {
    let fake = Fake::start(Manners::default()).await;
    let plan = Plan { keep: true, ..plan(&fake, &[Scenario::Create]) };
    is_clean(&report(&plan).await.scenarios[0]);
    fake.look(|state| assert_eq!(state.count("pending"), state.tasks.len()));
}

#[tokio::test]
async fn a_stock_is_claimed_in_batches_and_completed_to_the_last() {
    let fake = Fake::start(Manners::default()).await;
    let plan = Plan { measured: Duration::from_secs(30), ..plan(&fake, &[Scenario::Sync]) };
    let line = report(&plan).await.scenarios.remove(0);
    is_clean(&line);
    fake.look(|state| {
        assert_eq!(state.count("completed"), 300);
        assert_eq!(state.largest_claim, 10);
    });
    // The clock stopped with the last task: 300 tasks over 30 s would be 10 a second.
    assert!(line.rate_per_second.unwrap() > 100.0, "{line:?}");
    assert!(line.notes.iter().any(|note| note.contains("used up")), "{line:?}");
}

#[tokio::test]
async fn a_server_without_bulk_gets_its_stock_one_by_one() {
    let fake = Fake::start(Manners { plain: true, ..Manners::default() }).await;
    let plan = plan(&fake, &[Scenario::Create]);
    let site = crate::commands::bench::http::Site::find(&fake.url, None, false).await.unwrap();
    let stock = crate::commands::bench::fixed::lay_in(&site, &plan).await.unwrap();
    assert_eq!((stock.units, stock.errors), (300, 0));
    fake.look(|state| assert_eq!(state.count("pending"), 300));
}

#[tokio::test]
async fn a_cycle_completes_all_that_it_creates() {
    for scenario in [Scenario::Cycle, Scenario::BulkCycle] {
        let fake = Fake::start(Manners::default()).await;
        let line = only(&fake, scenario).await;
        is_clean(&line);
        let counted = line.rate_per_second.unwrap() * 0.15;
        fake.look(|state| {
            assert!(counted > 0.0 && counted <= state.tasks.len() as f64, "{line:?}");
            assert_eq!(state.count("completed"), state.tasks.len());
        });
    }
}

#[tokio::test]
async fn a_cycle_with_a_rate_creates_no_more_than_that() {
    for (scenario, units) in [(Scenario::Cycle, 1), (Scenario::BulkCycle, 10)] {
        let fake = Fake::start(Manners::default()).await;
        let plan = Plan { rate: Some(400), ..plan(&fake, &[scenario]) };
        let line = report(&plan).await.scenarios.remove(0);
        is_clean(&line);
        fake.look(|state| {
            // 160 ms of it, and a first request that only asks whether the route is there.
            let most = 64 + 2 * units;
            assert!((1..=most).contains(&state.tasks.len()), "{} tasks", state.tasks.len());
            assert_eq!(state.count("completed"), state.tasks.len());
        });
    }
}

#[tokio::test]
async fn pickup_is_measured_both_ways_without_a_rate() {
    let fake = Fake::start(Manners { worker: true, ..Manners::default() }).await;
    let report = report(&plan(&fake, &[Scenario::PickupWorker, Scenario::PickupHttp])).await;
    for line in &report.scenarios {
        is_clean(line);
        assert_eq!(line.rate_per_second, None);
        // Far below the claim's waiting time: it was the new task that answered it.
        assert!(line.latency_us.unwrap().p50 < 1_000_000, "{line:?}");
    }
    fake.look(|state| assert_eq!(state.count("completed"), 40));
}

#[tokio::test]
async fn a_server_without_a_worker_is_told_apart_and_left_clean() {
    let fake = Fake::start(Manners::default()).await;
    let line = only(&fake, Scenario::PickupWorker).await;
    assert!(line.skipped.as_ref().is_some_and(|why| why.contains("no worker")), "{line:?}");
    assert_eq!(line.errors, 0);
    fake.look(|state| assert_eq!(state.tasks.len(), 0));
}

#[tokio::test]
async fn routes_that_a_server_lacks_are_skipped_not_failed() {
    let fake = Fake::start(Manners { plain: true, worker: true, ..Manners::default() }).await;
    let report = report(&plan(&fake, &Scenario::ALL)).await;
    for line in &report.scenarios {
        let ran = ["create", "pickup-worker", "pickup-http"].contains(&line.name);
        let missing = line.skipped.as_ref().is_some_and(|why| why.contains("not available"));
        assert_eq!(missing, !ran, "{line:?}");
        assert_eq!(line.errors, 0, "{line:?}");
    }
}

#[tokio::test]
async fn refused_calls_are_errors_and_name_the_answer() {
    let fake = Fake::start(Manners { refuses_every: Some(7), ..Manners::default() }).await;
    let line = only(&fake, Scenario::Create).await;
    let refused = fake.look(|state| state.creations / 7);
    assert!(refused > 0);
    assert_eq!(line.errors, refused);
    assert!(line.complaints[0].contains("503") && line.complaints[0].contains("busy"), "{line:?}");
}

#[tokio::test]
async fn connections_that_break_are_errors() {
    let fake = Fake::start(Manners { hangs_up_every: Some(20), ..Manners::default() }).await;
    // Long enough for the slowest machine: the run ends when every connection is lost.
    let long = |scenario| Plan { measured: Duration::from_secs(60), ..plan(&fake, &[scenario]) };
    let line = report(&long(Scenario::Create)).await.scenarios.remove(0);
    assert_eq!(line.errors, 4, "{line:?}");
    assert!(line.complaints[0].contains("closed the connection"), "{line:?}");
    let cycle = report(&long(Scenario::Cycle)).await.scenarios.remove(0);
    assert_eq!(cycle.errors, 4, "{cycle:?}");
}

#[tokio::test]
async fn tasks_that_would_not_finish_are_errors_and_nothing_hangs() {
    let fake = Fake::start(Manners { loses_leases: true, ..Manners::default() }).await;
    let line = only(&fake, Scenario::Cycle).await;
    assert!(line.errors > 0);
    assert_eq!(line.rate_per_second, Some(0.0));
    assert!(line.complaints.iter().any(|text| text.contains("lease-lost")), "{line:?}");
}

#[tokio::test]
async fn rounds_take_turns_and_give_ratios() {
    let fake = Fake::start(Manners::default()).await;
    let plan = Plan { rounds: 2, ..plan(&fake, &[Scenario::Bare, Scenario::Create]) };
    let mut announced = Vec::new();
    let report = measure(&plan, &mut |line| announced.push(line.to_owned())).await.unwrap();
    let order: Vec<_> = announced.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(order, ["bare", "create", "bare", "create"]);
    assert!(report.scenarios[1].ratio_to_bare.is_some_and(|ratio| ratio > 0.0));
    assert_eq!(report.server_version.as_deref(), Some("fake"));
}

#[tokio::test]
async fn a_key_is_sent_and_a_missing_one_is_said_at_once() {
    let fake = Fake::start(Manners { key: Some("k"), ..Manners::default() }).await;
    let plan = plan(&fake, &[Scenario::Bare]);
    let error = measure(&plan, &mut |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("--api-key"), "{error}");
    let plan = Plan { api_key: Some("k".to_owned()), ..plan };
    is_clean(&report(&plan).await.scenarios[0]);
}

#[tokio::test]
async fn a_run_with_errors_ends_in_an_error_and_a_clean_one_does_not() {
    let arguments = |fake: &Fake, scenario| {
        options(&["--server", &fake.url, "--seconds", "1", "--scenario", scenario, "--json"])
    };
    let good = Fake::start(Manners::default()).await;
    run(arguments(&good, "bare")).await.expect("nothing went wrong");
    let bad = Fake::start(Manners { refuses_every: Some(2), ..Manners::default() }).await;
    let error = run(arguments(&bad, "create")).await.unwrap_err().to_string();
    assert!(error.contains("went wrong"), "{error}");
}

#[tokio::test]
async fn nothing_that_listens_or_nothing_of_ours_is_said_plainly() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let plan = Plan::checked(&options(&["--server", &url])).unwrap();
    let error = format!("{:#}", measure(&plan, &mut |_| {}).await.unwrap_err());
    assert!(error.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn tasks_of_an_earlier_run_are_worked_off_first() {
    let fake = Fake::start(Manners::default()).await;
    let kept = Plan { keep: true, ..plan(&fake, &[Scenario::Create]) };
    report(&kept).await;
    let left = fake.look(|state| state.count("pending"));
    let sync = Plan { measured: Duration::from_secs(30), ..plan(&fake, &[Scenario::Sync]) };
    let line = report(&sync).await.scenarios.remove(0);
    assert!(left > 0 && line.notes.iter().any(|note| note.contains("300 tasks")), "{line:?}");
    fake.look(|state| assert_eq!(state.count("completed"), left + 300));
}
