//! How many requests one caller may make: a bound a person and a well-made client never meet (api.md 429).

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::Error;

/// How many callers are remembered before those who fell silent are forgotten.
const REMEMBERED: usize = 10_000;

/// A rate limit a token's subject.
pub struct Limiter {
    limiter: DefaultKeyedRateLimiter<String>,
}

impl Limiter {
    pub fn new(requests_per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(requests_per_second).allow_burst(burst)),
        }
    }

    pub fn admit(&self, subject: &str) -> Result<(), Error> {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&subject.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Error::TooMany {
                retry_after_seconds: wait.as_secs() + 1,
            }
        })
    }
}
