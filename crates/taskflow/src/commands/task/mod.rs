//! `taskflow task …`: tasks on a running server, over HTTP, for people and scripts. `site.rs` asks,
//! `show.rs` turns answers into text; nothing here touches a database.

mod body;
pub(in crate::commands) mod document;
pub(in crate::commands) mod fault;
mod options;
pub(in crate::commands) mod show;
pub(in crate::commands) mod site;
mod watch;

use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;

use clap::{Args, Command};

use super::table::{harmless_json, room};
use super::{complain, print};
use document::Document;
use fault::Fault;
use options::{CreateOptions, ListOptions, Verb};
pub use options::{SiteOptions, TaskOptions};
use site::{Answer, Site};

/// The group's arguments; the exit codes end every help text.
pub fn arguments(command: Command) -> Command {
    TaskOptions::augment_args(command)
        .about("Create, read and change tasks on a running server")
        .after_help(options::EXIT_CODES)
        .mut_subcommands(|command| command.after_help(options::EXIT_CODES))
}

/// Does what `options` ask for and says why when it could not; the help has the exit codes.
pub async fn run(options: TaskOptions) -> ExitCode {
    match act(&options).await {
        Ok(end) => ExitCode::from(end as u8),
        Err(fault) if fault.is_nobody_reads() => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            ExitCode::from(fault.exit_code())
        }
    }
}

/// How a command ended that was carried out; the numbers are exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done = 0,
    /// Some of the ids were refused, each with its reason.
    Refused = 1,
    /// The task that was waited for failed or was cancelled.
    Lost = 4,
    /// The task that was waited for had not ended in that time.
    Late = 5,
}

impl End {
    /// Of a task that was waited for.
    fn of(task: &Document) -> Self {
        match task.text("status").as_str() {
            "completed" => Self::Done,
            "failed" | "cancelled" => Self::Lost,
            _ => Self::Late,
        }
    }
}

async fn act(options: &TaskOptions) -> Result<End, Fault> {
    let output = Output { json: options.site.json };
    let site = Site::new(options.site.server.as_deref(), options.site.api_key.as_deref())?;
    match &options.verb {
        Verb::Create(options) => return create(&site, options, &output).await,
        Verb::Get(one) => {
            let answer = site.task(one.id).await?;
            output.show(&answer, |text| Ok(show::task(&Document::parse(text)?)))?;
        }
        Verb::List(options) => return list(&site, options, &output).await,
        Verb::Cancel(many) => return turn(&site, "cancel", &many.ids, &output).await,
        Verb::Retry(many) => return turn(&site, "retry", &many.ids, &output).await,
        Verb::Attempts(one) => {
            let answer = site.get(&["tasks", &one.id.to_string(), "attempts"], &[]).await?;
            let table = |text: &str| Ok(show::attempts(&Document::parse_all(text)?, room()));
            output.show(&answer, table)?;
        }
        Verb::Explain(one) => {
            let answer = site.get(&["tasks", &one.id.to_string(), "explain"], &[]).await?;
            let read = |text: &str| serde_json::from_str(text).map_err(|e| e.to_string());
            let text = |text: &str| Ok(show::indented(&read(text).map_err(Fault::Strange)?));
            output.show(&answer, text)?;
        }
        Verb::Delete(many) => return delete(&site, &many.ids, &output).await,
        Verb::Watch(one) => return watch::watch(&site, one.id, &output).await,
        Verb::Stats => {
            let answer = site.get(&["tasks", "stats", "summary"], &[]).await?;
            output.show(&answer, |text| Ok(show::stats(&Document::parse(text)?)))?;
        }
    }
    Ok(End::Done)
}

async fn create(site: &Site, options: &CreateOptions, output: &Output) -> Result<End, Fault> {
    let body = body::body(options, &mut stdin().lock())?;
    let mut answer = site.post_once(&["tasks"], body, options.idempotency_key.as_deref()).await?;
    let task = Document::parse(&answer.text)?;
    let mut end = End::Done;
    if answer.status.as_u16() == 200 {
        let id = task.text("id");
        complain(&format_args!("nothing was created: task {id} holds the unique key"));
    }
    if let Some(wait) = options.wait {
        let id = task.text("id");
        let number = id.parse().map_err(|_| Fault::Strange("a task without an id".into()))?;
        // Whoever waits in vain must still learn the id.
        let about = |fault: Fault| fault.about(&format!("while waiting for task {id}"));
        answer = watch::until_ended(site, number, wait).await.map_err(about)?;
        end = End::of(&Document::parse(&answer.text)?);
    }
    output.show(&answer, |text| Ok(show::task(&Document::parse(text)?)))?;
    Ok(end)
}

