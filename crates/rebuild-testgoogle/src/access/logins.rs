//! Who gets into an instance's server with a token in the place of a password. The server asks by RADIUS
//! (<https://datatracker.ietf.org/doc/html/rfc2865>), where the real one asks IAM
//! (<https://cloud.google.com/sql/docs/postgres/iam-logins>).

use std::io;
use std::net::UdpSocket as Socket;
use std::sync::Arc;

use md5::{Digest, Md5};
use tokio::net::UdpSocket;

use super::random;
use crate::state::State;

const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCESS_REJECT: u8 = 3;
const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;

/// Where servers ask, and what only they and we know.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    pub(crate) port: u16,
    pub(crate) secret: String,
}

impl Logins {
    /// The place to ask, where nobody answers yet.
    pub(crate) fn bind() -> io::Result<(Self, Socket)> {
        let socket = Socket::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        let secret = random();
        Ok((Self { port, secret }, socket))
    }

    /// What a server's `pg_hba.conf` says of it.
    pub(crate) fn method(&self) -> String {
        format!(
            "radius radiusservers=\"127.0.0.1\" radiussecrets=\"{}\" radiusports=\"{}\"",
            self.secret, self.port
        )
    }
}

/// Answers until the server of the APIs ends.
pub(crate) async fn answer(state: Arc<State>, socket: Socket) {
    let Ok(socket) = UdpSocket::from_std(socket) else {
        return;
    };
    let mut stop = state.stop.subscribe();
    let mut packet = [0; 4096];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut packet) => received,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((length, from)) = received else {
            continue;
        };
        let secret = state.logins.secret.as_bytes();
        let Some(asked) = Asked::read(&packet[..length], secret) else {
            continue;
        };
        let accepted = state.access().may_log_in(&asked.user, &asked.password);
        // Whoever asked asks again if this is lost.
        let _ = socket.send_to(&asked.answer(accepted, secret), from).await;
    }
}

/// A login that a server asks about.
struct Asked {
    id: u8,
    authenticator: [u8; 16],
    user: String,
    password: String,
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

impl Asked {
    fn read(packet: &[u8], secret: &[u8]) -> Option<Self> {
        let (head, mut rest) = packet.split_at_checked(20)?;
        if head[0] != ACCESS_REQUEST {
            return None;
        }
        let authenticator: [u8; 16] = head[4..].try_into().ok()?;
        let (mut user, mut hidden) = (Vec::new(), Vec::new());
        while let [kind, length, ..] = *rest {
            let (attribute, next) = rest.split_at_checked(usize::from(length).max(2))?;
            match kind {
                USER_NAME => user = attribute[2..].to_vec(),
                USER_PASSWORD => hidden = attribute[2..].to_vec(),
                _ => {}
            }
            rest = next;
        }
        Some(Self {
            id: head[1],
            authenticator,
            user: String::from_utf8(user).ok()?,
            password: shown(&hidden, &authenticator, secret)?,
        })
    }

    /// The answer proves by the secret whose it is.
    fn answer(&self, accepted: bool, secret: &[u8]) -> Vec<u8> {
        let code = if accepted {
            ACCESS_ACCEPT
        } else {
            ACCESS_REJECT
        };
        let mut packet = vec![code, self.id, 0, 20];
        let proof = digest(&[&packet, &self.authenticator, secret]);
        packet.extend(proof);
        packet
    }
}

/// A password that was hidden by the secret
/// (<https://datatracker.ietf.org/doc/html/rfc2865#section-5.2>).
fn shown(hidden: &[u8], authenticator: &[u8; 16], secret: &[u8]) -> Option<String> {
    let mut last: &[u8] = authenticator;
    let mut shown = Vec::new();
    for block in hidden.chunks(16) {
        let mask = digest(&[secret, last]);
        shown.extend(block.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        last = block;
    }
    let end = shown
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |n| n + 1);
    shown.truncate(end);
    String::from_utf8(shown).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard: <https://datatracker.ietf.org/doc/html/rfc2865#section-7.1>.
    #[test]
    fn the_example_of_the_standard_is_understood() {
        let text = "0100003 80f403f9473978057bd83d5cb98f4227a01066e656d6f0212\
                    0dbe708d93d413ce3196e43f782a0aee0406c0a8011005060000000 3";
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("text"), 16);
        let packet: Vec<u8> = digits
            .chunks(2)
            .map(|two| byte(two).expect("hex"))
            .collect();
        let asked = Asked::read(&packet, b"xyzzy5461").expect("a request");
        assert_eq!((&*asked.user, &*asked.password), ("nemo", "arctangent"));
    }
}
