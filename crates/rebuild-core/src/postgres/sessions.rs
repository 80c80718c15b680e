//! Whose sessions are in a database, and which of them may be ended.

use std::time::{Duration, Instant};

use super::{Session, is_ours, server_error};
use crate::error::{Error, ErrorKind, Result};
use crate::model::SessionFacts;
use crate::spec::NamePatterns;

/// Which foreign sessions a run may end. The default ends none.
#[derive(Clone, Debug, Default)]
pub enum EndSessions {
    /// None: a session in the way is a refusal.
    #[default]
    None,
    /// Every one.
    All,
    /// Those whose role or `application_name` matches a pattern.
    Matching {
        /// Patterns of role names.
        roles: NamePatterns,
        /// Patterns of `application_name`.
        applications: NamePatterns,
    },
}

impl EndSessions {
    /// A policy from patterns.
    ///
    /// # Errors
    /// A pattern cannot be read.
    pub fn matching(roles: &[String], applications: &[String]) -> Result<Self> {
        Ok(Self::Matching {
            roles: NamePatterns::compile(roles)?,
            applications: NamePatterns::compile(applications)?,
        })
    }

    /// True if `session` may be ended.
    pub fn allows(&self, session: &SessionFacts) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Matching {
                roles,
                applications,
            } => roles.matches(&session.role) || applications.matches(&session.application),
        }
    }

    /// Returns the sessions that are in the way and may not be ended as a refusal.
    ///
    /// # Errors
    /// A refusal that names each of them.
    pub fn check(&self, database: &str, sessions: &[SessionFacts]) -> Result<()> {
        let forbidden: Vec<String> = sessions
            .iter()
            .filter(|s| !self.allows(s))
            .map(describe)
            .collect();
        if forbidden.is_empty() {
            return Ok(());
        }
        Err(Error::refused(format!(
            "sessions in {database:?} would have to be ended, and the spec does not allow it: {}",
            forbidden.join("; ")
        ))
        .hint("end them yourself, or set quiesce.end_sessions in the spec"))
    }
}

/// One session in a line.
pub(super) fn describe(s: &SessionFacts) -> String {
    format!(
        "pid {} {:?} as {:?} from {} ({})",
        s.pid, s.application, s.role, s.client, s.state
    )
}

/// The client sessions in the database of that oid, but for those of `own` processes.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn foreign(session: &Session, oid: u32, own: &[i32]) -> Result<Vec<SessionFacts>> {
    let rows = session
        .query(
            "select a.pid,
                    coalesce(a.usename::pg_catalog.text, ''),
                    coalesce(a.application_name, ''),
                    coalesce(pg_catalog.host(a.client_addr), 'local'),
                    coalesce(a.state, '')
               from pg_catalog.pg_stat_activity a
              where a.datid operator(pg_catalog.=) $1
                and a.backend_type operator(pg_catalog.<>) all
                    (array['autovacuum worker', 'parallel worker'])
                and a.pid operator(pg_catalog.<>) all ($2::pg_catalog.int4[])
              order by a.pid",
            &[&oid, &own],
        )
        .await
        .map_err(|e| server_error("could not list the sessions of the database", e))?;
    Ok(rows
        .iter()
        .map(|r| SessionFacts {
            pid: r.get(0),
            role: r.get(1),
            application: r.get(2),
            client: r.get(3),
            state: r.get(4),
        })
        .collect())
}