/// A page of tasks. A search may have pages with nothing in them before the first one with something.
async fn list(site: &Site, options: &ListOptions, output: &Output) -> Result<End, Fault> {
    let mut query = options.query();
    loop {
        let answer = site.get(&["tasks"], &query).await?;
        let tasks = Document::parse_all(&answer.text)?;
        let next = answer.next.as_deref();
        if let Some(next) = next.filter(|_| tasks.is_empty()) {
            query.retain(|(name, _)| *name != "after");
            query.push(("after", next.to_owned()));
            continue;
        }
        output.show(&answer, |_| Ok(show::list(&tasks, answer.at, room())))?;
        if let Some(next) = next {
            complain(&format_args!("there may be more: the same with --after {next}"));
        }
        return Ok(End::Done);
    }
}

/// Cancels or retries: what a person decides about each of `ids`.
async fn turn(site: &Site, word: &str, ids: &[i64], output: &Output) -> Result<End, Fault> {
    each(ids, output, async |id| {
        let answer = site.post(&["tasks", &id.to_string(), word], "{}".to_owned()).await?;
        let line = show::brief(&Document::parse(&answer.text)?);
        Ok((answer.text, line))
    })
    .await
}

async fn delete(site: &Site, ids: &[i64], output: &Output) -> Result<End, Fault> {
    each(ids, output, async |id| {
        site.delete(&["tasks", &id.to_string()]).await?;
        // The server says nothing here.
        Ok((id.to_string(), format!("task {id} was deleted\n")))
    })
    .await
}

/// Does something to each of `ids`, which answers with JSON and a line. One that is refused does not
/// hold up the others; no answer ends it. What was done is printed in any case, as one document.
async fn each(
    ids: &[i64],
    output: &Output,
    act: impl AsyncFn(i64) -> Result<(String, String), Fault>,
) -> Result<End, Fault> {
    let mut end = Ok(End::Done);
    let (mut documents, mut lines) = (Vec::new(), String::new());
    for id in ids {
        match act(*id).await {
            Ok((document, line)) => {
                documents.push(document);
                lines += &line;
            }
            Err(fault @ Fault::Refused(_)) => {
                complain(&fault.about(&format!("task {id}")));
                end = Ok(End::Refused);
            }
            Err(fault) => {
                end = Err(fault.about(&format!("task {id}")));
                break;
            }
        }
    }
    if output.json {
        output.document(&format!("[{}]", documents.join(",")))?;
    } else {
        print(lines.as_bytes())?;
    }
    end
}

/// Where answers go: standard output, for people or as JSON.
pub(in crate::commands) struct Output {
    pub(in crate::commands) json: bool,
}

impl Output {
    /// The answer's document as it is, or what `text` makes of it for people.
    pub(in crate::commands) fn show(
        &self,
        answer: &Answer,
        text: impl FnOnce(&str) -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        if self.json {
            return self.document(&answer.text);
        }
        Ok(print(text(&answer.text)?.as_bytes())?)
    }

    /// One line of several: the document, or `line` with the server's time.
    fn line(&self, answer: &Answer, line: &str) -> Result<(), Fault> {
        if self.json {
            // A line end in JSON stands between its parts, never inside a text.
            return self.document(&answer.text.replace(['\n', '\r'], " "));
        }
        let at = answer.at.map_or_else(String::new, |at| format!("{at}  "));
        Ok(print(format!("{at}{line}\n").as_bytes())?)
    }

    /// JSON as it is; on a terminal what the terminal would obey is escaped.
    fn document(&self, json: &str) -> Result<(), Fault> {
        let shown = if stdout().is_terminal() { harmless_json(json) } else { json.to_owned() };
        Ok(print(format!("{}\n", shown.trim_end()).as_bytes())?)
    }
}

#[cfg(test)]
mod tests;
