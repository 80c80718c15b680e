//! Files of a backup that go into an export as they are.

use std::io::Write;

use futures::StreamExt;

use super::Export;
use crate::error::{Error, Result};
use crate::postgres::backup::zstd_stream::Inflater;

impl Export<'_> {
    /// Writes the file `name` of the backup to `out`, decompressed.
    ///
    /// # Errors
    /// It is missing or damaged, or `out` cannot be written.
    pub(super) async fn stored(&self, name: &str, out: &mut impl Write) -> Result<()> {
        let copied = self.copied(name, out).await;
        copied.map_err(|e| e.context(format!("could not export {name}")))
    }

    async fn copied(&self, name: &str, out: &mut impl Write) -> Result<()> {
        let entry = self.manifest.file(name)?;
        let mut hasher = blake3::Hasher::new();
        let mut inflater = match name.ends_with(".zst") {
            true => Some(Inflater::new()?),
            false => None,
        };
        let object = self.shelf.folder(&self.manifest.id)?.join(name)?;
        let mut pieces = self.shelf.store.stream(&object).await?;
        while let Some(piece) = pieces.next().await {
            self.ctx.check_stop("the export")?;
            let piece = piece?;
            hasher.update(&piece);
            match &mut inflater {
                Some(inflater) => inflater.feed(&piece, |plain| Ok(out.write_all(plain)?))?,
                None => out.write_all(&piece)?,
            }
        }
        if let Some(inflater) = inflater {
            inflater.end()?;
        }
        if hasher.finalize().to_hex().as_str() == entry.blake3 {
            return Ok(());
        }
        Err(Error::corrupt(
            "it does not have the checksum that the manifest says",
        ))
    }
}
