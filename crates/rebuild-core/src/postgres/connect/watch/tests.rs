//! Servers that ask for what they must not have, or for more than a client has.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::postgres::{Environment, Session};

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).expect("short");
    [&[kind][..], &length.to_be_bytes(), content].concat()
}

fn request(code: u32, more: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], more].concat())
}

/// How a connection to a server ends that answers the client's first words with `said`, and what
/// else the client says to it.
async fn answered(said: Vec<u8>, more: &str) -> (String, Vec<u8>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut length = [0; 4];
        client.read_exact(&mut length).await.expect("a length");
        let length = u32::from_be_bytes(length) as usize;
        let mut startup = vec![0; length - 4];
        client.read_exact(&mut startup).await.expect("a startup");
        // One that has had enough may not read all of it.
        let _ = client.write_all(&said).await;
        // Its next words tell; then the server is gone, for it has no more to say.
        let mut rest = vec![0; 1024];
        let length = client.read(&mut rest).await.unwrap_or_default();
        rest.truncate(length);
        rest
    });
    let text = format!("host=127.0.0.1 port={port} user=u password=hunter2 {more}");
    let endpoint = Environment::default().endpoint(&text, false);
    let endpoint = endpoint.expect("an endpoint");
    let error = Session::open(&endpoint, "a test").await.err();
    let error = error.expect("no server");
    let shown = format!("{error:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    (shown, server.await.expect("the server"))
}

#[tokio::test]
async fn a_password_is_not_given_to_a_server_that_proves_nothing() {
    for (code, salt, expected) in [
        (3, &b""[..], "asks for the password itself"),
        (5, &b"salt"[..], "asks for an MD5 hash"),
    ] {
        let asks = request(code, salt);
        let (shown, rest) = answered(asks.clone(), "sslmode=disable").await;
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("scram-sha-256"), "no advice: {shown}");
        assert_eq!(rest, Vec::<u8>::new());
        // In pieces, and after something else.
        let notice = message(b'N', b"SWARNING\0Mhello\0\0");
        let (shown, rest) = answered([notice, asks.clone()].concat(), "sslmode=disable").await;
        assert!(shown.contains(expected), "{shown}");
        assert_eq!(rest, Vec::<u8>::new());
        // Whoever knows better may say so.
        let allowed = "sslmode=disable require_auth=password,md5";
        let (_, rest) = answered(asks, allowed).await;
        assert_eq!(rest.first(), Some(&b'p'), "a password message");
    }
    // Asked for nothing where a proof is wanted.
    let ok = request(0, b"");
    let (shown, _) = answered(ok, "sslmode=disable require_auth=scram-sha-256").await;
    assert!(shown.contains("asks for no password"), "{shown}");
}

#[tokio::test]
async fn a_server_that_says_too_much_is_cut_off() {
    let mut absurd = message(b'E', b"");
    absurd[1..5].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    let (shown, _) = answered(absurd, "sslmode=disable").await;
    assert!(shown.contains("a message of 2147483647 bytes"), "{shown}");

    let notice = message(b'N', &[b"SNOTICE\0M", &[b'x'; 9_000][..], b"\0\0"].concat());
    let endless = notice.repeat(MOST / notice.len() + 2);
    let began = [request(0, b""), endless].concat();
    let (shown, _) = answered(began, "sslmode=disable").await;
    assert!(shown.contains("does not come to the end"), "{shown}");
}

#[tokio::test]
async fn what_a_server_says_cannot_steer_the_terminal() {
    let error = b"SFATAL\0VFATAL\0C53400\0M\x1b]0;owned\x07\x1b[2Jgo away\0Hdo \x1b[31mthis\0\0";
    let (shown, _) = answered(message(b'E', error), "sslmode=disable").await;
    assert!(shown.contains("go away"), "{shown}");
    assert!(!shown.contains(['\x1b', '\x07']), "{shown:?}");
}

