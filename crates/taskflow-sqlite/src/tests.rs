//! Tests of the SQLite store's own rooms.
