//! Deaths and ends of the real process: kill -9 in the middle of work, SIGTERM once and twice, and
//! what an idle server costs. Many kills under load are `crash.rs`'s business.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::server::{PATIENCE, Server, say};

const WORKER_OFF: (&str, &str) = ("WORKER_ENABLED", "false");

/// What a rescue may take beyond the lease's end, by the promise.
const RESCUE: Duration = Duration::from_secs(1);

/// What a start on an existing database may take.
const FIRST_ANSWER: Duration = Duration::from_millis(100);

fn time(field: &Value) -> Timestamp {
    field.as_str().unwrap_or_else(|| panic!("{field} is no time")).parse().unwrap()
}

fn nap(seconds: f64) -> Value {
    json!({"title": "Nap", "kind": "sleep", "payload": {"seconds": seconds}})
}

#[tokio::test]
async fn kill_9_in_the_middle_of_work_loses_nothing_that_was_acknowledged() {
    let server = Server::start(&[]).await;
    let mut running = nap(2.5);
    running["lease_seconds"] = json!(2);
    let running = server.create(running).await;
    server.until(running, "in_progress").await;
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let task = json!({"title": format!("Kept {n}"), "kind": "of-mine", "payload": {"n": n}});
        acknowledged.push(server.post("/api/v1/tasks", task).await.is(201));
    }

    let server = server.kill_and_restart(&[]).await;
    for task in acknowledged {
        assert_eq!(server.task(task["id"].as_i64().unwrap()).await, task);
    }
    let held = server.task(running).await;
    assert_eq!((&held["status"], &held["attempt"]), (&json!("in_progress"), &json!(1)));
    let lease_end = time(&held["lease_expires_at"]);
    let rescued_at = loop {
        // Whatever the worker makes of it then, it is no longer attempt 1 that holds it.
        if server.outcomes(running).await.first().is_some_and(|o| o == "lease_expired") {
            break Timestamp::now();
        }
        assert!(Timestamp::now() < lease_end + PATIENCE, "never rescued");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let late = rescued_at.duration_since(lease_end);
    say(format_args!("rescued {late:?} after the end of its lease"));
    assert!(!late.is_negative(), "rescued before the end of its lease");
    assert!(late <= RESCUE.try_into().unwrap(), "rescued {late:?} after the end of its lease");
    let done = server.until(running, "completed").await;
    assert_eq!(done["attempt"], 2);
}

#[tokio::test]
async fn a_lease_that_ended_while_the_server_was_down_is_rescued_within_a_second_of_the_start() {
    let server = Server::start(&[WORKER_OFF]).await;
    let id = server.create(json!({"title": "x", "kind": "of-mine"})).await;
    let claimed = server.claim("of-mine", 1).await;
    let mut server = server;
    server.process.kill();
    while Timestamp::now() <= time(&claimed["lease_expires_at"]) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let server = server.kill_and_restart(&[WORKER_OFF]).await;
    let begin = Instant::now();
    let task = server.until(id, "pending").await;
    let took = begin.elapsed();
    assert!(took <= RESCUE, "took {took:?}");
    assert_eq!(task["pending_reason"], "ready");
    assert_eq!(server.outcomes(id).await, ["lease_expired"]);
    let token = json!({"lease_token": claimed["lease_token"]});
    let late = server.post(&format!("/api/v1/tasks/{id}/complete"), token).await;
    late.problem(409, "lease-lost");
}

#[tokio::test]
async fn sigterm_lets_running_work_finish_within_the_grace() {
    let mut server = Server::start(&[]).await;
    let id = server.create(nap(1.0)).await;
    server.until(id, "in_progress").await;
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.ended(PATIENCE).await.code(), Some(0));
    let server = server.kill_and_restart(&[WORKER_OFF]).await;
    let task = server.task(id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("completed"), &json!(1)));
}

#[tokio::test]
async fn sigterm_gives_back_uncounted_what_is_left_after_the_grace() {
    let mut server = Server::start(&[("SHUTDOWN_GRACE_SECONDS", "0.3")]).await;
    let id = server.create(nap(600.0)).await;
    server.until(id, "in_progress").await;
    server.process.signal(Signal::TERM);
    let begin = Instant::now();
    assert_eq!(server.process.ended(PATIENCE).await.code(), Some(0));
    assert!(begin.elapsed() >= Duration::from_millis(300), "the grace was cut short");
    let server = server.kill_and_restart(&[WORKER_OFF]).await;
    let task = server.task(id).await;
    assert_eq!((&task["status"], &task["attempts_used"]), (&json!("pending"), &json!(0)));
    assert_eq!(task["pending_reason"], "ready");
    let outcomes = server.outcomes(id).await;
    assert!(matches!(outcomes[..], [ref one] if one == "interrupted" || one == "released"));
}

