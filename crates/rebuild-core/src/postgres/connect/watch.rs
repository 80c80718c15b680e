//! What comes from a server: until the login is done, what it asks for before it has proven anything;
//! after that, how long its answers are.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>. The driver
//! answers whatever it is asked. So each message on its way to the driver is looked at first, and
//! what is not wanted ends the connection before the driver has seen it.

mod answers;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use self::answers::Answers;
use super::tls::Proof;
use crate::model::{Endpoint, Host, Logins};

/// The longest message before the login is done, in bytes: errors and notices are the long ones.
const LONGEST: u32 = 64 << 10;

/// The most that a server may say before the login is done, in bytes.
const MOST: usize = 1 << 20;

/// The ways to log in that are taken from the server of `endpoint`.
///
/// Without a word of the user: any, where the server is known for the right one, or where what is
/// sent stays with the owner of the socket or of the way there. Elsewhere whoever answers would
/// get the password.
pub(in crate::postgres) fn logins(endpoint: &Endpoint) -> Logins {
    let known = matches!(endpoint.host, Host::Socket(_))
        || endpoint.via.is_some()
        || Proof::of(endpoint) != Proof::Nothing;
    match endpoint.logins {
        Some(logins) => logins,
        None if known => Logins::ALL,
        None => Logins::WITHOUT_PASSWORDS,
    }
}

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Unwanted {
    Cleartext,
    Md5,
    Scram,
    Nothing,
    TooLong(u32),
    TooMuch,
    AnswerTooLong(u32),
    AnswerTooMuch,
}

impl Unwanted {
    /// What to do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Cleartext | Self::Md5 => {
                "verify the server's certificate (sslmode=verify-full); or let pg_hba.conf ask for scram-sha-256 and set the role's password anew under password_encryption = 'scram-sha-256'; or, if only this server can answer there, allow it: require_auth=md5"
            }
            Self::Scram | Self::Nothing => "see the connection's require_auth",
            Self::TooLong(_) | Self::TooMuch | Self::AnswerTooLong(_) | Self::AnswerTooMuch => {
                "is it a PostgreSQL server?"
            }
        }
    }
}

impl fmt::Display for Unwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cleartext => f.write_str(
                "the server asks for the password itself, and nothing proves which server it is",
            ),
            Self::Md5 => f.write_str(
                "the server asks for an MD5 hash of the password, and nothing proves which server it is",
            ),
            Self::Scram => f.write_str("the server asks for SCRAM, which is not allowed"),
            Self::Nothing => f.write_str("the server asks for no password, which is not allowed"),
            Self::TooLong(length) => {
                write!(f, "the server begins with a message of {length} bytes")
            }
            Self::TooMuch => f.write_str("the server does not come to the end of the login"),
            Self::AnswerTooLong(length) => {
                write!(f, "the server answers with a message of {length} bytes")
            }
            Self::AnswerTooMuch => f.write_str("an answer of the server does not come to its end"),
        }
    }
}

impl std::error::Error for Unwanted {}

/// What came of a look at some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen<'a> {
    /// The login goes on.
    Login,
    /// From here on it is TLS.
    Tls,
    /// The login is done. These bytes come next; so many of them belong to its last message.
    Done(usize, &'a [u8]),
}

/// What the next bytes from a server are, until the login is done.
#[derive(Clone, Copy, Debug)]
pub(in crate::postgres) struct Watch {
    logins: Logins,
    /// Whether the answer to the request for TLS comes first.
    before_tls: bool,
    /// Whether the server has asked for anything.
    asked: bool,
    /// Of a message: its type, its length, and the first four bytes of what it says.
    head: [u8; 9],
    filled: usize,
    /// Bytes of the message that are still to come.
    rest: usize,
    seen: usize,
}

impl Watch {
    /// Messages, from the first on.
    pub(in crate::postgres) fn messages(logins: Logins) -> Self {
        Self {
            logins,
            before_tls: false,
            asked: false,
            head: [0; 9],
            filled: 0,
            rest: 0,
            seen: 0,
        }
    }

    /// The answer to the request for TLS, and messages if it is no.
    pub(in crate::postgres) fn tls_answer(logins: Logins) -> Self {
        Self {
            before_tls: true,
            ..Self::messages(logins)
        }
    }

