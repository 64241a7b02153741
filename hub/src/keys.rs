//! The hub's own keys: given by the configuration, else made once at random and kept in the data directory, readable by
//! the owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use domain::{IntegrationName, PileCode};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    config::Config,
    ids::{NoRandomness, hex, random_bytes, unhex},
};

/// Bytes of a key that the hub makes.
const KEY_LEN: usize = 32;
/// Bytes of a block of SHA-256.
const BLOCK_LEN: usize = 64;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("cannot read or write the key file {}: {cause}; check that the data directory is yours", path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("the key file {} does not hold 64 hexadecimal digits; restore it from a backup", path.display())]
    Unreadable { path: PathBuf },
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The keys of a hub.
#[derive(Clone)]
pub(crate) struct Keys {
    /// Signs tokens.
    pub(crate) jwt: Vec<u8>,
    /// Signs the sandbox channel's callbacks.
    pub(crate) sandbox: Vec<u8>,
    /// Under which the verifiers of the piles' secrets are made. Losing it locks every pile out.
    pub(crate) master: [u8; KEY_LEN],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys, making those that do not exist.
    pub(crate) fn open(config: &Config) -> Result<Self, KeyError> {
        let dir = Path::new(&config.store.data_dir);
        let given_or = |given: &str, name: &str| match given {
            // The text in the file is the key, so that others can be given it.
            "" => kept(&dir.join(name)).map(|key| hex(&key).into_bytes()),
            given => Ok(given.as_bytes().to_vec()),
        };
        Ok(Self {
            jwt: given_or(&config.auth.jwt_key, "jwt.key")?,
            sandbox: given_or(&config.payment.sandbox_key, "sandbox.key")?,
            master: kept(&dir.join("master.key"))?,
        })
    }

    /// A pile's secret that can be made again from the idempotent call that registered it, by this hub only: so the
    /// answer can be given twice although the secret is kept nowhere.
    pub(crate) fn secret_from(&self, seed: &[u8], code: &PileCode) -> String {
        let mut mac = self.master_mac();
        mac.update(b"pile secret\0");
        mac.update(seed);
        mac.update(b"\0");
        mac.update(code.as_str().as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// An integration's secret, in the same way.
    pub(crate) fn integration_secret_from(&self, seed: &[u8], name: &IntegrationName) -> String {
        let mut mac = self.master_mac();
        mac.update(b"integration secret\0");
        mac.update(seed);
        mac.update(b"\0");
        mac.update(name.as_str().as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// HMAC takes a whole block; a shorter key is one that ends in zeros [RFC 2104 2].
    fn master_mac(&self) -> Hmac<Sha256> {
        let mut block = [0; BLOCK_LEN];
        block.iter_mut().zip(self.master).for_each(|(to, from)| *to = from);
        Hmac::new(&block.into())
    }
}

/// The key in a file; the file is made when there is none. Two processes that make it at once agree on one.
fn kept(path: &Path) -> Result<[u8; KEY_LEN], KeyError> {
    let failed = |cause| KeyError::File { path: path.to_owned(), cause };
    match read(path).map_err(failed)? {
        Some(text) => parse(path, &text),
        None => {
            let key: [u8; KEY_LEN] = random_bytes()?;
            if write_new(path, &hex(&key)).map_err(failed)? {
                return Ok(key);
            }
            let text = read(path).map_err(failed)?.unwrap_or_default();
            parse(path, &text)
        }
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match File::open(path) {
        Ok(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(path: &Path, text: &str) -> Result<[u8; KEY_LEN], KeyError> {
    let bytes = unhex(text.trim()).and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes).ok());
    bytes.ok_or_else(|| KeyError::Unreadable { path: path.to_owned() })
}

/// Writes a file beside and links it into place, so that nobody ever reads half a key; `false` when somebody else was first.
fn write_new(path: &Path, text: &str) -> io::Result<bool> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let draft = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    };
    fs::remove_file(&draft)?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        File::open(dir)?.sync_all()?;
    }
    linked
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config_in(dir: &Path) -> Config {
        let mut config = Config::default();
        config.store.data_dir = dir.display().to_string();
        config
    }

    #[test]
    fn keys_are_made_once_and_only_the_owner_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(&dir.path().join("new"));
        let (first, second) = (Keys::open(&config).unwrap(), Keys::open(&config).unwrap());
        assert_eq!((&first.jwt, &first.sandbox, first.master), (&second.jwt, &second.sandbox, second.master));
        assert_ne!(first.jwt, hex(&first.master).into_bytes());
        assert_eq!(fs::read(dir.path().join("new").join("jwt.key")).unwrap(), first.jwt);
        for name in ["jwt.key", "sandbox.key", "master.key"] {
            let mode = fs::metadata(dir.path().join("new").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 3, "no draft is left");
    }

    #[test]
    fn a_given_key_wins_and_a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config_in(dir.path());
        config.auth.jwt_key = "0123456789abcdef0123456789abcdef".to_owned();
        assert_eq!(Keys::open(&config).unwrap().jwt, config.auth.jwt_key.as_bytes());
        fs::write(dir.path().join("master.key"), "short").unwrap();
        assert!(matches!(Keys::open(&config), Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn a_secret_can_be_made_again_only_from_the_same_call_for_the_same_pile() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(&config_in(dir.path())).unwrap();
        let code = |text: &str| PileCode::parse(text).unwrap();
        let secret = keys.secret_from(b"call", &code("P1"));
        assert_eq!(secret, keys.secret_from(b"call", &code("P1")));
        assert_ne!(secret, keys.secret_from(b"call", &code("P2")));
        assert_ne!(secret, keys.secret_from(b"other", &code("P1")));
        assert_eq!(secret.len(), 64);
    }
}
