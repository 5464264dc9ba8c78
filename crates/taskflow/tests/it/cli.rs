//! The command line: what each command prints and with which code it ends. Every setting's own rules
//! are tested beside the configuration; databases that cannot be used in `files.rs`.

use std::net::TcpListener;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Process, Server, project, taskflow};

/// Runs a command to its end.
fn run(folder: &TempDir, settings: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let output = taskflow(folder.path(), settings, arguments).output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: status.code(), out: text(stdout), err: text(stderr) }
}

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
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

#[test]
fn help_lists_the_commands_and_the_version_is_the_programs() {
    let help = run(&folder(), &[], &["--help"]).with(0).out;
    let commands = [
        "serve",
        "worker",
        "task",
        "migrate",
        "move",
        "health",
        "seed",
        "config",
        "openapi",
        "completion",
        "bench",
    ];
    for command in commands {
        holds(&help, &[&format!("\n  {command} ")]);
    }
    let help = run(&folder(), &[], &["serve", "--help"]).with(0).out;
    holds(&help, &["--port", "--database-url", "--worker-concurrency"]);
    let version = run(&folder(), &[], &["--version"]).with(0).out;
    assert_eq!(version, format!("taskflow {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_command_or_option_is_named() {
    holds(&run(&folder(), &[], &["sreve"]).with(2).err, &["sreve", "serve"]);
    holds(&run(&folder(), &[], &["serve", "--prot", "1"]).with(2).err, &["--prot", "--port"]);
}

#[test]
fn config_masks_secrets_and_says_where_each_value_came_from() {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), "port=9001\nLOG_LEVEL=debug\n").unwrap();
    let settings = [
        ("API_KEY", "sesame-sesame-sesame"),
        ("DATABASE_URL", "postgresql://ada:swordfish@db.example/tasks"),
        ("WORKER_COMMANDS", r#"{"a": {"argv": ["b"], "env": {"TOKEN": "hunter2hunter2"}}}"#),
        ("LOG_LEVEL", "warning"),
    ];
    for arguments in [&["config"][..], &["config", "--json"]] {
        let shown = run(&folder, &settings, arguments).with(0);
        let all = shown.out + &shown.err;
        for secret in ["sesame", "swordfish", "hunter2"] {
            assert!(!all.contains(secret), "{secret} is shown:\n{all}");
        }
        holds(&all, &["API_KEY", "ada", "db.example"]);
    }
    let arguments = ["config", "--json", "--port", "9002"];
    let shown: Value =
        serde_json::from_str(&run(&folder, &settings, &arguments).with(0).out).unwrap();
    let from = |name: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        (setting["value"].as_str().unwrap(), setting["source"].as_str().unwrap())
    };
    assert_eq!(from("PORT"), ("9002", "command line"), "flags beat .env");
    assert_eq!(from("LOG_LEVEL"), ("warning", "environment"), "the environment beats .env");
    assert_eq!(from("WORKER_CONCURRENCY"), ("4", "default"));
    let arguments = ["config", "--json", "--log-level", "error"];
    let shown: Value =
        serde_json::from_str(&run(&folder, &settings, &arguments).with(0).out).unwrap();
    let level = shown["settings"].as_array().unwrap().iter().find(|s| s["name"] == "LOG_LEVEL");
    assert_eq!(level.unwrap()["value"], "error", "flags beat the environment");
}

#[test]
fn a_wrong_configuration_lists_every_fault_at_once_and_opens_nothing() {
    let folder = folder();
    let settings = [
        ("PORT", "-1"),
        ("WORKER_CONCURRENCY", "many"),
        ("DATABASE_URL", "mysql://ada:swordfish@db/x"),
        ("API_KEY", " sesame-sesame-sesame"),
        ("TASKFLOW_PROT", "8000"),
    ];
    for command in ["serve", "worker", "migrate", "seed", "config"] {
        let arguments = [command, "--log-level", "loud"];
        let err = run(&folder, &settings, &arguments).with(2).err;
        let named = ["PORT (environment)", "WORKER_CONCURRENCY", "DATABASE_URL", "API_KEY"];
        holds(&err, &named);
        holds(&err, &["TASKFLOW_PROT", "LOG_LEVEL (command line)", "6 faults"]);
        assert!(!err.contains("swordfish") && !err.contains("sesame"), "a secret is shown:\n{err}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was created");
}

#[test]
fn a_port_in_use_is_named_with_its_variables() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let err = run(&folder, &[("PORT", &port)], &["serve"]).with(1).err;
    holds(&err, &["HOST", "PORT", &format!("127.0.0.1:{port}"), "in use"]);
}

