//! Prints `docs/state-machine.md`:
//! `cargo run -p taskflow-core --example state_machine > docs/state-machine.md`.
//! It knows nothing of its own; the page is `diagram.rs`.

#[expect(clippy::print_stdout, reason = "printing the page is all that this program does")]
fn main() {
    print!("{}", taskflow_core::diagram::state_machine_markdown());
}
