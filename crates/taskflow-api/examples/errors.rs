//! Prints `docs/errors.md`: `cargo run -p taskflow-api --example errors > docs/errors.md`.
//! It knows nothing of its own; the page is `errors_doc.rs`.

#[expect(clippy::print_stdout, reason = "printing the page is all that this program does")]
fn main() {
    print!("{}", taskflow_api::errors_doc::errors_markdown());
}
