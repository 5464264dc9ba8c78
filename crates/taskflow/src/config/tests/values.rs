//! What the text of each setting means: every form that is read, and what is refused and why.

use super::{fault, with};
use crate::config::{CorsOrigins, LogFormat, Place, PoolMode};

#[test]
fn database_urls_mean_what_they_mean_to_sqlalchemy() {
    for (url, path) in [
        ("sqlite:///./rel.db", "./rel.db"),
        ("sqlite:///rel.db", "rel.db"),
        ("sqlite:////abs/x.db", "/abs/x.db"),
        ("sqlite+aiosqlite:///rel.db", "rel.db"),
        ("sqlite+pysqlite:////abs.db", "/abs.db"),
        ("SQLite:///a%20b.db", "a%20b.db"),
        (" sqlite:///x.db ", "x.db"),
    ] {
        let database = with("DATABASE_URL", url).database.place;
        assert_eq!(database, Place::Sqlite(path.into()), "{url}");
    }
    for (url, plain) in [
        ("postgresql://u:p@h:5433/d", "postgresql://u:p@h:5433/d"),
        ("postgres://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+asyncpg://[::1]/d", "postgresql://[::1]/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
    ] {
        match with("DATABASE_URL", url).database.place {
            Place::Postgres(url) => assert_eq!(url.expose(), plain),
            Place::Sqlite(path) => panic!("{url}: {}", path.display()),
        }
    }
}

#[test]
fn what_follows_the_question_mark_of_sqlite_is_ignored_and_told() {
    let config = with("DATABASE_URL", "sqlite:///x.db?check_same_thread=false");
    assert_eq!(config.database.place, Place::Sqlite("x.db".into()));
    assert!(config.warnings()[0].starts_with("DATABASE_URL"));
}

#[test]
fn other_database_urls_are_refused_with_a_hint() {
    for (url, why) in [
        ("", "is empty"),
        ("sqlite://", "in memory only"),
        ("sqlite:///", "in memory only"),
        ("sqlite:///:memory:", "in memory only"),
        (":memory:", "has no scheme"),
        ("sqlite:///x?mode=memory", "in memory only"),
        ("sqlite://rel.db", "two slashes"),
        ("sqlite:rel.db", "too few slashes"),
        ("sqlite:///file:x.db?uri=true", "file: form"),
        ("sqlite:///data/", "a folder"),
        ("taskflow.db", "has no scheme"),
        ("mysql+pymysql://u:p@h/d", "\"mysql+pymysql\", which is not supported"),
        ("postgresql:d", "no // after"),
        ("postgresql:///d", "names no host"),
        ("postgresql://u:p@h:99999/d", "invalid port number"),
    ] {
        let fault = fault("DATABASE_URL", url);
        assert!(fault.contains(why) && fault.contains("; expected sqlite:///"), "{url}: {fault}");
    }
}

#[test]
fn a_pool_has_a_mode_and_a_size() {
    let usual = with("PORT", "0").database;
    assert_eq!((usual.pool_mode, usual.pool_size), (PoolMode::Session, 10));
    for (text, mode) in [
        ("session", PoolMode::Session),
        ("transaction", PoolMode::Transaction),
        ("Transaction", PoolMode::Transaction),
    ] {
        assert_eq!(with("DATABASE_POOL_MODE", text).database.pool_mode, mode, "{text}");
    }
    for text in ["", "statement"] {
        let told = fault("DATABASE_POOL_MODE", text);
        assert!(told.ends_with("is no mode of a pool; expected session or transaction"), "{told}");
    }
    for (text, size) in [("5", 5), ("100", 100)] {
        assert_eq!(with("DATABASE_POOL_SIZE", text).database.pool_size, size);
    }
    for text in ["", "4", "101", "8.0", "-8", "many"] {
        let told = fault("DATABASE_POOL_SIZE", text);
        assert!(told.ends_with("is not a number in range; expected 5 to 100"), "{told}");
    }
}

#[test]
fn truth_has_the_words_of_pydantic() {
    for (text, enabled) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("yes", true),
        ("on", true),
        ("t", true),
        ("false", false),
        ("False", false),
        ("0", false),
        ("no", false),
        ("off", false),
        ("n", false),
    ] {
        assert_eq!(with("WORKER_ENABLED", text).worker.enabled, enabled, "{text}");
    }
    for text in ["", "maybe", "2"] {
        assert!(fault("WORKER_ENABLED", text).ends_with("; expected true or false"));
    }
}

