//! Defaults, then the file, then the environment: later ones win. Every key must exist.

use std::path::{Path, PathBuf};

use config::{FileFormat, builder::DefaultState};
use toml::{Table, Value};

use super::{
    Config,
    check::{self, Fault},
    keys::{leaves, nearest},
};

/// Prefix of the environment variables that are settings.
const ENV_PREFIX: &str = "PILEHUB__";
/// Where systemd puts the credentials of a service.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Name of the credential that is the master key.
const MASTER_KEY_CREDENTIAL: &str = "pilehub-master-key";

/// Why a configuration is refused (exit code 78).
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}; give an existing file with --config", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    /// The file is no TOML.
    #[error("{place} is no TOML: {cause}")]
    NotToml { place: String, cause: String },
    /// No such setting.
    #[error("unknown key \"{key}\" in {place}; the nearest known key is \"{nearest}\"")]
    UnknownKey { key: String, place: String, nearest: String },
    /// A value of the wrong kind.
    #[error("{0}")]
    WrongType(String),
    /// Values that make no sense; all of them at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
}

/// Reads the configuration. `env` are the process's variables; of those that do not begin with `PILEHUB__` only systemd's
/// place of credentials is looked at.
///
/// # Errors
/// [`ConfigError`], which names the key and what to do.
pub(crate) fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    data_dir: Option<&Path>,
) -> Result<Config, ConfigError> {
    let defaults = defaults();
    let known = leaves(&defaults);
    let mut builder = config::Config::builder().add_source(source(&defaults.to_string()));
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        builder = builder.add_source(source(&checked_file(&text, &path.display().to_string(), &known)?));
    }
    let mut credentials = None;
    for (name, text) in env {
        if name.starts_with(ENV_PREFIX) {
            builder = with_variable(builder, &name, &text, &known)?;
        } else if name == CREDENTIALS_VARIABLE {
            credentials = Some(PathBuf::from(text));
        }
    }
    if let Some(dir) = data_dir {
        let dir = dir.to_string_lossy().into_owned();
        builder = builder.set_override("store.data_dir", dir).map_err(wrong_type)?;
    }
    let mut config: Config = builder.build().and_then(config::Config::try_deserialize).map_err(wrong_type)?;
    if let Some(file) = credentials.map(|dir| dir.join(MASTER_KEY_CREDENTIAL)).filter(|file| file.exists())
        && config.auth.master_key.is_empty()
        && config.auth.master_key_file.is_empty()
    {
        config.auth.master_key_file = file.to_string_lossy().into_owned();
    }
    let faults = check::faults(&config);
    if faults.is_empty() { Ok(config) } else { Err(ConfigError::Faults(faults)) }
}

/// The built-in configuration as a table; every key there is.
pub(super) fn defaults() -> Table {
    // A struct of numbers, texts and lists of texts always serialises.
    Table::try_from(Config::default()).unwrap_or_default()
}

fn source(text: &str) -> config::File<config::FileSourceString, FileFormat> {
    config::File::from_str(text, FileFormat::Toml)
}

fn checked_file(text: &str, place: &str, known: &[(String, &Value)]) -> Result<String, ConfigError> {
    let table: Table = text
        .parse()
        .map_err(|cause: toml::de::Error| ConfigError::NotToml { place: place.to_owned(), cause: cause.to_string() })?;
    for (key, _) in leaves(&table) {
        must_be_known(&key, place, known)?;
    }
    Ok(text.to_owned())
}

fn must_be_known<'a>(key: &str, place: &str, known: &[(String, &'a Value)]) -> Result<&'a Value, ConfigError> {
    if let Some((_, value)) = known.iter().find(|(name, _)| name == key) {
        return Ok(value);
    }
    let nearest = nearest(key, known.iter().map(|(name, _)| name.as_str())).unwrap_or_default().to_owned();
    Err(ConfigError::UnknownKey { key: key.to_owned(), place: place.to_owned(), nearest })
}

/// The kind of the default says how the text is read, so that a key of digits stays a text.
fn with_variable(
    builder: config::ConfigBuilder<DefaultState>,
    name: &str,
    text: &str,
    known: &[(String, &Value)],
) -> Result<config::ConfigBuilder<DefaultState>, ConfigError> {
    let key = name.strip_prefix(ENV_PREFIX).unwrap_or(name).to_ascii_lowercase().replace("__", ".");
    let bad = |expected: &str| {
        ConfigError::WrongType(format!("{key} in the variable {name} must be {expected}; change or unset the variable"))
    };
    let text = text.trim();
    match must_be_known(&key, &format!("the variable {name}"), known)? {
        Value::Integer(_) => {
            let number: i64 = text.parse().map_err(|_| bad("a whole number"))?;
            builder.set_override(key.as_str(), number)
        }
        Value::Boolean(_) => {
            let flag: bool = text.parse().map_err(|_| bad("true or false"))?;
            builder.set_override(key.as_str(), flag)
        }
        Value::Array(_) => {
            let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            builder.set_override(key.as_str(), items)
        }
        Value::String(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => {
            builder.set_override(key.as_str(), text)
        }
    }
    .map_err(wrong_type)
}

#[allow(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn wrong_type(error: config::ConfigError) -> ConfigError {
    ConfigError::WrongType(format!("a setting has the wrong type: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load(None, pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())), None)
    }

    #[test]
    fn without_a_file_the_defaults_hold_and_listen_on_loopback_only() {
        let config = with_env(&[]).unwrap();
        assert_eq!(config, Config::default());
        assert!(config.http.listen.starts_with("127.0.0.1:") && config.mqtt.listen.starts_with("127.0.0.1:"));
    }

    #[test]
    fn the_documented_file_has_every_key_and_equals_the_defaults() {
        let text = include_str!("../../../config/hub.toml");
        let (written, built_in): (Table, Table) = (text.parse().unwrap(), defaults());
        assert_eq!(written, built_in);
    }

    #[test]
    fn a_variable_is_read_as_the_kind_its_key_has() {
        let digits = "01234567890123456789012345678901";
        let config = with_env(&[
            ("PILEHUB__AUTH__JWT_KEY", digits),
            ("PILEHUB__PILE__STALE_AFTER_S", "7"),
            ("PILEHUB__WEBHOOK__ALLOW_LOCAL", "true"),
            ("PILEHUB__STORE__CQL__NODES", "a:9042, b:9042"),
            ("HOME", "/nowhere"),
        ])
        .unwrap();
        assert_eq!(config.auth.jwt_key, digits);
        assert_eq!(config.pile.stale_after_s, 7);
        assert!(config.webhook.allow_local);
        assert_eq!(config.store.cql.nodes, ["a:9042", "b:9042"]);
    }

    #[test]
    fn an_unknown_variable_names_the_nearest_key() {
        let error = with_env(&[("PILEHUB__PILE__STALE_AFTER", "7")]).unwrap_err().to_string();
        assert!(error.contains("pile.stale_after_s") && error.contains("PILEHUB__PILE__STALE_AFTER"), "{error}");
    }

    #[test]
    fn a_number_that_is_none_names_its_variable() {
        let error = with_env(&[("PILEHUB__PILE__STALE_AFTER_S", "soon")]).unwrap_err().to_string();
        assert!(error.contains("pile.stale_after_s") && error.contains("whole number"), "{error}");
    }
}
