//! What a dump is, and its SQL as a stream.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::object::{self, DumpFrom, DumpStream};
use crate::error::{Error, Result};
use crate::store::{Name, Store};

/// Where the mark of a tar file is, and the mark.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Bytes in one piece, and pieces that wait for their reader.
const PIECE: usize = 256 << 10;
const AHEAD: usize = 4;

/// How many bytes tell what a dump is.
pub(super) const HEAD: u64 = 512;

/// What a dump is.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// An archive that pg_restore reads: custom, directory or tar.
    Archive(PathBuf),
    /// A SQL file.
    File(PathBuf, Packing),
    /// SQL in a bucket.
    Object(Store, Name, Packing),
    /// SQL that somebody else reads.
    Stream(Arc<dyn DumpStream>, Packing),
}

/// How SQL is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// Under gzip.
    Gzip,
    /// Under zstd.
    Zstd,
}

impl Packing {
    /// By its first bytes; nothing if they are those of an archive, or none.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [] => None,
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            head if is_archive(head) => None,
            _ => Some(Self::Plain),
        }
    }
}

impl Source {
    /// Looks at what is there.
    ///
    /// # Errors
    /// There is nothing, or a folder that is no archive, or a compressed archive; a bucket could not be
    /// read.
    pub(super) async fn of(from: &DumpFrom) -> Result<Self> {
        match from {
            DumpFrom::Path(path) => Self::of_path(path),
            DumpFrom::Object(store, name) => {
                let packing = object::packing(store, name).await?;
                Ok(Self::Object(store.clone(), name.clone(), packing))
            }
            DumpFrom::Stream(stream) => {
                let packing = object::packing_of_stream(stream.as_ref()).await?;
                Ok(Self::Stream(stream.clone(), packing))
            }
        }
    }

    pub(super) fn of_path(path: &Path) -> Result<Self> {
        let shown = path.display();
        let cannot = |e| Error::usage(format!("the dump {shown} cannot be read")).caused_by(e);
        if path.is_dir() {
            return if path.join("toc.dat").is_file() {
                Ok(Self::Archive(path.to_owned()))
            } else {
                let what = format!("{shown} is a folder, and no archive of pg_dump: no toc.dat");
                Err(Error::usage(what))
            };
        }
        let mut file = File::open(path).map_err(cannot)?;
        let head = beginning(&mut file).map_err(cannot)?;
        let path = path.to_owned();
        let packing = match Packing::of(&head) {
            Some(packing) => packing,
            None if head.is_empty() => {
                return Err(Error::corrupt(format!("the dump {shown} is empty")));
            }
            None => return Ok(Self::Archive(path)),
        };
        file.rewind().map_err(cannot)?;
        let inner = match packing {
            Packing::Plain => return Ok(Self::File(path, packing)),
            Packing::Gzip => beginning(&mut flate2::read::MultiGzDecoder::new(file)),
            Packing::Zstd => {
                zstd::Decoder::new(file).and_then(|mut decoder| beginning(&mut decoder))
            }
        };
        let damaged = |e| Error::corrupt(format!("the dump {shown} is damaged")).caused_by(e);
        if is_archive(&inner.map_err(damaged)?) {
            let what = format!("{shown} is a compressed archive of pg_dump");
            return Err(Error::usage(what).hint("uncompress it; an archive compresses itself"));
        }
        Ok(Self::File(path, packing))
    }

    /// The SQL.
    ///
    /// # Errors
    /// It cannot be opened. An archive is not for here.
    pub(super) async fn open(&self) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        let opened = |path: &Path| {
            File::open(path).map_err(|e| {
                Error::usage(format!("the dump {} cannot be read", path.display())).caused_by(e)
            })
        };
        Ok(match self {
            Self::Archive(_) => return Err(Error::internal("an archive is read by pg_restore")),
            Self::Object(store, name, packing) => object::open(store, name, *packing).await?,
            Self::Stream(stream, packing) => object::unpacked(stream.open().await?, *packing),
            Self::File(path, Packing::Plain) => Box::new(tokio::fs::File::from_std(opened(path)?)),
            Self::File(path, Packing::Gzip) => {
                let file = opened(path)?;
                pieces(move || Ok(flate2::read::MultiGzDecoder::new(file)))
            }
            Self::File(path, Packing::Zstd) => {
                let file = opened(path)?;
                pieces(move || zstd::Decoder::new(file))
            }
        })
    }
}

fn beginning(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PGDMP")
        || head
            .get(TAR.0..)
            .is_some_and(|rest| rest.starts_with(TAR.1))
}

/// What the reader gives that `open` opens, in a thread of its own until nobody wants more. A decoder may
/// read, and so wait, as soon as it is made.
pub(super) fn pieces<R: Read>(
    open: impl FnOnce() -> std::io::Result<R> + Send + 'static,
) -> Box<dyn AsyncRead + Send + Unpin> {
    let (give, mut take) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            // Nobody who wants it is left if this is not taken.
            Err(e) => return drop(give.blocking_send(Err(e))),
        };
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => {
                    piece.truncate(n);
                    Ok(piece.into())
                }
                Err(e) => Err(e),
            };
            let failed = read.is_err();
            if give.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    let stream = futures::stream::poll_fn(move |cx| take.poll_recv(cx));
    Box::new(StreamReader::new(stream))
}
