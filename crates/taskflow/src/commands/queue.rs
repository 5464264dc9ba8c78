//! `taskflow queue …`: the queues of a running server, over HTTP. It judges no value that the server
//! judges.

use std::process::ExitCode;

use clap::{ArgAction, Args, Command, Subcommand};
use serde_json::{Map, Value, json};

use super::complain;
use super::table::{Table, room};
use super::task::document::Document;
use super::task::fault::Fault;
use super::task::show;
use super::task::site::Site;
use super::task::{Output, SiteOptions};

/// What the exit codes mean; ends every help text of the group.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused; the reason is on standard error
  2  the command line or the configuration is wrong
  3  the server cannot be reached, or the connection broke off";

/// `taskflow queue`: which server, and what to do there.
#[derive(Debug, Args)]
pub struct QueueOptions {
    /// Where to ask, and how to answer.
    #[command(flatten)]
    pub site: SiteOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List queues with their settings and counts
    List,
    /// Show a queue's settings and counts
    Get(Named),
    /// Change a queue's settings; what is not given stays as it is
    Set(Box<SetOptions>),
    /// Hand out nothing of a queue until it is resumed
    Pause(PauseOptions),
    /// Hand out what waits in a paused queue
    Resume(Named),
    /// Delete the pending tasks of a queue, or those of another status
    Purge(PurgeOptions),
}

/// One queue.
#[derive(Debug, Args)]
struct Named {
    /// The queue's name
    #[arg(value_name = "NAME")]
    name: String,
}

/// New settings.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, id = "settings")]
struct Settings {
    /// Tasks of the queue that run at once on all nodes together; none is any number
    #[arg(long, value_name = "N|none", value_parser = limit)]
    concurrency_limit: Option<Value>,
    /// Tasks handed out in so many seconds; none is any number
    #[arg(long, value_name = "TASKS/SECONDS|none", value_parser = rate)]
    rate_limit: Option<Value>,
    /// Every so many claims the task that waits longest comes first, whatever its priority; 0 is
    /// strict priority, none the usual 16
    #[arg(long, value_name = "N|none", value_parser = limit)]
    starvation_guard: Option<Value>,
    /// Any other setting, its value in JSON; may be given more than once
    #[arg(long = "field", value_name = "NAME=JSON", action = ArgAction::Append, value_parser = field)]
    fields: Vec<(String, Value)>,
}

/// A queue and its new settings.
#[derive(Debug, Args)]
struct SetOptions {
    #[command(flatten)]
    queue: Named,
    #[command(flatten)]
    settings: Settings,
}

/// A queue that is to pause.
#[derive(Debug, Args)]
struct PauseOptions {
    #[command(flatten)]
    queue: Named,
    /// Why, for whoever asks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Which tasks go.
#[derive(Debug, Args)]
struct PurgeOptions {
    #[command(flatten)]
    queue: Named,
    /// Only those of this status [default: pending]
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
}

/// The group's arguments; the exit codes end every help text.
pub fn arguments(command: Command) -> Command {
    QueueOptions::augment_args(command)
        .about("See and change the queues of a running server")
        .after_help(EXIT_CODES)
        .mut_subcommands(|command| command.after_help(EXIT_CODES))
}

/// Does what `options` ask for and says why when it could not; the help has the exit codes.
pub async fn run(options: QueueOptions) -> ExitCode {
    match act(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) if fault.is_nobody_reads() => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            ExitCode::from(fault.exit_code())
        }
    }
}

async fn act(options: &QueueOptions) -> Result<(), Fault> {
    let output = Output { json: options.site.json };
    let site = Site::new(options.site.server.as_deref(), options.site.api_key.as_deref())?;
    match &options.verb {
        Verb::List => {
            let answer = site.get_all(&["queues"]).await?;
            output.show(&answer, |text| Ok(list(&Document::parse_all(text)?, room())))
        }
        Verb::Get(one) => output.show(&site.get(&["queues", &one.name], &[]).await?, whole),
        Verb::Set(set) => {
            let body = body(&set.settings).to_string();
            output.show(&site.put(&["queues", &set.queue.name], body).await?, whole)
        }
        Verb::Pause(pause) => {
            let reason = pause.reason.as_ref().map(|reason| json!({"reason": reason}));
            let body = reason.unwrap_or_else(|| json!({})).to_string();
            let name = &pause.queue.name;
            let answer = site.post(&["queues", name, "pause"], body).await?;
            output.show(&answer, |_| Ok(format!("queue {name} is paused\n")))
        }
        Verb::Resume(one) => {
            let name = &one.name;
            let answer = site.post(&["queues", name, "resume"], "{}".to_owned()).await?;
            output.show(&answer, |_| Ok(format!("queue {name} is resumed\n")))
        }
        Verb::Purge(purge) => purge_all(&site, purge, &output).await,
    }
}