/// A closed session of our own is still listed until its server process has gone.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// The client sessions in the database of that oid but for `own`, once those of `rebuild` that
/// `policy` would refuse have had the time to leave: one that was closed a moment ago is in
/// nobody's way.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn in_the_way(
    session: &Session,
    oid: u32,
    own: &[i32],
    policy: &EndSessions,
) -> Result<Vec<SessionFacts>> {
    let deadline = Instant::now() + LEAVE_WITHIN;
    loop {
        let there = foreign(session, oid, own).await?;
        let leaving = there
            .iter()
            .any(|s| is_ours(&s.application) && !policy.allows(s));
        if !leaving || Instant::now() > deadline {
            return Ok(there);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Ends the allowed sessions of the database until none but `own` is left.
///
/// # Errors
/// A refusal if a session may not be ended; [`ErrorKind::Deadline`] if some are left after
/// `limit`, named; the role may lack `pg_signal_backend`.
pub(super) async fn end_all(
    session: &Session,
    database: &str,
    oid: u32,
    own: &[i32],
    policy: &EndSessions,
    limit: Duration,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let there = in_the_way(session, oid, own, policy).await?;
        if there.is_empty() {
            return Ok(());
        }
        policy.check(database, &there)?;
        let pids: Vec<i32> = there.iter().map(|s| s.pid).collect();
        terminate(session, database, &pids).await?;
        pause(database, &there, deadline, limit).await?;
    }
}

/// Ends the sessions with these process ids, and waits until they are gone.
///
/// # Errors
/// As [`end_all`], but for the policy, which the caller has checked.
pub(super) async fn end_these(
    session: &Session,
    database: &str,
    oid: u32,
    pids: &[i32],
    limit: Duration,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    terminate(session, database, pids).await?;
    loop {
        let mut left = foreign(session, oid, &[]).await?;
        left.retain(|s| pids.contains(&s.pid));
        if left.is_empty() {
            return Ok(());
        }
        pause(database, &left, deadline, limit).await?;
    }
}

async fn terminate(session: &Session, database: &str, pids: &[i32]) -> Result<()> {
    session
        .execute(
            "select pg_catalog.pg_terminate_backend(pid)
               from pg_catalog.unnest($1::pg_catalog.int4[]) as pid",
            &[&pids],
        )
        .await
        .map(|_| ())
        .map_err(|e| server_error(format!("could not end the sessions in {database:?}"), e))
}

/// Waits a moment for `left` to go, or says that they did not.
async fn pause(
    database: &str,
    left: &[SessionFacts],
    deadline: Instant,
    limit: Duration,
) -> Result<()> {
    if Instant::now() > deadline {
        let left: Vec<String> = left.iter().map(describe).collect();
        return Err(Error::new(
            ErrorKind::Deadline,
            format!(
                "sessions in {database:?} did not end within {limit:?}: {}",
                left.join("; ")
            ),
        ));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{cluster, scratch_database};

    #[tokio::test]
    async fn our_own_sessions_are_given_the_time_to_leave_and_no_others() {
        let cluster = cluster().await.expect("a server");
        let target = scratch_database(&cluster).await.expect("a database");
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("a session");
        let sql = "select oid from pg_catalog.pg_database where datname = $1";
        let row = admin.query_one(sql, &[&target.database]).await;
        let oid: u32 = row.expect("the database").get(0);
        let ours = Session::open(&target, "rebuild/run-1").await.expect("ours");
        let other = Session::open(&target, "somebody").await.expect("another");
        // It leaves only once somebody has looked for it several times; to look is to send two or three messages.
        let (mut ours, mut looks) = (Some(ours), BTreeSet::new());
        let pid = admin.backend_pid();
        let asked = "select query_start::text from pg_catalog.pg_stat_activity where pid = $1";
        let its: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&pid];
        let policy = EndSessions::None;
        let mut looking = std::pin::pin!(in_the_way(&admin, oid, &[], &policy));
        let there = loop {
            tokio::select! {
                biased;
                there = &mut looking => break there,
                row = other.query_one(asked, &its) => {
                    looks.insert(row.expect("its session").get::<_, String>(0));
                    if looks.len() > 12 && let Some(ours) = ours.take() {
                        ours.close().await;
                    }
                }
            }
        };
        let there = there.expect("an answer");
        let left: Vec<&str> = there.iter().map(|s| s.application.as_str()).collect();
        assert_eq!(left, ["somebody"]);
        assert!(EndSessions::None.check("t", &there).is_err());
        other.close().await;
    }
}
