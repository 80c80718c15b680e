//! Running the program under test.

use std::future::Ready;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// No run of these small databases takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A moment of a run that it tells of: an event, and the step it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The event's kind, as in the stream of events.
    pub event: String,
    /// The step's id.
    pub step: String,
}

impl Point {
    /// The moment at which `event` is told of `step`.
    pub fn new(event: &str, step: &str) -> Self {
        Self {
            event: event.to_owned(),
            step: step.to_owned(),
        }
    }

    /// The point that a line of stderr tells of, if it is about a step.
    fn of(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        Some(Self::new(event["event"].as_str()?, event["step"].as_str()?))
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Run {
    status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Run {
    /// The exit code; a signal has none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// True if SIGKILL ended it, and not the program itself.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(Signal::KILL.as_raw())
    }

    /// Fails the test unless the program ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            Some(code),
            "{:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is not JSON ({e}):\n{}", self.stdout))
    }

    /// Each step that began, ended, or was undone, in order.
    pub fn points(&self) -> Vec<Point> {
        self.stderr.lines().filter_map(Point::of).collect()
    }
}

/// Where somebody types commands: a folder with a spec and its store.
pub struct Desk {
    /// The folder.
    pub folder: PathBuf,
    /// Variables that the program gets besides those by which it finds the server.
    pub environment: Vec<(String, String)>,
    /// The name that is typed before anything is destroyed that holds data elsewhere.
    pub confirmed: Option<&'static str>,
    server: Vec<(&'static str, String)>,
    tools: PathBuf,
}

impl Desk {
    /// A desk in `folder`, with PostgreSQL's programs in `tools`, and the variables by which they
    /// find a server.
    pub fn new(folder: PathBuf, tools: PathBuf, server: Vec<(&'static str, String)>) -> Self {
        Self {
            folder,
            environment: Vec::new(),
            confirmed: None,
            server,
            tools,
        }
    }

    /// Its spec.
    pub fn spec_file(&self) -> PathBuf {
        self.folder.join("rebuild.toml")
    }

    /// The folder that is its store.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Replaces `old` in the spec, where it must stand once.
    pub fn edit_spec(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.spec_file()).expect("the spec");
        assert_eq!(text.matches(old).count(), 1, "{old:?} in the spec");
        std::fs::write(self.spec_file(), text.replace(old, new)).expect("the spec");
    }

    /// Adds to the end of the spec.
    pub fn add_to_spec(&self, more: &str) {
        let text = std::fs::read_to_string(self.spec_file()).expect("the spec");
        std::fs::write(self.spec_file(), text + more).expect("the spec");
    }

    /// The variables by which programs find the server.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.server
    }

