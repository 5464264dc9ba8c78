//! What every request passes: the edge (ids, problems, panics, headers), the key, origins.

pub(crate) mod cors;
pub(crate) mod edge;
pub(crate) mod key;
pub(crate) mod read;
pub(crate) mod uri;
