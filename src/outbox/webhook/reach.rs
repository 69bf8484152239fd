//! Whom a webhook may reach. An admin of a casino chooses the URL, and the daemon stands inside a network: without a limit the URL would
//! be a way to make it talk to whatever stands there with it.
//!
//! What counts is the address a connection is made to, whatever the URL says. It is judged between the look-up of the name and the
//! connection, and no name is looked up twice, so a name that answers differently the second time gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderValue;
use url::{Host, Url};

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Addresses that are not on the public Internet, and this machine by plain http.
    pub private: bool,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Public,
    /// This machine.
    Loopback,
    /// A network of somebody's own, or the link itself.
    Private,
    /// No single machine, or none that a connection should be made to: groups, documentation, reserved, unspecified.
    Nowhere,
}

/// An address nothing is sent to.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct OutOfReach(String);

const SETTING: &str = "webhooks.allow_private in the daemon's settings";

impl Reach {
    /// A URL as a person writes it, normalized; or what is wrong with it. A name is judged by its addresses, when something is sent.
    pub fn judge(self, text: &str) -> Result<String, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or a password: every request is signed instead".to_owned());
        }
        if url.fragment().is_some() {
            return Err("must not hold a fragment: it would not be sent".to_owned());
        }
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err("must begin with https://".to_owned()),
        };
        let place = match url.host().ok_or("names no host")? {
            Host::Ipv4(address) => Some(place_of(address.into())),
            Host::Ipv6(address) => Some(place_of(address.into())),
            Host::Domain(name) => is_this_machine(name).then_some(Place::Loopback),
        };
        match place {
            Some(place) => self.admits(place, is_plain).map_err(|refused| refused.to_string())?,
            None if is_plain => return Err("must begin with https://".to_owned()),
            None => {}
        }
        // Not every character that a URL may hold may stand in a request line.
        HeaderValue::from_str(url.as_str()).map_err(|_| "holds a character that cannot be sent".to_owned())?;
        Ok(url.into())
    }

    pub(super) fn admit(self, address: IpAddr, is_plain: bool) -> Result<(), OutOfReach> {
        self.admits(place_of(address), is_plain)
    }

    fn admits(self, place: Place, is_plain: bool) -> Result<(), OutOfReach> {
        let refused = match (place, is_plain) {
            (Place::Public, false) => None,
            (Place::Loopback, _) | (Place::Private, false) if self.private => None,
            (Place::Public | Place::Private, true) => Some("plain http goes to this machine alone: it must begin with https://".to_owned()),
            (Place::Loopback | Place::Private, _) => Some(format!(
                "not an address on the public Internet; who runs the daemon can allow it: {SETTING}"
            )),
            (Place::Nowhere, _) => Some("an address that belongs to no machine".to_owned()),
        };
        refused.map_or(Ok(()), |refused| Err(OutOfReach(refused)))
    }
}

/// Whatever a look-up would say (RFC 6761).
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// By the registries of special addresses (RFC 6890 and its successors).
pub(super) fn place_of(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_of_v4(address),
        IpAddr::V6(address) => place_of_v6(address),
    }
}

fn place_of_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [127, ..] => Place::Loopback,
        [10, ..] | [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] | [198, 18 | 19, ..] => Place::Private,
        [0 | 224..=255, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => Place::Nowhere,
        _ => Place::Public,
    }
}

fn place_of_v6(address: Ipv6Addr) -> Place {
    if let Some(inner) = v4_within(address) {
        return place_of_v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Loopback,
        [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Place::Private,
        // Special assignments, Teredo and the test networks among them; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Place::Nowhere,
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Nowhere,
    }
}

/// The IPv4 address that packets to this one end up at: mapped, translated (NAT64), or tunnelled (6to4).
fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC_ONLY: Reach = Reach { private: false };
    const ANYWHERE: Reach = Reach { private: true };

    #[track_caller]
    fn all_are(place: Place, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(place_of(address.parse().unwrap()), place, "{address}");
        }
    }

    #[test]
    fn every_address_has_its_place() {
        all_are(
            Place::Loopback,
            &[
                "127.0.0.1",
                "127.255.255.254",
                "::1",
                "::ffff:127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
            ],
        );
        all_are(
            Place::Private,
            &[
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "169.254.169.254",
                "100.64.0.1",
                "100.127.255.255",
                "198.18.0.1",
                "fc00::1",
                "fd12:3456::1",
                "fe80::1",
                "fec0::1",
                "::ffff:10.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::a00:1",
                "64:ff9b:1::1",
            ],
        );
        all_are(
            Place::Nowhere,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "192.0.0.8",
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.1",
                "192.88.99.1",
                "::",
                "::7f00:1",
                "ff02::1",
                "2001::1",
                "2001:db8::1",
                "3fff::1",
                "100::1",
                "5f00::1",
                "::ffff:0.0.0.0",
            ],
        );
        all_are(
            Place::Public,
            &[
                "1.1.1.1",
                "100.63.0.1",
                "172.32.0.1",
                "9.255.255.255",
                "2606:4700::1111",
                "2a00:1450::1",
                "::ffff:8.8.8.8",
            ],
        );
    }

    #[test]
    fn a_url_goes_to_the_public_internet_by_https() {
        assert_eq!(
            PUBLIC_ONLY.judge(" https://Example.COM/hook?a=b ").unwrap(),
            "https://example.com/hook?a=b"
        );
        assert!(PUBLIC_ONLY.judge("https://1.1.1.1:8443/").is_ok() && PUBLIC_ONLY.judge("https://[2606:4700::1111]/").is_ok());
        for bad in [
            "",
            "example.com",
            "http://example.com/",
            "http://1.1.1.1/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https://u:p@example.com/",
            "https://u@example.com/",
            "https://example.com/#part",
            "https://localhost/",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/",
            "https://0/",
            "https://[fd00::1]/",
            "http://127.0.0.1:9/",
            "https://LOCALHOST./",
        ] {
            assert!(PUBLIC_ONLY.judge(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_their_own_network_and_this_machine() {
        for good in [
            "https://10.0.0.1/",
            "https://localhost/",
            "https://[fd00::1]/",
            "http://127.0.0.1:9000/hook",
            "http://[::1]:9000/",
            "http://localhost:9000/",
        ] {
            assert!(ANYWHERE.judge(good).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1/", "http://example.com/", "https://224.0.0.1/", "https://0.0.0.0/"] {
            assert!(ANYWHERE.judge(bad).is_err(), "{bad}");
        }
        assert!(
            PUBLIC_ONLY
                .judge("https://10.0.0.1/")
                .unwrap_err()
                .contains("webhooks.allow_private")
        );
    }
}
