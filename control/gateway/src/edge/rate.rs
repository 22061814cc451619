//! How fast one address may ask. Two budgets: everything, and what costs a password hash.
//! Says nothing about accounts; the accounts service counts failed sign-ins by itself.
//!
//! Mechanics: a leaky bucket (GCRA) for each IPv4 address or IPv6 /64, in memory. Health and
//! metrics are free, so that a flood cannot blind the operator. Beyond `ADDRESSES_MAX` remembered
//! addresses the quiet ones are forgotten on the spot.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use axum::extract::Request;
use axum::http::Method;
use control_types::ErrorWord;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::MemberAddress;
use crate::errors::Refusal;
use crate::limits::ADDRESSES_MAX;

/// Budgets of one address.
#[derive(Clone, Copy, Debug)]
pub struct RateSettings {
    /// Requests a second, sustained.
    pub requests_per_second: NonZeroU32,
    /// Requests at once after a quiet time.
    pub requests_burst: NonZeroU32,
    /// Sign-ups, sign-ins a second, sustained.
    pub sign_ins_per_second: NonZeroU32,
    /// Sign-ups, sign-ins at once after a quiet time.
    pub sign_ins_burst: NonZeroU32,
}

impl Default for RateSettings {
    /// A household behind one address, or a demo with a fleet on loopback, never meets these.
    fn default() -> Self {
        const fn count(n: u32) -> NonZeroU32 {
            NonZeroU32::new(n).expect("the defaults below are not zero")
        }
        Self {
            requests_per_second: count(200),
            requests_burst: count(1_000),
            sign_ins_per_second: count(5),
            sign_ins_burst: count(60),
        }
    }
}

pub(crate) struct Rates {
    everything: DefaultKeyedRateLimiter<IpAddr>,
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl Rates {
    pub fn new(settings: &RateSettings) -> Self {
        let everything =
            Quota::per_second(settings.requests_per_second).allow_burst(settings.requests_burst);
        let sign_ins =
            Quota::per_second(settings.sign_ins_per_second).allow_burst(settings.sign_ins_burst);
        Self {
            everything: RateLimiter::keyed(everything),
            sign_ins: RateLimiter::keyed(sign_ins),
            clock: DefaultClock::default(),
        }
    }

    pub(super) fn admit(&self, address: &MemberAddress, request: &Request) -> Result<(), Refusal> {
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/metrics") {
            return Ok(());
        }
        if self.everything.len() > ADDRESSES_MAX {
            self.sweep();
        }
        let key = key_of(address.0);
        let costly =
            *request.method() == Method::POST && matches!(path, "/v1/accounts" | "/v1/sessions");
        let mut wait = self.everything.check_key(&key).err();
        if wait.is_none() && costly {
            wait = self.sign_ins.check_key(&key).err();
        }
        let Some(wait) = wait else { return Ok(()) };
        let seconds = wait.wait_time_from(self.clock.now()).as_secs_f64().ceil().max(1.0) as u32;
        let message = format!("too many requests from your address; try again in {seconds} s");
        let refusal = Refusal::new(ErrorWord::TooMany, message);
        Err(Refusal { retry_after_s: Some(seconds), ..refusal })
    }

    /// Forgets addresses whose buckets are full again.
    pub fn sweep(&self) {
        self.everything.retain_recent();
        self.sign_ins.retain_recent();
    }
}

/// A member's own network, not one of its 2^64 addresses.
fn key_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
