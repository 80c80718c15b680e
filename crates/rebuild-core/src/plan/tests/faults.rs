//! Several faults at once: none hides another.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

/// Some of the faults; of those that change the same facts, one at most.
fn some_faults() -> impl Strategy<Value = Vec<Case>> {
    subsequence(CASES.to_vec(), 0..CASES.len()).prop_map(|mut faults| {
        let mut alone = BTreeSet::new();
        faults.retain(|(_, _, guard)| {
            !matches!(*guard, "tools" | "data" | "target") || alone.insert(*guard)
        });
        faults
    })
}

proptest! {
    #[test]
    fn every_fault_is_refused_whatever_else_is_wrong(faults in some_faults()) {
        let all = |survey: &mut Survey| faults.iter().for_each(|(_, change, _)| change(survey));
        let plan = plan_of(&rules(), all);
        let refused: BTreeSet<&str> = guards(&plan.refusals).into_iter().collect();
        let wrong: BTreeSet<&str> = faults.iter().map(|(_, _, guard)| *guard).collect();
        prop_assert_eq!(&refused, &wrong);
        let runs = plan.permit_run(Some(&plan.target.name));
        prop_assert_eq!(runs.is_ok(), faults.is_empty());
        prop_assert_eq!(plan_of(&rules(), all), plan, "the same facts, the same plan");
    }
}
