//! What sort of network an address belongs to. Everything that is not plainly public is refused unless the settings
//! open it; what is not assigned counts as reserved, so that a new special range is refused before it is known here.
//!
//! Ranges: the registries for special-purpose addresses of IPv4 and IPv6 (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anywhere on the internet.
    Public,
    /// This very machine.
    Loopback,
    /// RFC 1918.
    Private,
    /// 100.64.0.0/10, between a provider and its customers; also used by cloud and mesh networks.
    CarrierNat,
    /// fc00::/7.
    UniqueLocal,
    /// 169.254.0.0/16 and fe80::/10; clouds answer with credentials at 169.254.169.254.
    LinkLocal,
    /// Many receivers.
    Multicast,
    /// `0.0.0.0/8` and `::`, which many systems take for themselves.
    Unspecified,
    /// Documentation, benchmarks, broadcast, tunnels, not assigned.
    Reserved,
}

impl Class {
    /// A few words for a message: "is …".
    pub fn words(self) -> &'static str {
        match self {
            Class::Public => "a public address",
            Class::Loopback => "a loopback address",
            Class::Private => "a private address",
            Class::CarrierNat => "an address of a carrier's network (100.64.0.0/10)",
            Class::UniqueLocal => "a unique local address",
            Class::LinkLocal => "a link-local address, where clouds hand out credentials",
            Class::Multicast => "a multicast address",
            Class::Unspecified => "the unspecified address",
            Class::Reserved => "a reserved address",
        }
    }

    /// Whether a setting that names a host opens addresses of this class. The others need a network: whoever answers
    /// for the name could else point it at a cloud's credentials.
    pub fn opened_by_name(self) -> bool {
        matches!(self, Class::Public | Class::Loopback | Class::Private | Class::CarrierNat | Class::UniqueLocal)
    }
}

/// The class of an address; one that carries an IPv4 address (mapped, translated, 6to4) has that one's.
pub fn class(address: IpAddr) -> Class {
    match plain(address) {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

/// `::ffff:a.b.c.d` as `a.b.c.d`, which is what the system connects to; anything else as it is.
pub fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Class::Unspecified,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Class::Private,
        (100, 64..=127, _) => Class::CarrierNat,
        (127, ..) => Class::Loopback,
        (169, 254, _) => Class::LinkLocal,
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => Class::Reserved,
        (224..=239, ..) => Class::Multicast,
        (240..=255, ..) => Class::Reserved,
        _ => Class::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    let parts = address.segments();
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // Compatible (::a.b.c.d), translated (::ffff:0:a.b.c.d) and NAT64 (64:ff9b::a.b.c.d).
        [0, 0, 0, 0, 0, 0, h, l] | [0, 0, 0, 0, 0xffff, 0, h, l] | [0x64, 0xff9b, 0, 0, 0, 0, h, l] => carried(h, l),
        [0x2002, h, l, ..] => carried(h, l),
        // 2001::/23: Teredo, ORCHID and other protocols. 2001:db8::/32 and 3fff::/20: documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => Class::Public,
        [0xfc00..=0xfdff, ..] => Class::UniqueLocal,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        _ => Class::Reserved,
    }
}

fn carried(high: u16, low: u16) -> Class {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    class_v4(Ipv4Addr::new(a, b, c, d))
}

/// A block of addresses, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS/BITS`; the error says what was expected. Bits after the prefix must be zero, and `/0` (everything)
    /// is refused.
    pub fn parse(text: &str) -> Result<Network, String> {
        let shape = || format!("{text:?} is not a network: say it as 10.0.0.0/8 or fd00::/8");
        let (base, bits) = text.split_once('/').ok_or_else(shape)?;
        let base: IpAddr = base.parse().map_err(|_| shape())?;
        let bits: u8 = bits.parse().map_err(|_| shape())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return Err(shape());
        }
        if bits == 0 {
            return Err(format!("{text:?} would open every address: name the networks that are needed"));
        }
        let network = Network { base, bits };
        if !network.is_exact() {
            return Err(format!("{text:?} has bits beyond its prefix: give the network's first address"));
        }
        Ok(network)
    }

    /// Whether the address lies in it. A mapped address counts as the IPv4 address that it stands for.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        address.is_ipv4() == self.base.is_ipv4() && self.masked(address) == self.masked(self.base)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let (value, width) = bits_of(address);
        value >> (width - u32::from(self.bits))
    }

    /// Whether all bits after the prefix are zero.
    fn is_exact(&self) -> bool {
        let (value, width) = bits_of(self.base);
        value.trailing_zeros() >= width - u32::from(self.bits)
    }
}

fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Class {
        class(text.parse().unwrap())
    }

    #[test]
    fn special_ranges_are_known_at_both_ends() {
        let cases = [
            (Class::Unspecified, "0.0.0.0 0.255.255.255 :: ::ffff:0.0.0.0"),
            (Class::Private, "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255"),
            (Class::CarrierNat, "100.64.0.0 100.127.255.255"),
            (Class::Loopback, "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::127.0.0.1 2002:7f00:1::1"),
            (Class::Loopback, "::127.0.0.1 ::ffff:0:127.0.0.1"),
            (Class::LinkLocal, "169.254.0.0 169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"),
            (Class::LinkLocal, "2002:a9fe:a9fe::"),
            (Class::UniqueLocal, "fc00::1 fd00:ec2::254 fdff::1"),
            (Class::Multicast, "224.0.0.1 239.255.255.255 ff02::1"),
            (Class::Reserved, "192.0.0.8 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1"),
            (
                Class::Reserved,
                "240.0.0.1 255.255.255.255 2001:db8::1 2001::1 2001:20::1 3fff::1 fec0::1 100::1 4000::1",
            ),
            (Class::Reserved, "64:ff9b:1::1 5f00::1"),
            (Class::Public, "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0"),
            (Class::Public, "169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 223.255.255.255 2606:4700::1111"),
            (Class::Public, "::ffff:1.1.1.1 64:ff9b::1.1.1.1"),
        ];
        for (expected, addresses) in cases {
            for address in addresses.split(' ') {
                assert_eq!(of(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn networks_hold_what_they_say() {
        let ten = Network::parse("10.0.0.0/8").unwrap();
        let one = Network::parse("127.0.0.1/32").unwrap();
        let ula = Network::parse("fd00::/8").unwrap();
        let host = Network::parse("fd00::1/128").unwrap();
        for (network, address, inside) in [
            (ten, "10.255.0.1", true),
            (ten, "11.0.0.0", false),
            (ten, "::ffff:10.1.1.1", true),
            (ten, "::a00:1", false),
            (one, "127.0.0.1", true),
            (one, "127.0.0.2", false),
            (ula, "fdab::1", true),
            (ula, "fcab::1", false),
            (host, "fd00::1", true),
            (host, "fd00::2", false),
        ] {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network:?} {address}");
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "0.0.0.0/0", "::/0", "fd00::1/8", "x/8", "10.0.0.0/-1", ""]
        {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }
}
