//! The paths of methods: `v2/{+name}:run` and what its parameters stand for.

use std::ops::Range;

use serde_json::Value;

/// One part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Just this. The order of the variants is that of how much they say.
    Literal(String),
    /// Anything that ends so; the end is not empty.
    Ending(String),
    Any,
    /// Anything, with the slashes in it and one part at least, and then the end.
    Rest(String),
}

impl Part {
    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Ending(_) => 1,
            Self::Any => 2,
            Self::Rest(_) => 3,
        }
    }
}

/// A path with places for parameters.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
    captures: Vec<(String, Range<usize>)>,
}

impl Template {
    /// Reads a template. A parameter with `+` stands for as many parts as its pattern has.
    pub(super) fn parse(template: &str, parameters: &Value) -> Self {
        let mut parts = Vec::new();
        let mut captures = Vec::new();
        for piece in template.trim_matches('/').split('/') {
            let Some((name, end)) = piece
                .strip_prefix('{')
                .and_then(|piece| piece.split_once('}'))
            else {
                parts.push(Part::Literal(piece.to_owned()));
                continue;
            };
            let start = parts.len();
            let name = name.trim_start_matches('+');
            let pattern = parameters[name]["pattern"].as_str().unwrap_or("^[^/]+$");
            parts.extend(pattern_parts(pattern));
            if let Some(last) = parts.last_mut().filter(|_| !end.is_empty()) {
                last.end_with(end);
            }
            captures.push((name.to_owned(), start..parts.len()));
        }
        Self { parts, captures }
    }

    /// How much it says about a path, part by part: of two that fit, the smaller one is meant.
    pub(super) fn rank(&self) -> Vec<u8> {
        self.parts.iter().map(Part::rank).collect()
    }

    /// The values of the parameters if the path, split at its slashes and decoded, fits.
    pub(super) fn fit(&self, path: &[String]) -> Option<Vec<(String, String)>> {
        let rest = matches!(self.parts.last(), Some(Part::Rest(_)));
        if path.len() != self.parts.len() && !(rest && path.len() > self.parts.len()) {
            return None;
        }
        let fits = |(part, given): (&Part, &String)| match part {
            Part::Literal(text) => text == given,
            Part::Ending(end) => given.len() > end.len() && given.ends_with(end.as_str()),
            Part::Any => !given.is_empty(),
            Part::Rest(_) => true,
        };
        if !self.parts.iter().zip(path).all(fits) {
            return None;
        }
        let end = match self.parts.last() {
            Some(Part::Rest(end) | Part::Ending(end)) => end.as_str(),
            _ => "",
        };
        let whole = |range: &Range<usize>| {
            if range.end < self.parts.len() {
                return Some(path[range.clone()].join("/"));
            }
            let value = path[range.start..].join("/");
            value.strip_suffix(end).map(str::to_owned)
        };
        let captured = self.captures.iter();
        captured
            .map(|(name, range)| Some((name.clone(), whole(range)?)))
            .collect()
    }
}

impl Part {
    fn end_with(&mut self, end: &str) {
        match self {
            Self::Literal(text) | Self::Ending(text) | Self::Rest(text) => text.push_str(end),
            Self::Any => *self = Self::Ending(end.to_owned()),
        }
    }
}

/// The parts of a pattern such as `^projects/[^/]+/jobs/[^/]+$`. The class has a slash in it.
fn pattern_parts(pattern: &str) -> Vec<Part> {
    let inner = pattern.trim_start_matches('^').trim_end_matches('$');
    let parts = inner.replace("[^/]+", "*");
    let part = |part: &str| match part {
        "*" => Part::Any,
        ".*" => Part::Rest(String::new()),
        literal => Part::Literal(literal.to_owned()),
    };
    parts.split('/').map(part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fit(template: &Template, path: &str) -> Option<Vec<(String, String)>> {
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        template.fit(&path)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_parameter_stands_for_the_parts_of_its_pattern() {
        let parameters = json!({"name": {"pattern": "^projects/[^/]+/jobs/[^/]+$"}});
        let run = Template::parse("v2/{+name}:run", &parameters);
        assert_eq!(
            fit(&run, "v2/projects/p/jobs/j:run"),
            Some(vec![pair("name", "projects/p/jobs/j")])
        );
        assert_eq!(fit(&run, "v2/projects/p/jobs/j"), None);
        assert_eq!(fit(&run, "v2/projects/p/services/j:run"), None);
        let get = Template::parse("v2/{+name}", &parameters);
        assert!(fit(&get, "v2/projects/p/jobs/j:run").is_some());
        assert!(run.rank() < get.rank());
    }

    #[test]
    fn plain_parameters_are_one_part() {
        let template = Template::parse("b/{bucket}/o/{object}", &json!({}));
        assert_eq!(
            fit(&template, "b/x/o/y"),
            Some(vec![pair("bucket", "x"), pair("object", "y")])
        );
        assert_eq!(fit(&template, "b/x/o/y/z"), None);
        assert_eq!(fit(&template, "b//o/y"), None);
    }

    #[test]
    fn what_may_have_slashes_takes_the_rest() {
        let parameters = json!({"name": {"pattern": "^projects/[^/]+/.*$"}});
        let template = Template::parse("v2/{+name}:export", &parameters);
        assert_eq!(
            fit(&template, "v2/projects/p/a/b:export"),
            Some(vec![pair("name", "projects/p/a/b")])
        );
        assert_eq!(fit(&template, "v2/projects/p/a/b"), None);
    }
}
