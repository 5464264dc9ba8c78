//! What is wrong with one field of an input, in words and as a stable code.
//! It does not decide the HTTP status; `api/problem.rs` does.

/// One field at fault: where, which rule, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body, `?name` for a query parameter, or
    /// `/task_id` or `/worker` for what a path names.
    pub pointer: String,
    /// Stable word in kebab-case.
    pub code: &'static str,
    /// Lower case, no full stop; names the rule and never repeats a secret.
    pub message: String,
}

impl Fault {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}
