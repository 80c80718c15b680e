//! A process that outlives ours by just long enough to clean up after it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::account::Account;
use crate::error::{Error, ErrorKind, Result};

/// Waits until its input ends, which it does when our process closes it or dies, however it dies.
/// Then it stops the server and removes its folder. `$1` is the folder, `$2` the programs'.
/// More tries are for files that a dying server still wrote. The folder itself may be in one where
/// only its maker may remove it; empty is enough then.
const SCRIPT: &str = r#"
read -r _
if [ -f "$1/data/postmaster.pid" ]; then
    "$2/pg_ctl" -D "$1/data" -m immediate -w -t 30 stop
fi
for _ in 1 2 3 4 5; do
    rm -rf "$1"
    [ -n "$(ls -A "$1" 2>/dev/null)" ] || exit 0
    sleep 0.2
done
exit 1
"#;

/// Cleans up after a server when dropped, or when this process ends without dropping it.
pub(super) struct Keeper(Child);

impl Keeper {
    /// Starts to watch over the server in `dir`.
    pub(super) fn start(dir: &Path, bin_dir: &Path, account: Option<&Account>) -> Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "rebuild-keeper"])
            .arg(dir)
            .arg(bin_dir)
            .current_dir("/")
            // Ctrl-C and a test runner's kill go to whole process groups.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(account) = account {
            account.run(&mut command);
        }
        let child = command
            .spawn()
            .map_err(|e| Error::new(ErrorKind::Program, "could not run /bin/sh").caused_by(e))?;
        Ok(Self(child))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nobody is left to tell if it fails or hangs; the folder's owner removes it all the same.
        let deadline = Instant::now() + Duration::from_secs(40);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
