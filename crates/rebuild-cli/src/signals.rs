//! Ctrl-C: once stops at a safe point, twice leaves at once. Both can be resumed.

use tokio_util::sync::CancellationToken;

use crate::output::say;

/// A token that is cancelled by the first SIGINT, SIGTERM or SIGHUP; the second ends the process.
pub(crate) fn stop_token() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        wait().await;
        stop.cancel();
        say("\nstopping at the next safe point; once more leaves at once (both can be resumed)");
        wait().await;
        std::process::exit(i32::from(crate::exit::Code::Halted as u8));
    });
    token
}

async fn wait() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    match signals {
        (Ok(mut int), Ok(mut term), Ok(mut hup)) => {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
        }
        // Without handlers the signals end the process as they always do, which is safe too.
        _ => std::future::pending().await,
    }
}
