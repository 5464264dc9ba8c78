//! The one list of settings: name, default, what it is and what is expected. The reader, the faults,
//! `taskflow config`, docs/configuration.md and .env.example all come from it.
//! It does not parse: the file of each section does.

/// A group of settings, as the documentation shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// How the service calls itself.
    Api,
    /// Where it listens and who may ask from a browser.
    Http,
    /// Where tasks are kept.
    Database,
    /// How long ended tasks are kept.
    Retention,
    /// Who may ask.
    Auth,
    /// The built-in worker.
    Worker,
    /// What is logged, and how.
    Log,
}

impl Section {
    /// Every section, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Api,
        Self::Http,
        Self::Database,
        Self::Retention,
        Self::Auth,
        Self::Worker,
        Self::Log,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Api => "Service",
            Self::Http => "HTTP",
            Self::Database => "Database",
            Self::Retention => "Retention",
            Self::Auth => "Access",
            Self::Worker => "Worker",
            Self::Log => "Log",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The variable, in capitals; any letter case is read.
    pub name: &'static str,
    /// Where it belongs.
    pub section: Section,
    /// The text that is parsed when no source gives one; empty means not set.
    pub default: &'static str,
    /// How the documentation calls the default, where the text itself says too little.
    pub default_words: Option<&'static str>,
    /// What a value must look like; ends a fault's message.
    pub expected: &'static str,
    /// What it is for: one or more sentences.
    pub about: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
}

const fn setting(
    section: Section,
    name: &'static str,
    default: &'static str,
    expected: &'static str,
    about: &'static str,
) -> Setting {
    Setting { name, section, default, default_words: None, expected, about, secret: false }
}

impl Setting {
    const fn or(self, words: &'static str) -> Self {
        Self { default_words: Some(words), ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The setting called `name`, in any letter case.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|known| known.name.eq_ignore_ascii_case(name))
    }
}

