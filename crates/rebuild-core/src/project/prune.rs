//! `backups prune`: which backups go.

mod begun;
mod works;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Project;
use super::own_backups::Named;
use crate::error::{Error, Result};
use crate::journal::RunSummary;
use crate::model::BackupId;
use crate::traits::{BackupMode, BackupSummary};

impl Project {
    /// Removes the backups of the target that neither rule keeps; without a rule given, the spec's. With
    /// `act` false it only says which. The newest full backup is always kept, and so is the newest that has any
    /// rows; they are read back before anything is removed. Of the backups of databases of that name, those
    /// count that are of the target's server, or of servers that its runs have replaced; an event tells of
    /// the others. Works of many workers whose coordinator was killed at least a day ago go as well, with the
    /// backups that they did not finish; of each an event tells.
    ///
    /// *Repeats:* what an earlier call that was cut off has left of a backup goes first, and is in the
    /// answer as well. *Destroys:* those copies of the data.
    ///
    /// # Errors
    /// There is no rule; a run has not ended, and may need its backup; a backup that always stays is
    /// damaged, so that an older one may be the last good copy; whose the backups are could not be asked;
    /// the store failed.
    pub async fn prune_backups(
        &self,
        keep_last: Option<u32>,
        keep_days: Option<u32>,
        act: bool,
    ) -> Result<Vec<BackupId>> {
        let rules = if keep_last.is_none() && keep_days.is_none() {
            (self.spec.retention.keep_last, self.spec.retention.keep_days)
        } else {
            (keep_last, keep_days)
        };
        if rules == (None, None) {
            return Err(Error::usage("nothing says which backups to keep")
                .hint("give --keep-last or --keep-days, or set them in [retention]"));
        }
        let ctx = self.ctx();
        let backup = self.backup_maker()?;
        // A store may be shared; other databases have rules of their own.
        let Named { own: all, others } = self
            .certainly_the_targets(&ctx, backup.list(&ctx).await?)
            .await?;
        if let Some(newest) = others.first() {
            let other = format!(
                "of the backups of {:?}, {} are of other servers",
                newest.of.name,
                others.len()
            );
            ctx.events
                .info(format!("{other} ({}, ...): they stay", newest.id));
        }
        let doomed = doomed(&all, rules, Timestamp::now());
        if !act {
            self.tell_of_removals(&ctx).await?;
            self.prune_works(&ctx, Timestamp::now(), false).await?;
            return Ok(doomed.into_iter().map(|b| b.id).collect());
        }
        if let Some(run) = self.runs().await?.into_iter().find(RunSummary::is_open) {
            let hint = self.ways_out(&run.id).await;
            return Err(Error::refused(format!(
                "{} has not ended, and may need its backup",
                run.id
            ))
            .hint(hint));
        }
        if !doomed.is_empty() {
            self.require_proof(&all).await?;
        }
        let removing = async {
            let mut gone = self.end_removals(&ctx, &*backup).await?;
            for summary in doomed {
                begun::remove(&ctx, &self.store, &*backup, &summary).await?;
                gone.push(summary.id);
            }
            self.prune_works(&ctx, Timestamp::now(), true).await?;
            Ok(gone)
        };
        Box::pin(removing).await.map_err(Error::half_way)
    }

    /// Reads back the backups that always stay.
    async fn require_proof(&self, all: &[BackupSummary]) -> Result<()> {
        for kept in always_kept(all) {
            let (_, verdict) = self.check_backup(&kept.id).await?;
            if !verdict.passed() {
                return Err(Error::refused(format!(
                    "{}, which is to stay, is damaged: {}",
                    kept.id,
                    verdict.complaints().join("; ")
                ))
                .hint("take a new one first: rebuild backup"));
            }
        }
        Ok(())
    }
}

/// The newest full backup of `backups`, which are sorted, newest first; and the newest that has anything in it:
/// a database that was made anew and is empty is called like the one that was there.
fn always_kept(backups: &[BackupSummary]) -> impl Iterator<Item = &BackupSummary> {
    let full = || backups.iter().filter(|b| b.mode == BackupMode::Full);
    let filled = full().find(|b| b.rows > 0 || b.large_objects > 0);
    let newest = full().next();
    let other = filled.filter(|f| newest.is_none_or(|n| n.id != f.id));
    newest.into_iter().chain(other)
}

