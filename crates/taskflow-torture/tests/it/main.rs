//! Integration tests of the torture test, against the stand-in server of `examples/fake_server`.

mod mutants;
