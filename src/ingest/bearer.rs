//! The bearer token of a request. In: the `Authorization` header. Out: the token, if it can be one of a ServiceAccount.
//! Checks no signature: only the API server can tell whether a token is good. What a token says of itself serves to name
//! a refusal, never to admit.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::collectors::Denial;
use crate::api::log_source::COLLECTOR_AUDIENCE;

/// A projected token has some 1,200 bytes.
const LONGEST: usize = 8 << 10;

/// Three parts in base64url (RFC 7515): anything else is not worth a question to the API server.
pub(super) fn token(authorization: Option<&[u8]>) -> Result<&str, Denial> {
    let header = authorization.ok_or(Denial::NoCredential)?;
    let (scheme, token) = header.split_at_checked(7).ok_or(Denial::Malformed)?;
    let token = std::str::from_utf8(token.trim_ascii()).map_err(|_| Denial::Malformed)?;
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_token = token.len() <= LONGEST && token.split('.').count() == 3 && token.split('.').all(is_part);
    if scheme.eq_ignore_ascii_case(b"bearer ") && is_token { Ok(token) } else { Err(Denial::Malformed) }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Audience,
    exp: Option<i64>,
}

/// RFC 7519, 4.1.3: one name, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Audience {
        Audience::Many(Vec::new())
    }
}

/// Why the API server may have refused a token.
pub(super) fn likely_reason(token: &str, now: Timestamp) -> Denial {
    let claims = token.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let claims: Option<Claims> = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let Some(claims) = claims else { return Denial::Unauthenticated };
    let is_ours = match &claims.aud {
        Audience::One(one) => one == COLLECTOR_AUDIENCE,
        Audience::Many(many) => many.iter().any(|one| one == COLLECTOR_AUDIENCE),
    };
    if !is_ours {
        Denial::OtherAudience
    } else if claims.exp.is_some_and(|exp| exp <= now.as_second()) {
        Denial::Expired
    } else {
        Denial::Unauthenticated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_token_is_asked_about() {
        let long = format!("Bearer a.b.{}", "c".repeat(LONGEST));
        for (header, expected) in [
            (Some("Bearer a.b-_.c9"), Ok("a.b-_.c9")),
            (Some("bearer  a.b.c "), Ok("a.b.c")),
            (None, Err(Denial::NoCredential)),
            (Some(""), Err(Denial::Malformed)),
            (Some("Basic a.b.c"), Err(Denial::Malformed)),
            (Some("Bearer a.b"), Err(Denial::Malformed)),
            (Some("Bearer a.b."), Err(Denial::Malformed)),
            (Some("Bearer a.b.c\u{e9}"), Err(Denial::Malformed)),
            (Some("Bearer a.b.c d"), Err(Denial::Malformed)),
            (Some(&*long), Err(Denial::Malformed)),
        ] {
            assert_eq!(token(header.map(str::as_bytes)), expected, "{header:?}");
        }
    }

    #[test]
    fn a_refusal_is_named_by_what_the_token_says() {
        let now = Timestamp::constant(1_000, 0);
        for (claims, expected) in [
            (r#"{"aud":["kubewitness.io/collector"],"exp":999}"#, Denial::Expired),
            (r#"{"aud":"kubewitness.io/collector","exp":1001}"#, Denial::Unauthenticated),
            (r#"{"aud":["other"],"exp":999}"#, Denial::OtherAudience),
            ("{}", Denial::OtherAudience),
            ("no JSON", Denial::Unauthenticated),
        ] {
            let token = format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.as_bytes()));
            assert_eq!(likely_reason(&token, now), expected, "{claims}");
        }
    }
}
