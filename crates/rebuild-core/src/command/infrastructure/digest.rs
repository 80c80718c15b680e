//! The digest of what was planned.

use serde_json::Value;

/// The digest of changes: `about` (the tool, the workspace, the targets) and then each change with
/// its values, in order.
pub(super) fn digest<'a>(about: &'a Value, changes: impl IntoIterator<Item = &'a Value>) -> String {
    let mut hasher = blake3::Hasher::new();
    for value in std::iter::once(about).chain(changes) {
        let text = value.to_string();
        // The length says where one ends, so that no two lists of changes read the same.
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
