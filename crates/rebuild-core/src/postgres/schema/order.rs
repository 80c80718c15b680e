//! Which files the patterns of a spec mean, and in which order they are applied.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};
use crate::spec::FileOrder;

/// The files of a set of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedFiles {
    /// Their paths relative to the folder, with `/` between the parts, in the order in which
    /// they are applied.
    pub paths: Vec<String>,
    /// What was left out, a line for each.
    pub notes: Vec<String>,
}

/// Expands `patterns` in `folder` and orders what they match.
///
/// `*` and `?` match within one part of a path, `**` any number of parts; names that begin with
/// a dot only match a pattern that spells the dot out; folders that are symbolic links are not
/// searched. Blocking: reads folders.
///
/// # Errors
/// A pattern is not valid, leaves the folder or matches nothing; a file is not UTF-8 in its
/// name, or is a symbolic link to a place outside of the folder; the order does not know what to
/// do with a name, or finds two files in the same place.
pub fn expand(folder: &Path, patterns: &[String], order: FileOrder) -> Result<OrderedFiles> {
    let root = folder.canonicalize().map_err(|e| {
        Error::usage(format!("the folder {} cannot be read", folder.display())).caused_by(e)
    })?;
    let mut paths = BTreeSet::new();
    let mut notes = Vec::new();
    for pattern in patterns {
        let found = Search::new(&root, pattern)?.run(&mut notes)?;
        if found.is_empty() {
            return Err(
                Error::usage(format!("the pattern {pattern:?} matches no file"))
                    .hint(format!("patterns are relative to {}", folder.display())),
            );
        }
        paths.extend(found);
    }
    let paths = match order {
        FileOrder::Lexicographic => paths.into_iter().collect(),
        FileOrder::Numbered => numbered(paths)?,
        FileOrder::Flyway => flyway(paths, &mut notes)?,
    };
    Ok(OrderedFiles { paths, notes })
}

struct Search<'a> {
    root: &'a Path,
    /// The part of the pattern before the first special character.
    prefix: PathBuf,
    hidden: bool,
    matcher: GlobMatcher,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(root: &'a Path, pattern: &str) -> Result<Self> {
        let bad = |why: String| Error::usage(format!("the pattern {pattern:?} {why}"));
        let mut plain = PathBuf::new();
        for part in Path::new(pattern).components() {
            match part {
                Component::Normal(part) => plain.push(part),
                Component::CurDir => {}
                _ => return Err(bad("leaves the folder of the spec".into())),
            }
        }
        let text = plain
            .to_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| bad("names no file".into()))?;
        let matcher = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|e| bad(format!("is not valid: {}", e.kind())))?
            .compile_matcher();
        let parts: Vec<&str> = text.split('/').collect();
        let fixed = parts
            .iter()
            .take_while(|part| !part.contains(['*', '?', '[', '{']))
            .count();
        Ok(Self {
            root,
            prefix: parts[..fixed].iter().collect(),
            hidden: parts[fixed..].iter().any(|part| part.starts_with('.')),
            matcher,
            found: Vec::new(),
        })
    }

    fn run(mut self, notes: &mut Vec<String>) -> Result<Vec<String>> {
        let start = self.root.join(&self.prefix);
        if start.is_dir() {
            self.inside(&start)?;
            self.folder(&self.prefix.clone(), notes)?;
        } else if start.is_file() {
            self.file(&self.prefix.clone())?;
        }
        Ok(self.found)
    }

    fn folder(&mut self, relative: &Path, notes: &mut Vec<String>) -> Result<()> {
        let here = self.root.join(relative);
        let unreadable =
            |e| Error::usage(format!("the folder {} cannot be read", here.display())).caused_by(e);
        for entry in std::fs::read_dir(&here).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            if !self.hidden && name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = relative.join(&name);
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.folder(&path, notes)?;
            } else if kind.is_symlink() && entry.path().is_dir() {
                notes.push(format!(
                    "{} is a symbolic link to a folder and was not searched",
                    path.display()
                ));
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, relative: &Path) -> Result<()> {
        if !self.matcher.is_match(relative) {
            return Ok(());
        }
        let full = self.root.join(relative);
        self.inside(&full)?;
        if !full.is_file() {
            return Err(Error::usage(format!("{} is not a file", full.display())));
        }
        match relative.to_str() {
            Some(path) => self.found.push(path.to_owned()),
            None => {
                return Err(Error::usage(format!(
                    "the name of {} is not UTF-8",
                    full.display()
                )));
            }
        }
        Ok(())
    }

    /// Refuses what lies outside of the folder once symbolic links are followed.
    fn inside(&self, path: &Path) -> Result<()> {
        let real = path
            .canonicalize()
            .map_err(|e| Error::usage(format!("{} cannot be read", path.display())).caused_by(e))?;
        if real.starts_with(self.root) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{} is a symbolic link to {}, outside of the folder of the spec",
            path.display(),
            real.display()
        )))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Sorts by `key`, and refuses two files with the same one.
