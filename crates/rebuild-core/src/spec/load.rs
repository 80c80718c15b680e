//! From a file to a [`Spec`].

use std::path::Path;

use serde::Deserialize;

use super::{Spec, VERSION, expand, locate, rules};
use crate::error::{Error, Result};

/// Reads the spec at `path`. `lookup` knows the environment's variables.
///
/// # Errors
/// The file cannot be read, is not a spec, or names a variable that is not set: with file, line,
/// column and key.
pub fn load(path: &Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Spec> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::usage(format!("could not read the spec {}", path.display()))
            .caused_by(e)
            .hint("write one with: rebuild init")
    })?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    parse(&text, &path.display().to_string(), folder, lookup)
}

/// Reads a spec from `text`, called `name` in errors, with paths relative to `folder`.
///
/// ```
/// use std::path::Path;
///
/// let text = "version = 1\n[target]\nurl = \"${URL}\"\n[store]\nurl = \"store\"\n";
/// let lookup = |name: &str| (name == "URL").then(|| "postgres://localhost/app".to_owned());
/// let spec = rebuild_core::spec::parse(text, "rebuild.toml", Path::new("."), &lookup)?;
/// assert!(spec.quiesce.read_only);
/// # Ok::<(), rebuild_core::Error>(())
/// ```
///
/// # Errors
/// As [`load`].
pub fn parse(
    text: &str,
    name: &str,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Spec> {
    let at = |offset: usize, message: &str| {
        let (line, column) = locate::position(text, offset);
        let key = locate::key_at(text, offset).map_or_else(String::new, |k| format!("{k}: "));
        Error::usage(format!("{name}:{line}:{column}: {key}{message}"))
    };
    // Once as it is written, so that errors have a place in the file.
    if let Err(e) = toml::from_str::<Spec>(text) {
        let offset = e.span().map_or(0, |s| s.start);
        return Err(locate::suggest(at(offset, e.message()), e.message()));
    }
    for (_, offset, value) in locate::texts(text) {
        if let Err(e) = expand::expand(&value, lookup) {
            let located = at(offset, &e.to_string());
            return Err(match e.advice() {
                Some(hint) => located.hint(hint),
                None => located,
            });
        }
    }
    let value: toml::Value =
        toml::from_str(text).map_err(|e| Error::usage(format!("{name}: {}", e.message())))?;
    let value = serde_json::to_value(value)
        .map_err(|e| Error::usage(format!("{name} holds what a spec cannot")).caused_by(e))?;
    build(value, folder, lookup).map_err(|e| {
        let message = format!("{name}: {e}");
        match e.advice() {
            Some(hint) => Error::usage(message).hint(hint),
            None => Error::usage(message),
        }
    })
}

/// Reads a spec from a JSON value of the same shape, with paths relative to `folder`.
///
/// # Errors
/// The value is not a spec, or names a variable that is not set.
pub fn from_value(
    value: serde_json::Value,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Spec> {
    build(value, folder, lookup)
}

fn build(
    mut value: serde_json::Value,
    folder: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Spec> {
    let digest = blake3::hash(value.to_string().as_bytes()).to_hex();
    expand_all(&mut value, lookup)?;
    let mut spec = Spec::deserialize(value).map_err(|e| {
        let message = e.to_string();
        locate::suggest(Error::usage(message.clone()), &message)
    })?;
    if spec.version != VERSION {
        return Err(Error::usage(format!(
            "version: this program reads specs of version {VERSION}, not {}",
            spec.version
        )));
    }
    spec.folder = folder.to_path_buf();
    spec.digest = digest.to_string();
    rules::check(&spec)?;
    Ok(spec)
}

fn expand_all(
    value: &mut serde_json::Value,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<()> {
    match value {
        serde_json::Value::String(text) => *text = expand::expand(text, lookup)?,
        serde_json::Value::Array(values) => {
            for value in values {
                expand_all(value, lookup)?;
            }
        }
        serde_json::Value::Object(members) => {
            for value in members.values_mut() {
                expand_all(value, lookup)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The JSON Schema of the spec, for editors that complete and check it.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Spec).to_value()
}
