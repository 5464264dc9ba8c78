//! What TaskFlow does.

pub mod worker;