fn by_key<K>(
    mut files: Vec<(K, String)>,
    what: &str,
    compare: impl Fn(&K, &K) -> Ordering,
) -> Result<Vec<String>> {
    files.sort_by(|a, b| compare(&a.0, &b.0));
    for pair in files.windows(2) {
        if compare(&pair[0].0, &pair[1].0).is_eq() {
            return Err(Error::usage(format!(
                "{} and {} have the same {what}, so their order is not known",
                pair[0].1, pair[1].1
            )));
        }
    }
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// A number of any length, for comparing: without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number(String);

impl Number {
    fn new(digits: &str) -> Self {
        Self(digits.trim_start_matches('0').to_owned())
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn numbered(paths: BTreeSet<String>) -> Result<Vec<String>> {
    let files = paths.into_iter().map(|path| {
        let name = file_name(&path);
        let digits = &name[..name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len()];
        if digits.is_empty() {
            return Err(Error::usage(format!(
                "the name of {path} does not begin with a number, so its place among numbered files is not known"
            )));
        }
        Ok((Number::new(digits), path))
    });
    by_key(files.collect::<Result<_>>()?, "number", Ord::cmp)
}

/// Flyway's names
/// (<https://documentation.red-gate.com/flyway/flyway-concepts/migrations/versioned-migrations>).
fn flyway(paths: BTreeSet<String>, notes: &mut Vec<String>) -> Result<Vec<String>> {
    let mut versioned = Vec::new();
    let mut repeatable = Vec::new();
    for path in paths {
        match flyway_name(file_name(&path)) {
            Some(FlywayName::Versioned(version)) => versioned.push((version, path)),
            Some(FlywayName::Repeatable(description)) => {
                repeatable.push((description.to_owned(), path));
            }
            Some(FlywayName::Undo) => {
                notes.push(format!("{path} undoes a version and was left out"));
            }
            None => {
                return Err(Error::usage(format!(
                    "{path} is not named as Flyway wants it: V<version>__<description>.sql or R__<description>.sql"
                )));
            }
        }
    }
    let mut ordered = by_key(versioned, "version", Ord::cmp)?;
    ordered.extend(by_key(repeatable, "description", Ord::cmp)?);
    Ok(ordered)
}

enum FlywayName<'a> {
    Versioned(Vec<Number>),
    Repeatable(&'a str),
    Undo,
}

fn flyway_name(name: &str) -> Option<FlywayName<'_>> {
    let (version, description) = name.strip_suffix(".sql")?.split_once("__")?;
    let (kind, version) = version.split_at_checked(1)?;
    match kind {
        "V" => Some(FlywayName::Versioned(flyway_version(version)?)),
        "R" if version.is_empty() => Some(FlywayName::Repeatable(description)),
        "U" => flyway_version(version).map(|_| FlywayName::Undo),
        _ => None,
    }
}

/// `2_1` and `2.1` are the same version, as are `2` and `2.0`.
fn flyway_version(text: &str) -> Option<Vec<Number>> {
    let mut parts = Vec::new();
    for part in text.split(['.', '_']) {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        parts.push(Number::new(part));
    }
    while parts.last().is_some_and(|part| part.0.is_empty()) {
        parts.pop();
    }
    Some(parts)
}

#[cfg(test)]
mod tests;
