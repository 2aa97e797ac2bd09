//! Which addresses a connection may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Which addresses the calls of an adaptor may go to, whatever name led there.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    private: bool,
    allowed: Vec<IpNet>,
}

impl AddressPolicy {
    /// Public addresses alone, and the networks that the operator allows.
    pub fn public(allowed: Vec<IpNet>) -> Self {
        Self { private: false, allowed }
    }

    /// For configuration that the operator wrote: private and loopback addresses too.
    pub fn with_private(allowed: Vec<IpNet>) -> Self {
        Self { private: true, allowed }
    }

    /// Whether a connection may go to this address; `Err` says what it is instead.
    pub fn check(&self, address: IpAddr) -> Result<(), &'static str> {
        let address = plain(address);
        // Their answers are secrets, so that no setting opens them.
        if METADATA.contains(&address) {
            return Err("a cloud metadata service");
        }
        if self.allowed.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        let kind = match address {
            IpAddr::V4(v4) => kind_of_v4(v4),
            IpAddr::V6(v6) => kind_of_v6(v6),
        };
        match kind {
            Kind::Public => Ok(()),
            Kind::Private if self.private => Ok(()),
            Kind::Private => Err("an address that is not public"),
            Kind::Special => Err("an address of a special purpose"),
        }
    }
}

enum Kind {
    Public,
    /// Of this machine, or of the operator's own networks.
    Private,
    /// Nothing that a backend could have.
    Special,
}

/// The IPv4 address inside an IPv6 one that stands for it: v4-mapped (RFC 4291), or NAT64's well-known
/// prefix (RFC 6052), behind which a translator would connect to it.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address,
    }
}

/// Metadata services of AWS, Azure, GCP, OpenStack and others; of AWS's container service; of Alibaba; of
/// Oracle; of AWS over IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Networks of one's own: RFC 1918, loopback, carrier-grade NAT (RFC 6598).
const PRIVATE_V4: [Ipv4Net; 5] =
    [v4(10, 0, 0, 8), v4(172, 16, 0, 12), v4(192, 168, 0, 16), v4(127, 0, 0, 8), v4(100, 64, 0, 10)];

/// IANA's registry of special-purpose addresses: this network, link-local, protocol assignments,
/// documentation, the 6to4 relay, benchmarks, multicast, reserved with broadcast.
const SPECIAL_V4: [Ipv4Net; 10] = [
    v4(0, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 88, 99, 24),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

/// Unique local addresses (RFC 4193).
const PRIVATE_V6: Ipv6Net = v6(0xfc00, 0, 7);
/// What has been given out for global unicast. All else is special, with what IANA has not assigned yet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);
/// Within it: protocol assignments with Teredo and ORCHID, documentation twice, 6to4, which holds an IPv4
/// address of anybody's choice.
const SPECIAL_V6: [Ipv6Net; 4] =
    [v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x3fff, 0, 20), v6(0x2002, 0, 16)];

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    if PRIVATE_V4.iter().any(|network| network.contains(&address)) {
        Kind::Private
    } else if SPECIAL_V4.iter().any(|network| network.contains(&address)) {
        Kind::Special
    } else {
        Kind::Public
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    if address.is_loopback() || PRIVATE_V6.contains(&address) {
        Kind::Private
    } else if !GLOBAL_V6.contains(&address) || SPECIAL_V6.iter().any(|network| network.contains(&address)) {
        Kind::Special
    } else {
        Kind::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &AddressPolicy, address: &str) -> bool {
        policy.check(address.parse().unwrap()).is_ok()
    }

    const PUBLIC: [&str; 8] = [
        "1.1.1.1",
        "93.184.216.34",
        "172.32.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
    ];
    const PRIVATE: [&str; 14] = [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fd12:3456::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:192.168.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
    ];
    const SPECIAL: [&str; 26] = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "64:ff9b:1::1",
        "100::1",
        "64:ff9b::169.254.1.1",
    ];
    const METADATA: [&str; 8] = [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
    ];

    #[test]
    fn tenants_reach_public_addresses_alone() {
        let policy = AddressPolicy::public(Vec::new());
        for address in PUBLIC {
            assert!(check(&policy, address), "{address}");
        }
        for address in PRIVATE.iter().chain(&SPECIAL).chain(&METADATA) {
            assert!(!check(&policy, address), "{address}");
        }
    }

    #[test]
    fn operators_reach_private_addresses_and_nothing_special() {
        let policy = AddressPolicy::with_private(Vec::new());
        for address in PUBLIC.iter().chain(&PRIVATE) {
            assert!(check(&policy, address), "{address}");
        }
        for address in SPECIAL.iter().chain(&METADATA) {
            assert!(!check(&policy, address), "{address}");
        }
    }

    #[test]
    fn allowed_networks_are_open_but_for_metadata_services() {
        let networks = ["10.20.0.0/16", "169.254.0.0/16", "fd00::/8", "100.0.0.0/8", "192.0.0.0/8"];
        let policy = AddressPolicy::public(networks.iter().map(|n| n.parse().unwrap()).collect());
        for address in ["10.20.3.4", "::ffff:10.20.3.4", "64:ff9b::10.20.3.4", "169.254.1.1", "fd00::1"] {
            assert!(check(&policy, address), "{address}");
        }
        for address in ["10.21.0.1", "127.0.0.1"].iter().chain(&METADATA) {
            assert!(!check(&policy, address), "{address}");
        }
    }
}
