//! The head of one part of a form (RFC 7578). Read strictly: what one reader takes for the field `model` and another
//! does not would lead a request to a model that its caller may not use.

use airlock_sandbox::FormFault;

use super::malformed;

/// What is told of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The field's name.
    pub(super) name: Vec<u8>,
    /// Whether it is a file.
    pub(super) is_file: bool,
}

impl Part {
    /// Reads the lines before the empty one.
    pub(super) fn read(head: &[u8]) -> Result<Self, FormFault> {
        let mut part = None;
        for line in lines(head) {
            let line = line?;
            let (name, value) = field(line)?;
            if name.eq_ignore_ascii_case(b"content-disposition") {
                if part.replace(disposition(value)?).is_some() {
                    return Err(malformed("a part has two `Content-Disposition`s"));
                }
            } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") && !is_identity(value) {
                let why = "a part has a `Content-Transfer-Encoding`, which forms do not have (RFC 7578, 4.7)";
                return Err(malformed(why));
            }
        }
        part.ok_or_else(|| malformed("a part has no `Content-Disposition`, which names its field"))
    }
}

/// The lines, each ended by CR and LF but the last.
fn lines(head: &[u8]) -> impl Iterator<Item = Result<&[u8], FormFault>> {
    let mut rest = Some(head).filter(|head| !head.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memmem::find(text, b"\r\n");
        rest = end.and_then(|end| text.get(end + 2..));
        let line = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        let is_odd = line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        Some(if is_odd { Err(malformed("a part's head holds a lone line end, or a NUL")) } else { Ok(line) })
    })
}

/// A line's name and value.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), FormFault> {
    let colon = memchr::memchr(b':', line);
    let (name, value) = colon.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))).unwrap_or_default();
    // White space before the name continues the line before, for some.
    // What begins like a boundary is one, for some.
    if name.is_empty() || name.starts_with(b"--") || !name.iter().all(|byte| is_token(*byte)) {
        return Err(malformed("a line of a part's head is not `Name: value`"));
    }
    Ok((name, value.trim_ascii()))
}

fn is_identity(encoding: &[u8]) -> bool {
    [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
}

/// The value of `Content-Disposition`: `form-data; name="…"`, and of files `filename="…"`.
fn disposition(value: &[u8]) -> Result<Part, FormFault> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (kind, mut rest) = value.split_at(end);
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(malformed("a part's `Content-Disposition` is not `form-data`"));
    }
    let (mut name, mut is_file) = (None, false);
    while let Some(parameter) = rest.strip_prefix(b";") {
        let parameter = parameter.trim_ascii_start();
        let key = parameter.iter().take_while(|byte| is_token(**byte)).count();
        let (key, after) = parameter.split_at(key);
        let Some(after) = after.strip_prefix(b"=").filter(|_| !key.is_empty()) else {
            return Err(malformed(
                "a part's `Content-Disposition` has something that is not `key=\"value\"`",
            ));
        };
        let (value, after) = parameter_value(after)?;
        rest = after.trim_ascii_start();
        let key = key.to_ascii_lowercase();
        // `name*` is another way to say a name, which only some understand.
        if key.starts_with(b"name*") || key == b"name" && name.replace(value.to_vec()).is_some() {
            return Err(malformed("a part names its field in two ways"));
        }
        is_file |= key.starts_with(b"filename");
    }
    match name {
        Some(name) if !is_plain(&name) => Err(malformed(
            "a field's name has other characters than letters, digits and `_-.[]`, or is one that some take for `model`",
        )),
        Some(name) if rest.is_empty() => Ok(Part { name, is_file }),
        Some(_) => Err(malformed("a part's `Content-Disposition` goes on behind a value")),
        None => Err(malformed("a part's `Content-Disposition` has no `name`")),
    }
}

/// A name that every reader takes for the same: none that some decode, and no other spelling of `model`.
fn is_plain(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(byte);
    let is_model = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"model"));
    let goes_on = name.get(5).is_some_and(|byte| b".[".contains(byte));
    name.iter().all(is_allowed) && (!is_model || name == b"model" || name.len() > 5 && !goes_on)
}

