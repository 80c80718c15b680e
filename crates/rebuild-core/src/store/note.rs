//! What is written down once, and counts from then on.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Name, Store};
use crate::error::{Error, Result};

/// What was written down under `name`, or nothing. `version` is that of its form.
///
/// # Errors
/// The store could not be read; what is there is damaged, or of another version.
pub(crate) async fn read_note<T: DeserializeOwned>(
    store: &Store,
    name: &Name,
    version: u32,
) -> Result<Option<T>> {
    if store.size(name).await?.is_none() {
        return Ok(None);
    }
    let bytes = store.get(name).await?;
    let damaged = |e| Error::corrupt(format!("{name} cannot be read")).caused_by(e);
    let value: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    if value["version"] != version {
        return Err(Error::corrupt(format!(
            "{name} is of version {}, and this program knows {version}",
            value["version"]
        )));
    }
    serde_json::from_value(value).map(Some).map_err(damaged)
}

/// Writes it down, and gives back what counts: if something is written down already, that.
///
/// *Repeats:* changes nothing. *Destroys:* nothing.
///
/// # Errors
/// The store could not be written.
pub(crate) async fn write_note<T: Serialize + DeserializeOwned>(
    store: &Store,
    name: &Name,
    version: u32,
    note: T,
) -> Result<T> {
    if let Some(first) = read_note(store, name, version).await? {
        return Ok(first);
    }
    let no_json = |e| Error::internal("a note has no JSON form").caused_by(e);
    let mut value = serde_json::to_value(&note).map_err(no_json)?;
    value["version"] = json!(version);
    let bytes = serde_json::to_vec_pretty(&value).map_err(no_json)?;
    store.put_new(name, bytes).await?;
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_word_counts_and_is_read_by_who_knows_its_form() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let url = url::Url::from_directory_path(folder.path().join("store")).expect("a path");
        let store = Store::open(url.as_str(), &crate::Environment::default()).await;
        let store = store.expect("a store");
        let name = Name::new("runs/a/note.json").expect("a name");
        let none: Option<Value> = read_note(&store, &name, 1).await.expect("an answer");
        assert_eq!(none, None);
        for word in ["first", "second"] {
            let counts = write_note(&store, &name, 1, json!({ "word": word })).await;
            assert_eq!(counts.expect("written")["word"], "first");
        }
        let other = read_note::<Value>(&store, &name, 2).await;
        let e = other.expect_err("another version").to_string();
        assert!(
            e.ends_with("is of version 1, and this program knows 2"),
            "{e}"
        );
    }
}
