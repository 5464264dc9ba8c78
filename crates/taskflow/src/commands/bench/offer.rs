//! Which routes the server has. A route that an older or differently built server lacks is skipped, not
//! failed; every other refusal is an error. One uncounted call each.

use tokio::time::Instant;

use super::http::{Connection, Site, refusal};
use super::options::Plan;
use super::report::Measured;

/// Whether the server has a route.
pub(super) enum Offer {
    /// It has.
    Here,
    /// It has not, and says so with this status.
    Missing(u16),
    /// It refuses the call.
    Refused(String),
}

impl Offer {
    /// What to report instead of a measurement; none when the route is there.
    pub(super) fn or_instead(self) -> Option<Measured> {
        match self {
            Self::Here => None,
            Self::Missing(status) => Some(Measured::missing(status)),
            Self::Refused(complaint) => Some(Measured::broken(complaint)),
        }
    }
}

/// Sends the request once and looks at the status.
pub(super) async fn offered(site: &Site, plan: &Plan, request: &[u8]) -> anyhow::Result<Offer> {
    let mut connection = Connection::open(site, Instant::now() + plan.patience).await?;
    Ok(match connection.call(request).await? {
        200..=299 => Offer::Here,
        // 405: the path of bulk also fits `/tasks/{id}` on a server that knows no bulk.
        status @ (404 | 405) => Offer::Missing(status),
        status => Offer::Refused(refusal(status, connection.body())),
    })
}

/// The same for `sync`, by a call that asks for nothing.
pub(super) async fn sync_offered(site: &Site, plan: &Plan) -> anyhow::Result<Offer> {
    offered(site, plan, &site.post("/api/v1/workers/bench-1/sync", b"{}")).await
}
