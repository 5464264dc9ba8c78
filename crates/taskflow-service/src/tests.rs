//! Tests of the services.
