//! The roles that a dump speaks of, and those of the server that it goes to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::error::{Error, Result};
use crate::postgres::ident;
use crate::postgres::schema::lex::{Lexer, TokenKind};

/// Roles of managed services, which exist on their servers alone and which nobody there can be
/// made a member of.
pub const MANAGED_ROLES: [&str; 19] = [
    "alloydbadmin",
    "alloydbsuperuser",
    "azure_pg_admin",
    "azure_superuser",
    "azuresu",
    "cloudsqladmin",
    "cloudsqlagent",
    "cloudsqliamserviceaccount",
    "cloudsqliamuser",
    "cloudsqlimportexport",
    "cloudsqlreplica",
    "cloudsqlsuperuser",
    "rds_ad",
    "rds_iam",
    "rds_password",
    "rds_replication",
    "rds_superuser",
    "rdsadmin",
    "rdsrepladmin",
];

/// What becomes of a dump's roles: some get another name, some are left out.
///
/// It works on statements that name roles, at the place where the name stands; data, bodies of
/// functions and strings are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMap {
    renamed: BTreeMap<String, String>,
    dropped: BTreeSet<String>,
}

impl Default for RoleMap {
    /// Leaves out the [`MANAGED_ROLES`], and keeps every other one.
    fn default() -> Self {
        Self {
            renamed: BTreeMap::new(),
            dropped: MANAGED_ROLES.map(str::to_owned).into(),
        }
    }
}

impl RoleMap {
    /// Gives the role `from` the name `to`.
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        let from = from.into();
        self.dropped.remove(&from);
        self.renamed.insert(from, to.into());
        self
    }

    /// Leaves the role out: what belongs to it belongs to whoever restores, what is granted to it
    /// is granted to nobody.
    #[must_use]
    pub fn leave_out(mut self, role: impl Into<String>) -> Self {
        let role = role.into();
        self.renamed.remove(&role);
        self.dropped.insert(role);
        self
    }

    /// The statement for the roles of the server.
    ///
    /// # Errors
    /// It cannot go without a role that is left out; a new name cannot be one; where it names roles
    /// cannot be told.
    pub(crate) fn apply(&self, statement: &str) -> Result<Mapped> {
        let words = Words::of(statement);
        let Some(places) = words.places() else {
            return Ok(Mapped::Same);
        };
        self.edit(statement, &words, &places)
    }

    fn edit(&self, statement: &str, words: &Words<'_>, places: &[Place]) -> Result<Mapped> {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for place in places {
            let mut kept = Vec::new();
            let mut gone = None;
            for &n in &place.names {
                let name = words.name(n);
                if self.dropped.contains(&name) {
                    gone = Some(name);
                } else if let Some(new) = self.renamed.get(&name) {
                    kept.push((n, Some(ident(new)?)));
                } else {
                    kept.push((n, None));
                }
            }
            if let (Some(role), true) = (&gone, kept.is_empty()) {
                match &place.without {
                    Without::Statement => return Ok(Mapped::LeftOut(role.clone())),
                    Without::Clause(range) => edits.push((range.clone(), String::new())),
                    Without::Impossible => {
                        return Err(Error::refused(format!(
                            "a statement cannot go without the role {role:?}: {}",
                            beginning(statement)
                        ))
                        .hint("give that role another name instead of leaving it out"));
                    }
                }
                continue;
            }
            if gone.is_none() && kept.iter().all(|(_, new)| new.is_none()) {
                continue;
            }
            // A list is written anew, from its first name to its last.
            let names: Vec<String> = kept
                .into_iter()
                .map(|(n, new)| new.unwrap_or_else(|| words.text(n).to_owned()))
                .collect();
            let (Some(&head), Some(&last)) = (place.names.first(), place.names.last()) else {
                continue;
            };
            edits.push((
                words.found[head].1.start..words.found[last].1.end,
                names.join(", "),
            ));
        }
        if edits.is_empty() {
            return Ok(Mapped::Same);
        }
        edits.sort_by_key(|(range, _)| range.start);
        if edits.windows(2).any(|two| two[1].0.start < two[0].0.end) {
            return Err(Error::corrupt(format!(
                "a statement names its roles as the server would not take it: {}",
                beginning(statement)
            )));
        }
        let mut text = statement.to_owned();
        for (range, new) in edits.into_iter().rev() {
            text.replace_range(range, &new);
        }
        Ok(Mapped::Changed(text))
    }
}

/// As much of a statement as an error shows.
fn beginning(statement: &str) -> String {
    statement.chars().take(120).collect()
}

/// What became of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// It is as it was.
    Same,
    /// It is this now.
    Changed(String),
    /// It is left out, with this role.
    LeftOut(String),
}

/// A list of roles in a statement.
struct Place {
    /// Where each name is among the words.
    names: Vec<usize>,
    without: Without,
}

/// What is left of a statement when all roles of a list are left out.
enum Without {
    /// Nothing.
    Statement,
    /// The rest, without these bytes.
    Clause(Range<usize>),
    /// It would be another statement.
    Impossible,
}

/// The words, names and commas of a statement that lie outside of parentheses.
struct Words<'a> {
    statement: &'a str,
    found: Vec<(TokenKind, Range<usize>)>,
}

