//! Images of a request.

use std::borrow::Cow;

use super::Text;
use crate::AdaptorError;

/// An image: its bytes, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image<'a> {
    /// A `data:` URL, taken apart.
    Data {
        /// For example `image/png`.
        media_type: String,
        /// Base64, as the client sent it.
        data: Text<'a>,
    },
    /// An `https:` or `http:` URL, which the backend fetches.
    Url(Text<'a>),
}

impl<'a> Image<'a> {
    /// Reads an `image_url`; `at` names it in errors.
    pub fn parse(at: &str, url: Text<'a>) -> Result<Self, AdaptorError> {
        let wrong = |why: &str| AdaptorError::bad_request("invalid_value", format!("`{at}` {why}"));
        let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "https" | "http" => Ok(Self::Url(url)),
            "data" => {
                let comma = url.find(',').ok_or_else(|| wrong("is no complete data URL"))?;
                let kind = url.get("data:".len()..comma).unwrap_or_default();
                let Some(media_type) = kind.strip_suffix(";base64") else {
                    return Err(wrong("must be a data URL in base64: `data:image/png;base64,…`"));
                };
                let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
                if !media_type.starts_with("image/") {
                    return Err(wrong("must name the kind of image: `data:image/png;base64,…`"));
                }
                Ok(Self::Data { media_type, data: behind(url, comma + 1) })
            }
            _ => Err(wrong("must be an https URL or a data URL")),
        }
    }
}

/// The text from `at` on, borrowed where the whole is.
fn behind(text: Text<'_>, at: usize) -> Text<'_> {
    match text.0 {
        Cow::Borrowed(text) => Text(Cow::Borrowed(text.get(at..).unwrap_or_default())),
        Cow::Owned(mut text) => Text(Cow::Owned(text.split_off(at.min(text.len())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_data_are_told_apart() {
        let read = |url: &'static str| Image::parse("x", Text::from(url));
        let data = |media_type: &str, data: &'static str| Image::Data {
            media_type: media_type.to_owned(),
            data: Text::from(data),
        };
        assert_eq!(read("data:image/PNG;base64,aGk=").unwrap(), data("image/png", "aGk="));
        assert_eq!(read("DATA:image/jpeg;x=y;base64,").unwrap(), data("image/jpeg", ""));
        assert_eq!(read("https://h/a.png").unwrap(), Image::Url("https://h/a.png".into()));
        for wrong in [
            "",
            "data:image/png;base64",
            "data:image/png,x",
            "data:;base64,x",
            "data:text/plain;base64,x",
            "s3://b/k",
        ] {
            let error = read(wrong).unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (400, "invalid_value"), "{wrong}");
        }
    }
}
