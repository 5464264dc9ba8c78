//! README.md does what it says: its commands are run in order in one shell, as a reader would, and
//! its workers in bash and Python work. What a command answers is judged where it matters only; that
//! curl got a 2xx is judged always.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::server::{PATIENCE, Process, Server, project, say, taskflow};

/// What marks a block that ends only when it is told to.
const RUNS_ON: &str = "# runs until Ctrl-C\n";

/// A fenced block of the README.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks() -> Vec<Block> {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let (mut blocks, mut open): (_, Option<Block>) = (Vec::new(), None);
    for (number, line) in readme.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let (language, text) = (language.to_owned(), String::new());
                open = Some(Block { language, line: number + 2, text });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of README.md is not closed");
    blocks
}

fn block(language: &str) -> String {
    let mut found = blocks().into_iter().filter(|block| block.language == language);
    found.next().unwrap_or_else(|| panic!("README.md has no block of {language}")).text
}

/// The text with this run's server, program and nothing that would build anew.
fn adapted(text: &str, server: &Server) -> String {
    text.replace("http://127.0.0.1:8000", &server.url)
        .replace("target/release/taskflow", env!("CARGO_BIN_EXE_taskflow"))
        // embedded.rs runs the example.
        .replace("cargo run --example embedded", ": cargo run --example embedded")
}

fn mark(block: &Block) -> String {
    format!("@@ README.md:{}", block.line)
}