/// The backups that no rule keeps. `backups` are sorted, newest first.
fn doomed(
    backups: &[BackupSummary],
    (keep_last, keep_days): (Option<u32>, Option<u32>),
    now: Timestamp,
) -> Vec<BackupSummary> {
    let mut kept: BTreeSet<&BackupId> = BTreeSet::new();
    let full = || backups.iter().filter(|b| b.mode == BackupMode::Full);
    let last = usize::try_from(keep_last.unwrap_or(0)).unwrap_or(usize::MAX);
    kept.extend(always_kept(backups).map(|b| &b.id));
    kept.extend(full().take(last).map(|b| &b.id));
    if let Some(days) = keep_days {
        let age = SignedDuration::from_hours(24 * i64::from(days));
        let young = |b: &&BackupSummary| now.duration_since(b.taken_at) <= age;
        kept.extend(backups.iter().filter(young).map(|b| &b.id));
    }
    let goes = |b: &&BackupSummary| !kept.contains(&b.id);
    backups.iter().filter(goes).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Identity;

    fn backup(mode: BackupMode, days_ago: i64, now: Timestamp) -> BackupSummary {
        BackupSummary {
            id: BackupId::generate(),
            of: Identity {
                server: "7".to_owned(),
                name: "app".to_owned(),
                uid: "1".to_owned(),
            },
            mode,
            taken_at: now - SignedDuration::from_hours(24 * days_ago),
            tables: 1,
            rows: 1,
            large_objects: 0,
            stored_bytes: 1,
        }
    }

    fn modes() -> impl Strategy<Value = Vec<(BackupMode, i64)>> {
        let mode = prop_oneof![
            Just(BackupMode::Full),
            Just(BackupMode::SchemaOnly),
            Just(BackupMode::CountsOnly)
        ];
        // A clock may have been ahead.
        prop::collection::vec((mode, -3..90_i64), 0..12)
    }

    proptest! {
        #[test]
        fn the_newest_full_one_stays_and_more_rules_remove_no_more(
            mut made in modes(),
            keep_last in prop::option::of(prop_oneof![0..6_u32, Just(u32::MAX)]),
            keep_days in prop::option::of(prop_oneof![0..100_u32, Just(u32::MAX)]),
        ) {
            let now: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
            made.sort_by_key(|(_, days)| *days);
            let list: Vec<_> = made.iter().map(|(mode, days)| backup(*mode, *days, now)).collect();
            let going = |rules| -> BTreeSet<BackupId> {
                doomed(&list, rules, now).into_iter().map(|b| b.id).collect()
            };
            let gone = going((keep_last, keep_days));
            let full: Vec<_> = list.iter().filter(|b| b.mode == BackupMode::Full).collect();
            for (n, backup) in full.iter().enumerate() {
                let counts = n == 0 || u32::try_from(n).is_ok_and(|n| Some(n) < keep_last);
                prop_assert!(!counts || !gone.contains(&backup.id), "number {} goes", n);
            }
            for (backup, (_, days)) in list.iter().zip(&made) {
                let young = keep_days.is_some_and(|keep| *days <= i64::from(keep));
                prop_assert!(!young || !gone.contains(&backup.id), "of {} days", days);
            }
            prop_assert!(gone.is_subset(&going((keep_last, None))));
            prop_assert!(gone.is_subset(&going((None, keep_days))));
            let more = keep_last.map(|n| n.saturating_add(1));
            prop_assert!(going((more, keep_days)).is_subset(&gone));
        }
    }

    #[test]
    fn rules_add_up_and_the_newest_full_one_stays() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
        let list: Vec<BackupSummary> = [
            (BackupMode::SchemaOnly, 1),
            (BackupMode::Full, 3),
            (BackupMode::Full, 5),
            (BackupMode::Full, 40),
        ]
        .map(|(mode, days)| backup(mode, days, now))
        .into();
        let ages = |rules| -> Vec<usize> {
            let doomed = doomed(&list, rules, now);
            let place = |d: &BackupSummary| list.iter().position(|b| b.id == d.id);
            doomed.iter().filter_map(place).collect()
        };
        assert_eq!(ages((Some(1), None)), [0, 2, 3]);
        assert_eq!(ages((Some(2), None)), [0, 3]);
        assert_eq!(ages((None, Some(4))), [2, 3]);
        assert_eq!(ages((Some(3), Some(2))), [0usize; 0]);
        assert_eq!(ages((Some(0), Some(0))), [0, 2, 3], "never the last one");
        let mut list = list;
        list[1].rows = 0;
        let doomed = doomed(&list, (Some(1), None), now);
        let gone: Vec<&BackupId> = doomed.iter().map(|b| &b.id).collect();
        assert_eq!(gone, [&list[0].id, &list[3].id], "nor the last with rows");
    }
}
