//! In which order tables are worked: those that are referred to come first.

use std::collections::BTreeSet;

/// Tables that refer to each other, directly or by way of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Circle {
    /// Its tables, by their place.
    pub(super) tables: Vec<usize>,
    /// They do refer to each other, or the one refers to itself.
    pub(super) closed: bool,
}

/// The circles of tables, each after those that its tables refer to. `parents` says for each
/// table which ones it refers to; where that leaves a choice, the order of the tables decides.
pub(super) fn circles(parents: &[BTreeSet<usize>]) -> Vec<Circle> {
    let reach: Vec<BTreeSet<usize>> = (0..parents.len()).map(|at| reach(parents, at)).collect();
    let mut circles = Vec::new();
    let mut done = BTreeSet::new();
    while done.len() < parents.len() {
        for at in 0..parents.len() {
            let mutual = |other: &usize| *other == at || reach[*other].contains(&at);
            let (own, others): (Vec<usize>, Vec<usize>) =
                reach[at].iter().copied().partition(|o| mutual(o));
            if done.contains(&at) || !others.iter().all(|o| done.contains(o)) {
                continue;
            }
            let closed = !own.is_empty();
            let tables = if closed { own } else { vec![at] };
            done.extend(tables.iter().copied());
            circles.push(Circle { tables, closed });
        }
    }
    circles
}

/// Every table that `from` refers to, directly or by way of others.
fn reach(parents: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<usize> = parents[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if seen.insert(at) {
            next.extend(&parents[at]);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(parents: &[&[usize]]) -> Vec<(Vec<usize>, bool)> {
        let parents: Vec<BTreeSet<usize>> = parents
            .iter()
            .map(|p| p.iter().copied().collect())
            .collect();
        let circles = circles(&parents);
        circles.into_iter().map(|c| (c.tables, c.closed)).collect()
    }

    #[test]
    fn parents_come_first_and_circles_together() {
        assert_eq!(order(&[]), []);
        assert_eq!(
            order(&[&[1], &[2], &[]]),
            [(vec![2], false), (vec![1], false), (vec![0], false)]
        );
        assert_eq!(order(&[&[0]]), [(vec![0], true)]);
        // 1 and 2 refer to each other, 0 to 1, and 2 to 3.
        assert_eq!(
            order(&[&[1], &[2], &[1, 3], &[]]),
            [(vec![3], false), (vec![1, 2], true), (vec![0], false)]
        );
        // Of those that refer to nothing, the first comes first.
        assert_eq!(order(&[&[], &[]]), [(vec![0], false), (vec![1], false)]);
    }
}
