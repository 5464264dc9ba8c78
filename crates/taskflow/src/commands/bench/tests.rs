//! Tests of the benchmark: its parser, its arithmetic, its limits, and every scenario against a small
//! server in this process. What a real server achieves is not tested here.

mod answers;
mod fake;
mod figures;
mod limits;
mod scenarios;
