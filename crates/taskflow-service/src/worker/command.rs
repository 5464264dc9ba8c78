//! The handler of kind `command`: runs a program that the operator named in the configuration.
//! A payload picks a name and gives an input; it never brings a program, an argument or a variable,
//! and no shell reads anything of it. Starting and killing the program is in `command/run.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::value::RawValue;
use taskflow_core::Json;
use taskflow_core::limits::PAYLOAD_BYTES_MAX;

use self::run::{Ended, Run};
use crate::worker::handler::{Answer, Context, Handler, Job};

mod run;
#[cfg(test)]
mod tests;

/// Variables of the server's environment that a command may see. Everything else, keys and database
/// URLs above all, stays out.
pub const INHERITED: [&str; 9] =
    ["PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER"];
/// The program cannot be run now, try later: `EX_TEMPFAIL` of sysexits.h.
pub const RETRY_EXIT_CODE: i32 = 75;
/// Where programs are looked for when the server's environment says nothing.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// One command, as the operator configured it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables for it, above the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Working folder; none is the server's.
    pub cwd: Option<PathBuf>,
    /// Exit codes that ask for another attempt.
    pub retry_exit_codes: Vec<i32>,
}

impl Default for CommandSpec {
    fn default() -> Self {
        Self {
            argv: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            retry_exit_codes: vec![RETRY_EXIT_CODE],
        }
    }
}

/// Variables often are secrets, so only their names are shown.
impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("argv", &self.argv)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("retry_exit_codes", &self.retry_exit_codes)
            .finish()
    }
}

/// Runs tasks of kind `command`.
#[derive(Debug)]
pub struct CommandHandler {
    commands: BTreeMap<String, CommandSpec>,
    inherited: BTreeMap<OsString, OsString>,
}

impl CommandHandler {
    /// A handler for these commands, by name. They see a plain `PATH` until
    /// [`CommandHandler::inheriting`] says otherwise.
    pub fn new(commands: BTreeMap<String, CommandSpec>) -> Self {
        let path = (OsString::from("PATH"), OsString::from(PATH_DEFAULT));
        Self { commands, inherited: BTreeMap::from([path]) }
    }

    /// Passes on the [`INHERITED`] ones of these variables (usually the server's own environment).
    #[must_use]
    pub fn inheriting(mut self, environment: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let kept = environment.filter(|(name, _)| INHERITED.iter().any(|kept| name == kept));
        self.inherited.extend(kept);
        self
    }

    /// What the payload asks for: the command's name, its rules, and the whole payload as JSON text,
    /// which the program reads.
    fn call<'a>(&'a self, job: &'a Job) -> Result<(String, &'a CommandSpec, &'a str), String> {
        const RULE: &str = "payload must be an object with the field command";
        let text = job.payload.as_ref().map_or("{}", Json::as_str);
        let text = if text == "null" { "{}" } else { text };
        let mut fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|_| RULE)?;
        let name = fields.remove("command").ok_or("payload.command is missing")?;
        let name: String = serde_json::from_str(name.get())
            .map_err(|_| "payload.command must be a string, the name of a configured command")?;
        match self.commands.get(&name) {
            Some(spec) => Ok((name, spec, text)),
            None => Err(format!("payload.command `{name}` is not configured; {}", self.known())),
        }
    }

    fn known(&self) -> String {
        if self.commands.is_empty() {
            return "no command is".to_owned();
        }
        let names: Vec<&str> = self.commands.keys().map(String::as_str).collect();
        format!("configured are {}", names.join(", "))
    }
}

#[async_trait]
impl Handler for CommandHandler {
    async fn run(&self, cx: Context) -> Answer {
        let job = cx.job();
        let (name, spec, input) = match self.call(job) {
            Ok(call) => call,
            Err(fault) => return Answer::give_up(fault),
        };
        let mut run = match Run::start(spec, &self.inherited, job) {
            Ok(run) => run,
            Err(why) => return cannot_start(&name, &why),
        };
        tokio::select! {
            biased;
            () = cx.cancelled() => {
                run.stop().await;
                Answer::Released
            }
            ended = run.finish(input) => answer(&name, spec, ended),
        }
    }
}

/// A program that is not there will not be there in a second; a lack of memory or processes passes.
fn cannot_start(name: &str, why: &std::io::Error) -> Answer {
    use std::io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};
    let error = format!("command `{name}` cannot be started: {why}");
    match why.kind() {
        NotFound | PermissionDenied | InvalidInput | NotADirectory => Answer::give_up(error),
        _ => Answer::retry(error),
    }
}

fn answer(name: &str, spec: &CommandSpec, ended: std::io::Result<Ended>) -> Answer {
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return Answer::retry(format!("command `{name}` cannot be followed: {why}")),
    };
    let (status, stderr) = match ended {
        Ended::TooMuchOutput => return too_long(name),
        Ended::Exited { status, stdout, .. } if status.success() => {
            let result = result(&stdout);
            // Escapes can make the JSON text longer than the output was.
            let fits = result.as_ref().is_none_or(|json| json.len() <= PAYLOAD_BYTES_MAX);
            return if fits { Answer::Completed(result) } else { too_long(name) };
        }
        Ended::Exited { status, stderr, .. } => (status, text(&stderr)),
    };
    let said = stderr.trim();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status.code() {
        Some(code) if spec.retry_exit_codes.contains(&code) => Answer::retry(format!(
            "command `{name}` asked for another attempt (exit code {code}){said}"
        )),
        Some(code) => {
            Answer::give_up(format!("command `{name}` failed with exit code {code}{said}"))
        }
        // No code: a signal ended it (out of memory, an operator), which says nothing about the task.
        None => Answer::retry(format!("command `{name}` was killed ({status}){said}")),
    }
}

fn too_long(name: &str) -> Answer {
    Answer::give_up(format!("command `{name}` printed more than {PAYLOAD_BYTES_MAX} bytes"))
}

/// The output as a JSON value if it is one, otherwise as a string without its last line ends;
/// nothing when it is empty.
fn result(stdout: &[u8]) -> Option<Json> {
    let raw: Option<&RawValue> = serde_json::from_slice(stdout).ok();
    if let Some(json) = raw.and_then(|raw| Json::parse(raw.get()).ok()) {
        return Some(json);
    }
    let text = text(stdout);
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return None;
    }
    let json = serde_json::Value::from(text).to_string();
    Some(Json::parse(&json).expect("a string without U+0000 is plain JSON"))
}

/// Bytes as text that every store can hold.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}
