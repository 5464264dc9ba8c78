//! `taskflow task …` and `taskflow completion`: what a person and a script get from a real server.
//! How arguments are read and answers are written is tested beside the commands.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{PATIENCE, Process, Server, project, taskflow};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let output = taskflow(folder, settings, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// `taskflow task …` at this server.
fn task(server: &Server, arguments: &[&str]) -> Ended {
    let arguments = [&["task", "--server", &server.url], arguments].concat();
    run(server.folder(), &[], &arguments)
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

async fn idle() -> Server {
    Server::start(&[("WORKER_ENABLED", "false")]).await
}

#[tokio::test]
async fn a_task_is_created_shown_listed_counted_and_deleted() {
    let server = idle().await;
    let line = ["create", "Resize cat.jpg", "--kind", "image.resize", "--priority", "high"];
    let more = ["--payload", r#"{"file": "cat.jpg"}"#, "--tag", "cats", "--delay", "3600"];
    let text = task(&server, &[&line[..], &more].concat()).with(0).out;
    holds(&text, &["id                1\n", "title             Resize cat.jpg\n", "scheduled"]);
    let kept = server.task(1).await;
    assert_eq!(kept["payload"], json!({"file": "cat.jpg"}));
    assert_eq!(kept["tags"], json!(["cats"]));

    assert_eq!(task(&server, &["get", "1"]).with(0).out, text);
    server.create(json!({"title": "Another"})).await;
    let list = task(&server, &["list"]).with(0).out;
    let lines: Vec<&str> = list.lines().collect();
    let expected = ["ID", "STATUS", "PRIORITY", "QUEUE", "KIND", "ATTEMPT", "AGE", "TITLE"];
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), expected);
    assert!(
        lines[1].starts_with("2   pending  medium") && lines[1].ends_with("s   Another"),
        "{list}"
    );
    assert_eq!(lines.len(), 3, "{list}");
    let high = task(&server, &["list", "--priority", "high", "--limit", "1"]).with(0).out;
    assert!(high.contains("Resize") && !high.contains("Another"), "{high}");

    holds(&task(&server, &["stats"]).with(0).out, &["pending             2\n", "failed "]);
    let gone = task(&server, &["delete", "1", "2"]).with(0).out;
    assert_eq!(gone, "task 1 was deleted\ntask 2 was deleted\n");
    let err = task(&server, &["get", "1"]).with(1).err;
    assert!(err.starts_with("taskflow: ") && err.contains('1'), "{err}");
}

