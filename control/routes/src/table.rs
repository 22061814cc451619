//! The routes that decisions read: one immutable snapshot, shared by pointer.
//! Never changes; the next one is made beside it from the same nodes.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::choice::{Names, RouteChoice};
use crate::limits::COVERS_MAX;
use crate::trie::Trie;

/// All accepted routes at one moment. Cloning copies three pointers.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    v4: Trie<Arc<[RouteChoice]>>,
    v6: Trie<Arc<[RouteChoice]>>,
    names: Arc<Names>,
    version: u64,
}

/// One prefix that holds an address, and where it was announced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover<'a> {
    /// The prefix.
    pub prefix: IpNet,
    /// By site, then appliance; never empty.
    pub choices: &'a [RouteChoice],
}

/// The longest prefixes that hold one address, at most [`COVERS_MAX`]; no memory is taken for them.
#[derive(Clone, Copy, Debug)]
pub struct Covers<'a> {
    address: IpAddr,
    /// A ring: place `at % COVERS_MAX` holds the `at`th from the shortest.
    lens: [u8; COVERS_MAX],
    /// Not looked into before somebody asks: each is a cache miss.
    held: [Option<&'a Arc<[RouteChoice]>>; COVERS_MAX],
    seen: usize,
}

/// Prefixes as left-aligned bits, so that one trie serves both families.
pub(crate) fn bits_of(prefix: &IpNet) -> (u128, u8) {
    match prefix {
        IpNet::V4(net) => (u128::from(u32::from(net.network())) << 96, net.prefix_len()),
        IpNet::V6(net) => (u128::from(net.network()), net.prefix_len()),
    }
}

fn net_of(is_v4: bool, bits: u128, len: u8) -> IpNet {
    if is_v4 {
        let address = ((bits >> 96) as u32).into();
        IpNet::V4(Ipv4Net::new(address, len.min(32)).unwrap_or_default())
    } else {
        IpNet::V6(Ipv6Net::new(bits.into(), len.min(128)).unwrap_or_default())
    }
}

impl RouteTable {
    /// Every prefix that holds `address`, longest first; IPv4 inside IPv6 is looked up as IPv4.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Covers<'_> {
        let address = address.to_canonical();
        let len = if address.is_ipv4() { 32 } else { 128 };
        self.covers(address, len)
    }

    /// Every prefix that holds all of `prefix`, itself among them, longest first: what
    /// [`Self::lookup`] finds for those of its addresses that no longer prefix holds.
    #[must_use]
    pub fn around(&self, prefix: &IpNet) -> Covers<'_> {
        self.covers(prefix.network(), prefix.prefix_len())
    }

    fn covers(&self, address: IpAddr, len_max: u8) -> Covers<'_> {
        let (trie, bits) = match address {
            IpAddr::V4(v4) => (&self.v4, u128::from(u32::from(v4)) << 96),
            IpAddr::V6(v6) => (&self.v6, u128::from(v6)),
        };
        let (lens, held) = ([0; COVERS_MAX], [None; COVERS_MAX]);
        let mut covers = Covers { address, lens, held, seen: 0 };
        trie.covers(bits, len_max, |len, choices| covers.push(len, choices));
        covers
    }

    /// The choices of exactly this prefix.
    #[must_use]
    pub fn exactly(&self, prefix: &IpNet) -> &[RouteChoice] {
        let (bits, len) = bits_of(prefix);
        self.trie(prefix).get(bits, len).map_or(&[], |choices| choices)
    }

    /// The next shorter prefix that holds all of `prefix`.
    #[must_use]
    pub fn outer(&self, prefix: &IpNet) -> Option<Cover<'_>> {
        let (bits, len) = bits_of(prefix);
        let mut found = None;
        self.trie(prefix).covers(bits, len.checked_sub(1)?, |len, choices| {
            found = Some((len, &**choices));
        });
        let (len, choices) = found?;
        Some(Cover { prefix: IpNet::new_assert(prefix.network(), len).trunc(), choices })
    }

    /// Every prefix held inside `prefix`, itself among them, until `each` says false.
    pub fn inside<'a>(&'a self, prefix: &IpNet, mut each: impl FnMut(Cover<'a>) -> bool) {
        let (bits, len) = bits_of(prefix);
        let is_v4 = matches!(prefix, IpNet::V4(_));
        self.trie(prefix).inside(bits, len, &mut |bits, len, choices| {
            each(Cover { prefix: net_of(is_v4, bits, len), choices })
        });
    }

    /// Every prefix held, IPv4 first, until `each` says false.
    pub fn all<'a>(&'a self, mut each: impl FnMut(Cover<'a>) -> bool) {
        let mut going = true;
        self.inside(&IpNet::V4(Ipv4Net::default()), |cover| {
            going = each(cover);
            going
        });
        if going {
            self.inside(&IpNet::V6(Ipv6Net::default()), each);
        }
    }

    /// The names behind the keys in choices.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Prefixes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether no prefix is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rises by one with each snapshot that differs.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    fn trie(&self, prefix: &IpNet) -> &Trie<Arc<[RouteChoice]>> {
        match prefix {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        }
    }

    pub(crate) fn set(&mut self, prefix: &IpNet, choices: Option<Arc<[RouteChoice]>>) {
        let (bits, len) = bits_of(prefix);
        let trie = match prefix {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        match choices {
            Some(choices) => trie.insert(bits, len, choices),
            None => {
                trie.remove(bits, len);
            }
        }
    }

    pub(crate) fn finish(&mut self, names: &Arc<Names>) {
        self.names = Arc::clone(names);
        self.version += 1;
    }
}

impl<'a> Covers<'a> {
    fn push(&mut self, len: u8, choices: &'a Arc<[RouteChoice]>) {
        self.lens[self.seen % COVERS_MAX] = len;
        self.held[self.seen % COVERS_MAX] = Some(choices);
        self.seen += 1;
    }

    /// How many prefixes this holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.min(COVERS_MAX)
    }

    /// Whether nothing holds the address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Longest first.
    pub fn iter(&self) -> impl Iterator<Item = Cover<'a>> + '_ {
        (self.seen.saturating_sub(COVERS_MAX)..self.seen).rev().map(|at| {
            let prefix = IpNet::new_assert(self.address, self.lens[at % COVERS_MAX]).trunc();
            let choices = self.held[at % COVERS_MAX].map_or(&[][..], |choices| choices);
            Cover { prefix, choices }
        })
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Option<Cover<'a>> {
        self.iter().next()
    }
}
