//! The table of URLs and addresses, without a network.

use std::net::IpAddr;

use super::allow;
use crate::guard::{Guard, Refused, special};

/// What the guard says to URLs that write their address or break a rule in sight.
const REFUSED_URLS: &[(&str, &str)] = &[
    // Schemes.
    ("ftp://example.com/", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("gopher://example.com/", "scheme"),
    ("javascript:alert(1)", "scheme"),
    ("data:text/plain,hi", "scheme"),
    ("ws://example.com/", "scheme"),
    ("example.com/path", "not an absolute"),
    ("//example.com/", "not an absolute"),
    ("", "not an absolute"),
    ("http://", "not an absolute"),
    // Loopback in every spelling.
    ("http://127.0.0.1/", "loopback"),
    ("http://127.0.0.1./", "loopback"),
    ("http://127.1/", "loopback"),
    ("http://127.255.255.254/", "loopback"),
    ("http://2130706433/", "loopback"),
    ("http://0x7f000001/", "loopback"),
    ("http://0x7f.1/", "loopback"),
    ("http://017700000001/", "loopback"),
    ("http://0177.0.0.01/", "loopback"),
    ("http://①②⑦.0.0.1/", "loopback"),
    ("http://127。0。0。1/", "loopback"),
    ("http://%31%32%37.0.0.1/", "loopback"),
    ("http:127.0.0.1/", "loopback"),
    ("http:\\\\127.0.0.1/", "loopback"),
    ("https://localhost/", "loopback"),
    ("https://LOCALHOST/", "loopback"),
    ("https://localhost./", "loopback"),
    ("https://api.localhost/", "loopback"),
    ("https://api.localhost./", "loopback"),
    ("http://[::1]/", "loopback"),
    ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
    ("http://0.0.0.0/", "unspecified"),
    ("http://0/", "unspecified"),
    ("http://[::]/", "unspecified"),
    // Private, shared, link-local: the inside of networks and the clouds' metadata.
    ("http://10.0.0.1/", "private"),
    ("http://172.16.0.1/", "private"),
    ("http://172.31.255.255/", "private"),
    ("http://192.168.1.1/", "private"),
    ("http://100.100.100.200/", "shared"),
    ("http://100.64.0.1/", "shared"),
    ("http://169.254.169.254/latest/meta-data/", "link-local"),
    ("http://0xa9fea9fe/", "link-local"),
    ("http://168.63.129.16/", "cloud platform"),
    ("http://[fd00:ec2::254]/", "private"),
    ("http://[fc00::1]/", "private"),
    ("http://[fe80::1]/", "link-local"),
    ("http://[fe80::1%25eth0]/", "not an absolute"),
    ("http://[fec0::1]/", "private"),
    // IPv4 inside IPv6.
    ("http://[::ffff:127.0.0.1]/", "IPv4-mapped"),
    ("http://[::ffff:a9fe:a9fe]/", "IPv4-mapped"),
    ("http://[::ffff:8.8.8.8]/", "IPv4-mapped"),
    ("http://[::127.0.0.1]/", "IPv4-compatible"),
    ("http://[64:ff9b::7f00:1]/", "NAT64"),
    ("http://[64:ff9b:1::a00:1]/", "NAT64"),
    ("http://[2002:7f00:1::]/", "6to4"),
    ("http://[2001:0:7f00:1::]/", "Teredo"),
    // Not for the public internet.
    ("http://192.0.0.192/", "reserved"),
    ("http://192.0.2.1/", "documentation"),
    ("http://192.88.99.1/", "reserved"),
    ("http://198.18.0.1/", "benchmarking"),
    ("http://198.19.255.255/", "benchmarking"),
    ("http://198.51.100.7/", "documentation"),
    ("http://203.0.113.9/", "documentation"),
    ("http://224.0.0.1/", "multicast"),
    ("http://239.255.255.250/", "multicast"),
    ("http://240.0.0.1/", "reserved"),
    ("http://255.255.255.255/", "broadcast"),
    ("http://[ff02::1]/", "multicast"),
    ("http://[100::1]/", "discard"),
    ("http://[2001:2::1]/", "benchmarking"),
    ("http://[2001:10::1]/", "reserved"),
    ("http://[2001:db8::1]/", "documentation"),
    ("http://[3fff::1]/", "documentation"),
    ("http://[4000::1]/", "reserved"),
    ("http://[5f00::1]/", "reserved"),
    // User names, ports, odd texts.
    ("https://user:pass@example.com/", "user name"),
    ("https://evil@example.com/", "user name"),
    ("https://:pass@example.com/", "user name"),
    ("http://example.com:22/", "port"),
    ("http://example.com:25/", "port"),
    ("http://example.com:6379/", "port"),
    ("https://example.com:0/", "port"),
    ("https://8.8.8.8:5432/", "port"),
    ("http://example.com:99999/", "not an absolute"),
    ("http://example.com/a b", "blank"),
    (" http://example.com/", "blank"),
    ("http://example.com/\r\nHost: evil", "blank"),
    ("http://exa\tmple.com/", "blank"),
    ("http://256.256.256.256/", "not an absolute"),
    ("http://1.2.3.4.5/", "not an absolute"),
    ("http://./", "host name"),
];

#[test]
fn every_forbidden_url_is_refused_with_its_reason() {
    let guard = Guard::new(Vec::new()).unwrap();
    for (url, reason) in REFUSED_URLS {
        let why = guard.check(url).expect_err(url).to_string();
        assert!(why.contains(reason), "{url:?} was refused, but because it {why}");
    }
}

#[test]
fn urls_and_hosts_of_monstrous_length_are_refused() {
    let guard = Guard::new(Vec::new()).unwrap();
    let long_host = format!("https://{}/", "a.".repeat(1500));
    assert_eq!(guard.check(&long_host).unwrap_err(), Refused::Host);
    let long_path = format!("https://example.com/{}", "a".repeat(8192));
    assert_eq!(guard.check(&long_path).unwrap_err(), Refused::TooLong);
}

#[test]
fn ordinary_urls_pass() {
    let guard = Guard::new(Vec::new()).unwrap();
    for url in [
        "https://example.com",
        "https://EXAMPLE.com:443/hooks?a=b#part",
        "http://example.com:80/",
        "https://example.com:8443/",
        "https://example.com./",
        "https://bücher.example/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
    ] {
        let target = guard.check(url).expect(url);
        assert!(!target.allowed_only, "{url}");
    }
}

#[test]
fn the_neighbours_of_special_networks_are_public() {
    for ip in [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "2001:200::1",
        "2001:db7::1",
        "2003::1",
        "2000::1",
        "3ffe::1",
    ] {
        assert_eq!(special(ip.parse::<IpAddr>().unwrap()), None, "{ip}");
    }
}

#[test]
fn the_allow_list_lifts_address_and_port_for_its_networks_only() {
    let guard = Guard::new(allow(&["10.1.0.0/16", "fd12::/32"])).unwrap();
    assert!(guard.check("http://10.1.2.3:9000/").is_ok());
    assert!(guard.check("http://[fd12::5]:9000/").is_ok());
    assert_eq!(guard.check("http://10.2.0.1/").unwrap_err(), Refused::Address("private"));
    assert_eq!(guard.check("http://localhost/").unwrap_err(), Refused::Address("loopback"));
    assert_eq!(guard.check("http://8.8.8.8:9000/").unwrap_err(), Refused::Port);
    // The port of a name is judged with its addresses.
    assert!(guard.check("http://inside.example:9000/").unwrap().allowed_only);
    assert_eq!(guard.permit("8.8.8.8".parse().unwrap(), true).unwrap_err(), Refused::Port);
    assert!(guard.permit("10.1.0.9".parse().unwrap(), true).is_ok());
}

#[test]
fn an_allow_list_entry_with_host_bits_is_a_slip() {
    let slip = Guard::new(allow(&["10.0.0.5/8"])).unwrap_err();
    assert_eq!(
        slip.to_string(),
        "the network 10.0.0.5/8 has bits set beyond its prefix; did you mean 10.0.0.0/8"
    );
}