#[test]
fn numbers_outside_their_range_are_refused() {
    assert_eq!(with("PORT", "0").http.port, 0);
    assert_eq!(with("WORKER_CONCURRENCY", "1000").worker.concurrency, 1000);
    assert_eq!(with("WORKER_POLL_INTERVAL", "0.25").worker.poll_interval.as_millis(), 250);
    assert_eq!(with("SHUTDOWN_GRACE_SECONDS", "0").worker.shutdown_grace.as_secs(), 0);
    for (name, texts) in [
        ("PORT", ["-1", "65536", "http"]),
        ("WORKER_CONCURRENCY", ["0", "1001", "4.5"]),
        ("WORKER_POLL_INTERVAL", ["0", "NaN", "inf"]),
        ("SHUTDOWN_GRACE_SECONDS", ["-0.1", "1e9", ""]),
    ] {
        for text in texts {
            let fault = fault(name, text);
            assert!(fault.starts_with(&format!("{name}: {text:?}")), "{fault}");
        }
    }
}

#[test]
fn hosts_are_addresses_or_names_without_scheme_and_port() {
    for (text, host) in
        [("::1", "::1"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0"), ("node-1.lan", "node-1.lan")]
    {
        assert_eq!(with("HOST", text).http.host, host);
    }
    for text in ["", "http://x", "x:80", "256.1.1.1", "127.1", "a b", "x86_64-linux", "-a", "[x]"] {
        assert!(fault("HOST", text).contains("is no host"), "{text}");
    }
}

#[test]
fn origins_are_json_or_separated_by_commas_and_written_as_browsers_do() {
    for text in ["*", r#"["*"]"#, r#"["*", "https://a.example"]"#] {
        assert_eq!(with("CORS_ORIGINS", text).http.cors_origins, CorsOrigins::Any, "{text}");
    }
    for (text, origins) in [
        (r#"["https://a.example","http://b:3000"]"#, vec!["https://a.example", "http://b:3000"]),
        ("https://a.example, http://b:3000,", vec!["https://a.example", "http://b:3000"]),
        ("https://A.example:443/", vec!["https://a.example"]),
        ("http://a,http://a/", vec!["http://a"]),
        ("tauri://localhost", vec!["tauri://localhost"]),
        ("", vec![]),
        ("[]", vec![]),
    ] {
        let origins = origins.into_iter().map(str::to_owned).collect();
        let read = with("CORS_ORIGINS", text).http.cors_origins;
        assert_eq!(read, CorsOrigins::Only(origins), "{text}");
    }
    let both = fault("CORS_ORIGINS", "a.example,https://b/path,https://c");
    assert!(both.contains("\"a.example\" is no") && both.contains("\"https://b/path\" has more"));
    for text in ["[1]", "[\"a\"", "{}", "https://?x"] {
        fault("CORS_ORIGINS", text);
    }
}

#[test]
fn log_levels_have_python_s_and_rust_s_names_in_any_letter_case() {
    use tracing::Level;
    for (text, level) in [
        ("trace", Level::TRACE),
        ("DEBUG", Level::DEBUG),
        ("Info", Level::INFO),
        ("WARNING", Level::WARN),
        ("warn", Level::WARN),
        ("error", Level::ERROR),
        ("CRITICAL", Level::ERROR),
    ] {
        assert_eq!(with("LOG_LEVEL", text).log.level, level, "{text}");
    }
    assert_eq!(with("LOG_FORMAT", "JSON").log.format, LogFormat::Json);
    assert_eq!(with("LOG_FORMAT", "text").log.format, LogFormat::Text);
    assert!(
        fault("LOG_FORMAT", "xml").ends_with("\"xml\" is no format; expected auto, text or json")
    );
    assert!(fault("LOG_LEVEL", "").contains("expected TRACE"));
}

#[test]
fn queues_names_and_networks_are_checked_one_by_one() {
    let queues = with("WORKER_QUEUES", "mail, default ,mail").worker.queues;
    assert_eq!(
        queues.iter().map(taskflow_core::QueueName::as_str).collect::<Vec<_>>(),
        ["mail", "default"]
    );
    let told = fault("WORKER_QUEUES", "a b,ok,-x");
    assert!(told.contains("\"a b\" is no queue") && told.contains("\"-x\" is no queue"), "{told}");
    let many: Vec<String> = (0..101).map(|n| format!("q{n}")).collect();
    assert!(fault("WORKER_QUEUES", &many.join(",")).contains("101 queues are too many"));

    assert_eq!(with("WORKER_NAME", "host:12").worker.name.unwrap().as_str(), "host:12");
    assert_eq!(with("WORKER_NAME", "").worker.name, None);
    assert!(fault("WORKER_NAME", "two words").contains("is no name of a worker"));

    let allowed = with("HTTP_ALLOW_PRIVATE", "10.1.2.3/8, 192.168.1.5,fd00::/8").worker;
    let allowed: Vec<String> = allowed.http_allow_private.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["10.0.0.0/8", "192.168.1.5/32", "fd00::/8"]);
    let told = fault("HTTP_ALLOW_PRIVATE", "localhost,10.0.0.0/33");
    assert!(told.contains("\"localhost\"") && told.contains("\"10.0.0.0/33\""), "{told}");
}

#[test]
fn commands_are_read_with_their_defaults() {
    let text = r#"{"b.2": {"argv": ["/bin/b", "-x"], "env": {"K": "v"}, "cwd": "/tmp",
                   "retry_exit_codes": [1, 255]}, "a": {"argv": ["a"]}}"#;
    let commands = with("WORKER_COMMANDS", text).worker.commands;
    let [a, b] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!((a.name.as_str(), &a.argv[..], &a.cwd), ("a", &["a".to_owned()][..], &None));
    assert_eq!((a.env.len(), &a.retry_exit_codes[..]), (0, &[75][..]));
    assert_eq!((b.name.as_str(), b.env["K"].as_str()), ("b.2", "v"));
    assert_eq!(b.cwd.as_deref(), Some("/tmp".as_ref()));
    assert_eq!(b.retry_exit_codes, [1, 255]);
    assert!(with("WORKER_COMMANDS", "").worker.commands.is_empty());
}

