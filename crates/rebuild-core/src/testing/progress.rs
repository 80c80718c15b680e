//! Acting in the middle of an act.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::event::{Event, Events, Progress, Sink};

struct Told(UnboundedSender<()>);

impl Sink for Told {
    fn event(&self, _event: &Event) {}

    fn progress(&self, _progress: &Progress) {
        // Nobody has to listen.
        let _ = self.0.send(());
    }
}

/// Events of an act, and what receives something whenever the act says that it got further.
pub fn progress_told() -> (Events, UnboundedReceiver<()>) {
    let (tell, told) = unbounded_channel();
    (Events::new(None, vec![Arc::new(Told(tell))]), told)
}
