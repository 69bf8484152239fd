//! The PIN with which a second person signs on somebody else's terminal (domain §3). The count of wrong tries and the lock-out are
//! not here: they belong to the staff row and outlive the request.
//!
//! A PIN has few digits, so only two things protect it once hashes leak: the cost of one try, set below, and the salt. Hashing
//! takes about 20 ms of a core; in async code use [`hash_blocking`] and [`verify_blocking`], or every other request on that worker
//! waits as long.

use std::sync::LazyLock;
use std::thread;

use anyhow::{Context, Result, anyhow};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// OWASP Password Storage Cheat Sheet, argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

const DIGITS: std::ops::RangeInclusive<usize> = 4..=12;

/// As many hashes at once as there are cores: more would be no faster, and each holds 19 MiB, which the 512 threads of the blocking
/// pool would multiply to 10 GiB.
static HASHERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, usize::from)));

/// Whether a PIN may be set at all; the text says what is wanted and is safe to answer.
pub fn acceptable(pin: &SecretString) -> Result<(), &'static str> {
    let digits = pin.expose_secret().as_bytes();
    if !DIGITS.contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err("a PIN has 4 to 12 decimal digits");
    }
    if digits.iter().all(|digit| Some(digit) == digits.first()) {
        return Err("a PIN is not one digit repeated");
    }
    Ok(())
}

/// The argon2id PHC string to store, with a fresh salt. Blocks for about 20 ms. Does not ask whether the PIN is [`acceptable`].
///
/// # Errors
/// Only if the operating system has no randomness to give.
pub fn hash(pin: &SecretString) -> Result<String> {
    let hash = hasher()?
        .hash_password(pin.expose_secret().as_bytes())
        .map_err(|error| anyhow!("a PIN could not be hashed: {error}"))?;
    Ok(hash.to_string())
}

/// Whether `pin` is the one `hash` was made from, compared in constant time. Blocks for about 20 ms. The parameters are those in
/// `hash`, so old PINs stay good when the cost above is raised.
pub fn verify(hash: &str, pin: &SecretString) -> bool {
    let Ok(expected) = PasswordHash::new(hash) else {
        tracing::error!("a stored PIN hash is not a PHC string; its owner cannot co-sign until the PIN is set again");
        return false;
    };
    Argon2::default().verify_password(pin.expose_secret().as_bytes(), &expected).is_ok()
}

/// [`hash`] for async code.
///
/// # Errors
/// As [`hash`].
pub async fn hash_blocking(pin: SecretString) -> Result<String> {
    off_the_workers(move || hash(&pin)).await?
}

/// [`verify`] for async code. A check that could not be carried out is a wrong PIN.
pub async fn verify_blocking(stored: String, pin: SecretString) -> bool {
    off_the_workers(move || verify(&stored, &pin)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a PIN check broke off");
        false
    })
}

/// The permit travels with the work: if the caller goes away, the hash still runs to its end and must still be counted.
async fn off_the_workers<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let permit = HASHERS.acquire().await.context("nobody closes this semaphore")?;
    let done = tokio::task::spawn_blocking(move || {
        let _counted = permit;
        work()
    });
    done.await.context("a PIN computation panicked")
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| anyhow!("the argon2 parameters are wrong: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hashed_pin_is_recognised_and_no_other() {
        let stored = hash(&"3856".into()).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&stored, &"3856".into()));
        for wrong in ["3857", "385", "38560", "", " 3856"] {
            assert!(!verify(&stored, &wrong.into()), "{wrong:?}");
        }
    }

    #[test]
    fn equal_pins_have_different_hashes() {
        assert_ne!(hash(&"3856".into()).unwrap(), hash(&"3856".into()).unwrap());
    }

    #[test]
    fn an_unreadable_hash_lets_nobody_in() {
        for stored in [
            "",
            "3856",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$scrypt$ln=15$c2FsdHNhbHQ$aGFzaGhhc2g",
        ] {
            assert!(!verify(stored, &"3856".into()), "{stored}");
        }
    }

    #[tokio::test]
    async fn more_checks_than_cores_all_get_their_answer() {
        let stored = hash_blocking("3856".into()).await.unwrap();
        let checks: tokio::task::JoinSet<bool> = (3850..3862)
            .map(|digits| verify_blocking(stored.clone(), digits.to_string().into()))
            .collect();
        let right = checks.join_all().await.into_iter().filter(|right| *right).count();
        assert_eq!(right, 1);
    }

    #[test]
    fn the_edges_of_an_acceptable_pin() {
        for good in ["0001", "1234", "123456789012"] {
            assert_eq!(acceptable(&good.into()), Ok(()), "{good}");
        }
        for bad in ["", "123", "1234567890123", "12a4", "12 4", "-123", "١٢٣٤", "0000", "777777777777"] {
            assert!(acceptable(&bad.into()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_acceptable_unless_all_the_same(pin in "[0-9]{4,12}") {
            let repeated = pin.chars().all(|digit| pin.starts_with(digit));
            prop_assert_eq!(acceptable(&pin.into()).is_ok(), !repeated);
        }
    }
}