#[test]
fn every_fault_of_every_command_is_named() {
    let text = r#"{"a": {}, "b": {"argv": []}, "c": {"argv": [""]}, "d": {"argv": ["x"], "args": 1},
                   "e": {"argv": ["x"], "env": {"A=B": "c"}}, "f": {"argv": ["x"], "cwd": ""},
                   "g": {"argv": ["x"], "retry_exit_codes": [0]}, "h": 1, "i j": {"argv": ["x"]},
                   "k": {"argv": ["a\u0000b"]}, "l": {"argv": ["x"], "retry_exit_codes": [256]}}"#;
    let fault = fault("WORKER_COMMANDS", text);
    for part in [
        "a has no argv",
        "b.argv must be",
        "c.argv must be",
        "d has a field \"args\"",
        "e.env must be",
        "f.cwd must be",
        "g.retry_exit_codes must be",
        "h is not an object",
        "the name \"i j\" must be",
        "k.argv must be",
        "l.retry_exit_codes must be",
    ] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
    for text in ["[]", "1", "{", "{\"a\": {\"argv\": [\"x\"]}} x"] {
        super::fault("WORKER_COMMANDS", text);
    }
}

#[test]
fn a_retention_of_zero_keeps_ended_tasks_for_ever() {
    let periods = |name, text| {
        let periods = with(name, text).retention.everywhere;
        [periods.completed, periods.failed, periods.cancelled]
    };
    let (week, month) = (Some(604_800), Some(2_592_000));
    assert_eq!(periods("RETENTION_COMPLETED_SECONDS", "604800"), [week, month, month]);
    assert_eq!(periods("RETENTION_COMPLETED_SECONDS", "0"), [None, month, month]);
    assert_eq!(periods("RETENTION_FAILED_SECONDS", "1"), [week, Some(1), month]);
    assert_eq!(
        periods("RETENTION_CANCELLED_SECONDS", "315360000"),
        [week, month, Some(315_360_000)]
    );
    for text in ["", "-1", "1.5", "315360001", "7d", "never"] {
        let told = fault("RETENTION_FAILED_SECONDS", text);
        assert!(told.contains("is not a number in range; expected a whole number"), "{told}");
    }
}
