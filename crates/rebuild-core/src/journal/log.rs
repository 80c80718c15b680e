//! A journal in a store.

use jiff::Timestamp;

use super::record::hash;
use super::{Body, Program, RECORD_VERSION, Record, RunState, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::model::RunId;
use crate::store::{Name, Store};

/// The journal of one run, open for appending.
///
/// Records are created if absent, one object each. Two processes that append to one journal
/// collide on a record's number, and the second is refused: it no longer knows where the run
/// stands, and must not act.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    folder: Name,
    writer: Writer,
    /// To be told with the next record.
    program: Option<Program>,
    state: RunState,
    records: u64,
    head: String,
}

impl Journal {
    /// Begins the journal of a new run with its first record.
    ///
    /// # Errors
    /// The run has a journal already; the store could not be written, or does not keep two
    /// processes apart.
    pub async fn create(store: &Store, run: &RunId, first: Body) -> Result<Self> {
        Self::create_by(store, run, first, None).await
    }

    /// The same, by a process that says which program it runs.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_by(
        store: &Store,
        run: &RunId,
        first: Body,
        program: Option<Program>,
    ) -> Result<Self> {
        store.check_exclusive().await?;
        let mut journal = Self::empty(store, run)?;
        journal.program = program;
        journal.append(first).await?;
        Ok(journal)
    }

    /// Opens and replays the journal of a run.
    ///
    /// # Errors
    /// There is none; a record is missing, damaged, of another version, or cannot follow the one
    /// before it.
    pub async fn open(store: &Store, run: &RunId) -> Result<Self> {
        let mut journal = Self::empty(store, run)?;
        for record in read(store, run).await? {
            journal.take(&record.0, &record.1)?;
        }
        Ok(journal)
    }

    /// The next record of this process says which program it runs.
    pub fn written_by(&mut self, program: Option<Program>) {
        self.program = program;
    }

    /// One without records.
    fn empty(store: &Store, run: &RunId) -> Result<Self> {
        Ok(Self {
            store: store.clone(),
            folder: folder(run)?,
            writer: Writer::this_process(),
            program: None,
            state: RunState::default(),
            records: 0,
            head: hash(b""),
        })
    }

    /// Appends a record. It is durable when this returns.
    ///
    /// # Errors
    /// Another process has appended meanwhile; the record cannot follow; the store could not be
    /// written. Nothing more may then be done for the run by this process.
    pub async fn append(&mut self, body: Body) -> Result<()> {
        let mut writer = self.writer.clone();
        writer.program.clone_from(&self.program);
        let record = Record {
            version: RECORD_VERSION,
            seq: self.records + 1,
            at: Timestamp::now(),
            prev: self.head.clone(),
            writer,
            body,
        };
        let mut next = self.state.clone();
        next.apply(&record)?;
        let name = self.folder.join(&file_name(record.seq))?;
        let bytes = record.stored(name.as_str())?;
        let head = hash(&bytes);
        self.store.put_new(&name, bytes).await.map_err(|e| {
            if e.kind() == ErrorKind::Refused {
                Error::refused(format!(
                    "another process has taken up the run ({name} exists)"
                ))
                .hint("rebuild runs show, to see what it does")
                .caused_by(e)
            } else {
                e.context("the journal could not be written, so nothing more was done")
            }
        })?;
        self.program = None;
        self.state = next;
        self.records = record.seq;
        self.head = head;
        Ok(())
    }

    /// Where the run stands.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    fn take(&mut self, record: &Record, bytes: &[u8]) -> Result<()> {
        if record.seq != self.records + 1 {
            return Err(Error::corrupt(format!(
                "journal record {} of {} is missing",
                self.records + 1,
                self.folder
            )));
        }
        if record.prev != self.head {
            return Err(Error::corrupt(format!(
                "journal record {} of {} does not follow the one before it",
                record.seq, self.folder
            )));
        }
        self.state.apply(record)?;
        self.records = record.seq;
        self.head = hash(bytes);
        Ok(())
    }
}

/// Every record of a run, in order, with its stored bytes.
pub(super) async fn read(store: &Store, run: &RunId) -> Result<Vec<(Record, Vec<u8>)>> {
    let records = read_if_any(store, run).await?;
    if records.is_empty() {
        return Err(Error::usage(format!("there is no run {run} in the store")));
    }
    Ok(records)
}

/// The same; none of a run whose process ended before the first one was there.
pub(super) async fn read_if_any(store: &Store, run: &RunId) -> Result<Vec<(Record, Vec<u8>)>> {
    let listed = store.list(&folder(run)?).await?;
    let mut records = Vec::with_capacity(listed.len());
    for (n, stored) in listed.iter().enumerate() {
        let seq = n as u64 + 1;
        if stored.name.file_name() != file_name(seq) {
            return Err(Error::corrupt(format!(
                "journal record {seq} of {run} is missing: {} is in its place",
                stored.name
            )));
        }
        let bytes = store.get(&stored.name).await?;
        let record = Record::from_bytes(stored.name.as_str(), &bytes)?;
        if record.seq != seq {
            return Err(Error::corrupt(format!(
                "journal record {} says that it is number {}",
                stored.name, record.seq
            )));
        }
        records.push((record, bytes.to_vec()));
    }
    Ok(records)
}

fn folder(run: &RunId) -> Result<Name> {
    Name::new(format!("runs/{run}/journal"))
}

/// Numbers have eight digits, so that names sort as the numbers do.
fn file_name(seq: u64) -> String {
    format!("{seq:08}.json")
}
