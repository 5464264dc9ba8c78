//! Tests of kind `command` with small shell scripts in a temporary folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskflow_core::{Json, TaskId, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CommandHandler, CommandSpec};
use crate::worker::handler::{Answer, Context, Handler, Job};

/// A command `it` that runs `script` with the folder as working folder.
struct Bench {
    folder: TempDir,
    spec: CommandSpec,
}

impl Bench {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it.sh");
        std::fs::write(&file, script).unwrap();
        let argv = vec!["/bin/sh".to_owned(), file.to_str().unwrap().to_owned()];
        let cwd = Some(folder.path().to_owned());
        Self { folder, spec: CommandSpec { argv, cwd, ..CommandSpec::default() } }
    }

    fn handler(&self) -> CommandHandler {
        CommandHandler::new(BTreeMap::from([("it".to_owned(), self.spec.clone())]))
    }

    async fn run(&self, input: &str) -> Answer {
        let payload = format!(r#"{{"command":"it","input":{input}}}"#);
        self.handler().run(context(Some(&payload)).0).await
    }

    fn spawn(&self) -> (JoinHandle<Answer>, CancellationToken) {
        let (cx, cancel) = context(Some(r#"{"command":"it"}"#));
        let handler = self.handler();
        (tokio::spawn(async move { handler.run(cx).await }), cancel)
    }

    /// Waits until the script has written `name` and reads the process id in it.
    async fn pid(&self, name: &str) -> i32 {
        let file = self.folder.path().join(name);
        let text =
            until(|| std::fs::read_to_string(&file).ok().filter(|t| t.ends_with('\n'))).await;
        text.trim().parse().unwrap()
    }
}

fn context(payload: Option<&str>) -> (Context, CancellationToken) {
    let cancel = CancellationToken::new();
    let job = Job {
        id: TaskId::new(7).unwrap(),
        title: "run".into(),
        queue: "default".into(),
        kind: "command".into(),
        payload: payload.map(|text| Json::parse(text).unwrap()),
        attempt: 2,
        max_attempts: 5,
        checkpoint: None,
        timeout_seconds: None,
        created_at: Timestamp::from_micros(0),
    };
    (Context::new(Arc::new(job), cancel.clone()), cancel)
}

/// Asks again and again until there is an answer; half a minute without one fails the test.
async fn until<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = answer() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the process has ended. A zombie has: whether its parent reaps it is not our business.
async fn gone(pid: i32) {
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    let stat = format!("/proc/{pid}/stat");
    until(|| {
        let missing = rustix::process::test_kill_process(process).is_err();
        let zombie = std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") Z "));
        (missing || zombie).then_some(())
    })
    .await;
}

fn result(answer: Answer) -> Option<String> {
    match answer {
        Answer::Completed(result) => result.map(|json| json.as_str().to_owned()),
        other => panic!("expected a result, got {other:?}"),
    }
}

