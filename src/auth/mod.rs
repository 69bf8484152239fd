//! Who is speaking, proved: bearer tokens ([`Verifier`], [`TokenIssuer`]) and the PINs with which a second person co-signs ([`pin`]).
//!
//! This room deliberately knows nothing of casinos, roles and staff rows. A token yields a subject and nothing more: casino and role
//! come from the staff row of that subject, never from a claim (domain §12). Time is an argument, so that a frozen clock governs
//! expiry as it governs everything else.

use std::path::PathBuf;

use secrecy::SecretString;

#[cfg(test)]
mod fixture;
mod keys;
pub mod pin;
pub mod seal_key;
mod secret_file;
mod token;

pub use token::{TokenError, TokenIssuer, Verifier};

/// What the operator said about tokens; `Verifier::new` and `TokenIssuer::new` refuse contradictions in it.
///
/// | algorithm | keys for verifying | keys for issuing |
/// |---|---|---|
/// | `HS256` | `secret`, or `secret_file`, or neither: the daemon's own secret in its data directory | the same |
/// | `ES256`, `EdDSA` | `public_key_file` (PEM) or `jwks_file` | `private_key_file` (PKCS#8 PEM), or none: tokens come from elsewhere |
/// | `RS256` | `public_key_file` or `jwks_file` | none: the identity provider issues |
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The one algorithm a token may be signed with; what the token's own header asks for never counts.
    pub algorithm: Algorithm,
    /// HS256 secret, at least 32 bytes, used as the bytes it is written with (no base64 decoding).
    pub secret: Option<SecretString>,
    /// A file holding such a secret; white space around it is not part of it.
    pub secret_file: Option<PathBuf>,
    /// Public key in PEM.
    pub public_key_file: Option<PathBuf>,
    /// JSON Web Key Set; the token's `kid` chooses in it. Read once, at start.
    pub jwks_file: Option<PathBuf>,
    /// Private key in PKCS#8 PEM, for issuing only.
    pub private_key_file: Option<PathBuf>,
    /// The `aud` a token must name, "rundown" unless configured otherwise.
    pub audience: String,
    /// Clock skew forgiven around `exp` and `nbf`, at most 300 seconds.
    pub leeway_seconds: u32,
}

/// The signature algorithms the daemon accepts; one of them is pinned by configuration.
///
/// RS256 is here for verification alone. RUSTSEC-2023-0071 (the `rsa` crate leaks a private key through the timing of its private
/// operations, decryption above all) does not reach a process that only ever holds public keys, so RSA private keys are refused.
///
/// The variants are spelled as the `alg` header spells them (RFC 7518 §3.1, RFC 8037 §3.1), and compared with it by that spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, strum::Display, strum::EnumString, strum::IntoStaticStr)]
pub enum Algorithm {
    HS256,
    ES256,
    EdDSA,
    RS256,
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 => Self::HS256,
            Algorithm::ES256 => Self::ES256,
            Algorithm::EdDSA => Self::EdDSA,
            Algorithm::RS256 => Self::RS256,
        }
    }
}
