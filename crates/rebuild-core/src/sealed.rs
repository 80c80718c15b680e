//! Documents that carry their own checksum: JSON whose last member is the BLAKE3 of everything
//! before it.

use serde::Serialize;

use crate::error::{Error, Result};

/// What stands between the last member of the document and its checksum.
const SEAL: &str = ",\n  \"blake3\": \"";
const SEAL_END: &str = "\"\n}\n";
const HEX: usize = 64;

/// `document`, a JSON object with at least one member, with its checksum.
///
/// # Errors
/// It has no such form.
pub(crate) fn seal(document: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_string_pretty(document)
        .map_err(|e| Error::internal("a document cannot be written as JSON").caused_by(e))?;
    let body = json
        .strip_suffix("\n}")
        .ok_or_else(|| Error::internal("a document is no JSON object"))?;
    let hash = blake3::hash(body.as_bytes()).to_hex();
    Ok(format!("{body}{SEAL}{hash}{SEAL_END}").into_bytes())
}

/// True if `bytes` are a document as [`seal`] wrote it.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let Some(split) = bytes.len().checked_sub(SEAL.len() + HEX + SEAL_END.len()) else {
        return false;
    };
    let (body, seal) = bytes.split_at(split);
    let hash = blake3::hash(body).to_hex();
    seal == format!("{SEAL}{hash}{SEAL_END}").as_bytes()
}
