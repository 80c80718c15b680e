//! The faults of every service.

use rustix::process::Signal;

use super::{Lab, RECORDS, Service};
use crate::faults::{Case, Extent, Sooner, until_struck};
use crate::random::Random;
use crate::strike::{Aim, Deed, tally};
use crate::trial::{Struck, Way};

/// What is to be tried of a family of a service.
pub fn cases<S: Service>(family: &str, lab: &Lab<S>, extent: Extent) -> Vec<Case<Lab<S>>> {
    let [journal, random, api, _] = S::FAMILIES;
    match family {
        f if f == journal => at_records(lab, extent),
        f if f == random => at_random_times(lab, extent),
        f if f == api => at_requests(lab, extent),
        _ => S::own(lab, extent),
    }
}

/// A case of one fault, which is tried again if the run ended before it could strike.
pub(super) fn case<S, F>(family: &'static str, what: String, way: Way, fault: F) -> Case<Lab<S>>
where
    S: Service,
    F: AsyncFn(&Lab<S>, &mut S, Sooner) -> Struck + 'static,
{
    until_struck(family, what, async move |lab: &Lab<S>, sooner| {
        let strike = async |service: &mut S| fault(lab, service, sooner).await;
        lab.trial(way, strike).await
    })
}

/// Killed before and after each record of the journal.
fn at_records<S: Service>(lab: &Lab<S>, extent: Extent) -> Vec<Case<Lab<S>>> {
    let (call, path) = RECORDS;
    let deeds = [Deed::KillBefore, Deed::KillAfter];
    let aims = (1..=lab.records).flat_map(|at| deeds.map(|deed| (at, deed)));
    let cases = extent.of(aims).into_iter().enumerate();
    let cases = cases.map(|(n, (at, deed))| {
        let aim = Aim {
            call,
            path,
            at,
            times: 1,
            deed,
        };
        let fault = async move |lab: &Lab<S>, service: &mut S, sooner: Sooner| {
            let marks = service.desk().folder.join("tally");
            let variables = lab.striker.variables(&sooner.of_aim(&aim), &marks);
            service.desk().environment.extend(variables);
            let desk = service.desk();
            let run = desk.rebuild_json(&desk.typed("run")).await;
            let struck = tally(&marks).1 > 0 && run.was_killed();
            Struck { run, struck }
        };
        let what = format!("{deed:?} record {at}");
        case(S::FAMILIES[0], what, Way::by_turns(n), fault)
    });
    cases.collect()
}

/// Killed at a random time, every third again on the way out.
fn at_random_times<S: Service>(lab: &Lab<S>, extent: Extent) -> Vec<Case<Lab<S>>> {
    let mut random = Random::of(extent.seed);
    let cases = (0..extent.random_service).map(|n| {
        let first = lab.took.mul_f64(random.part());
        let again = n.is_multiple_of(3).then(|| lab.took.mul_f64(random.part()));
        let way = Way::by_turns(random.below(2));
        let what = format!("after {first:?}, then {} after {again:?}", way.verb());
        let fault = async move |_: &Lab<S>, service: &mut S, sooner: Sooner| {
            let desk = service.desk();
            let kill = async |verb, after| {
                let args = [vec!["--output", "json"], desk.typed(verb)].concat();
                let sleep = tokio::time::sleep(after);
                desk.signal_when(&args, sleep, Signal::KILL).await
            };
            let run = kill("run", sooner.of_time(first)).await;
            let struck = run.was_killed();
            if let Some(after) = again.filter(|_| struck) {
                kill(way.verb(), after).await;
            }
            Struck { run, struck }
        };
        case(S::FAMILIES[1], what, way, fault)
    });
    cases.collect()
}

/// The API is in trouble at each request.
fn at_requests<S: Service>(lab: &Lab<S>, extent: Extent) -> Vec<Case<Lab<S>>> {
    let troubles = |after| S::TROUBLES.iter().map(move |trouble| (after, *trouble));
    let all = (0..lab.requests).flat_map(troubles);
    let cases = extent.one_in(extent.every_request, all);
    let cases = cases.into_iter().enumerate().map(|(n, (after, trouble))| {
        let fault = async move |_: &Lab<S>, service: &mut S, sooner: Sooner| {
            let has_struck = service.trouble(trouble, sooner.of_number(after));
            let desk = service.desk();
            let run = desk.rebuild_json(&desk.typed("run")).await;
            let struck = has_struck();
            service.calm();
            Struck { run, struck }
        };
        let what = format!("{trouble}, request {after}");
        case(S::FAMILIES[2], what, Way::by_turns(n), fault)
    });
    cases.collect()
}