    /// Looks at the next bytes.
    fn see<'a>(&mut self, mut bytes: &'a [u8]) -> Result<Seen<'a>, Unwanted> {
        self.seen += bytes.len();
        if self.seen > MOST {
            return Err(Unwanted::TooMuch);
        }
        if let (true, Some((answer, more))) = (self.before_tls, bytes.split_first()) {
            self.before_tls = false;
            if *answer == b'S' {
                return Ok(Seen::Tls);
            }
            bytes = more;
        }
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            let Some((byte, more)) = bytes.split_first() else {
                break;
            };
            self.head[self.filled] = *byte;
            self.filled += 1;
            bytes = more;
            if self.whole_head()? {
                let done = self.message()?;
                if done {
                    return Ok(Seen::Done(self.rest, bytes));
                }
                self.filled = 0;
            }
        }
        Ok(Seen::Login)
    }

    /// True if all of the head is there that this message has.
    fn whole_head(&mut self) -> Result<bool, Unwanted> {
        if self.filled < 5 {
            return Ok(false);
        }
        let [kind, a, b, c, d, ..] = self.head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > LONGEST {
            return Err(Unwanted::TooLong(length));
        }
        // The length counts itself.
        let content = (length as usize).saturating_sub(4);
        let wanted = if kind == b'R' { content.min(4) } else { 0 };
        if self.filled < 5 + wanted {
            return Ok(false);
        }
        self.rest = content - wanted;
        Ok(true)
    }

    /// Judges the message whose head is there; true if it ends the login.
    fn message(&mut self) -> Result<bool, Unwanted> {
        let [kind, _, _, _, _, a, b, c, d] = self.head;
        if kind != b'R' {
            return Ok(kind == b'Z');
        }
        let (allowed, unwanted) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (self.asked || self.logins.nothing, Unwanted::Nothing),
            3 => (self.logins.cleartext, Unwanted::Cleartext),
            5 => (self.logins.md5, Unwanted::Md5),
            10 => (self.logins.scram, Unwanted::Scram),
            _ => return Ok(false),
        };
        self.asked = true;
        if allowed { Ok(false) } else { Err(unwanted) }
    }
}

/// How far a connection is.
#[derive(Clone, Copy)]
enum Stage {
    Login(Watch),
    Answers(Answers),
    /// It is TLS, which is looked at inside.
    Sealed,
}

impl Stage {
    fn see(&mut self, bytes: &[u8]) -> Result<(), Unwanted> {
        match self {
            Self::Login(watch) => match watch.see(bytes)? {
                Seen::Login => {}
                Seen::Tls => *self = Self::Sealed,
                Seen::Done(rest, more) => {
                    let mut answers = Answers::after(rest);
                    answers.see(more)?;
                    *self = Self::Answers(answers);
                }
            },
            Self::Answers(answers) => answers.see(bytes)?,
            Self::Sealed => {}
        }
        Ok(())
    }
}

/// A stream whose bytes from the server are looked at.
pub(in crate::postgres) struct Watched<S> {
    stream: S,
    stage: Stage,
}

impl<S> Watched<S> {
    /// Without a `watch`, it is TLS from the beginning.
    pub(in crate::postgres) fn new(stream: S, watch: Option<Watch>) -> Self {
        let stage = watch.map_or(Stage::Sealed, Stage::Login);
        Self { stream, stage }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Err(unwanted) = this.stage.see(&buf.filled()[before..]) {
            buf.set_filled(before);
            let e = io::Error::new(io::ErrorKind::InvalidData, unwanted);
            return Poll::Ready(Err(e));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Makes a TLS connection that is looked at, inside.
pub(in crate::postgres) struct WatchedTls<T> {
    pub(in crate::postgres) tls: T,
    pub(in crate::postgres) watch: Watch,
}

impl<S, T> TlsConnect<S> for WatchedTls<T>
where
    T: TlsConnect<S>,
    T::Future: Unpin,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = Connecting<T::Future>;

    fn connect(self, stream: S) -> Self::Future {
        Connecting {
            tls: self.tls.connect(stream),
            watch: self.watch,
        }
    }
}

/// A TLS connection in the making.
pub(in crate::postgres) struct Connecting<F> {
    tls: F,
    watch: Watch,
}

impl<S, E, F> Future for Connecting<F>
where
    F: Future<Output = Result<S, E>> + Unpin,
{
    type Output = Result<Watched<S>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = ready!(Pin::new(&mut self.tls).poll(cx))?;
        Poll::Ready(Ok(Watched::new(stream, Some(self.watch))))
    }
}

#[cfg(test)]
mod tests;
