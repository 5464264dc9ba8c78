//! Collects what is wrong with a request's fields, so that every fault is told at once.
//! It knows no field and no rule.

use taskflow_core::Fault;

/// Collects faults while fields are read.
#[derive(Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, pointer: &str, fault: Option<(&'static str, &'static str)>) {
        if let Some((code, message)) = fault {
            self.0.push(Fault::new(pointer, code, message));
        }
    }

    pub(crate) fn check(&mut self, ok: bool, pointer: &str, code: &'static str, message: &str) {
        if !ok {
            self.0.push(Fault::new(pointer, code, message));
        }
    }

    pub(crate) fn take<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }
}
