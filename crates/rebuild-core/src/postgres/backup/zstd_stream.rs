//! Reading one zstd frame that arrives in pieces.

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::error::{Error, Result};

const PIECE: usize = 256 * 1024;

/// Decompresses a single frame, checksum included, with a bounded amount of memory.
pub(super) struct Inflater {
    decoder: Decoder<'static>,
    out: Vec<u8>,
    ended: bool,
}

impl Inflater {
    /// At the beginning of a frame.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            decoder: Decoder::new().map_err(damaged)?,
            out: vec![0; PIECE],
            ended: false,
        })
    }

    /// Takes the next piece and gives what it decompresses to, bit by bit, to `plain`.
    ///
    /// # Errors
    /// It is no zstd frame, something comes after its end, or `plain` failed.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        mut plain: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut input = InBuffer::around(piece);
        loop {
            if self.ended && input.pos() < piece.len() {
                return Err(Error::corrupt("something comes after the end of its frame"));
            }
            let mut out = OutBuffer::around(&mut self.out[..]);
            let hint = self.decoder.run(&mut input, &mut out).map_err(damaged)?;
            let full = out.pos() == PIECE;
            self.ended = hint == 0;
            plain(out.as_slice())?;
            if input.pos() == piece.len() && (self.ended || !full) {
                return Ok(());
            }
        }
    }

    /// Called when there is nothing more.
    ///
    /// # Errors
    /// The frame is cut off.
    pub(super) fn end(self) -> Result<()> {
        if self.ended {
            Ok(())
        } else {
            Err(Error::corrupt("its frame is cut off"))
        }
    }
}

fn damaged(e: std::io::Error) -> Error {
    Error::corrupt("it cannot be decompressed").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_in_any_pieces_and_only_whole() {
        let plain: Vec<u8> = (0..700_000u32)
            .flat_map(|i| (i % 251).to_le_bytes())
            .collect();
        let frame = zstd::encode_all(plain.as_slice(), 1).expect("frame");
        for size in [1, 7, 1000, frame.len()] {
            let mut inflater = Inflater::new().expect("zstd");
            let mut seen = Vec::new();
            for piece in frame.chunks(size) {
                let take = |bytes: &[u8]| {
                    seen.extend_from_slice(bytes);
                    Ok(())
                };
                inflater.feed(piece, take).expect("fine");
            }
            inflater.end().expect("whole");
            assert!(seen == plain);
        }
        let mut cut = Inflater::new().expect("zstd");
        cut.feed(&frame[..frame.len() - 1], |_| Ok(()))
            .expect("so far");
        assert!(cut.end().is_err());
        let mut more = Inflater::new().expect("zstd");
        let twice = [frame.as_slice(), b"x"].concat();
        assert!(more.feed(&twice, |_| Ok(())).is_err());
    }
}