#[tokio::test]
async fn the_commands_work_in_order_in_one_shell() {
    let server = Server::start(&[]).await;
    let mut script = String::new();
    for block in blocks() {
        if block.language == "sh" && !block.text.starts_with(RUNS_ON) {
            let mark = mark(&block);
            script += &format!("echo; echo '{mark}'\necho '{mark}' >&2\n");
            script += &adapted(&block.text, &server);
        }
    }
    assert!(!script.contains(":8000"), "a server that is not this run's:\n{script}");
    let folder = server.folder();
    // Without it curl calls a 404 a success.
    let rules = "fail-with-body\nshow-error\nmax-time = 60\nnoproxy = \"*\"\n";
    std::fs::write(folder.join(".curlrc"), rules).unwrap();
    std::fs::write(folder.join("readme.sh"), &script).unwrap();
    let shell = tokio::process::Command::new("bash")
        .args(["-euo", "pipefail", "readme.sh"])
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(4 * PATIENCE, shell).await.expect("README.md hangs").unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "a command of README.md failed ({}): the block at the last mark\n\n{err}\n{out}\n\
         (bash, curl and jq must be installed; scripts/test sees to it)",
        output.status
    );
    judge(&server, &out).await;
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a reader is told to see.
async fn judge(server: &Server, out: &str) {
    let printed = |of: &str| {
        let block = blocks().into_iter().find(|b| b.language == "sh" && b.text.contains(of));
        let mark = mark(&block.unwrap_or_else(|| panic!("no block with {of}")));
        let (_, after) = out.split_once(&mark).unwrap();
        after.split("@@ README.md").next().unwrap().to_owned()
    };
    let first = printed("curl -s http://127.0.0.1:8000/api/v1/tasks/1\n");
    assert!(first.contains(r#""status":"completed""#), "{first}");
    let nap = printed("/attempts");
    assert!(nap.contains(r#""outcome":"completed""#), "{nap}");
    let config = printed("taskflow config");
    assert!(config.contains("WORKER_CONCURRENCY"), "{config}");

    let tasks = server.get("/api/v1/tasks?limit=1000").await.is(200);
    let greeted = |title: &str| {
        let tasks = tasks.as_array().unwrap().iter().filter(|task| task["title"] == title);
        let ends = tasks.map(|task| match task["status"].as_str().unwrap() {
            "pending" => task["pending_reason"].clone(),
            _ => task["result"].clone(),
        });
        ends.collect::<Vec<Value>>()
    };
    assert_eq!(greeted("Greet Ada"), [json!({"said": "Hello Ada"})]);
    // Newest first: released and then done by sync, snoozed, failed.
    let bobs = greeted("Greet Bob");
    assert_eq!(bobs, [json!("Hello Bob"), json!("scheduled"), json!("retrying")]);
}

#[tokio::test]
async fn what_runs_until_it_is_told_to_stop_does() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let lasting = blocks().into_iter().filter(|block| block.text.starts_with(RUNS_ON));
    let commands: Vec<String> =
        lasting.map(|block| block.text[RUNS_ON.len()..].trim_end().to_owned()).collect();
    assert_eq!(commands.first().map(String::as_str), Some("cargo run --release"));
    let mut workers = 0;
    for command in &commands[1..] {
        let arguments = command.strip_prefix("target/release/taskflow ").unwrap();
        let arguments = adapted(arguments, &server);
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let command = taskflow(server.folder(), &[], &arguments);
        let mut worker = Process::start(command, server.folder().join("worker.log"));
        let id = server.create(json!({"title": "Who takes me?"})).await;
        server.until(id, "completed").await;
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
        workers += 1;
    }
    assert_eq!(workers, 2, "one on the database, one over HTTP");
}

/// A script with whatever it starts; killed as a whole when dropped.
struct Script(Child);

impl Script {
    fn start(mut command: Command, folder: &Path) -> Self {
        let log = std::fs::File::create(folder.join("script.log")).unwrap();
        command.current_dir(folder).env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The group is its own: its number is the child's id.
        if let Err(gone) = kill_process_group(Pid::from_child(&self.0), Signal::KILL) {
            say(format_args!("the script had ended by itself: {gone}"));
        }
        drop(self.0.wait());
    }
}

/// Runs a worker of the README until it has done `task`.
async fn work(server: &Server, command: Command, task: Value) -> Value {
    let script = Script::start(command, server.folder());
    let id = server.create(task).await;
    let done = async {
        loop {
            let task = server.task(id).await;
            if task["status"] == "completed" {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, done).await;
    drop(script);
    let log = std::fs::read_to_string(server.folder().join("script.log")).unwrap();
    done.unwrap_or_else(|_| panic!("the worker did not do its task; it said:\n{log}"))
}

#[tokio::test]
async fn the_worker_in_bash_is_short_and_works() {
    let worker = block("bash");
    assert!(worker.lines().count() <= 15, "the worker in bash has grown beyond 15 lines");
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let path = server.folder().join("worker.sh");
    std::fs::write(&path, worker).unwrap();
    let mut command = Command::new("bash");
    command.arg(&path).arg(&server.url);
    let text = r#"it's "quoted" & $HOME"#;
    let task = json!({"title": "Shout", "kind": "shout", "payload": {"text": text}});
    let done = work(&server, command, task).await;
    assert_eq!(done["result"], json!({"said": text.to_uppercase()}));
    assert_eq!(done["worker"], "bash");
}

#[tokio::test]
async fn the_worker_in_python_works() {
    let Some(python) = python_with_requests() else { return };
    let worker = block("python");
    assert!(worker.lines().count() <= 12, "the worker in Python has grown beyond 12 lines");
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let path = server.folder().join("worker.py");
    std::fs::write(&path, adapted(&worker, &server)).unwrap();
    let mut command = Command::new(python);
    command.arg(&path);
    let task = json!({"title": "Add", "kind": "add", "payload": [1, 2, 39]});
    assert_eq!(work(&server, command, task).await["result"], 42);
}

/// The name of a Python with `requests`. Without one a test has nothing to run: it says so, and in
/// CI it fails.
pub(crate) fn python_with_requests() -> Option<&'static str> {
    let mut command = Command::new("python3");
    command.args(["-c", "import requests"]).stdin(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some("python3");
    }
    let missing =
        "NOT TESTED: python3 with the module requests is missing; scripts/test installs it";
    assert!(option_env!("CI").is_none(), "{missing}");
    say(format_args!("\n{missing}\n"));
    None
}
