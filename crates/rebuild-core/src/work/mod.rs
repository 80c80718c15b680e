//! One work, divided among many machines.
//!
//! A *work* is a document in the store, `work/<id>/task.json`, that says what is to be done and who
//! does which share of it. Worker `n` of `N` finds its share by its number, which whoever starts
//! it gives it: Kubernetes in an Indexed Job, or any other engine that numbers its tasks. It does
//! its share and leaves `work/<id>/result-<n>.json`. Whoever posted the task, the coordinator,
//! puts the results together. Nothing here starts or schedules anything.
//!
//! A share may be done more than once, by a worker that was lost and by the one in its place, even
//! at the same time. Each *attempt* has a name of its own, which is in the names of all that it
//! writes, and the first result that is written is the one that counts.

mod crew;
mod folder;
mod id;
mod index;
mod left;
mod share;

pub use crew::{AwaitedCrew, Crew};
pub use folder::WorkFolder;
pub use id::WorkId;
pub use index::index_from;
pub use share::Share;
#[cfg(feature = "postgres")]
pub(crate) use {
    crew::share_out, folder::Counted, folder::Posting, left::Left, left::works_left,
    share::is_attempt,
};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;

/// The most workers of one work.
pub const MOST_WORKERS: u32 = 1000;

/// Divides units of these weights into `count` shares: each unit, the heaviest first, goes to the
/// share that has least to do. So no share has more to do than the one with the least and one
/// unit. The places of the units come back, share by share.
pub fn shares(weights: &[u64], count: NonZeroU32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&unit| (Reverse(weights[unit]), unit));
    let mut shares = vec![Vec::new(); count.get() as usize];
    // What weighs nothing is spread by number.
    let mut emptiest: BinaryHeap<Reverse<(u64, usize, usize)>> = (0..shares.len())
        .map(|share| Reverse((0, 0, share)))
        .collect();
    for unit in order {
        let Some(Reverse((weight, units, share))) = emptiest.pop() else {
            break;
        };
        shares[share].push(unit);
        let weight = weight.saturating_add(weights[unit]);
        emptiest.push(Reverse((weight, units + 1, share)));
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_unit_is_in_one_share_and_the_shares_are_even(
            weights in proptest::collection::vec(0u64..10_000, 0..200),
            count in 1u32..20,
        ) {
            let shares = shares(&weights, NonZeroU32::new(count).expect("not 0"));
            prop_assert_eq!(shares.len(), count as usize);
            let mut all: Vec<usize> = shares.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..weights.len()).collect::<Vec<_>>());
            let loads = shares.iter().map(|s| s.iter().map(|&u| weights[u]).sum::<u64>());
            let (least, most) = (loads.clone().min(), loads.max());
            let heaviest = weights.iter().max().copied().unwrap_or(0);
            prop_assert!(most.unwrap_or(0) <= least.unwrap_or(0) + heaviest);
        }
    }

    #[test]
    fn what_weighs_nothing_is_spread_too() {
        let shares = shares(&[0; 6], const { NonZeroU32::new(3).expect("3 is not 0") });
        assert_eq!(shares, [[0, 3], [1, 4], [2, 5]]);
    }
}
