//! The pages in a real browser: Chromium without a window, driven by chromedriver. `scripts/test` installs
//! both. A test takes one [`page::Page`] on a server, does with it what a person would do, and ends with
//! [`page::Page::assert_no_complaints`]; [`page::Page::assert_accessible`] has axe-core look at it.

mod axe;
mod complaints;
mod driver;
mod page;
mod proof;
mod smoke;
