//! Faults that requests meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What happens to some requests. What it does not name it does not look at.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The method, such as `PATCH`; empty means any.
    pub method: String,
    /// A part of the path and query, such as `/statefulsets/db` or `watch=true`.
    pub path: String,
    /// So many matching requests go through first.
    pub skip: u32,
    /// So many are struck after that.
    pub times: u32,
    /// What happens to them.
    pub strike: Strike,
}

impl Fault {
    /// A fault that strikes the first matching request.
    pub fn once(method: &str, path: &str, strike: Strike) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            skip: 0,
            times: 1,
            strike,
        }
    }
}

/// What a fault does to a request.
#[derive(Debug, Clone)]
pub enum Strike {
    /// It is answered with this code (409, 429, 500, 503, 504, ...) and has no effect.
    Answer {
        /// The HTTP code.
        code: u16,
        /// Seconds to wait, in the header `Retry-After` and in the details.
        retry_after: Option<u64>,
    },
    /// The connection is closed, and the request has no effect.
    CloseBefore,
    /// The request has its effect, and the connection is closed in place of the answer.
    CloseAfter,
    /// The connection is closed once so many bytes have been carried over it from here on, in both
    /// directions together, heads of answers included: a watch, a log, an exec or a port-forward
    /// that breaks.
    CutStream {
        /// How many bytes are carried.
        bytes: u64,
    },
    /// A watch is told that its version is too old; another request is answered 410.
    Expire,
    /// The request waits so long, and then goes on.
    Hang(Duration),
}

/// Says how often a fault has struck.
#[derive(Debug, Clone)]
pub struct FaultHandle(Arc<AtomicU32>);

impl FaultHandle {
    /// How often it has struck so far.
    pub fn struck(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    struck: Arc<AtomicU32>,
}

/// The faults of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultHandle {
        let struck = Arc::new(AtomicU32::new(0));
        self.0.push(Armed {
            fault,
            struck: struck.clone(),
        });
        FaultHandle(struck)
    }

    /// What strikes a request, if anything does; the oldest fault that matches is used up first.
    pub(crate) fn strike(&mut self, method: &str, path_and_query: &str) -> Option<Strike> {
        let matches = |fault: &Fault| {
            (fault.method.is_empty() || fault.method == method)
                && path_and_query.contains(&fault.path)
                && fault.times > 0
        };
        let armed = self.0.iter_mut().find(|armed| matches(&armed.fault))?;
        if armed.fault.skip > 0 {
            armed.fault.skip -= 1;
            return None;
        }
        armed.fault.times -= 1;
        armed.struck.fetch_add(1, Ordering::SeqCst);
        Some(armed.fault.strike.clone())
    }
}
