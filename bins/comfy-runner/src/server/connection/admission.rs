//! Limits on the number of connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::server::limits::Limits;

/// The minimum interval between log lines about refused connections.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Counts connections, in total and by address.
#[derive(Debug)]
pub struct Admission {
    max: usize,
    max_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    warned: Option<Instant>,
}

/// A permit for one connection, which ends when it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// The address under which the connection is counted.
    address: Option<IpAddr>,
}

/// The reason why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are too many in total.
    #[error("the server has all the connections that it accepts; try again later")]
    Full,
    /// There are too many from this address.
    #[error("there are too many connections from this address; close some, or try again later")]
    AddressFull,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max: limits.connections,
            max_per_address: limits.connections_per_address,
            open: Mutex::default(),
        }
    }

    /// Admits a connection from an address.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Refused> {
        let address = address.filter(|address| !address.to_canonical().is_loopback()).map(network_of);
        let mut open = self.open();
        if open.total >= self.max {
            return Err(open.refuse(Refused::Full));
        }
        if let Some(address) = address {
            let count = open.by_address.get(&address).copied().unwrap_or_default();
            if count >= self.max_per_address {
                return Err(open.refuse(Refused::AddressFull));
            }
            open.by_address.insert(address, count + 1);
        }
        open.total += 1;
        Ok(Permit { admission: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn refuse(&mut self, refused: Refused) -> Refused {
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now.duration_since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(connections = self.total, "connections are refused: {refused}");
        }
        refused
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.total -= 1;
        if let Some(address) = self.address
            && let Entry::Occupied(mut count) = open.by_address.entry(address)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Returns the address under which connections are counted: an IPv4 address, or the /64 network of an IPv6 address, because
/// providers give customers whole networks.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&Limits { connections, connections_per_address, ..Limits::default() }))
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let admission = admission(3, 2);
        let first = admission.admit(address("192.0.2.1")).unwrap();
        let _second = admission.admit(address("192.0.2.1")).unwrap();
        assert_eq!(admission.admit(address("::ffff:192.0.2.1")).unwrap_err(), Refused::AddressFull);
        let _other = admission.admit(address("192.0.2.2")).unwrap();
        assert_eq!(admission.admit(address("192.0.2.3")).unwrap_err(), Refused::Full);
        drop(first);
        let _third = admission.admit(address("192.0.2.1")).unwrap();
        assert_eq!(admission.open().by_address.len(), 2);
    }

    #[test]
    fn loopback_counts_in_total_only_and_an_ipv6_network_counts_as_one_address() {
        let admission = admission(5, 1);
        let mut permits: Vec<_> =
            ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(|ip| admission.admit(address(ip)).unwrap()).into();
        permits.push(admission.admit(address("2001:db8::1")).unwrap());
        assert_eq!(admission.admit(address("2001:db8::2:3")).unwrap_err(), Refused::AddressFull);
        permits.push(admission.admit(address("2001:db8:0:1::1")).unwrap());
        assert_eq!(admission.admit(address("127.0.0.1")).unwrap_err(), Refused::Full);
        permits.clear();
        assert!(admission.open().by_address.is_empty());
    }
}
