//! Bearer tokens: JWTs read ([`Verifier`]) and written ([`TokenIssuer`]).
//!
//! The library does the cryptography; the rules about claims stand here, because the library judges `exp` and `nbf` by the system
//! clock and leaves absent claims unjudged.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::keys::{self, VerifyingKeys};
use super::{Algorithm, AuthSettings};

/// A token from an honest issuer has a few hundred bytes; anything past this is not worth a signature check.
const TOKEN_LIMIT_BYTES: usize = 8 * 1024;

/// The bound `OpenID` Connect puts on a subject; it keeps absurd keys out of the staff look-up.
const SUBJECT_LIMIT_CHARS: usize = 255;

/// More forgiveness than this is no clock skew: it is a longer life for every token, and belongs in `exp`.
const LEEWAY_LIMIT_SECONDS: u32 = 300;

/// Tells genuine tokens from others. Made once at start (it reads key files), then shared.
#[derive(Clone, Debug)]
pub struct Verifier {
    algorithm: Algorithm,
    keys: VerifyingKeys,
    audience: String,
    leeway: TimeDelta,
}

/// Why a token is no proof. Safe to log and to answer: no variant holds any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than 8 KiB")]
    TooLong,
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token is not signed with the algorithm this daemon accepts")]
    Algorithm,
    #[error("the token names a critical header extension this daemon does not know")]
    CriticalExtension,
    #[error("the token names no key this daemon knows")]
    UnknownKey,
    #[error("the token's signature does not hold")]
    Signature,
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token's subject is empty, too long or holds control characters")]
    Subject,
}

impl Verifier {
    /// Reads the configured keys, or makes the daemon's own secret in `data_dir` when none is configured.
    ///
    /// # Errors
    /// Contradictory settings, unreadable or unsound keys: each says which setting to change.
    pub fn new(settings: &AuthSettings, data_dir: &Path) -> Result<Self> {
        ensure!(
            !settings.audience.is_empty(),
            "auth.audience is empty: every token must name the audience it is meant for"
        );
        ensure!(
            settings.leeway_seconds <= LEEWAY_LIMIT_SECONDS,
            "auth.leeway_seconds is above {LEEWAY_LIMIT_SECONDS}"
        );
        Ok(Self {
            algorithm: settings.algorithm,
            keys: keys::verifying(settings, data_dir)?,
            audience: settings.audience.clone(),
            leeway: TimeDelta::seconds(settings.leeway_seconds.into()),
        })
    }

    /// The subject a genuine token speaks for at `now`.
    ///
    /// # Errors
    /// The first reason found why the token proves nothing. Claims are judged only after the signature held, so an outsider learns
    /// nothing from the order of reasons.
    pub fn subject(&self, token: &str, now: DateTime<Utc>) -> Result<String, TokenError> {
        if token.len() > TOKEN_LIMIT_BYTES {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("no signature"))?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed("no payload"))?;
        let key = self.key_for(&json_part(header, "header")?)?;
        if !self.holds(signature, message.as_bytes(), key) {
            return Err(TokenError::Signature);
        }
        self.judge(json_part(payload, "payload")?, now)
    }

    /// The key is chosen by the configuration and, within a key set, by `kid`. The header's `alg` is compared and never obeyed: a
    /// daemon that lets the token choose can be talked into `none`, or into taking a public key for an HMAC secret.
    fn key_for(&self, header: &Header) -> Result<&DecodingKey, TokenError> {
        if header.alg != <&str>::from(self.algorithm) {
            return Err(TokenError::Algorithm);
        }
        // RFC 7515 §4.1.11: extensions marked critical change what the signature means, so an unknown one must refuse the token.
        if header.crit.is_some() {
            return Err(TokenError::CriticalExtension);
        }
        match &self.keys {
            VerifyingKeys::One(key) => Ok(key),
            VerifyingKeys::ByKid(set) => header.kid.as_ref().and_then(|kid| set.get(kid)).ok_or(TokenError::UnknownKey),
        }
    }

    fn holds(&self, signature: &str, message: &[u8], key: &DecodingKey) -> bool {
        jsonwebtoken::crypto::verify(signature, message, key, self.algorithm.into()).unwrap_or(false)
    }

    fn judge(&self, claims: Claims, now: DateTime<Utc>) -> Result<String, TokenError> {
        let NumericDate(expires) = claims.exp.ok_or(TokenError::MissingClaim("exp"))?;
        // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted". The leeway is taken from `now`, which is a sane
        // instant; added to `exp`, which a stranger chose, it could overflow.
        if now - self.leeway >= expires {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|NumericDate(begins)| now + self.leeway < begins) {
            return Err(TokenError::NotYetValid);
        }
        if !claims.aud.ok_or(TokenError::MissingClaim("aud"))?.names(&self.audience) {
            return Err(TokenError::Audience);
        }
        let subject = claims.sub.ok_or(TokenError::MissingClaim("sub"))?;
        if is_subject(&subject) {
            Ok(subject)
        } else {
            Err(TokenError::Subject)
        }
    }

    /// Finds the public key a private key belongs to, by signing a probe. Without this, a mismatched pair would issue tokens that
    /// this very daemon refuses.
    fn kid_of(&self, key: &EncodingKey) -> Result<Option<String>> {
        const PROBE: &[u8] = b"rundown key probe";
        let signature = jsonwebtoken::crypto::sign(PROBE, key, self.algorithm.into()).context("the private key cannot sign")?;
        match &self.keys {
            VerifyingKeys::One(public) if self.holds(&signature, PROBE, public) => Ok(None),
            VerifyingKeys::One(_) => bail!("auth.private_key_file does not belong to auth.public_key_file"),
            VerifyingKeys::ByKid(set) => {
                let found = set.iter().find(|(_, public)| self.holds(&signature, PROBE, public));
                let (kid, _) = found.context("the public half of auth.private_key_file is not in auth.jwks_file")?;
                Ok(Some(kid.clone()))
            }
        }
    }
}