#[tokio::test]
async fn attempts_are_a_table() {
    let server = idle().await;
    let id = server.create(json!({"title": "x", "kind": "mine"})).await;
    let claimed = server.claim("mine", 30).await;
    let fail = json!({"lease_token": claimed["lease_token"], "error": "disk\u{1b}[2J full"});
    server.post(&format!("/api/v1/tasks/{id}/fail"), fail).await.is(200);
    let table = task(&server, &["attempts", &id.to_string()]).with(0).out;
    holds(&table, &["ATTEMPT  OUTCOME", "failed", "test", r"disk\u{1b}[2J full"]);
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[tokio::test]
async fn json_is_one_document_and_the_servers_own() {
    let server = idle().await;
    let created = task(&server, &["--json", "create", "One"]).with(0).json();
    assert_eq!(created, server.task(1).await);
    server.create(json!({"title": "Two"})).await;
    assert_eq!(task(&server, &["get", "1", "--json"]).with(0).json(), created);
    let listed = task(&server, &["list", "--json"]).with(0).json();
    assert_eq!(listed, server.get("/api/v1/tasks").await.is(200));
    assert_eq!(task(&server, &["attempts", "1", "--json"]).with(0).json(), json!([]));
    assert_eq!(task(&server, &["stats", "--json"]).with(0).json()["pending"], 2);
    let cancelled = task(&server, &["cancel", "1", "2", "--json"]).with(0).json();
    assert_eq!(cancelled[1]["status"], "cancelled");
    let retried = task(&server, &["retry", "2", "--json"]).with(0).json();
    assert_eq!(retried[0]["status"], "pending");
    assert_eq!(task(&server, &["delete", "1", "--json"]).with(0).json(), json!([1]));
    let refused = task(&server, &["get", "1", "--json"]).with(1);
    assert_eq!(refused.out, "", "a refusal is no answer");
}

#[tokio::test]
async fn what_the_server_refuses_is_named_field_by_field() {
    let server = idle().await;
    let err = task(&server, &["create", "x", "--kind", "no good"]).with(1).err;
    holds(&err, &["/kind"]);
    assert_eq!(err.lines().count(), 1, "told once: {err}");
    let line = ["create", " ", "--kind", "no good", "--max-attempts", "0", "--delay", "-1"];
    let err = task(&server, &line).with(1).err;
    holds(&err, &["\n  /kind ", "\n  /title ", "\n  /max_attempts ", "\n  /delay_seconds "]);
    let err = task(&server, &["create", "x", "--field", "colour=1"]).with(1).err;
    holds(&err, &["colour"]);
    holds(&task(&server, &["list", "--limit", "0"]).with(1).err, &["?limit"]);
    holds(&task(&server, &["create", "x", "--payload", "{"]).with(2).err, &["--payload"]);
    holds(&task(&server, &["explode"]).with(2).err, &["explode", "Usage"]);
    assert_eq!(server.get("/api/v1/tasks").await.is(200), json!([]), "nothing was created");
}

#[tokio::test]
async fn one_refused_id_does_not_hold_up_the_others() {
    let server = idle().await;
    let id = server.create(json!({"title": "x"})).await;
    let ended = task(&server, &["cancel", "99", &id.to_string()]).with(1);
    assert_eq!(ended.out, format!("task {id}: cancelled (x)\n"));
    holds(&ended.err, &["task 99: "]);
    assert_eq!(server.task(id).await["status"], "cancelled");
    let retried = task(&server, &["retry", &id.to_string()]).with(0).out;
    assert_eq!(retried, format!("task {id}: pending (x)\n"));
}

#[tokio::test]
async fn a_create_repeated_with_its_idempotency_key_creates_nothing_more() {
    let server = idle().await;
    let line = ["create", "Once", "--idempotency-key", "k-1", "--json"];
    let first = task(&server, &line).with(0).json();
    assert_eq!(task(&server, &line).with(0).json(), first);
    let other = ["create", "Twice", "--idempotency-key", "k-1"];
    holds(&task(&server, &other).with(1).err, &["used for another request"]);
    assert_eq!(task(&server, &["create", "x", "--idempotency-key", "a\nb"]).code, Some(2));
    assert_eq!(task(&server, &["list", "--json"]).with(0).json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_unique_key_that_is_held_is_told() {
    let server = idle().await;
    let create = ["create", "x", "--unique-key", "u"];
    assert_eq!(task(&server, &create).with(0).err, "");
    holds(&task(&server, &create).with(0).err, &["nothing was created", "task 1"]);
    let refused = task(&server, &[&create[..], &["--on-conflict", "reject"]].concat()).with(1);
    assert_eq!(refused.out, "");
}

#[tokio::test]
async fn a_wait_ends_with_the_task_and_says_how_it_ended() {
    let server = Server::start(&[]).await;
    let done = task(&server, &["create", "x", "--wait", "30", "--json"]).with(0).json();
    assert_eq!(done["status"], "completed");
    // No program of this name is allowed.
    let line = ["create", "x", "--kind", "command", "--payload", r#"{"command": "no"}"#];
    let lost = task(&server, &[&line[..], &["--wait", "30"]].concat()).with(4).out;
    holds(&lost, &["status            failed\n", "error_message "]);
    let late = task(&server, &["create", "x", "--kind", "manual", "--wait", "0.2"]).with(5).out;
    holds(&late, &["status            pending\n"]);
    let seen = task(&server, &["watch", "1"]).with(0).out;
    assert!(seen.trim_end().ends_with("completed  attempt 1"), "{seen}");
}

#[tokio::test]
async fn a_watch_prints_every_change_until_the_end() {
    let server = idle().await;
    let id = server.create(json!({"title": "x", "kind": "mine"})).await;
    let log = server.folder().join("watch.log");
    let number = id.to_string();
    let arguments = ["task", "watch", &number];
    let settings = [("TASKFLOW_SERVER", server.url.as_str())];
    let mut watch = Process::start(taskflow(server.folder(), &settings, &arguments), log);
    let seen = async |watch: &Process, part: &str| {
        let look = async {
            while !watch.log().contains(part) {
                tokio::time::sleep(crate::server::LOOK).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "never {part}: {}", watch.log());
    };
    seen(&watch, "pending  attempt 0").await;
    let token = server.claim("mine", 30).await["lease_token"].clone();
    seen(&watch, "in_progress  attempt 1").await;
    let beat = json!({"lease_token": token, "progress": {"percent": 40, "message": "half"}});
    server.post(&format!("/api/v1/tasks/{id}/heartbeat"), beat).await.is(200);
    seen(&watch, "% half").await;
    let cancelled = task(&server, &["cancel", &number]).with(0);
    assert_eq!(watch.ended(PATIENCE).await.code(), Some(4), "{cancelled:?}");
    holds(watch.log().lines().last().unwrap(), &["Z  cancelled  attempt 1", "requested"]);
}

#[test]
fn a_server_that_cannot_be_reached_is_code_3() {
    let folder = tempfile::TempDir::new().unwrap();
    for command in
        [&["stats"][..], &["get", "1"], &["create", "x"], &["delete", "1", "2"], &["watch", "1"]]
    {
        let arguments = [&["task", "--server", NOBODY], command].concat();
        holds(&run(folder.path(), &[], &arguments).with(3).err, &[NOBODY, "cannot be reached"]);
    }
    let settings = [("TASKFLOW_SERVER", NOBODY)];
    holds(&run(folder.path(), &settings, &["task", "stats"]).with(3).err, &[NOBODY]);
    std::fs::write(folder.path().join(".env"), format!("TASKFLOW_SERVER={NOBODY}\n")).unwrap();
    holds(&run(folder.path(), &[], &["task", "stats"]).with(3).err, &[NOBODY]);
    let err = run(folder.path(), &[], &["task", "--server", "localhost:1", "stats"]).with(2).err;
    holds(&err, &["must be a URL", "localhost:1"]);
    let config = run(folder.path(), &settings, &["config"]);
    config.with(0);
}

#[tokio::test]
async fn the_key_comes_from_a_flag_or_the_configuration() {
    let key = "open-sesame-open-sesame";
    let server = Server::start(&[("API_KEY", key), ("WORKER_ENABLED", "false")]).await;
    task(&server, &["stats"]).with(1);
    task(&server, &["stats", "--api-key", key]).with(0);
    let arguments = ["task", "--server", &server.url, "stats"];
    run(server.folder(), &[("API_KEY", key)], &arguments).with(0);
    let wrong = task(&server, &["stats", "--api-key", "another-sesame-key"]).with(1).err;
    assert!(!wrong.contains("sesame"), "{wrong}");
}

#[tokio::test]
async fn nothing_that_a_terminal_would_obey_is_printed() {
    let server = idle().await;
    let title = "a\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}b";
    // The server takes what JSON can hold; whoever made it so, it must be harmless here.
    let answer = server.post("/api/v1/tasks", json!({"title": title, "payload": title})).await;
    let id = answer.is(201)["id"].as_i64().unwrap().to_string();
    for line in [&["list"][..], &["get", &id], &["cancel", &id], &["retry", &id]] {
        let out = task(&server, line).with(0).out;
        let obeyed = out.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(obeyed, None, "{line:?}: {out:?}");
        holds(&out, &[r"a\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}b"]);
    }
}

#[tokio::test]
async fn a_payload_is_read_from_standard_input() {
    let server = idle().await;
    let line = ["task", "--server", &server.url, "create", "x", "--payload", "-"];
    let mut command = taskflow(server.folder(), &[], &line);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"n\": 1}\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(server.task(1).await["payload"], json!({"n": 1}));
}

#[test]
fn the_page_has_every_command_and_the_exit_codes_of_the_help() {
    let page = std::fs::read_to_string(project().join("docs/cli.md")).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let help = run(folder.path(), &[], &["task", "--help"]).with(0).out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        holds(&page, &[&format!("taskflow task {name}")]);
    }
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        holds(&page, &[&format!("| {code} | {meaning} |")]);
    }
}

#[test]
fn completion_scripts_know_the_commands() {
    let folder = tempfile::TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &[], &["completion", shell]).with(0).out;
        holds(
            &script,
            &["taskflow", "watch", "unique-key", "completion", "drain", "starvation-guard"],
        );
    }
    holds(&run(folder.path(), &[], &["completion", "tcsh"]).with(2).err, &["tcsh", "bash"]);
    let script = run(folder.path(), &[], &["completion", "bash"]).with(0).out;
    std::fs::write(folder.path().join("script"), script).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(folder.path().join("script")).status().unwrap();
    assert!(parsed.success(), "bash does not take its script");
}