/// A quoted string or a token, and what follows it.
fn parameter_value(text: &[u8]) -> Result<(&[u8], &[u8]), FormFault> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().take_while(|byte| is_token(**byte)).count();
        return Ok(text.split_at(end));
    };
    let end = memchr::memchr(b'"', quoted).ok_or_else(|| malformed("a quotation mark is not closed"))?;
    let (value, after) = quoted.split_at(end);
    // For some the text ends here, for others it goes on.
    if value.ends_with(b"\\") {
        return Err(malformed("a name ends with a backslash, which may hide its end; leave it out"));
    }
    // Some look for parameters without regard to quotation marks.
    let names_another = value.split(|byte| *byte == b';').skip(1).any(|rest| {
        let start = rest.trim_ascii_start().get(..4);
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"name"))
    });
    if names_another {
        return Err(malformed(
            "a quoted name holds `; name`, which may be taken for another name; leave it out",
        ));
    }
    Ok((value, after.get(1..).unwrap_or_default()))
}

/// The characters of RFC 9110's `token`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Part, FormFault> {
        Part::read(line.as_bytes())
    }

    #[test]
    fn a_part_is_named_by_its_disposition() {
        for (head, name, is_file) in [
            ("Content-Disposition: form-data; name=\"model\"", "model", false),
            ("content-type: text/plain\r\nCONTENT-DISPOSITION:form-data;name=model", "model", false),
            ("Content-Disposition: form-data; name=\"file\"; filename=\"a; b.mp3\"", "file", true),
            ("Content-Disposition: form-data; filename*=UTF-8''%e2.png; name=\"image[]\"", "image[]", true),
            ("Content-Disposition: form-data; name=\"\"; filename=\"C:\\dir\\é.wav\"", "", true),
            ("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: 8BIT", "a", false),
            ("Content-Disposition: form-data; name=\"models\"", "models", false),
        ] {
            assert_eq!(read(head).unwrap(), Part { name: name.into(), is_file }, "{head}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for head in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: attachment; name=\"model\"",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; filename=\"x\"",
            "Content-Disposition: form-data; name=\"a\"; name=\"model\"",
            "Content-Disposition: form-data; name=\"a\"; name*=UTF-8''model",
            "Content-Disposition: form-data; name*0=\"mo\"; name*1=\"del\"; name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
            "Content-Disposition: form-data; name=\"a\\\"; name=\"model\"",
            "Content-Disposition: form-data; name=\"x\\\"; name=\\\"model\"",
            "Content-Disposition: form-data; name=\"a\" model",
            "Content-Disposition: form-data; name=\"a\"model",
            "Content-Disposition: form-data; name=\"a\";",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data; name =\"a\"",
            "Content-Disposition: form-data; name=\"a\"\nContent-Disposition: form-data; name=\"model\"",
            "Content-Disposition: form-data; name=\"a\0\"",
            "Content-Disposition: form-data;\r\n name=\"model\"",
            "Content-Disposition : form-data; name=\"model\"",
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
            "Content-Disposition: form-data; a=\"x\\\\\"; b=\"; name=model; c=\"; name=\"y\"",
            "Content-Disposition: form-data; name=\"a\\\\\"",
            "Content-Disposition: form-data; filename=\"a; name=model; b\"; name=\"x\"",
            "Content-Disposition: form-data; filename=\"a;NAME=model\"; name=\"x\"",
            "Content-Disposition: form-data; name=\"Model\"",
            "Content-Disposition: form-data; name=\"model[]\"",
            "Content-Disposition: form-data; name=\"model.a\"",
            "Content-Disposition: form-data; name=\"m\\odel\"",
            "Content-Disposition: form-data; name=\"/model\"",
            "Content-Disposition: form-data; name=\"+AG0-odel\"",
            "Content-Disposition: form-data; name=\"=?UTF-8?Q?model?=\"",
            "Content-Disposition: form-data; name=\"a\"\r\n--b0und: x",
            "no colon",
        ] {
            assert!(read(head).is_err(), "{head:?}: {:?}", read(head));
        }
    }
}
