//! Packing rows into chunks: each a complete COPY stream, compressed.

use std::io::{Cursor, Read};

use zstd::bulk::Compressor;
use zstd::stream::read::Decoder;

use super::scan::{BINARY_HEADER, BINARY_TRAILER, RowScanner, Tally};
use crate::error::{Error, Result};
use crate::model::RowForm;

/// Rows are compressed once this many bytes of them are there. The compressor is quickest, and
/// finds most, where all that it looks at lies in one piece; much more than this gains nothing.
const FRAME: usize = 4 << 20;

/// A finished chunk, ready for the store.
#[derive(Debug)]
pub(crate) struct PackedChunk {
    /// The stored bytes: zstd frames, each with its own checksum.
    pub stored: Vec<u8>,
    /// Bytes of the COPY stream inside.
    pub raw_bytes: u64,
    /// Rows inside.
    pub rows: u64,
    /// BLAKE3 of the stored bytes, in hexadecimal.
    pub checksum: String,
}

/// Takes one COPY stream, cut anywhere, and makes chunks of whole rows.
pub(crate) struct Packer {
    form: RowForm,
    chunk_bytes: u64,
    stored_bytes: u64,
    frame_bytes: usize,
    scanner: RowScanner,
    tally: Tally,
    compressor: Compressor<'static>,
    /// Rows that wait for their frame to be full.
    waiting: Vec<u8>,
    open: Option<OpenChunk>,
}

#[derive(Default)]
struct OpenChunk {
    stored: Vec<u8>,
    /// Bytes that are in frames already.
    raw_bytes: u64,
    rows_before: u64,
}

impl Packer {
    /// Chunks of about `chunk_bytes` before compression at `level`. A row is never divided, so a
    /// chunk may be larger by one row.
    ///
    /// # Errors
    /// zstd knows no such level.
    pub(crate) fn new(form: RowForm, columns: usize, level: i32, chunk_bytes: u64) -> Result<Self> {
        let mut compressor = Compressor::new(level).map_err(compression)?;
        compressor.include_checksum(true).map_err(compression)?;
        Ok(Self {
            form,
            chunk_bytes,
            stored_bytes: u64::MAX,
            frame_bytes: FRAME,
            scanner: RowScanner::new(form),
            tally: Tally::new(columns),
            compressor,
            waiting: Vec::new(),
            open: None,
        })
    }

    /// Ends a chunk also when it has about `stored_bytes` after compression: that is what it
    /// takes of memory, which matters where rows do not compress.
    #[must_use]
    pub(crate) fn bounded(mut self, stored_bytes: u64) -> Self {
        self.stored_bytes = stored_bytes;
        self.frame_bytes = usize::try_from(stored_bytes).unwrap_or(FRAME).min(FRAME);
        self
    }

    /// Takes the next piece of the stream; returns the chunk that it filled, if it did.
    ///
    /// # Errors
    /// The bytes are no COPY stream.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Option<PackedChunk>> {
        let rows_before = self.tally.rows;
        let (form, waiting, open) = (self.form, &mut self.waiting, &mut self.open);
        self.scanner.feed(piece, &mut self.tally, |rows| {
            if rows.is_empty() {
                return Ok(());
            }
            if open.is_none() {
                *open = Some(OpenChunk {
                    rows_before,
                    ..OpenChunk::default()
                });
                if form == RowForm::Binary {
                    waiting.extend_from_slice(BINARY_HEADER);
                }
            }
            waiting.extend_from_slice(rows);
            Ok(())
        })?;
        let Some(open) = &self.open else {
            return Ok(None);
        };
        let raw_bytes = open.raw_bytes + self.waiting.len() as u64;
        if raw_bytes >= self.chunk_bytes {
            return self.close();
        }
        if self.waiting.len() >= self.frame_bytes {
            self.frame()?;
        }
        // Rows that do not compress make a frame as large as they are.
        let next = self.frame_bytes as u64;
        match &self.open {
            Some(open) if open.stored.len() as u64 + next > self.stored_bytes => self.close(),
            _ => Ok(None),
        }
    }

    /// Ends the stream; returns the last chunk, if any row is left, and the sum of all rows.
    ///
    /// # Errors
    /// The stream was cut off.
    pub(crate) fn finish(mut self) -> Result<(Option<PackedChunk>, Tally)> {
        self.scanner.end()?;
        let last = self.close()?;
        Ok((last, self.tally))
    }

    /// Compresses what waits.
    fn frame(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let frame = self.compressor.compress(&self.waiting);
        let frame = frame.map_err(compression)?;
        // Not twice as much as is needed, which is how a vector grows by itself.
        open.stored.reserve_exact(frame.len());
        open.stored.extend_from_slice(&frame);
        open.raw_bytes += self.waiting.len() as u64;
        self.waiting.clear();
        // One long row must not be remembered for ever.
        self.waiting.shrink_to(2 * FRAME);
        Ok(())
    }

    fn close(&mut self) -> Result<Option<PackedChunk>> {
        if self.open.is_some() && self.form == RowForm::Binary {
            self.waiting.extend_from_slice(BINARY_TRAILER);
        }
        if !self.waiting.is_empty() {
            self.frame()?;
        }
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        Ok(Some(PackedChunk {
            checksum: checksum(&open.stored),
            stored: open.stored,
            raw_bytes: open.raw_bytes,
            rows: self.tally.rows - open.rows_before,
        }))
    }
}

fn compression(e: std::io::Error) -> Error {
    Error::internal("rows could not be compressed").caused_by(e)
}