#[tokio::test]
async fn a_second_sigterm_stops_at_once() {
    let mut server = Server::start(&[("SHUTDOWN_GRACE_SECONDS", "600")]).await;
    let id = server.create(nap(600.0)).await;
    server.until(id, "in_progress").await;
    server.process.signal(Signal::TERM);
    server.process.logged("stopping; once more stops at once").await;
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.ended(Duration::from_secs(5)).await.code(), Some(0));
    let server = server.kill_and_restart(&[WORKER_OFF]).await;
    assert_eq!(
        server.task(id).await["status"],
        "in_progress",
        "its lease decides, as after a crash"
    );
}

#[tokio::test]
async fn a_parked_claim_is_answered_at_once_when_the_server_stops() {
    let mut server = Server::start(&[WORKER_OFF]).await;
    let parked = tokio::spawn({
        let request = crate::server::client().post(format!("{}/api/v1/tasks/claim", server.url));
        let wish = json!({"worker": "parked", "kinds": ["of-mine"], "wait_seconds": 60});
        request.json(&wish).send()
    });
    // The server has it when a second one has been answered: that one came later and waits less.
    let wish = json!({"worker": "other", "kinds": ["another"], "wait_seconds": 0.3});
    server.post("/api/v1/tasks/claim", wish).await.is(200);
    assert!(!parked.is_finished(), "there was nothing to claim");
    let begin = Instant::now();
    server.process.signal(Signal::TERM);
    let answer = parked.await.unwrap().unwrap();
    let took = begin.elapsed();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"tasks": [], "command": null}));
    assert!(took < Duration::from_secs(2), "took {took:?}");
    assert_eq!(server.process.ended(Duration::from_secs(10)).await.code(), Some(0));
}

#[tokio::test]
async fn sighup_does_not_stop_a_server() {
    let server = Server::start(&[]).await;
    server.process.signal(Signal::HUP);
    let id = server.create(json!({"title": "After it"})).await;
    server.until(id, "completed").await;
}

/// Optimised builds are held to 20 MiB and 100 ms; others only say what they need.
#[tokio::test]
async fn an_idle_server_is_small_and_starts_fast() {
    let mut server = Server::start(&[]).await;
    let id = server.create(json!({"title": "So that the database holds something"})).await;
    server.until(id, "completed").await;
    // Other tests run beside this one: what counts is what it can do when it gets the processor.
    let (mut fastest, mut starts) = (Duration::MAX, 0);
    while starts < 5 || (fastest > FIRST_ANSWER && starts < 20) {
        server = server.kill_and_restart(&[]).await;
        fastest = fastest.min(server.started_in);
        starts += 1;
    }
    say(format_args!("from the start to the first answer: {fastest:?} (best of {starts})"));
    let memory = resident_kib(server.process.id());
    say(format_args!("resident when idle: {memory:?} KiB"));
    if cfg!(debug_assertions) {
        say(format_args!("not judged: this is no release build"));
        return;
    }
    assert!(fastest <= FIRST_ANSWER, "first answer after {fastest:?}");
    assert!(memory.is_none_or(|kib| kib <= 20 * 1024), "{memory:?} KiB");
}

/// None where the system has no /proc.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test]
async fn a_signal_that_means_nothing_stops_no_server() {
    let server = Server::start(&[]).await;
    for signal in [Signal::USR1, Signal::USR2, Signal::PIPE] {
        server.process.signal(signal);
        let id = server.create(json!({"title": "After it"})).await;
        server.until(id, "completed").await;
    }
}

/// Whoever reads the answers of a command may go away first (`… | head`).
#[tokio::test]
async fn a_reader_that_went_away_is_no_panic() {
    let server = Server::start(&[]).await;
    for (arguments, codes) in [
        (&["health", "--server", &server.url][..], &[0][..]),
        (&["migrate"], &[0]),
        (&["seed"], &[0]),
        (&["openapi"], &[0]),
        (&["config"], &[0]),
        (&["task", "--server", &server.url, "list"], &[0]),
        (&["queue", "--server", &server.url, "list"], &[0]),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = crate::server::taskflow(server.folder(), &[], arguments);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert!(codes.contains(&output.status.code().unwrap_or(-1)), "{arguments:?}: {output:?}");
    }
}
