//! Torture binary.
fn main() {}
