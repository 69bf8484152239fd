//! What the tests of this room share: a scratch directory, and keys made on the spot, so that no private key lies in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, encode};
use serde_json::{Value, json};

use super::{Algorithm, AuthSettings};

pub(super) const SECRET: &str = "a secret of more than 32 bytes, for tests";

/// The frozen present of these tests: 2026-01-01 00:00:00 UTC.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

/// No keys configured at all; a test fills in what it is about.
pub(super) fn settings(algorithm: Algorithm) -> AuthSettings {
    AuthSettings {
        algorithm,
        secret: None,
        secret_file: None,
        public_key_file: None,
        jwks_file: None,
        private_key_file: None,
        audience: "rundown".to_owned(),
        leeway_seconds: 30,
    }
}

pub(super) fn hs256() -> AuthSettings {
    AuthSettings {
        secret: Some(SECRET.into()),
        ..settings(Algorithm::HS256)
    }
}

/// Claims that are in order at [`now`].
pub(super) fn good_claims() -> Value {
    json!({"sub": "casino:PB-01", "aud": "rundown", "exp": now().timestamp() + 600})
}

/// A token written by hand, so that it may be wrong in any way.
pub(super) fn sign(header: &jsonwebtoken::Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).unwrap()
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A directory of one test's own, gone with it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rundown-auth-{:016x}", rand::random::<u64>()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A fresh ES256 or `EdDSA` key pair in the forms an operator has them in.
pub(super) struct KeyPair {
    pub(super) private: EncodingKey,
    pub(super) private_pem: String,
    pub(super) public_pem: String,
    /// The public key as it stands in its PEM: a point of P-256, uncompressed, or the 32 bytes of Ed25519.
    pub(super) public_bytes: Vec<u8>,
    jwk: Jwk,
}

/// What stands in DER before the key itself: PKCS#8 for the private one, SPKI for the public one.
const P256_PRIVATE: &[u8] = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\
    \x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
const P256_PUBLIC: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
    \x03\x42\x00";
const ED25519_PRIVATE: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const ED25519_PUBLIC: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

impl KeyPair {
    /// (32 random bytes are no P-256 scalar once in 2³² tries.)
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let (private_der, public_prefix) = match algorithm {
            Algorithm::ES256 => ([P256_PRIVATE, &rand::random::<[u8; 32]>()].concat(), P256_PUBLIC),
            Algorithm::EdDSA => ([ED25519_PRIVATE, &rand::random::<[u8; 32]>()].concat(), ED25519_PUBLIC),
            Algorithm::HS256 | Algorithm::RS256 => unreachable!("no such key is made here"),
        };
        let private = if algorithm == Algorithm::ES256 {
            EncodingKey::from_ec_der
        } else {
            EncodingKey::from_ed_der
        }(&private_der);
        let jwk = Jwk::from_encoding_key(&private, algorithm.into()).unwrap();
        let public_bytes = DecodingKey::from_jwk(&jwk).unwrap().try_get_as_bytes().unwrap().to_vec();
        Self {
            private,
            private_pem: pem("PRIVATE KEY", &private_der),
            public_pem: pem("PUBLIC KEY", &[public_prefix, &public_bytes].concat()),
            public_bytes,
            jwk,
        }
    }

    /// The public key as an entry of a key set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut entry = serde_json::to_value(&self.jwk).unwrap();
        entry["kid"] = kid.into();
        entry
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
