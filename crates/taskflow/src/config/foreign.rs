//! Variables that begin with `TASKFLOW_` and are not ours: orchestrators describe a service called
//! `taskflow` to every container beside it. Refusing them would stop the start in the most natural
//! deployment. It knows no settings.

/// Whether `name` (in capitals) is one of the variables that Kubernetes, or a Docker link, makes for
/// a service: `TASKFLOW_SERVICE_HOST`, `TASKFLOW_WEB_SERVICE_PORT_HTTP`, `TASKFLOW_PORT=tcp://…`,
/// `TASKFLOW_PORT_8000_TCP_ADDR`.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    if name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
    {
        return true;
    }
    let numbered = name.split_once("_PORT_").is_some_and(|(_, tail)| {
        let mut words = tail.split('_');
        words.next().is_some_and(|word| word.parse::<u16>().is_ok())
            && words.next().is_some_and(|word| PROTOCOLS.contains(&word))
    });
    let linked = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    numbered || (name.ends_with("_PORT") && linked())
}
