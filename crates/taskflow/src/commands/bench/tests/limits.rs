//! The options: defaults, limits, and the refusal to load somebody else's machine.

use clap::Parser;

use crate::commands::bench::http::Site;
use crate::commands::bench::options::{BenchOptions, Plan, Scenario};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: BenchOptions,
}

/// The options of a command line.
pub(super) fn options(arguments: &[&str]) -> BenchOptions {
    Line::try_parse_from([&["bench"], arguments].concat()).expect("the arguments are known").options
}

fn refusal(arguments: &[&str]) -> String {
    match Plan::checked(&options(arguments)) {
        Ok(_) => panic!("{arguments:?} must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_defaults_are_one_round_of_everything() {
    let plan = Plan::checked(&options(&[])).unwrap();
    assert_eq!(plan.scenarios, Scenario::ALL);
    assert_eq!((plan.connections, plan.rounds, plan.batch), (64, 1, 100));
    assert_eq!(plan.measured.as_secs(), 5);
}

#[test]
fn scenarios_run_once_each_and_the_yardstick_first() {
    let plan = Plan::checked(&options(&[
        "--scenario",
        "create",
        "--scenario",
        "bare",
        "--scenario",
        "create",
    ]));
    assert_eq!(plan.unwrap().scenarios, [Scenario::Bare, Scenario::Create]);
    let pickup = Plan::checked(&options(&["--scenario", "pickup"])).unwrap().scenarios;
    assert_eq!(pickup, [Scenario::PickupWorker, Scenario::PickupHttp]);
}

#[test]
fn the_upper_limits_are_allowed() {
    let most = ["--connections", "1024", "--seconds", "600", "--rounds", "10", "--batch", "1000"];
    assert!(Plan::checked(&options(&most)).is_ok());
    assert!(Plan::checked(&options(&["--stock", "2000000", "--rate", "1000000"])).is_ok());
}

#[test]
fn beyond_a_limit_the_flag_and_the_value_are_named() {
    for (flag, value) in [
        ("--connections", "1025"),
        ("--connections", "0"),
        ("--workers", "65"),
        ("--seconds", "601"),
        ("--seconds", "0"),
        ("--rounds", "11"),
        ("--rounds", "0"),
        ("--batch", "1001"),
        ("--batch", "0"),
        ("--stock", "2000001"),
        ("--rate", "1000001"),
        ("--rate", "0"),
    ] {
        let said = refusal(&[flag, value]);
        assert!(said.contains(flag) && said.contains(value), "{said}");
    }
}

#[test]
fn the_largest_numbers_do_not_overflow_before_they_are_refused() {
    let huge = u32::MAX.to_string();
    for flag in
        ["--connections", "--workers", "--seconds", "--rounds", "--batch", "--stock", "--rate"]
    {
        assert!(refusal(&[flag, &huge]).contains(flag));
    }
}

#[test]
fn debug_output_does_not_show_the_key() {
    let shown = format!("{:?}", options(&["--api-key", "s3cret"]));
    assert!(!shown.contains("s3cret"), "{shown}");
}

async fn unsuitable(server: &str, key: Option<&str>) -> String {
    match Site::find(server, key, false).await {
        Ok(_) => panic!("{server} must be refused"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn another_machine_is_refused_unless_allowed() {
    for server in ["http://192.0.2.1:8000", "http://10.0.0.7", "http://[2001:db8::1]:8000"] {
        let said = unsuitable(server, None).await;
        assert!(said.contains("--allow-remote") && said.contains(server), "{said}");
        assert!(Site::find(server, None, true).await.is_ok());
    }
    for server in ["http://127.0.0.1:8000", "http://127.8.8.8/base/", "http://[::1]:8000"] {
        assert!(Site::find(server, None, false).await.is_ok(), "{server}");
    }
}

#[tokio::test]
async fn what_is_no_plain_address_is_refused() {
    for server in [
        "https://127.0.0.1",
        "127.0.0.1:8000",
        "http://me:pw@127.0.0.1",
        "http://127.0.0.1/?a=1",
        "",
    ] {
        unsuitable(server, None).await;
    }
}

#[tokio::test]
async fn a_key_cannot_smuggle_a_header() {
    let said = unsuitable("http://127.0.0.1", Some("key\r\nx-evil: 1")).await;
    assert!(said.contains("header") && !said.contains("evil"), "{said}");
}

#[tokio::test]
async fn requests_carry_the_host_the_key_and_their_length() {
    let site = Site::find("http://127.0.0.1:9/base/", Some("k"), false).await.unwrap();
    let text = String::from_utf8(site.post("/api/v1/tasks", b"{}")).unwrap();
    assert!(
        text.starts_with("POST /base/api/v1/tasks HTTP/1.1\r\nhost: 127.0.0.1:9\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nx-api-key: k\r\n") && text.contains("\r\ncontent-length: 2\r\n"));
    assert!(text.ends_with("\r\n\r\n{}"), "{text}");
}
