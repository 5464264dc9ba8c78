//! The command line: one program, several commands; every setting is a flag too.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::commands;
use crate::commands::bench::BenchOptions;
use crate::commands::queue::QueueOptions;
use crate::commands::task::{SiteOptions, TaskOptions};
use crate::commands::workers::WorkersVerb;
use crate::config::settings::{SETTINGS, Section, Setting};
use crate::config::{Config, Sources};
use crate::logging;

/// How long threads that are still busy are waited for at the end.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// Parses the arguments and runs the command. The exit code is 0 when it did what was asked, 1 when it
/// could not, 2 when the arguments or the configuration are wrong; `taskflow task` has more.
pub fn run() -> ExitCode {
    let matches = command().get_matches();
    let (name, of_command) = matches.subcommand().unwrap_or(("serve", &matches));
    let done = match name {
        "bench" => bench(of_command),
        "task" => return task(of_command).unwrap_or_else(|error| report(Err(error))),
        "queue" => return queue(of_command).unwrap_or_else(|error| report(Err(error))),
        "worker" if of_command.subcommand().is_some() => {
            return workers(of_command).unwrap_or_else(|error| report(Err(error)));
        }
        "completion" => commands::completion::run(of_command, command()),
        "openapi" => commands::openapi::run(),
        "move" => {
            let url = |name| of_command.get_one::<String>(name).map_or("", String::as_str);
            block_on(commands::moving::run(url("from"), url("to")))
        }
        "config" if of_command.get_flag("docs") => commands::config::run_docs(),
        "config" if of_command.get_flag("env-example") => commands::config::run_env_example(),
        _ => return with_config(name, of_command),
    };
    report(done)
}

/// The key comes from the configuration as everywhere, unless a flag names another.
fn bench(matches: &ArgMatches) -> anyhow::Result<()> {
    let mut options = BenchOptions::from_arg_matches(matches)?;
    if options.api_key.is_none() {
        let config = Config::load(Sources::of_process(Vec::new()))?;
        options.api_key = config.auth.api_key.map(|key| key.expose().to_owned());
    }
    block_on(commands::bench::run(options))
}

/// As for `bench`; which server, too, is said by a flag, the environment or `.env`.
fn task(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut options = TaskOptions::from_arg_matches(matches)?;
    match fill_in(&mut options.site) {
        Err(code) => Ok(code),
        Ok(()) => block_on(async { Ok(commands::task::run(options).await) }),
    }
}

fn queue(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut options = QueueOptions::from_arg_matches(matches)?;
    match fill_in(&mut options.site) {
        Err(code) => Ok(code),
        Ok(()) => block_on(async { Ok(commands::queue::run(options).await) }),
    }
}

fn workers(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut verb = WorkersVerb::from_arg_matches(matches)?;
    match fill_in(verb.site()) {
        Err(code) => Ok(code),
        Ok(()) => block_on(async { Ok(commands::workers::run(verb).await) }),
    }
}

/// What no flag says of the server comes from the environment, `.env` and the configuration; the exit code
/// when that is wrong.
fn fill_in(site: &mut SiteOptions) -> Result<(), ExitCode> {
    let sources = Sources::of_process(Vec::new());
    if site.server.is_none() {
        site.server = sources.client_server();
    }
    if site.api_key.is_none() {
        match Config::load(sources) {
            Ok(config) => site.api_key = config.auth.api_key.map(|key| key.expose().to_owned()),
            Err(faults) => {
                commands::complain(&faults);
                return Err(ExitCode::from(2));
            }
        }
    }
    Ok(())
}

fn with_config(name: &str, matches: &ArgMatches) -> ExitCode {
    let config = match Config::load(Sources::of_process(flags(matches))) {
        Ok(config) => config,
        Err(faults) => {
            commands::complain(&faults);
            return ExitCode::from(2);
        }
    };
    if name == "config" {
        return report(commands::config::run(&config, matches.get_flag("json")));
    }
    if let Some(fault) = unusable(matches, name) {
        commands::complain(&fault);
        return ExitCode::from(2);
    }
    logging::init(config.log.level, config.log.format);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    report(match name {
        "worker" => {
            let server = matches.get_one::<String>("server").cloned();
            block_on(commands::worker::run(config, server))
        }
        "health" => {
            let server = matches.get_one::<String>("server").cloned();
            block_on(commands::health::run(config, server))
        }
        "migrate" => block_on(commands::migrate::run(config)),
        "seed" => block_on(commands::seed::run(config)),
        _ => block_on(commands::serve::run(config)),
    })
}

