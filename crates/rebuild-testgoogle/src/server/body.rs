//! The bodies of calls: JSON, a file, or both.

use bytes::Bytes;
use serde_json::Value;

use super::Request;
use crate::call::Media;
use crate::error::ApiError;

/// The object and the file in a body.
pub(super) fn read(request: &Request, upload: bool) -> Result<(Value, Option<Media>), ApiError> {
    let kind = request.content_type.as_str();
    if !upload {
        return Ok((object(&request.body)?, None));
    }
    let upload_type = request.query.iter().find(|(name, _)| name == "uploadType");
    match upload_type.map_or("", |(_, value)| value.as_str()) {
        "media" => Ok((Value::Null, Some(media(kind, request.body.clone())))),
        "multipart" => {
            let (object_part, file) = two_parts(kind, &request.body)
                .ok_or_else(|| ApiError::new(400, "Missing end boundary in multipart body."))?;
            Ok((object(&object_part)?, Some(file)))
        }
        other => {
            let said = format!("This server has no uploads of the type {other:?}.");
            Err(ApiError::new(501, said))
        }
    }
}

fn object(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let said = format!("Invalid JSON payload received. {error}");
        ApiError::new(400, said).reason("parseError")
    })
}

fn media(kind: &str, bytes: Bytes) -> Media {
    let content_type = if kind.is_empty() {
        "application/octet-stream"
    } else {
        kind
    };
    Media {
        content_type: content_type.to_owned(),
        bytes,
    }
}

/// The object and the file of a `multipart/related` body.
fn two_parts(kind: &str, body: &Bytes) -> Option<(Bytes, Media)> {
    let boundary = kind
        .split(';')
        .find_map(|it| it.trim().strip_prefix("boundary="))?;
    let boundary = format!("--{}", boundary.trim_matches(['"', '\'']));
    let starts = positions(body, boundary.as_bytes());
    let [first, second, end] = starts[..] else {
        return None;
    };
    let part = |from: usize, to: usize| {
        let from = from + boundary.len() + 2;
        let head_end = from + find(body.get(from..to)?, b"\r\n\r\n")?;
        let content = body.slice(head_end + 4..to.checked_sub(2)?.max(head_end + 4));
        Some((std::str::from_utf8(&body[from..head_end]).ok()?, content))
    };
    let (_, object) = part(first, second)?;
    let (head, file) = part(second, end)?;
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type")
            .then(|| value.trim())
    });
    Some((object, media(kind.unwrap_or_default(), file)))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn positions(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(wanted.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == wanted);
    found.map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_are_told_apart() {
        let body = Bytes::from_static(
            b"--b\r\nContent-Type: application/json\r\n\r\n{\"name\":\"x\"}\r\n\
              --b\r\ncontent-type: text/plain\r\n\r\nline\r\n--b--",
        );
        let (object, file) = two_parts("multipart/related; boundary=\"b\"", &body).expect("two");
        assert_eq!(object, "{\"name\":\"x\"}");
        assert_eq!(
            (file.content_type.as_str(), &file.bytes[..]),
            ("text/plain", &b"line"[..])
        );
        assert!(two_parts("multipart/related; boundary=c", &body).is_none());
    }
}