/// Writes tokens this daemon's own [`Verifier`] accepts. Only where the secret or private key is at hand.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    header: jsonwebtoken::Header,
    key: EncodingKey,
    audience: String,
}

impl TokenIssuer {
    /// Takes the same settings as the verifier and proves at once that the two agree.
    ///
    /// # Errors
    /// Where only public keys are configured there is nothing to sign with; otherwise as [`Verifier::new`].
    pub fn new(settings: &AuthSettings, data_dir: &Path) -> Result<Self> {
        let key = keys::signing(settings, data_dir)?;
        let kid = Verifier::new(settings, data_dir)?.kid_of(&key)?;
        let header = jsonwebtoken::Header {
            kid,
            ..jsonwebtoken::Header::new(settings.algorithm.into())
        };
        Ok(Self {
            header,
            key,
            audience: settings.audience.clone(),
        })
    }

    /// A token for `subject`, good from `now` for `ttl` (whole seconds: `exp` has no finer grain here).
    ///
    /// # Errors
    /// A subject the verifier would refuse, or a `ttl` past the end of the calendar.
    pub fn issue(&self, subject: &str, now: DateTime<Utc>, ttl: Duration) -> Result<String> {
        ensure!(is_subject(subject), TokenError::Subject);
        let expires = TimeDelta::from_std(ttl)
            .ok()
            .and_then(|ttl| now.checked_add_signed(ttl))
            .context("the token would never expire")?;
        let claims = IssuedClaims {
            sub: subject,
            aud: &self.audience,
            iat: now.timestamp(),
            exp: expires.timestamp(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).context("the token could not be signed")
    }
}

#[derive(Serialize)]
struct IssuedClaims<'a> {
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// The header fields that have a say. `jku`, `jwk` and `x5c` have none: a token does not bring its own key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
}

/// RFC 7519 §4.1.3: one name, or a list of names of which ours must be one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, ours: &str) -> bool {
        match self {
            Self::One(name) => name == ours,
            Self::Many(names) => names.iter().any(|name| name == ours),
        }
    }
}

/// RFC 7519 §2: seconds since the epoch, possibly with a fraction.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct NumericDate(DateTime<Utc>);

impl TryFrom<f64> for NumericDate {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        let since_epoch = Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|elapsed| TimeDelta::from_std(elapsed).ok());
        since_epoch
            .and_then(|elapsed| DateTime::UNIX_EPOCH.checked_add_signed(elapsed))
            .map(Self)
            .ok_or("not an instant")
    }
}

/// Control characters are refused because a NUL in a subject would reach Postgres as an error instead of as "no such person".
fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= SUBJECT_LIMIT_CHARS && !text.chars().any(char::is_control)
}

fn json_part<T: DeserializeOwned>(part: &str, name: &'static str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed(name))?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed(name))
}

#[cfg(test)]
mod tests;
