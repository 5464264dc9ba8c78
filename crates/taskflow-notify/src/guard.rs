//! Which URLs and addresses an outgoing request may reach: pure rules, no lookup, no dialling.
//! The client asks twice: [`Guard::check`] for the URL, [`Guard::permit`] for every address that a
//! name resolved to. It knows no task and no payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Longest URL, in bytes: what servers commonly accept.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Longest host name, in bytes: DNS has no longer ones.
const HOST_BYTES_MAX: usize = 253;
/// Ports of web servers. Others (22, 25, 5432, 6379…) belong to services that a crafted HTTP request
/// can confuse.
const PORTS: [u16; 3] = [80, 443, 8443];

/// Why a URL or an address is refused. It names no resolved address: the author of a task must not
/// learn from it how the inside of the network is numbered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long.
    #[error("is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// A blank or a control character, which the URL parser would silently drop.
    #[error("contains a blank or a control character")]
    Blank,
    /// Not an absolute URL.
    #[error("is not an absolute URL: {0}")]
    Malformed(String),
    /// Another scheme.
    #[error("has the scheme `{0}`; only http and https are allowed")]
    Scheme(String),
    /// `user:password@host`.
    #[error("contains a user name or password; send an authorization header instead")]
    UserInfo,
    /// No host, or a longer one than DNS has.
    #[error("has no usable host name")]
    Host,
    /// Another port.
    #[error(
        "has a port other than 80, 443 and 8443, which only addresses in HTTP_ALLOW_PRIVATE may have"
    )]
    Port,
    /// An address that is not on the public internet.
    #[error("leads to a {0} address, which is refused unless HTTP_ALLOW_PRIVATE names it")]
    Address(&'static str),
}

/// An entry of the allow-list that cannot be meant as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network {given} has bits set beyond its prefix; did you mean {meant}")]
pub struct BadAllowList {
    /// The entry.
    pub given: IpNet,
    /// The network that it lies in.
    pub meant: IpNet,
}

/// A URL that passed, and what is left to check when its name is resolved.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL, canonical: the text that is checked is the text that is dialled.
    pub url: Url,
    /// Its port is open only towards the allow-list, so every address must be in it.
    pub allowed_only: bool,
}

/// The rules with the operator's allow-list.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<IpNet>,
    ports: Vec<u16>,
}

impl Guard {
    /// Rules that `allow` lifts: addresses in these networks may be reached, on any port.
    pub fn new(allow: Vec<IpNet>) -> Result<Self, BadAllowList> {
        match allow.iter().find(|net| net.addr() != net.network()) {
            Some(given) => Err(BadAllowList { given: *given, meant: given.trunc() }),
            None => Ok(Self { allow, ports: PORTS.to_vec() }),
        }
    }

    /// The same rules with one more web port, so that a test's own listener can prove that it is the
    /// address rule which refuses.
    #[cfg(test)]
    pub(crate) fn with_port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Checks the text of a URL. An address written in it, in whatever notation, is judged here; a
    /// name is judged by [`Guard::permit`] once it is resolved.
    pub fn check(&self, text: &str) -> Result<Target, Refused> {
        if text.len() > URL_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(Refused::Blank);
        }
        let url = Url::parse(text).map_err(|e| Refused::Malformed(e.to_string().to_lowercase()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Refused::Host)?;
        let allowed_only = !self.ports.contains(&port);
        if allowed_only && self.allow.is_empty() {
            return Err(Refused::Port);
        }
        match url.host().ok_or(Refused::Host)? {
            Host::Ipv4(ip) => self.permit(IpAddr::V4(ip), allowed_only)?,
            Host::Ipv6(ip) => self.permit(IpAddr::V6(ip), allowed_only)?,
            Host::Domain(name) => self.name(name)?,
        }
        Ok(Target { url, allowed_only })
    }

    /// Checks one address that is about to be dialled; `allowed_only` as in [`Target`].
    pub fn permit(&self, ip: IpAddr, allowed_only: bool) -> Result<(), Refused> {
        if self.allow.iter().any(|net| net.contains(&ip)) {
            return Ok(());
        }
        match special(ip) {
            Some(what) => Err(Refused::Address(what)),
            None if allowed_only => Err(Refused::Port),
            None => Ok(()),
        }
    }

    /// `localhost` and what lies below it is this machine whatever a resolver says (RFC 6761, 6.3).
    fn name(&self, name: &str) -> Result<(), Refused> {
        let bare = name.strip_suffix('.').unwrap_or(name);
        if bare.is_empty() || bare.len() > HOST_BYTES_MAX {
            return Err(Refused::Host);
        }
        let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let local = bare == "localhost" || bare.ends_with(".localhost");
        if local && !here.iter().any(|ip| self.permit(*ip, false).is_ok()) {
            return Err(Refused::Address("loopback"));
        }
        Ok(())
    }
}

/// What makes `ip` no ordinary address of the public internet, in a word; none when it is one.
pub fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, what)| *what),
        IpAddr::V6(ip) => V6
            .iter()
            .find(|(net, _)| net.contains(&ip))
            .map(|(_, what)| *what)
            // Everything that is routed lies in 2000::/3; the rest is refused without a name.
            .or_else(|| (!V6_ROUTED.contains(&ip)).then_some("reserved")),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// IANA's special-purpose registry for IPv4, and one address of a cloud that looks public.
const V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "unspecified"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared (carrier-grade NAT)"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    // The clouds' metadata services live here.
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 88, 99, 0, 24), "reserved"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    // Azure's host agent answers every virtual machine on this one.
    (v4(168, 63, 129, 16, 32), "cloud platform"),
];

/// Where every routed IPv6 address lies.
const V6_ROUTED: Ipv6Net = v6(0x2000, 0, 0, 3);

/// IANA's special-purpose registry for IPv6. Forms that carry an IPv4 address inside are refused
/// whole, whatever they carry: no public server needs them and a translator on the way may open them.
const V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "IPv4-mapped"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96), "IPv4-compatible"),
    (v6(0x64, 0xff9b, 0, 96), "NAT64"),
    (v6(0x64, 0xff9b, 1, 48), "NAT64"),
    (v6(0x100, 0, 0, 64), "discard"),
    (v6(0x2001, 0, 0, 32), "Teredo"),
    (v6(0x2001, 2, 0, 48), "benchmarking"),
    (v6(0x2001, 0, 0, 23), "reserved"),
    (v6(0x2001, 0xdb8, 0, 32), "documentation"),
    (v6(0x2002, 0, 0, 16), "6to4"),
    (v6(0x3fff, 0, 0, 20), "documentation"),
    (v6(0xfc00, 0, 0, 7), "private"),
    (v6(0xfe80, 0, 0, 10), "link-local"),
    (v6(0xfec0, 0, 0, 10), "private"),
    (v6(0xff00, 0, 0, 8), "multicast"),
];
