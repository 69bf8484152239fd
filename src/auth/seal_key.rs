//! The key audit rows are sealed with (Ed25519). Whoever holds it can rewrite the past, so it is a file of its own, for the daemon's account
//! alone. The private cluster's daemon makes one in its data directory; over a server of one's own it has to be given.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use secrecy::{ExposeSecret as _, SecretString};
use workflows::rundown::hex;
use workflows::seal::key_id;

use super::secret_file;

/// Its name in the data directory.
const NAME: &str = "audit-seal-key.pem";
const GROUP_AND_OTHERS: u32 = 0o077;

/// A signing key, proved.
#[derive(Clone)]
pub struct SealKey {
    key: Arc<SigningKey>,
}

/// Where the key is to be found.
#[derive(Clone, Debug)]
pub enum SealKeyPlace {
    /// `audit.signing_key_file`.
    File(PathBuf),
    /// In this data directory, made there at the first start.
    OwnMaking(PathBuf),
    /// Nobody said: this daemon cannot seal.
    None,
}

impl SealKeyPlace {
    /// As configured; the daemon makes its own for its own cluster only, beside it, because several daemons of one server would make several.
    pub fn of(configured: Option<&Path>, cluster: Option<&Path>) -> Self {
        match (configured, cluster) {
            (Some(file), _) => Self::File(file.to_owned()),
            (None, Some(root)) => Self::OwnMaking(root.to_owned()),
            (None, None) => Self::None,
        }
    }
}

impl SealKey {
    /// What to say where there is none.
    pub const MISSING: &str = "audit rows cannot be sealed: this daemon has no signing key (audit.signing_key_file, a PKCS#8 PEM of an \
                               Ed25519 key; the rows wait until it has one)";

    /// The key, if there is to be one; made first where it is the daemon's to make.
    ///
    /// # Errors
    /// A file that cannot be read, that others than its owner can read, or that holds no such key.
    pub fn of(place: &SealKeyPlace) -> Result<Option<Self>> {
        match place {
            SealKeyPlace::File(path) => Self::read(path).map(Some),
            SealKeyPlace::OwnMaking(data_dir) => Self::read_or_make(data_dir).map(Some),
            SealKeyPlace::None => Ok(None),
        }
    }

    /// The same without making one: none where it is still to be made.
    pub fn look(place: &SealKeyPlace) -> Result<Option<Self>> {
        match place {
            SealKeyPlace::OwnMaking(data_dir) if !data_dir.join(NAME).exists() => Ok(None),
            SealKeyPlace::File(_) | SealKeyPlace::OwnMaking(_) | SealKeyPlace::None => Self::of(place),
        }
    }

    fn read_or_make(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(NAME);
        if !path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
            secret_file::create(data_dir, NAME, &Self::new_pem()?)?;
        }
        Self::read(&path)
    }

    fn new_pem() -> Result<SecretString> {
        let key = SigningKey::from_bytes(&rand::random::<[u8; 32]>());
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| anyhow::anyhow!("no key could be written: {error}"))?;
        Ok(SecretString::from(pem.as_str()))
    }

    fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        // The open file is asked, not the path: between the two somebody could exchange it.
        let metadata = file.metadata().with_context(|| format!("cannot inspect {}", path.display()))?;
        let mode = metadata.permissions().mode() & 0o777;
        ensure!(
            mode & GROUP_AND_OTHERS == 0,
            "{} has mode {mode:o}: others than its owner could rewrite the audit and sign it (chmod 600; seal with a new key from here on, \
             because this one may be known)",
            path.display()
        );
        let mut pem = String::new();
        file.read_to_string(&mut pem)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let pem = SecretString::from(pem);
        let key = SigningKey::from_pkcs8_pem(pem.expose_secret().trim());
        let key = key.map_err(|error| anyhow::anyhow!("{} holds no Ed25519 key in PKCS#8 PEM: {error}", path.display()))?;
        Ok(Self { key: Arc::new(key) })
    }

    pub fn signing(&self) -> &SigningKey {
        &self.key
    }

    /// As seals name it: 64 hexadecimal digits.
    pub fn public(&self) -> String {
        hex(self.key.verifying_key().as_bytes())
    }

    /// Its short name.
    pub fn id(&self) -> String {
        key_id(&self.public())
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SealKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::super::fixture::Scratch;
    use super::*;

    #[test]
    fn the_private_cluster_makes_its_key_once_for_its_owner_alone() {
        let scratch = Scratch::new();
        let place = SealKeyPlace::of(None, Some(scratch.path()));
        assert!(SealKey::look(&place).unwrap().is_none(), "looking makes none");
        let first = SealKey::of(&place).unwrap().unwrap();
        let again = SealKey::of(&place).unwrap().unwrap();
        assert_eq!((first.public(), first.id().len()), (again.public(), 16));
        let path = scratch.path().join(NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(!format!("{first:?}").contains("BEGIN"));
    }

    #[test]
    fn a_server_of_ones_own_makes_none() {
        let scratch = Scratch::new();
        let place = SealKeyPlace::of(None, None);
        assert!(SealKey::of(&place).unwrap().is_none());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_others_can_read_is_refused_and_named() {
        let scratch = Scratch::new();
        SealKey::of(&SealKeyPlace::of(None, Some(scratch.path()))).unwrap();
        let path = scratch.path().join(NAME);
        for mode in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = SealKey::of(&SealKeyPlace::File(path.clone())).unwrap_err().to_string();
            assert!(refused.contains(NAME) && refused.contains(&format!("mode {mode:o}")), "{refused}");
        }
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.path().join("key.pem");
        for content in [
            "",
            "secret",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n",
        ] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let refused = SealKey::of(&SealKeyPlace::File(path.clone())).unwrap_err().to_string();
            assert!(refused.contains("no Ed25519 key"), "{refused}");
        }
        assert!(SealKey::of(&SealKeyPlace::File(scratch.path().join("none"))).is_err());
    }
}