/// What the parser takes and this command cannot use: told like every other wrong configuration.
fn unusable(matches: &ArgMatches, name: &str) -> Option<&'static str> {
    let server = (name == "worker").then(|| matches.get_one::<String>("server")).flatten();
    match server {
        Some(url) if !matches!(url::Url::parse(url), Ok(url) if url.scheme().starts_with("http")) => {
            Some("--server must be a URL such as http://127.0.0.1:8000")
        }
        _ => None,
    }
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(command);
    // What still runs on a thread of its own, a name look-up say, must not hold the end up.
    runtime.shutdown_timeout(LAST_THREADS);
    done
}

fn report(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain without a backtrace: it is for whoever runs the program.
            commands::complain(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let of = |sections: &'static [Section]| {
        SETTINGS.iter().filter(|s| !s.secret && sections.contains(&s.section)).map(flag)
    };
    let settings = || of(&Section::ALL);
    let storage = || of(&[Section::Database, Section::Log]);
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let url = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("URL").required(true).help(help)
    };
    Command::new("taskflow")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A task queue that anything able to speak HTTP can use")
        .args(settings())
        .subcommand(
            Command::new("serve").about("Serve the API (the default command)").args(settings()),
        )
        .subcommand(
            Command::new("worker")
                .about("Run a worker without the API, on the database or over HTTP; or see to those of a server")
                .arg(
                    Arg::new("server")
                        .long("server")
                        .value_name("URL")
                        .help("Take work from this server over HTTP instead of from DATABASE_URL"),
                )
                .args(settings())
                .args_conflicts_with_subcommands(true)
                .subcommands(commands::workers::verbs()),
        )
        .subcommand(commands::task::arguments(Command::new("task")))
        .subcommand(commands::queue::arguments(Command::new("queue")))
        .subcommand(Command::new("migrate").about("Bring the database up to date").args(storage()))
        .subcommand(
            Command::new("move")
                .about("Move everything from an SQLite file into an empty PostgreSQL database")
                .arg(url("from", "sqlite:///./taskflow.db; stop every process that uses it"))
                .arg(url("to", "postgresql://user:password@host/database")),
        )
        .subcommand(
            Command::new("health")
                .about("Ask a running server whether it is ready")
                .arg(
                    Arg::new("server")
                        .long("server")
                        .value_name("URL")
                        .help("The server [default: http://127.0.0.1:PORT]"),
                )
                .args(of(&[Section::Http])),
        )
        .subcommand(Command::new("seed").about("Fill in sample tasks, once").args(storage()))
        .subcommand(
            Command::new("config")
                .about("Print the effective configuration, secrets masked")
                .arg(switch("json", "As JSON"))
                .arg(switch("docs", "Print docs/configuration.md instead"))
                .arg(switch("env-example", "Print .env.example instead"))
                .args(settings()),
        )
        .subcommand(Command::new("openapi").about("Print the OpenAPI document"))
        .subcommand(commands::completion::arguments(
            Command::new("completion").about("Print a script that completes commands in a shell"),
        ))
        .subcommand(
            BenchOptions::augment_args(Command::new("bench")).about("Measure a running server"),
        )
}

/// `WORKER_CONCURRENCY` is `--worker-concurrency`. Secrets have no flag: every user of the machine
/// sees the command lines of the others.
fn flag(setting: &'static Setting) -> Arg {
    let about = setting.about.split_inclusive(". ").next().unwrap_or(setting.about).trim();
    let default = setting.default_words.unwrap_or(setting.default);
    Arg::new(setting.name)
        .long(setting.name.to_ascii_lowercase().replace('_', "-"))
        .value_name("VALUE")
        .help(format!("{about} [{}; default: {default}]", setting.name))
}

fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    SETTINGS
        .iter()
        .filter_map(|setting| {
            let value = matches.try_get_one::<String>(setting.name).ok().flatten()?;
            Some((setting.name.to_owned(), value.clone()))
        })
        .collect()
}
