//! Turns the gathered texts into values, one setting at a time, and collects what is wrong with them.
//! It decides how a fault is worded and what may be shown; what is a value, the section files know.

use super::fault::{ConfigFault, Wrong};
use super::secret::MASK;
use super::settings::{SETTINGS, Setting};
use super::sources::{Gathered, Given, Source, rank};

/// The texts of all settings, and the faults so far.
pub(super) struct Reader {
    gathered: Gathered,
}

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The variable.
    pub name: &'static str,
    /// Its text, secrets masked. Empty: not set.
    pub value: String,
    /// Where it was found.
    pub source: Source,
}

impl Reader {
    pub(super) fn new(gathered: Gathered) -> Self {
        Self { gathered }
    }

    /// The value of setting `name`, or `None` after noting why there is none.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let setting = Setting::find(name).expect("every section reads names of SETTINGS");
        let Given { text, source } = self.given(setting);
        let text = if setting.secret { text.as_str() } else { text.trim() };
        match parse(text) {
            Ok(value) => Some(value),
            Err(Wrong(reasons)) => {
                let message = format!("{}; expected {}", reasons.join("; "), setting.expected);
                self.gathered.faults.push(ConfigFault { name: name.to_owned(), source, message });
                None
            }
        }
    }

    /// Notes something that is allowed and probably not meant.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.gathered.warnings.push(warning.into());
    }

    /// Every setting; `show` gives the text to show of one that is not secret as a whole.
    pub(super) fn effective(&self, show: impl Fn(&str, &str) -> String) -> Vec<Effective> {
        let all = SETTINGS.iter().map(|setting| {
            let Given { text, source } = self.given(setting);
            let value = match setting.secret {
                true if text.is_empty() => text,
                true => MASK.to_owned(),
                false => show(setting.name, text.trim()),
            };
            Effective { name: setting.name, value, source }
        });
        all.collect()
    }

    /// The faults, those of the sources first and the others as the documentation lists them, and
    /// the warnings.
    pub(super) fn finish(self) -> (Vec<ConfigFault>, Vec<String>) {
        let Gathered { mut faults, warnings, .. } = self.gathered;
        faults.sort_by_key(|fault| rank(&fault.name));
        (faults, warnings)
    }

    fn given(&self, setting: &'static Setting) -> Given {
        let given = self.gathered.given.get(setting.name).cloned();
        given.unwrap_or_else(|| Given::default_of(setting))
    }
}