impl<'a> Words<'a> {
    /// Only of statements that can name roles: others may be long.
    fn of(statement: &'a str) -> Self {
        const WITH_ROLES: [&str; 6] = ["alter", "grant", "revoke", "create", "set", "drop"];
        let head = statement.split(|c: char| !c.is_ascii_alphabetic()).next();
        let head = head.unwrap_or_default().to_ascii_lowercase();
        let mut words = Self {
            statement,
            found: Vec::new(),
        };
        if !WITH_ROLES.contains(&head.as_str()) {
            return words;
        }
        let mut lexer = Lexer::new(statement);
        let mut depth = 0_usize;
        // The statement was read before, so that nothing in it has no end.
        while let Ok(Some(token)) = lexer.token() {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ if depth == 0 => words.found.push((token.kind, token.range)),
                _ => {}
            }
        }
        words
    }

    fn text(&self, n: usize) -> &'a str {
        self.found
            .get(n)
            .map_or("", |(_, range)| &self.statement[range.clone()])
    }

    fn is(&self, n: usize, key: &str) -> bool {
        let word = self
            .found
            .get(n)
            .is_some_and(|(k, _)| *k == TokenKind::Word);
        word && self.text(n).eq_ignore_ascii_case(key)
    }

    fn starts(&self, keys: &[&str]) -> bool {
        keys.iter().enumerate().all(|(n, key)| self.is(n, key))
    }

    fn find(&self, key: &str, from: usize) -> Option<usize> {
        (from..self.found.len()).find(|&n| self.is(n, key))
    }

    /// The name that a word or a quoted word stands for.
    fn name(&self, n: usize) -> String {
        let text = self.text(n);
        match text.as_bytes().first() {
            Some(b'"') => text[1..text.len() - 1].replace("\"\"", "\""),
            Some(b'\'') => text[1..text.len() - 1].replace("''", "'"),
            _ => text.to_lowercase(),
        }
    }

    /// The names of the list that begins at `n`: `a, GROUP b, "c d"`.
    fn list(&self, mut n: usize) -> Vec<usize> {
        let mut names = Vec::new();
        loop {
            if self.is(n, "group") && n + 1 < self.found.len() && self.text(n + 1) != "," {
                n += 1;
            }
            if n >= self.found.len() {
                return names;
            }
            names.push(n);
            if self.text(n + 1) != "," {
                return names;
            }
            n += 2;
        }
    }

    fn place(&self, n: usize, without: Without) -> Place {
        Place {
            names: self.list(n),
            without,
        }
    }

    /// Where the statement names roles, if it is one that can.
    fn places(&self) -> Option<Vec<Place>> {
        let last = self.found.len().checked_sub(1)?;
        let whole = |n| self.place(n, Without::Statement);
        if self.starts(&["alter", "default", "privileges"]) {
            let mut places = self.granted()?;
            if let Some(n) = self.find("for", 3).filter(|&n| n == 3) {
                places.push(whole(n + 2));
            }
            return Some(places);
        }
        if self.starts(&["alter"])
            && last >= 3
            && self.is(last - 2, "owner")
            && self.is(last - 1, "to")
        {
            return Some(vec![whole(last)]);
        }
        if self.starts(&["grant"]) || self.starts(&["revoke"]) {
            return self.granted();
        }
        if self.starts(&["set", "session", "authorization"]) {
            return Some(vec![whole(3)]);
        }
        if self.starts(&["set", "role"]) {
            return Some(vec![whole(2)]);
        }
        if self.starts(&["create", "schema"]) {
            let n = self.find("authorization", 2)?;
            let named = n > 2 && !self.is(n - 1, "exists");
            let range = self.found[n].1.start..self.found.get(n + 1)?.1.end;
            let without = if named {
                Without::Clause(range)
            } else {
                Without::Impossible
            };
            return Some(vec![self.place(n + 1, without)]);
        }
        if self.starts(&["create", "policy"]) || self.starts(&["alter", "policy"]) {
            return Some(vec![whole(self.find("to", 3)? + 1)]);
        }
        if self.is(1, "user") && self.is(2, "mapping") {
            return Some(vec![whole(self.find("for", 3)? + 1)]);
        }
        None
    }

    /// Of GRANT and REVOKE: to whom, by whom, and, where roles are granted, which.
    fn granted(&self) -> Option<Vec<Place>> {
        let at = (0..self.found.len()).find(|&n| self.is(n, "grant") || self.is(n, "revoke"))?;
        let to = if self.is(at, "grant") { "to" } else { "from" };
        let to = self.find(to, at)?;
        let mut places = vec![self.place(to + 1, Without::Statement)];
        if self.find("on", at).is_none_or(|on| on > to) {
            let option = self.find("for", at).filter(|&n| n < to);
            places.push(self.place(option.unwrap_or(at) + 1, Without::Statement));
        }
        if let Some(by) = self.find("granted", to)
            && self.is(by + 1, "by")
        {
            let clause = self.found[by].1.start..self.found.get(by + 2)?.1.end;
            places.push(self.place(by + 2, Without::Clause(clause)));
        }
        Some(places)
    }
}
