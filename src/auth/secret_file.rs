//! Files that hold a secret, above all `jwt-secret` in the data directory, the HS256 secret that the daemon and its command line share when
//! nobody configured keys.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

const NAME: &str = "jwt-secret";
const SECRET_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;
const GROUP_AND_OTHERS: u32 = 0o077;

/// The secret of this data directory, made at the first call. Whoever calls first, in whatever process, all get the same one.
pub(super) fn read_or_create(data_dir: &Path) -> Result<SecretString> {
    let path = data_dir.join(NAME);
    if !path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
        create(
            data_dir,
            NAME,
            &SecretString::from(STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>())),
        )?;
    }
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The open file is asked, not the path: between the two somebody could exchange it.
    let mode = file
        .metadata()
        .with_context(|| format!("cannot inspect {}", path.display()))?
        .permissions()
        .mode()
        & 0o777;
    ensure!(
        mode & GROUP_AND_OTHERS == 0,
        "{} has mode {mode:o}, so others than its owner can use it to sign tokens: delete it (a new one is made, old tokens end)",
        path.display()
    );
    contents(file, &path)
}

/// A secret the operator keeps. Its permissions are the operator's affair: mounted secrets are often readable by a group.
pub(super) fn read(path: &Path) -> Result<SecretString> {
    contents(File::open(path).with_context(|| format!("cannot read {}", path.display()))?, path)
}

fn contents(mut file: File, path: &Path) -> Result<SecretString> {
    let mut text = String::new();
    file.read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let text = SecretString::from(text);
    Ok(SecretString::from(text.expose_secret().trim()))
}

/// The secret is complete on disk under a name of its own before it gets its real name by a hard link, which fails if the name is
/// taken. Created in place, it would stand there empty for a moment, and a second process would sign with nothing.
pub(super) fn create(data_dir: &Path, name: &str, secret: &SecretString) -> Result<()> {
    let path = data_dir.join(name);
    let draft = data_dir.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let linked = write_draft(&draft, secret).and_then(|()| fs::hard_link(&draft, &path));
    // A draft left behind is harmless, a secret nobody uses; its removal must not hide why the link failed.
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => removed
            .and_then(|()| File::open(data_dir)?.sync_all())
            .with_context(|| format!("cannot tidy up after {}", draft.display())),
        Err(taken) if taken.kind() == ErrorKind::AlreadyExists && path.exists() => Ok(()),
        Err(error) => bail!("cannot make {}: {error}", path.display()),
    }
}

fn write_draft(draft: &Path, secret: &SecretString) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(draft)?;
    writeln!(file, "{}", secret.expose_secret().trim_end())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Scratch;
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    fn names(scratch: &Scratch) -> Vec<String> {
        fs::read_dir(scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_secret_is_made_once_for_its_owner_alone() {
        let scratch = Scratch::new();
        let first = read_or_create(scratch.path()).unwrap();
        let second = read_or_create(scratch.path()).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(STANDARD.decode(first.expose_secret()).unwrap().len(), SECRET_BYTES);
        let mode = fs::metadata(scratch.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
        assert_eq!(names(&scratch), [NAME], "no draft is left behind");
    }

    #[test]
    fn a_secret_others_can_read_is_refused_and_named() {
        for mode in [0o640, 0o604, 0o620, 0o644] {
            let scratch = Scratch::new();
            read_or_create(scratch.path()).unwrap();
            fs::set_permissions(scratch.path().join(NAME), fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_or_create(scratch.path()).unwrap_err().to_string();
            assert!(
                refused.contains("jwt-secret") && refused.contains(&format!("mode {mode:o}")),
                "{refused}"
            );
        }
    }

    #[test]
    fn creators_racing_each_other_end_with_one_secret() {
        for _ in 0..50 {
            let scratch = Scratch::new();
            let start = Barrier::new(8);
            let secrets: Vec<String> = thread::scope(|scope| {
                let racer = || {
                    start.wait();
                    read_or_create(scratch.path()).unwrap().expose_secret().to_owned()
                };
                let racers: Vec<_> = (0..8).map(|_| scope.spawn(racer)).collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            assert!(secrets.iter().all(|secret| *secret == secrets[0] && secret.len() == 44));
            assert_eq!(names(&scratch), [NAME]);
        }
    }

    #[test]
    fn a_missing_data_directory_is_named() {
        let refused = read_or_create(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(refused.contains("/nowhere/at/all/jwt-secret"), "{refused}");
    }
}
