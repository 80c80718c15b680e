//! Refreshes whose program ended half-way.

use super::*;

/// Tells when a step has begun.
struct Begun(&'static str, tokio::sync::mpsc::UnboundedSender<()>);

impl crate::event::Sink for Begun {
    fn event(&self, event: &crate::event::Event) {
        if matches!(&event.kind, crate::event::EventKind::StepStarted { step, .. } if step == self.0)
        {
            let _ = self.1.send(());
        }
    }

    fn progress(&self, _: &crate::event::Progress) {}
}

#[tokio::test]
async fn a_refresh_whose_program_ended_goes_back_or_on() {
    let world = World::new(PROD, APP).await;
    // From when it holds the source until the rows are there it goes back, otherwise it goes on.
    for (step, ending) in [
        ("restore", Ending::RolledBack),
        ("schema", Ending::Done),
        ("finish", Ending::Done),
    ] {
        let (send, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let mut project = world.project("").await;
        project.events = Events::new(None, vec![Arc::new(Begun(step, send))]);
        tokio::select! {
            ended = project.run(None, None) => panic!("{step}: {ended:?}"),
            _ = begun.recv() => {}
        }
        drop(project);
        let project = world.project("").await;
        let run = project.runs().await.expect("runs")[0].id.clone();
        let report = project.resume(&run).await.expect("resumed");
        assert_eq!(report.ending, ending, "{step}: {report:?}");
        assert!(
            !world.folder.path().join("store/sources").exists(),
            "{step}"
        );
        let stays = ending == Ending::RolledBack;
        let tried = "select count(*) from pg_views where viewname = 'tried'";
        assert_eq!(
            text(&world.app(), tried).await,
            u8::from(stays).to_string(),
            "{step}"
        );
    }
}
