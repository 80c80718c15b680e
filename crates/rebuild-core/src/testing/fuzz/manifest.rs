//! The manifest of a backup.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::damage::Damage;
use crate::postgres::{FORMAT, Manifest};
use crate::sealed;

/// Reads `data` as a manifest as it is, and once more with a checksum that is right: whoever
/// changes a backup on purpose writes one.
///
/// # Panics
/// A property does not hold.
pub fn manifest(data: &[u8]) {
    read(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(manifest) = sealed::again(text).and_then(|bytes| read(&bytes)) else {
        return;
    };
    let bytes = manifest.to_bytes().expect("a manifest has a JSON form");
    let again = Manifest::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(again, manifest);
    assert_eq!(again.to_bytes().expect("a JSON form"), bytes);
    let mut damage = Damage::of(data);
    for _ in 0..4 {
        assert!(Manifest::from_bytes(&damage.flipped(&bytes)).is_err());
        assert!(Manifest::from_bytes(&damage.cut(&bytes)).is_err());
    }
}

/// The manifest, if it is one, once what it says is seen to make sense.
fn read(bytes: &[u8]) -> Option<Manifest> {
    let manifest = match Manifest::from_bytes(bytes) {
        Ok(manifest) => manifest,
        Err(e) => {
            assert!(!e.to_string().is_empty());
            return None;
        }
    };
    assert!(manifest.format <= FORMAT);
    let mut files = BTreeSet::new();
    for (file, _, _) in manifest.expected_files() {
        let parts: Vec<Component<'_>> = Path::new(file).components().collect();
        assert!((1..=2).contains(&parts.len()), "{file}");
        assert!(parts.iter().all(|p| matches!(p, Component::Normal(_))));
        assert!(files.insert(file.to_owned()), "{file} is there twice");
        assert_eq!(manifest.file(file).is_ok(), is_no_chunk(&manifest, file));
    }
    assert!(!files.contains("manifest.json"));
    let tables: BTreeSet<_> = manifest.tables.iter().map(|t| &t.table).collect();
    assert_eq!(tables.len(), manifest.tables.len());
    let rows: u128 = manifest.tables.iter().map(|t| u128::from(t.rows)).sum();
    assert_eq!(u128::from(manifest.summary().rows), rows);
    let added: u128 = manifest
        .fingerprints()
        .iter()
        .map(|f| u128::from(f.rows))
        .sum();
    assert_eq!(added, rows);
    assert_eq!(manifest.digest().expect("a digest").len(), 64);
    Some(manifest)
}

fn is_no_chunk(manifest: &Manifest, file: &str) -> bool {
    manifest.files.iter().any(|f| f.file == file)
}
