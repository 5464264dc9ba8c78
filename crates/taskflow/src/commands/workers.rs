//! `taskflow worker list`, `get`, `drain`, `resume` and `release`: the workers of a running server, over
//! HTTP. Running one is in `worker.rs`.

use std::process::ExitCode;

use clap::{Args, Command, Subcommand};

use super::complain;
use super::table::{Table, room};
use super::task::document::Document;
use super::task::fault::Fault;
use super::task::show;
use super::task::site::{Answer, Site};
use super::task::{Output, SiteOptions};

/// What the exit codes mean; ends every help text of the group.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused; the reason is on standard error
  2  the command line or the configuration is wrong
  3  the server cannot be reached, or the connection broke off";

/// What to do about the workers of a server.
#[derive(Debug, Subcommand)]
pub enum WorkersVerb {
    /// List workers, the latest calls first
    List(ListOptions),
    /// Show a worker and what it holds
    Get(Named),
    /// Let a worker finish what it holds and claim no more
    Drain(Named),
    /// Let a drained worker work again
    Resume(Named),
    /// Take from a worker all that it holds; others may run it at once
    Release(Named),
}

/// Which workers to list.
#[derive(Debug, Args)]
pub struct ListOptions {
    #[command(flatten)]
    site: SiteOptions,
    /// At most so many, 1 to 1000; all of them when not given
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// One worker.
#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    site: SiteOptions,
    /// The worker's name
    #[arg(value_name = "NAME")]
    name: String,
}

/// The commands of the group; the exit codes end every help text.
pub fn verbs() -> Vec<Command> {
    let group = WorkersVerb::augment_subcommands(Command::new("worker"));
    group.get_subcommands().map(|verb| verb.clone().after_help(EXIT_CODES)).collect()
}

impl WorkersVerb {
    /// Which server, and how to answer.
    pub fn site(&mut self) -> &mut SiteOptions {
        match self {
            Self::List(options) => &mut options.site,
            Self::Get(one) | Self::Drain(one) | Self::Resume(one) | Self::Release(one) => {
                &mut one.site
            }
        }
    }
}

/// Does what `verb` asks for and says why when it could not; the help has the exit codes.
pub async fn run(mut verb: WorkersVerb) -> ExitCode {
    let output = Output { json: verb.site().json };
    match act(&mut verb, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_nobody_reads() => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            ExitCode::from(fault.exit_code())
        }
    }
}

async fn act(verb: &mut WorkersVerb, output: &Output) -> Result<(), Fault> {
    let options = verb.site();
    let site = Site::new(options.server.as_deref(), options.api_key.as_deref())?;
    match verb {
        WorkersVerb::List(options) => {
            let answer = match options.limit {
                Some(limit) => site.get(&["workers"], &[("limit", limit.to_string())]).await?,
                None => site.get_all(&["workers"]).await?,
            };
            output.show(&answer, |text| Ok(list(&Document::parse_all(text)?, &answer, room())))
        }
        WorkersVerb::Get(one) => {
            let answer = site.get(&["workers", &one.name], &[]).await?;
            output.show(&answer, whole)
        }
        WorkersVerb::Drain(one) => tell(&site, &one.name, "drain", output).await,
        WorkersVerb::Resume(one) => tell(&site, &one.name, "resume", output).await,
        WorkersVerb::Release(one) => {
            let answer = site.post(&["workers", &one.name, "release"], "{}".to_owned()).await?;
            output.show(&answer, |text| {
                let released = Document::parse(text)?.text("released");
                Ok(format!("worker {}: {released} tasks were released\n", one.name))
            })
        }
    }
}

async fn tell(site: &Site, name: &str, word: &str, output: &Output) -> Result<(), Fault> {
    let answer = site.post(&["workers", name, word], "{}".to_owned()).await?;
    output.show(&answer, |text| {
        let worker = Document::parse(text)?;
        let holds = worker.text("holds");
        Ok(format!("worker {name}: {}, holds {holds} tasks\n", state(&worker)))
    })
}

fn state(worker: &Document) -> &'static str {
    if worker.text("draining") == "true" { "draining" } else { "working" }
}

fn whole(text: &str) -> Result<String, Fault> {
    let read = serde_json::from_str(text).map_err(|error| Fault::Strange(error.to_string()))?;
    Ok(show::indented(&read))
}

/// A table of workers, in the order of the server.
fn list(workers: &[Document], answer: &Answer, room: usize) -> String {
    let headings = ["WORKER", "STATE", "HOLDS", "SEEN", "SINCE", "VERSION", "QUEUES", "KINDS"];
    let mut table = Table::new(&headings);
    for worker in workers {
        let ago = |name| show::since(&worker.text(name), answer.at);
        let names = |name: &str, none: &str| {
            let names = worker.raw(name).and_then(|raw| serde_json::from_str(raw).ok());
            names.map_or_else(|| none.to_owned(), |names: Vec<String>| names.join(","))
        };
        let (seen, since) = (ago("last_seen_at"), ago("first_seen_at"));
        let (queues, kinds) = (names("queues", "every"), names("kinds", "every but built-in"));
        let text = |name| worker.text(name);
        table.row([
            &text("worker"),
            state(worker),
            &text("holds"),
            &seen,
            &since,
            &text("version"),
            &queues,
            &kinds,
        ]);
    }
    table.render(room)
}