/// BLAKE3 of `bytes`, in hexadecimal.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Reads the COPY stream in a stored chunk back, piece by piece, and never more of it than
/// `raw_bytes`.
pub(crate) struct Unpacker {
    decoder: Decoder<'static, Cursor<bytes::Bytes>>,
    left: u64,
}

impl Unpacker {
    /// A reader of `stored`, which must hold exactly `raw_bytes`.
    ///
    /// # Errors
    /// It cannot be read as zstd.
    pub(crate) fn new(stored: bytes::Bytes, raw_bytes: u64) -> Result<Self> {
        let decoder = Decoder::with_buffer(Cursor::new(stored)).map_err(damaged)?;
        Ok(Self {
            decoder,
            left: raw_bytes,
        })
    }

    /// The next piece, of at most `size` bytes; empty at the end.
    ///
    /// # Errors
    /// The frame is damaged, or holds more or less than was promised.
    pub(crate) fn next_piece(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(size);
        let limit = size as u64;
        self.decoder
            .by_ref()
            .take(limit)
            .read_to_end(&mut piece)
            .map_err(damaged)?;
        self.left = self
            .left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| Error::corrupt("the chunk holds more than its manifest says"))?;
        if piece.is_empty() && self.left > 0 {
            return Err(Error::corrupt(
                "the chunk holds less than its manifest says",
            ));
        }
        Ok(piece)
    }
}

fn damaged(e: std::io::Error) -> Error {
    Error::corrupt("the chunk cannot be decompressed").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(
        form: RowForm,
        stream: &[u8],
        chunk_bytes: u64,
        piece: usize,
    ) -> (Vec<PackedChunk>, Tally) {
        let mut packer = Packer::new(form, 1, 1, chunk_bytes).expect("level 1");
        let mut chunks = Vec::new();
        for piece in stream.chunks(piece) {
            chunks.extend(packer.push(piece).expect("packed"));
        }
        let (last, tally) = packer.finish().expect("whole");
        chunks.extend(last);
        (chunks, tally)
    }

    fn unpack(chunk: &PackedChunk) -> Vec<u8> {
        let mut unpacker =
            Unpacker::new(chunk.stored.clone().into(), chunk.raw_bytes).expect("zstd");
        let mut out = Vec::new();
        loop {
            let piece = unpacker.next_piece(3).expect("piece");
            if piece.is_empty() {
                return out;
            }
            out.extend(piece);
        }
    }

    #[test]
    fn chunks_are_whole_streams_and_together_the_table() {
        let text: Vec<u8> = (0..100)
            .flat_map(|i| format!("row {i}\n").into_bytes())
            .collect();
        let (chunks, tally) = pack(RowForm::Text, &text, 64, 5);
        assert!(chunks.len() > 5);
        assert_eq!(chunks.iter().map(|c| c.rows).sum::<u64>(), 100);
        assert_eq!(tally.rows, 100);
        assert_eq!(chunks.iter().flat_map(unpack).collect::<Vec<u8>>(), text);

        let mut binary = BINARY_HEADER.to_vec();
        for i in 0..100u32 {
            binary.extend(1i16.to_be_bytes());
            binary.extend(4i32.to_be_bytes());
            binary.extend(i.to_be_bytes());
        }
        binary.extend(BINARY_TRAILER);
        let (chunks, whole) = pack(RowForm::Binary, &binary, 64, 7);
        assert!(chunks.len() > 5);
        let mut sum = Tally::new(1);
        for chunk in &chunks {
            let mut part = Tally::new(1);
            let mut scanner = RowScanner::new(RowForm::Binary);
            let stream = unpack(chunk);
            scanner
                .feed(&stream, &mut part, |_| Ok(()))
                .expect("a stream of its own");
            scanner.end().expect("whole");
            assert_eq!(part.rows, chunk.rows);
            sum.merge(&part);
        }
        assert_eq!(sum, whole);
    }

    #[test]
    fn rows_that_do_not_compress_make_smaller_chunks() {
        let mut seed = 1u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:016x}", seed)
        };
        let mut packer = Packer::new(RowForm::Text, 1, 1, u64::MAX)
            .expect("level 1")
            .bounded(200 << 10);
        let mut chunks = Vec::new();
        for _ in 0..100 {
            let rows: String = (0..1000).map(|_| noise() + "\n").collect();
            chunks.extend(packer.push(rows.as_bytes()).expect("packed"));
        }
        let (last, tally) = packer.finish().expect("whole");
        chunks.extend(last);
        assert!(chunks.len() > 3, "{}", chunks.len());
        assert!(chunks.iter().all(|c| c.stored.len() < 500 << 10));
        assert_eq!(chunks.iter().map(|c| c.rows).sum::<u64>(), tally.rows);
    }

    #[test]
    fn an_empty_table_has_no_chunk() {
        let empty = [BINARY_HEADER.as_slice(), BINARY_TRAILER].concat();
        let (chunks, tally) = pack(RowForm::Binary, &empty, 64, 4);
        assert!(chunks.is_empty());
        assert_eq!(tally, Tally::new(1));
    }

    #[test]
    fn what_does_not_match_its_size_is_refused() {
        let (chunks, _) = pack(RowForm::Text, b"abc\ndef\n", 1 << 20, 64);
        for raw_bytes in [0, 7, 9, u64::MAX] {
            let mut unpacker =
                Unpacker::new(chunks[0].stored.clone().into(), raw_bytes).expect("zstd");
            let mut seen = 0;
            let end = loop {
                match unpacker.next_piece(5) {
                    Ok(piece) if piece.is_empty() => break Ok(()),
                    Ok(piece) => seen += piece.len(),
                    Err(e) => break Err(e),
                }
            };
            assert!(end.is_err(), "{raw_bytes}");
            assert!(seen <= 8);
        }
    }
}
