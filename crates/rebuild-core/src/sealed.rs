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
    Ok(with_seal(body))
}

fn with_seal(body: &str) -> Vec<u8> {
    let hash = blake3::hash(body.as_bytes()).to_hex();
    format!("{body}{SEAL}{hash}{SEAL_END}").into_bytes()
}

/// `text`, which ends like an object, with a checksum that fits; an older one goes.
#[cfg(all(feature = "postgres", any(test, feature = "testing")))]
pub(crate) fn again(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end().strip_suffix('}')?.trim_end();
    let body = body.rfind(SEAL).map_or(body, |at| &body[..at]);
    Some(with_seal(body))
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
