//! Where values come from: defaults, a `.env` file, the environment and the command line, each over
//! the one before. The one place that reads the process environment.
//! It picks texts and does not parse them; the section files do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use super::fault::ConfigFault;
use super::nearest;
use super::settings::{SETTINGS, Setting};
use super::{dotenv, foreign};

/// Which server `taskflow task` speaks to when no flag says. No setting: a server has no use for it,
/// and a name without the prefix may be another program's.
const CLIENT_SERVER: &str = "TASKFLOW_SERVER";

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nowhere: the built-in default.
    Default,
    /// The `.env` file of the working folder.
    DotEnv,
    /// The process environment.
    Environment,
    /// A flag.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::DotEnv => ".env",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        })
    }
}

/// All texts that a configuration may be made of. Not `Debug`: it holds the whole environment.
#[derive(Default)]
pub struct Sources {
    dotenv: String,
    /// Why the file could not be read, if it is there.
    dotenv_unreadable: Option<String>,
    /// `None`: the value is not UTF-8.
    environment: Vec<(String, Option<String>)>,
    flags: Vec<(String, String)>,
}

/// The environment of this process, for the settings and for what commands inherit of it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    // vars_os and not vars, which panics when any variable of the process is not UTF-8.
    std::env::vars_os()
}

impl Sources {
    /// What this process was given: `.env` in the working folder, the environment, and `flags`, pairs
    /// of a setting's name (`PORT`) and its text.
    pub fn of_process(flags: Vec<(String, String)>) -> Self {
        let (dotenv, dotenv_unreadable) = match std::fs::read(Path::new(".env")) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => (text, None),
                Err(_) => (String::new(), Some("is not UTF-8 text".to_owned())),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => (String::new(), None),
            Err(error) => (String::new(), Some(format!("cannot be read: {error}"))),
        };
        let environment = environment()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
            .collect();
        Self { dotenv, dotenv_unreadable, environment, flags }
    }

    /// Adds lines to the text of the `.env` file. For tests and embedders.
    #[must_use]
    pub fn dotenv(mut self, text: &str) -> Self {
        self.dotenv.push_str(text);
        self
    }

    /// Adds a variable of the environment. For tests and embedders.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Adds a flag. For tests and embedders.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The server that clients of this program speak to, as `TASKFLOW_SERVER` of the environment or
    /// else of `.env` says; empty is not set. Nobody has looked whether it is a URL.
    pub fn client_server(&self) -> Option<String> {
        let named = |name: &str| name.eq_ignore_ascii_case(CLIENT_SERVER);
        let environment = self.environment.iter().find(|(name, _)| named(name));
        let file = || dotenv::parse(&self.dotenv, |_| None).pairs.into_iter();
        let server = match environment {
            Some((_, value)) => value.clone(),
            None => file().rfind(|(name, _)| named(name)).map(|(_, value)| value),
        };
        server.filter(|server| !server.is_empty())
    }

    /// One text for each setting, and what is wrong with the sources themselves.
    pub(super) fn gather(self) -> Gathered {
        let mut gathered = Gathered::default();
        if let Some(why) = self.dotenv_unreadable {
            gathered.fault("the file".to_owned(), Source::DotEnv, why);
        }
        let file = dotenv::parse(&self.dotenv, |name| {
            let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
            value.clone()
        });
        for (line, why) in file.faults {
            gathered.fault(format!("line {line}"), Source::DotEnv, why.to_owned());
        }
        for (name, value) in file.pairs {
            match Setting::find(&name) {
                Some(setting) => gathered.give(setting, value, Source::DotEnv),
                None => gathered.unknown(&name, &value, Source::DotEnv),
            }
        }
        gathered.environment(self.environment);
        for (name, value) in self.flags {
            match Setting::find(&name) {
                Some(setting) => gathered.give(setting, value, Source::CommandLine),
                None => gathered.unknown(&name, &value, Source::CommandLine),
            }
        }
        gathered
    }
}

/// A text and where it was found.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) source: Source,
}

/// What the sources say together. Settings that none of them names are absent.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) faults: Vec<ConfigFault>,
    pub(super) warnings: Vec<String>,
}

impl Gathered {
    fn give(&mut self, setting: &'static Setting, text: String, source: Source) {
        self.given.insert(setting.name, Given { text, source });
    }

    fn fault(&mut self, name: String, source: Source, message: String) {
        self.faults.push(ConfigFault { name, source, message });
    }

    /// The environment has no order, so among several spellings the one in capitals must win.
    fn environment(&mut self, variables: Vec<(String, Option<String>)>) {
        let mut spelt: BTreeMap<&'static str, String> = BTreeMap::new();
        for (name, value) in variables {
            let Some(setting) = Setting::find(&name) else {
                self.unknown(&name, value.as_deref().unwrap_or(""), Source::Environment);
                continue;
            };
            let Some(value) = value else {
                self.fault(name, Source::Environment, "is not UTF-8 text".to_owned());
                continue;
            };
            if let Some(other) = spelt.get(setting.name) {
                let (kept, left) = if *other < name { (other, &name) } else { (&name, other) };
                self.warnings.push(format!(
                    "{kept} and {left} are both in the environment and name the same setting: {kept} counts"
                ));
                if *other < name {
                    continue;
                }
            }
            spelt.insert(setting.name, name);
            self.give(setting, value, Source::Environment);
        }
    }

    /// A name that is no setting: a fault if it claims to be ours, a warning if it nearly is.
    fn unknown(&mut self, name: &str, value: &str, source: Source) {
        let capitals = name.to_ascii_uppercase();
        if let Some(bare) = capitals.strip_prefix("TASKFLOW_") {
            if capitals == CLIENT_SERVER || foreign::is_service_link(&capitals, value) {
                return;
            }
            let known = Setting::find(bare).map(|s| s.name).or_else(|| nearest::suggestion(bare));
            let message = match known {
                Some(known) => format!("is not a setting; did you mean {known}?"),
                None => "is not a setting; `taskflow config` lists them all".to_owned(),
            };
            self.fault(name.to_owned(), source, message);
        } else if source == Source::CommandLine {
            self.fault(name.to_owned(), source, "is not a setting".to_owned());
        } else if source == Source::DotEnv
            && let Some(known) = nearest::misspelt(name)
        {
            self.warnings.push(format!("{name} in .env is not a setting: did you mean {known}?"));
        }
    }
}

impl Given {
    /// The default of `setting`.
    pub(super) fn default_of(setting: &Setting) -> Self {
        Self { text: setting.default.to_owned(), source: Source::Default }
    }
}

/// The order of `SETTINGS`, so that faults come in the order of the documentation.
pub(super) fn rank(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.name == name)
}
