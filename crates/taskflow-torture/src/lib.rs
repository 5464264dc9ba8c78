//! The torture test: starts a real server, works it over HTTP, kills it again and again, lets it heal,
//! reads everything back and checks the history of all calls against TaskFlow's promises.
//! It knows the server only by its HTTP contract: it uses none of our crates, so that a mistake in
//! one of them cannot hide itself here.
//!
//! In reading order: `history` (what is written down), `load` (what is done), `server` and `kills`
//! (what goes wrong), `readback` (what is left), `check` (what must hold), `verdict` (the answer).

mod api;
mod check;
mod dice;
mod evidence;
mod history;
mod kills;
mod load;
mod options;
mod postgres;
mod readback;
mod run;
mod server;
mod story;
mod verdict;
mod view;
mod wire;

pub use options::{Database, Fault, Options};
pub use run::run;
pub use verdict::{Finding, Tally, Verdict};
