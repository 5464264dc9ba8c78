//! Whose data a call is about. There is one tenant for now; every store call names it all the same.

/// Identity of a tenant; goes into every statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub i64);

impl TenantId {
    /// The only tenant of a single-tenant installation.
    pub const DEFAULT: TenantId = TenantId(1);
}