#[test]
fn messages_are_told_apart_in_pieces_of_any_size() {
    let startup = [
        request(10, b"SCRAM-SHA-256\0\0"),
        request(11, b"R\0\0\0\x08\0\0\0\x03"),
        message(b'S', b"TimeZone\0UTC\0"),
        request(0, b""),
        message(b'Z', b"I"),
        // Rows come after the login, and are none of its business.
        request(3, b""),
    ]
    .concat();
    for size in 1..=startup.len() {
        let mut watch = Watch::messages(Logins::WITHOUT_PASSWORDS);
        let mut seen = startup.chunks(size).enumerate();
        let ended = seen.find_map(|(at, piece)| match watch.see(piece).expect("wanted") {
            Seen::Done(1, more) => Some(startup.len().min((at + 1) * size) - more.len()),
            _ => None,
        });
        // Where the last message of the login says that a transaction may begin.
        assert_eq!(
            ended,
            Some(startup.len() - request(3, b"").len() - 1),
            "{size}"
        );
    }
    let mut tls = Watch::tls_answer(Logins::WITHOUT_PASSWORDS);
    assert_eq!(tls.see(b"S\x16\x03"), Ok(Seen::Tls));
    let mut plain = Watch::tls_answer(Logins::WITHOUT_PASSWORDS);
    let no = [b"N".to_vec(), request(3, b"")].concat();
    assert_eq!(plain.see(&no), Err(Unwanted::Cleartext));
}

/// How a session ends whose server answers its first question with `said`, in pieces of 64 KiB, until
/// nobody listens. Gives how many bytes it could say.
async fn asked(said: Vec<u8>) -> usize {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut heard = vec![0; 4096];
        let length = client.read(&mut heard).await.expect("a startup");
        assert!(length > 0);
        let login = [request(0, b""), message(b'Z', b"I")].concat();
        client.write_all(&login).await.expect("a client");
        let length = client.read(&mut heard).await.expect("a question");
        assert!(length > 0);
        let mut told = 0;
        for piece in said.chunks(64 << 10) {
            if client.write_all(piece).await.is_err() {
                return told;
            }
            told += piece.len();
        }
        // All of it was taken; what is wrong with it was seen at its end.
        let _ = client.read_to_end(&mut heard).await;
        told
    });
    let text = format!("host=127.0.0.1 port={port} user=u sslmode=disable");
    let endpoint = Environment::default().endpoint(&text, false);
    let endpoint = endpoint.expect("an endpoint");
    let ended = Session::open(&endpoint, "a test").await;
    let error = ended.err().expect("no answer");
    assert!(format!("{error:?}").contains("closed"), "{error:?}");
    server.await.expect("the server")
}

#[tokio::test]
async fn an_answer_of_absurd_length_is_not_waited_for() {
    const ROOM: usize = 8 << 20;
    // It says how long it is, and means it.
    for kind in [b'D', b'd', b'E'] {
        let mut absurd = message(kind, &vec![0; 32 << 20]);
        absurd[1..5].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        let told = asked(absurd).await;
        assert!(told < ROOM, "{told} bytes were taken");
    }
}

#[test]
fn answers_are_measured_and_rows_of_copy_are_not_added_up() {
    let head = |kind: u8, length: u32| [&[kind][..], &length.to_be_bytes()].concat();
    let see = |bytes: &[u8]| Answers::after(0).see(bytes);
    assert_eq!(see(&head(b'D', answers::LONGEST_ANSWER)), Ok(()));
    let longer = answers::LONGEST_ANSWER + 1;
    let refused = Err(Unwanted::AnswerTooLong(longer));
    assert_eq!(see(&head(b'D', longer)), refused);
    assert_eq!(see(&head(b'd', longer)), Ok(()), "a row that is passed on");
    let row = answers::LONGEST_ROW + 1;
    assert_eq!(see(&head(b'd', row)), Err(Unwanted::AnswerTooLong(row)));

    // As often as it takes, in pieces of odd sizes.
    let piece = 1 << 20;
    let most = usize::try_from(answers::MOST_OF_AN_ANSWER).expect("fits") / piece;
    let say = |answers: &mut Answers, kind: u8, times: usize| {
        let said = message(kind, &vec![0; piece - 4]);
        (0..times).try_for_each(|_| said.chunks(300_007).try_for_each(|part| answers.see(part)))
    };
    let mut answers = Answers::after(0);
    assert_eq!(
        say(&mut answers, b'd', most + 1),
        Ok(()),
        "they are not kept"
    );
    assert_eq!(say(&mut answers, b'D', most - 1), Ok(()));
    answers
        .see(&message(b'Z', b"I"))
        .expect("the end of an answer");
    assert_eq!(say(&mut answers, b'D', most), Ok(()), "another answer");
    assert_eq!(say(&mut answers, b'D', 1), Err(Unwanted::AnswerTooMuch));
}
