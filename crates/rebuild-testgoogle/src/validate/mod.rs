//! Requests and answers against what a document says of them.

mod enums;
mod formats;

use serde_json::Value;

use crate::discovery::{Document, Method};

/// Who made the value that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// A client. Google reads some things more generously than it writes them; enums that came as
    /// numbers, as some clients send them, become names.
    Client,
    /// This server.
    Server,
}

/// What is wrong with a body, each with its place; nothing if it is as the method's document says.
pub(crate) fn body(method: &Method, body: &mut Value, maker: Maker) -> Vec<String> {
    let side = match maker {
        Maker::Client => "request",
        Maker::Server => "response",
    };
    let Some(schema) = method.definition[side]["$ref"].as_str() else {
        let nothing = body.is_null() || body.as_object().is_some_and(|map| map.is_empty());
        let problem = format!("the {side} of {} has no body", method.id);
        return (!nothing).then_some(problem).into_iter().collect();
    };
    let mut check = Check::new(method, maker);
    if body.is_null() && maker == Maker::Client {
        // A message without fields may be left out.
        return Vec::new();
    }
    check.value(method.document.schema(schema), body, schema);
    check.problems
}

/// Parameters that every API understands.
const COMMON: [&str; 14] = [
    "$.xgafv",
    "$alt",
    "$prettyPrint",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "userIp",
];

/// What is wrong with the parameters of a query. What has no value counts as not given: clients
/// send fields of theirs that are not set.
pub(crate) fn query(method: &Method, query: &mut Vec<(String, String)>) -> Vec<String> {
    query.retain(|(_, value)| !value.is_empty());
    let parameters = &method.definition["parameters"];
    let mut check = Check::new(method, Maker::Client);
    for index in 0..query.len() {
        let (before, now) = query.split_at_mut(index);
        let Some((name, value)) = now.first_mut() else {
            break;
        };
        if COMMON.contains(&name.as_str()) {
            continue;
        }
        let parameter = &parameters[name.as_str()];
        if parameter["location"] != "query" {
            check.says(name, "there is no such query parameter");
            continue;
        }
        if parameter["repeated"] != true && before.iter().any(|(earlier, _)| earlier == name) {
            check.says(name, "given twice");
        }
        check.parameter(parameter, value, name);
    }
    for (name, parameter) in parameters.as_object().into_iter().flatten() {
        let required = parameter["required"] == true && parameter["location"] == "query";
        if required && !query.iter().any(|(given, _)| given == name) {
            check.says(name, "this query parameter is required");
        }
    }
    check.problems
}

struct Check<'a> {
    document: &'a Document,
    method: &'a str,
    maker: Maker,
    problems: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(method: &'a Method, maker: Maker) -> Self {
        Self {
            document: &method.document,
            method: &method.id,
            maker,
            problems: Vec::new(),
        }
    }

    fn says(&mut self, place: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("{place}: {problem}"));
    }

    fn value(&mut self, schema: &Value, value: &mut Value, place: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let document = self.document;
            return self.value(document.schema(name), value, place);
        }
        if value.is_null() && schema["type"] != "any" {
            // Clients may name fields that they leave unset; Google does not send them.
            if self.maker == Maker::Server {
                self.says(place, "null");
            }
            return;
        }
        match schema["type"].as_str().unwrap_or("any") {
            "any" => {}
            "object" => self.object(schema, value, place),
            "array" => match value.as_array_mut() {
                Some(items) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.value(&schema["items"], item, &format!("{place}[{index}]"));
                    }
                }
                None => self.says(place, format!("no array: {value}")),
            },
            "boolean" if value.is_boolean() => {}
            "number" if value.is_number() => {}
            "integer" if formats::is_integer(schema["format"].as_str(), value) => {}
            "string" => self.string(schema, value, place),
            other => self.says(place, format!("no {other}: {value}")),
        }
    }

    fn object(&mut self, schema: &Value, value: &mut Value, place: &str) {
        let Some(fields) = value.as_object_mut() else {
            return self.says(place, format!("no object: {value}"));
        };
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // Some documents say which methods need a field.
            let methods = property["annotations"]["required"].as_array();
            let required = methods.is_some_and(|it| it.iter().any(|one| one == self.method));
            if required && self.maker == Maker::Client && !fields.contains_key(name) {
                self.says(&format!("{place}.{name}"), "this field is required");
            }
        }
        for (name, field) in fields {
            let place = format!("{place}.{name}");
            let known = schema["properties"].get(name);
            match known.or_else(|| schema.get("additionalProperties")) {
                Some(schema) => self.value(schema, field, &place),
                None => self.says(&place, "there is no such field"),
            }
        }
    }

    fn string(&mut self, schema: &Value, value: &mut Value, place: &str) {
        if let Some(names) = schema["enum"].as_array() {
            if let Some(number) = value.as_i64().filter(|_| self.maker == Maker::Client)
                && let Some(name) = enums::name(names, number)
            {
                *value = name.into();
            }
            if !names.contains(value) {
                self.says(place, format!("not among the values of the enum: {value}"));
            }
            return;
        }
        let format = schema["format"].as_str().unwrap_or_default();
        let generous = self.maker == Maker::Client && matches!(format, "int64" | "uint64");
        if generous && value.is_i64() | value.is_u64() {
            *value = value.to_string().into();
        }
        match value.as_str() {
            Some(text) if formats::is(format, text) => {}
            Some(text) => self.says(place, format!("no {format}: {text:?}")),
            None => self.says(place, format!("no string: {value}")),
        }
    }

    /// A parameter is text whatever its type is.
    fn parameter(&mut self, parameter: &Value, text: &mut String, name: &str) {
        let number = || text.parse::<i64>().ok();
        let mut value = match parameter["type"].as_str() {
            // Python writes it with a capital, and Google reads it.
            Some("boolean") => text
                .to_lowercase()
                .parse::<bool>()
                .map_or(Value::Null, Value::from),
            Some("integer") => number().map_or(Value::Null, Value::from),
            Some("number") => text.parse::<f64>().map_or(Value::Null, Value::from),
            _ if parameter["enum"].is_array() => number().map_or(text.as_str().into(), Value::from),
            _ => text.as_str().into(),
        };
        if value.is_null() {
            return self.says(name, format!("no {}: {text:?}", parameter["type"]));
        }
        self.value(parameter, &mut value, name);
        if let Value::String(value) = value {
            *text = value;
        }
    }
}

#[cfg(test)]
mod tests;
