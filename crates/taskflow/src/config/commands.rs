//! `WORKER_COMMANDS`: the commands that tasks of kind `command` may name. It runs none of them and
//! does not look whether their programs exist; the worker does.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};
use taskflow_core::Kind;

use super::fault::Wrong;
use super::secret::MASK;
use super::value::quote;

/// Exit code that asks for another attempt unless the command says otherwise: `EX_TEMPFAIL` of
/// sysexits.h.
const EX_TEMPFAIL: i32 = 75;

/// A command that the operator allows.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// What a task's payload calls it.
    pub name: String,
    /// Program and arguments, not empty; no shell reads them.
    pub argv: Vec<String>,
    /// Variables of its environment; may hold secrets, so `Debug` masks the values.
    pub env: BTreeMap<String, String>,
    /// Its working folder; `None`: the worker's.
    pub cwd: Option<PathBuf>,
    /// Exit codes, 1 to 255, that ask for another attempt; every other but 0 fails for good.
    pub retry_exit_codes: Vec<i32>,
}

impl fmt::Debug for CommandConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: BTreeMap<&str, &str> = self.env.keys().map(|name| (name.as_str(), MASK)).collect();
        f.debug_struct("CommandConfig")
            .field("name", &self.name)
            .field("argv", &self.argv)
            .field("env", &env)
            .field("cwd", &self.cwd)
            .field("retry_exit_codes", &self.retry_exit_codes)
            .finish()
    }
}

/// Reads the JSON object. Reasons name the place and never repeat a value: `env` may hold secrets,
/// and a slip may put one anywhere.
pub(super) fn parse(text: &str) -> Result<Vec<CommandConfig>, Wrong> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("is not JSON (line {}, column {})", error.line(), error.column())
    })?;
    let Value::Object(commands) = value else {
        return Err("is not a JSON object".into());
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (name, value) in &commands {
        let before = bad.len();
        if let Err(rule) = Kind::parse(name) {
            bad.push(format!("the name {} {rule}", quote(name)));
        }
        let Value::Object(fields) = value else {
            bad.push(format!("{name} is not an object"));
            continue;
        };
        let command = command(name, fields, &mut bad);
        if bad.len() == before {
            good.push(command);
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(Wrong(bad)) }
}

fn command(name: &str, fields: &Map<String, Value>, bad: &mut Vec<String>) -> CommandConfig {
    const KNOWN: [&str; 4] = ["argv", "env", "cwd", "retry_exit_codes"];
    for field in fields.keys().filter(|field| !KNOWN.contains(&field.as_str())) {
        bad.push(format!("{name} has a field {}; known are {}", quote(field), KNOWN.join(", ")));
    }
    let mut read = |field: &str, rule: &str, read: &mut dyn FnMut(&Value) -> Option<()>| {
        let fine = fields.get(field).is_none_or(|value| read(value).is_some());
        if !fine {
            bad.push(format!("{name}.{field} must be {rule}"));
        }
    };
    let mut command = CommandConfig {
        name: name.to_owned(),
        argv: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        retry_exit_codes: vec![EX_TEMPFAIL],
    };
    read("argv", "a list of strings, the program first", &mut |value| {
        let argv: Option<Vec<String>> = value.as_array()?.iter().map(plain).collect();
        command.argv = argv.filter(|argv| argv.first().is_some_and(|first| !first.is_empty()))?;
        Some(())
    });
    read("env", "an object of strings whose names are not empty and hold no =", &mut |value| {
        for (name, value) in value.as_object()? {
            let usable = !name.is_empty() && !name.contains(['=', '\0']);
            command.env.insert(usable.then(|| name.clone())?, plain(value)?);
        }
        Some(())
    });
    read("cwd", "a path", &mut |value| {
        command.cwd = Some(PathBuf::from(plain(value).filter(|path| !path.is_empty())?));
        Some(())
    });
    read("retry_exit_codes", "a list of whole numbers from 1 to 255", &mut |value| {
        let code = |code: &Value| code.as_u64().and_then(|code| u8::try_from(code).ok());
        let codes = value.as_array()?.iter().map(|value| code(value).filter(|code| *code > 0));
        command.retry_exit_codes = codes.map(|code| code.map(i32::from)).collect::<Option<_>>()?;
        Some(())
    });
    if !fields.contains_key("argv") {
        bad.push(format!("{name} has no argv"));
    }
    command
}

/// A string that an operating system can take.
fn plain(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned)
}

/// The object with every value of an `env` masked.
pub(super) fn masked(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let commands = value.as_object_mut().into_iter().flat_map(Map::values_mut);
    for env in commands.filter_map(|command| command.get_mut("env")?.as_object_mut()) {
        for (_, value) in env.iter_mut() {
            *value = Value::from(MASK);
        }
    }
    value.to_string()
}
