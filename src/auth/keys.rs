//! From settings to keys, every key proved sound before the first token is read: the cryptography crates find out about a bad key
//! only when they use it (one of them by a panic), and a daemon that refuses everybody at noon should have refused to start.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret, SecretString};

use super::{Algorithm, AuthSettings, secret_file};

/// RFC 7518 §3.2: an HS256 key is at least as long as the hash. A shorter one can be found by trying.
const SECRET_FLOOR_BYTES: usize = 32;

/// RFC 7518 §3.3 sets the floor of 2048 bits; the `rsa` crate silently verifies nothing above 4096.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// What signatures are held against.
#[derive(Clone, Debug)]
pub(super) enum VerifyingKeys {
    One(DecodingKey),
    ByKid(HashMap<String, DecodingKey>),
}

pub(super) fn verifying(settings: &AuthSettings, data_dir: &Path) -> Result<VerifyingKeys> {
    let algorithm = settings.algorithm;
    match KeySource::of(settings)? {
        KeySource::Shared(source) => {
            let secret = source.read(data_dir)?;
            Ok(VerifyingKeys::One(DecodingKey::from_secret(secret.expose_secret().as_bytes())))
        }
        KeySource::PublicKey(path) => Ok(VerifyingKeys::One(public_key(algorithm, path)?)),
        KeySource::KeySet(path) => Ok(VerifyingKeys::ByKid(key_set(algorithm, path)?)),
    }
}

pub(super) fn signing(settings: &AuthSettings, data_dir: &Path) -> Result<EncodingKey> {
    match KeySource::of(settings)? {
        KeySource::Shared(source) => Ok(EncodingKey::from_secret(source.read(data_dir)?.expose_secret().as_bytes())),
        KeySource::PublicKey(_) | KeySource::KeySet(_) => {
            let path = settings.private_key_file.as_deref();
            private_key(
                settings.algorithm,
                path.context("tokens are issued elsewhere: no auth.private_key_file is configured")?,
            )
        }
    }
}

