//! Which web pages may read the answers.

use axum::http::HeaderValue;

/// The web origins that may read the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// No other origin.
    #[default]
    Off,
    /// Every origin. The API key, or the loopback address, still protects the answers.
    Any,
    /// These origins, such as `https://app.example`.
    Origins(Vec<HeaderValue>),
}

impl Cors {
    /// Parses origins separated by commas, or `*`. An empty text means no other origin.
    ///
    /// # Errors
    /// The first text that is not an origin.
    pub fn parse(text: &str) -> Result<Self, WrongOrigin> {
        let origins: Vec<&str> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
        match origins.as_slice() {
            [] => Ok(Self::Off),
            ["*"] => Ok(Self::Any),
            origins => origins.iter().map(|origin| parse_origin(origin)).collect::<Result<_, _>>().map(Self::Origins),
        }
    }
}

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as https://app.example, several separated by commas, or *; found {0:?}")]
pub struct WrongOrigin(String);

fn parse_origin(text: &str) -> Result<HeaderValue, WrongOrigin> {
    let wrong = || WrongOrigin(text.to_owned());
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    if is_host { HeaderValue::try_from(text).map_err(|_| wrong()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed_as_browsers_send_them() {
        assert_eq!((Cors::parse(""), Cors::parse(" * ")), (Ok(Cors::Off), Ok(Cors::Any)));
        let two = ["https://app.example", "http://localhost:3000"].map(HeaderValue::from_static).to_vec();
        assert_eq!(Cors::parse("https://app.example, http://localhost:3000"), Ok(Cors::Origins(two)));
        for wrong in ["app.example", "https://", "https://a.example/", "*,https://a.example", "https://a b", "null"] {
            assert!(Cors::parse(wrong).is_err(), "{wrong}");
        }
    }
}
