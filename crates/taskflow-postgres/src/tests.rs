//! Tests of what is not public. They need a server (`TEST_DATABASE_URL`), as those in `tests/it` do.

mod plans;
mod upgrades;

#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
pub(crate) fn url() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("this test needs PostgreSQL: run scripts/test, or set TEST_DATABASE_URL")
}
