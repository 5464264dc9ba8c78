//! Who asks and for which tenant. How a credential becomes an actor is the API's business.

use taskflow_core::TenantId;

/// Whoever calls a use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// Whose data the call is about.
    pub tenant: TenantId,
}

impl Actor {
    /// The one actor of a single-tenant installation.
    pub const DEFAULT: Actor = Actor { tenant: TenantId::DEFAULT };
}
