//! The pages in a real browser: Chromium without a window, driven by chromedriver. `scripts/test` installs
//! both. A test takes one [`page::Page`] on a server, does with it what a person would do, and ends with
//! [`page::Page::assert_no_complaints`]; [`page::Page::assert_accessible`] has axe-core look at it.

mod acts;
mod axe;
mod bare;
mod complaints;
mod driver;
mod hostile;
mod live;
mod looks;
mod page;
mod pages;
mod proof;
mod scene;
mod session;
