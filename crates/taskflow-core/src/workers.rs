//! What is known of workers beside their tasks: what a process says of itself, and which processes are
//! to drain. Who is known and for how long is the services' business.

use crate::limits::{DRAINED_MAX, VERSION_CHARS_MAX};
use crate::name::Instance;

/// What a worker says of itself with a call that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Which process of that name it is; none when it does not say.
    pub instance: Option<Instance>,
    /// Its program, as `name/version`.
    pub version: Option<String>,
}

/// The part of a program's name for itself that is kept: printable ASCII, cut at
/// `limits::VERSION_CHARS_MAX`; none when nothing is left.
pub fn kept_version(text: &str) -> Option<String> {
    let plain = text.chars().filter(|c| matches!(c, ' '..='~'));
    let kept: String = plain.take(VERSION_CHARS_MAX).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// The processes of one worker's name that were asked to drain, oldest first. Each is bound to the
/// process that was meant, so that the next one of the same name works: by its instance, and those
/// that name none all together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drained(Vec<Option<Instance>>);

/// Stands in the kept text for processes that name no instance. No instance begins so.
const NAMELESS: &str = "*";

impl Drained {
    /// Whether nobody is to drain.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a process that calls itself `instance` is to drain.
    pub fn covers(&self, instance: Option<&Instance>) -> bool {
        self.0.iter().any(|drained| drained.as_ref() == instance)
    }

    /// Whether processes that name no instance are to drain.
    pub fn covers_nameless(&self) -> bool {
        self.covers(None)
    }

    /// Asks a process to drain. Beyond `limits::DRAINED_MAX` the oldest is forgotten.
    pub fn add(&mut self, instance: Option<Instance>) {
        if self.covers(instance.as_ref()) {
            return;
        }
        if self.0.len() >= DRAINED_MAX {
            self.0.remove(0);
        }
        self.0.push(instance);
    }

    /// The text that a store keeps; none for nobody.
    pub fn to_text(&self) -> Option<String> {
        let words = self.0.iter().map(|i| i.as_ref().map_or(NAMELESS, Instance::as_str));
        let words: Vec<&str> = words.collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// What a kept text says; none when it is not one.
    pub fn from_text(text: Option<&str>) -> Option<Self> {
        let words = text.unwrap_or_default().split_whitespace();
        let instance = |word: &str| match word {
            NAMELESS => Some(None),
            _ => Instance::parse(word).ok().map(Some),
        };
        words.map(instance).collect::<Option<Vec<_>>>().map(Self)
    }
}