#[tokio::test]
async fn without_a_command_it_serves_and_reads_dotenv() {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), "Port=0\nDATABASE_URL=sqlite:///./mine.db\n")
        .unwrap();
    let command = taskflow(folder.path(), &[], &[]);
    let mut server = Process::start(command, folder.path().join("server.log"));
    let line = server.logged("listening").await;
    assert!(line["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(folder.path().join("mine.db").exists());
}

#[tokio::test]
async fn a_public_address_without_a_key_is_warned_about_loudly() {
    let mut server = Server::start(&[("HOST", "0.0.0.0"), ("PORT", "0")]).await;
    let log = server.process.log();
    assert!(log.contains("ANYONE WHO CAN REACH THIS MACHINE CAN USE THE API"), "{log}");
    server.process.kill();
}

#[tokio::test]
async fn seed_fills_in_samples_once() {
    let server = Server::start(&[("WORKER_ENABLED", "false")]).await;
    let seed = || taskflow(server.folder(), &[], &["seed"]).output().unwrap();
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    holds(&said(seed()), &["sample tasks were added"]);
    let tasks = async || server.get("/api/v1/tasks?limit=1000").await.is(200);
    let first = tasks().await;
    assert!(first.as_array().unwrap().len() >= 20, "{first:#}");
    holds(&said(seed()), &["nothing was added"]);
    assert_eq!(tasks().await, first);
    let of = |name: &str, value: &str| {
        first.as_array().unwrap().iter().filter(|task| task[name] == value).count()
    };
    for kind in ["log", "sleep", "manual"] {
        assert!(of("kind", kind) > 0, "no sample of kind {kind}");
    }
    for priority in ["low", "medium", "high", "urgent"] {
        assert!(of("priority", priority) > 0, "no sample of priority {priority}");
    }
    assert!(of("pending_reason", "scheduled") > 0, "no delayed sample");
}

#[test]
fn migrate_says_the_schema_and_may_be_repeated() {
    let folder = folder();
    for _ in 0..2 {
        let out = run(&folder, &[], &["migrate"]).with(0).out;
        assert_eq!(out, "the database is at schema 10\n");
    }
}

#[test]
fn openapi_prints_the_document_without_a_database() {
    let folder = folder();
    let out = run(&folder, &[("PORT", "not even a right setting")], &["openapi"]).with(0).out;
    let document: Value = serde_json::from_str(&out).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert!(document["paths"]["/api/v1/tasks/claim"]["post"].is_object());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was created");
}

#[test]
fn the_printed_documents_are_the_ones_in_the_project() {
    for (option, file) in [("--docs", "docs/configuration.md"), ("--env-example", ".env.example")] {
        let printed = run(&folder(), &[], &["config", option]).with(0).out;
        let kept = std::fs::read_to_string(project().join(file)).unwrap();
        assert!(printed == kept, "{file} is stale: `taskflow config {option}` prints another text");
    }
}

#[test]
fn a_worker_refuses_a_server_that_is_no_url() {
    let folder = folder();
    for server in ["127.0.0.1:8000", "ftp://127.0.0.1", "http://"] {
        let err = run(&folder, &[], &["worker", "--server", server]).with(2).err;
        holds(&err, &["--server"]);
    }
}

#[test]
fn a_postgres_that_is_not_there_is_told_in_words_and_without_the_password() {
    // Nobody listens on port 1.
    let url = "postgresql+psycopg2://ada:swordfish@127.0.0.1:1/tasks";
    for command in ["serve", "worker", "migrate", "seed"] {
        let folder = folder();
        let err = run(&folder, &[("DATABASE_URL", url), ("PORT", "0")], &[command]).with(1).err;
        holds(&err, &["DATABASE_URL", "PostgreSQL"]);
        assert!(!err.contains("swordfish"), "{err}");
    }
}

#[tokio::test]
async fn a_key_is_printed_nowhere() {
    let key = "open-sesame-open-sesame";
    let server = Server::start(&[("API_KEY", key), ("LOG_LEVEL", "trace")]).await;
    let id = server.create(json!({"title": "x"})).await;
    server.until(id, "completed").await;
    assert!(!server.process.log().contains(key), "{}", server.process.log());
}
