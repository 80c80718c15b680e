//! Rows as CSV, compressed, for people and other programs.

use std::io::Write;

use bytes::BytesMut;
use zstd::stream::write::Encoder;

use crate::error::{Error, Result};
use crate::postgres::rows::copy_out::PieceWork;

/// Compressed bytes that are handed on at a time.
const PART: usize = 1 << 20;

/// Compresses a stream as one zstd frame.
pub(super) struct CsvPacker(Encoder<'static, Vec<u8>>);

impl CsvPacker {
    /// At zstd's `level`.
    ///
    /// # Errors
    /// zstd does not know the level.
    pub(super) fn new(level: i32) -> Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), level).map_err(compression)?;
        encoder.include_checksum(true).map_err(compression)?;
        Ok(Self(encoder))
    }

    /// The last bytes.
    ///
    /// # Errors
    /// zstd failed.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.finish().map_err(compression)
    }
}

impl PieceWork for CsvPacker {
    type Ready = Vec<u8>;

    fn take(&mut self, piece: BytesMut) -> Result<Option<Vec<u8>>> {
        self.0.write_all(&piece).map_err(compression)?;
        let out = self.0.get_mut();
        Ok((out.len() >= PART).then(|| std::mem::take(out)))
    }
}

fn compression(e: std::io::Error) -> Error {
    Error::internal("bytes could not be compressed").caused_by(e)
}