/// Where the keys are, contradictions already refused.
enum KeySource<'a> {
    Shared(SharedSecret<'a>),
    PublicKey(&'a Path),
    KeySet(&'a Path),
}

impl<'a> KeySource<'a> {
    fn of(settings: &'a AuthSettings) -> Result<Self> {
        match settings.algorithm {
            Algorithm::HS256 => Self::shared(settings),
            Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256 => Self::asymmetric(settings),
        }
    }

    /// A key file beside HS256 is a forgotten `auth.algorithm`. Guessing the algorithm from the file would unpin it.
    fn shared(settings: &'a AuthSettings) -> Result<Self> {
        let key_file = settings
            .public_key_file
            .as_ref()
            .or(settings.jwks_file.as_ref())
            .or(settings.private_key_file.as_ref());
        if let Some(path) = key_file {
            bail!(
                "auth.algorithm is HS256, but a key file is configured ({}): set auth.algorithm to that key's",
                path.display()
            );
        }
        match (&settings.secret, &settings.secret_file) {
            (Some(_), Some(_)) => bail!("auth.secret and auth.secret_file are both set: keep one"),
            (Some(secret), None) => Ok(Self::Shared(SharedSecret::Configured(secret))),
            (None, Some(path)) => Ok(Self::Shared(SharedSecret::File(path))),
            (None, None) => Ok(Self::Shared(SharedSecret::OwnMaking)),
        }
    }

    fn asymmetric(settings: &'a AuthSettings) -> Result<Self> {
        let algorithm = settings.algorithm;
        if settings.secret.is_some() || settings.secret_file.is_some() {
            bail!("auth.algorithm is {algorithm}, which has no use for auth.secret or auth.secret_file: remove it");
        }
        if algorithm == Algorithm::RS256 && settings.private_key_file.is_some() {
            bail!("RS256 is for verification alone (RUSTSEC-2023-0071): remove auth.private_key_file, or sign with ES256 or EdDSA");
        }
        match (&settings.public_key_file, &settings.jwks_file) {
            (Some(_), Some(_)) => bail!("auth.public_key_file and auth.jwks_file are both set: keep one"),
            (Some(path), None) => Ok(Self::PublicKey(path)),
            (None, Some(path)) => Ok(Self::KeySet(path)),
            (None, None) => bail!("auth.algorithm is {algorithm}: set auth.public_key_file or auth.jwks_file"),
        }
    }
}

enum SharedSecret<'a> {
    Configured(&'a SecretString),
    File(&'a Path),
    OwnMaking,
}

impl SharedSecret<'_> {
    fn read(&self, data_dir: &Path) -> Result<SecretString> {
        let secret = match self {
            Self::Configured(secret) => (*secret).clone(),
            Self::File(path) => secret_file::read(path)?,
            Self::OwnMaking => secret_file::read_or_create(data_dir)?,
        };
        let length = secret.expose_secret().len();
        ensure!(
            length >= SECRET_FLOOR_BYTES,
            "the HS256 secret has {length} bytes; it needs at least {SECRET_FLOOR_BYTES}"
        );
        Ok(secret)
    }
}

/// The label is looked at first: given a certificate or a private key, the PEM reader would return whatever bit string it meets.
fn public_key(algorithm: Algorithm, path: &Path) -> Result<DecodingKey> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let labelled = [b"-----BEGIN PUBLIC KEY-----".as_slice(), b"-----BEGIN RSA PUBLIC KEY-----"];
    ensure!(
        labelled.iter().any(|label| pem.trim_ascii_start().starts_with(label)),
        "{} holds no PEM public key",
        path.display()
    );
    let key = match algorithm {
        Algorithm::HS256 => bail!("HS256 has no public key"),
        Algorithm::ES256 => DecodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(&pem),
        Algorithm::RS256 => DecodingKey::from_rsa_pem(&pem),
    };
    let key = key.with_context(|| format!("{} holds no {algorithm} key", path.display()))?;
    sound(algorithm, key).with_context(|| format!("{} holds an unusable {algorithm} key", path.display()))
}

/// An identity provider publishes keys of several kinds together, so keys for other purposes are passed over; a set without a
/// single key for ours, or one broken among them, is an error.
fn key_set(algorithm: Algorithm, path: &Path) -> Result<HashMap<String, DecodingKey>> {
    let json = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let set: JwkSet = serde_json::from_slice(&json).with_context(|| format!("{} is no JSON Web Key Set", path.display()))?;
    let mut keys = HashMap::new();
    for jwk in set.keys.iter().filter(|jwk| fits(algorithm, jwk)) {
        let Some(kid) = &jwk.common.key_id else { continue };
        let key = DecodingKey::from_jwk(jwk)
            .map_err(anyhow::Error::from)
            .and_then(|key| sound(algorithm, key));
        let key = key.with_context(|| format!("key {kid:?} in {} is unusable", path.display()))?;
        ensure!(
            keys.insert(kid.clone(), key).is_none(),
            "{} holds two keys named {kid:?}",
            path.display()
        );
    }
    ensure!(!keys.is_empty(), "{} holds no {algorithm} key with a `kid`", path.display());
    Ok(keys)
}

/// The key pins the algorithm a second time, by its type and curve and by its own `alg`, `use` and `key_ops` where it states them.
fn fits(algorithm: Algorithm, jwk: &Jwk) -> bool {
    let kind = match (algorithm, &jwk.algorithm) {
        (Algorithm::ES256, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
        (Algorithm::EdDSA, AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
        (Algorithm::RS256, AlgorithmParameters::RSA(_)) => true,
        _ => false,
    };
    let stated = jwk
        .common
        .key_algorithm
        .is_none_or(|stated| stated == jsonwebtoken::Algorithm::from(algorithm).into());
    let signs = jwk
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = jwk
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    kind && stated && signs && verifies
}

fn private_key(algorithm: Algorithm, path: &Path) -> Result<EncodingKey> {
    let pem = SecretString::from(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
    let pem = pem.expose_secret().as_bytes();
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        Algorithm::HS256 | Algorithm::RS256 => bail!("{algorithm} does not sign with a private key here"),
    };
    key.with_context(|| format!("{} holds no {algorithm} private key in PKCS#8 PEM", path.display()))
}

fn sound(algorithm: Algorithm, key: DecodingKey) -> Result<DecodingKey> {
    match algorithm {
        Algorithm::HS256 => {}
        Algorithm::ES256 => accepted_by_crypto(algorithm, &key)?,
        Algorithm::EdDSA => {
            // The verifier slices the first 32 bytes without looking, so a shorter key would panic at the first token.
            ensure!(key.try_get_as_bytes()?.len() == 32, "an Ed25519 public key has 32 bytes");
            accepted_by_crypto(algorithm, &key)?;
        }
        Algorithm::RS256 => {
            let size = rsa_modulus_bytes(&key)?;
            ensure!(
                RSA_MODULUS_BYTES.contains(&size),
                "an RSA modulus has 2048 to 4096 bits, this one about {}",
                size * 8
            );
        }
    }
    Ok(key)
}

/// Building the verifier checks the point; the empty signature then fails, which is no error.
fn accepted_by_crypto(algorithm: Algorithm, key: &DecodingKey) -> Result<()> {
    jsonwebtoken::crypto::verify("", b"", key, algorithm.into())?;
    Ok(())
}

fn rsa_modulus_bytes(key: &DecodingKey) -> Result<usize> {
    let AlgorithmParameters::RSA(parameters) = Jwk::from_decoding_key(key, None)?.algorithm else {
        bail!("this is no RSA key")
    };
    let modulus = URL_SAFE_NO_PAD.decode(parameters.n)?;
    Ok(modulus.iter().skip_while(|byte| **byte == 0).count())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{KeyPair, SECRET, Scratch, hs256, settings};
    use super::*;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    /// What the operator reads when these settings are refused.
    fn refusal(settings: &AuthSettings) -> String {
        let scratch = Scratch::new();
        format!("{:#}", verifying(settings, scratch.path()).unwrap_err())
    }

    fn key_set_refusal(algorithm: Algorithm, keys: &[Value]) -> String {
        let scratch = Scratch::new();
        let jwks_file = Some(scratch.file("jwks.json", &json!({ "keys": keys }).to_string()));
        refusal(&AuthSettings {
            jwks_file,
            ..settings(algorithm)
        })
    }

    fn public_key_refusal(algorithm: Algorithm, pem: &str) -> String {
        let scratch = Scratch::new();
        refusal(&AuthSettings {
            public_key_file: Some(scratch.file("key.pem", pem)),
            ..settings(algorithm)
        })
    }

    #[test]
    fn contradictory_settings_are_refused_by_name() {
        let file = Some(PathBuf::from("/some/file"));
        let both = AuthSettings {
            secret_file: file.clone(),
            ..hs256()
        };
        assert!(refusal(&both).contains("auth.secret and auth.secret_file"));
        let forgotten_algorithm = AuthSettings {
            public_key_file: file.clone(),
            ..settings(Algorithm::HS256)
        };
        assert!(refusal(&forgotten_algorithm).contains("auth.algorithm is HS256"));
        let idle_secret = AuthSettings {
            algorithm: Algorithm::ES256,
            ..hs256()
        };
        assert!(refusal(&idle_secret).contains("no use for auth.secret"));
        let two_keys = AuthSettings {
            public_key_file: file.clone(),
            jwks_file: file,
            ..settings(Algorithm::EdDSA)
        };
        assert!(refusal(&two_keys).contains("auth.public_key_file and auth.jwks_file"));
        assert!(refusal(&settings(Algorithm::RS256)).contains("set auth.public_key_file or auth.jwks_file"));
    }

    #[test]
    fn a_short_secret_is_refused_without_being_shown() {
        let refused = refusal(&AuthSettings {
            secret: Some("hunter2".into()),
            ..settings(Algorithm::HS256)
        });
        assert!(refused.contains("7 bytes") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn white_space_around_a_secret_in_a_file_is_not_part_of_it() {
        let scratch = Scratch::new();
        let secret_file = Some(scratch.file("secret", &format!("  {SECRET}\n")));
        let from_file = signing(
            &AuthSettings {
                secret_file,
                ..settings(Algorithm::HS256)
            },
            scratch.path(),
        )
        .unwrap();
        assert_eq!(from_file.as_bytes(), SECRET.as_bytes());
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let (ec, ed) = (KeyPair::new(Algorithm::ES256), KeyPair::new(Algorithm::EdDSA));
        assert!(public_key_refusal(Algorithm::ES256, &ed.public_pem).contains("no ES256 key"));
        assert!(public_key_refusal(Algorithm::EdDSA, &ec.public_pem).contains("no EdDSA key"));
        assert!(public_key_refusal(Algorithm::RS256, &ec.public_pem).contains("no RS256 key"));
        assert!(public_key_refusal(Algorithm::ES256, &ec.private_pem).contains("no PEM public key"));
        assert!(public_key_refusal(Algorithm::ES256, "nonsense").contains("no PEM public key"));
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        assert!(public_key_refusal(Algorithm::RS256, include_str!("fixture/rsa1024.pem")).contains("2048 to 4096 bits"));
    }

    #[test]
    fn an_rsa_private_key_is_refused_with_its_reason() {
        let private_key_file = Some(PathBuf::from("/dev/null"));
        assert!(
            refusal(&AuthSettings {
                private_key_file,
                ..settings(Algorithm::RS256)
            })
            .contains("RUSTSEC-2023-0071")
        );
    }

    #[test]
    fn a_truncated_key_in_a_set_stops_the_start_and_not_the_first_request() {
        let mut key = KeyPair::new(Algorithm::EdDSA).jwk("short");
        key["x"] = "AAAA".into();
        assert!(key_set_refusal(Algorithm::EdDSA, &[key]).contains("32 bytes"));
        let mut key = KeyPair::new(Algorithm::ES256).jwk("bent");
        key["x"] = key["y"].clone();
        assert!(key_set_refusal(Algorithm::ES256, &[key]).contains("\"bent\""));
    }

    #[test]
    fn a_set_without_a_key_for_our_purpose_is_refused() {
        let key = || KeyPair::new(Algorithm::ES256).jwk("k");
        let changed = |field: &str, value: Value| {
            let mut key = key();
            key[field] = value;
            key_set_refusal(Algorithm::ES256, &[key])
        };
        for refused in [
            changed("use", json!("enc")),
            changed("key_ops", json!(["sign"])),
            changed("alg", json!("ES384")),
            changed("crv", json!("secp256k1")),
            changed("kid", Value::Null),
            key_set_refusal(Algorithm::EdDSA, &[key()]),
            key_set_refusal(Algorithm::ES256, &[]),
            key_set_refusal(Algorithm::ES256, &[json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"})]),
        ] {
            assert!(refused.contains("key with a `kid`"), "{refused}");
        }
        assert!(key_set_refusal(Algorithm::ES256, &[key(), key()]).contains("two keys named"));
    }
}
