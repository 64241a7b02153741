//! The hub's own keys: given by the configuration, else made once at random and kept in the data directory, readable by
//! the owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use broker::{MASTER_KEY_LEN, token_from};
use domain::{CommandId, IntegrationName, PileCode};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    config::Config,
    ids::{NoRandomness, hex, random_bytes, unhex},
};

/// Bytes of a key that the hub makes.
const KEY_LEN: usize = MASTER_KEY_LEN;
/// Bytes of a block of SHA-256.
const BLOCK_LEN: usize = 64;

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("cannot read or write the key file {}: {cause}; check that the data directory is yours", path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("the key file {} does not hold 64 hexadecimal digits; restore it from a backup", path.display())]
    Unreadable { path: PathBuf },
    #[error("auth.master_key_file = \"{}\": {why}; name a readable file with 64 hexadecimal digits", path.display())]
    Given { path: PathBuf, why: String },
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
        Ok(Self {
            jwt: jwt(config)?,
            sandbox: given_or_kept(config, &config.payment.sandbox_key, "sandbox.key")?,
            master: master(config, &Path::new(&config.store.data_dir).join("master.key"))?,
        })
    }

    /// A pile's secret that can be made again from the idempotent call that registered it, by this hub only: so the
    /// answer can be given twice although the secret is kept nowhere.
    pub(crate) fn secret_from(&self, seed: &[u8], code: &PileCode) -> String {
        hex(&self.derived(b"pile secret\0", seed, code))
    }

    /// The secret that a change gives a pile; it can be made again for as long as the change is under way.
    pub(crate) fn next_secret(&self, rotation_id: &CommandId, code: &PileCode) -> String {
        hex(&self.derived(b"next pile secret\0", rotation_id.as_str().as_bytes(), code))
    }

    /// A pile's enrolment token that can be made again from the idempotent call that asked for it.
    pub(crate) fn token_from(&self, seed: &[u8], code: &PileCode) -> String {
        let bytes = self.derived(b"enrolment token\0", seed, code);
        token_from(bytes.first_chunk().copied().unwrap_or_default())
    }

    fn derived(&self, what: &[u8], seed: &[u8], code: &PileCode) -> [u8; KEY_LEN] {
        let mut mac = self.master_mac();
        mac.update(what);
        mac.update(seed);
        mac.update(b"\0");
        mac.update(code.as_str().as_bytes());
        mac.finalize().into_bytes().into()
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

/// The key that signs tokens.
pub(crate) fn jwt(config: &Config) -> Result<Vec<u8>, KeyError> {
    given_or_kept(config, &config.auth.jwt_key, "jwt.key")
}

fn given_or_kept(config: &Config, given: &str, name: &str) -> Result<Vec<u8>, KeyError> {
    match given {
        // The text in the file is the key, so that others can be given it.
        "" => kept(&Path::new(&config.store.data_dir).join(name)).map(|key| hex(&key).into_bytes()),
        given => Ok(given.as_bytes().to_vec()),
    }
}

impl KeyError {
    /// It is a setting that is wrong, and no accident.
    pub(crate) const fn is_of_setting(&self) -> bool {
        matches!(self, Self::Given { .. })
    }
}

/// The master key as it is written: 64 hexadecimal digits, spaces around them do not count.
pub(crate) fn master_key_of(text: &str) -> Option<[u8; MASTER_KEY_LEN]> {
    unhex(text.trim()).and_then(|bytes| bytes.try_into().ok())
}

/// The master key that the settings give, if they give one.
pub(crate) fn given_master(config: &Config) -> Result<Option<[u8; MASTER_KEY_LEN]>, KeyError> {
    let auth = &config.auth;
    if !auth.master_key.is_empty() {
        // What is no key was refused with the rest of the configuration.
        return Ok(master_key_of(&auth.master_key));
    }
    if auth.master_key_file.is_empty() { Ok(None) } else { master_in(Path::new(&auth.master_key_file)).map(Some) }
}

/// The master key that is given, else the one in the data directory.
fn master(config: &Config, own: &Path) -> Result<[u8; MASTER_KEY_LEN], KeyError> {
    let Some(given) = given_master(config)? else { return kept(own) };
    let earlier = read(own).ok().flatten().and_then(|text| master_key_of(&text));
    if earlier.is_some_and(|earlier| earlier != given) {
        tracing::warn!(file = %own.display(), "the given master key is not that of the data directory: piles that \
            were registered with that one are refused");
    }
    Ok(given)
}

fn master_in(path: &Path) -> Result<[u8; MASTER_KEY_LEN], KeyError> {
    let wrong = |why: String| KeyError::Given { path: path.to_owned(), why };
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    master_key_of(&text).ok_or_else(|| wrong(format!("({} characters)", text.trim().chars().count())))
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
    master_key_of(text).ok_or_else(|| KeyError::Unreadable { path: path.to_owned() })
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
    fn a_given_master_key_wins_and_one_of_wrong_length_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config_in(dir.path());
        let file = dir.path().join("given");
        fs::write(&file, format!("{}\n", "Ab".repeat(32))).unwrap();
        config.auth.master_key_file = file.display().to_string();
        assert_eq!(Keys::open(&config).unwrap().master, [0xab; 32]);
        assert!(!dir.path().join("master.key").exists(), "no other is made beside it");
        config.auth.master_key = "cd".repeat(32);
        assert_eq!(Keys::open(&config).unwrap().master, [0xcd; 32]);
        config.auth.master_key.clear();
        for bad in ["hush", &"a".repeat(63), &"a".repeat(66)] {
            fs::write(&file, bad).unwrap();
            let error = Keys::open(&config).unwrap_err();
            assert!(error.is_of_setting() && !error.to_string().contains(bad), "{error}");
        }
        config.auth.master_key_file = dir.path().join("none").display().to_string();
        assert!(Keys::open(&config).unwrap_err().is_of_setting());
    }

    #[test]
    fn what_is_derived_differs_by_what_it_is_for() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(&config_in(dir.path())).unwrap();
        let (code, id) = (PileCode::parse("P1").unwrap(), CommandId::parse("call").unwrap());
        assert_ne!(keys.next_secret(&id, &code), keys.secret_from(b"call", &code));
        assert_eq!(keys.token_from(b"call", &code).len(), broker::TOKEN_LEN);
        assert_ne!(keys.token_from(b"call", &code), keys.token_from(b"other", &code));
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