/// Every setting, by section.
pub const SETTINGS: &[Setting] = &[
    setting(
        Section::Api,
        "API_TITLE",
        "TaskFlow API",
        "one line of text, not empty",
        "The title of the API's documentation.",
    ),
    setting(
        Section::Api,
        "API_VERSION",
        env!("CARGO_PKG_VERSION"),
        "one line of text",
        "The version that the API reports.",
    )
    .or("the program's version"),
    setting(
        Section::Http,
        "HOST",
        "127.0.0.1",
        "an IP address or a host name, without scheme and port",
        "The address to listen on. `0.0.0.0` or `::` is every address of the machine: set `API_KEY` too.",
    ),
    setting(
        Section::Http,
        "PORT",
        "8000",
        "a whole number from 0 to 65535",
        "The TCP port to listen on. `0` takes a free one and logs it.",
    ),
    setting(
        Section::Http,
        "CORS_ORIGINS",
        r#"["*"]"#,
        r#"a JSON list such as ["https://app.example.com"], or the same separated by commas"#,
        "Web origins whose pages may call the API. `*` is any; the API never allows credentials \
         (cookies) from other origins. Empty allows none.",
    ),
    setting(
        Section::Database,
        "DATABASE_URL",
        "sqlite:///./taskflow.db",
        "sqlite:///./relative.db, sqlite:////absolute.db or postgresql://user:password@host/name",
        "Where tasks are kept, in SQLAlchemy's forms. Three slashes make an SQLite path relative to \
         the working folder, four make it absolute. A `+driver` after the scheme is ignored.",
    ),
    setting(
        Section::Database,
        "DATABASE_POOL_MODE",
        "session",
        "session or transaction",
        "What a connection to PostgreSQL keeps. `transaction` is for a pooler like PgBouncer in \
         transaction mode: no prepared statements, no settings, and no wake-ups from other nodes, \
         whose tasks are then found every `WORKER_POLL_INTERVAL`.",
    ),
    setting(
        Section::Database,
        "DATABASE_POOL_SIZE",
        "10",
        "5 to 100",
        "Connections that this process opens to PostgreSQL at most, beside one that listens. Five \
         write, two serve background duties, the others read for clients.",
    ),
    setting(
        Section::Retention,
        "RETENTION_COMPLETED_SECONDS",
        "604800",
        "a whole number of seconds from 0 to 315360000 (ten years)",
        "For how long after its end a completed task is kept; then it is deleted with its history. \
         The default is 7 days. `0` keeps completed tasks for ever.",
    ),
    setting(
        Section::Retention,
        "RETENTION_FAILED_SECONDS",
        "2592000",
        "a whole number of seconds from 0 to 315360000 (ten years)",
        "The same for tasks that failed for good. The default is 30 days. `0` keeps them for ever.",
    ),
    setting(
        Section::Retention,
        "RETENTION_CANCELLED_SECONDS",
        "2592000",
        "a whole number of seconds from 0 to 315360000 (ten years)",
        "The same for cancelled tasks. The default is 30 days. `0` keeps them for ever.",
    ),
    setting(
        Section::Auth,
        "API_KEY",
        "",
        "visible ASCII characters without white space at the ends (the key travels in a header)",
        "The key that clients send in `X-API-Key` or as a bearer token.",
    )
    .or("no key is asked for")
    .secret(),
    setting(
        Section::Auth,
        "SECRET_KEY",
        "",
        "a text of 32 random characters or more",
        "Kept from the earlier service; nothing uses it at present.",
    )
    .or("none")
    .secret(),
    setting(
        Section::Worker,
        "WORKER_ENABLED",
        "true",
        "true or false",
        "Whether `taskflow serve` also runs tasks. Without it, tasks wait for other workers.",
    ),
    setting(
        Section::Worker,
        "WORKER_CONCURRENCY",
        "4",
        "a whole number from 1 to 1000",
        "How many tasks the worker runs at the same time.",
    ),
    setting(
        Section::Worker,
        "WORKER_POLL_INTERVAL",
        "5",
        "a number of seconds from 0.01 to 3600",
        "Seconds between two looks for work. Only the fall-back: a new task wakes the worker at once.",
    ),
    setting(
        Section::Worker,
        "WORKER_QUEUES",
        "",
        "names of queues separated by commas, 100 at most",
        "The queues that the worker takes tasks from.",
    )
    .or("every queue"),
    setting(
        Section::Worker,
        "WORKER_NAME",
        "",
        "1 to 200 characters from A-Z a-z 0-9 . _ : @ / - that start with a letter or digit",
        "The worker's name in tasks, attempts and logs. Two workers must not share one.",
    )
    .or("host name and process id"),
    setting(
        Section::Worker,
        "WORKER_COMMANDS",
        "{}",
        r#"a JSON object such as {"backup": {"argv": ["/usr/bin/backup", "--all"]}}"#,
        "The commands that tasks of kind `command` may name; see below.",
    ),
    setting(
        Section::Worker,
        "HTTP_ALLOW_PRIVATE",
        "",
        "IP addresses or networks such as 10.0.0.0/8, separated by commas",
        "Private addresses that tasks of kind `http` may call. All others that are not on the public \
         Internet are refused.",
    )
    .or("none"),
    setting(
        Section::Worker,
        "SHUTDOWN_GRACE_SECONDS",
        "20",
        "a number of seconds from 0 to 3600",
        "Seconds that running tasks get to finish when the program is told to stop. What is left is \
         given back and not counted as an attempt.",
    ),
    setting(
        Section::Log,
        "LOG_LEVEL",
        "INFO",
        "TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL",
        "The least severe messages that are logged. `CRITICAL` is read as `ERROR`.",
    ),
    setting(
        Section::Log,
        "LOG_FORMAT",
        "auto",
        "auto, text or json",
        "`text` for people, `json` (one object a line) for machines; `auto` is text on a terminal and \
         JSON elsewhere.",
    ),
];
