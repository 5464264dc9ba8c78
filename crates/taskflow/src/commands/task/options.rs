//! What `taskflow task …` takes on the command line. It judges no value that the server judges:
//! the server says it better, and for every client.

use std::time::Duration;

use clap::{ArgAction, Args, Subcommand, builder::PossibleValuesParser};

/// What the exit codes mean; ends every help text of the group.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused; the reason is on standard error
  2  the command line or the configuration is wrong
  3  the server cannot be reached, or the connection broke off
  4  create --wait, watch: the task ended failed or cancelled
  5  create --wait: the task had not ended in that time";

/// Above the options that all commands of the group share.
const COMMON: &str = "Common options";

/// Longest wait, in seconds.
const WAIT_MAX: f64 = 31_622_400.0;

/// `taskflow task`: which server, and what to do there.
#[derive(Debug, Args)]
pub struct TaskOptions {
    /// Where to ask, and how to answer.
    #[command(flatten)]
    pub site: SiteOptions,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What all commands of the group share.
#[derive(Debug, Args)]
pub struct SiteOptions {
    /// The server; TASKFLOW_SERVER or http://127.0.0.1:8000 when not given
    #[arg(long, value_name = "URL", global = true, help_heading = COMMON)]
    pub server: Option<String>,
    /// The server's API key, when it asks for one; API_KEY when not given
    #[arg(long, value_name = "KEY", global = true, help_heading = COMMON)]
    pub api_key: Option<String>,
    /// Print what the server answers, as one JSON document (watch: one a line)
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Create a task
    Create(Box<CreateOptions>),
    /// Show a task
    Get(One),
    /// List tasks, newest first
    List(ListOptions),
    /// Cancel tasks
    Cancel(Many),
    /// Run tasks that have ended once more
    Retry(Many),
    /// Show the finished attempts of a task
    Attempts(One),
    /// Say why a task is where it is
    Explain(One),
    /// Delete tasks and their history
    Delete(Many),
    /// Print a line for every change of a task until it ends
    Watch(One),
    /// Count tasks per status
    Stats,
}

/// One task.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The task's id
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) id: i64,
}

/// One task or more.
#[derive(Debug, Args)]
pub(super) struct Many {
    /// The tasks' ids
    #[arg(value_name = "ID", required = true, value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) ids: Vec<i64>,
}

/// A new task. Only the title is needed.
#[derive(Debug, Args)]
pub(super) struct CreateOptions {
    /// What it is about
    pub(super) title: String,
    /// What sort of work; picks the handler
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Option<String>,
    /// Where it waits
    #[arg(long, value_name = "QUEUE")]
    pub(super) queue: Option<String>,
    /// Its input: JSON, @FILE to read it from there, or - for standard input
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    pub(super) payload: Option<String>,
    /// Order within the queue
    #[arg(long, value_parser = priorities())]
    pub(super) priority: Option<String>,
    /// Not before so many seconds from now
    #[arg(long, value_name = "SECONDS", value_parser = number, allow_negative_numbers = true)]
    pub(super) delay: Option<f64>,
    /// Not before this time, such as 2026-01-31T09:30:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    pub(super) run_at: Option<String>,
    /// Attempts that may fail
    #[arg(long, value_name = "N")]
    pub(super) max_attempts: Option<u32>,
    /// A label; may be given more than once
    #[arg(long = "tag", value_name = "TAG", action = ArgAction::Append)]
    pub(super) tags: Vec<String>,
    /// At most one live task of the queue holds it
    #[arg(long, value_name = "KEY")]
    pub(super) unique_key: Option<String>,
    /// Names this request: repeated with the same key within a day it creates nothing more and answers the same
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// What happens when a live task holds the unique key
    #[arg(long, value_parser = ["return", "reject", "replace"])]
    pub(super) on_conflict: Option<String>,
    /// A task that must complete first; may be given more than once
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub(super) depends_on: Vec<i64>,
    /// Any other field of a new task, its value in JSON; may be given more than once
    #[arg(long = "field", value_name = "NAME=JSON", action = ArgAction::Append)]
    pub(super) fields: Vec<String>,
    /// Wait so long for its end, and print it as it is then
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    pub(super) wait: Option<Duration>,
}

/// Which tasks to list. What is not given is not sent.
#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// Only this status
    #[arg(long, value_parser = statuses())]
    pub(super) status: Option<String>,
    /// Only this priority
    #[arg(long, value_parser = priorities())]
    pub(super) priority: Option<String>,
    /// Only of this queue
    #[arg(long, value_name = "QUEUE")]
    pub(super) queue: Option<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Option<String>,
    /// Only with this tag
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,
    /// Only pending tasks that wait for this reason
    #[arg(long, value_parser = reasons())]
    pub(super) reason: Option<String>,
    /// Only created after this time, such as 2026-01-31T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) created_after: Option<String>,
    /// Only with these words and "quoted phrases" in the title or in the description
    #[arg(short = 'q', long, value_name = "TEXT")]
    pub(super) search: Option<String>,
    /// At most so many, 1 to 1000; 100 when not given
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u32>,
    /// Only older ones than this task: where the last list ended
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) after: Option<i64>,
}

impl ListOptions {
    /// The query, in the API's words.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("status", &self.status),
            ("priority", &self.priority),
            ("queue", &self.queue),
            ("kind", &self.kind),
            ("tag", &self.tag),
            ("pending_reason", &self.reason),
            ("created_after", &self.created_after),
            ("q", &self.search),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        texts.chain(limit).chain(self.after.map(|after| ("after", after.to_string()))).collect()
    }
}

fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new(taskflow_core::Status::ALL.map(taskflow_core::Status::as_str))
}

fn reasons() -> PossibleValuesParser {
    let reasons = taskflow_core::PendingReason::ALL;
    PossibleValuesParser::new(reasons.map(taskflow_core::PendingReason::as_str))
}

fn priorities() -> PossibleValuesParser {
    PossibleValuesParser::new(taskflow_core::Priority::ALL.map(taskflow_core::Priority::as_str))
}

/// A number that JSON can hold; the server knows its limits.
fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a number".to_owned())
}

/// Seconds, fractions allowed, within what a clock can add.
fn wait(text: &str) -> Result<Duration, String> {
    let seconds = number(text)?;
    let wait = (0.0..=WAIT_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    wait.ok_or_else(|| format!("must be 0 to {WAIT_MAX} seconds (a year)"))
}