fn failed(answer: Answer) -> (String, bool) {
    match answer {
        Answer::Failed { error, retryable, retry_after: None } => (error, retryable),
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test]
async fn json_on_stdout_is_the_result() {
    let bench = Bench::new("cat");
    let input = r#"{"n": 1.50, "big": 12345678901234567890123}"#;
    // The program reads the whole payload, digit by digit.
    let payload = format!(r#"{{"command":"it","input":{input}}}"#);
    assert_eq!(result(bench.run(input).await), Some(payload));
}

#[tokio::test]
async fn any_other_output_is_a_string() {
    for (script, expected) in [
        ("echo hello", Some(r#""hello""#)),
        ("printf 'a\\nb\\n\\n'", Some(r#""a\nb""#)),
        ("printf '{\"a\":'", Some(r#""{\"a\":""#)),
        ("echo 1 2", Some(r#""1 2""#)),
        ("echo '\"\\u0000\"'", Some(r#""\"\\u0000\"""#)),
        ("printf 'a\\000b\\377'", Some("\"a\u{fffd}b\u{fffd}\"")),
        ("true", None),
        ("echo", None),
    ] {
        assert_eq!(result(Bench::new(script).run("1").await).as_deref(), expected, "{script}");
    }
}

#[tokio::test]
async fn the_environment_holds_the_kept_the_configured_and_the_task() {
    let mut bench = Bench::new("/usr/bin/env | /usr/bin/sort");
    bench.spec.env.insert("MINE".into(), "yes".into());
    let outside = [("PATH", "/usr/bin:/bin"), ("HOME", "/h"), ("API_KEY", "secret"), ("LANG", "C")];
    let outside = outside.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let handler = bench.handler().inheriting(outside.into_iter());
    let answer = handler.run(context(Some(r#"{"command":"it"}"#)).0).await;
    let text: String = serde_json::from_str(&result(answer).unwrap()).unwrap();
    // The shell adds these of its own accord.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let seen: Vec<&str> = text.lines().filter(|l| !own.iter().any(|o| l.starts_with(o))).collect();
    assert_eq!(
        seen,
        [
            "HOME=/h",
            "LANG=C",
            "MINE=yes",
            "PATH=/usr/bin:/bin",
            "TASKFLOW_ATTEMPT=2",
            "TASKFLOW_TASK_ID=7"
        ]
    );
}

#[tokio::test]
async fn exit_codes_say_retry_or_failure() {
    let mut bench =
        Bench::new(r#"echo first >&2; echo last >&2; exit "$(sed 's/.*"input"://; s/}//')""#);
    let (error, retryable) = failed(bench.run("75").await);
    assert!(
        retryable && error.contains("exit code 75") && error.ends_with(": first\nlast"),
        "{error}"
    );
    let (error, retryable) = failed(bench.run("3").await);
    assert_eq!(error, "command `it` failed with exit code 3: first\nlast");
    assert!(!retryable);
    bench.spec.retry_exit_codes = vec![3];
    assert!(failed(bench.run("3").await).1);
    assert!(!failed(bench.run("75").await).1);
}

#[tokio::test]
async fn only_the_end_of_a_long_stderr_is_kept() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo 'line of noise' >&2; i=$((i+1)); done
        echo 'the reason' >&2; exit 1";
    let (error, _) = failed(Bench::new(script).run("1").await);
    assert!(error.ends_with("\nthe reason"), "{error}");
    assert!(error.len() < 4 * 1024 + 100, "{}", error.len());
}

#[tokio::test]
async fn a_command_killed_by_a_signal_is_retried() {
    let (error, retryable) = failed(Bench::new("kill -9 $$").run("1").await);
    assert!(retryable && error.contains("signal: 9"), "{error}");
}

#[tokio::test]
async fn output_beyond_the_limit_ends_the_command_for_good() {
    let bench = Bench::new("echo $$ > pid; while :; do echo 'more and more and more'; done");
    let (error, retryable) = failed(bench.run("1").await);
    assert_eq!(error, "command `it` printed more than 1048576 bytes");
    assert!(!retryable);
    gone(bench.pid("pid").await).await;
}

#[tokio::test]
async fn output_that_only_grows_too_long_as_json_is_refused_too() {
    let bench = Bench::new("/usr/bin/head -c 600000 /dev/zero | /usr/bin/tr '\\000' '\\001'");
    assert!(!failed(bench.run("1").await).1);
}

#[tokio::test]
async fn a_large_input_that_nobody_reads_does_no_harm() {
    let bench = Bench::new("echo done");
    let input = format!(r#""{}""#, "x".repeat(1_000_000));
    assert_eq!(result(bench.run(&input).await).as_deref(), Some(r#""done""#));
}

#[tokio::test]
async fn cancelling_kills_the_command_and_its_children() {
    let bench = Bench::new("sleep 60 & echo $! > child; echo $$ > self; wait");
    let (running, cancel) = bench.spawn();
    let (child, own) = (bench.pid("child").await, bench.pid("self").await);
    let started = Instant::now();
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Answer::Released);
    assert!(started.elapsed() < Duration::from_secs(2), "SIGTERM was enough for it");
    gone(child).await;
    gone(own).await;
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_all_the_same() {
    let bench = Bench::new(
        "trap '' TERM; sleep 60 & echo $! > child; echo $$ > self; while :; do wait; done",
    );
    let (running, cancel) = bench.spawn();
    let (child, own) = (bench.pid("child").await, bench.pid("self").await);
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Answer::Released);
    gone(child).await;
    gone(own).await;
}

#[tokio::test]
async fn a_dropped_attempt_kills_the_command_and_its_children() {
    let bench = Bench::new("trap '' TERM; sleep 60 & echo $! > child; echo $$ > self; wait");
    let (running, _cancel) = bench.spawn();
    let (child, own) = (bench.pid("child").await, bench.pid("self").await);
    running.abort();
    gone(child).await;
    gone(own).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    // The child holds stdout open, so without the kill the attempt would hang with it.
    let bench = Bench::new("sleep 60 & echo $! > child; echo over");
    let started = Instant::now();
    assert_eq!(result(bench.run("1").await).as_deref(), Some(r#""over""#));
    assert!(started.elapsed() < Duration::from_secs(60));
    gone(bench.pid("child").await).await;
}

#[tokio::test]
async fn an_unknown_name_is_told_the_known_ones() {
    let spec = CommandSpec { argv: vec!["true".into()], ..CommandSpec::default() };
    let commands = ["resize", "backup"].map(|name| (name.to_owned(), spec.clone()));
    let handler = CommandHandler::new(commands.into());
    let answer = handler.run(context(Some(r#"{"command":"/bin/sh"}"#)).0).await;
    assert_eq!(
        failed(answer),
        (
            "payload.command `/bin/sh` is not configured; configured are backup, resize".into(),
            false
        )
    );
    let none = CommandHandler::new(BTreeMap::new());
    let answer = none.run(context(Some(r#"{"command":"x"}"#)).0).await;
    assert_eq!(failed(answer).0, "payload.command `x` is not configured; no command is");
}

#[tokio::test]
async fn faults_of_a_payload_are_for_good_and_named() {
    let bench = Bench::new("true");
    for (payload, expected) in [
        (None, "payload.command is missing"),
        (Some("null"), "payload.command is missing"),
        (Some("{}"), "payload.command is missing"),
        (Some("[]"), "payload must be an object"),
        (Some(r#""it""#), "payload must be an object"),
        (Some(r#"{"command":["it"]}"#), "payload.command must be a string"),
    ] {
        let (error, retryable) = failed(bench.handler().run(context(payload).0).await);
        assert!(!retryable && error.contains(expected), "{payload:?}: {error}");
    }
}

#[tokio::test]
async fn nothing_of_the_command_line_comes_from_the_payload() {
    let bench = Bench::new(r#"echo "arguments: $# $EVIL""#);
    let payload = r#"{"command":"it","args":["-x"],"argv":["rm"],"env":{"EVIL":"1"}}"#;
    let answer = bench.handler().run(context(Some(payload)).0).await;
    assert_eq!(result(answer).as_deref(), Some(r#""arguments: 0 ""#));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_failure_for_good() {
    let mut bench = Bench::new("true");
    for argv in [&["/no/such/program"][..], &[], &["no-such-program-on-the-path"], &["a\0b"]] {
        bench.spec.argv = argv.iter().map(|&a| a.to_owned()).collect();
        let (error, retryable) = failed(bench.run("1").await);
        assert!(!retryable && error.starts_with("command `it` cannot be started"), "{error}");
    }
    bench.spec = CommandSpec {
        argv: vec!["/bin/sh".into()],
        cwd: Some(Path::new("/no/such/folder").to_owned()),
        ..CommandSpec::default()
    };
    assert!(!failed(bench.run("1").await).1);
}

#[test]
fn the_values_of_variables_do_not_show_in_debug_output() {
    let mut spec = CommandSpec::default();
    spec.env.insert("TOKEN".into(), "hunter2".into());
    let text = format!("{spec:?}");
    assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
}
