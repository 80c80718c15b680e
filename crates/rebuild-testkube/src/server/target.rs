//! What a request is about: its path and its query.

use crate::resources::{self, Resource};

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value of a parameter, or nothing.
    pub(crate) fn get(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        // Not all clients write it as JSON would.
        matches!(self.get(name), "true" | "True" | "TRUE" | "t" | "T" | "1")
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }
}

/// The object or objects that a path names.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// What `/api/v1/...` or `/apis/GROUP/VERSION/...` names, if it is a resource.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        // Names of objects hold nothing that would have to be escaped.
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource] => (plural, Some(name), Some(subresource)),
            _ => return None,
        };
        let resource = resources::by_plural(group, plural)?;
        let known = |it: &&str| resource.subresources.contains(it);
        let fits = resource.version == version
            && subresource.is_none_or(known)
            && (resource.namespaced || namespace.is_none())
            && (name.is_none() || namespace.is_some() == resource.namespaced);
        let owned = |part: &&str| (*part).to_owned();
        fits.then(|| Self {
            resource,
            namespace: namespace.map(str::to_owned),
            name: name.map(owned),
            subresource: subresource.map(owned),
        })
    }

    /// `pods` or `pods/exec`.
    pub(crate) fn path(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource.plural),
            None => self.resource.plural.to_owned(),
        }
    }
}