/// Goes on while the server says that there is more; what was deleted on the way stays so.
async fn purge_all(site: &Site, purge: &PurgeOptions, output: &Output) -> Result<(), Fault> {
    let name = &purge.queue.name;
    let body = match &purge.status {
        Some(status) => json!({"status": status}),
        None => json!({}),
    };
    let (mut deleted, mut skipped): (u64, u64) = (0, 0);
    loop {
        let mut answer = site.post(&["queues", name, "purge"], body.to_string()).await?;
        let part = Document::parse(&answer.text)?;
        let count: u64 = part.text("deleted").parse().unwrap_or(0);
        deleted += count;
        skipped += part.text("skipped").parse::<u64>().unwrap_or(0);
        if count > 0 && part.text("more") == "true" {
            continue;
        }
        let more = part.text("more") == "true";
        answer.text = json!({"deleted": deleted, "skipped": skipped, "more": more}).to_string();
        let left = match skipped {
            0 => String::new(),
            _ => {
                format!(", {skipped} could not be: others wait for them, or they changed meanwhile")
            }
        };
        let line = format!("queue {name}: tasks deleted: {deleted}{left}\n");
        return output.show(&answer, |_| Ok(line));
    }
}

/// The settings that were given, in the API's words.
fn body(settings: &Settings) -> Value {
    let named = [
        ("concurrency_limit", &settings.concurrency_limit),
        ("rate_limit", &settings.rate_limit),
        ("starvation_guard", &settings.starvation_guard),
    ];
    let named =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    Value::Object(named.chain(settings.fields.iter().cloned()).collect::<Map<_, _>>())
}

/// A whole number or `none`.
fn limit(text: &str) -> Result<Value, String> {
    match (text, text.parse::<u64>()) {
        ("none", _) => Ok(Value::Null),
        (_, Ok(number)) => Ok(number.into()),
        _ => Err("must be a whole number or none".to_owned()),
    }
}

/// `100/60`, or `none`.
fn rate(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let wrong = || "must be TASKS/SECONDS such as 100/60, or none".to_owned();
    let (tasks, seconds) = text.split_once('/').ok_or_else(wrong)?;
    let tasks: u64 = tasks.parse().map_err(|_| wrong())?;
    let whole = seconds.parse::<u64>().map(Value::from);
    let number = |seconds: f64| Some(Value::from(seconds)).filter(|_| seconds.is_finite());
    let seconds = whole.ok().or_else(|| seconds.parse().ok().and_then(number));
    Ok(json!({"tasks": tasks, "per_seconds": seconds.ok_or_else(wrong)?}))
}

fn field(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text.split_once('=').ok_or("must be NAME=JSON")?;
    let value = serde_json::from_str(json).map_err(|error| format!("{name}: {error}"))?;
    Ok((name.to_owned(), value))
}

fn whole(text: &str) -> Result<String, Fault> {
    let read = serde_json::from_str(text).map_err(|error| Fault::Strange(error.to_string()))?;
    Ok(show::indented(&read))
}

/// A table of queues, in the order of the server.
fn list(queues: &[Document], room: usize) -> String {
    let headings = ["STATE", "PENDING", "RUNNING", "FAILED", "LIMIT", "RATE", "QUEUE"];
    let mut table = Table::new(&headings);
    for queue in queues {
        let counts = queue.raw("counts").and_then(|raw| Document::parse(raw).ok());
        let counted = |name| match (&counts, queue.raw(name)) {
            (Some(counts), None) => counts.text(name),
            _ => queue.text(name),
        };
        let rate = queue.raw("rate_limit").and_then(|raw| Document::parse(raw).ok());
        let rate = rate.map(|r| format!("{}/{}s", r.text("tasks"), r.text("per_seconds")));
        let limit = queue.raw("concurrency_limit").unwrap_or("-");
        let name = if queue.raw("queue").is_some() { "queue" } else { "name" };
        table.row([
            if queue.text("paused") == "true" { "paused" } else { "open" },
            &counted("pending"),
            &counted("in_progress"),
            &counted("failed"),
            limit,
            rate.as_deref().unwrap_or("-"),
            &queue.text(name),
        ]);
    }
    table.render(room)
}

#[cfg(test)]
mod tests;
