//! Rate limit: a token bucket for each client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Upper bound on buckets; full ones are dropped first, which loses nothing.
const BUCKETS: usize = 10_000;

/// Owner of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateBucketKey {
    /// An API key, by its public part.
    Key(String),
    /// The address of a client without a valid key.
    Address(IpAddr),
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<RateBucketKey, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// Creates buckets that hold `burst` requests and refill with `per_second`.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Self { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes one request from a bucket.
    ///
    /// # Errors
    ///
    /// The time until the next request is allowed.
    pub(crate) fn take(&self, whose: RateBucketKey, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS && !buckets.contains_key(&whose) {
            buckets.retain(|_, bucket| self.filled(*bucket, now).left < self.burst);
            if buckets.len() >= BUCKETS {
                // All buckets are in use: dropping them is better than refusing new clients.
                buckets.clear();
            }
        }
        let full = Bucket { left: self.burst, at: now };
        let bucket = buckets.entry(whose).or_insert(full);
        *bucket = self.filled(*bucket, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_second))
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        let left = since.mul_add(self.per_second, bucket.left).min(self.burst);
        Bucket { left, at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let rates = Rates::new(10, 3);
        let start = Instant::now();
        let ada = || RateBucketKey::Key("ada".to_owned());
        for _ in 0..3 {
            assert_eq!(rates.take(ada(), start), Ok(()));
        }
        let wait = rates.take(ada(), start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(
            rates.take(RateBucketKey::Key("bob".to_owned()), start),
            Ok(()),
            "another's is full"
        );
        assert_eq!(rates.take(ada(), start + Duration::from_millis(101)), Ok(()));
        assert!(rates.take(ada(), start + Duration::from_millis(102)).is_err());
        let later = start + Duration::from_secs(60);
        for _ in 0..3 {
            assert_eq!(rates.take(ada(), later), Ok(()));
        }
        assert!(rates.take(ada(), later).is_err(), "it holds no more than a burst");
    }

    #[test]
    fn buckets_are_bounded() {
        let rates = Rates::new(1, 1);
        let now = Instant::now();
        for number in 0..BUCKETS + 10 {
            rates.take(RateBucketKey::Key(number.to_string()), now).unwrap_or_default();
        }
        assert!(rates.buckets.lock().is_ok_and(|buckets| buckets.len() <= BUCKETS));
    }
}