    /// `run`, `resume` or `rollback`, with the name typed where it is needed.
    pub fn typed(&self, verb: &'static str) -> Vec<&'static str> {
        let name = self.confirmed.filter(|_| verb != "resume");
        let confirmed = name.map_or(vec![], |name| vec!["--confirm", name]);
        [vec![verb], confirmed].concat()
    }

    /// Runs `rebuild ARGS` in the folder until it ends.
    pub async fn rebuild(&self, args: &[&str]) -> Run {
        finish(self.start(args), None::<(&Point, fn(Pid) -> Ready<()>)>).await
    }

    /// The same, with its results as JSON on stdout and its events on stderr.
    pub async fn rebuild_json(&self, args: &[&str]) -> Run {
        self.rebuild(&[&["--output", "json"], args].concat()).await
    }

    /// Runs `rebuild ARGS`, and sends `signal` as soon as it tells of `point`.
    pub async fn signal_at(&self, args: &[&str], point: &Point, signal: Signal) -> Run {
        let child = self.start(&[&["--output", "json"], args].concat());
        let strike = async move |pid| send(pid, signal);
        finish(child, Some((point, strike))).await
    }

    /// Runs `rebuild ARGS`, which stands still while `deed` is done, as soon as it tells of `point`.
    pub async fn paused_at(&self, args: &[&str], point: &Point, deed: impl AsyncFnOnce()) -> Run {
        let child = self.start(&[&["--output", "json"], args].concat());
        let strike = async move |pid| {
            send(pid, Signal::STOP);
            deed().await;
            send(pid, Signal::CONT);
        };
        finish(child, Some((point, strike))).await
    }

    /// Runs `rebuild ARGS`, and sends `signal` as soon as `when` is over.
    pub async fn signal_when(
        &self,
        args: &[&str],
        when: impl Future<Output = ()>,
        signal: Signal,
    ) -> Run {
        self.signals_when(args, when, &[(signal, Duration::ZERO)])
            .await
    }

    /// The same with several signals, each some time after the one before, until it ends.
    pub async fn signals_when(
        &self,
        args: &[&str],
        when: impl Future<Output = ()>,
        signals: &[(Signal, Duration)],
    ) -> Run {
        let child = self.start(args);
        let pid = pid_of(&child);
        let strike = async {
            when.await;
            for (signal, after) in signals {
                tokio::time::sleep(*after).await;
                send(pid, *signal);
            }
            std::future::pending::<()>().await;
        };
        let ended = finish(child, None::<(&Point, fn(Pid) -> Ready<()>)>);
        tokio::select! {
            run = ended => run,
            () = strike => unreachable!("it waits for the end"),
        }
    }

    /// Runs `rebuild ARGS` for somebody who closes the pipe after the first line, and then sends
    /// `signal`: its exit code.
    pub async fn unread(&self, args: &[&str], signal: Option<Signal>) -> Option<i32> {
        let mut child = self.start(args);
        drop(child.stdout.take());
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        lines.next_line().await.expect("stderr").expect("a line");
        drop(lines);
        if let Some(signal) = signal {
            kill_process(pid_of(&child), signal).expect("signalled");
        }
        let ended = tokio::time::timeout(LIMIT, child.wait()).await;
        ended.expect("it ends in time").expect("its end").code()
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(program());
        command.current_dir(&self.folder).args(args);
        for (name, _) in std::env::vars() {
            let decides = ["PG", "REBUILD_", "AWS_", "GOOGLE_", "RUST_LOG"];
            if decides.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.tools.display()))
            .envs(self.server.iter().cloned())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program")
    }
}

/// The program under test, which is built into the folder of the one that tests it, or the one
/// above.
fn program() -> PathBuf {
    let tester = std::env::current_exe().expect("a program");
    let mut folders = tester.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| {
        let program = folder.join("rebuild");
        program.is_file().then_some(program)
    });
    found.expect("rebuild is built: cargo build -p rebuild-cli")
}

fn pid_of(child: &Child) -> Pid {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    pid.expect("it is not waited for yet")
}

/// It may have ended by now: the caller looks at what ended it.
fn send(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

async fn finish<F, S>(mut child: Child, mut strike: Option<(&Point, F)>) -> Run
where
    F: FnOnce(Pid) -> S,
    S: Future<Output = ()>,
{
    let pid = pid_of(&child);
    let mut out = child.stdout.take().expect("stdout");
    let err = child.stderr.take().expect("stderr");
    let ended = async {
        let data = async {
            let mut text = String::new();
            out.read_to_string(&mut text).await.expect("stdout");
            text
        };
        let messages = async {
            let mut text = String::new();
            let mut lines = BufReader::new(err).lines();
            while let Some(line) = lines.next_line().await.expect("stderr") {
                let told = Point::of(&line);
                if let Some((_, deed)) = strike.take_if(|(point, _)| told.as_ref() == Some(point)) {
                    deed(pid).await;
                }
                text += &line;
                text.push('\n');
            }
            text
        };
        let (stdout, stderr) = tokio::join!(data, messages);
        let status = child.wait().await.expect("its end");
        Run {
            status,
            stdout,
            stderr,
        }
    };
    tokio::time::timeout(LIMIT, ended)
        .await
        .expect("the program ends in time")
}
