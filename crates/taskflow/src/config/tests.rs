//! Which source wins, how faults and warnings are told, and that no secret is shown. What the text
//! of one setting means is tested in the files below.

mod documents;
mod dotenv;
mod values;

use super::settings::SETTINGS;
use super::*;

/// The configuration of an environment that holds just this variable.
fn with(name: &str, value: &str) -> Config {
    Config::load(Sources::default().env(name, value))
        .unwrap_or_else(|faults| panic!("{name}={value}: {faults}"))
}

/// The faults of `sources` as "name: message".
fn faults(sources: Sources) -> Vec<String> {
    let Faults(faults) = Config::load(sources).expect_err("a fault was expected");
    faults.iter().map(|fault| format!("{}: {}", fault.name, fault.message)).collect()
}

/// The one fault of an environment that holds just this variable.
fn fault(name: &str, value: &str) -> String {
    let faults = faults(Sources::default().env(name, value));
    assert_eq!(faults.len(), 1, "{name}={value}: {faults:?}");
    faults.into_iter().next().unwrap()
}

fn source_of(config: &Config, name: &str) -> Source {
    config.effective().iter().find(|setting| setting.name == name).unwrap().source
}

#[test]
fn nothing_configured_is_the_contract_s_defaults_and_no_warning() {
    let config = Config::load(Sources::default()).unwrap();
    assert_eq!(config.api.title, "TaskFlow API");
    assert_eq!(config.api.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((config.http.host.as_str(), config.http.port), ("127.0.0.1", 8000));
    assert_eq!(config.http.cors_origins, CorsOrigins::Any);
    assert_eq!(config.database.place, Place::Sqlite("./taskflow.db".into()));
    assert_eq!(config.auth, AuthConfig { api_key: None, secret_key: None });
    assert!(config.worker.enabled);
    assert_eq!(config.worker.concurrency, 4);
    assert_eq!(config.worker.poll_interval.as_secs(), 5);
    assert_eq!(config.worker.shutdown_grace.as_secs(), 20);
    assert!(config.worker.queues.is_empty() && config.worker.name.is_none());
    assert!(config.worker.commands.is_empty() && config.worker.http_allow_private.is_empty());
    assert_eq!(config.log, LogConfig { level: tracing::Level::INFO, format: LogFormat::Auto });
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let port = |sources: Sources| {
        let config = Config::load(sources).unwrap();
        (config.http.port, source_of(&config, "PORT"))
    };
    let file = || Sources::default().dotenv("PORT=1\n");
    assert_eq!(port(Sources::default()), (8000, Source::Default));
    assert_eq!(port(file()), (1, Source::DotEnv));
    assert_eq!(port(file().env("PORT", "2")), (2, Source::Environment));
    assert_eq!(port(file().env("PORT", "2").flag("PORT", "3")), (3, Source::CommandLine));
}

#[test]
fn an_empty_key_in_the_environment_takes_the_file_s_key_away() {
    let sources = Sources::default().dotenv("API_KEY=0123456789abcdef\n").env("API_KEY", "");
    assert_eq!(Config::load(sources).unwrap().auth.api_key, None);
}

#[test]
fn names_are_read_in_any_letter_case_from_every_source() {
    for name in ["port", "Port", "PORT", "pOrT"] {
        assert_eq!(with(name, "77").http.port, 77);
        let file = Config::load(Sources::default().dotenv(&format!("{name}=78")));
        assert_eq!(file.unwrap().http.port, 78);
        assert_eq!(Config::load(Sources::default().flag(name, "79")).unwrap().http.port, 79);
    }
}

#[test]
fn of_two_spellings_in_the_environment_the_one_in_capitals_counts_in_either_order() {
    for order in [[("PORT", "1"), ("port", "2")], [("port", "2"), ("PORT", "1")]] {
        let sources = order.iter().fold(Sources::default(), |s, (n, v)| s.env(n, v));
        let config = Config::load(sources).unwrap();
        assert_eq!(config.http.port, 1);
        let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
        assert!(warning.ends_with("PORT counts"), "{warning}");
    }
}

#[test]
fn every_fault_is_listed_at_once_with_its_source_and_what_was_expected() {
    let sources = Sources::default()
        .dotenv("WORKER_CONCURRENCY=0\nnot an assignment\n")
        .env("PORT", "80800")
        .env("DATABASE_URL", "mysql://u:hunter2@h/d")
        .env("API_KEY", " hunter2")
        .env("TASKFLOW_PROT", "1")
        .flag("LOG_LEVEL", "loud");
    let faults = Config::load(sources).unwrap_err();
    let text = faults.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "the configuration has 7 faults:");
    assert_eq!(lines.len(), 8, "{text}");
    for (name, source, expected) in [
        ("line 2", ".env", "there is no = after the name"),
        ("TASKFLOW_PROT", "environment", "did you mean PORT?"),
        ("PORT", "environment", "expected a whole number from 0 to 65535"),
        ("DATABASE_URL", "environment", "expected sqlite:///./relative.db"),
        ("API_KEY", "environment", "expected visible ASCII"),
        ("WORKER_CONCURRENCY", ".env", "\"0\" is not a number in range"),
        ("LOG_LEVEL", "command line", "\"loud\" is no level; expected TRACE, DEBUG"),
    ] {
        let start = format!("  {name} ({source}): ");
        let line = lines.iter().find(|line| line.starts_with(&start));
        assert!(line.is_some_and(|line| line.contains(expected)), "{start}{expected}\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn no_secret_is_shown_by_a_fault_a_debug_or_the_list_in_force() {
    let commands = r#"{"a": {"argv": ["x"], "env": {"TOKEN": "hunter2"}}}"#;
    let good = Config::load(
        Sources::default()
            .env("API_KEY", "hunter2")
            .env("SECRET_KEY", "hunter2")
            .env("DATABASE_URL", "postgresql+psycopg2://u:hunter2@h/d?password=hunter2")
            .env("WORKER_COMMANDS", commands),
    )
    .unwrap();
    let key = good.auth.api_key.as_ref().unwrap();
    assert_eq!(key.expose(), "hunter2");
    assert_eq!(good.worker.commands[0].env["TOKEN"], "hunter2");
    for shown in [format!("{good:?}"), good.warnings().join(" "), format!("{key} {key:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let value = |name| &good.effective().iter().find(|s| s.name == name).unwrap().value;
    assert_eq!(value("API_KEY"), "********");
    assert_eq!(value("SECRET_KEY"), "********");
    let url = value("DATABASE_URL");
    assert_eq!(url, "postgresql+psycopg2://u:********@h/d?password=********");
    assert!(value("WORKER_COMMANDS").contains("********"));

    for (name, value) in [
        ("API_KEY", "hunter2\n"),
        ("API_KEY", "hunter2-ключ"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:port/d"),
        ("DATABASE_URL", "postgresql://u:hunter2#@h/d"),
        ("DATABASE_URL", "postgresql://u:hunter2@/d"),
        ("DATABASE_URL", "postgresql://u:12/hunter2@h/d"),
        ("DATABASE_URL", "postgresql://u:12?hunter2@h/d"),
        ("WORKER_COMMANDS", r#"{"a": {"argv": "hunter2"}}"#),
        ("WORKER_COMMANDS", r#"{"a": {"argv": ["x"], "env": "hunter2"}}"#),
        ("WORKER_COMMANDS", r#"{"a": {"argv": ["x"], "env": {"T": "hunter2"}"#),
        ("WORKER_COMMANDS", r#"{"a": "hunter2"}"#),
        ("CORS_ORIGINS", "https://u:hunter2@h"),
    ] {
        let fault = fault(name, value);
        assert!(fault.starts_with(name) && !fault.contains("hunter2"), "{fault}");
    }
    let file = faults(Sources::default().dotenv("API_KEY hunter2\nAPI_KEY='hunter2"));
    assert!(file.len() == 2 && !file.concat().contains("hunter2"), "{file:?}");
}

#[test]
fn a_url_in_force_shows_everything_but_its_passwords() {
    for (url, shown) in [
        ("postgres://u:hunter2@h/d", "postgres://u:********@h/d"),
        ("PostgreSQL://u:hunter%402@h:5433/d", "postgresql://u:********@h:5433/d"),
        ("postgresql://:hunter2@h/d", "postgresql://:********@h/d"),
        ("postgresql://u@h/d?sslmode=prefer", "postgresql://u@h/d?sslmode=prefer"),
        ("postgresql:///d?host=/run&PASSWORD=x", "postgresql:///d?host=%2Frun&PASSWORD=********"),
        ("sqlite:///./x.db", "sqlite:///./x.db"),
    ] {
        let config = with("DATABASE_URL", url);
        let row = config.effective().iter().find(|s| s.name == "DATABASE_URL").unwrap();
        assert_eq!(row.value, shown);
    }
}

#[test]
fn a_variable_with_our_prefix_is_a_fault_that_suggests_the_nearest_name() {
    for (name, meant) in [
        ("TASKFLOW_PORT", Some("PORT")),
        ("taskflow_port", Some("PORT")),
        ("TASKFLOW_DATABASE_URL", Some("DATABASE_URL")),
        ("TASKFLOW_DATABSE_URL", Some("DATABASE_URL")),
        ("TASKFLOW_WORKER_CONCURENCY", Some("WORKER_CONCURRENCY")),
        ("TASKFLOW_LOGLEVEL", Some("LOG_LEVEL")),
        ("TASKFLOW_SOMETHING_ELSE", None),
    ] {
        let expected = match meant {
            Some(meant) => format!("{name}: is not a setting; did you mean {meant}?"),
            None => format!("{name}: is not a setting; `taskflow config` lists them all"),
        };
        assert_eq!(fault(name, "1"), expected);
        assert_eq!(faults(Sources::default().dotenv(&format!("{name}=1"))), [expected]);
    }
}

#[test]
fn what_an_orchestrator_says_of_a_service_called_taskflow_is_left_alone() {
    for (name, value) in [
        ("TASKFLOW_SERVICE_HOST", "10.0.0.1"),
        ("TASKFLOW_SERVICE_PORT", "8000"),
        ("TASKFLOW_WEB_SERVICE_PORT_HTTP", "8000"),
        ("TASKFLOW_PORT", "tcp://10.0.0.1:8000"),
        ("TASKFLOW_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("TASKFLOW_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("TASKFLOW_PORT_8000_TCP_PORT", "8000"),
        ("TASKFLOW_PORT_8000_TCP_PROTO", "tcp"),
    ] {
        assert_eq!(with(name, value).http.port, 8000, "{name}");
    }
}

#[test]
fn a_near_miss_in_the_file_is_a_warning_and_other_names_are_not_looked_at() {
    for (name, meant) in [
        ("WORKER_CONCURENCY", Some("WORKER_CONCURRENCY")),
        ("databaes_url", Some("DATABASE_URL")),
        ("LOGLEVEL", Some("LOG_LEVEL")),
        ("PROT", Some("PORT")),
        ("PATH", None),
        ("SMTP_PORT", None),
        ("POSTGRES_PASSWORD", None),
    ] {
        let config = Config::load(Sources::default().dotenv(&format!("{name}=1"))).unwrap();
        let expected: Vec<String> = meant
            .map(|meant| format!("{name} in .env is not a setting: did you mean {meant}?"))
            .into_iter()
            .collect();
        assert_eq!(config.warnings(), expected);
        assert_eq!(with(name, "1").warnings(), [""; 0], "the environment is full of others' names");
    }
}

#[test]
fn a_public_address_without_a_key_warns_loudly() {
    for (host, public) in [
        ("0.0.0.0", true),
        ("::", true),
        ("192.168.1.5", true),
        ("tasks.example.com", true),
        ("127.0.0.1", false),
        ("127.8.8.8", false),
        ("[::1]", false),
        ("::ffff:127.0.0.1", false),
        ("LocalHost", false),
    ] {
        let open = with("HOST", host);
        let loud = |config: &Config| config.warnings().iter().any(|w| w.contains("ANYONE"));
        assert_eq!(loud(&open), public, "{host}");
        let key = "0123456789abcdef";
        let closed = Config::load(Sources::default().env("HOST", host).env("API_KEY", key));
        assert_eq!(closed.unwrap().warnings(), [""; 0], "{host}");
    }
}

#[test]
fn weak_and_placeholder_secrets_warn() {
    for (name, value, word) in [
        ("API_KEY", "short", Some("shorter than 16")),
        ("API_KEY", "your-api-key-goes-here", Some("placeholder")),
        ("API_KEY", "0123456789abcdef", None),
        ("SECRET_KEY", "your-secret-key-here-change-in-production", Some("placeholder")),
        ("SECRET_KEY", "0123456789abcdef", Some("shorter than 32")),
        ("SECRET_KEY", "0123456789abcdef0123456789abcdef", None),
    ] {
        let config = with(name, value);
        let told = config.warnings().iter().any(|w| w.starts_with(name));
        assert_eq!(told, word.is_some(), "{name}={value}: {:?}", config.warnings());
        assert!(word.is_none_or(|word| config.warnings()[0].contains(word)), "{name}={value}");
    }
}

#[test]
fn the_list_in_force_has_every_setting_once_in_order() {
    let config = with("WORKER_ENABLED", " off ");
    let names: Vec<&str> = config.effective().iter().map(|setting| setting.name).collect();
    assert_eq!(names, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
    let enabled = config.effective().iter().find(|s| s.name == "WORKER_ENABLED").unwrap();
    assert_eq!((enabled.value.as_str(), enabled.source), ("off", Source::Environment));
}

#[test]
fn the_clients_server_is_no_setting_and_the_environment_beats_the_file() {
    let file = || Sources::default().dotenv("TaskFlow_Server=http://a\nTASKFLOW_SERVER=http://b\n");
    assert_eq!(Sources::default().client_server(), None);
    assert_eq!(file().client_server().as_deref(), Some("http://b"));
    let both = file().env("TASKFLOW_SERVER", "http://c");
    assert_eq!(both.client_server().as_deref(), Some("http://c"));
    assert_eq!(file().env("taskflow_server", "").client_server(), None, "empty is not set");
    assert!(Config::load(both).is_ok(), "no fault for a server that reads the same environment");
}
